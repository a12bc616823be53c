"""What arrives at the server: the master item, its last value, the other items, discovery, clocks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zbx_nvidia.catalog.entities import DOCUMENT, GPU_FILTERS
from zbx_nvidia.catalog.metrics import PRESENT, TIMESTAMP
from zbx_nvidia.doctor.checks import NOTE, SERVER, Fault, Result, check, good, unseen
from zbx_nvidia.doctor.server_checks import IMPORT
from zbx_nvidia.host.durations import rough

if TYPE_CHECKING:
    from zbx_nvidia.doctor.server_state import ServerState

APART = 60  # s that two clocks may differ
MISSES = 3  # intervals for which a value may be missing
LATE = 10  # s for everything between poll and value
# s until Zabbix reports that an agent is gone, by its defaults: of a passive one after UnreachablePeriod (45) and one
# more try, UnreachableDelay (15) later; of an active one after two heartbeats (60 each). Until then the reason is open.
UNNOTICED = 150

FILTERS = tuple(f"{{$NVIDIA.{kind}.{rule}}}" for _, kind in GPU_FILTERS for rule in ("MATCHES", "NOT_MATCHES"))

NOT_SUPPORTED = Fault(
    "unsupported",
    cause="Zabbix cannot get {key} from the host: {said}",
    fix="Run the doctor on that host: the checks above then show why. Fix it, then poll the item again with “Execute "
    "now”.",
)


@check("item", "Master item", SERVER, NOT_SUPPORTED, needs=("reach",))
def item(server: ServerState) -> Result:
    """Is the master item supported, from which all other items take their values?"""
    if server.master["state"] != "0":
        said = " ".join(server.master["error"].split())
        raise NOT_SUPPORTED(said, key=DOCUMENT, said=said)
    return good(f"every {server.interval:g} s")


NO_VALUE = Fault(
    "never",
    cause="No value of the host {name!r} has arrived yet.",
    fix="For a new host this takes a minute or two. If it stays so, see the checks above, and read the server's log:\n"
    "    journalctl -u zabbix-server -n 50",
)
OLD_VALUE = Fault(
    "old",
    cause="The last value of the host {name!r} is {age} old, but one should arrive every {interval:g} s.",
    fix="See the checks above. If all of them are good, the server is behind. Check its queue (Administration > Queue) "
    "and its log:\n    journalctl -u zabbix-server -n 50",
)
LATE_VALUE = Fault(
    "late",
    cause="The last value of the host {name!r} is {age} old, but one should arrive every {interval:g} s. Zabbix may "
    f"need up to {UNNOTICED} s to notice that an agent is gone.",
    fix="Run the doctor again in two minutes. Or run it on that host: there it sees a fault of the agent at once.",
    state=NOTE,
)


@check("values", "Last value", SERVER, NO_VALUE, OLD_VALUE, LATE_VALUE, needs=("server", "monitored", "item"))
def values(server: ServerState) -> Result:
    """How old is the last value of the document's time?"""
    row = server.items.get(TIMESTAMP.item_key)
    last = 0.0 if row is None else float(row["lastclock"]) or server.last_stored(row)
    if not last:
        raise NO_VALUE("no value yet", name=server.name)
    age = server.now - last
    if age > MISSES * server.interval + LATE:
        fault = OLD_VALUE if age > UNNOTICED else LATE_VALUE
        raise fault(rough(age), name=server.name, age=rough(age), interval=server.interval)
    return good(f"{max(age, 0):.0f} s")


OTHERS_NOT_SUPPORTED = Fault(
    "unsupported",
    cause="{count} items of the host are in error. {item!r}: {said}",
    fix="List them under Data collection > Hosts > Items, state “Not supported”. If nobody has changed them, report "
    "the error.",
)


@check("supported", "Dependent items", SERVER, OTHERS_NOT_SUPPORTED, needs=("values",))
def supported(server: ServerState) -> Result:
    """Is an item in error that takes its value from the document?"""
    bad = [row for row in server.items.values() if row["state"] != "0" and row["status"] == "0"]
    bad = [row for row in bad if row["key_"] != DOCUMENT]
    if bad:
        said = " ".join(bad[0]["error"].split())
        raise OTHERS_NOT_SUPPORTED(f"{len(bad)} in error", count=len(bad), item=bad[0]["name"], said=said)
    return good(f"{len(server.items)}, none in error")


RULE_ERROR = Fault(
    "error",
    cause="The discovery rule {rule!r} is in error: {said}",
    fix=f"Update the template. If this does not help, report the error.{IMPORT}",
)
NOTHING_DISCOVERED = Fault(
    "nothing",
    cause="Values arrive, but Zabbix has discovered no GPU on the host {name!r}.",
    fix="Check the discovery filters on the host and on the template: the macros {filters}. Check also that the "
    "discovery rules are enabled.",
)


@check("discovery", "Discovery", SERVER, RULE_ERROR, NOTHING_DISCOVERED, needs=("values",))
def discovery(server: ServerState) -> Result:
    """Do the discovery rules work, and does everything discovered have its items?"""
    for rule in server.rules:
        if rule["error"] or rule["state"] != "0":
            said = " ".join(rule["error"].split()) or "it does not say which"
            raise RULE_ERROR(said, rule=rule["name"], said=said, url=server.zabbix.url)
    count = sum(key.startswith(PRESENT.item_key) for key in server.items)
    if not count:
        raise NOTHING_DISCOVERED("no GPU", name=server.name, filters=", ".join(FILTERS))
    return good(f"{count} GPU{'s' * (count != 1)}")


CLOCKS_DIFFER = Fault(
    "apart",
    cause="The host's clock is {seconds} s {direction} the server's. Values get wrong times, and the alert “Clocks "
    "differ” is active.",
    fix="Synchronize both with a time server:\n    timedatectl set-ntp true\n    timedatectl",
)


@check("clock", "Clocks", SERVER, CLOCKS_DIFFER, needs=("values",))
def clock(server: ServerState) -> Result:
    """How far is the host's clock from the server's, by the time in the document and the time of its arrival?"""
    row = server.items[TIMESTAMP.item_key]
    if server.passive:
        apart = float(row["lastvalue"]) - float(row["lastclock"])
    elif server.facts is not None:
        apart = -server.zabbix.ahead
    else:
        return unseen("an active agent reports no other time than its own")
    if abs(apart) > APART:
        direction = "ahead of" if apart > 0 else "behind"
        raise CLOCKS_DIFFER(f"{abs(apart):.0f} s apart", seconds=f"{abs(apart):.0f}", direction=direction)
    return good("less than a minute apart" if abs(apart) > LATE else "the same")
