"""`zbx-nvidia install-template` and `zbx-nvidia uninstall-template`."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import click

from zbx_nvidia.cli.connection import connection_options
from zbx_nvidia.cli.plans import plan_options, show_and_apply

if TYPE_CHECKING:
    from collections.abc import Callable

    from zbx_nvidia.cli.connection import Connect
    from zbx_nvidia.server.merge import Shipped

variant_option = click.option(
    "--variant",
    type=click.Choice(["passive", "active", "both"]),
    default="passive",
    show_default=True,
    help="Whether the server polls the agent (passive), or the agent connects to the server (active).",
)


@click.command()
@variant_option
@click.option("--overwrite", is_flag=True, help="Revert edits of the template on the server.")
@click.option("--prune", is_flag=True, help="Remove objects that only the template on the server has.")
@click.option("--force", is_flag=True, help="Reset what was set on hosts that this user does not see.")
@plan_options
@connection_options
def install_template(  # noqa: PLR0913  one for each option
    connect: Connect,
    *,
    variant: str,
    overwrite: bool,
    prune: bool,
    force: bool,
    dry_run: bool,
    verbose: bool,
    as_json: bool,
) -> None:
    r"""Install the template on a Zabbix server, or update it.

    Prints what will change, and changes it: the counts first, then the parts of values that differ, for at most 20
    added and 20 changed objects. --verbose prints everything. A second run changes nothing. An existing template
    keeps its group, the values of its macros if somebody has changed them, everything that was added to it, and
    whether its items, triggers and discovery rules are enabled. Defaults that nobody has changed move on with the
    version, and what a version no longer has is removed. Other edits need --overwrite to be reverted, and the next
    version overwrites them: make such changes on a host, or in a template of your own. What was set on hosts is
    restored. Only a Super admin sees all hosts: for others, an update that resets something there needs --force. A
    user of type Admin needs write access to the template group Templates/Applications. Only a Super admin can
    create that group.

    Zabbix 7.4 and newer get fields for the Host Wizard too. If such a server refuses these, the command warns and uses
    the file for 7.0.

    \b
    Example:
      export ZABBIX_URL=https://zabbix.example.com/zabbix
      zbx-nvidia install-template --token-file ~/.zabbix-token --dry-run
    """
    from zbx_nvidia.server import templates  # noqa: PLC0415  so that the help is quick

    with connect() as zabbix:
        warn = functools.cache(functools.partial(click.echo, err=True))  # once, also for two variants
        plans = [
            templates.plan_newest(
                zabbix, make, warn, overwrite=overwrite, prune=prune, force=force, releases=_releases(one)
            )
            for one, make in _makers(variant).items()
        ]
        applied = show_and_apply(plans, dry_run=dry_run, verbose=verbose, as_json=as_json)
    new = any((change.action, change.kind) == ("add", "template") for plan in plans for change in plan.changes)
    if applied and new and not as_json:
        from zbx_nvidia.host import installation  # noqa: PLC0415  so that the help is quick

        active = " --variant active" if variant == "active" else " --address ADDRESS-OF-ITS-AGENT"
        click.echo(f"Next, for each GPU host: {installation.command()} add-host NAME{active}")


@click.command()
@variant_option
@click.option("--force", is_flag=True, help="Remove it from its hosts too, with their items and history.")
@plan_options
@connection_options
def uninstall_template(  # noqa: PLR0913  one for each option
    connect: Connect, *, variant: str, force: bool, dry_run: bool, verbose: bool, as_json: bool
) -> None:
    r"""Remove the template from a Zabbix server.

    A template that hosts have is only removed with --force. So is one that hosts may have which this user does not see:
    only a Super admin sees all. Its template group stays, since others may use it.

    \b
    Example:
      export ZABBIX_URL=https://zabbix.example.com/zabbix
      zbx-nvidia uninstall-template --token-file ~/.zabbix-token --dry-run
    """
    from zbx_nvidia.server import templates, versions  # noqa: PLC0415  so that the help is quick

    with connect() as zabbix:
        series = versions.dialect(zabbix.version)
        plans = [templates.plan_uninstall(zabbix, make(series), force=force) for make in _makers(variant).values()]
        show_and_apply(plans, dry_run=dry_run, verbose=verbose, as_json=as_json)


def _releases(variant: str) -> dict[str, Shipped]:
    from zbx_nvidia.server.merge import Shipped  # noqa: PLC0415  so that the help is quick
    from zbx_nvidia.template.releases import releases  # noqa: PLC0415  as above

    return {
        version: Shipped(one["macros"], one["switches"], frozenset(one["tags"]), frozenset(one["objects"]))
        for version, one in releases(variant).items()
    }


def _makers(variant: str) -> dict[str, Callable[[str], dict[str, Any]]]:
    """For each chosen variant: what makes its template for a series."""
    from zbx_nvidia.template import TEMPLATE_NAMES, document  # noqa: PLC0415  so that the help is quick

    chosen = TEMPLATE_NAMES if variant == "both" else (variant,)
    return {one: functools.partial(document, variant=one) for one in chosen}
