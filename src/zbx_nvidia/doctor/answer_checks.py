"""What the agent answers on its port, what confines it, and whom it has refused."""

from __future__ import annotations

import re
import shlex
import time
from typing import Any

from zbx_nvidia.catalog.entities import DOCUMENT
from zbx_nvidia.doctor.checks import AGENT, NOTE, SERVER, Fault, Result, check, good, unseen
from zbx_nvidia.doctor.host_state import COLLECTS_WITHIN, RESIDENT, HostState, document_in, host_name
from zbx_nvidia.errors import HostError
from zbx_nvidia.host import installation, system
from zbx_nvidia.host.durations import rough
from zbx_nvidia.zabbix_agent import log, verify
from zbx_nvidia.zabbix_agent.passive_check import (
    CannotAskError,
    ClosedError,
    DroppedError,
    EncryptionError,
    UnreachableError,
    UnsupportedError,
    ask,
)

PATIENCE = 5.0  # s for an answer that takes no time
DAY = 86_400.0
OFTEN = 2  # refusals of one address: a server comes again, a port scan rarely does
OWN_STATUS = 1000  # from here on a status is the collector's, below NVML's
NO_TOOL = "this host cannot connect with a key: install zabbix-get to see this"

PORT_CLOSED = Fault(
    "closed",
    cause="The agent runs, but nothing answers at {address}:{port}: {said}",
    fix="Check ListenIP= and ListenPort= in the agent's configuration, and read its log:\n    ss -ltnp | grep :{port}\n"
    "{agent.log}",
)
OTHER_PROGRAM = Fault(
    "other",
    cause="Another program answers at {address}:{port}, not a Zabbix agent.",
    fix="Find out which, and set another port (ListenPort=) for one of them:\n    ss -ltnp | grep :{port}",
)
OTHER_KEY = Fault(
    "encryption",
    cause="The agent refuses a connection that is encrypted with its own key: {said}",
    fix="The key or its identity was changed after the agent started. Restart the agent:\n{agent.restart}",
)


@check(
    "port",
    "Agent port",
    AGENT,
    PORT_CLOSED,
    OTHER_PROGRAM,
    OTHER_KEY,
    needs=("running", "psk"),
    outvoted_by=("values",),
)
def port(host: HostState) -> Result:
    """Does the agent answer agent.ping on its port, with its own key if it requires encryption?"""
    place = verify.listens_at(host.configuration)
    if place is None:
        return unseen("it does not listen (StartAgents=0): it calls the server")
    address, number = place
    try:
        psk = verify.psk(host.configuration)
    except HostError as error:
        return unseen(str(error))
    if psk is not None and not host.root:
        return unseen("only root can read the key that it requires: use sudo")
    try:
        ask(address, number, "agent.ping", timeout=PATIENCE, psk=psk)
    except CannotAskError:
        return unseen(NO_TOOL)
    except (DroppedError, EncryptionError) as error:
        # Agent 2 checks Server= before it starts encryption.
        closed = isinstance(error, ClosedError) and not verify.allows(host.configuration.last("Server"), address)
        if closed or isinstance(error, DroppedError):
            return good(f"{address}:{number}; it refuses this host itself")
        raise OTHER_KEY(said=error) from None
    except UnreachableError as error:
        said = str(error)
        fault = OTHER_PROGRAM if "does not speak" in said else PORT_CLOSED
        raise fault(said, said=said, address=address, port=number) from None
    return good(f"{address}:{number}{' with its key' if psk else ''}")


SELINUX = re.compile(r'avc:\s+denied.*(?:comm="?zabbix_agent|scontext=\S*zabbix)')
# What the document needs: the program, its Python, the shell that starts it, and the devices.
RELATED = r'nvidia|python|document\.json|"(/[^ "]*/)?(sh|dash|bash|env)"'  # for grep -E too
OURS = re.compile(RELATED, re.IGNORECASE)
APPARMOR = re.compile(r'apparmor="DENIED".*(?:profile="[^"]*zabbix|comm="zabbix_agent)')

