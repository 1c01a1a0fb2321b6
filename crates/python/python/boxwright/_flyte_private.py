"""What flyte keeps private and the builder needs. A version that has it no more is refused when an image is built, in
words that say so: importing never fails, since flyte would only say then that there is no such builder.
"""

from __future__ import annotations

import importlib
from typing import Any, List, Optional

#: The versions that the tests are run with.
TESTED = "flyte 2.12"

_gone: List[str] = []


def _take(module: str, name: str, *attributes: str) -> Any:
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError):
        _gone.append(f"{module}.{name}")
        return object
    _gone.extend(f"{module}.{name}.{it}" for it in attributes if not hasattr(found, it))
    return found


def _problem() -> Optional[str]:
    if not _gone:
        return None
    return (
        f"cannot build with this version of flyte: it has no {', '.join(_gone)}\n"
        f"help: install {TESTED}, with which this version of boxwright was tested, or a newer boxwright"
    )


ImageBuild = _take("flyte._build", "ImageBuild")
Image = _take("flyte._image", "Image", "_final_tag", "clone", "uri")
_get_push_registry = _take("flyte._image", "_get_push_registry")
DockerImageBuilder = _take(
    "flyte._internal.imagebuild.docker_builder", "DockerImageBuilder",
    "build_image", "get_checkers", "_build_command_prefix",
)  # fmt: skip
#: Why no image can be built, if so.
missing = _problem()
