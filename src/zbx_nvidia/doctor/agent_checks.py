"""The links from the document to the agent's answer: its configuration, the service, the agent, who may ask."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shlex
import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zbx_nvidia.catalog.entities import DOCUMENT
from zbx_nvidia.doctor.checks import NOTE, Chain, Fault, Seen, good, unchecked, unseen, wrong
from zbx_nvidia.doctor.host_state import COLLECTS_WITHIN, RESIDENT, Scene, parsed, span, there, told, where
from zbx_nvidia.errors import HostError
from zbx_nvidia.host import installation, system
from zbx_nvidia.zabbix_agent import config, find, key_rules, log, processes, verify
from zbx_nvidia.zabbix_agent.config import KINDS
from zbx_nvidia.zabbix_agent.passive_check import (
    CannotAskError,
    ClosedError,
    DroppedError,
    EncryptionError,
    UnreachableError,
    UnsupportedError,
    ask,
)

if TYPE_CHECKING:
    from zbx_nvidia.zabbix_agent.config import Statement

AGENT = "Zabbix agent"
ASKED = "Zabbix server"  # as which the agent sees whoever asks
READ = ("agent", "config")
SLOW_CLOCK = 2.0  # s: the kernel tells the start of the host in whole seconds
PATIENCE = 5.0  # s for an answer that takes no time
LARGEST = 1 << 16  # bytes of a file that could be a configuration
DAY = 86_400.0
OFTEN = 2  # refusals of one address: a server comes again, who scans the network seldom does
OWN_STATUS = 1000  # from here on a status is the collector's, below NVML's
NOT_FOUND = 127  # of a shell that finds no such command
NO_TOOL = "this host cannot ask with a key: install zabbix-get to see this"

CHAIN: Chain[Scene] = Chain()
link = CHAIN.link


@link(
    "agent",
    "Agent installed",
    AGENT,
    Fault(
        "none",
        "There is no Zabbix agent on this host.",
        "Install one, then let it serve the GPUs:\n    apt install zabbix-agent    # or zabbix-agent2\n    zbx-nvidia "
        "install-agent --mode {mode}",
    ),
    Fault(
        "others",
        "An agent that others than root can change is left alone: {said}.",
        "Give it back to root, after a look at what it says:\n    {command}",
    ),
    Fault(
        "container",
        "There is no Zabbix agent on this host, but {name} runs in a container (process {pid}).",
        "Run the resident collector here, and give the container the directory of its document; or look from within "
        "the container:\n    docker run -v /run/zbx-nvidia:/run/zbx-nvidia:ro ...",
    ),
    Fault(
        "both",
        "More than one agent is on this host; this is about {name}, with {config}.",
        "For the other:\n    zbx-nvidia doctor --agent {other}",
        NOTE,
    ),
    needs=("systemd",),
)
def installed(scene: Scene) -> Seen:
    """Which Zabbix agent this host has: the one that runs, or would; of two, the one that knows nvidia.get."""
    if isinstance(scene.hidden, OSError):
        return unchecked(f"{scene.hidden.filename}: {scene.hidden.strerror}: use sudo")
    if scene.hidden is not None:
        raise scene.hidden
    if not scene.agents:
        if refusal := scene.refusal:
            said, _, command = refusal.rpartition(": ")
            raise wrong("others", said, said=said, command=command)
        for name, pid in processes.in_containers():
            raise wrong("container", name=name, pid=pid)
        raise wrong("none", "none found", mode=scene.way)
    agent = scene.agent
    others = [one for one in scene.agents[1:] if one.kind != agent.kind]
    if others:
        raise wrong(
            "both", f"{agent.name}, and another one", name=agent.name, config=agent.config, other=others[0].kind
        )
    return good(f"{agent.name} as {agent.user}, {agent.config}")


@link(
    "config",
    "Agent's configuration",
    AGENT,
    Fault("unreadable", "{said}", "Look again as root:\n    sudo zbx-nvidia doctor"),
    Fault(
        "broken",
        "The agent cannot start with its configuration: {said}",
        "Put that line right, and restart the agent:\n    systemctl restart {unit}",
    ),
    needs=("agent",),
)
def configured(scene: Scene) -> Seen:
    """Whether every file of it can be read, and every line is one."""
    try:
        found = scene.configuration
    except HostError as error:
        raise wrong("unreadable", said=error) from None
    closed = [problem for problem in found.problems if problem.endswith(os.strerror(errno.EACCES))]
    for problem in found.problems:
        if scene.root or problem not in closed:
            raise wrong("broken", problem, said=problem, unit=scene.unit)
    if closed:
        raise wrong("unreadable", closed[0], said=closed[0])
    return good(f"{len(found.files)} file{'s' * (len(found.files) != 1)}")


@link(
    "userparameter",
    "UserParameter file",
    AGENT,
    Fault(
        "unread",
        "{file} says what nvidia.get is, but {name} does not read that file: it reads {includes}.",
        "Put it where the agent looks, and restart it:\n    mv {file} {place}\n    systemctl restart {unit}",
    ),
    Fault(
        "no-place",
        "{file} says what nvidia.get is, but {name} does not read that file: it reads {includes}.",
        "Have a file written where the agent reads it, as root:\n    zbx-nvidia install-agent --agent {kind} --mode "
        "{mode}",
    ),
    Fault(
        "others",
        "{file} says what nvidia.get is, and is read by {other}; {name} is told nothing of it.",
        "Have this agent told too, as root:\n    zbx-nvidia install-agent --agent {kind} --mode {mode}",
    ),
    Fault(
        "closed",
        "The user {user} may not read {file}, so the agent does not start, or does not know nvidia.get.",
        "Open the file, and restart the agent:\n    chmod 0644 {file}\n    systemctl restart {unit}",
    ),
    Fault(
        "none",
        "{name} is told nothing of nvidia.get.",
        "Have it told, as root:\n    zbx-nvidia install-agent --mode {mode}",
    ),
    needs=READ,
)
def told_at_all(scene: Scene) -> Seen:
    """Whether a file that the agent reads says what nvidia.get is: a UserParameter line, or an Alias line."""
    agent = scene.agent
    if not scene.claims:
        stray = _stray(scene)
        names: dict[str, object] = {"file": stray, "name": agent.name, "kind": agent.kind, "mode": scene.way}
        if stray is None:
            raise wrong("none", "no line for nvidia.get", **names)
        if other := _reader(scene, stray):
            raise wrong("others", f"{stray} is {other.name}'s", other=other.name, **names)
        includes = ", ".join(include.value for include in scene.configuration.includes) or "no other files"
        place = find.drop_in(agent)
        fits = place is not None and not place.exists()
        key = "unread" if fits else "no-place"
        raise wrong(key, f"{stray} is not read", includes=includes, place=place, unit=scene.unit, **names)
    file = scene.claims[0].file
    if scene.root and agent.user != "root" and system.run("test", "-r", str(file), user=agent.user).code:
        raise wrong("closed", user=agent.user, file=file, unit=scene.unit)
    return good(where(scene.claims[0]))


def _stray(scene: Scene) -> Path | None:
    """A file beside the configuration that was meant to be read."""
    read = set(scene.configuration.files)
    folder = scene.agent.config.parent
    # Not all of /etc, where some distributions put the main file.
    folders = [folder] if "zabbix" in folder.name else sorted(folder.glob("zabbix*"))
    for path in sorted(path for one in folders for path in one.rglob("*")):
        try:
            if path in read or not path.is_file() or path.stat().st_size > LARGEST:
                continue
            text = path.read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        if re.search(rf"^\s*(UserParameter|Alias)\s*=\s*{re.escape(DOCUMENT)}\s*[,:]", text, re.MULTILINE):
            return path
    return None


def _reader(scene: Scene, file: Path) -> find.Agent | None:
    """Another agent of this host, of either kind, that reads a file."""
    for kind in KINDS:
        with contextlib.suppress(HostError):
            for other in find.find(kind):
                if other.config != scene.agent.config and file in config.read(other.config, kind).files:
                    return other
    return None


@link(
    "claims",
    "One line for nvidia.get",
    AGENT,
    Fault(
        "beaten",
        "nvidia.get is both an Alias ({alias}) and a UserParameter ({other}): the Alias wins without a word, and the "
        "other line does nothing.",
        "Keep the one that you want, remove the other, and restart the agent:\n    {edit}\n    systemctl restart "
        "{unit}",
    ),
    Fault(
        "twice",
        "nvidia.get is claimed twice, at {first} and {second}: the agent does not start with that.",
        "Remove one of them, and restart the agent:\n    {edit}\n    systemctl restart {unit}",
    ),
    needs=("userparameter",),
)
def claimed_once(scene: Scene) -> Seen:
    """Whether nvidia.get is one line alone: an Alias beats a UserParameter, and a second UserParameter is an error."""
    first, *others = scene.claims
    if not others:
        return good(f"as {first.name}")
    aliases = [line for line in scene.claims if line.name == "Alias"]
    plain = [line for line in scene.claims if line.name != "Alias"]
    unit = scene.unit
    if aliases and plain:
        raise wrong(
            "beaten",
            "an Alias beats a UserParameter",
            alias=where(aliases[0]),
            other=where(plain[0]),
            edit=f"editor {plain[0].file}",
            unit=unit,
        )
    edit = f"editor {others[0].file}"
    raise wrong(
        "twice", f"also at {where(others[0])}", first=where(first), second=where(others[0]), edit=edit, unit=unit
    )


@link(
    "command",
    "What nvidia.get does",
    AGENT,
    Fault(
        "missing",
        "{at} names {command}, which is not there.",
        "Have the line written anew, with the program that is there:\n    zbx-nvidia install-agent --mode {mode}",
    ),
    Fault(
        "fails",
        "The command of {at}, run by the user {user}, gives no document: {said}",
        "Run it yourself and see, then put the line right, or have it written anew:\n    runuser -u {user} -- sh -c "
        "'{command}' | head -c 300\n    zbx-nvidia install-agent --mode {mode}",
    ),
    Fault(
        "elsewhere",
        "{at} has the agent read {told}, but the service writes {file}.",
        "Let both name the same file: the Alias line, or `document` in /etc/zbx-nvidia/agent.conf. Then restart "
        "both:\n    zbx-nvidia install-agent --mode resident\n    systemctl restart zbx-nvidia {unit}",
    ),
    Fault(
        "not-a-file",
        "{at} makes nvidia.get an alias of {told}, which is not vfs.file.contents[...].",
        "Have the line written anew:\n    zbx-nvidia install-agent --mode resident",
    ),
    needs=("claims", "program"),
)
def leads_to_the_document(scene: Scene) -> Seen:
    """Whether the command of the UserParameter prints the document, or the Alias leads to the service's file."""
    line = scene.claims[0]
    if scene.way == RESIDENT:
        path = _file_of(line)
        if path is None:
            raise wrong("not-a-file", at=where(line), told=told(line))
        # /var/run is a link to /run.
        if path.resolve() != scene.file.resolve():
            raise wrong("elsewhere", at=where(line), told=path, file=scene.file, unit=scene.unit)
        return good(f"reads {path}")
    command = told(line)
    if command == f"{scene.program} get":
        return good(command)
    try:
        program = Path(shlex.split(command)[0])
    except (ValueError, IndexError):
        program = Path(command.partition(" ")[0])
    if program.is_absolute() and not program.exists():
        raise wrong("missing", f"{program} is not there", at=where(line), command=program, mode=scene.way)
    if scene.agent.user == "root":
        return unseen("the agent runs as root, and the doctor asks nothing as root")
    done = scene.as_user(scene.agent.user, "sh", "-c", command, timeout=COLLECTS_WITHIN)
    if done.code == NOT_FOUND:
        raise wrong("missing", "command not found", at=where(line), command=program, mode=scene.way)
    if parsed(done.out) is None:
        said = done.complaint
        raise wrong("fails", said, at=where(line), user=scene.agent.user, said=said, command=command, mode=scene.way)
    return good(command)


