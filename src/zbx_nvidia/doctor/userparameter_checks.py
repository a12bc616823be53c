"""The agent's entry for nvidia.get: which file defines it, what it runs or reads, and whether the agent allows it."""

from __future__ import annotations

import contextlib
import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from zbx_nvidia.catalog.entities import DOCUMENT
from zbx_nvidia.doctor.checks import AGENT, Fault, Result, check, good, unseen
from zbx_nvidia.doctor.host_state import COLLECTS_WITHIN, RESIDENT, HostState, document_in, target_of
from zbx_nvidia.errors import HostError
from zbx_nvidia.host import reading, system
from zbx_nvidia.zabbix_agent import config, find, key_rules
from zbx_nvidia.zabbix_agent.config import KINDS

if TYPE_CHECKING:
    from zbx_nvidia.zabbix_agent.config import Statement

LARGEST = 1 << 16  # bytes of a file that could be a configuration
NOT_FOUND = 127  # exit code of a shell that does not find the command
NOT_READ = "{file} defines nvidia.get, but {name} does not read that file: it reads {includes}."
WRITE_AGAIN = "\n    zbx-nvidia install-agent --mode {mode}"
WRITE_FOR_AGENT = "\n    zbx-nvidia install-agent --agent {kind} --mode {mode}"

FILE_NOT_READ = Fault(
    "unread",
    cause=NOT_READ,
    fix="Move the file to where the agent reads it, then restart the agent:\n    mv {file} {place}\n{agent.restart}",
)
NO_PLACE = Fault(
    "no-place",
    cause=NOT_READ,
    fix=f"Write a file where the agent reads it, as root:{WRITE_FOR_AGENT}",
)
FILE_OF_OTHER_AGENT = Fault(
    "others",
    cause="{file} defines nvidia.get for {other}, but {name} has no entry for nvidia.get.",
    fix=f"Add one for this agent too, as root:{WRITE_FOR_AGENT}",
)
FILE_CLOSED = Fault(
    "closed",
    cause="The user {user} may not read {file}, so the agent does not start, or has no entry for nvidia.get.",
    fix="Make the file readable, then restart the agent:\n    chmod 0644 {file}\n{agent.restart}",
)
NO_ENTRY = Fault(
    "none",
    cause="{name} has no entry for nvidia.get.",
    fix=f"Add it, as root:{WRITE_AGAIN}",
)


@check(
    "userparameter",
    "UserParameter file",
    AGENT,
    FILE_NOT_READ,
    NO_PLACE,
    FILE_OF_OTHER_AGENT,
    FILE_CLOSED,
    NO_ENTRY,
    needs=("agent", "config"),
)
def userparameter(host: HostState) -> Result:
    """Does a file that the agent reads define nvidia.get, by a UserParameter or Alias line?"""
    agent = host.agent
    if not host.entries:
        _raise_for_missing_entry(host, agent)
    file = host.entries[0].file
    if host.root and not system.may_read(file, agent.user):
        raise FILE_CLOSED(user=agent.user, file=file)
    return good(host.entries[0].location)


def _raise_for_missing_entry(host: HostState, agent: find.Agent) -> None:
    file = _unread_file(host)
    if file is None:
        raise NO_ENTRY("no entry for nvidia.get", name=agent.name, mode=host.mode)
    if other := _reader(host, file):
        text = f"{file} is for {other.name}"
        raise FILE_OF_OTHER_AGENT(text, file=file, other=other.name, name=agent.name, kind=agent.kind, mode=host.mode)
    text = f"{file} is not read"
    includes = ", ".join(include.value for include in host.configuration.includes) or "no other files"
    place = find.drop_in(agent)
    if place is not None and not place.exists():
        raise FILE_NOT_READ(text, file=file, name=agent.name, includes=includes, place=place)
    raise NO_PLACE(text, file=file, name=agent.name, includes=includes, kind=agent.kind, mode=host.mode)


def _unread_file(host: HostState) -> Path | None:
    """A file beside the configuration that defines nvidia.get, and that the agent does not read."""
    read = set(host.configuration.files)
    folder = host.agent.config.parent
    # Not all of /etc, where some distributions put the main file.
    folders = [folder] if "zabbix" in folder.name else sorted(folder.glob("zabbix*"))
    for path in sorted(path for one in folders for path in one.rglob("*")):
        try:
            if path in read or not path.is_file() or path.stat().st_size > LARGEST:
                continue
            text = reading.read(path, LARGEST, links=True).decode("utf-8", "replace")
        except OSError:
            continue
        if re.search(rf"^\s*(UserParameter|Alias)\s*=\s*{re.escape(DOCUMENT)}\s*[,:]", text, re.MULTILINE):
            return path
    return None


def _reader(host: HostState, file: Path) -> find.Agent | None:
    """Another agent of this host, of either kind, that reads a file."""
    for kind in KINDS:
        with contextlib.suppress(HostError):
            for other in find.find(kind):
                if other.config != host.agent.config and file in config.read(other.config, kind).files:
                    return other
    return None


