"""Shows a build to whoever runs a workflow."""

from __future__ import annotations

import os
import sys

from ._program import Event


def is_true(name: str, default: str) -> bool:
    """Reads a variable as flytekit does."""
    return os.environ.get(name, default).lower() in ("true", "1", "t", "y", "yes", "on")


def show(event: Event) -> None:
    """Writes an event as plain lines, which notebooks and logs show as well as terminals."""
    text = event.text
    if text and event.kind != "step-log":
        sys.stderr.write(f"boxwright: {text}\n")
    elif text:
        sys.stderr.writelines(f"  | {line}\n" for line in text.splitlines())
    sys.stderr.flush()
