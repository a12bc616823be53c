"""The links on the server's side, from the front end to the last value of a host."""

from __future__ import annotations

import difflib
import ipaddress
import re
import shlex
import socket
import time
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from zbx_nvidia.doctor.checks import NOTE, Chain, Fault, Seen, good, unseen, wrong
from zbx_nvidia.errors import ServerError
from zbx_nvidia.server import versions
from zbx_nvidia.server.hosts import AGENT, lineage

if TYPE_CHECKING:
    from zbx_nvidia.doctor.checks import Facts
    from zbx_nvidia.server.connection import Connection

Object = dict[str, Any]

SERVER = "Zabbix server"
ACTIVE = "7"  # Zabbix's number for an item for which the agent calls the server
UNAVAILABLE, AVAILABLE = "2", "1"
WITHOUT_DATA = "1"  # a maintenance during which nothing is collected
NO_ENCRYPTION, PSK, CERTIFICATE = 1, 2, 4
WORDS = {NO_ENCRYPTION: "unencrypted", PSK: "psk", CERTIFICATE: "cert"}
STOPPED = "1"  # Zabbix's number for a server that was shut down
SILENT = 60  # s after which a server, which writes its time every few, counts as gone
SILENT_PROXY = 150  # s; one of 6.0 calls once a minute when it has nothing else to say
APART = 60  # s that two clocks may differ
MISSES = 3  # intervals that a value may fail to come
LATE = 10  # s for all that is between question and value
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


ITEM_FIELDS = (
    "interfaceid",
    "key_",
    "name",
    "state",
    "error",
    "status",
    "lastclock",
    "lastvalue",
    "type",
    "delay",
    "templateid",
)


class Expected(NamedTuple):
    """What this package puts on a server.

    Attributes:
        templates: Version by name of the template.
        master: Key of the item that is asked for.
        timestamp: Key of the item that holds when the document was made.
        present: What the keys of the items begin with of which each discovered thing has one.
        thing: What is discovered.
        filters: The macros that keep it from being discovered.
    """

    templates: dict[str, str]
    master: str
    timestamp: str
    present: str
    thing: str
    filters: tuple[str, ...]


class Scene:
    """One host on one server; everything is asked for once, when a link needs it.

    Args:
        zabbix: The server, or why it cannot be had.
        name: Technical name of the host.
        expected: What this package puts there.
        facts: Of the agent; None elsewhere than on its host.
    """

    def __init__(self, zabbix: Connection | ServerError, name: str, expected: Expected, facts: Facts | None) -> None:
        self._zabbix = zabbix
        self.name = name
        self.expected = expected
        self.facts = facts

    @property
    def zabbix(self) -> Connection:
        """The connection.

        Raises:
            ServerError: There is none.
        """
        if isinstance(self._zabbix, ServerError):
            raise self._zabbix
        return self._zabbix

    @property
    def quoted(self) -> str:
        """The host's name for a shell: it may have spaces."""
        return shlex.quote(self.name)

    @property
    def now(self) -> float:
        """The time by the clock of the front end, where the values' times come from."""
        return time.time() + self.zabbix.ahead

    @cached_property
    def host(self) -> Object | None:
        """As the user of the connection may see it."""
        request = {
            "output": "extend",
            "filter": {"host": self.name},
            "selectInterfaces": "extend",
            "selectParentTemplates": ["templateid", "host"],
            "selectMacros": ["macro", "value"],
        }
        found: list[Object] = self.zabbix.call("host.get", request)
        return found[0] if found else None

    @cached_property
    def items(self) -> dict[str, Object]:
        """Its items of ours, by key."""
        if self.host is None:
            return {}
        prefix = self.expected.master.partition(".")[0] + "."
        request = {
            "hostids": [self.host["hostid"]],
            "output": [*ITEM_FIELDS],
            "search": {"key_": prefix},
            "startSearch": True,
        }
        return {row["key_"]: row for row in self.zabbix.call("item.get", request)}

    @property
    def master(self) -> Object:
        """The item that is asked for; links that use it need the link `linked`."""
        return self.items[self.expected.master]

    @property
    def passive(self) -> bool:
        """Whether the server asks the agent."""
        return bool(self.master["type"] != ACTIVE)

    @cached_property
    def interval(self) -> float:
        """How often it is asked for, in s."""
        return seconds(self._resolved(self.master["delay"]), 60.0)

    def _resolved(self, text: str) -> str:
        if not text.startswith("{$"):
            return text
        assert self.host is not None  # noqa: S101  as above
        ids = [row["templateid"] for row in lineage(self.zabbix, self.host["parentTemplates"])]
        request = {"hostids": ids, "filter": {"macro": text}, "output": ["hostid", "macro", "value"]}
        inherited = self.zabbix.call("usermacro.get", request) if ids else []
        rows = [*self.host["macros"], *sorted(inherited, key=lambda row: ids.index(row["hostid"]))]
        return next((str(row.get("value", "")) for row in rows if row["macro"] == text), text)

    @cached_property
    def proxy(self) -> Object | None:
        """The proxy that monitors the host, as far as it may be seen."""
        proxyid = versions.proxy_of(self.zabbix.version, self.host or {})
        if not proxyid:
            return None
        request = {"proxyids": [proxyid], "output": ["lastaccess", versions.proxy_name(self.zabbix.version)]}
        return next(iter(self.zabbix.call("proxy.get", request)), None)

    @property
    def proxy_group(self) -> str:
        """The name of the proxy group that the host is given to, or its id where it may not be seen; empty if none."""
        groupid = versions.proxy_group_of(self.zabbix.version, self.host or {})
        request = {"proxy_groupids": [groupid], "output": ["name"]}
        rows = self.zabbix.call("proxygroup.get", request) if groupid else []
        return next((str(row["name"]) for row in rows), groupid)