DENIED_BY_SELINUX = Fault(
    "selinux",
    cause="SELinux denies the agent access: {said}",
    fix="Restore the program's usual label, then restart the agent:\n    restorecon -R {folder}\n{agent.restart}\nIf "
    "SELinux still denies it, make a rule from these denials only, and read it:\n    ausearch -m avc -ts today | grep "
    f"zabbix | grep -iE '{RELATED}' | audit2allow -M zbx-nvidia\n    cat zbx-nvidia.te\nIf it allows no more than you "
    "want, load it:\n    semodule -i zbx-nvidia.pp",
)
DENIED_BY_APPARMOR = Fault(
    "apparmor",
    cause="AppArmor denies the agent access: {said}",
    fix="Allow it in the local part of the profile, then reload AppArmor:\n    editor "
    "/etc/apparmor.d/local/usr.sbin.{name}\n    systemctl reload apparmor",
)
OTHER_DENIAL = Fault(
    "other",
    cause="SELinux or AppArmor denies the agent access to something that seems unrelated to the GPUs: {said}",
    fix="If items of other templates fail, list all denials:\n    journalctl --dmesg | grep -i denied\n    ausearch -m "
    "avc -ts today",
    state=NOTE,
)


@check(
    "denials",
    "SELinux and AppArmor",
    AGENT,
    DENIED_BY_SELINUX,
    DENIED_BY_APPARMOR,
    OTHER_DENIAL,
    needs=("running",),
    outvoted_by=("answer",),
)
def denials(host: HostState) -> Result:
    """Does the kernel log or the audit log report a denial since the agent was started?"""
    if not host.root:
        return unseen("only root can see it: use sudo")
    # The start of a process is as exact as the kernel's boot time, which is a whole second.
    since = max(host.running.started - 1 if host.running else 0.0, time.time() - DAY)
    others = []
    for line in _audit_lines(host):
        when = re.search(r"audit\((\d+\.\d+)", line)
        if when and float(when[1]) < since:
            continue
        for pattern in (SELINUX, APPARMOR):
            if not pattern.search(line):
                continue
            said = re.sub(r"^.*?(avc:|apparmor=)", r"\1", line)[:240]
            if not OURS.search(said) and not (host.mode == RESIDENT and host.file.name in said):
                others.append(said)
            elif pattern is SELINUX:
                folder = installation.folder(host.program) or host.program
                raise DENIED_BY_SELINUX("something was denied", said=said, folder=folder)
            else:
                raise DENIED_BY_APPARMOR("something was denied", said=said, name=host.agent.name)
    if others:
        raise OTHER_DENIAL("something else was denied", said=others[0])
    return good("no denials")


def _audit_lines(host: HostState) -> list[str]:
    """The last lines of the audit log and of the kernel log, newest first."""
    lines = log.tail(host.at("/var/log/audit/audit.log"))
    if system.has_systemd():
        words = ("journalctl", "--dmesg", "--no-pager", "--output", "cat", "--lines", "500")
        lines += system.run(*words).out.splitlines()
    return lines[::-1]


UNSUPPORTED = Fault(
    "unsupported",
    cause="The agent answers nvidia.get with an error: {said}",
    fix="Restart the agent, so that it reads its files again. If this does not help, read its log.\n{agent.restart}\n"
    "{agent.log}",
)
CONFINED = Fault(
    "confined",
    cause="The agent cannot do what its user {user} can: {said} Its unit, SELinux or AppArmor restricts it.",
    fix="Check what its unit forbids (ProtectHome, PrivateDevices, InaccessiblePaths, ...). Allow the program, its "
    "document, the driver's library and /dev/nvidia*.\n{agent.show}\n    journalctl -k | grep -i denied | tail",
)
WITHOUT_GPUS = Fault(
    "without-gpus",
    cause="The agent answers with a document that has no GPUs: {said}",
    fix="Run the doctor as root, which shows what the agent's user {user} may do. Check what the agent's unit forbids "
    "(PrivateDevices, InaccessiblePaths, ...).\n    sudo zbx-nvidia doctor\n{agent.show}\n    journalctl -k | grep -i "
    "denied | tail",
)
OTHER_MODE = Fault(
    "other-way",
    cause="The agent answers with the document of mode {actual}, but its configuration says {mode}.",
    fix="The agent has not loaded its files as they are now. Restart it:\n{agent.restart}",
)


