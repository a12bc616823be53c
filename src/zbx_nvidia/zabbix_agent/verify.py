"""Verifies that an agent serves the document, by asking it."""

from __future__ import annotations

import ipaddress
import json
import re
import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from zbx_nvidia import __version__
from zbx_nvidia.catalog.entities import DOCUMENT
from zbx_nvidia.errors import HostError
from zbx_nvidia.host import system
from zbx_nvidia.zabbix_agent import config, find
from zbx_nvidia.zabbix_agent.config import AGENTD
from zbx_nvidia.zabbix_agent.passive_check import (
    PORT,
    CannotAskError,
    ClosedError,
    DroppedError,
    Psk,
    UnreachableError,
    UnsupportedError,
    ask,
)

if TYPE_CHECKING:
    from zbx_nvidia.zabbix_agent.config import Configuration
    from zbx_nvidia.zabbix_agent.find import Agent

NAME = "agent.hostname"
STARTS_WITHIN = 15.0  # s until a restarted agent listens; 1 s was seen
ANSWERS_WITHIN = 10.0  # s for one answer
# s until all processes of an agent have read its files again. Seen on a busy host: one served the item already, and the
# next one answered that it does not support it.
RELOADS_WITHIN = 5.0


class Verification(NamedTuple):
    """The result.

    Attributes:
        document: What the agent answered.
        asked: How it was asked, for people.
        reservation: Why that is no full proof; "" if it is.
    """

    document: dict[str, Any]
    asked: str
    reservation: str


def listens_at(configuration: Configuration) -> tuple[str, int] | None:
    """Address and port of an agent on this machine; None if it accepts no passive checks."""
    if configuration.kind == AGENTD and configuration.last("StartAgents", "3") == "0":
        return None
    address = configuration.last("ListenIP").split(",")[0].strip()
    address = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(address, address)  # noqa: S104  as configured
    port = configuration.last("ListenPort", str(PORT))
    return address, int(port) if port.isdigit() else PORT


def allows(server: str, address: str) -> bool:
    """Whether a Server= allows an address, by address, network or name."""
    try:
        me = ipaddress.ip_address(address)
    except ValueError:
        return False
    for entry in map(str.strip, server.split(",")):
        try:
            networks = [ipaddress.ip_network(entry, strict=False)]
        except ValueError:
            try:
                names = socket.getaddrinfo(entry, None, type=socket.SOCK_STREAM)
            except (OSError, UnicodeError):
                continue
            networks = [ipaddress.ip_network(str(name[4][0]).partition("%")[0]) for name in names]
        # For an agent ::/0 means every address, IPv4 too.
        if any(me in network or str(network) == "::/0" for network in networks):
            return True
    return False


def host_name(agent: Agent, configuration: Configuration) -> str:
    """The name that this host has in Zabbix. If it comes from HostnameItem=, only the agent knows it."""
    if configuration.last("Hostname") or not configuration.last("HostnameItem"):
        return config.host_name(configuration)
    try:
        if (place := listens_at(configuration)) is not None:
            return _first(ask(*place, NAME, timeout=ANSWERS_WITHIN, psk=psk(configuration)))
    except (HostError, OSError):
        pass
    try:
        return _first(by_program(agent, NAME))
    except (HostError, OSError):
        return config.host_name(configuration)


def _first(names: str) -> str:
    """An agent may have several names, each of which is a host."""
    name = names.split(",", maxsplit=1)[0].strip()
    if not name or not name.isprintable():
        raise HostError("the agent does not know its name")
    return name


def psk(configuration: Configuration) -> Psk | None:
    """The key that an agent requires for passive checks; None if it accepts unencrypted ones.

    Raises:
        HostError: It requires a certificate.
    """
    accepts = [word.strip() for word in configuration.last("TLSAccept", "unencrypted").split(",")]
    if "unencrypted" in accepts:
        return None
    if "psk" not in accepts:
        raise HostError("it accepts only connections with a certificate")
    return Psk(configuration.last("TLSPSKIdentity"), Path(configuration.last("TLSPSKFile")))


