"""Whether the agent's user may run a program, and whether nobody but root can put another in its place."""

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

# Where a program that everybody can read is put; the README says how.
CURE = "install zbx-nvidia where root alone can write and everybody can read, as in /opt/zbx-nvidia (see the README)"
# Asked of the interpreter that runs the program: its modules may be another's than ours.
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
    """A program that was looked at.

    Attributes:
        path: Of zbx-nvidia-agent.
        interpreter: Of Python; None of what is no script.
        modules: What it imports of ours and of NVIDIA's.
    """

    path: Path
    interpreter: Path | None
    modules: tuple[Path, ...]


def check(path: Path, user: str) -> Program:
    """Look at a program.

    Args:
        path: Of zbx-nvidia-agent.
        user: Who is to run it.

    Raises:
        HostError: That user cannot run it, or somebody besides root can change it.
    """
    if not path.is_absolute() or not path.is_file():
        raise HostError(f"{path} is no program: give the absolute path of zbx-nvidia-agent with --command")
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
        raise HostError(f"{path} cannot be run by the user {user}: {done.complaint}")
    version = done.out.split()[-1:]
    if version != [__version__]:
        raise HostError(
            f"{path} is of version {''.join(version)}, this is {__version__}: run the zbx-nvidia of that installation"
        )
    return Program(path, interpreter, modules)


def uncompiled(program: Program) -> list[tuple[Path, Path]]:
    """Modules that Python would compile at every poll: each with the file that is lacking."""
    if program.interpreter is None or not program.modules:
        return []
    done = system.run(str(program.interpreter), "-I", "-c", UNCOMPILED, *map(str, program.modules))
    if done.code:
        raise HostError(f"{program.interpreter}: {done.complaint}")
    return [(Path(source), Path(cache)) for source, cache in json.loads(done.out)]


def compile_modules(program: Program, sources: list[Path]) -> bool:
    """Have Python compile these; False where it cannot, as on a file system that cannot be written to."""
    if not sources:
        return True
    return system.run(str(program.interpreter), "-I", "-m", "compileall", "-q", *map(str, sources)).code == 0


class _Look:
    """Looks at files and every directory above them, each once."""

    def __init__(self, user: str, installation: Path | None) -> None:
        self.user, self.installation = user, installation
        try:
            entry = pwd.getpwnam(user)
        except KeyError:
            raise HostError(f"there is no user {user}, as which the Zabbix agent runs") from None
        self.uid = entry.pw_uid
        self.groups = frozenset(os.getgrouplist(user, entry.pw_gid))
        self.seen: set[Path] = set()

    def at(self, path: Path, needed: int = os.R_OK) -> None:
        """One file; through every link on the way to it."""
        for place in permissions.way(path):
            if place not in self.seen:
                self.seen.add(place)
                self._one(place, needed if place == path else 0)
        target = path.resolve()
        if target not in self.seen:
            self.seen.add(target)
            self._one(target, needed)

    def tree(self, top: Path) -> None:
        """A directory and all that is in it."""
        self.at(top, os.R_OK | os.X_OK)
        for folder, _, names in os.walk(top):
            self._one(Path(folder), os.R_OK | os.X_OK)
            for name in names:
                self._one(Path(folder) / name, os.R_OK)

    def _one(self, path: Path, needed: int) -> None:
        about = path.lstat()
        if stat.S_ISLNK(about.st_mode):
            # Whoever may not write to its directory cannot turn it elsewhere.
            return
        mode = about.st_mode
        if writer := permissions.writer(path, about):
            who, fix = writer
            raise HostError(
                f"{path} can be written to by {who}, who could have the agent run anything: {fix}, or {CURE}"
            )
        shift = 6 if about.st_uid == self.uid else 3 if about.st_gid in self.groups else 0
        needed = needed | os.X_OK if stat.S_ISDIR(mode) else needed
        if self.uid != 0 and needed & ~(mode >> shift) & 7:
            ours = self.installation
            # As an umask such as 027 has it made.
            cure = f"chmod -R go+rX {ours}, or " if ours and (path == ours or ours in path.parents) else ""
            raise HostError(
                f"{path} (mode {stat.S_IMODE(mode):04o}) cannot be read by the user {self.user}, as which the "
                f"Zabbix agent runs: {cure}{CURE}"
            )


def _interpreter(path: Path) -> Path | None:
    """What a script names in its first line, or in its second, where pip found the path too long for that."""
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
        raise HostError(f"{path}: its first line names no interpreter that is there: {CURE}")
    return Path(words[0])


def _modules(path: Path, interpreter: Path, user: str, look: _Look) -> tuple[Path, ...]:
    """The package and pynvml, looked at, with everything from which Python would take other ones."""
    code = installation.library(path) + MODULES
    done = system.run(str(interpreter), "-IB", "-c", code, user=user, timeout=20)
    if done.code:
        # What stands in that user's way may have a name. Root does not import what it has not looked at.
        for top in dict.fromkeys([interpreter.parent.parent, path.resolve().parent.parent]):
            for pattern in ("lib/python3*/*-packages/zbx_nvidia", "lib/*/zbx_nvidia"):
                for package in top.glob(pattern):
                    look.tree(package)
        raise HostError(
            f"{interpreter}: the user {user} cannot import zbx_nvidia and pynvml there: {done.complaint}; {CURE}"
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
