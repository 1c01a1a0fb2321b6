"""Unchanged workflows of flytekit 1 and flyte 2, built and pushed on every engine that is named.

`BOXWRIGHT_TEST_FLYTE` names the engines, with commas. The images that the two SDKs start from are stood in, and come from
the open registry as from a mirror: nothing is looked for in the internet. The names in the workflows are the real ones.
"""

from __future__ import annotations

import base64
import hashlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import textwrap
import urllib.request
import uuid
import zipfile
from pathlib import Path

import boxwright
import pytest

ENGINES = [it for it in os.environ.get("BOXWRIGHT_TEST_FLYTE", "").split(",") if it]
REGISTRY = os.environ.get("BOXWRIGHT_TEST_REGISTRY_OPEN", "")
PREFIX = "boxwright/flyte"

pytestmark = pytest.mark.skipif(not ENGINES, reason="BOXWRIGHT_TEST_FLYTE names no engine")

MICROMAMBA = """\
#!/bin/sh
# Stands in for micromamba: makes the environment of the base image's Python.
case "$1" in
create) exec python3 -m venv --without-pip /opt/micromamba/envs/runtime ;;
esac
"""


def wheel(folder: Path, name: str, version: str) -> None:
    """An empty package of that name, for what an SDK installs by itself."""
    info = f"{name}-{version}.dist-info"
    files = {
        f"{name}/__init__.py": "",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = ""
    for path, text in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
        record += f"{path},sha256={digest},{len(text)}\n"
    files[f"{info}/RECORD"] = record + f"{info}/RECORD,,\n"
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)


def uv_program() -> str:
    found = shutil.which("uv", path=os.path.dirname(sys.executable)) or shutil.which("uv")
    assert found, "install the package `uv` beside the tests"
    return found


def default_images() -> "dict[str, str]":
    """The images that the installed SDKs start from, as they name them."""
    from flytekit.image_spec.default_builder import DEFAULT_MICROMAMBA_IMAGE, DEFAULT_UV_IMAGE

    names = {"uv": [DEFAULT_UV_IMAGE], "micromamba": [DEFAULT_MICROMAMBA_IMAGE]}
    spec = importlib.util.find_spec("flyte._internal.imagebuild.docker_builder")
    text = Path(spec.origin).read_text()
    names["uv"] += re.findall(r"^FROM (\S+/uv:\S+) AS uv", text, re.M)
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    names["debian"] = ["debian:bookworm-slim", f"python:{version}-slim-bookworm"]
    return {name: stood for stood, all in names.items() for name in all}


def mirrored(name: str) -> str:
    """Where the mirror has an image: as Boxwright completes its name."""
    host, _, rest = name.partition("/")
    if "." not in host and ":" not in host or not rest:
        host, rest = "docker.io", name if "/" in name else f"library/{name}"
    return f"{REGISTRY}/{PREFIX}/{host}/{rest}"


def map_of_environment() -> "dict[str, str]":
    pairs = os.environ["BOXWRIGHT_TEST_REGISTRY_MAP"].split(",")
    return dict(pair.split("=", 1) for pair in pairs)


@pytest.fixture(scope="session")
def stand_ins(tmp_path_factory):
    """Makes the images, and returns their names."""
    folder = tmp_path_factory.mktemp("stand-ins")
    debian = map_of_environment()["docker.io/library/debian"]
    wheels = folder / "wheels"
    wheels.mkdir()
    from importlib.metadata import version

    for name in ("flytekit", "flyte"):
        wheel(wheels, name, version(name))
    wheel(wheels, "acme_model", "1.0")
    (folder / "uv.toml").write_text('no-index = true\nfind-links = ["/wheels"]\npython-downloads = "never"\n')
    # flyte's images install packages of Debian that nothing here needs, and not every engine reaches a mirror.
    (folder / "apt-get").write_text("#!/bin/sh\nexit 0\n")
    (folder / "apt-get").chmod(0o755)
    (folder / "micromamba").write_text(MICROMAMBA)
    (folder / "micromamba").chmod(0o755)
    shutil.copy(uv_program(), folder / "uv")
    (folder / "ca.crt").write_text("")
    (folder / "debian.Dockerfile").write_text(f"FROM {debian}\nCOPY wheels /wheels\nCOPY uv.toml /etc/uv/uv.toml\nCOPY apt-get /usr/local/bin/\n")
    (folder / "uv.Dockerfile").write_text("FROM scratch\nCOPY uv /uv\n")
    (folder / "micromamba.Dockerfile").write_text(
        "FROM scratch\nCOPY micromamba /usr/bin/micromamba\nCOPY ca.crt /etc/ssl/certs/ca-certificates.crt\n"
    )
    names = default_images()
    for name, stood in names.items():
        boxwright.build(folder, file=f"{folder}/{stood}.Dockerfile", tags=[mirrored(name)], push=True, engine="embedded")
    return list(names)


@pytest.fixture(params=ENGINES)
def engine(request, monkeypatch, tmp_path, stand_ins):
    """Points everything at one engine, with the mirror that has the stand-ins."""
    home = tmp_path / "home"
    config = home / ".config" / "boxwright"
    config.mkdir(parents=True)
    text = "".join(
        f'[registry."{host}"]\nmirrors = ["{REGISTRY}/{PREFIX}/{host}"]\n' for host in ("docker.io", "ghcr.io")
    )
    (config / "config.toml").write_text(text)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.setenv("BOXWRIGHT_ENGINE", request.param)
    monkeypatch.setenv("FLYTE_IMG_FAST_FAIL", "true")
    # A daemon that builds pulls by itself, and knows no mirror of ours: it is given the images under their names.
    states = {it.name: it.fields for it in boxwright.engines(engine=request.param)}
    if states[request.param]["builders"] != ["portable"]:
        for name in stand_ins:
            for arguments in (["pull", mirrored(name)], ["tag", mirrored(name), name]):
                subprocess.run([boxwright.find_program(), *arguments], check=True, stdout=subprocess.DEVNULL)
    return request.param