CHAIN: Chain[Scene] = Chain()
link = CHAIN.link


def seconds(text: str, default: float) -> float:
    """A period as Zabbix writes it."""
    found = re.match(r"(\d+)([smhd]?)(?:$|;)", text)
    return float(found[1]) * UNITS[found[2] or "s"] if found else default


@link(
    "frontend",
    "Front end",
    SERVER,
    Fault("refused", "{said}", "Put that right; without it nothing is seen of the server's side."),
)
def front_end(scene: Scene) -> Seen:
    """Whether the front end can be reached, is Zabbix 6.0 or newer, and takes the login."""
    try:
        zabbix = scene.zabbix
    except ServerError as error:
        raise wrong("refused", str(error), said=error) from None
    return good(f"Zabbix {'.'.join(map(str, zabbix.version))} at {zabbix.url}")


@link(
    "server",
    "Server runs",
    SERVER,
    Fault(
        "down",
        "The front end answers, but the Zabbix server behind it does not run: its last sign of life is {age} old.",
        "On the server's host:\n    systemctl restart zabbix-server\n    journalctl -u zabbix-server -n 20",
    ),
    needs=("frontend",),
)
def running(scene: Scene) -> Seen:
    """When the server last wrote its time into the database (needs a user of type Super admin)."""
    try:
        nodes = scene.zabbix.call("hanode.get", {"output": ["lastaccess", "status"]})
    except ServerError:
        return unseen("only a Super admin can see it")
    if not nodes:
        return unseen("it does not say")
    age = scene.now - max(float(node["lastaccess"]) for node in nodes)
    # One that is stopped says so; one that is killed cannot.
    if age > SILENT or all(node["status"] == STOPPED for node in nodes):
        raise wrong("down", "it does not run", age=f"{max(age, 0):.0f} s")
    return good("it has written its time just now")


@link(
    "template",
    "Template",
    SERVER,
    Fault(
        "missing",
        "The server has no template {name!r} that this user may see.",
        "Put it there:\n    zbx-nvidia install-template --url {url} --token-file FILE",
    ),
    Fault(
        "version",
        "The template {name!r} on the server is of version {found}, this package of {own}.",
        "Bring the server's up to date, or this package:\n    zbx-nvidia install-template --url {url} --token-file "
        "FILE",
    ),
    needs=("frontend",),
)
def template(scene: Scene) -> Seen:
    """Whether the template is on the server, of the version of this package."""
    names = list(scene.expected.templates)
    request = {"output": "extend", "filter": {"host": names}}
    found = {row["host"]: row for row in scene.zabbix.call("template.get", request)}
    if not found and scene.items.get(scene.expected.master, {}).get("templateid", "0") != "0":
        return unseen("this user may see the host, and not its template")
    if not found:
        raise wrong("missing", name=names[0], url=scene.zabbix.url)
    for name, row in found.items():
        there, own = versions.template_version(row), scene.expected.templates[name]
        if there != own:
            raise wrong("version", name=name, found=there or "unknown", own=own, url=scene.zabbix.url)
    return good(", ".join(f"{name} {scene.expected.templates[name]}" for name in found))


