"""Builds and pushes container images with whichever engine a machine has.

Every function runs the program `boxwright` and reads its answer: events as they happen, results as objects, errors as
:class:`BoxwrightError`. Each has an asynchronous form; one that is cancelled stops the program, which cleans up.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._api import (
        Built,
        Checked,
        EngineState,
        Existence,
        Pushed,
        build,
        build_async,
        check,
        check_async,
        engines,
        engines_async,
        exists,
        exists_async,
        push,
        push_async,
    )
    from ._program import BoxwrightError, Event, find_program

__all__ = [
    "BoxwrightError",
    "Built",
    "Checked",
    "EngineState",
    "Event",
    "Existence",
    "Pushed",
    "build",
    "build_async",
    "check",
    "check_async",
    "engines",
    "engines_async",
    "exists",
    "exists_async",
    "find_program",
    "push",
    "push_async",
]


def __getattr__(name: str) -> Any:
    # `import flytekit` imports this package, and needs nothing of it until an image is built.
    if name in ("BoxwrightError", "Event", "find_program"):
        from . import _program

        return getattr(_program, name)
    if name in __all__:
        from . import _api

        return getattr(_api, name)
    raise AttributeError(f"module `boxwright` has no `{name}`")
