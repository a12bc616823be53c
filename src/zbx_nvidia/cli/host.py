"""`zbx-nvidia install-agent` and `zbx-nvidia uninstall-agent`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from zbx_nvidia.errors import UsageError

if TYPE_CHECKING:
    from zbx_nvidia.install.install import InstallResult

AGENT = "zbx-nvidia-agent"


@click.command()
@click.option(
    "--mode",
    type=click.Choice(["oneshot", "resident"]),
    help="A process a poll, or a service that stays (docs/RESIDENT.md).  [default: as it is; at first oneshot]",
)
@click.option(
    "--agent",
    "kind",
    type=click.Choice(["auto", "agentd", "agent2"]),
    default="auto",
    show_default=True,
    help="Which Zabbix agent; auto: each that runs, or else that is there.",
)
@click.option("--server", default="", metavar="ADDRESS", help="Set the agent's Server and ServerActive to this.")
@click.option("--psk", is_flag=True, help="Encrypt with a pre-shared key, which is made if there is none.")
@click.option("--psk-identity", default="", metavar="NAME", help="Identity of the key.  [default: by the host's name]")
@click.option("--host-metadata", default="", metavar="TEXT", help="Set the agent's HostMetadata, for autoregistration.")
@click.option("--command", type=click.Path(path_type=Path), help=f"Path of {AGENT}.  [default: beside this program]")
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
    r"""Have the Zabbix agent of this host serve the GPUs. As root.

    Puts the UserParameter file where the agent reads it, reloads or restarts the agent, and asks it for nvidia.get. If
    anything fails, everything is put back. A second run changes nothing; zbx-nvidia uninstall-agent takes it away.

    \b
    Example:
      zbx-nvidia install-agent --dry-run
      zbx-nvidia install-agent --server 192.0.2.5 --psk --host-metadata nvidia-gpu
    """
    from zbx_nvidia.install import install  # noqa: PLC0415  so that the help is quick
    from zbx_nvidia.install.agent_settings import Settings  # noqa: PLC0415  as above

    settings = Settings(server, psk, psk_identity, host_metadata)
    request = install.Request(kind, mode, command or beside(), rendered, settings)
    result = install.install(request, click.echo, dry_run=dry_run)
    _finish(result, dry_run=dry_run)


@click.command()
@click.option("--dry-run", is_flag=True, help="Print every file and command, and change nothing.")
def uninstall_agent(*, dry_run: bool) -> None:
    r"""Take away what install-agent did on this host. As root.

    Files and lines are put back as they were; what was changed by hand since is kept, and said. The package itself
    stays.

    \b
    Example:
      zbx-nvidia uninstall-agent --dry-run
      zbx-nvidia uninstall-agent
    """
    from zbx_nvidia.install import install  # noqa: PLC0415  so that the help is quick

    result = install.uninstall(click.echo, dry_run=dry_run)
    _finish(result, dry_run=dry_run)


def beside() -> Path:
    """The zbx-nvidia-agent of this installation, which an archive has to be unpacked for."""
    from zbx_nvidia.host import installation  # noqa: PLC0415  as above

    path = installation.own()
    if installation.archive() and not path.is_file():
        raise UsageError(
            f"a Zabbix agent cannot run {sys.argv[0]} itself: first, as root, python3 {sys.argv[0]} unpack"
        )
    return path


def rendered(mode: str, command: str, document: str) -> str:
    """The UserParameter file."""
    from zbx_nvidia.template import userparameters  # noqa: PLC0415  as above

    if mode == "resident":
        return userparameters.render_alias(document, command)
    return userparameters.render(command)


def _finish(result: InstallResult, *, dry_run: bool) -> None:
    if not result.changed:
        click.echo("Nothing changes.")
    for agent, verification in result.verifications:
        document = verification.document
        about = f"{document['status']['name']}, GPUs: {len(document['gpus'])}"
        click.echo(f"{agent.name} serves nvidia.get: {about} ({verification.asked}).")
        if verification.reservation:
            click.echo(f"Not proven further: {verification.reservation}.")
    for note in result.notes:
        click.echo(note)
    if dry_run:
        click.echo("Dry run: nothing was changed.")
    elif result.changed:
        click.echo("Done.")