@link(
    "host",
    "Host in Zabbix",
    SERVER,
    Fault(
        "missing",
        "Zabbix has no host {name!r} that this user may see{near}.",
        "Add it, name it with --host as Zabbix has it, or give the user's group the right to read it:\n    zbx-nvidia "
        "add-host {host} --address ADDRESS --url {url} --token-file FILE",
    ),
    needs=("frontend",),
)
def host(scene: Scene) -> Seen:
    """Whether a host of that technical name is there, for this user."""
    if scene.host is None:
        known = [row["host"] for row in scene.zabbix.call("host.get", {"output": ["host"]})]
        alike = difflib.get_close_matches(scene.name.lower(), [name.lower() for name in known], 3, 0.6)
        found = [name for name in known if name.lower() in alike]
        near = f"; there is {', '.join(map(repr, found))}" if found else ""
        names = {"name": scene.name, "near": near, "host": scene.quoted, "url": scene.zabbix.url}
        raise wrong("missing", f"no host {scene.name!r}", **names)
    return good(scene.name)


@link(
    "monitored",
    "Host is monitored",
    SERVER,
    Fault(
        "disabled",
        "The host {name!r} is disabled in Zabbix: nothing is asked of it.",
        "Enable it under Data collection > Hosts (6.0: Configuration > Hosts).",
    ),
    Fault(
        "maintenance",
        "The host {name!r} is in a maintenance without data collection.",
        "End that maintenance, or wait for its end: Data collection > Maintenance (6.0: Configuration > Maintenance).",
    ),
    Fault(
        "quiet",
        "The host {name!r} is in a maintenance: values arrive, and no alarms are sent.",
        "End it when the work is done.",
        NOTE,
    ),
    needs=("host",),
)
def monitored(scene: Scene) -> Seen:
    """Whether it is enabled, and not in a maintenance."""
    found = scene.host or {}
    if found["status"] != "0":
        raise wrong("disabled", name=scene.name)
    if found.get("maintenance_status") == "1":
        raise wrong("maintenance" if found["maintenance_type"] == WITHOUT_DATA else "quiet", name=scene.name)
    return good("enabled")


@link(
    "linked",
    "Template is linked",
    SERVER,
    Fault(
        "missing",
        "The host {name!r} does not have the template: there is no item {key} on it.",
        "Link it:\n    zbx-nvidia add-host {host} --address ADDRESS --url {url} --token-file FILE",
    ),
    Fault(
        "disabled",
        "The item {key} of the host {name!r} is disabled.",
        "Enable it under Data collection > Hosts > Items (6.0: Configuration > Hosts > Items).",
    ),
    needs=("template", "host"),
)
def linked(scene: Scene) -> Seen:
    """Whether the host has the item that everything is taken from, enabled."""
    key = scene.expected.master
    if key not in scene.items:
        names = {"name": scene.name, "host": scene.quoted, "key": key, "url": scene.zabbix.url}
        raise wrong("missing", f"no item {key} on it", **names)
    if scene.master["status"] != "0":
        raise wrong("disabled", name=scene.name, key=key)
    return good(f"{len(scene.items)} items, {'asked by the server' if scene.passive else 'sent by the agent'}")