def _file_of(line: Statement) -> Path | None:
    """What an Alias has the agent read."""
    found = re.fullmatch(r"vfs\.file\.contents\[\s*\"?([^\",\]]+)\"?\s*(?:,[^\]]*)?\]", told(line))
    return Path(found[1].strip()) if found else None


@link(
    "keys",
    "AllowKey and DenyKey",
    AGENT,
    Fault(
        "denied",
        "{rule}={pattern} at {at} forbids {key}, which the agent needs for nvidia.get.",
        "The first rule that fits decides: put this one before it, and restart the agent:\n    AllowKey={key}\n    "
        "systemctl restart {unit}",
    ),
    needs=("userparameter",),
)
def allowed(scene: Scene) -> Seen:
    """Whether the agent's rules let nvidia.get pass, or what its Alias leads to."""
    key = told(scene.claims[0]) if scene.claims[0].name == "Alias" else DOCUMENT
    line = key_rules.denies(scene.configuration, key)
    if line is not None:
        at = where(line)
        raise wrong(
            "denied",
            f"{line.value} is denied at {at}",
            rule=line.name,
            pattern=line.value,
            at=at,
            key=key,
            unit=scene.unit,
        )
    count = sum(line.name in key_rules.RULES for line in scene.configuration.statements)
    return good(f"{count} rules, none against it" if count else "no rules")


