"""Checks that the agent's user can run a program, and that only root can change it."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import stat
import zipfile
from pathlib import Path
from typing import NamedTuple

from zbx_nvidia import __version__
from zbx_nvidia.errors import HostError
from zbx_nvidia.host import installation, permissions, system

# docs/INSTALL.md says how.
FIX = (
    "install zbx-nvidia where only root can write and everybody can read, such as /opt/zbx-nvidia (see docs/INSTALL.md)"
)
# Run by the interpreter of the program: its modules may differ from ours.
MODULES = (
    "import json, sys, zbx_nvidia, pynvml; "
    "print(json.dumps([zbx_nvidia.__path__[0], pynvml.__file__, [p for p in sys.path if p]]))"
)
UNCOMPILED = (
    "import importlib.util, json, os, sys\n"
    "missing = []\n"
    "for top in sys.argv[1:]:\n"
    "    tree = os.walk(top) if os.path.isdir(top) else [(os.path.dirname(top), [], [os.path.basename(top)])]\n"
    "    for folder, _, names in tree:\n"
    "        for name in names:\n"
    "            path = os.path.join(folder, name)\n"
    "            if name.endswith('.py'):\n"
    "                cache = importlib.util.cache_from_source(path)\n"
    "                if not os.path.exists(cache):\n"
    "                    missing.append([path, cache])\n"
    "print(json.dumps(missing))\n"
)


class Program(NamedTuple):
    """A program that passed the check.

    Attributes:
        path: Of zbx-nvidia-agent.
        interpreter: Its Python; None if it is no script.
        modules: The package and pynvml, as it imports them.
    """

    path: Path
    interpreter: Path | None
    modules: tuple[Path, ...]


def check(path: Path, user: str) -> Program:
    """Check a program.

    Args:
        path: Of zbx-nvidia-agent.
        user: The user that must be able to run it.

    Raises:
        HostError: That user cannot run it, or others than root can change it.
    """
    if not path.is_absolute() or not path.is_file():
        raise HostError(f"{path} is not a program: give the absolute path of zbx-nvidia-agent with --command")
    look = _Look(user, installation.folder(path.resolve()))
    look.at(path, os.R_OK | os.X_OK)
    interpreter = _interpreter(path)
    modules: tuple[Path, ...] = ()
    if interpreter is not None:
        look.at(interpreter, os.R_OK | os.X_OK)
        if not zipfile.is_zipfile(path):
            modules = _modules(path, interpreter, user, look)
    done = system.run(str(path), "--version", user=user, timeout=20)
    if done.code:
        raise HostError(f"the user {user} cannot run {path}: {done.complaint}")
    version = done.out.split()[-1:]
    if version != [__version__]:
        raise HostError(
            f"{path} has version {''.join(version)}, this is {__version__}: run the zbx-nvidia of that installation"
        )
    return Program(path, interpreter, modules)


def uncompiled(program: Program) -> list[tuple[Path, Path]]:
    """Modules that Python would compile at every poll, each with its missing cache file."""
    if program.interpreter is None or not program.modules:
        return []
    done = system.run(str(program.interpreter), "-I", "-c", UNCOMPILED, *map(str, program.modules))
    if done.code:
        raise HostError(f"{program.interpreter}: {done.complaint}")
    return [(Path(source), Path(cache)) for source, cache in json.loads(done.out)]


def compile_modules(program: Program, sources: list[Path]) -> bool:
    """Compile modules; False if that failed, as on a read-only file system."""
    if not sources:
        return True
    return system.run(str(program.interpreter), "-I", "-m", "compileall", "-q", *map(str, sources)).code == 0


class _Look:
    """Checks files and every directory above them, each once."""

    def __init__(self, user: str, installation: Path | None) -> None:
        self.user, self.installation = user, installation
        try:
            entry = pwd.getpwnam(user)
        except KeyError:
            raise HostError(f"there is no user {user}, the user of the Zabbix agent") from None
        self.uid = entry.pw_uid
        self.groups = frozenset(os.getgrouplist(user, entry.pw_gid))
        self.seen: set[Path] = set()

    def at(self, path: Path, needed: int = os.R_OK) -> None:
        """Check one file, and every link on the way to it."""
        for place in permissions.way(path):
            if place not in self.seen:
                self.seen.add(place)
                self._one(place, needed if place == path else 0)
        target = path.resolve()
        if target not in self.seen:
            self.seen.add(target)
            self._one(target, needed)

    def tree(self, top: Path) -> None:
        """Check a directory and everything in it."""
        self.at(top, os.R_OK | os.X_OK)
        for folder, _, names in os.walk(top):
            self._one(Path(folder), os.R_OK | os.X_OK)
            for name in names:
                self._one(Path(folder) / name, os.R_OK)

    def _one(self, path: Path, needed: int) -> None:
        about = path.lstat()
        if stat.S_ISLNK(about.st_mode):
            # Only a user who can write to its directory can redirect it.
            return
        mode = about.st_mode
        if writer := permissions.writer(path, about):
            who, fix = writer
            raise HostError(
                f"{path} is writable by {who}, who could make the agent run any code: run `{fix}`, or {FIX}"
            )
        shift = 6 if about.st_uid == self.uid else 3 if about.st_gid in self.groups else 0
        needed = needed | os.X_OK if stat.S_ISDIR(mode) else needed
        if self.uid != 0 and needed & ~(mode >> shift) & 7:
            ours = self.installation
            # An umask such as 027 causes this.
            fix = f"run `chmod -R go+rX {ours}`, or " if ours and (path == ours or ours in path.parents) else ""
            raise HostError(
                f"{path} (mode {stat.S_IMODE(mode):04o}) is not readable by the user {self.user} of the "
                f"Zabbix agent: {fix}{FIX}"
            )


def _interpreter(path: Path) -> Path | None:
    """The interpreter in the first line of a script, or in the second: pip puts a path there that is too long."""
    with path.open("rb") as file:
        first, second = file.readline(4096), file.readline(4096)
    if not first.startswith(b"#!"):
        return None
    words = first[2:].decode("utf-8", "replace").split()
    if words[:1] == ["/bin/sh"] and second.startswith(b"'''exec' "):
        words = [second.decode("utf-8", "replace").removeprefix("'''exec' ").split(' "$0"')[0].strip().strip('"')]
    if words and Path(words[0]).name == "env":
        name = next((word for word in words[1:] if not word.startswith("-")), "")
        program = shutil.which(name, path=system.PATH)
        words = [program] if program else []
    if not words or not Path(words[0]).is_absolute() or not Path(words[0]).exists():
        raise HostError(f"{path}: its first line names no existing interpreter: {FIX}")
    return Path(words[0])


def _modules(path: Path, interpreter: Path, user: str, look: _Look) -> tuple[Path, ...]:
    """Check the package and pynvml, and every place from which Python could load others instead."""
    code = installation.library(path) + MODULES
    done = system.run(str(interpreter), "-IB", "-c", code, user=user, timeout=20)
    if done.code:
        # Find the file that this user cannot read. Root must not import what is not checked yet.
        for top in dict.fromkeys([interpreter.parent.parent, path.resolve().parent.parent]):
            for pattern in ("lib/python3*/*-packages/zbx_nvidia", "lib/*/zbx_nvidia"):
                for package in top.glob(pattern):
                    look.tree(package)
        raise HostError(
            f"{interpreter}: the user {user} cannot import zbx_nvidia and pynvml there: {done.complaint}; {FIX}"
        )
    package, pynvml, folders = json.loads(done.out)
    for folder in map(Path, folders):
        if folder.exists():
            look.at(folder)
            for start in folder.glob("*.pth") if folder.is_dir() else ():
                look.at(start)
    look.tree(Path(package))
    look.at(Path(pynvml))
    return Path(package), Path(pynvml)
