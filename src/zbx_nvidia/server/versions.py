"""The differences between Zabbix versions, one small function for each.

A version is a tuple of two numbers, (7, 0). Each function compares with the first version that has the new form.
"""

from __future__ import annotations

import re
from typing import Any

Version = tuple[int, int]

OLDEST: Version = (6, 0)


# The formats of the template files, each with the first version that reads it.
DIALECTS: tuple[tuple[Version, str], ...] = (((7, 4), "7.4"), ((7, 0), "7.0"), ((6, 0), "6.0"))


def dialects(version: Version) -> tuple[str, ...]:
    """The series of the template files that a server reads, its best one first; it reads no newer ones."""
    return tuple(series for first, series in DIALECTS if version >= first)


def dialect(version: Version) -> str:
    """The series of the template file for a server."""
    return dialects(version)[0]


def has_wizard(version: Version) -> bool:
    """Whether a template has what the Host Wizard shows.

    No server of 7.4 or 8.0 was available for a test. If one refuses a file with that, the file without it may do.
    """
    return version >= (7, 4)


def takes_bearer(version: Version) -> bool:
    """Whether the session goes into the Authorization header (6.0 ignores it there; 7.2 refuses it in the body)."""
    return version >= (6, 4)


def needs_bearer(version: Version) -> bool:
    """Whether the session is taken from that header alone, which a Basic login in front needs too."""
    return version >= (7, 2)


# 6.2 split host groups from template groups (ZBXNEXT-2592).


def template_group_rule(version: Version) -> str:
    """The key of `configuration.import`'s rules for template groups; the server refuses the other key."""
    return "template_groups" if version >= (6, 2) else "groups"


def needs_template_group_rule(version: Version) -> bool:
    """Whether to send that rule although no group must be created: 7.0 then accepts it only from a Super admin.

    6.0 accepts it from every Admin, and answers with HTTP 500 without it.
    """
    return version < (7, 0)


def template_group_object(version: Version) -> str:
    """The API object that holds template groups."""
    return "templategroup" if version >= (6, 2) else "hostgroup"


def select_host_groups(version: Version) -> str:
    """The parameter of `host.get` that returns a host's groups."""
    return "selectHostGroups" if version >= (6, 2) else "selectGroups"


def host_groups_property(version: Version) -> str:
    """The property of a host under which `host.get` returns them."""
    return "hostgroups" if version >= (6, 2) else "groups"


# Since 7.0, proxies are objects of their own instead of a kind of host, and there are proxy groups (ZBXNEXT-8500).


def proxy_name(version: Version) -> str:
    """The property of a proxy that is its name."""
    return "name" if version >= (7, 0) else "host"


def proxy_of(version: Version, host: dict[str, Any]) -> str:
    """The id of the proxy that monitors this host, empty if none does; within a proxy group, the one assigned now."""
    fields = ("proxyid", "assigned_proxyid") if version >= (7, 0) else ("proxy_hostid",)
    return next((host[field] for field in fields if host.get(field, "0") != "0"), "")


def has_proxy_groups(version: Version) -> bool:
    """Whether a proxy group can monitor hosts."""
    return version >= (7, 0)


def proxy_group_of(version: Version, host: dict[str, Any]) -> str:
    """The id of the proxy group that monitors this host, empty if none does."""
    proxy_groupid = str(host.get("proxy_groupid", "0")) if version >= (7, 0) else "0"
    return "" if proxy_groupid == "0" else proxy_groupid


def monitored_by_server(version: Version) -> dict[str, str]:
    """The properties of a host that no proxy monitors."""
    return {"monitored_by": "0"} if version >= (7, 0) else {"proxy_hostid": "0"}


def monitored_by_proxy(version: Version, proxyid: str) -> dict[str, str]:
    """The properties of a host that assign it to a proxy."""
    if version >= (7, 0):
        return {"monitored_by": "1", "proxyid": proxyid}
    return {"proxy_hostid": proxyid}


def monitored_by_proxy_group(proxy_groupid: str) -> dict[str, str]:
    """The properties of a host that assign it to a proxy group."""
    return {"monitored_by": "2", "proxy_groupid": proxy_groupid}


def objects_differ(version: Version) -> bool:
    """Whether a document of another version must not contain objects of this one.

    6.2 and 6.4 write objects in forms of their own. Since 7.0, those of our files have the same form everywhere.
    """
    return version < (7, 0)


# Since 6.4, a template has a vendor with a version.


def template_version(template: dict[str, Any]) -> str:
    """The version of a template: that of its vendor, or (6.0 has no vendors) the one at the end of its description."""
    # The first form is that of a file, the second that of an answer of the API.
    vendor: str = template.get("vendor", {}).get("version", "") or template.get("vendor_version", "")
    described = re.search(r"(\d+(?:\.\d+)+)\.?\s*$", template.get("description", ""))
    return vendor or (described[1] if described else "")
