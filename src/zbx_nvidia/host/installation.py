"""This installation: the program, the archive that it runs from, and where the archive is unpacked."""

from __future__ import annotations

import re
import shlex
import sys
import zipimport
from pathlib import Path

import zbx_nvidia
from zbx_nvidia.host import paths

MARK = ".unpacked"  # in an unpacked archive: holds the version that its scripts start
FROM = "# Unpacked from zbx-nvidia.pyz."  # the second line of its scripts


def archive() -> Path | None:
    """The archive that this program runs from; None if it runs from none."""
    loader: object = zbx_nvidia.__loader__
    return Path(loader.archive) if isinstance(loader, zipimport.zipimporter) else None


def command() -> str:
    """How people start this program, for messages."""
    return f"python3 {shlex.quote(sys.argv[0])}" if archive() else "zbx-nvidia"


def own() -> Path:
    """The zbx-nvidia-agent of this installation; for zbx-nvidia.pyz, the path where it is unpacked."""
    if archive():
        return Path(paths.PROGRAM)
    started = Path(sys.argv[0]).absolute()
    # A link on PATH may lead to zbx-nvidia alone.
    places = (Path(sys.executable).parent, started.parent, started.resolve().parent)
    return next((place / paths.NAME for place in places if (place / paths.NAME).is_file()), places[0] / paths.NAME)


def folder(path: Path) -> Path | None:
    """The directory that holds only the installation of a program; None if it shares one with others."""
    above = path.parent.parent
    alone = path.parent.name == "bin" and any((above / mark).is_file() for mark in (MARK, "pyvenv.cfg"))
    return above if alone else None


def library(script: Path) -> str:
    """The code that a script of an unpacked archive runs before its imports, in one line; "" for other programs."""
    with script.open("rb") as file:
        head = file.read(4096).decode("utf-8", "replace")
    match = re.match(rf"#!.*\n{re.escape(FROM)}.*\n#.*\nimport sys\n(sys\.path\..*)\n", head)
    return f"import sys; {match[1]}; " if match else ""