@link(
    "psk",
    "Pre-shared key",
    AGENT,
    Fault(
        "incomplete",
        "The agent is to encrypt with a key, but {missing}= is not set.",
        "Set TLSPSKIdentity= and TLSPSKFile=, or have it done:\n    zbx-nvidia install-agent --mode {mode} --psk",
    ),
    Fault(
        "missing",
        "The key's file {file} is not there.",
        "Make one, and give Zabbix the same key:\n    zbx-nvidia install-agent --mode {mode} --psk",
    ),
    Fault(
        "closed",
        "The user {user} may not read the key's file {file}.",
        "Give the file to the agent's user alone, and restart the agent:\n    chown {user} {file} && chmod 0400 {file}"
        "\n    systemctl restart {unit}",
    ),
    Fault(
        "bad",
        "The key in {file} is {problem}.",
        "Make a new one, and give Zabbix the same (add-host --psk-file):\n    openssl rand -hex 32 > {file}\n    "
        "systemctl restart {unit}",
    ),
    Fault(
        "open",
        "Everybody on this host can read the key in {file} ({mode}).",
        "Close it; who has read it can pretend to be this host:\n    chmod 0400 {file}",
        NOTE,
    ),
    needs=READ,
)
def key(scene: Scene) -> Seen:
    """Where TLSAccept or TLSConnect names psk: identity and key's file, readable for the agent's user, long enough."""
    found = scene.configuration
    words = f"{found.last('TLSAccept')},{found.last('TLSConnect')}".split(",")
    if "psk" not in [word.strip() for word in words]:
        return unseen("not used")
    for name in ("TLSPSKIdentity", "TLSPSKFile"):
        if not found.last(name):
            raise wrong("incomplete", missing=name, mode=scene.way)
    file = Path(found.last("TLSPSKFile"))
    user = scene.agent.user
    if not scene.root and scene.me != user:
        return unseen("only root can see it: use sudo")
    if not there(file):
        raise wrong("missing", file=file, mode=scene.way)
    if user != "root" and system.run("test", "-r", str(file), user=user).code:
        raise wrong("closed", user=user, file=file, unit=scene.unit)
    if problem := config.key_problem(file.read_text(encoding="ascii", errors="replace")):
        raise wrong("bad", problem, file=file, problem=problem, unit=scene.unit)
    mode = file.stat().st_mode & 0o777
    if mode & 0o004:
        raise wrong("open", "everybody can read it", file=file, mode=f"{mode:04o}")
    return good(f"identity {found.last('TLSPSKIdentity')}")