EDIT = "    editor {file}\n{agent.restart}"
SHADOWED = Fault(
    "beaten",
    cause="nvidia.get is both an Alias ({alias}) and a UserParameter ({other}). The agent silently uses the Alias and "
    "ignores the UserParameter.",
    fix=f"Keep the one that you want, remove the other, and restart the agent:\n{EDIT}",
)
TWICE = Fault(
    "twice",
    cause="nvidia.get is defined twice, at {first} and {second}. The agent does not start with this.",
    fix=f"Remove one of them, then restart the agent:\n{EDIT}",
)


@check("claims", "One nvidia.get entry", AGENT, SHADOWED, TWICE, needs=("userparameter",))
def entries(host: HostState) -> Result:
    """Is there only one entry for nvidia.get? An Alias overrides a UserParameter; two UserParameters are an error."""
    first, *others = host.entries
    if not others:
        return good(f"as {first.name}")
    aliases = [line for line in host.entries if line.name == "Alias"]
    plain = [line for line in host.entries if line.name != "Alias"]
    if aliases and plain:
        text = "an Alias overrides a UserParameter"
        raise SHADOWED(text, alias=aliases[0].location, other=plain[0].location, file=plain[0].file)
    second = others[0].location
    raise TWICE(f"also at {second}", first=first.location, second=second, file=others[0].file)


NO_SUCH_COMMAND = Fault(
    "missing",
    cause="{at} runs {command}, which does not exist.",
    fix=f"Write the entry again, with the program of this installation:{WRITE_AGAIN}",
)
COMMAND_FAILS = Fault(
    "fails",
    cause="The user {user} ran the command of {at}, and it gave no document: {said}",
    fix="Run the command yourself to see the error. Then correct the entry, or write it again:\n    runuser -u {user} "
    f"-- sh -c '{{command}}' | head -c 300{WRITE_AGAIN}",
)
OTHER_FILE = Fault(
    "elsewhere",
    cause="The agent reads {path} ({at}), but the service writes {file}.",
    fix="Set both to the same file: the Alias line, or `document` in /etc/zbx-nvidia/agent.conf. Then restart both:"
    "\n    zbx-nvidia install-agent --mode resident\n{collector.restart}\n{agent.restart}",
)
NOT_A_FILE = Fault(
    "not-a-file",
    cause="{at} makes nvidia.get an alias of {target}, which is not vfs.file.contents[...].",
    fix="Write the entry again:\n    zbx-nvidia install-agent --mode resident",
)


@check(
    "command",
    "nvidia.get command",
    AGENT,
    NO_SUCH_COMMAND,
    COMMAND_FAILS,
    OTHER_FILE,
    NOT_A_FILE,
    needs=("claims", "program"),
)
def command(host: HostState) -> Result:
    """Does the UserParameter's command print the document, or does the Alias lead to the service's file?"""
    line = host.entries[0]
    if host.mode == RESIDENT:
        path = _aliased_file(line)
        if path is None:
            raise NOT_A_FILE(at=line.location, target=target_of(line))
        # /var/run is a link to /run.
        if path.resolve() != host.file.resolve():
            raise OTHER_FILE(at=line.location, path=path, file=host.file)
        return good(f"reads {path}")
    target = target_of(line)
    if target == f"{host.program} get":
        return good(target)
    try:
        program = Path(shlex.split(target)[0])
    except (ValueError, IndexError):
        program = Path(target.partition(" ")[0])
    if program.is_absolute() and not program.exists():
        raise NO_SUCH_COMMAND(f"{program} does not exist", at=line.location, command=program, mode=host.mode)
    user = host.agent.user
    if user == "root":
        return unseen("the agent runs as root, and the doctor never reads the driver as root")
    done = host.as_user(user, "sh", "-c", target, timeout=COLLECTS_WITHIN)
    if done.code == NOT_FOUND:
        raise NO_SUCH_COMMAND("command not found", at=line.location, command=program, mode=host.mode)
    if document_in(done.out) is None:
        said = done.complaint
        raise COMMAND_FAILS(said, at=line.location, user=user, said=said, command=target, mode=host.mode)
    return good(target)


def _aliased_file(line: Statement) -> Path | None:
    """The file that an Alias leads to."""
    key = re.fullmatch(r"vfs\.file\.contents\[\s*\"?([^\",\]]+)\"?\s*(?:,[^\]]*)?\]", target_of(line))
    return Path(key[1].strip()) if key else None


DENIED = Fault(
    "denied",
    cause="{rule}={pattern} at {at} denies {key}, which the agent needs for nvidia.get.",
    fix="The first rule that matches decides. Add this one before it:\n    AllowKey={key}\nThen restart the agent:\n"
    "{agent.restart}",
)


@check("keys", "AllowKey and DenyKey", AGENT, DENIED, needs=("userparameter",))
def keys(host: HostState) -> Result:
    """Do the agent's rules allow nvidia.get, or the key that its Alias leads to?"""
    entry = host.entries[0]
    key = target_of(entry) if entry.name == "Alias" else DOCUMENT
    rule = key_rules.denies(host.configuration, key)
    if rule is not None:
        at = rule.location
        raise DENIED(f"{rule.value} is denied at {at}", rule=rule.name, pattern=rule.value, at=at, key=key)
    count = sum(line.name in key_rules.RULES for line in host.configuration.statements)
    return good(f"{count} rules, none denies it" if count else "no rules")
