"""`zbx-nvidia install-template` and `zbx-nvidia uninstall-template`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from zbx_nvidia.cli.connection import connection_options
from zbx_nvidia.cli.plans import carry_out, plan_options

if TYPE_CHECKING:
    from zbx_nvidia.cli.connection import Connect
    from zbx_nvidia.server.connection import Connection

variant_option = click.option(
    "--variant",
    type=click.Choice(["passive", "active", "both"]),
    default="passive",
    show_default=True,
    help="Whether the server asks the agent (passive), or the agent calls the server (active).",
)


@click.command()
@variant_option
@click.option("--overwrite", is_flag=True, help="Take back what was edited on the template on the server.")
@click.option("--prune", is_flag=True, help="Remove what the template on the server has and this version has not.")
@plan_options
@connection_options
def install_template(  # noqa: PLR0913  one for each option
    connect: Connect, *, variant: str, overwrite: bool, prune: bool, dry_run: bool, as_json: bool
) -> None:
    r"""Put the template on a Zabbix server, or bring it up to date.

    It says what will change and then changes it; a second run finds nothing to do. On a template that is already there
    these stay as they are on the server: the values of its macros, whether its items, triggers and discovery rules are
    enabled, and all that was added to it. A default that changed with the version is named, not applied. Other edits
    are part of the template and change with it: make your own on a host or in a template of yours. A user of type Admin
    may do it who may write the template's group, Templates/Applications; only a Super admin may make that group.

    \b
    Example:
      export ZABBIX_URL=https://zabbix.example.com/zabbix
      zbx-nvidia install-template --token-file ~/.zabbix-token --dry-run
    """
    from zbx_nvidia.server import templates  # noqa: PLC0415  so that the help is quick

    with connect() as zabbix:
        rendered = _rendered(zabbix, variant)
        plans = [templates.plan_install(zabbix, text, overwrite=overwrite, prune=prune) for text in rendered]
        carry_out(plans, dry_run=dry_run, as_json=as_json)


@click.command()
@variant_option
@click.option("--force", is_flag=True, help="Also where hosts have it: their items and history go with it.")
@plan_options
@connection_options
def uninstall_template(connect: Connect, *, variant: str, force: bool, dry_run: bool, as_json: bool) -> None:
    r"""Remove the template from a Zabbix server.

    While hosts have the template it stays, unless --force is given. Its template group stays in any case, since others
    may use it.

    \b
    Example:
      export ZABBIX_URL=https://zabbix.example.com/zabbix
      zbx-nvidia uninstall-template --token-file ~/.zabbix-token --dry-run
    """
    from zbx_nvidia.server import templates  # noqa: PLC0415  so that the help is quick

    with connect() as zabbix:
        plans = [templates.plan_uninstall(zabbix, text, force=force) for text in _rendered(zabbix, variant)]
        carry_out(plans, dry_run=dry_run, as_json=as_json)


def _rendered(zabbix: Connection, variant: str) -> list[str]:
    """The template files in the form that this server reads."""
    from zbx_nvidia.server import versions  # noqa: PLC0415  so that the help is quick
    from zbx_nvidia.template import TEMPLATE_NAMES, render  # noqa: PLC0415  so that the help is quick

    chosen = TEMPLATE_NAMES if variant == "both" else (variant,)
    return [render(versions.dialect(zabbix.version), one) for one in chosen]
