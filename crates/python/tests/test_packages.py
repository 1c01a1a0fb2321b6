"""Specifications with real packages, built on the embedded engine: what was installed is imported in the image.

The packages come from where the user who runs the tests gets theirs: pip and apt download them by the configuration that
this machine has, and a server here hands them to the build.
"""

from __future__ import annotations

import functools
import hashlib
import http.server
import os
import subprocess
import sys
import textwrap
import threading
import uuid
from pathlib import Path

import boxwright
import pytest
from test_flyte import ENGINES, REGISTRY, map_of_environment, uv_program

pytestmark = pytest.mark.skipif(
    "embedded" not in ENGINES, reason="BOXWRIGHT_TEST_FLYTE does not name the embedded engine"
)

#: What an image of Debian with Python lacks to make a virtual environment, and a package to be asked for.
DEBIAN_PACKAGES = ["python3-venv", "hello"]

POETRY = "poetry>=2,<3"


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves a folder; its lists of files are what pip and uv take for an index."""

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """A folder that is served, and its address."""
    folder = tmp_path_factory.mktemp("served")
    handler = functools.partial(Quiet, directory=str(folder))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield folder, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


@pytest.fixture(scope="module")
def index(served):
    """An index with a few real packages, as this machine's pip gets them."""
    folder, address = served
    downloaded = folder / "downloaded"
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--only-binary=:all:", "--python-version=3.11"]
    subprocess.run([*pip, "--dest", str(downloaded), "six", "idna", "uv", POETRY], check=True)
    for path in downloaded.iterdir():
        name = path.name.split("-")[0].replace("_", "-").replace(".", "-").lower()
        project = folder / "simple" / name
        project.mkdir(parents=True, exist_ok=True)
        path.rename(project / path.name)
    return f"{address}/simple"


@pytest.fixture(scope="module")
def base(served, tmp_path_factory):
    """Debian with Python, whose apt has the packages of this machine's."""
    folder, address = served
    debian = folder / "debian"
    (debian / "partial").mkdir(parents=True)
    # With all that they need: an apt that believes that nothing is installed.
    (folder / "status").write_text("")
    settings = {
        "Dir::State::status": folder / "status", "Dir::Cache::archives": debian,
        "Debug::NoLocking": 1, "APT::Sandbox::User": "root", "APT::Default-Release": "bookworm",
    }  # fmt: skip
    apt = ["apt-get", "--quiet", "--yes", "--no-install-recommends", "--download-only"]
    apt += [f"--option={name}={value}" for name, value in settings.items()]
    subprocess.run([*apt, "install", *DEBIAN_PACKAGES], check=True, stdout=subprocess.DEVNULL)
    listed = ""
    for path in sorted(debian.glob("*.deb")):
        control = subprocess.run(["dpkg-deb", "--field", path.name], cwd=debian, check=True, capture_output=True, text=True)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        listed += f"{control.stdout}Filename: {path.name}\nSize: {path.stat().st_size}\nSHA256: {digest}\n\n"
    (debian / "Packages").write_text(listed)
    context = tmp_path_factory.mktemp("base")
    (context / "sources.list").write_text(f"deb [trusted=yes] {address}/debian ./\n")
    (context / "Dockerfile").write_text(
        f"FROM {map_of_environment()['docker.io/library/debian']}\nCOPY sources.list /etc/apt/sources.list\n"
    )
    name = f"{REGISTRY}/boxwright/packages-base:{uuid.uuid4()}"
    boxwright.build(context, tags=[name], push=True, engine="embedded")
    return name


def imported(folder: Path, spec: str, *names: str) -> str:
    """Builds a specification, and returns what its Python prints of the modules."""
    (folder / "spec.yaml").write_text(textwrap.dedent(spec))
    built = boxwright.build("spec.yaml", engine="embedded", network="host", cwd=folder)
    modules = ", ".join(names)
    code = f"import sys, {modules}; print(sys.prefix, *[it.__name__ for it in ({modules},)])"
    run = subprocess.run(
        [boxwright.find_program(), "run", "--engine=embedded", built.names[0], "python", "-c", code],
        stdout=subprocess.PIPE, text=True, check=True,
    )  # fmt: skip
    return run.stdout.strip()