@check(
    "answer",
    "Agent answer",
    AGENT,
    UNSUPPORTED,
    CONFINED,
    WITHOUT_GPUS,
    OTHER_MODE,
    needs=("command", "fresh", "keys", "document", "port"),
)
def answer(host: HostState) -> Result:
    """Does the agent answer nvidia.get with the document, in the mode that its files set?"""
    user = host.agent.user
    try:
        text, how, from_process = _agent_answer(host)
    except UnsupportedError as error:
        said = str(error).partition(f"{DOCUMENT}: ")[2] or str(error)
        fault = CONFINED if _works_outside(host) and _is_about_access(said) else UNSUPPORTED
        raise fault(said, said=said, user=user) from None
    except HostError as error:
        raise UNSUPPORTED(str(error), said=error) from None
    if text is None:
        return unseen(how)
    document = document_in(text)
    if document is None:
        said = " ".join(text.split())[:160] or "an empty answer."
        fault = CONFINED if _works_outside(host) else UNSUPPORTED
        raise fault(said, said=said, user=user)
    mode = document["collector"].get("mode")
    if mode != host.mode:
        raise OTHER_MODE(actual=mode, mode=host.mode)
    if said := _what_it_lacks(host, document):
        # A user who is neither root nor the agent's has tried it with other rights than the agent's.
        same_rights = host.root or host.user == user
        fault = CONFINED if _works_outside(host) and same_rights else WITHOUT_GPUS
        raise fault(said, said=said, user=user)
    said = f"{len(text)} bytes, {how}"
    # A new process has read the files as they are now, and nothing of the service confines it: its answer does not
    # prove that the agent itself gives it.
    return good(said) if from_process else unseen(said)


def _agent_answer(host: HostState) -> tuple[str | None, str, bool]:
    """What the agent answers, how it was asked, and whether the answer comes from the process that runs."""
    try:
        place, psk = verify.listens_at(host.configuration), verify.psk(host.configuration)
    except HostError:
        place, psk = None, None
    why = "the agent refuses connections from this host"
    if place is not None and (psk is None or host.root):
        try:
            return ask(*place, DOCUMENT, timeout=COLLECTS_WITHIN, psk=psk), "asked at its port", True
        except CannotAskError:
            why = NO_TOOL
        except (DroppedError, ClosedError):
            pass
    if not host.root or host.agent.user == "root":
        return None, why, False
    # Its program, as its user and with its files: everything but the process itself.
    return verify.by_program(host.agent, DOCUMENT), f"only by {host.agent.name} -t: {why}", False


def _what_it_lacks(host: HostState, document: dict[str, Any]) -> str:
    """What keeps the agent, but not the doctor, from the driver; "" if nothing does."""
    status = document["status"]
    # Both get the same document from the service, and the time of a driver call changes from moment to moment.
    if host.mode == RESIDENT or status["code"] >= OWN_STATUS or host.status >= OWN_STATUS:
        return ""
    # If the reader is refused too, the check `nvml` has reported that.
    if status["code"] not in {0, host.status if host.acts_as_reader else 0}:
        return str(status.get("message") or status.get("name"))
    outside = host.collected.document
    lacks = status["code"] == 0 and not document["gpus"] and outside and outside["gpus"]
    return "NVML shows it none." if lacks else ""


def _works_outside(host: HostState) -> bool:
    return host.collected.document is not None


def _is_about_access(said: str) -> bool:
    return bool(re.search(r"cannot open|cannot obtain|permission|no such file|not found|denied", said, re.IGNORECASE))