@link(
    "running",
    "Agent running",
    AGENT,
    Fault(
        "stopped",
        "{name} does not run.",
        "Start it, now and with the host:\n    systemctl enable --now {unit}",
    ),
    Fault(
        "failed",
        "{name} does not run; its last words: {said}",
        "Put that right, and start it:\n    systemctl restart {unit}",
    ),
    Fault(
        "container",
        "{name} does not run on this host; one runs in a container (process {pid}).",
        "Start that of this host, or look from within the container:\n    systemctl enable --now {unit}",
    ),
    needs=READ,
)
def running(scene: Scene) -> Seen:
    """Whether the agent with this configuration runs."""
    process = scene.running
    if process is not None:
        return good(f"process {process.pid}, for {span(time.time() - process.started)}")
    agent = scene.agent
    for _, pid in processes.in_containers():
        raise wrong("container", name=agent.name, pid=pid, unit=scene.unit)
    if scene.root and agent.unit and _failed(agent.unit):
        said = log.last_words(agent, scene.configuration)
        if said:
            raise wrong("failed", said, name=agent.name, said=said, unit=scene.unit)
    raise wrong("stopped", name=agent.name, unit=scene.unit)


def _failed(unit: str) -> bool:
    """Whether it has ended by itself: systemd counts an agent that ends for its key's sake as a success."""
    shown = system.run("systemctl", "show", "--property=ActiveState,Result,NRestarts,UnitFileState", unit).out
    return "ActiveState=failed" in shown or "activating" in shown or "Result=success" not in shown


