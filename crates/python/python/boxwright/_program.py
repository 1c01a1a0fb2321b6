"""Runs the program, and reads what it says."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence

__all__ = ["BoxwrightError", "Event", "OnEvent", "Run", "find_program", "run", "run_async"]


class BoxwrightError(Exception):
    """What happened, why, and what to do."""

    def __init__(
        self,
        message: str,
        *,
        code: str = "bug",
        causes: Sequence[str] = (),
        context: Optional[Mapping[str, str]] = None,
        remedy: Optional[str] = None,
        exit_code: int = 70,
        engine: Optional[str] = None,
    ) -> None:
        super().__init__(message)
        #: What happened.
        self.message = message
        #: The class of failure, such as `unauthorized` or `build-failed`.
        self.code = code
        #: Why, outermost first.
        self.causes = list(causes)
        #: Facts it happened with.
        self.context = dict(context or {})
        #: What to do.
        self.remedy = remedy
        #: What the program exited with.
        self.exit_code = exit_code
        #: The engine that was asked, if one was.
        self.engine = engine

    @property
    def cause(self) -> Optional[str]:
        """Why it happened, in one sentence."""
        return ": ".join(self.causes) or None

    def __str__(self) -> str:
        lines = [self.message]
        lines += [f"  caused by: {cause}" for cause in self.causes]
        lines += [f"  {name}: {value}" for name, value in self.context.items()]
        if self.engine:
            lines.append(f"  engine: {self.engine}")
        if self.remedy:
            lines.append(f"help: {self.remedy}")
        return "\n".join(lines)


@dataclass(frozen=True)
class Event:
    """One thing that happened. `fields` are those of the documented events."""

    kind: str
    fields: Mapping[str, Any] = field(default_factory=dict)

    @property
    def text(self) -> Optional[str]:
        """What a person would read of it, if anything."""
        get = self.fields.get
        if self.kind in ("notice", "warning"):
            return str(get("message", ""))
        if self.kind == "step-started":
            return str(get("name", ""))
        if self.kind in ("step-log", "output"):
            return str(get("bytes", "")).rstrip("\n")
        return None


OnEvent = Callable[[Event], None]


@dataclass
class Run:
    """What a run of the program came to."""

    code: int
    stdout: str
    error: Optional[BoxwrightError] = None


def find_program() -> str:
    """Returns the path of the program: that of this package, else the first of `PATH`."""
    named = os.environ.get("BOXWRIGHT_PROGRAM")
    if named:
        return named
    import shutil
    import sysconfig

    schemes = [None, "posix_user"]
    for scheme in schemes:
        folder = sysconfig.get_path("scripts", scheme) if scheme else sysconfig.get_path("scripts")
        path = os.path.join(folder, "boxwright")
        if os.access(path, os.X_OK):
            return path
    beside = os.path.join(os.path.dirname(sys.executable), "boxwright")
    found = beside if os.access(beside, os.X_OK) else shutil.which("boxwright")
    if found:
        return found
    raise BoxwrightError(
        "cannot find the program `boxwright`",
        code="not-found",
        causes=["neither the scripts of this Python nor `PATH` has it"],
        remedy="install the package again: `pip install --force-reinstall boxwright`",
        exit_code=3,
    )


def _read_events(stream: Any, on_event: Optional[OnEvent], run: Run, last: List[str]) -> None:
    for line in stream:
        line = line.rstrip("\n")
        try:
            value = json.loads(line)
            kind = value.pop("event")
        except (ValueError, KeyError, AttributeError, TypeError):
            # What the program says to people, such as a warning.
            if line:
                last[:] = [*last[-20:], line]
                if on_event:
                    on_event(Event("notice", {"message": line}))
            continue
        if kind == "error":
            run.error = _error(value)
        elif on_event:
            on_event(Event(kind, value))


def _error(value: Dict[str, Any]) -> BoxwrightError:
    context = value.get("context") or {}
    if isinstance(context, list):
        context = {str(pair[0]): str(pair[1]) for pair in context}
    return BoxwrightError(
        value.get("message", ""),
        code=value.get("kind", "bug"),
        causes=value.get("causes") or [],
        context=context,
        remedy=value.get("remedy"),
        exit_code=value.get("exit_code", 1),
        engine=value.get("engine"),
    )


def run(
    arguments: Sequence[str],
    *,
    on_event: Optional[OnEvent] = None,
    cwd: Optional[str] = None,
    env: Optional[Mapping[str, str]] = None,
    accept: Sequence[int] = (0,),
    started: Optional[Callable[["subprocess.Popen[str]"], None]] = None,
) -> Run:
    """Runs the program to its end. An exit code that is not in `accept` is an error."""
    process = subprocess.Popen(
        [find_program(), *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        errors="replace",
        cwd=cwd,
        env={**os.environ, **(env or {})},
    )
    if started:
        started(process)
    result = Run(code=0, stdout="")
    last: List[str] = []
    raised: List[BaseException] = []

    def read() -> None:
        try:
            _read_events(process.stderr, on_event, result, last)
        except BaseException as error:  # What the caller's function raised stops the build.
            raised.append(error)
            process.send_signal(signal.SIGINT)
            for _ in process.stderr or ():
                pass

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    try:
        assert process.stdout is not None
        result.stdout = process.stdout.read()
        reader.join()
        result.code = process.wait()
    except BaseException:
        process.send_signal(signal.SIGINT)
        process.wait()
        raise
    finally:
        for stream in (process.stdout, process.stderr):
            if stream:
                stream.close()
    if raised:
        raise raised[0]
    if result.code not in accept:
        raise result.error or BoxwrightError(
            f"`boxwright {arguments[0]}` ended with {result.code}",
            causes=last[-1:],
            exit_code=result.code,
        )
    return result


async def run_async(call: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
    """Runs one of the functions beside the event loop. Cancelled, it stops the program and waits for its clean-up."""
    import asyncio

    processes: List["subprocess.Popen[str]"] = []
    loop = asyncio.get_running_loop()
    work = loop.run_in_executor(
        None, lambda: call(*arguments, _started=processes.append, **named)
    )
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        for process in processes:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
        await asyncio.wait([work])
        # It was read: nobody else will.
        work.exception()
        raise
