"""The builder for flytekit 1: the entry point that flytekit loads when it is imported.

Context and tag are flytekit's own; Boxwright builds, asks registries and pushes. It is imported by every
`import flytekit`, so it imports next to nothing.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any, Dict, List, Optional

from flytekit.image_spec.image_spec import ImageBuildEngine, ImageSpec, ImageSpecBuilder

#: `0` leaves the builder `default` to flytekit.
DEFAULT_VARIABLE = "BOXWRIGHT_FLYTE_DEFAULT"
#: What `ImageSpec(builder_options=…)` may have.
OPTIONS = ("engine", "endpoint", "builder", "no_cache", "check_as", "create_repository", "pull", "network")


class BoxwrightImageSpecBuilder(ImageSpecBuilder):
    """Builds with whichever engine there is, and pushes."""

    def __init__(self, replaces_default: bool = False) -> None:
        self._says_so = replaces_default

    def should_build(self, image_spec: ImageSpec) -> bool:
        """Asks the registry. What it does not say is never taken for yes."""
        import click

        from . import BoxwrightError, exists

        name = image_spec.image_name()
        if not _is_pushed(image_spec):
            return True
        if image_spec._is_force_push:
            click.secho(f"Building {name} again, as asked.", fg="blue")
            return True
        pinned, platforms = None, _platforms(image_spec)
        for platform in platforms:
            found = exists(name, platform=platform)
            if found.answer == "no":
                click.secho(f"Image {name} is not there for {platform}: building it.", fg="blue")
                return True
            if found.answer == "unknown":
                if image_spec._fast_fail:
                    raise BoxwrightError(
                        f"whether `{name}` is there is unknown",
                        code="unavailable",
                        causes=[found.why or "the registry did not say"],
                        remedy=found.remedy or "unset `FLYTE_IMG_FAST_FAIL` to build it then",
                        exit_code=5,
                    )
                click.secho(f"Whether {name} is there is unknown, so it is built: {found.why}", fg="yellow")
                return True
            pinned = found.pinned
        if len(platforms) > 1:
            # The name of all of them, not of the last.
            pinned = exists(name).pinned
        click.secho(f"Image {name} is there already: {pinned}", fg="blue")
        if pinned:
            # What flytekit does with the name that a build returns.
            ImageBuildEngine._IMAGE_NAME_TO_REAL_NAME[name] = pinned
        return False

    def build_image(self, image_spec: ImageSpec) -> Optional[str]:
        """Builds and pushes, and returns the name with the digest."""
        from flytekit.image_spec.default_builder import create_docker_context

        from . import BoxwrightError, build
        from ._progress import show

        options = _options(image_spec)
        self._say_once()
        name, tag = image_spec.image_name(), image_spec.tag
        with tempfile.TemporaryDirectory(prefix="boxwright-flyte-") as folder:
            create_docker_context(image_spec, Path(folder))
            # A file that changed while it was copied would be built under another file's name.
            image_spec.__dict__.pop("tag", None)
            if image_spec.tag != tag:
                raise BoxwrightError(
                    f"the files of `{name}` changed while they were copied",
                    code="conflict",
                    remedy="run it again when they stay as they are",
                    exit_code=1,
                )
            built = build(
                folder,
                tags=[name],
                platform=image_spec.platform,
                push=_is_pushed(image_spec),
                secrets=_secrets(image_spec),
                on_event=show,
                **options,
            )
        return built.pinned[0] if built.pinned else None

    def _say_once(self) -> None:
        import click

        if self._says_so:
            self._says_so = False
            words = f"Images are built by Boxwright; {DEFAULT_VARIABLE}=0 gives them back to flytekit's own builder."
            click.secho(words, fg="blue")


def _is_pushed(image_spec: ImageSpec) -> bool:
    from ._progress import is_true

    return bool(image_spec.registry) and is_true("FLYTE_PUSH_IMAGE_SPEC", "True")


def _platforms(image_spec: ImageSpec) -> List[str]:
    return [it.strip() for it in (image_spec.platform or "linux/amd64").split(",")]


def _secrets(image_spec: ImageSpec) -> Dict[str, str]:
    mounts = image_spec.pip_secret_mounts or []
    return {f"secret_{index}": os.path.abspath(source) for index, (source, _) in enumerate(mounts)}


def _options(image_spec: ImageSpec) -> Dict[str, Any]:
    options = dict(image_spec.builder_options or {})
    for name in options:
        if name not in OPTIONS:
            import difflib

            from . import BoxwrightError

            near = difflib.get_close_matches(name, OPTIONS, n=1)
            remedy = f"use `{near[0]}`" if near else "use one of " + ", ".join(f"`{it}`" for it in OPTIONS)
            raise BoxwrightError(
                f"unknown option `{name}` in `builder_options`",
                code="invalid-input",
                remedy=remedy,
                exit_code=2,
            )
    return options


def _register() -> None:
    ImageBuildEngine.register("boxwright", BoxwrightImageSpecBuilder(), priority=0)
    if os.environ.get(DEFAULT_VARIABLE, "1") != "0":
        # The priority of flytekit's own: a builder that means to come first still does.
        _, priority = ImageBuildEngine.get_registry().get("default", (None, 1))
        ImageBuildEngine.register("default", BoxwrightImageSpecBuilder(replaces_default=True), priority=priority)


_register()
