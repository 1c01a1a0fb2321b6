"""What can be asked for."""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import dataclass, field
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Union

from ._program import BoxwrightError, OnEvent, run, run_async

Path = Union[str, "os.PathLike[str]"]
#: An id and the file that the secret is in.
Secrets = Mapping[str, Path]
_Started = Optional[Callable[[Any], None]]


@dataclass(frozen=True)
class Built:
    """An image that was built, or that its registry had."""

    #: The digest of its config. `None` if nothing was built.
    id: Optional[str]
    #: The digest of its manifest, as a registry has it.
    digest: Optional[str]
    #: Its names.
    names: List[str]
    #: Where it can be had from now on: names with the digest. Empty if it was not pushed.
    pinned: List[str]


@dataclass(frozen=True)
class Pushed:
    """An image that was pushed."""

    image: str
    digest: str
    pinned: str


@dataclass(frozen=True)
class Existence:
    """Whether a registry has an image. There is no truth value: `unknown` is neither yes nor no."""

    #: `yes`, `no` or `unknown`.
    answer: str
    #: The name with the digest, if it is there.
    pinned: Optional[str] = None
    #: Why it is unknown.
    why: Optional[str] = None
    #: What to do about that.
    remedy: Optional[str] = None

    def __bool__(self) -> bool:
        raise TypeError("existence is yes, no or unknown: compare `answer`")


@dataclass(frozen=True)
class Checked:
    """An image that can be pulled, or pushed to."""

    pinned: Optional[str] = None
    platform: Optional[str] = None
    layers: int = 0
    #: Bytes that a pull moves.
    size: int = 0


@dataclass(frozen=True)
class EngineState:
    """An engine: ready, unusable, or absent."""

    name: str
    state: str
    fields: Dict[str, Any] = field(default_factory=dict)


def _engine(engine: Optional[str], endpoint: Optional[str]) -> List[str]:
    return _flags(engine=engine, endpoint=endpoint)


def _flags(**values: Any) -> List[str]:
    flags: List[str] = []
    for name, value in values.items():
        flag = "--" + name.replace("_", "-")
        if value is True:
            flags.append(flag)
        elif value is not None and value is not False:
            flags.append(f"{flag}={os.fspath(value) if hasattr(value, '__fspath__') else value}")
    return flags


def build(
    context: Path = ".",
    *,
    tags: Sequence[str] = (),
    file: Optional[Path] = None,
    push: bool = False,
    platform: Optional[str] = None,
    target: Optional[str] = None,
    build_args: Optional[Mapping[str, str]] = None,
    labels: Optional[Mapping[str, str]] = None,
    secrets: Optional[Secrets] = None,
    no_cache: bool = False,
    pull: Optional[str] = None,
    network: Optional[str] = None,
    force: bool = False,
    check_as: Optional[str] = None,
    create_repository: bool = False,
    engine: Optional[str] = None,
    endpoint: Optional[str] = None,
    builder: Optional[str] = None,
    on_event: Optional[OnEvent] = None,
    cwd: Optional[Path] = None,
    env: Optional[Mapping[str, str]] = None,
    _started: _Started = None,
) -> Built:
    """Builds an image from a folder with a Dockerfile, or from an image specification.

    `on_event` is called for everything that happens; what it raises stops the build.
    """
    arguments = ["build", "--progress=json"]
    arguments += _flags(
        file=file, push=push, platform=platform, target=target, no_cache=no_cache, pull=pull,
        network=network, force=force, check_as=check_as, create_repository=create_repository,
        builder=builder,
    )  # fmt: skip
    arguments += _engine(engine, endpoint)
    arguments += [f"--tag={tag}" for tag in tags]
    arguments += [f"--build-arg={name}={value}" for name, value in (build_args or {}).items()]
    arguments += [f"--label={name}={value}" for name, value in (labels or {}).items()]
    for id, source in (secrets or {}).items():
        if "," in id or "," in os.fspath(source):
            raise BoxwrightError(
                f"the secret `{id}` has a comma in its id or its path",
                code="invalid-input",
                remedy="give it a name without one",
                exit_code=2,
            )
        arguments.append(f"--secret=id={id},src={os.fspath(source)}")
    with tempfile.TemporaryDirectory(prefix="boxwright-") as folder:
        metadata_file = os.path.join(folder, "metadata.json")
        arguments += [f"--metadata-file={metadata_file}", "--", os.fspath(context)]
        done = run(
            arguments, on_event=on_event, cwd=os.fspath(cwd) if cwd else None, env=env,
            started=_started,
        )  # fmt: skip
        with open(metadata_file, encoding="utf-8") as stream:
            metadata = json.load(stream)
    names = [name for name in metadata.get("image.name", "").split(",") if name]
    pinned = [line for line in done.stdout.splitlines() if "@sha256:" in line]
    return Built(
        id=metadata.get("containerimage.config.digest"),
        digest=metadata.get("containerimage.digest"),
        names=names,
        pinned=pinned,
    )


