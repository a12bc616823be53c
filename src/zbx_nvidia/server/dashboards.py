"""Installs and removes the fleet dashboard, a global dashboard of the server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zbx_nvidia.server import find
from zbx_nvidia.server.plan import Change, Plan

if TYPE_CHECKING:
    from collections.abc import Callable

    from zbx_nvidia.server.connection import Connection

Object = dict[str, Any]

PUBLIC = "0"
_WIDGET = ("type", "name", "x", "y", "width", "height")


def plan(zabbix: Connection, name: str, groups: tuple[str, ...], pages: Callable[[list[str]], list[Object]]) -> Plan:
    """The changes that make the dashboard as wanted.

    A dashboard of that name is ours if a widget of it is: another one is left alone.

    Args:
        zabbix: the server.
        name: of the dashboard.
        groups: names of the host groups whose hosts it shows.
        pages: makes its pages from the IDs of these groups.
    """
    wanted = pages(list(find.host_groups(zabbix, groups).values()))
    there = _dashboard(zabbix, name)
    if there is None:
        count = sum(len(page["widgets"]) for page in wanted)
        summary = f"{count} widgets; groups {', '.join(groups)}; public"
        request: Object = {"name": name, "private": PUBLIC, "auto_start": "0", "pages": wanted}
        return Plan(
            "dashboard",
            name,
            [Change("add", "dashboard", name, new=summary)],
            apply=lambda: zabbix.call("dashboard.create", request),
        )
    if not _is_ours(there, wanted):
        refusal = f"a dashboard {name!r} exists, and no widget of it is ours: rename it, then run this again"
        return Plan("dashboard", name, [], refusal=refusal)
    update = {"dashboardid": there["dashboardid"], "pages": wanted}
    return Plan("dashboard", name, _changes(there, wanted), apply=lambda: zabbix.call("dashboard.update", update))


def plan_removal(zabbix: Connection, name: str, pages: Callable[[list[str]], list[Object]]) -> Plan:
    """The removal of the dashboard; nothing if there is none, or if it is not ours."""
    there = _dashboard(zabbix, name)
    if there is None:
        return Plan("dashboard", name, [])
    if not _is_ours(there, pages([])):
        return Plan("dashboard", name, [], refusal=f"a dashboard {name!r} exists, but no widget of it is ours")
    ids = [there["dashboardid"]]
    return Plan(
        "dashboard",
        name,
        [Change("remove", "dashboard", name)],
        apply=lambda: zabbix.call("dashboard.delete", ids),
    )


def address(zabbix: Connection, name: str) -> str:
    """Address of the dashboard in the front end."""
    there = _dashboard(zabbix, name)
    if there is None:
        raise find.gone(zabbix, f"the dashboard {name!r}")
    return f"{zabbix.url.rstrip('/')}/zabbix.php?action=dashboard.view&dashboardid={there['dashboardid']}"


def _dashboard(zabbix: Connection, name: str) -> Object | None:
    request = {"filter": {"name": name}, "output": ["dashboardid", "name"], "selectPages": "extend"}
    rows: list[Object] = zabbix.call("dashboard.get", request)
    return rows[0] if rows else None


def _is_ours(there: Object, wanted: list[Object]) -> bool:
    ours = {(widget["type"], widget["name"]) for page in wanted for widget in page["widgets"]}
    return any((widget["type"], widget["name"]) in ours for page in there["pages"] for widget in page["widgets"])


def _changes(there: Object, wanted: list[Object]) -> list[Change]:
    before, after = _flat(there["pages"]), _flat(wanted)
    return [
        *(Change("remove", "widget", title) for title in before if title not in after),
        *(Change("add", "widget", title) for title in after if title not in before),
        *(Change("update", "widget", title) for title in after if title in before and before[title] != after[title]),
    ]


def _flat(pages: list[Object]) -> dict[str, Object]:
    """The widgets by page and title, with their fields in one order and as text, as the API returns them."""
    return {
        f"{page['name']}: {widget['name']}": {
            **{key: str(widget[key]) for key in _WIDGET},
            "fields": sorted((str(one["type"]), one["name"], str(one["value"])) for one in widget["fields"]),
        }
        for page in pages
        for widget in page["widgets"]
    }
