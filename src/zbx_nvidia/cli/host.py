"""`zbx-nvidia install-agent` and `zbx-nvidia uninstall-agent`."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from zbx_nvidia.errors import UsageError

if TYPE_CHECKING:
    from zbx_nvidia.install.agent_settings import Settings
    from zbx_nvidia.install.install import InstallResult
    from zbx_nvidia.zabbix_agent.find import Agent

AGENT = "zbx-nvidia-agent"


@click.command()
@click.option(
    "--mode",
    type=click.Choice(["oneshot", "resident"]),
    help="Run once per poll, or as a service (docs/RESIDENT.md).  [default: the present mode, or oneshot]",
)
@click.option(
    "--agent",
    "kind",
    type=click.Choice(["auto", "agentd", "agent2"]),
    default="auto",
    show_default=True,
    help="Which Zabbix agent; auto: those that run, else those that start at boot, else the installed ones.",
)
@click.option(
    "--server",
    default="",
    metavar="ADDRESS",
    help="Zabbix servers, for the agent's Server and ServerActive (docs/INSTALL.md).",
)
@click.option("--psk", is_flag=True, help="Encrypt with a pre-shared key; creates one if there is none.")
@click.option("--psk-identity", default="", metavar="NAME", help="Identity of the key.  [default: from the host name]")
@click.option("--host-metadata", default="", metavar="TEXT", help="Set the agent's HostMetadata, for autoregistration.")
@click.option("--command", type=click.Path(path_type=Path), help=f"Path of {AGENT}.  [default: next to this one]")
@click.option("--dry-run", is_flag=True, help="Print every file and command, and change nothing.")
def install_agent(  # noqa: PLR0913  one for each option
    *,
    mode: str | None,
    kind: str,
    server: str,
    psk: bool,
    psk_identity: str,
    host_metadata: str,
    command: Path | None,
    dry_run: bool,
) -> None:
    r"""Make the Zabbix agent of this host report its GPUs. Run it as root.

    Writes the UserParameter file where the agent reads it, reloads or restarts the agent, and asks it for nvidia.get.
    If a step fails, everything is restored. A second run changes nothing. zbx-nvidia uninstall-agent undoes it.

    \b
    Example:
      zbx-nvidia install-agent --dry-run
      zbx-nvidia install-agent --server 192.0.2.5 --psk --host-metadata nvidia-gpu
    """
    from zbx_nvidia.install import install, record  # noqa: PLC0415  so that the help is quick
    from zbx_nvidia.install.agent_settings import Settings  # noqa: PLC0415  as above

    settings = Settings(server, psk, psk_identity, host_metadata)
    request = install.Request(kind, mode, command or beside(), rendered, settings)
    first = not record.PATH.exists()
    result = install.install(request, click.echo, dry_run=dry_run)
    _finish(result, dry_run=dry_run)
    if first and not dry_run and result.verifications:
        click.echo(_next(result.verifications[0][0], settings))


@click.command()
@click.option("--dry-run", is_flag=True, help="Print every file and command, and change nothing.")
def uninstall_agent(*, dry_run: bool) -> None:
    r"""Undo what install-agent did on this host. Run it as root.

    Restores files and lines as they were. Keeps and reports what somebody has changed by hand since. The package itself
    stays installed.

    \b
    Example:
      zbx-nvidia uninstall-agent --dry-run
      zbx-nvidia uninstall-agent
    """
    from zbx_nvidia.install import install  # noqa: PLC0415  so that the help is quick

    result = install.uninstall(click.echo, dry_run=dry_run)
    _finish(result, dry_run=dry_run)


def beside() -> Path:
    """The zbx-nvidia-agent of this installation. An archive must be unpacked first."""
    from zbx_nvidia.host import installation  # noqa: PLC0415  as above

    path = installation.own()
    if installation.archive() and not path.is_file():
        raise UsageError(
            f"a Zabbix agent cannot run {sys.argv[0]} itself: unpack it first: sudo python3 {sys.argv[0]} unpack"
        )
    return path


def rendered(mode: str, command: str, document: str, deadline: float | None) -> str:
    """The UserParameter file."""
    from zbx_nvidia.template import userparameters  # noqa: PLC0415  as above

    if mode == "resident":
        return userparameters.render_alias(document, command, deadline)
    return userparameters.render(command, deadline)


def _next(agent: Agent, settings: Settings) -> str:
    """What to do in Zabbix after the first installation."""
    from zbx_nvidia.zabbix_agent import config, verify  # noqa: PLC0415  so that the help is quick

    if settings.metadata:
        return "Next: create the autoregistration action in Zabbix, once (docs/SERVER.md)"
    name = verify.host_name(agent, config.read(agent.config, agent.kind))
    add = f"zbx-nvidia add-host {shlex.quote(name)} --address ADDRESS"
    if settings.psk:
        add += " with the key, as above"
    return f"Next, where you reach the front end of Zabbix: zbx-nvidia install-template, then {add}"


def _finish(result: InstallResult, *, dry_run: bool) -> None:
    if not result.changed:
        click.echo("Nothing changes.")
    for agent, verification in result.verifications:
        document = verification.document
        about = f"{document['status']['name']}, GPUs: {len(document['gpus'])}"
        click.echo(f"{agent.name} serves nvidia.get: {about} ({verification.asked}).")
        if verification.reservation:
            click.echo(f"Not checked further: {verification.reservation}.")
    for note in result.notes:
        click.echo(note)
    if dry_run:
        click.echo("Dry run: nothing was changed.")
    elif result.changed:
        click.echo("Done.")
