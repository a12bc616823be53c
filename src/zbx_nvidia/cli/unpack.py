"""`zbx-nvidia unpack`."""

from __future__ import annotations

from pathlib import Path

import click

from zbx_nvidia.cli.connection import FILE
from zbx_nvidia.errors import UsageError


def _default_folder() -> Path:
    """The folder in which the UserParameter file expects the program."""
    from zbx_nvidia.template.userparameters import COMMAND  # noqa: PLC0415  so that the help is quick

    return Path(COMMAND).parents[1]


@click.command()
@click.argument("target", metavar="[DIR]", type=click.Path(path_type=Path, file_okay=False), default=_default_folder)
@click.option("--python", type=FILE, help="Python that runs the scripts.  [default: the one that runs this]")
@click.option("--replace", is_flag=True, help="Replace other content of DIR too, such as a virtual environment.")
@click.option("--dry-run", is_flag=True, help="Print what would change, and change nothing.")
def unpack(*, target: Path, python: Path | None, replace: bool, dry_run: bool) -> None:
    r"""Unpack zbx-nvidia.pyz on a GPU host, as root.

    A poll from the archive itself would cost twice as much. DIR is /opt/zbx-nvidia by default. An existing
    version is replaced after the new one was compiled and has started. A second run changes nothing.

    \b
    Example:
      sudo python3 zbx-nvidia.pyz unpack
      /opt/zbx-nvidia/bin/zbx-nvidia show
    """
    from zbx_nvidia.host import installation  # noqa: PLC0415  so that the help is quick
    from zbx_nvidia.install import unpack as program  # noqa: PLC0415  as above

    source = installation.archive()
    if source is None:
        raise UsageError("nothing to unpack: run this as python3 zbx-nvidia.pyz unpack")
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