@link(
    "proxy",
    "Proxy",
    SERVER,
    Fault(
        "silent",
        "The host is monitored by the proxy {name!r}, which has not called the server for {age}.",
        "On the proxy's host:\n    systemctl restart zabbix-proxy\n    journalctl -u zabbix-proxy -n 20",
    ),
    Fault(
        "group",
        "The host is given to the proxy group {name!r}, and none of its proxies has it.",
        "A new host takes a minute. If it stays so, too few proxies are online (Administration > Proxy groups); on "
        "their hosts:\n    systemctl restart zabbix-proxy\n    "
        "journalctl -u zabbix-proxy -n 20",
    ),
    needs=("host",),
)
def proxied(scene: Scene) -> Seen:
    """Whether the proxy that monitors the host, if one does, has called the server lately."""
    found = scene.proxy
    if found is None and versions.proxy_of(scene.zabbix.version, scene.host or {}):
        return unseen("this user may not see it")
    if found is None and (group := scene.proxy_group):
        raise wrong("group", f"none of {group} has it", name=group)
    if found is None:
        return unseen("none")
    name = found[versions.proxy_name(scene.zabbix.version)]
    last = float(found["lastaccess"])
    if scene.now - last > SILENT_PROXY:
        age = f"{scene.now - last:.0f} s" if last else "ever"
        raise wrong("silent", f"{name} is silent", name=name, age=age)
    return good(f"{name} has called just now")


@link(
    "interface",
    "Host's interface",
    SERVER,
    Fault(
        "missing",
        "The host {name!r} has no agent interface in Zabbix: the server does not know where to ask.",
        "Add one:\n    zbx-nvidia add-host {host} --address ADDRESS --url {url} --token-file FILE",
    ),
    Fault(
        "port",
        "Zabbix asks this host at port {there}, and its agent listens at {own}.",
        "Let both be the same:\n    zbx-nvidia add-host {host} --address {address} --port {own} --overwrite --url "
        "{url} --token-file FILE",
    ),
    Fault(
        "unknown",
        "Zabbix asks this host as {address}, a name that this host cannot resolve: {said}",
        "Put the name into the DNS, or use an address:\n    zbx-nvidia add-host {host} --address ADDRESS --overwrite "
        "--url {url} --token-file FILE",
    ),
    Fault(
        "address",
        "Zabbix asks for this host at {address}, which is none of its addresses ({own}).",
        "Unless something between them translates addresses, correct it:\n    zbx-nvidia add-host {host} --address "
        "ADDRESS --overwrite --url {url} --token-file FILE",
    ),
    needs=("linked",),
    # Something between them may translate addresses and ports.
    outvoted_by=("reach",),
)
def interface(scene: Scene) -> Seen:
    """Whether Zabbix asks the host at an address that it has, and at its agent's port."""
    if not scene.passive:
        return unseen("not needed: the agent calls the server")
    found = _interface(scene)
    if found is None:
        raise wrong("missing", name=scene.name, host=scene.quoted, url=scene.zabbix.url)
    address = found["ip"] if found["useip"] == "1" else found["dns"]
    shown = f"{address}:{found['port']}"
    if scene.facts is None or "{" in shown:
        return unseen(f"{shown}; only on its host can be seen whether that is right")
    names: dict[str, object] = {"host": scene.quoted, "address": address, "url": scene.zabbix.url}
    if found["port"] != scene.facts.port:
        raise wrong("port", f"{shown}, not port {scene.facts.port}", there=found["port"], own=scene.facts.port, **names)
    try:
        numbers = {str(row[4][0]) for row in socket.getaddrinfo(address, None)}
    except OSError as error:
        raise wrong("unknown", f"{address} cannot be resolved", said=error.strerror or error, **names) from None
    if not numbers & scene.facts.addresses:
        if any(ipaddress.ip_address(one).is_loopback for one in numbers):
            # Debian and Ubuntu put a host's own name into its /etc/hosts so: 127.0.1.1.
            return unseen(f"{shown}, by which this host means itself; the server may find another address")
        outside = [one for one in sorted(scene.facts.addresses) if not ipaddress.ip_address(one).is_loopback]
        raise wrong("address", f"{shown}, not this host", own=", ".join(outside), **names)
    return good(shown)


def _interface(scene: Scene) -> Object | None:
    """That over which the item is asked for: a host may have several."""
    interfaces = (scene.host or {})["interfaces"]
    asked = [row for row in interfaces if row["interfaceid"] == scene.master.get("interfaceid")]
    return next((row for row in (*asked, *interfaces) if row["type"] == AGENT), None)