@link(
    "reloaded",
    "Restarted since",
    AGENT,
    Fault(
        "older",
        "{file} was changed {changed} ago, and the agent has run for {age}: it does not know of the change.",
        "Restart it:\n    systemctl restart {unit}",
    ),
    Fault(
        "perhaps",
        "{file} was changed {changed} ago, and the agent has run for {age}. Whether it has read all of it since cannot "
        "be seen from here.",
        "To be sure, restart it:\n    systemctl restart {unit}",
        NOTE,
    ),
    needs=("running",),
    outvoted_by=("answer",),
)
def reloaded(scene: Scene) -> Seen:
    """Whether the agent was started after the last change of its files, or has read UserParameter lines anew since."""
    process = scene.running
    if process is None:
        return unchecked("it does not run")
    changed = {path: path.stat().st_ctime for path in scene.configuration.files}
    paths = sorted(changed, key=lambda path: changed[path], reverse=True)
    newer = [path for path in paths if changed[path] > process.started + SLOW_CLOCK]
    if not newer:
        return good(f"after the last change, of {paths[0].name}")

    def since(kind: str, path: Path) -> Exception:
        ago, age = span(time.time() - changed[path]), span(time.time() - process.started)
        said = f"{path} is newer than the process"
        return wrong(kind, said, file=path, unit=scene.unit, changed=ago, age=age)

    written = log.lines(scene.agent, scene.configuration) if scene.root or scene.me == scene.agent.user else []
    if not log.reaches(written, changed[newer[-1]]):
        raise since("perhaps", newer[0])
    again = log.reloaded(written)
    for path in newer:
        if changed[path] > again:
            raise since("older", path)
    for path in newer:
        # The agent reads nothing else anew: an Alias line is as it was when it was started.
        if any(line.name != "UserParameter" for line in scene.configuration.statements if line.file == path):
            raise since("perhaps", path)
    return good(f"it has read its UserParameter lines anew since, of {newer[0].name}")


@link(
    "port",
    "Agent's port",
    AGENT,
    Fault(
        "closed",
        "The agent runs, but nobody answers at {address}:{port}: {said}",
        "See ListenIP= and ListenPort= in the agent's configuration, and what it says:\n    ss -ltnp | grep "
        ":{port}\n    "
        "journalctl -u {unit} -n 20",
    ),
    Fault(
        "other",
        "At {address}:{port} another program answers, not a Zabbix agent.",
        "See which, and give one of them another port (ListenPort=):\n    ss -ltnp | grep :{port}",
    ),
    Fault(
        "encryption",
        "The agent refuses a connection that is encrypted with its own key: {said}",
        "The key or its identity was changed after the agent was started. Restart it:\n    systemctl restart {unit}",
    ),
    needs=("running", "psk"),
    outvoted_by=("values",),
)
def listening(scene: Scene) -> Seen:
    """Whether the agent answers agent.ping on its port; with its own key, where it takes no plain questions."""
    place = verify.listens_at(scene.configuration)
    if place is None:
        return unseen("it takes no questions (StartAgents=0): it calls the server")
    address, port = place
    names: dict[str, object] = {"address": address, "port": port, "unit": scene.unit}
    try:
        psk = verify.psk(scene.configuration)
    except HostError as error:
        return unseen(str(error))
    if psk is not None and not scene.root:
        return unseen("only root can read the key that it wants: use sudo")
    try:
        ask(address, port, "agent.ping", timeout=PATIENCE, psk=psk)
    except CannotAskError:
        return unseen(NO_TOOL)
    except (DroppedError, EncryptionError) as error:
        # Agent 2 looks at Server= before it talks of encryption.
        closed = isinstance(error, ClosedError) and not verify.allows(scene.configuration.last("Server"), address)
        if closed or isinstance(error, DroppedError):
            return good(f"{address}:{port}; this host itself may not ask")
        raise wrong("encryption", "", said=error, **names) from None
    except UnreachableError as error:
        said = str(error)
        raise wrong("other" if "does not speak" in said else "closed", said, said=said, **names) from None
    return good(f"{address}:{port}{' with its key' if psk else ''}")


