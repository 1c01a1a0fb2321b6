"""The wrapper, on the embedded engine and on a program that behaves as it is told."""

from __future__ import annotations

import asyncio
import os
import signal
import stat
import time
from pathlib import Path

import boxwright
import pytest


@pytest.fixture(autouse=True)
def alone(monkeypatch, tmp_path):
    """No settings of whoever runs the tests, and a store of their own."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("BOXWRIGHT_STORE", str(tmp_path / "store"))
    monkeypatch.setenv("BOXWRIGHT_ENGINE", "embedded")


def context(folder: Path, dockerfile: str = "FROM scratch\nCOPY a /a\n") -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "Dockerfile").write_text(dockerfile)
    (folder / "a").write_text("a")
    return folder


def program(monkeypatch, tmp_path: Path, script: str) -> Path:
    path = tmp_path / "program"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("BOXWRIGHT_PROGRAM", str(path))
    return path


def test_a_build_gives_an_image_and_its_events(tmp_path):
    events = []
    built = boxwright.build(context(tmp_path / "app"), tags=["app:1"], on_event=events.append)
    assert built.id.startswith("sha256:")
    assert built.names == ["docker.io/library/app:1"]
    assert built.pinned == []
    assert {"notice", "step-started", "step-finished"} <= {event.kind for event in events}


def test_an_error_says_what_why_and_what_to_do(tmp_path):
    with pytest.raises(boxwright.BoxwrightError) as caught:
        boxwright.build(context(tmp_path / "app", "FROM scratch\nCOPPY a /a\n"))
    error = caught.value
    assert (error.code, error.exit_code) == ("invalid-dockerfile", 2)
    assert "COPPY" in error.message
    assert "help: use `COPY`" in str(error)


def test_a_wrong_flag_is_an_error_too(tmp_path):
    with pytest.raises(boxwright.BoxwrightError) as caught:
        boxwright.build(context(tmp_path / "app"), pull="sometimes")
    assert caught.value.exit_code == 2


def test_existence_is_no_truth_value():
    found = boxwright.exists("localhost:1/acme/app:1")
    assert found.answer == "unknown"
    assert "localhost:1" in found.why
    with pytest.raises(TypeError):
        bool(found)


def test_a_refusal_to_pull_is_an_error():
    with pytest.raises(boxwright.BoxwrightError) as caught:
        boxwright.check("localhost:1/acme/app:1", who="anonymous")
    assert caught.value.code == "unavailable"


def test_the_embedded_engine_is_listed():
    states = {engine.name: engine.state for engine in boxwright.engines(engine="embedded")}
    assert "embedded" in states


def test_push_gives_the_name_with_the_digest(tmp_path):
    registry = os.environ.get("BOXWRIGHT_TEST_REGISTRY_OPEN")
    if not registry:
        # Without an environment there is no registry: what is left is that it says so.
        with pytest.raises(boxwright.BoxwrightError):
            boxwright.push("localhost:1/wrapper/app:1")
        return
    name = f"{registry}/wrapper/app:1"
    built = boxwright.build(
        context(tmp_path / "app"), tags=[name], push=True, check_as="anonymous"
    )
    pushed = boxwright.push(name)
    assert built.pinned == [pushed[0].pinned]
    assert boxwright.exists(name).answer == "yes"
    assert boxwright.check(name, who="anonymous").layers == 1


def test_what_the_caller_raises_stops_the_build(tmp_path):
    def stop(event):
        raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        boxwright.build(context(tmp_path / "app"), on_event=stop)


def test_a_program_that_prints_rubbish_is_an_error(monkeypatch, tmp_path):
    program(monkeypatch, tmp_path, "echo '{\"event\": 3' >&2; echo oops >&2; exit 9")
    with pytest.raises(boxwright.BoxwrightError) as caught:
        boxwright.build(tmp_path)
    assert caught.value.exit_code == 9
    assert caught.value.causes == ["oops"]


def test_a_program_that_is_not_there_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setattr("sysconfig.get_path", lambda *_: str(tmp_path))
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(boxwright.BoxwrightError, match="cannot find the program"):
        boxwright.engines()


def test_a_build_that_is_cancelled_stops_the_program(monkeypatch, tmp_path):
    marks = tmp_path / "marks"
    script = f"trap 'echo cleaned > {marks}; exit 130' INT\necho $$ > {marks}.pid\nwhile :; do sleep 0.05; done"
    program(monkeypatch, tmp_path, script)

    async def cancelled():
        work = asyncio.ensure_future(boxwright.build_async(tmp_path))
        while not Path(f"{marks}.pid").exists():
            await asyncio.sleep(0.02)
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work

    start = time.monotonic()
    asyncio.run(asyncio.wait_for(cancelled(), 20))
    assert marks.read_text() == "cleaned\n"
    assert time.monotonic() - start < 20
    with pytest.raises(ProcessLookupError):
        os.kill(int(Path(f"{marks}.pid").read_text()), signal.SIG_DFL)


def test_the_event_loop_goes_on_meanwhile(tmp_path):
    async def both():
        ticks = 0
        work = asyncio.ensure_future(boxwright.build_async(context(tmp_path / "app")))
        while not work.done():
            ticks += 1
            await asyncio.sleep(0.005)
        return ticks, await work

    ticks, built = asyncio.run(both())
    assert ticks > 1
    assert built.id


def test_all_that_is_promised_is_there():
    for name in boxwright.__all__:
        assert getattr(boxwright, name)
    assert (Path(boxwright.__file__).parent / "py.typed").exists()