def push(
    *images: str,
    engine: Optional[str] = None,
    endpoint: Optional[str] = None,
    on_event: Optional[OnEvent] = None,
    _started: _Started = None,
) -> List[Pushed]:
    """Pushes images to the registries in their names."""
    arguments = ["push", "--progress=json", "--format=json", *_engine(engine, endpoint), "--", *images]
    done = run(arguments, on_event=on_event, started=_started)
    pushed = []
    for it in json.loads(done.stdout or "[]"):
        name = it["image"].split("@")[0]
        host, slash, last = name.rpartition("/")
        pinned = f"{host}{slash}{last.split(':')[0]}@{it['digest']}"
        pushed.append(Pushed(image=it["image"], digest=it["digest"], pinned=pinned))
    return pushed


def exists(
    image: str, *, platform: Optional[str] = None, _started: _Started = None
) -> Existence:
    """Asks a registry whether it has an image."""
    arguments = ["exists", "--format=json", *_flags(platform=platform), "--", image]
    answer = json.loads(run(arguments, accept=(0, 1, 5), started=_started).stdout)
    return Existence(
        answer=answer["exists"], pinned=answer.get("pinned"), why=answer.get("why"),
        remedy=answer.get("remedy"),
    )  # fmt: skip


def check(
    image: str,
    *,
    who: Optional[str] = None,
    platform: Optional[str] = None,
    push: bool = False,
    _started: _Started = None,
) -> Checked:
    """Asks whether `who` can pull an image, or with `push` whether it may be pushed. If not, raises what to do."""
    arguments = ["check", "--format=json", *_flags(**{"as": who}, platform=platform, push=push)]
    answer = json.loads(run([*arguments, "--", image], started=_started).stdout)
    return Checked(
        pinned=answer.get("pinned"), platform=answer.get("platform"),
        layers=answer.get("layers", 0), size=answer.get("size", 0),
    )  # fmt: skip


def engines(
    *, engine: Optional[str] = None, endpoint: Optional[str] = None, _started: _Started = None
) -> List[EngineState]:
    """Returns every engine: ready, unusable and why, or absent."""
    arguments = ["engines", "--format=json", *_engine(engine, endpoint)]
    answer = json.loads(run(arguments, accept=(0, 3), started=_started).stdout)
    listed = answer["engines"] if isinstance(answer, dict) else answer
    return [EngineState(name=it.get("engine") or it.get("name"), state=it["state"], fields=it) for it in listed]


async def build_async(*arguments: Any, **named: Any) -> Built:
    """As :func:`build`, beside the event loop."""
    return await run_async(build, *arguments, **named)


async def push_async(*images: str, **named: Any) -> List[Pushed]:
    """As :func:`push`, beside the event loop."""
    return await run_async(push, *images, **named)


async def exists_async(image: str, **named: Any) -> Existence:
    """As :func:`exists`, beside the event loop."""
    return await run_async(exists, image, **named)


async def check_async(image: str, **named: Any) -> Checked:
    """As :func:`check`, beside the event loop."""
    return await run_async(check, image, **named)


async def engines_async(**named: Any) -> List[EngineState]:
    """As :func:`engines`, beside the event loop."""
    return await run_async(engines, **named)
