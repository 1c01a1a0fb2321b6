"""Packs a wheel around a program that is built already: `python pack.py PROGRAM FOLDER` prints its path.

`maturin build` makes the wheel that is released, and builds the program for it. Tests have the program by then, and only
need the same files in the same places.
"""

from __future__ import annotations

import base64
import hashlib
import io
import platform
import re
import sys
import zipfile
from pathlib import Path
from typing import Dict, List, Tuple

HERE = Path(__file__).resolve().parent


def table(text: str, name: str) -> str:
    """Returns the lines of a table of the project's file. (`tomllib` is of Python 3.11.)"""
    found = re.search(rf"^\[{re.escape(name)}\]\n(.*?)(?=^\[|\Z)", text, re.M | re.S)
    return found.group(1) if found else ""


def pairs(lines: str) -> Dict[str, str]:
    return dict(re.findall(r'^([\w-]+) *= *"([^"]*)"', lines, re.M))


def files(program: Path) -> List[Tuple[str, bytes, int]]:
    text = (HERE / "pyproject.toml").read_text(encoding="utf-8")
    project = pairs(table(text, "project"))
    name, version = project["name"], project["version"]
    tag = f"py3-none-linux_{platform.machine()}"
    info = f"{name}-{version}.dist-info"
    package = HERE / "python"
    listed = [
        (str(path.relative_to(package)), path.read_bytes(), 0o644)
        for path in sorted(package.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    ]
    listed.append((f"{name}-{version}.data/scripts/boxwright", program.read_bytes(), 0o755))
    metadata = (
        f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\nSummary: {project['description']}\n"
        f"Requires-Python: {project['requires-python']}\nDescription-Content-Type: text/markdown\n\n"
        + (HERE / "README.md").read_text(encoding="utf-8")
    )
    wheel = f"Wheel-Version: 1.0\nGenerator: pack.py\nRoot-Is-Purelib: false\nTag: {tag}\n"
    groups = re.findall(r'^\[project\.entry-points\."([^"]+)"\]\n(.*?)(?=^\[|^#|\Z)', text, re.M | re.S)
    entries = "".join(
        f"[{group}]\n" + "".join(f"{key} = {value}\n" for key, value in pairs(lines).items())
        for group, lines in groups
    )
    listed += [
        (f"{info}/METADATA", metadata.encode(), 0o644),
        (f"{info}/WHEEL", wheel.encode(), 0o644),
        (f"{info}/entry_points.txt", entries.encode(), 0o644),
    ]
    record = io.StringIO()
    for path, content, _ in listed:
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        record.write(f"{path},sha256={digest},{len(content)}\n")
    record.write(f"{info}/RECORD,,\n")
    listed.append((f"{info}/RECORD", record.getvalue().encode(), 0o644))
    return [(f"{name}-{version}-{tag}.whl", b"", 0), *listed]


def main(program: Path, folder: Path) -> Path:
    (name, _, _), *listed = files(program)
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(folder / name, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for path, content, mode in listed:
            entry = zipfile.ZipInfo(path, date_time=(2023, 11, 14, 22, 13, 20))
            entry.external_attr = (0o100000 | mode) << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, content)
    return folder / name


if __name__ == "__main__":
    print(main(Path(sys.argv[1]), Path(sys.argv[2])))