def test_packages_are_installed_and_imported(tmp_path, base, index):
    shown = imported(tmp_path, f"""\
        base_image: {base}
        python_version: '3.11'
        packages: [six, "idna>=2"]
        pip_index: {index}
        apt_packages: [hello]
        commands: ["hello > /root/said"]
    """, "six", "idna")  # fmt: skip
    assert shown == "/opt/venv six idna"


def test_a_requirements_file_and_a_project_are_installed(tmp_path, base, index):
    (tmp_path / "requirements.txt").write_text("six  # why\n")
    fields = f"base_image: {base}\npip_index: {index}\n"
    assert imported(tmp_path, f"{fields}requirements: requirements.txt\n", "six") == "/opt/venv six"
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "app"\nversion = "1"\ndependencies = ["idna"]\n')
    assert imported(tmp_path, f"{fields}requirements: pyproject.toml\n", "idna") == "/opt/venv idna"


PROJECT = '[project]\nname = "app"\nversion = "1"\nrequires-python = ">=3.11"\ndependencies = ["six"]\n'


def test_what_uv_locked_is_installed(tmp_path, base, index):
    (tmp_path / "pyproject.toml").write_text(PROJECT)
    lock = [uv_program(), "lock", "--default-index", index, "--no-config", "--python", sys.executable]
    subprocess.run(lock, cwd=tmp_path, check=True)
    spec = f"base_image: {base}\nrequirements: uv.lock\npip_index: {index}\n"
    assert imported(tmp_path, spec, "six") == "/opt/venv six"


def test_what_poetry_locked_is_installed(tmp_path, base, index):
    source = f'[[tool.poetry.source]]\nname = "here"\nurl = "{index}"\n'
    (tmp_path / "pyproject.toml").write_text(PROJECT + source)
    poetry = [uv_program(), "tool", "run", "--default-index", index, "--no-config", "--python", sys.executable]
    environment = {**os.environ, "POETRY_CACHE_DIR": str(tmp_path / "cache")}
    subprocess.run([*poetry, POETRY.replace("poetry", "poetry", 1), "lock"], cwd=tmp_path, env=environment, check=True)
    spec = f"base_image: {base}\nrequirements: poetry.lock\npip_index: {index}\n"
    assert imported(tmp_path, spec, "six") == "/opt/venv six"


def test_a_package_that_is_not_there_fails_the_build_with_pips_words(tmp_path, base, index):
    spec = f"base_image: {base}\npackages: [no-such-package-of-boxwright]\npip_index: {index}\n"
    (tmp_path / "spec.yaml").write_text(spec)
    heard = []
    with pytest.raises(boxwright.BoxwrightError) as caught:
        boxwright.build("spec.yaml", engine="embedded", network="host", cwd=tmp_path, on_event=heard.append)
    assert caught.value.code == "build-failed"
    assert any("No matching distribution found" in (it.text or "") for it in heard)


def test_a_mirror_of_the_users_configuration_is_used_and_left_out_of_the_image(tmp_path, base, index):
    (tmp_path / "pip.conf").write_text(f"[global]\nindex-url = {index}\n")
    spec = f"base_image: {base}\npackages: [six]\npip_secret_mounts: [[pip.conf, /etc/pip.conf]]\n"
    assert imported(tmp_path, spec, "six") == "/opt/venv six"
    name = subprocess.run(
        [boxwright.find_program(), "spec", "tag", "spec.yaml"], cwd=tmp_path, stdout=subprocess.PIPE, text=True, check=True
    ).stdout.strip()
    kept = subprocess.run(
        [boxwright.find_program(), "run", "--engine=embedded", name, "sh", "-c", "cat /etc/pip.conf; grep -r index-url /opt/venv"],
        stdout=subprocess.PIPE, text=True, check=False,
    )  # fmt: skip
    assert index not in kept.stdout
