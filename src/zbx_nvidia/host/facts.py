"""What the server's side is compared with: the addresses of this host, and how its agent is to be asked."""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path
from typing import TYPE_CHECKING

from zbx_nvidia.errors import HostError
from zbx_nvidia.findings import Facts
from zbx_nvidia.host.ask import PORT

if TYPE_CHECKING:
    from zbx_nvidia.host.scene import Scene

NET = Path("/proc/net")


def of(scene: Scene) -> Facts | None:
    """The facts; None where there is no agent, or its configuration cannot be read."""
    if not scene.agents:
        return None
    try:
        found = scene.configuration
    except HostError:
        return None
    accepts = frozenset(word.strip() for word in found.last("TLSAccept", "unencrypted").split(","))
    port, connects = found.last("ListenPort", str(PORT)), found.last("TLSConnect", "unencrypted")
    return Facts(addresses(), port, accepts, connects, scene.way)


def addresses() -> frozenset[str]:
    """Every address of this host, from /proc."""
    found = set()
    try:
        trie = (NET / "fib_trie").read_text(encoding="ascii")
        found.update(re.findall(r"\|-- (\S+)\n\s*/32 host LOCAL", trie))
    except OSError:
        pass
    try:
        lines = (NET / "if_inet6").read_text(encoding="ascii").splitlines()
        found.update(str(ipaddress.IPv6Address(bytes.fromhex(line.split()[0]))) for line in lines)
    except OSError:
        pass
    return frozenset(found)
