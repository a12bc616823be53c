"""One host on a Zabbix server, as the checks see it."""

from __future__ import annotations

import re
import shlex
import time
from functools import cached_property
from typing import TYPE_CHECKING, Any

from zbx_nvidia.catalog.entities import DOCUMENT
from zbx_nvidia.doctor.checks import State
from zbx_nvidia.errors import ServerError
from zbx_nvidia.server import versions
from zbx_nvidia.server.find import lineage

if TYPE_CHECKING:
    from zbx_nvidia.doctor.host_state import AgentFacts
    from zbx_nvidia.server.connection import Connection

Object = dict[str, Any]

PREFIX = DOCUMENT.partition(".")[0] + "."  # of all keys of this package
ACTIVE = "7"  # Zabbix's number for an item for which the agent calls the server
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
    "value_type",
)


class ServerState(State):
    """One host on one server.

    Args:
        zabbix: The server, or why there is no connection.
        name: Technical name of the host.
        facts: Of the agent; None if the doctor does not run on its host.
    """

    def __init__(self, zabbix: Connection | ServerError, name: str, facts: AgentFacts | None) -> None:
        self._zabbix = zabbix
        self.name = name
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
    def quoted_name(self) -> str:
        """The host's name for a shell: it may have spaces."""
        return shlex.quote(self.name)

    @property
    def now(self) -> float:
        """The time by the clock of the frontend, where the values' times come from."""
        return time.time() + self.zabbix.ahead

    @cached_property
    def host(self) -> Object | None:
        """The host, if the user of the connection may see it."""
        request = {
            "output": "extend",
            "filter": {"host": self.name},
            "selectInterfaces": "extend",
            "selectParentTemplates": ["templateid", "host"],
            "selectMacros": ["macro", "value"],
        }
        rows: list[Object] = self.zabbix.call("host.get", request)
        return rows[0] if rows else None

    @cached_property
    def rules(self) -> list[Object]:
        """The discovery rules of this package on the host."""
        if self.host is None:
            return []
        request = {"hostids": [self.host["hostid"]], "output": ["name", "key_", "state", "error"]}
        rows = self.zabbix.call("discoveryrule.get", request)
        return [row for row in rows if row["key_"].startswith(PREFIX)]

    @cached_property
    def items(self) -> dict[str, Object]:
        """The items of this package on the host, by key."""
        if self.host is None:
            return {}
        # First: an error of the master item is one of its rules too, and would seem to be theirs alone if it came
        # between the two questions.
        _ = self.rules
        request = {
            "hostids": [self.host["hostid"]],
            "output": [*ITEM_FIELDS],
            "search": {"key_": PREFIX},
            "startSearch": True,
        }
        return {row["key_"]: row for row in self.zabbix.call("item.get", request)}

    def last_stored(self, row: Object) -> float:
        """When an item stored its last value; 0 if never. Zabbix says so of the last day alone."""
        newest = {"sortfield": "clock", "sortorder": "DESC", "limit": 1}
        request = {"itemids": [row["itemid"]], "history": int(row["value_type"]), "output": ["clock"], **newest}
        rows = self.zabbix.call("history.get", request)
        return float(rows[0]["clock"]) if rows else 0.0

    @property
    def master(self) -> Object:
        """The master item; checks that use it need the check `linked`."""
        return self.items[DOCUMENT]

    @property
    def passive(self) -> bool:
        """Whether the server calls the agent."""
        return bool(self.master["type"] != ACTIVE)

    @cached_property
    def interval(self) -> float:
        """How often the master item is polled, in s."""
        return seconds(self._resolved(self.master["delay"]), 60.0)

    def _resolved(self, text: str) -> str:
        if not text.startswith("{$"):
            return text
        assert self.host is not None  # noqa: S101  the host has the item
        ids = [row["templateid"] for row in lineage(self.zabbix, self.host["parentTemplates"])]
        request = {"hostids": ids, "filter": {"macro": text}, "output": ["hostid", "macro", "value"]}
        inherited = self.zabbix.call("usermacro.get", request) if ids else []
        rows = [*self.host["macros"], *sorted(inherited, key=lambda row: ids.index(row["hostid"]))]
        return next((str(row.get("value", "")) for row in rows if row["macro"] == text), text)

    @cached_property
    def proxy(self) -> Object | None:
        """The proxy that monitors the host, if the user may see it."""
        proxyid = versions.proxy_of(self.zabbix.version, self.host or {})
        if not proxyid:
            return None
        request = {"proxyids": [proxyid], "output": ["lastaccess", versions.proxy_name(self.zabbix.version)]}
        return next(iter(self.zabbix.call("proxy.get", request)), None)

    @property
    def proxy_group(self) -> str:
        """The name of the host's proxy group, or its id if the user may not see it; "" for none."""
        groupid = versions.proxy_group_of(self.zabbix.version, self.host or {})
        request = {"proxy_groupids": [groupid], "output": ["name"]}
        rows = self.zabbix.call("proxygroup.get", request) if groupid else []
        return next((str(row["name"]) for row in rows), groupid)


def seconds(text: str, default: float) -> float:
    """A period as Zabbix writes it."""
    period = re.match(r"(\d+)([smhd]?)(?:$|;)", text)
    return float(period[1]) * UNITS[period[2] or "s"] if period else default