@link(
    "encryption",
    "Encryption",
    SERVER,
    Fault(
        "server",
        "Zabbix asks this host with {there}, and its agent takes {own} (TLSAccept).",
        "Give the host in Zabbix what the agent takes (Encryption > Connections to host), or have the agent take the "
        "other:\n    zbx-nvidia install-agent --mode {mode} --psk",
    ),
    Fault(
        "agent",
        "The agent calls with {own} (TLSConnect), and Zabbix takes {there} from this host.",
        "Let the host in Zabbix take that (Encryption > Connections from host), or change TLSConnect= of the agent.",
    ),
    needs=("linked",),
)
def encryption(scene: Scene) -> Seen:
    """Whether server and agent want the same encryption; whether their keys are the same, Zabbix tells nobody."""
    found = scene.host or {}
    if scene.facts is None:
        return unseen("only on its host can be seen what the agent wants")
    if scene.passive:
        there = WORDS.get(int(found["tls_connect"]), found["tls_connect"])
        if there not in scene.facts.accepts:
            own = " or ".join(sorted(scene.facts.accepts))
            raise wrong("server", there=there, own=own, mode=scene.facts.mode)
        return good(there)
    takes = [word for bit, word in WORDS.items() if int(found["tls_accept"]) & bit]
    if scene.facts.connects not in takes:
        raise wrong("agent", there=" or ".join(takes), own=scene.facts.connects)
    return good(scene.facts.connects)


@link(
    "reach",
    "Server reaches agent",
    SERVER,
    Fault(
        "refused",
        "The agent lets the server not ask: {said}",
        "Name the server, as the agent sees it, in Server= of the agent's configuration, and restart the agent. Its "
        "log "
        "names the address that it refused.",
    ),
    Fault(
        "encryption",
        "Server and agent cannot agree on an encryption: {said}",
        "Give the host in Zabbix the identity and the key of the agent:\n    zbx-nvidia add-host {host} --address "
        "{address} --psk-file KEYFILE --psk-identity NAME --overwrite --url {url} --token-file FILE",
    ),
    Fault(
        "unreachable",
        "The server cannot reach the agent: {said}",
        "On the host: does the agent run, and does a firewall let port {port} pass? From the server:\n    "
        "zabbix_get -s "
        "{address} -p {port} -k agent.ping",
    ),
    Fault(
        "silent",
        "The agent does not call the server, which waits for it to.",
        "Name the server in ServerActive= of the agent's configuration, with Hostname={name} exactly as Zabbix has it, "
        "and restart the agent.",
    ),
    needs=("interface", "encryption", "proxy", "monitored"),
)
def reach(scene: Scene) -> Seen:
    """What Zabbix itself says of its connection to the agent."""
    if not scene.passive:
        if (scene.host or {}).get("active_available") == UNAVAILABLE:
            raise wrong("silent", name=scene.name)
        return unseen("the agent calls the server")
    found = _interface(scene) or {}
    if found.get("available") == AVAILABLE:
        return good("available")
    if found.get("available") != UNAVAILABLE:
        return unseen("Zabbix has not asked yet")
    said = " ".join(str(found["error"]).split()).rstrip(".") + "."
    kind = "unreachable"
    if re.search(r"access permissions|access restrictions", said):
        kind = "refused"
    elif re.search(r"TLS|PSK|SSL|gnutls|handshake|encrypt", said, re.IGNORECASE):
        kind = "encryption"
    address = found["ip"] if found["useip"] == "1" else found["dns"]
    names = {"host": scene.quoted, "url": scene.zabbix.url, "address": shlex.quote(address), "port": found["port"]}
    raise wrong(kind, said, said=said, **names)


@link(
    "item",
    "Item that is asked for",
    SERVER,
    Fault(
        "unsupported",
        "Zabbix cannot take {key} from the host: {said}",
        "The links above say why, if the doctor runs on that host; once it is mended, have Zabbix ask again with "
        "“Execute now”.",
    ),
    needs=("reach",),
)
def item(scene: Scene) -> Seen:
    """Whether the item that everything is taken from is supported."""
    if scene.master["state"] != "0":
        said = " ".join(scene.master["error"].split())
        raise wrong("unsupported", said, key=scene.expected.master, said=said)
    return good(f"every {scene.interval:g} s")


