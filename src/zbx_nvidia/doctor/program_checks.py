"""The collector's program, and the document that it prints."""

from __future__ import annotations

import stat
import sys
from importlib.util import cache_from_source
from pathlib import Path
from typing import TYPE_CHECKING

import zbx_nvidia
from zbx_nvidia.collector.document import VERSION
from zbx_nvidia.collector.rendering import FILE_LIMIT, LARGE_FILE_LIMIT, PRINTED_LIMIT
from zbx_nvidia.doctor.checks import COLLECTOR, NOTE, Fault, Result, check, good, unseen
from zbx_nvidia.doctor.driver_checks import reader_may
from zbx_nvidia.host import installation, paths
from zbx_nvidia.zabbix_agent import find

if TYPE_CHECKING:
    from zbx_nvidia.doctor.host_state import HostState

# Nothing is removed before its successor is there, and no index is asked for a name that anybody may register.
INSTALL = (
    "\n    umask 022\n    {python} -m venv {folder}\n    {folder}/bin/pip install --force-reinstall {wheel}\nIf it "
    "came as zbx-nvidia.pyz, run this instead:\n    {python} zbx-nvidia.pyz unpack {folder}"
)

NO_PROGRAM = Fault(
    "missing",
    cause="{path} does not exist: this installation is incomplete.",
    fix=f"Install it again as root, in the directory of the file it came from:{INSTALL}",
)
PROGRAM_DENIED = Fault(
    "denied",
    cause="The user {user} cannot run {path}: {stop} denies access ({permissions}).",
    fix="Open it:\n    chmod {rights} {stop}",
)
PROGRAM_PRIVATE = Fault(
    "private",
    cause="The user {user} cannot run {path}: it is inside {stop}, which is private ({permissions}).",
    fix="Leave {stop} closed. Install the program again as root, where everybody can read and only root can write. Do "
    f"this in the directory of the file it came from:{INSTALL}\nThen switch the agent to the new program:\n    "
    "{folder}/bin/zbx-nvidia install-agent --mode {mode}",
)
PROGRAM_FAILS = Fault(
    "fails",
    cause="The user {user} ran {path}, which failed: {said}",
    fix="Install it again as root, with a Python that is on this host now, in the directory of the file it came from:"
    f"{INSTALL}",
)
UNCOMPILED = Fault(
    "uncompiled",
    cause="Python's compiled files are missing, and the user {user} may not write them. Each poll takes twice as long.",
    fix="Compile them once:\n    {python} -m compileall -q {package}",
    state=NOTE,
)


@check(
    "program",
    "zbx-nvidia-agent",
    COLLECTOR,
    NO_PROGRAM,
    PROGRAM_DENIED,
    PROGRAM_PRIVATE,
    PROGRAM_FAILS,
    UNCOMPILED,
    needs=("systemd",),
)
def program(host: HostState) -> Result:
    """Can the user that reads the driver run the program, and has Python compiled it?"""
    path = host.program
    folder = installation.folder(path)
    if not path.is_file():
        raise NO_PROGRAM(path=path, **_install_names(folder))
    if host.acts_as_reader and not reader_may(host, path, "-x"):
        _raise_for_closed_path(host, path, folder)
    if host.root_is_reader:
        return unseen(f"{path}; root runs the agent, and the doctor never runs this as root")
    done = host.as_user(host.reader, str(path), "--version")
    if done.code and not host.acts_as_reader:
        return unseen(f"{host.user} cannot run it; only root sees whether {host.reader} can: use sudo")
    if done.code:
        names = _install_names(folder)
        raise PROGRAM_FAILS(f"it fails: {done.complaint}", path=path, user=host.reader, said=done.complaint, **names)
    if installation.archive():
        # The unpacked copy was compiled at that time. This process was loaded from the archive instead.
        return good(f"{path}, as {host.acting_user}")
    package = Path(zbx_nvidia.__file__).parent
    compiled = Path(cache_from_source(str(package / "collector" / "collect.py")))
    if not compiled.exists() and not _reader_may_compile(host, package):
        raise UNCOMPILED("not compiled", user=host.reader, python=sys.executable, package=package)
    return good(f"{path}, as {host.acting_user}")


