"""The builder for flyte 2: the entry point `boxwright` of `flyte.plugins.image_builders`.

The Dockerfile and the context are those of flyte's own local builder, whose private names are used for that: the
versions they were tested with are in the guide. The command that it runs becomes a run of Boxwright.
"""

from __future__ import annotations

import contextvars
import json
import os
import sys
import tempfile
import typing
from typing import Any, ClassVar, List, Optional, Tuple

from flyte.errors import ImageBuildError

from . import BoxwrightError
from ._flyte_private import DockerImageBuilder, Image, ImageBuild, _get_push_registry, missing

#: Where the command that is run writes what it came to.
_result: "contextvars.ContextVar[str]" = contextvars.ContextVar("boxwright-result")
#: Why a registry did not say whether it has an image, by name.
_unknown: "dict[str, str]" = {}


class BoxwrightChecker:
    """Asks the registry itself, for every platform."""

    @classmethod
    async def image_exists(
        cls, repository: str, tag: str, arch: Tuple[str, ...] = ("linux/amd64",)
    ) -> Optional[str]:
        from . import exists_async

        name = f"{repository}:{tag}"
        pinned = None
        for platform in arch:
            try:
                found = await exists_async(name, platform=platform)
            except BoxwrightError as error:
                # flyte takes an exception of every checker for "it exists".
                _unknown[name] = str(error)
                return None
            if found.answer == "unknown":
                _unknown[name] = found.why or "the registry did not say"
            if found.answer != "yes":
                return None
            pinned = found.pinned
        # Of several platforms, the name of all of them.
        return pinned if len(arch) == 1 else name


class BoxwrightImageBuilder(DockerImageBuilder):
    """Builds with whichever engine there is, and pushes."""

    builder_type: ClassVar = "boxwright"

    def get_checkers(self) -> Optional[typing.List[Any]]:
        return [BoxwrightChecker]

    @classmethod
    async def _build_command_prefix(cls) -> List[str]:
        return [sys.executable, "-m", "boxwright._flyte_command", _result.get()]

    async def build_image(
        self, image: Image, dry_run: bool = False, wait: bool = True, force: bool = False
    ) -> ImageBuild:
        if missing:
            # Without them the build would be flyte's own, by Docker, and nobody would notice.
            raise ImageBuildError(missing)
        if not image.registry and not dry_run:
            registry = _get_push_registry()
            if not registry:
                raise ImageBuildError(
                    f"cannot build `{image.name or image.uri}`: it has no registry to be pushed to\n"
                    "help: set `registry` in the `image` section of config.yaml, or `flyte.Image(registry=…)`"
                )
            image = image.clone(registry=registry)
        why = _unknown.pop(f"{image.registry}/{image.name}:{image._final_tag}", None)
        if why and os.environ.get("FLYTE_IMG_FAST_FAIL", "").lower() in ("true", "1"):
            raise ImageBuildError(f"whether `{image.uri}` is there is unknown: {why}")
        if why:
            sys.stderr.write(f"boxwright: whether {image.uri} is there is unknown, so it is built: {why}\n")
        with tempfile.TemporaryDirectory(prefix="boxwright-flyte-") as folder:
            path = os.path.join(folder, "result.json")
            token = _result.set(path)
            try:
                # What is not waited for would outlive the folder.
                done = await super().build_image(image, dry_run=dry_run, wait=True, force=force)
            except ImageBuildError as error:
                raise ImageBuildError(_read(path).get("error") or str(error)) from None
            finally:
                _result.reset(token)
            pinned = _read(path).get("pinned")
        return ImageBuild(uri=pinned, remote_run=None) if pinned else done


def _read(path: str) -> "dict[str, Any]":
    try:
        with open(path, encoding="utf-8") as stream:
            return dict(json.load(stream))
    except (OSError, ValueError):
        return {}