@link(
    "values",
    "Age of last value",
    SERVER,
    Fault(
        "never",
        "No value of the host {name!r} has arrived yet.",
        "A new host takes a minute or two. If it stays so, see the links above, and the server's log:\n    journalctl "
        "-u zabbix-server -n 50",
    ),
    Fault(
        "old",
        "The last value of the host {name!r} is {age} s old, and one should come every {interval:g} s.",
        "See the links above; if all are good, the server is behind: its queue (Administration > Queue) and its "
        "log:\n    journalctl -u zabbix-server -n 50",
    ),
    needs=("server", "monitored", "item"),
)
def values(scene: Scene) -> Seen:
    """How old the last value of the document's time is."""
    found = scene.items.get(scene.expected.timestamp)
    if found is None or found["lastclock"] == "0":
        raise wrong("never", "no value yet", name=scene.name)
    age = scene.now - float(found["lastclock"])
    if age > MISSES * scene.interval + LATE:
        raise wrong("old", f"{age:.0f} s", name=scene.name, age=f"{age:.0f}", interval=scene.interval)
    return good(f"{max(age, 0):.0f} s")


@link(
    "supported",
    "Other items",
    SERVER,
    Fault(
        "unsupported",
        "{count} items of the host are in error; {item!r}: {said}",
        "See them under Data collection > Hosts > Items, state “Not supported”. If nobody has changed them, please "
        "report "
        "the error.",
    ),
    needs=("values",),
)
def supported(scene: Scene) -> Seen:
    """Whether an item that is taken from the document is in error."""
    bad = [row for row in scene.items.values() if row["state"] != "0" and row["status"] == "0"]
    bad = [row for row in bad if row["key_"] != scene.expected.master]
    if bad:
        said = " ".join(bad[0]["error"].split())
        raise wrong("unsupported", f"{len(bad)} in error", count=len(bad), item=bad[0]["name"], said=said)
    return good(f"{len(scene.items)}, none in error")


@link(
    "discovery",
    "Discovery",
    SERVER,
    Fault(
        "error",
        "The discovery rule {rule!r} is in error: {said}",
        "Bring the template up to date; if that is no help, please report the error:\n    zbx-nvidia install-template "
        "--url {url} --token-file FILE",
    ),
    Fault(
        "nothing",
        "Values arrive, and Zabbix has discovered no {thing} on the host {name!r}.",
        "See what the filters let pass, on the host and on the template: the macros {filters}. And whether the "
        "discovery rules are enabled.",
    ),
    needs=("values",),
)
def discovery(scene: Scene) -> Seen:
    """Whether the discovery rules are well, and what is discovered has its items."""
    request = {"hostids": [(scene.host or {})["hostid"]], "output": ["name", "key_", "state", "error"]}
    prefix = scene.expected.master.partition(".")[0] + "."
    for rule in scene.zabbix.call("discoveryrule.get", request):
        if rule["key_"].startswith(prefix) and (rule["error"] or rule["state"] != "0"):
            said = " ".join(rule["error"].split()) or "it does not say what"
            raise wrong("error", said, rule=rule["name"], said=said, url=scene.zabbix.url)
    count = sum(key.startswith(scene.expected.present) for key in scene.items)
    if not count:
        thing, filters = scene.expected.thing, ", ".join(scene.expected.filters)
        raise wrong("nothing", f"no {thing}", name=scene.name, thing=thing, filters=filters)
    return good(f"{count} {scene.expected.thing}{'s' * (count != 1)}")


@link(
    "clock",
    "Clocks",
    SERVER,
    Fault(
        "apart",
        "The clock of the host is {seconds} s {way} that of the server: values get wrong times, and the alarm "
        "“Clocks differ” stands.",
        "Let both follow a time server:\n    timedatectl set-ntp true\n    timedatectl",
    ),
    needs=("values",),
)
def clock(scene: Scene) -> Seen:
    """How far the host's clock is from the server's: the time in the document against that of its arrival."""
    found = scene.items[scene.expected.timestamp]
    if scene.passive:
        apart = float(found["lastvalue"]) - float(found["lastclock"])
    elif scene.facts is not None:
        apart = -scene.zabbix.ahead
    else:
        return unseen("an active agent says no other time than its own")
    if abs(apart) > APART:
        way = "before" if apart > 0 else "behind"
        raise wrong("apart", f"{abs(apart):.0f} s apart", seconds=f"{abs(apart):.0f}", way=way)
    return good("less than a minute apart" if abs(apart) > LATE else "the same")
