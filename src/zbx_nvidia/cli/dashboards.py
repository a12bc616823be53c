"""`zbx-nvidia install-dashboard` and `zbx-nvidia uninstall-dashboard`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from zbx_nvidia.cli.connection import connection_options
from zbx_nvidia.cli.hosts import GROUP
from zbx_nvidia.cli.plans import plan_options, show_and_apply

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from zbx_nvidia.cli.connection import Connect
    from zbx_nvidia.server.connection import Connection


@click.command()
@click.option(
    "--group",
    "groups",
    metavar="NAME",
    multiple=True,
    default=(GROUP,),
    show_default=True,
    help="Host group whose GPUs it shows. Repeatable.",
)
@plan_options
@connection_options
def install_dashboard(
    connect: Connect, *, groups: tuple[str, ...], dry_run: bool, verbose: bool, as_json: bool
) -> None:
    r"""Install the dashboard of all GPUs of all hosts, or update it.

    Every user of the front end can see it, with the hosts that they may see. A second run changes nothing. It replaces
    your edits of this dashboard: copy it to change it. Rings and graphs show all hosts: Zabbix has no groups there.
    Zabbix 6.0 has no honeycombs either: there it has graphs instead.

    \b
    Example:
      export ZABBIX_URL=https://zabbix.example.com/zabbix
      zbx-nvidia install-dashboard --token-file ~/.zabbix-token --group "NVIDIA GPUs"
    """
    from zbx_nvidia.server import dashboards  # noqa: PLC0415  so that the help is quick
    from zbx_nvidia.template.fleet import NAME  # noqa: PLC0415  as above

    with connect() as zabbix:
        plan = dashboards.plan(zabbix, NAME, tuple(dict.fromkeys(groups)), _pages(zabbix))
        show_and_apply([plan], dry_run=dry_run, verbose=verbose, as_json=as_json)
        if not (dry_run or as_json):
            click.echo(f"Open {dashboards.address(zabbix, NAME)}")


@click.command()
@plan_options
@connection_options
def uninstall_dashboard(connect: Connect, *, dry_run: bool, verbose: bool, as_json: bool) -> None:
    r"""Remove the dashboard of all GPUs of all hosts.

    \b
    Example:
      export ZABBIX_URL=https://zabbix.example.com/zabbix
      zbx-nvidia uninstall-dashboard --token-file ~/.zabbix-token
    """
    from zbx_nvidia.server import dashboards  # noqa: PLC0415  so that the help is quick
    from zbx_nvidia.template.fleet import NAME  # noqa: PLC0415  as above

    with connect() as zabbix:
        plan = dashboards.plan_removal(zabbix, NAME, _pages(zabbix))
        show_and_apply([plan], dry_run=dry_run, verbose=verbose, as_json=as_json)


def _pages(zabbix: Connection) -> Callable[[list[str]], list[dict[str, Any]]]:
    """What makes the pages for the server's version."""
    from zbx_nvidia.server import versions  # noqa: PLC0415  so that the help is quick
    from zbx_nvidia.template import fleet  # noqa: PLC0415  as above

    series = versions.dialect(zabbix.version)
    return lambda groupids: fleet.pages(series, groupids)
