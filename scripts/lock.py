"""Write requirements/*.txt: the dependencies of pyproject.toml, with exact versions and hashes, for every Python.

python scripts/lock.py [--check]

The files name no package index and no address, so that pip can use any index. Their first line has a hash of the parts
of pyproject.toml that they were made from: with it, --check finds without a network whether they are out of date.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # a dependency of hatchling on these Pythons

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "requirements"
# One file for each group that is installed by itself. The first has all packages, the others have its versions.
GROUPS = ("dev", "test", "build")
INSTALL = "install"  # what the package itself needs, for an installation by root
HEADER = "# Written by `make lock` from parts of pyproject.toml with the SHA-256 "


def fingerprint() -> str:
    """Hash of the parts of pyproject.toml that the resolver reads, without comments."""
    read: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    parts = [read["project"]["requires-python"], read["project"]["dependencies"], read["dependency-groups"]]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def oldest() -> str:
    """The oldest supported Python."""
    read = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    return str(read["project"]["requires-python"]).removeprefix(">=")


def uv() -> str:
    """The program that resolves for all Pythons at once; pip resolves for its own only."""
    if path := shutil.which("uv"):
        return path
    folder = ROOT / "build" / "lock-venv"
    if not (folder / "bin" / "uv").exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        subprocess.run([str(folder / "bin" / "pip"), "install", "--quiet", "uv"], check=True)
    return str(folder / "bin" / "uv")


def index() -> dict[str, str]:
    """The package index of pip, for uv, which does not read pip's configuration."""
    asked = [sys.executable, "-m", "pip", "config", "get", "global.index-url"]
    configured = subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip()
    address = os.environ.get("PIP_INDEX_URL") or configured
    return {"UV_DEFAULT_INDEX": address} if address else {}


def write() -> None:
    """Write all files, with the newest versions that fit."""
    program, mark = uv(), fingerprint()
    FOLDER.mkdir(exist_ok=True)
    for group in (*GROUPS, INSTALL):
        command = [program, "pip", "compile", "--quiet", "--universal", "--generate-hashes", "--upgrade"]
        command += ["--no-config", "--no-header", "--no-annotate", "--no-emit-index-url", "--no-emit-find-links"]
        command += ["--python-version", oldest()]
        command += ["pyproject.toml"] if group == INSTALL else ["--group", group, str(ROOT / "pyproject.toml")]
        if group != GROUPS[0]:
            command += ["--constraints", str(FOLDER / f"{GROUPS[0]}.txt")]
        done = subprocess.run(
            command, env={**index(), **os.environ}, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True
        )
        (FOLDER / f"{group}.txt").write_text(f"{HEADER}{mark}\n{done.stdout}", encoding="utf-8")


def complaints() -> list[str]:
    """What is wrong with the present files."""
    problems = []
    for group in (*GROUPS, INSTALL):
        path = FOLDER / f"{group}.txt"
        head, _, text = path.read_text(encoding="utf-8").partition("\n") if path.exists() else ("", "", "")
        if head != HEADER + fingerprint():
            problems.append(f"{path.relative_to(ROOT)} was not made from this pyproject.toml: run `make lock`")
        if "://" in text:
            problems.append(f"{path.relative_to(ROOT)} has an address, which not every machine can reach: remove it")
        pins = [line for line in text.splitlines() if line and not line.startswith((" ", "#"))]
        problems += [f"{path.relative_to(ROOT)}: no exact version in {pin!r}" for pin in pins if "==" not in pin]
        if text.count(" --hash=sha256:") < len(pins):
            problems.append(f"{path.relative_to(ROOT)} has entries without a hash: run `make lock`")
    return problems


def main() -> None:
    """Write, or check."""
    if sys.argv[1:] == ["--check"]:
        if problems := complaints():
            sys.exit("\n".join(f"error: {text}" for text in problems))
    elif sys.argv[1:]:
        sys.exit(__doc__)
    else:
        write()


if __name__ == "__main__":
    main()
