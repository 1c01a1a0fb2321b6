"""The builder for flytekit, without an engine: what it asks for, and what it makes of answers."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import boxwright
import pytest

pytest.importorskip("flytekit")

from boxwright._flytekit import BoxwrightImageSpecBuilder  # noqa: E402
from flytekit import ImageSpec  # noqa: E402
from flytekit.image_spec.image_spec import ImageBuildEngine  # noqa: E402

DIGEST = "sha256:" + "a" * 64


@pytest.fixture
def program(monkeypatch, tmp_path):
    """A program that writes its arguments down, and answers what a test says."""

    def make(exists: str = "no", code: int = 1) -> Path:
        said = tmp_path / "said"
        path = tmp_path / "program"
        path.write_text(
            "#!/bin/sh\n"
            f'for word; do echo "$word"; done >> {said}\n'
            'case "$1" in\n'
            f"exists) echo '{{\"exists\": \"{exists}\", \"pinned\": \"r.example/app@{DIGEST}\", \"why\": \"closed\"}}'; exit {code} ;;\n"
            "build)\n"
            '  for word; do case "$word" in --metadata-file=*) echo "{}" > "${word#*=}" ;; esac; done\n'
            f"  echo r.example/app@{DIGEST} ;;\n"
            "esac\n"
        )
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setenv("BOXWRIGHT_PROGRAM", str(path))
        return said

    return make


def spec(**fields):
    return ImageSpec(name="app", registry="r.example", builder="boxwright", python_version="3.11", **fields)


def test_a_build_returns_the_name_with_the_digest(program, tmp_path):
    said = program()
    (tmp_path / "token").write_text("hush")
    image = spec(pip_secret_mounts=[(str(tmp_path / "token"), "/etc/token")], builder_options={"engine": "podman"})
    assert BoxwrightImageSpecBuilder().build_image(image) == f"r.example/app@{DIGEST}"
    words = said.read_text().splitlines()
    assert f"--tag={image.image_name()}" in words
    assert {"--push", "--platform=linux/amd64", "--engine=podman"} <= set(words)
    assert f"--secret=id=secret_0,src={tmp_path / 'token'}" in words


def test_flytekit_is_installed_by_itself_and_what_is_ignored_is_not_copied(monkeypatch, tmp_path):
    """Context and Dockerfile are flytekit's own: what is handed to the program has its version, and its ignore rules."""
    from flytekit import __version__
    from flytekit.constants import CopyFileDetection

    kept, path = tmp_path / "kept", tmp_path / "program"
    path.write_text(
        "#!/bin/sh\n"
        f'for word; do case "$word" in --metadata-file=*) echo "{{}}" > "${{word#*=}}" ;; esac; done\ncp -r "$word" {kept}\n'
    )
    path.chmod(0o755)
    monkeypatch.setenv("BOXWRIGHT_PROGRAM", str(path))
    source = tmp_path / "source"
    source.mkdir()
    for name in ("flow.py", "notes", "flow.pyc"):
        (source / name).write_text("")
    (source / ".dockerignore").write_text("notes\n")
    image = spec(packages=["six"], source_root=str(source), source_copy_mode=CopyFileDetection.ALL)
    BoxwrightImageSpecBuilder().build_image(image)
    assert (kept / "requirements_uv.txt").read_text().split() == ["six", f"flytekit=={__version__}"]
    assert sorted(it.name for it in (kept / "src").iterdir()) == [".dockerignore", "flow.py"]


def test_nothing_is_pushed_when_that_is_turned_off(program, monkeypatch):
    said = program()
    monkeypatch.setenv("FLYTE_PUSH_IMAGE_SPEC", "False")
    assert BoxwrightImageSpecBuilder().should_build(spec())
    BoxwrightImageSpecBuilder().build_image(spec())
    assert "--push" not in said.read_text().splitlines()
    # The image must be in the engine's own store, which no registry knows.
    assert "exists" not in said.read_text().splitlines()


def test_what_is_there_is_not_built_and_is_named_by_its_digest(program):
    program("yes", 0)
    image = spec(packages=["there"])
    name = image.image_name()
    try:
        assert not BoxwrightImageSpecBuilder().should_build(image)
        assert image.image_name() == f"r.example/app@{DIGEST}"
    finally:
        ImageBuildEngine._IMAGE_NAME_TO_REAL_NAME.pop(name, None)


def test_what_is_not_there_is_built(program):
    program("no", 1)
    assert BoxwrightImageSpecBuilder().should_build(spec())


def test_what_a_registry_does_not_say_is_never_assumed(program, monkeypatch):
    program("unknown", 5)
    assert BoxwrightImageSpecBuilder().should_build(spec())
    monkeypatch.setenv("FLYTE_IMG_FAST_FAIL", "true")
    with pytest.raises(boxwright.BoxwrightError) as caught:
        BoxwrightImageSpecBuilder().should_build(spec())
    assert caught.value.causes == ["closed"]
    assert caught.value.remedy


def test_a_forced_build_asks_nobody(program, monkeypatch):
    said = program("yes", 0)
    monkeypatch.setenv("FLYTE_FORCE_PUSH_IMAGE_SPEC", "true")
    assert BoxwrightImageSpecBuilder().should_build(spec())
    assert BoxwrightImageSpecBuilder().should_build(spec().force_push())
    assert not said.exists()


def test_an_unknown_option_suggests_the_nearest(program):
    program()
    with pytest.raises(boxwright.BoxwrightError) as caught:
        BoxwrightImageSpecBuilder().build_image(spec(builder_options={"egnine": "podman"}))
    assert caught.value.remedy == "use `engine`"


def registry_with(**variables: str) -> str:
    """What builders a new process has."""
    code = (
        "from flytekit.image_spec.image_spec import ImageBuildEngine as E\n"
        "print({name: type(it[0]).__name__ for name, it in E.get_registry().items()})"
    )
    return subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **variables}, stdout=subprocess.PIPE, text=True, check=True
    ).stdout


def test_installing_the_wheel_takes_default_over_and_a_variable_gives_it_back():
    assert "'default': 'BoxwrightImageSpecBuilder'" in registry_with()
    kept = registry_with(BOXWRIGHT_FLYTE_DEFAULT="0")
    assert "'default': 'DefaultImageBuilder'" in kept
    assert "'boxwright': 'BoxwrightImageSpecBuilder'" in kept


def test_flytekit_is_imported_as_fast_as_without():
    """What is promised is 20 ms. The plugin's own share is measured: it does not depend on how busy the machine is."""
    code = (
        "import flytekit.image_spec.image_spec, sys, time\n"
        "for name in [it for it in sys.modules if it.startswith('boxwright')]:\n"
        "    del sys.modules[name]\n"
        "start = time.process_time()\n"
        "import boxwright._flytekit\n"
        "print(time.process_time() - start)"
    )
    times = [
        float(subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, check=True).stdout)
        for _ in range(3)
    ]
    assert min(times) < 0.02, times
