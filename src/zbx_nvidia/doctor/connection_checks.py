"""Between the server and the agent: the host's interface, encryption, and whether they reach each other."""

from __future__ import annotations

import ipaddress
import re
import shlex
import socket
from typing import TYPE_CHECKING

from zbx_nvidia.doctor.checks import SERVER, Fault, Result, check, good, unseen
from zbx_nvidia.doctor.server_checks import ADD_HOST
from zbx_nvidia.server.wanted import AGENT

if TYPE_CHECKING:
    from zbx_nvidia.doctor.server_state import Object, ServerState

UNAVAILABLE, AVAILABLE = "2", "1"
NO_ENCRYPTION, PSK, CERTIFICATE = 1, 2, 4
WORDS = {NO_ENCRYPTION: "unencrypted", PSK: "psk", CERTIFICATE: "cert"}
SET_ADDRESS = "\n    zbx-nvidia add-host {host} --address ADDRESS --overwrite --url {url} --token-file FILE"

NO_INTERFACE = Fault(
    "missing",
    cause="The host {name!r} has no agent interface in Zabbix, so the server does not know its address.",
    fix=f"Add one:{ADD_HOST}",
)
OTHER_PORT = Fault(
    "port",
    cause="Zabbix connects to port {there} of this host, but its agent listens on port {own}.",
    fix="Set the same port in Zabbix:\n    zbx-nvidia add-host {host} --address {address} --port {own} --overwrite "
    "--url {url} --token-file FILE",
)
UNKNOWN_NAME = Fault(
    "unknown",
    cause="Zabbix connects to this host as {address}, a name that this host cannot resolve: {said}",
    fix=f"Add the name to the DNS, or use an address:{SET_ADDRESS}",
)
OTHER_ADDRESS = Fault(
    "address",
    cause="Zabbix connects to {address} for this host, which is none of its addresses ({own}).",
    fix=f"Correct it, unless something between server and host translates addresses:{SET_ADDRESS}",
)


@check(
    "interface",
    "Host interface",
    SERVER,
    NO_INTERFACE,
    OTHER_PORT,
    UNKNOWN_NAME,
    OTHER_ADDRESS,
    needs=("linked",),
    # Something between them may translate addresses and ports.
    outvoted_by=("reach",),
)
def interface(server: ServerState) -> Result:
    """Does Zabbix connect to an address of this host, and to its agent's port?"""
    if not server.passive:
        return unseen("not needed: the agent calls the server")
    url = server.zabbix.url
    row = _interface(server)
    if row is None:
        raise NO_INTERFACE(name=server.name, host=server.quoted_name, url=url)
    address = _address(row)
    shown = f"{address}:{row['port']}"
    if server.facts is None or "{" in shown:
        return unseen(f"{shown}; only its own host can see whether this is right")
    host, port, own_port = server.quoted_name, row["port"], server.facts.port
    if port != own_port:
        text = f"{shown}, not port {own_port}"
        raise OTHER_PORT(text, there=port, own=own_port, host=host, address=address, url=url)
    try:
        numbers = {str(info[4][0]) for info in socket.getaddrinfo(address, None)}
    except OSError as error:
        said = error.strerror or error
        raise UNKNOWN_NAME(f"{address} cannot be resolved", said=said, host=host, address=address, url=url) from None
    if not numbers & server.facts.addresses:
        if any(ipaddress.ip_address(one).is_loopback for one in numbers):
            # Debian and Ubuntu put a host's own name into its /etc/hosts so: 127.0.1.1.
            return unseen(f"{shown}, which is this host to itself; the server may resolve another address")
        outside = [one for one in sorted(server.facts.addresses) if not ipaddress.ip_address(one).is_loopback]
        raise OTHER_ADDRESS(f"{shown}, not this host", own=", ".join(outside), host=host, address=address, url=url)
    return good(shown)


def _interface(server: ServerState) -> Object | None:
    """The interface of the master item: a host may have several."""
    interfaces = (server.host or {})["interfaces"]
    of_item = [row for row in interfaces if row["interfaceid"] == server.master.get("interfaceid")]
    return next((row for row in (*of_item, *interfaces) if row["type"] == AGENT), None)


def _address(row: Object) -> str:
    return str(row["ip"] if row["useip"] == "1" else row["dns"])