SELINUX = re.compile(r'avc:\s+denied.*(?:comm="?zabbix_agent|scontext=\S*zabbix)')
# What it takes to have the document: the program, its Python, the shell that starts it, and the devices.
RELATED = r'nvidia|python|document\.json|"(/[^ "]*/)?(sh|dash|bash|env)"'  # for grep -E too
OURS = re.compile(RELATED, re.IGNORECASE)
APPARMOR = re.compile(r'apparmor="DENIED".*(?:profile="[^"]*zabbix|comm="zabbix_agent)')


@link(
    "denials",
    "SELinux and AppArmor",
    AGENT,
    Fault(
        "selinux",
        "SELinux denies the agent something: {said}",
        "Give the program its usual label, and restart the agent:\n    restorecon -R {folder}\n    systemctl restart "
        "{unit}\nIf it is denied still, make a rule of that, and of nothing else:\n    ausearch -m avc -ts today | "
        f"grep zabbix | grep -iE '{RELATED}' | audit2allow -M zbx-nvidia\n    cat zbx-nvidia.te\nand load it if it "
        "allows no more than you want:\n    semodule -i zbx-nvidia.pp",
    ),
    Fault(
        "apparmor",
        "AppArmor denies the agent something: {said}",
        "Allow it in the profile's local part, and load that:\n    editor /etc/apparmor.d/local/usr.sbin.{name}\n    "
        "systemctl reload apparmor",
    ),
    Fault(
        "other",
        "SELinux or AppArmor denies the agent something that looks as if it had nothing to do with the GPUs: {said}",
        "If items of other templates fail, see all denials:\n    journalctl --dmesg | grep -i denied\n    ausearch -m "
        "avc -ts today",
        NOTE,
    ),
    needs=("running",),
    outvoted_by=("answer",),
)
def denials(scene: Scene) -> Seen:
    """Whether the kernel's log or the audit log tells of a denial since the agent was started."""
    if not scene.root:
        return unseen("only root can see that: use sudo")
    since = max(scene.running.started if scene.running else 0.0, time.time() - DAY)
    others = []
    for line in _audit(scene):
        when = re.search(r"audit\((\d+)\.", line)
        if when and float(when[1]) < since:
            continue
        for name, pattern in (("selinux", SELINUX), ("apparmor", APPARMOR)):
            if pattern.search(line):
                said = re.sub(r"^.*?(avc:|apparmor=)", r"\1", line)[:240]
                if OURS.search(said) or (scene.way == RESIDENT and scene.file.name in said):
                    folder = installation.folder(scene.program) or scene.program
                    names = {"name": scene.agent.name, "unit": scene.unit, "folder": folder}
                    raise wrong(name, "something was denied", said=said, **names)
                others.append(said)
    if others:
        raise wrong("other", "something else was denied", said=others[0])
    return good("no denials")


def _audit(scene: Scene) -> list[str]:
    """The last lines of the audit log, and the kernel's."""
    found = []
    try:
        with scene.at("/var/log/audit/audit.log").open("rb") as file:
            file.seek(0, 2)
            file.seek(max(0, file.tell() - log.TAIL))
            found = file.read().decode("utf-8", "replace").splitlines()
    except OSError:
        pass
    if system.has_systemd():
        words = ("journalctl", "--dmesg", "--no-pager", "--output", "cat", "--lines", "500")
        found += system.run(*words).out.splitlines()
    return found[::-1]


