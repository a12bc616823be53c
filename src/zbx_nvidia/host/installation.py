"""What is installed here: this program, the archive that it runs from, and where such an archive is unpacked."""

from __future__ import annotations

import re
import sys
import zipimport
from pathlib import Path

import zbx_nvidia
from zbx_nvidia.host import paths

MARK = ".unpacked"  # the file of an unpacked archive that says which version its scripts start
FROM = "# Unpacked from zbx-nvidia.pyz."  # in its scripts


def archive() -> Path | None:
    """The archive that this runs from, if it does."""
    loader: object = zbx_nvidia.__loader__
    return Path(loader.archive) if isinstance(loader, zipimport.zipimporter) else None


def own() -> Path:
    """The zbx-nvidia-agent of this installation; for zbx-nvidia.pyz, that where it is unpacked."""
    if archive():
        return Path(paths.PROGRAM)
    started = Path(sys.argv[0]).absolute()
    # A link on PATH may lead to zbx-nvidia alone.
    places = (Path(sys.executable).parent, started.parent, started.resolve().parent)
    return next((place / paths.NAME for place in places if (place / paths.NAME).is_file()), places[0] / paths.NAME)


def folder(path: Path) -> Path | None:
    """The directory that holds nothing but the installation of a program; None where it lies among others."""
    above = path.parent.parent
    alone = path.parent.name == "bin" and any((above / mark).is_file() for mark in (MARK, "pyvenv.cfg"))
    return above if alone else None


def library(script: Path) -> str:
    """What such a script does before it imports anything, as code of one line; empty for other programs."""
    with script.open("rb") as file:
        head = file.read(4096).decode("utf-8", "replace")
    match = re.match(rf"#!.*\n{re.escape(FROM)}.*\n#.*\nimport sys\n(sys\.path\..*)\n", head)
    return f"import sys; {match[1]}; " if match else ""
