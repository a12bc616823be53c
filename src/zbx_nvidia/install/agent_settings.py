"""Parameters of an agent that are set on request: its servers, encryption, and host metadata."""

from __future__ import annotations

import ipaddress
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from zbx_nvidia.errors import HostError, UsageError
from zbx_nvidia.zabbix_agent.verify import host_name

if TYPE_CHECKING:
    from zbx_nvidia.zabbix_agent.config import Configuration
    from zbx_nvidia.zabbix_agent.find import Agent

KEY = "zbx-nvidia.psk"
KEY_BYTES = 32
IDENTITY = 128  # characters, the most that Zabbix accepts


class Settings(NamedTuple):
    """The settings that the user asks for.

    Attributes:
        server: The servers, for Server= and ServerActive=; "" to leave them unchanged.
        psk: Whether to encrypt with a key.
        identity: Of the key; "" for one made from the host name.
        metadata: For HostMetadata=; "" to leave it unchanged.
    """

    server: str = ""
    psk: bool = False
    identity: str = ""
    metadata: str = ""


def check(settings: Settings) -> None:
    """Reject settings that no agent accepts.

    Raises:
        UsageError: It names the option.
    """
    for option, value, longest in (
        ("--server", settings.server, 1024),
        ("--psk-identity", settings.identity, IDENTITY),
        ("--host-metadata", settings.metadata, 255),
    ):
        if not value.isprintable() or len(value.encode()) > longest or value != value.strip():
            raise UsageError(
                f"{option} {value[:60]!r}: must be one line of at most {longest} bytes, without spaces around it"
            )
    if settings.identity and not settings.psk:
        raise UsageError("--psk-identity needs --psk")


def unchanged(configuration: Configuration, earlier: dict[str, str]) -> dict[str, str]:
    """Settings of earlier runs that nobody has changed since: a line with another value wins."""
    return {
        name: value for name, value in earlier.items() if all(line.value == value for line in configuration.all(name))
    }


def wanted(agent: Agent, configuration: Configuration, settings: Settings, earlier: dict[str, str]) -> dict[str, str]:
    """The values that the agent's parameters must have.

    Args:
        agent: Which.
        configuration: Its present configuration.
        settings: The settings that the user asks for.
        earlier: Settings of earlier runs that still apply.

    Raises:
        HostError: The configuration conflicts with the settings.
    """
    values = dict(earlier)
    if settings.server:
        # A cluster is "a;b" for ServerActive= alone, which keeps it as one.
        values["Server"] = _with_this_machine(settings.server.replace(";", ","))
        active = ",".join(entry for entry in map(str.strip, settings.server.split(",")) if _can_be_called(entry))
        if active:
            values["ServerActive"] = active
    if settings.metadata:
        item = configuration.all("HostMetadataItem")
        if item and not configuration.all("HostMetadata"):
            raise HostError(
                f"{item[-1].location} states HostMetadataItem=, which HostMetadata= would override: "
                "remove that line, or omit --host-metadata"
            )
        values["HostMetadata"] = settings.metadata
    if settings.psk:
        values |= _psk(agent, configuration, settings, earlier)
    elif (file := earlier.get("TLSPSKFile")) and not Path(file).exists():
        # An earlier run was killed before it made the key, or the key was removed. No agent starts without it.
        raise HostError(f"{file}, the key of this agent, does not exist: run this again with --psk")
    return values


def new_key() -> str:
    """A key, as hexadecimal digits."""
    return secrets.token_hex(KEY_BYTES)


def _psk(agent: Agent, configuration: Configuration, settings: Settings, earlier: dict[str, str]) -> dict[str, str]:
    for name in ("TLSCertFile", "TLSKeyFile"):
        for statement in configuration.all(name):
            raise HostError(
                f"{statement.location} states {name}=: this agent already encrypts with certificates, "
                "which --psk would replace: omit --psk"
            )
    file = configuration.last("TLSPSKFile") or earlier.get("TLSPSKFile") or str(agent.config.parent / KEY)
    identity = settings.identity or configuration.last("TLSPSKIdentity") or earlier.get("TLSPSKIdentity")
    return {
        "TLSConnect": "psk",
        "TLSAccept": "psk",
        "TLSPSKIdentity": identity or f"zbx-nvidia-{host_name(agent, configuration)}"[:IDENTITY],
        "TLSPSKFile": str(Path(file)),
    }


def allows_only_this_machine(server: str) -> bool:
    """Whether a Server= allows no other machine to ask."""
    entries = [entry for entry in map(str.strip, server.split(",")) if entry]
    return bool(entries) and all(map(_is_this_machine, entries))


def _with_this_machine(server: str) -> str:
    """A Server= that also allows this machine, so that what was installed can be verified here."""
    entries = map(str.strip, server.split(","))
    asks = any(entry in {"0.0.0.0/0", "::/0"} or _is_this_machine(entry) for entry in entries)
    return server if asks else f"{server},127.0.0.1"


def _is_this_machine(entry: str) -> bool:
    network = _network(entry)
    return entry == "localhost" or (network is not None and network.is_loopback)


def _can_be_called(entry: str) -> bool:
    """Whether the agent can connect to an entry of --server. Networks and this machine are for passive checks only."""
    if ";" in entry:
        return all(_can_be_called(node.strip()) for node in entry.split(";"))
    network = _network(entry)
    is_host = network is None or network.num_addresses == 1  # a name may have a port
    return bool(entry) and is_host and not _is_this_machine(entry)


def _network(entry: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    """An address or network; None for a name, or an address with a port."""
    try:
        return ipaddress.ip_network(entry.strip("[]"), strict=False)
    except ValueError:
        return None
