"""`zbx-nvidia template` and `zbx-nvidia userparameters`: print the files to install by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from zbx_nvidia.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    Complete = Callable[[click.Context, click.Parameter, str], list[str]]


def _one_of(names: str) -> Complete:
    """Completes the names in a tuple of the package `template`, whose import the help must not wait for."""

    def complete(_ctx: click.Context, _option: click.Parameter, typed: str) -> list[str]:
        from zbx_nvidia import template  # noqa: PLC0415  as above

        return [name for name in getattr(template, names) if name.startswith(typed)]

    return complete


@click.command()
@click.option(
    "--zabbix",
    "series",
    default="7.0",
    show_default=True,
    metavar="6.0|7.0|7.4",
    shell_complete=_one_of("SERIES"),
    help="Series of the server.",
)
@click.option(
    "--variant",
    default="passive",
    show_default=True,
    metavar="passive|active",
    shell_complete=_one_of("VARIANTS"),
    help="Whether the server polls the agent (passive), or the agent connects to the server (active).",
)
def template(series: str, variant: str) -> None:
    r"""Print the template as YAML, to import it by hand.

    The file for 6.0 works on 6.0 and newer. The file for 7.0 works on 7.0 and newer, and has a better dashboard. The
    file for 7.4 is for 7.4 and 8.0, and has fields for the Host Wizard. No server of these two was available for a
    test: if one refuses it, import the file for 7.0.

    \b
    Example:
      zbx-nvidia template --zabbix 6.0 > nvidia.yaml
    """
    from zbx_nvidia.template import render  # noqa: PLC0415  yaml is loaded only where it is used

    click.echo(render(series, variant), nl=False)


@click.command()
@click.option("--command", type=click.Path(), help="Path of zbx-nvidia-agent on the host.")
@click.option(
    "--mode",
    type=click.Choice(["oneshot", "resident"]),
    default="oneshot",
    show_default=True,
    help="Run the collector once per poll, or read the file of zbx-nvidia-agent serve.",
)
@click.option("--file", type=click.Path(), help="File that zbx-nvidia-agent serve writes.")
def userparameters(*, command: str | None, mode: str, file: str | None) -> None:
    r"""Print the UserParameter file of a GPU host.

    \b
    Example:
      zbx-nvidia userparameters > /etc/zabbix/zabbix_agentd.d/nvidia.conf
      zbx-nvidia userparameters --mode resident > /etc/zabbix/zabbix_agentd.d/nvidia.conf
    """
    from zbx_nvidia.template import userparameters as files  # noqa: PLC0415  as above

    if mode == "resident":
        click.echo(files.render_alias(file or files.FILE, command or files.COMMAND), nl=False)
        return
    if file:
        raise UsageError("--file has no effect without --mode resident: give both")
    click.echo(files.render(command or files.COMMAND), nl=False)