SERVER_ENCRYPTION = Fault(
    "server",
    cause="Zabbix connects to this host with {there}, but its agent accepts {own} (TLSAccept).",
    fix="Set what the agent accepts for the host in Zabbix (Encryption > Connections to host). Or set the agent to "
    "encrypt:\n    zbx-nvidia install-agent --mode {mode} --psk",
)
AGENT_ENCRYPTION = Fault(
    "agent",
    cause="The agent connects with {own} (TLSConnect), but Zabbix accepts {there} from this host.",
    fix="Set the same for the host in Zabbix (Encryption > Connections from host), or change TLSConnect= of the agent.",
)


@check("encryption", "Encryption", SERVER, SERVER_ENCRYPTION, AGENT_ENCRYPTION, needs=("linked",))
def encryption(server: ServerState) -> Result:
    """Do server and agent use the same encryption? Zabbix does not report whether their keys are the same."""
    row = server.host or {}
    if server.facts is None:
        return unseen("only its own host can see what the agent uses")
    if server.passive:
        connects = WORDS.get(int(row["tls_connect"]), row["tls_connect"])
        if connects not in server.facts.accepts:
            raise SERVER_ENCRYPTION(
                there=connects, own=" or ".join(sorted(server.facts.accepts)), mode=server.facts.mode
            )
        return good(connects)
    accepts = [word for bit, word in WORDS.items() if int(row["tls_accept"]) & bit]
    if server.facts.connects not in accepts:
        raise AGENT_ENCRYPTION(there=" or ".join(accepts), own=server.facts.connects)
    return good(server.facts.connects)


REFUSED = Fault(
    "refused",
    cause="The agent refuses connections from the server: {said}",
    fix="Add the server's address, as the agent sees it, to Server= in the agent's configuration. Then restart the "
    "agent. Its log shows the address that it refused.",
)
DROPPED = Fault(
    "dropped",
    cause="The agent closes the server's connection without an answer. Zabbix uses the same words for two causes: the "
    "agent's Server= does not allow the server, or the agent requires encryption (TLSAccept=) that the host in Zabbix "
    "does not use. Zabbix reports: {said}",
    fix="Run the doctor on that host: it sees both settings. Or read the agent's log there, which names the cause.",
)
KEYS_DIFFER = Fault(
    "encryption",
    cause="Server and agent cannot agree on encryption: {said}",
    fix="Give the host in Zabbix the identity and the key of the agent:\n    zbx-nvidia add-host {host} --address "
    "{address} --psk-file KEYFILE --psk-identity NAME --overwrite --url {url} --token-file FILE",
)
UNREACHABLE = Fault(
    "unreachable",
    cause="The server cannot reach the agent: {said}",
    fix="On the host, check that the agent runs, and that no firewall blocks port {port}. Test it from the server:\n"
    "    zabbix_get -s {address} -p {port} -k agent.ping",
)
AGENT_SILENT = Fault(
    "silent",
    cause="The server waits for the agent's call, but the agent does not call.",
    fix="In the agent's configuration, add the server to ServerActive=, and set Hostname={name} exactly as in Zabbix. "
    "Then restart the agent.",
)


@check(
    "reach",
    "Server reaches agent",
    SERVER,
    REFUSED,
    DROPPED,
    KEYS_DIFFER,
    UNREACHABLE,
    AGENT_SILENT,
    needs=("interface", "encryption", "proxy", "monitored"),
)
def reach(server: ServerState) -> Result:
    """What does Zabbix itself report about its connection to the agent?"""
    if not server.passive:
        if (server.host or {}).get("active_available") == UNAVAILABLE:
            raise AGENT_SILENT(name=server.name)
        return unseen("the agent calls the server")
    row = _interface(server) or {}
    if row.get("available") == AVAILABLE:
        return good("available")
    if row.get("available") != UNAVAILABLE:
        return unseen("Zabbix has not tried yet")
    said = " ".join(str(row["error"]).split()).rstrip(".") + "."
    address = shlex.quote(_address(row))
    if re.search(r"access permissions|access restrictions|empty response", said):
        if server.facts is None:
            raise DROPPED(said, said=said)
        # The check of encryption has seen the agent's own settings, and has passed.
        raise REFUSED(said, said=said)
    if re.search(r"TLS|PSK|SSL|gnutls|handshake|encrypt", said, re.IGNORECASE):
        raise KEYS_DIFFER(said, said=said, host=server.quoted_name, address=address, url=server.zabbix.url)
    raise UNREACHABLE(said, said=said, address=address, port=row["port"])
