"""What a host must have, and the parts of a request that follow from that alone."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from typing import Any

Object = dict[str, Any]

AGENT = "1"  # Zabbix's number for an interface of an agent
AGENT_PORT = "10050"
PSK = "2"  # Zabbix's number for encryption with a pre-shared key, of either direction
ENCRYPTIONS = {1: "none", 2: "PSK", 4: "certificate"}  # bits of tls_accept
TEXT, SECRET, VAULT = "0", "1", "2"  # Zabbix's numbers for types of macros; the API never returns a secret value


@dataclass(frozen=True)
class Wanted:
    """What a host must have.

    Attributes:
        name: technical name of the host.
        template: name of its template.
        template_uuid: its UUID, by which it is found if it was renamed.
        excluded: names and UUIDs of templates with the same items, which cannot be linked together with it.
        address: IP address or DNS name of its agent; empty if the agent connects to the server.
        port: port of its agent; empty for 10050 on a new interface, and for any port on an existing one.
        groups: host groups that must exist.
        default_group: host group of a new host if `groups` is empty; it is created if missing.
        proxy: name of the proxy that monitors it; empty for none, None to keep the present one.
        proxy_group: name of the proxy group that monitors it, instead of one proxy.
        tags: pairs of tag and value.
        macros: values by macro, {$NAME}.
        psk_identity: encrypt both ways with the key of this name; empty to keep the present encryption.
        psk: that key, as hexadecimal digits.
    """

    name: str
    template: str
    template_uuid: str = ""
    excluded: tuple[str, ...] = ()
    address: str = ""
    port: str = ""
    groups: tuple[str, ...] = ()
    default_group: str = ""
    proxy: str | None = None
    proxy_group: str = ""
    tags: tuple[tuple[str, str], ...] = ()
    macros: dict[str, str] = field(default_factory=dict)
    psk_identity: str = ""
    psk: str = field(default="", repr=False)


def encryption(wanted: Wanted) -> Object:
    """The properties of a host whose connections are encrypted with the key."""
    return {
        "tls_connect": PSK,
        "tls_accept": PSK,
        "tls_psk_identity": wanted.psk_identity,
        "tls_psk": wanted.psk,
    }


def interface(wanted: Wanted) -> Object:
    """A new main interface of an agent."""
    by_ip = is_ip(wanted.address)
    return {
        "type": AGENT,
        "main": "1",
        "useip": "1" if by_ip else "0",
        "ip": wanted.address if by_ip else "",
        "dns": "" if by_ip else wanted.address,
        "port": wanted.port or AGENT_PORT,
    }


def is_ip(address: str) -> bool:
    """Whether an address is not a name."""
    try:
        ipaddress.ip_address(address)
    except ValueError:
        return False
    return True