@link(
    "answer",
    "Agent's answer",
    AGENT,
    Fault(
        "unsupported",
        "The agent answers nvidia.get with an error: {said}",
        "Restart it, so that it reads its files anew; if that is no help, see its log:\n    systemctl restart "
        "{unit}\n    "
        "journalctl -u {unit} -n 20",
    ),
    Fault(
        "confined",
        "The agent cannot do what its user {user} can: {said} Something confines it: its unit, or SELinux or AppArmor.",
        "See what its unit forbids (ProtectHome, PrivateDevices, InaccessiblePaths, ...), and allow the program, its "
        "document, the driver's library and /dev/nvidia*:\n    "
        "systemctl cat {unit}\n    journalctl -k | grep -i denied | tail",
    ),
    Fault(
        "without-gpus",
        "The agent answers with a document that has no GPUs: {said}",
        "See as root what its user {user} may do, and what its unit forbids (PrivateDevices, InaccessiblePaths, ...):"
        "\n    sudo zbx-nvidia doctor\n    systemctl cat {unit}\n    journalctl -k | grep -i denied | tail",
    ),
    Fault(
        "other-way",
        "The agent answers with the document of mode {mode}, and is told of {way}.",
        "It does not know its files as they are now. Restart it:\n    systemctl restart {unit}",
    ),
    needs=("command", "fresh", "keys", "document", "port"),
)
def answers(scene: Scene) -> Seen:
    """Whether the agent's answer to nvidia.get is the document, by the way that its files say."""
    unit = scene.unit
    try:
        text, asked, itself = _answer(scene)
    except UnsupportedError as error:
        said = str(error).partition(f"{DOCUMENT}: ")[2] or str(error)
        key = "confined" if _works_outside(scene) and _about_access(said) else "unsupported"
        raise wrong(key, said, said=said, user=scene.agent.user, unit=unit) from None
    except HostError as error:
        raise wrong("unsupported", str(error), said=error, unit=unit) from None
    if text is None:
        return unseen(asked)
    found = parsed(text)
    if found is None:
        said = " ".join(text.split())[:160] or "an empty answer."
        key = "confined" if _works_outside(scene) else "unsupported"
        raise wrong(key, said, said=said, user=scene.agent.user, unit=unit)
    mode = found["collector"].get("mode")
    if mode != scene.way:
        raise wrong("other-way", mode=mode, way=scene.way, unit=unit)
    if said := _less(scene, found):
        # Who is neither root nor the agent's user has tried it with other rights than the agent's.
        key = "confined" if _works_outside(scene) and (scene.root or scene.me == scene.agent.user) else "without-gpus"
        raise wrong(key, said, said=said, user=scene.agent.user, unit=unit)
    said = f"{len(text)} bytes, {asked}"
    # A process of its own has read the files as they are now, and nothing of the service confines it: what it says is
    # no proof that the agent itself does.
    return good(said) if itself else unseen(said)


def _answer(scene: Scene) -> tuple[str | None, str, bool]:
    """What the agent says, how it was asked, and whether it was the process that runs."""
    try:
        place, psk = verify.listens_at(scene.configuration), verify.psk(scene.configuration)
    except HostError:
        place, psk = None, None
    why = "the agent lets this host not ask"
    if place is not None and (psk is None or scene.root):
        try:
            return ask(*place, DOCUMENT, timeout=COLLECTS_WITHIN, psk=psk), "asked at its port", True
        except CannotAskError:
            why = NO_TOOL
        except (DroppedError, ClosedError):
            pass
    if not scene.root or scene.agent.user == "root":
        return None, why, False
    # Its program, as its user and with its files: all but the process itself.
    return verify.by_program(scene.agent, DOCUMENT), f"by {scene.agent.name} -t alone: {why}", False


