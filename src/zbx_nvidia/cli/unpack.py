"""`zbx-nvidia unpack`."""

from __future__ import annotations

from pathlib import Path

import click

from zbx_nvidia.cli.connection import FILE
from zbx_nvidia.errors import UsageError


def _where_files_look() -> Path:
    """The folder whose scripts the UserParameter file names."""
    from zbx_nvidia.template.userparameters import COMMAND  # noqa: PLC0415  so that the help is quick

    return Path(COMMAND).parents[1]


@click.command()
@click.argument("target", metavar="[DIR]", type=click.Path(path_type=Path, file_okay=False), default=_where_files_look)
@click.option("--python", type=FILE, help="Python for the scripts to start with.  [default: the one that runs this]")
@click.option("--replace", is_flag=True, help="Also where DIR holds something else, such as a virtual environment.")
@click.option("--dry-run", is_flag=True, help="Say what would change, and change nothing.")
def unpack(*, target: Path, python: Path | None, replace: bool, dry_run: bool) -> None:
    r"""Unpack zbx-nvidia.pyz on a GPU host, as root.

    Run from the archive each poll would cost three times as much. DIR is /opt/zbx-nvidia if it is not given. What is
    there is replaced once the new version has been compiled and tried; a second run finds nothing to do.

    \b
    Example:
      sudo python3 zbx-nvidia.pyz unpack
      /opt/zbx-nvidia/bin/zbx-nvidia show
    """
    from zbx_nvidia.host import installation  # noqa: PLC0415  so that the help is quick
    from zbx_nvidia.install import unpack as program  # noqa: PLC0415  as above

    source = installation.archive()
    if source is None:
        raise UsageError("nothing to unpack: this does not run from zbx-nvidia.pyz")
    python_path = str(python.absolute()) if python else ""
    done = program.unpack(source, target, python=python_path, replace=replace, dry_run=dry_run)
    for warning in done.warnings:
        click.echo(f"warning: {warning}", err=True)
    if not done.changed:
        click.echo(f"{target} has {done.version} already: nothing to do.")
    elif dry_run:
        click.echo(f"Dry run: {done.version} would be unpacked to {target}.")
    else:
        click.echo(f"Unpacked {done.version} to {target}.")