def verify_agent(agent: Agent, mode: str, *, patience: float = STARTS_WITHIN) -> Verification:
    """Ask the agent for the document.

    Args:
        agent: Which. If it does not run, its program runs the check with its configuration.
        mode: The mode that the document must have, oneshot or resident.
        patience: Seconds to wait for a restarted agent.

    Raises:
        HostError: There is no document, or a wrong one.
    """
    configuration = config.read(agent.config, agent.kind)
    reservation = "it does not run: start it, then run this again"
    if find.running(agent) is not None:
        try:
            place, key = listens_at(configuration), psk(configuration)
        except HostError as error:
            place, key, reservation = None, None, str(error)
        else:
            reservation = "it answers no passive checks (StartAgents=0)" if place is None else ""
        if place is not None:
            try:
                text = _patiently(place, key, patience)
                where = f"{place[0]}:{place[1]}{' with its key' if key else ''}"
                return Verification(checked(text, mode, agent), f"asked at {where}", "")
            except CannotAskError:
                reservation = (
                    "this machine cannot ask with a key: install the package zabbix-get, or use Python 3.13 or newer"
                )
            except (ClosedError, DroppedError) as error:
                if isinstance(error, ClosedError) and allows(configuration.last("Server"), place[0]):
                    raise
                reservation = f"its Server={configuration.last('Server')} does not allow this machine to ask"
    return verify_program(agent, mode, reservation)


def verify_program(agent: Agent, mode: str, reservation: str) -> Verification:
    """Ask the agent's program for the document, which shows what the agent serves after a restart.

    Args:
        agent: Which.
        mode: The mode that the document must have, oneshot or resident.
        reservation: Why the agent itself was not asked.

    Raises:
        HostError: There is no document, or a wrong one.
    """
    document = checked(by_program(agent, DOCUMENT), mode, agent)
    return Verification(document, f"{agent.name} -t {DOCUMENT}, as {agent.user}", reservation)


def by_program(agent: Agent, key: str) -> str:
    """The value of a key from the agent's program, run with its present configuration as the agent's user.

    Raises:
        HostError: It rejects the configuration, or does not support the key.
    """
    done = system.run(str(agent.program), "-c", str(agent.config), "-t", key, user=agent.user, timeout=30)
    match = re.search(rf"^{re.escape(key)}\s+\[[a-z]\|(.*)\]\s*$", done.out, re.DOTALL | re.MULTILINE)
    if not match:
        raise HostError(f"{agent.name} rejects its configuration {agent.config}: {_complaint(done)}")
    if match[1].startswith("ZBX_NOTSUPPORTED"):
        reason = match[1].partition("[")[2].strip(" ]") or "no reason given"
        raise HostError(f"{agent.name} does not support {key}: {reason}")
    return match[1]


def checked(text: str, mode: str, agent: Agent) -> dict[str, Any]:
    """The document in an answer.

    Raises:
        HostError: The answer is something else.
    """
    try:
        document: dict[str, Any] = json.loads(text)
        collector = document["collector"]
        version, by = collector["version"], collector["mode"]
    except (ValueError, KeyError, TypeError):
        raise HostError(f"{agent.name} answers {DOCUMENT} with something else: {text[:120]!r}") from None
    if by != mode:
        raise HostError(f"{agent.name} answers {DOCUMENT} with a document of mode {by}, not {mode}")
    if version != __version__:
        raise HostError(f"{agent.name} answers {DOCUMENT} with a document of version {version}, not {__version__}")
    return document


def _patiently(place: tuple[str, int], key: Psk | None, patience: float) -> str:
    start = time.monotonic()
    while True:
        try:
            return ask(*place, DOCUMENT, timeout=ANSWERS_WITHIN, psk=key)
        except (UnreachableError, UnsupportedError) as error:
            most = RELOADS_WITHIN if isinstance(error, UnsupportedError) else STARTS_WITHIN
            if time.monotonic() > start + min(patience, most):
                raise
        time.sleep(0.2)


def _complaint(done: system.CommandResult) -> str:
    lines = [line for line in (done.err + "\n" + done.out).splitlines() if line.strip()]
    # For a panic of Go, the first line has the reason.
    complaint = next((line for line in lines if "ERROR" in line or line.startswith("panic")), lines[0] if lines else "")
    return re.sub(r"^\S+ \[\d+\]: (ERROR: )?", "", complaint)[:300] or f"exit code {done.code}"
