"""The wheel that maturin releases has the same files, entry points and metadata as the one that the tests install.

maturin builds the program for it, which takes long; here a program of three lines stands in its place.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import zipfile
from email.parser import Parser
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent.parent


def contents(wheel: Path) -> "tuple[set[str], set[str], dict[str, str]]":
    """The files, the entry points and what the metadata says, without what each tool has of its own."""
    with zipfile.ZipFile(wheel) as archive:
        files = {name for name in archive.namelist() if "/sboms/" not in name and not name.endswith("/")}
        entries = archive.read(next(it for it in files if it.endswith("/entry_points.txt"))).decode()
        told = Parser().parsestr(archive.read(next(it for it in files if it.endswith("/METADATA"))).decode())
        program = next(it for it in files if it.endswith(".data/scripts/boxwright"))
        assert archive.getinfo(program).external_attr >> 16 & 0o111, "the program cannot be started"
    points = {re.sub(r"\s*=\s*", "=", line) for line in entries.splitlines() if line.strip()}
    metadata = {name: told[name] for name in ("Name", "Version", "Summary", "Requires-Python")}
    return files, points, metadata


def test_maturin_and_the_tests_make_the_same_wheel(tmp_path):
    project = tmp_path / "crates" / "python"
    shutil.copytree(PACKAGE, project, ignore=shutil.ignore_patterns("tests", "__pycache__"))
    shutil.copy(PACKAGE.parent / "cli" / "Cargo.toml", tmp_path / "real.toml")
    crate = tmp_path / "crates" / "cli"
    (crate / "src").mkdir(parents=True)
    (crate / "src" / "main.rs").write_text("fn main() {\n    println!(\"boxwright\");\n}\n")
    # The name and the program are those of the real one.
    real = (tmp_path / "real.toml").read_text()
    name = re.search(r'^name = "([^"]+)"', real, re.M).group(1)
    program = re.search(r'^\[\[bin\]\]\nname = "([^"]+)"', real, re.M).group(1)
    (crate / "Cargo.toml").write_text(
        f'[package]\nname = "{name}"\nversion = "0.1.0"\nedition = "2021"\n\n[workspace]\n\n'
        f'[[bin]]\nname = "{program}"\npath = "src/main.rs"\n'
    )
    subprocess.run(["cargo", "generate-lockfile", "--quiet", "--offline"], cwd=crate, check=True)
    maturin = [sys.executable, "-m", "maturin", "build", "--quiet", "--offline", "--out", str(tmp_path / "released")]
    subprocess.run(maturin, cwd=project, check=True)
    packed = [sys.executable, str(PACKAGE / "pack.py"), str(crate / "src" / "main.rs"), str(tmp_path / "packed")]
    subprocess.run(packed, check=True, stdout=subprocess.DEVNULL)
    released, tested = next((tmp_path / "released").glob("*.whl")), next((tmp_path / "packed").glob("*.whl"))
    assert contents(released) == contents(tested)
    assert released.name.startswith("boxwright-") and "-py3-none-" in released.name
