"""A version of flyte without a private name that the builder needs."""

import subprocess
import sys

import pytest

pytest.importorskip("flyte")

#: Takes a name away, loads the builder as flyte does, and builds.
SCRIPT = """
import asyncio
import {module} as module
owner = module{owner}
delattr(owner, {name!r})
from boxwright._flyte import BoxwrightImageBuilder
from flyte.errors import ImageBuildError
try:
    asyncio.run(BoxwrightImageBuilder().build_image(None))
except ImageBuildError as error:
    print(error)
"""


@pytest.mark.parametrize(
    ("module", "owner", "name"),
    [
        ("flyte._image", "", "_get_push_registry"),
        ("flyte._internal.imagebuild.docker_builder", "", "DockerImageBuilder"),
        ("flyte._internal.imagebuild.docker_builder", ".DockerImageBuilder", "_build_command_prefix"),
    ],
)
def test_a_private_name_that_is_gone_is_told_and_nothing_is_built(module, owner, name):
    script = SCRIPT.format(module=module, owner=owner, name=name)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert f"it has no {module}{owner}.{name}" in done.stdout
    assert "help: install flyte 2.12" in done.stdout


def test_this_version_has_them_all():
    script = "from boxwright import _flyte_private as it; print(it.missing)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout == "None\n", done.stderr
