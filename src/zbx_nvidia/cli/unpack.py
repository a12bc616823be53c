"""`zbx-nvidia unpack`."""

from __future__ import annotations

import shutil
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
@click.option("--link", is_flag=True, help="Link zbx-nvidia and its manual pages in /usr/local, for PATH and man.")
@click.option("--remove", is_flag=True, help="Remove DIR and these links, after zbx-nvidia uninstall-agent.")
@click.option("--dry-run", is_flag=True, help="Print what would change, and change nothing.")
def unpack(  # noqa: PLR0913  one for each option
    *, target: Path, python: Path | None, replace: bool, link: bool, remove: bool, dry_run: bool
) -> None:
    r"""Unpack zbx-nvidia.pyz on a GPU host, as root.

    A poll from the archive itself would cost twice as much. DIR is /opt/zbx-nvidia by default. An existing
    version is replaced after the new one was compiled and has started. A second run changes nothing. Links that
    exist are kept complete without --link too. A file of somebody else is never replaced by a link.

    \b
    Example:
      sudo python3 zbx-nvidia.pyz unpack --link
      sudo /opt/zbx-nvidia/bin/zbx-nvidia install-agent --dry-run
      sudo /opt/zbx-nvidia/bin/zbx-nvidia unpack --remove
    """
    from zbx_nvidia.host import installation  # noqa: PLC0415  so that the help is quick
    from zbx_nvidia.install import unpack as program  # noqa: PLC0415  as above

    if remove:
        if python or replace or link:
            raise UsageError("--remove excludes --python, --replace and --link")
        _say_removed(target, program.remove(target, dry_run=dry_run), dry_run=dry_run)
        return
    source = installation.archive()
    if source is None:
        raise UsageError("nothing to unpack: run this as python3 zbx-nvidia.pyz unpack")
    python_path = str(python.absolute()) if python else ""
    done = program.unpack(source, target, python=python_path, replace=replace, link=link, dry_run=dry_run)
    for warning in done.warnings:
        click.echo(f"warning: {warning}", err=True)
    if not done.changed and not done.linked:
        click.echo(f"{target} has {done.version} already: nothing to do.")
        return
    if done.changed:
        click.echo(
            f"Dry run: {done.version} would be unpacked to {target}."
            if dry_run
            else f"Unpacked {done.version} to {target}."
        )
    if done.linked:
        _say_linked(done.linked, dry_run=dry_run)
    if not dry_run:
        _say_next(target)


def _say_linked(paths: tuple[Path, ...], *, dry_run: bool) -> None:
    """The program by its path, the manual pages by their number."""
    pages = [path for path in paths if path.parent.name.startswith("man")]
    words = [str(path) for path in paths if path not in pages]
    if pages:
        words.append(f"{len(pages)} manual page{'s' * (len(pages) != 1)} in {pages[0].parents[1]}")
    click.echo(f"{'Would link' if dry_run else 'Linked'} {' and '.join(words)}.")


def _say_removed(target: Path, removed: tuple[Path, ...], *, dry_run: bool) -> None:
    for path in removed:
        click.echo(f"{'Would remove' if dry_run else 'Removed'} {path}")
    if not removed:
        click.echo(f"There is no {target}: nothing to do.")
    elif dry_run:
        click.echo("Dry run: nothing was changed.")


def _say_next(target: Path) -> None:
    """The next command: install-agent, or after an update the restart of the service."""
    from zbx_nvidia.host import paths  # noqa: PLC0415  so that the help is quick
    from zbx_nvidia.install import record  # noqa: PLC0415  as above

    if not record.PATH.exists():
        program = (target / "bin" / "zbx-nvidia").absolute()
        # sudo of the RHEL family does not look in /usr/local/bin.
        on_path = shutil.which(program.name)
        name = program.name if on_path and Path(on_path).resolve() == program.resolve() else program
        click.echo(f"Next, as root: {name} install-agent --server ADDRESS-OF-ZABBIX")
    elif paths.UNIT.exists():
        click.echo(f"The service runs the old version until you restart it: systemctl restart {paths.UNIT.stem}")
