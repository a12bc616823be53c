"""Parameters of an agent that are set on request: who may ask it, encryption, and what it registers with."""

from __future__ import annotations

import ipaddress
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from zbx_nvidia.errors import HostError, UsageError
from zbx_nvidia.zabbix_agent.config import host_name

if TYPE_CHECKING:
    from zbx_nvidia.zabbix_agent.config import Configuration
    from zbx_nvidia.zabbix_agent.find import Agent

KEY = "zbx-nvidia.psk"
KEY_BYTES = 32
PSK = ("TLSConnect", "TLSAccept", "TLSPSKIdentity", "TLSPSKFile")
IDENTITY = 128  # characters that Zabbix takes


class Settings(NamedTuple):
    """What is asked for.

    Attributes:
        server: Who may ask the agent and whom it calls; "" to leave that.
        psk: Whether to encrypt with a key.
        identity: Of the key; "" for one made of the host's name.
        metadata: What the agent registers with; "" to leave that.
    """

    server: str = ""
    psk: bool = False
    identity: str = ""
    metadata: str = ""


def check(settings: Settings) -> None:
    """Refuse what no agent would take.

    Raises:
        UsageError: With the option.
    """
    for option, value, longest in (
        ("--server", settings.server, 1024),
        ("--psk-identity", settings.identity, IDENTITY),
        ("--host-metadata", settings.metadata, 255),
    ):
        if not value.isprintable() or len(value.encode()) > longest or value != value.strip():
            raise UsageError(f"{option} {value[:60]!r}: one line of up to {longest} bytes, without spaces around it")
    if settings.identity and not settings.psk:
        raise UsageError("--psk-identity has no use without --psk")


def unchanged(configuration: Configuration, earlier: dict[str, str]) -> dict[str, str]:
    """What was asked for in earlier runs and nobody has changed since: a line that states something else counts."""
    return {
        name: value for name, value in earlier.items() if all(line.value == value for line in configuration.all(name))
    }


def wanted(agent: Agent, configuration: Configuration, settings: Settings, earlier: dict[str, str]) -> dict[str, str]:
    """What the agent's parameters must be.

    Args:
        agent: Which.
        configuration: Its configuration as it is.
        settings: What is asked for.
        earlier: What was asked for in earlier runs, and holds still.

    Raises:
        HostError: Something in the configuration stands against it.
    """
    values = dict(earlier)
    if settings.server:
        values["Server"] = settings.server
        active = ",".join(entry for entry in map(str.strip, settings.server.split(",")) if _can_be_called(entry))
        if active:
            values["ServerActive"] = active
    if settings.metadata:
        item = configuration.all("HostMetadataItem")
        if item and not configuration.all("HostMetadata"):
            raise HostError(
                f"{item[-1].file}:{item[-1].line} states HostMetadataItem=, which HostMetadata= would override: "
                "remove that line, or leave --host-metadata away"
            )
        values["HostMetadata"] = settings.metadata
    if settings.psk:
        values |= _psk(agent, configuration, settings, earlier)
    elif (file := earlier.get("TLSPSKFile")) and not Path(file).exists():
        # An earlier run was killed before it made the key, or it was removed: no agent starts without it.
        raise HostError(f"{file}, the key that this agent was told of, is not there: run this with --psk")
    return values


def new_key() -> str:
    """A key, as hexadecimal digits."""
    return secrets.token_hex(KEY_BYTES)


def _psk(agent: Agent, configuration: Configuration, settings: Settings, earlier: dict[str, str]) -> dict[str, str]:
    for name in ("TLSCertFile", "TLSKeyFile"):
        for statement in configuration.all(name):
            raise HostError(
                f"{statement.file}:{statement.line} states {name}=: this agent encrypts with certificates already, "
                "which --psk would take the place of: leave it away"
            )
    file = configuration.last("TLSPSKFile") or earlier.get("TLSPSKFile") or str(agent.config.parent / KEY)
    identity = settings.identity or configuration.last("TLSPSKIdentity") or earlier.get("TLSPSKIdentity")
    return {
        "TLSConnect": "psk",
        "TLSAccept": "psk",
        "TLSPSKIdentity": identity or f"zbx-nvidia-{host_name(configuration)}"[:IDENTITY],
        "TLSPSKFile": str(Path(file)),
    }


def _can_be_called(entry: str) -> bool:
    """Whether an agent could call that server: not a network, and not this machine, which --server may name to ask."""
    if not entry or entry == "localhost":
        return False
    try:
        network = ipaddress.ip_network(entry.strip("[]"), strict=False)
    except ValueError:
        return True  # a name, or with a port
    return network.num_addresses == 1 and not network.is_loopback
