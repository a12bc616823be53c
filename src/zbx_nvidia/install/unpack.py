"""Unpacks zbx-nvidia.pyz on a host, so that it starts quickly.

From the archive each poll costs twice as much, because nothing in it is compiled. Unpacked, compiled by root and
started without `site`, it starts faster than in a virtual environment. In the target:

    bin/           scripts, at the paths in UserParameter files, the service and the docs
    lib/VERSION/   the packages, one directory for each archive, so that a new one disturbs no running process
    share/man/     the manual pages
    .unpacked      the version that the scripts start
    .links         what was created elsewhere (links.py)
"""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import zipfile
from configparser import ConfigParser
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import zbx_nvidia
from zbx_nvidia.errors import HostError, UsageError
from zbx_nvidia.host import installation
from zbx_nvidia.host.reading import read
from zbx_nvidia.install import links, record

# In the archive: files for share/ of the target. Everything else is for Python.
SHARED = "share/"
# bytes; Linux before 5.1 cuts the first line of a script there
LONGEST_FIRST_LINE = 127


class UnpackResult(NamedTuple):
    """What was done, or would be in a dry run."""

    changed: bool
    version: str
    warnings: tuple[str, ...]
    linked: tuple[Path, ...]


def unpack(  # noqa: PLR0913  one for each option
    source: Path, target: Path, *, python: str = "", replace: bool = False, link: bool = False, dry_run: bool = False
) -> UnpackResult:
    """Unpack the archive, compile it and try it; only then let the scripts start it.

    The previous version stays for processes that still run it, until the next unpack.

    Args:
        source: The archive.
        target: The directory.
        python: The interpreter for the scripts; this one if empty.
        replace: Whether to replace something else in the target.
        link: Whether to link the program and its manual pages; a target that has links always keeps them complete.
        dry_run: Whether to change nothing.
    """
    target = target.absolute().resolve()
    # sys.executable in a virtual environment would make the target depend on it.
    python = python or str(getattr(sys, "_base_executable", "")) or sys.executable
    version = f"{zbx_nvidia.__version__}-{hashlib.sha256(source.read_bytes()).hexdigest()[:12]}"
    wanted = _scripts(source, python, target / "lib" / version)
    warnings = tuple(_warnings(Path(python)))
    try:
        present = _present(target, replace=replace)
        names = _linked(source) if link or links.recorded(target) else []
        links.check(target, names)
        changed = present != version or not _complete(target, wanted, python)
        # Everybody can read what is written here, whatever the umask of the caller.
        old = os.umask(0o022)
        try:
            if changed and not dry_run:
                _renew(source, target, wanted, python, version, present)
            linked = links.create(target, names, dry_run=dry_run) if names else ()
        finally:
            os.umask(old)
    except OSError as error:
        raise HostError(f"{error.filename or target}: {error.strerror or error}; nothing was replaced") from error
    return UnpackResult(changed, version, warnings, linked)


def remove(target: Path, *, dry_run: bool = False) -> tuple[Path, ...]:
    """Remove an unpacked program and its links. Returns what was removed, or would be in a dry run.

    Raises:
        UsageError: The directory holds something else.
        HostError: A Zabbix agent of this host is configured to run the program, or it cannot be removed.
    """
    target = target.absolute().resolve()
    if not target.exists():
        return ()
    if not (target / installation.MARK).is_file():
        raise UsageError(f"{target} was not written by unpack: remove it yourself")
    if _used(target):
        raise HostError(f"a Zabbix agent runs the program in {target}: run `{target}/bin/zbx-nvidia uninstall-agent`")
    removed = (*links.present(target), target)
    if not dry_run:
        try:
            links.remove(target)
            shutil.rmtree(target)
        except OSError as error:
            raise HostError(f"{error.filename or target}: {error.strerror or error}") from error
    return removed


def _used(target: Path) -> bool:
    """Whether a file that install-agent has written names a program of the target."""
    known = record.load()
    written = [Path(entry.path) for entry in known.entries if entry.kind == "whole"] if known else []
    return any(f"{target}/bin/".encode() in read(path, links=True) for path in written if path.is_file())


# -- present and wanted state -----------------------------------------------------------------------------------------


def _present(target: Path, *, replace: bool) -> str:
    """The version that the scripts of the target start; "" if it holds no version of ours."""
    mark = target / installation.MARK
    if mark.is_file():
        return mark.read_text(encoding="ascii").strip()
    if target.exists() and not replace:
        if not target.is_dir():
            raise UsageError(f"{target} exists and is not a directory")
        if (target / "pyvenv.cfg").exists():
            raise UsageError(f"{target} holds a virtual environment: give --replace to replace it")
        if any(target.iterdir()):
            raise UsageError(f"{target} is not empty: give another directory, or --replace to replace it")
    return ""


def _linked(source: Path) -> list[str]:
    """The files of the target that get a link: the program and the manual pages."""
    with zipfile.ZipFile(source) as packed:
        return [links.PROGRAM, *(name for name in packed.namelist() if name.startswith(f"{SHARED}man/"))]