def run(folder: Path, *arguments: str) -> str:
    """Runs a program of the SDKs as a user would, and returns what it printed."""
    done = subprocess.run(
        [os.path.join(os.path.dirname(sys.executable), arguments[0]), *arguments[1:]],
        cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=600,
    )  # fmt: skip
    print(done.stdout)
    assert done.returncode == 0, done.stdout[-4000:]
    return done.stdout


def config_of(pinned: str) -> dict:
    """The config of an image that was pushed, read from the registry itself."""
    host, _, rest = pinned.partition("/")
    repository, digest = rest.split("@")
    accept = "application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json"
    request = urllib.request.Request(
        f"http://{host}/v2/{repository}/manifests/{digest}", headers={"Accept": accept}
    )
    manifest = json.load(urllib.request.urlopen(request, timeout=20))
    blob = manifest["config"]["digest"]
    return json.load(urllib.request.urlopen(f"http://{host}/v2/{repository}/blobs/{blob}", timeout=20))


WORKFLOW = """\
from flytekit import ImageSpec, task, workflow

image = ImageSpec(
    name="flyte-{engine}",
    registry="{registry}",
    builder="default",
    packages=["acme_model==1.0"],
    env={{"MODE": "test"}},
    commands=["echo built > /root/mark"],
    copy=["data.txt"],
)

@task(container_image=image)
def hello() -> str:
    return "hello"

@workflow
def flow() -> str:
    return hello()
"""


def builds_portably(engine: str) -> bool:
    """Whether an engine has the builder that takes every Dockerfile of the SDKs, and mirrors of this user."""
    states = {it.name: it.fields for it in boxwright.engines(engine=engine)}
    return "portable" in states[engine]["builders"]


def refused(folder: Path, *arguments: str) -> None:
    """Runs what Podman's own builder cannot do, and checks that it says why and what to do."""
    done = subprocess.run(
        [os.path.join(os.path.dirname(sys.executable), arguments[0]), *arguments[1:]],
        cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=600,
    )  # fmt: skip
    assert done.returncode != 0
    assert "caused by: Podman" in done.stdout and "help:" in done.stdout, done.stdout[-4000:]


def test_an_unchanged_workflow_of_flytekit_is_built_and_pushed(engine, tmp_path):
    (tmp_path / "flow.py").write_text(WORKFLOW.format(engine=engine, registry=REGISTRY))
    (tmp_path / "data.txt").write_text(str(uuid.uuid4()))
    package = ["pyflyte", "--pkgs", "flow", "package", "--output", "out.tgz", "--force"]
    if engine == "podman" and not builds_portably(engine):
        return refused(tmp_path, *package)
    first = run(tmp_path, *package)
    assert first.count("Images are built by Boxwright") == 1, first
    pinned = re.findall(rf"{REGISTRY}/flyte-{engine}@sha256:[0-9a-f]{{64}}", first)
    config = config_of(pinned[0]) if pinned else config_of(registered(tmp_path))
    assert "MODE=test" in config["config"]["Env"]
    assert any(it.startswith("_F_IMG_ID=") for it in config["config"]["Env"])
    assert config["config"]["User"] == "flytekit"
    assert registered(tmp_path).startswith(f"{REGISTRY}/flyte-{engine}@sha256:")
    second = run(tmp_path, *package)
    assert "is there already" in second, second
    assert registered(tmp_path).startswith(f"{REGISTRY}/flyte-{engine}@sha256:")


def registered(folder: Path) -> str:
    """The image that the packaged task names."""
    import tarfile

    from flyteidl.admin.task_pb2 import TaskSpec

    with tarfile.open(folder / "out.tgz") as archive:
        for member in archive:
            if member.name.endswith("_1.pb"):
                spec = TaskSpec.FromString(archive.extractfile(member).read())
                return spec.template.container.image
    raise AssertionError("no task was packaged")


VERSION_2 = """\
import asyncio
import flyte
from flyte import Image

image = Image.from_debian_base(
    registry="{registry}", name="flyte2-{engine}", platform=("linux/amd64",), install_flyte=False
).with_pip_packages("acme_model").with_env_vars({{"MODE": "test", "RUN": "{run}"}})

if __name__ == "__main__":
    flyte.init(image_builder="boxwright")
    print("BUILT", flyte.build(image).uri)
"""


def test_an_image_of_flyte_2_is_built_and_pushed(engine, tmp_path):
    (tmp_path / "env.py").write_text(VERSION_2.format(engine=engine, registry=REGISTRY, run=uuid.uuid4()))
    if engine == "podman" and not builds_portably(engine):
        return refused(tmp_path, "python", "env.py")
    first = run(tmp_path, "python", "env.py")
    pinned = re.search(r"BUILT (\S+)", first).group(1)
    assert pinned.startswith(f"{REGISTRY}/flyte2-{engine}@sha256:"), first
    assert "MODE=test" in config_of(pinned)["config"]["Env"]
    second = run(tmp_path, "python", "env.py")
    assert "already exists, skipping build" in second, second