def _raise_for_closed_path(host: HostState, path: Path, folder: Path | None) -> None:
    """Raises a fault for the first directory that stops the reader, or the program itself."""
    for stop in (*reversed(path.parents), path):
        if reader_may(host, stop, "-x"):
            continue
        text = f"{host.reader} cannot run it"
        permissions = f"mode {stat.S_IMODE(stop.stat().st_mode):04o}"
        if folder is None or not stop.is_relative_to(folder):
            names = _install_names(None)
            raise PROGRAM_PRIVATE(
                text, path=path, user=host.reader, stop=stop, permissions=permissions, mode=host.mode, **names
            )
        # If a umask closed one directory, it closed all of them.
        rights = "o+rx" if stop == path else "-R go+rX"
        raise PROGRAM_DENIED(text, path=path, user=host.reader, stop=stop, permissions=permissions, rights=rights)


def _install_names(folder: Path | None) -> dict[str, object]:
    """The names in the commands that install it."""
    # A virtual environment names the Python that made it: a host's python3 may be too old.
    python = str(getattr(sys, "_base_executable", "")) or sys.executable
    wheel = f"zbx_nvidia-{zbx_nvidia.__version__}-py3-none-any.whl"
    return {"python": python, "folder": folder or Path(paths.PROGRAM).parents[1], "wheel": wheel}


def _reader_may_compile(host: HostState, package: Path) -> bool:
    """Whether Python can write there when the reader runs it."""
    return host.acts_as_reader and reader_may(host, package / "collector", "-w")


NO_DOCUMENT = Fault(
    "none",
    cause="The user {user} ran zbx-nvidia-agent get, and it gave no document: {why}",
    fix="Run it yourself:\n    runuser -u {user} -- {path} get | head -c 300\nIf text comes before the document, such "
    "as a greeting from a shell's start file, remove what prints it.",
)
OTHER_VERSION = Fault(
    "version",
    cause="The document has version {found}, but the template of this package needs version {own}. Two versions of "
    "zbx-nvidia are installed.",
    fix="Install the same version everywhere. If the service still runs the old one, a restart is enough:\n"
    "{collector.restart}",
)
TOO_LARGE = Fault(
    "large",
    cause="The document has {size} bytes. The agent takes no more than {limit} bytes.",
    fix="Report this with the document: it must never happen.",
)
TOO_LARGE_A_FILE = Fault(
    "large_file",
    cause="The document of the service has {size} bytes, and {name} is older than 7.0: it reads no "
    "larger file than {limit} bytes.",
    fix=f"Remove `large = yes` from {paths.CONFIG} if it is there. Then adapt the service to the agent:\n"
    "    zbx-nvidia install-agent --mode resident\n{collector.restart}",
)


@check("document", "Document", COLLECTOR, NO_DOCUMENT, OTHER_VERSION, TOO_LARGE, TOO_LARGE_A_FILE, needs=("program",))
def document(host: HostState) -> Result:
    """Does the program print, or the service write, a document of this version that is not too large?"""
    if host.root_is_reader:
        return unseen(f"{host.reader} runs the agent, and the doctor never reads the driver as root")
    collected = host.collected
    if collected.document is None and not host.acts_as_reader:
        return unseen(f"{host.user} gets none; only root sees whether {host.reader} does: use sudo")
    if collected.document is None:
        raise NO_DOCUMENT(collected.why, user=host.reader, why=collected.why, path=host.program)
    version = collected.document.get("version")
    if version != VERSION:
        raise OTHER_VERSION(found=version, own=VERSION)
    size = len(collected.text.encode())
    collector = collected.document["collector"]
    # The service writes no larger file than its configuration allows.
    limit = LARGE_FILE_LIMIT if collector.get("mode") == "resident" else PRINTED_LIMIT
    if size > limit:
        raise TOO_LARGE(size=size, limit=limit)
    # The file ends with a line break.
    is_large = size >= FILE_LIMIT and collector.get("mode") == "resident"
    if is_large and host.agents and 0 < find.major(host.agent) < find.LARGE_FILES:
        raise TOO_LARGE_A_FILE(name=host.agent.name, size=size, limit=FILE_LIMIT)
    return good(f"{size} bytes, {collector.get('mode')}, of zbx-nvidia {collector.get('version')}")