# The server connects to an address that this host need not know: that of its interface in Zabbix.
ADD_KEY = (
    " (ADDRESS: the host's address there):\n    zbx-nvidia add-host {host} --address ADDRESS --psk-file {keyfile} "
    "--psk-identity {identity} --overwrite --url URL --token-file FILE"
)
REFUSED_ADDRESS = Fault(
    "address",
    cause="The agent has refused {address} {count} times in the last minutes, because Server={server} does not contain "
    "it. If this is the Zabbix server or its proxy, no value arrives.",
    fix="Add it in {file}:\n    Server={server},{address}\nThen restart the agent:\n{agent.restart}",
)
REFUSED_PLAIN = Fault(
    "plain",
    cause="{address} connects without encryption, but the agent requires encryption (TLSAccept={accept}).",
    fix=f"Give the host in Zabbix the agent's key{ADD_KEY}",
)
REFUSED_ENCRYPTED = Fault(
    "encrypted",
    cause="{address} connects with encryption, but the agent does not accept it (TLSAccept={accept}).",
    fix="Set the agent to encrypt, or set the host in Zabbix to no encryption:\n    zbx-nvidia install-agent --mode "
    "{mode} --psk",
)
REFUSED_IDENTITY = Fault(
    "identity",
    cause="{address} connects with a key whose identity is not the agent's, {identity}.",
    fix=f"Give the host in Zabbix this identity and its key{ADD_KEY}",
)
REFUSED_KEY = Fault(
    "key",
    cause="{address} and the agent cannot agree on encryption. The key in Zabbix differs from the one in {keyfile}, or "
    "one side uses certificates.",
    fix=f"Give the host in Zabbix the key of this host{ADD_KEY}",
)
REFUSED_ONCE = Fault(
    "once",
    cause="The agent has refused {address} once in the last minutes.",
    fix="Do nothing if this was an interrupted connection or a port scan. If it is the Zabbix server or its proxy, run "
    "the doctor again in two minutes.",
    state=NOTE,
)
OF_REFUSAL = {
    "address": REFUSED_ADDRESS,
    "plain": REFUSED_PLAIN,
    "encrypted": REFUSED_ENCRYPTED,
    "identity": REFUSED_IDENTITY,
    "key": REFUSED_KEY,
}


@check(
    "refused",
    "Refused connections",
    SERVER,
    *OF_REFUSAL.values(),
    REFUSED_ONCE,
    needs=("running",),
    outvoted_by=("values",),
)
def refused(host: HostState) -> Result:
    """Does the agent's log report refused connections in the last minutes, such as a server that Server= lacks?"""
    if not host.root and host.user != host.agent.user:
        return unseen("only root can read the agent's log: use sudo")
    settings = host.configuration
    since = max(host.running.started if host.running else 0.0, time.time() - log.RECENT)
    own = {address for address, _ in [verify.listens_at(settings) or ("", 0)]}
    lines = log.lines(host.agent, settings)
    refusals = [one for one in log.refusals(lines, since) if one.address not in own]
    if not any(log.moment(line) for line in lines):
        return unseen("the agent's log cannot be read, or has no times")
    if not refusals:
        return good("none in the last minutes")
    last = refusals[0]
    server = settings.all("Server")
    count = sum(one.address == last.address for one in refusals)
    fault = REFUSED_ONCE if count < OFTEN else OF_REFUSAL[last.kind]
    raise fault(
        f"{last.address} was refused {rough(last.ago)} ago",
        address=last.address,
        count=count,
        server=server[-1].value if server else "",
        file=server[-1].file if server else settings.file,
        accept=settings.last("TLSAccept", "unencrypted"),
        identity=shlex.quote(settings.last("TLSPSKIdentity")),
        keyfile=shlex.quote(settings.last("TLSPSKFile") or "KEYFILE"),
        host=shlex.quote(host_name(host)),
        mode=host.mode,
    )