def _scripts(source: Path, python: str, folder: Path) -> dict[str, str]:
    """Name -> text of the scripts: the entry points of the wheel."""
    first = f"#!{python} -IS"
    if len(first) > LONGEST_FIRST_LINE or any(sign.isspace() for sign in python):
        raise UsageError(f"scripts cannot start with {python!r}: it is too long or has spaces in it")
    points = ConfigParser()
    with zipfile.ZipFile(source) as packed:
        points.read_string(packed.read("entry_points.txt").decode())
    scripts = {}
    for name, value in points["console_scripts"].items():
        module, _, function = value.partition(":")
        scripts[name] = (
            f"{first}\n"
            f"{installation.FROM} -I and -S: nothing in the environment and no other package is looked at,\n"
            "# which is safer, and quicker.\n"
            "import sys\n"
            f"sys.path.append({str(folder)!r})\n"
            f"from {module} import {function}\n"
            f"{function}()\n"
        )
    return scripts


def _complete(target: Path, wanted: dict[str, str], python: str) -> bool:
    """Whether the scripts are as they should be, and the packages compiled for the present Python."""
    scripts = {name: target / "bin" / name for name in wanted}
    if not all(path.is_file() and path.read_text() == wanted[name] for name, path in scripts.items()):
        return False
    code = "import importlib.util, sys; print(importlib.util.cache_from_source(sys.argv[1]))"
    library = target / "lib" / (target / installation.MARK).read_text(encoding="ascii").strip()
    compiled = _python(python, "-c", code, str(library / "zbx_nvidia" / "__init__.py")).strip()
    return Path(compiled).is_file()


def _warnings(python: Path) -> list[str]:
    """Why the agent's user could not run this Python: pyenv and uv put it under /root, which only root can enter."""
    closed = [path for path in (python.resolve(), *python.resolve().parents) if not path.stat().st_mode & 0o001]
    return [f"other users, such as zabbix, cannot use {python}: they have no access to {path}" for path in closed[-1:]]


# -- writing ----------------------------------------------------------------------------------------------------------


def _renew(source: Path, target: Path, wanted: dict[str, str], python: str, version: str, present: str) -> None:  # noqa: PLR0913, PLR0917  one caller
    if present:
        library = target / "lib" / version
        if not library.exists():
            with tempfile.TemporaryDirectory(prefix=".new-", dir=target / "lib") as folder:
                fresh = Path(folder, version)
                _extract(source, fresh, shared=False)
                _compile(fresh, library, wanted, python)
                fresh.rename(library)
        else:
            # Compiled for another Python, as before an upgrade of the distribution.
            _compile(library, library, wanted, python)
        _finish(source, target, wanted, version)
        for other in (target / "lib").iterdir():
            if other.name not in {version, present}:
                shutil.rmtree(other)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{target.name}-", dir=target.parent) as folder:
        # Next to the old one: nothing is touched until the new one was tried.
        fresh = Path(folder, "new")
        _extract(source, fresh / "lib" / version, shared=False)
        _compile(fresh / "lib" / version, target / "lib" / version, wanted, python)
        _finish(source, fresh, wanted, version)
        old = Path(folder, "old")
        if target.exists():
            target.rename(old)
        try:
            fresh.rename(target)
        except OSError:
            if old.exists():
                old.rename(target)
            raise


def _extract(source: Path, folder: Path, *, shared: bool) -> None:
    """Extract the files of one kind, with modes of our own."""
    with zipfile.ZipFile(source) as packed:
        members = packed.infolist()
        # Nothing is written outside, whoever has packed it. Python's own extraction would write it elsewhere.
        if astray := [member.filename for member in members if not _is_inside(member.filename)]:
            raise HostError(f"{source} has a file for another place, {astray[0]!r}: get it again; nothing was replaced")
        for member in members:
            if member.filename.startswith(SHARED) == shared and not member.is_dir():
                _write(folder / member.filename, packed.read(member))


def _is_inside(name: str) -> bool:
    path = PurePosixPath(name)
    return not path.is_absolute() and ".." not in path.parts


def _compile(folder: Path, final: Path, wanted: dict[str, str], python: str) -> None:
    """Compile the packages and try each script, while they are in a temporary place."""
    _python(python, "-m", "compileall", "-q", str(folder))
    for name, text in wanted.items():
        code = text.replace(repr(str(final)), repr(str(folder)))
        # --help loads every command.
        if "usage" not in _python(python, "-c", code, "--help").lower():
            raise HostError(f"{name} does not start with {python}; nothing was replaced")


def _finish(source: Path, target: Path, wanted: dict[str, str], version: str) -> None:
    """Write what is not for Python, each file by rename, and the mark last: from then on the new version runs."""
    _extract(source, target, shared=True)
    for name, text in wanted.items():
        _write(target / "bin" / name, text.encode(), mode=0o755)
    _write(target / installation.MARK, f"{version}\n".encode())


def _write(path: Path, content: bytes, mode: int = 0o644) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.new")
    new.write_bytes(content)
    new.chmod(mode)
    new.replace(path)


def _python(python: str, *arguments: str) -> str:
    command = [python, "-IS", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = (done.stderr.strip() or done.stdout.strip() or "no message").splitlines()
        raise HostError(f"{shlex.join(command[:3])} ... fails: {lines[-1]}; nothing was replaced")
    return done.stdout