def _less(scene: Scene, answer: dict[str, Any]) -> str:
    """What keeps the agent from the driver, and not the doctor; "" if nothing does."""
    status = answer["status"]
    # The service's document is the same for both, and what a call into the driver takes is a matter of the moment.
    if scene.way == RESIDENT or status["code"] >= OWN_STATUS or scene.status >= OWN_STATUS:
        return ""
    # What the reader is refused as well, the link of NVML has named.
    if status["code"] not in {0, scene.status if scene.like_reader else 0}:
        return str(status.get("message") or status.get("name"))
    outside = scene.collected.document
    lacks = status["code"] == 0 and not answer["gpus"] and outside and outside["gpus"]
    return "NVML shows it none." if lacks else ""


def _works_outside(scene: Scene) -> bool:
    return scene.collected.document is not None


def _about_access(said: str) -> bool:
    return bool(re.search(r"cannot open|cannot obtain|permission|no such file|not found|denied", said, re.IGNORECASE))


# The server asks at an address that this host need not know: that of its interface in Zabbix.
GIVE = (
    ", with the address that it has there:\n    zbx-nvidia add-host {host} --address ADDRESS --psk-file {keyfile} "
    "--psk-identity {identity} --overwrite --url URL --token-file FILE"
)


@link(
    "refused",
    "Those who ask",
    ASKED,
    Fault(
        "address",
        "The agent has refused {address} {count} times in the last minutes: its Server={server} does not name that "
        "address. If that is the Zabbix server or its proxy, nothing arrives there.",
        "Add it in {file}, and restart the agent:\n    Server={server},{address}\n    systemctl restart {unit}",
    ),
    Fault(
        "plain",
        "{address} asks without encryption, and the agent takes encrypted questions alone (TLSAccept={accept}).",
        f"Give the host in Zabbix the key{GIVE}",
    ),
    Fault(
        "encrypted",
        "{address} asks with encryption, and the agent does not take that (TLSAccept={accept}).",
        "Let the agent encrypt, or set the host in Zabbix to no encryption:\n    zbx-nvidia install-agent --mode "
        "{mode} --psk",
    ),
    Fault(
        "identity",
        "{address} asks with a key of another identity than the agent's, {identity}.",
        f"Give the host in Zabbix this identity and its key{GIVE}",
    ),
    Fault(
        "key",
        "{address} cannot agree on an encryption with the agent: the key in Zabbix is another one than in "
        "{keyfile}, or one side uses certificates.",
        f"Give the host in Zabbix the key of this host{GIVE}",
    ),
    Fault(
        "once",
        "The agent has refused {address} once in the last minutes.",
        "Nothing, if it was interrupted, or somebody looks for open ports. If that is the Zabbix server or its proxy, "
        "look again in two minutes.",
        NOTE,
    ),
    needs=("running",),
    outvoted_by=("values",),
)
def refused(scene: Scene) -> Seen:
    """Whether the agent's log tells of somebody who asked in vain in the last minutes: a server that Server= lacks."""
    if not scene.root and scene.me != scene.agent.user:
        return unseen("only root can read the agent's log: use sudo")
    found = scene.configuration
    since = max(scene.running.started if scene.running else 0.0, time.time() - log.RECENT)
    own = {address for address, _ in [verify.listens_at(found) or ("", 0)]}
    written = log.lines(scene.agent, found)
    seen = [one for one in log.refusals(written, since) if one.address not in own]
    if not any(log.moment(line) for line in written):
        return unseen("the agent's log cannot be read, or does not say when")
    if not seen:
        return good("nobody was refused lately")
    last = seen[0]
    server = found.all("Server")
    count = sum(one.address == last.address for one in seen)
    kind = "once" if count < OFTEN else last.kind
    raise wrong(
        kind,
        f"{last.address} was refused {span(last.ago)} ago",
        address=last.address,
        count=count,
        server=server[-1].value if server else "",
        file=server[-1].file if server else found.file,
        accept=found.last("TLSAccept", "unencrypted"),
        identity=shlex.quote(found.last("TLSPSKIdentity")),
        keyfile=shlex.quote(found.last("TLSPSKFile") or "KEYFILE"),
        host=shlex.quote(host_name(scene)),
        mode=scene.way,
        unit=scene.unit,
    )


def host_name(scene: Scene) -> str:
    """What Zabbix is likely to call this host."""
    if not scene.agents:
        return socket.gethostname()
    try:
        return config.host_name(scene.configuration)
    except HostError:
        return socket.gethostname()
