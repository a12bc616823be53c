"""`zbx-nvidia doctor`: walks the chain from the card to Zabbix, and names the first link that is broken."""

from __future__ import annotations

import json
import sys
import textwrap
from typing import TYPE_CHECKING, Any

import click

from zbx_nvidia import __version__
from zbx_nvidia.cli.connection import optional_connection_options
from zbx_nvidia.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from zbx_nvidia.cli.connection import Connect
    from zbx_nvidia.doctor.checks import Finding

WIDTH = 80
TITLE = 24  # columns; the text begins after it
MARKS = {"good": "✓", "note": "!", "fault": "✗", "unseen": "·", "unchecked": "-"}
PLAIN_MARKS = {"good": "+", "note": "!", "fault": "X", "unseen": ".", "unchecked": "-"}


@click.command()
@click.option(
    "--agent",
    "kind",
    type=click.Choice(["auto", "agentd", "agent2"]),
    default="auto",
    show_default=True,
    help="Which Zabbix agent of this host; auto: the one that runs.",
)
@click.option("--host", "name", default="", help="The host's name in Zabbix.  [default: the agent's Hostname]")
@click.option("--server-only", is_flag=True, help="Look at Zabbix's side alone, from any machine; needs --host.")
@click.option("--json", "as_json", is_flag=True, help="Print what was found as JSON.")
@optional_connection_options
def doctor(connect: Connect | None, *, kind: str, name: str, server_only: bool, as_json: bool) -> None:
    r"""Find out why the GPUs of this host do not arrive in Zabbix.

    Looks at each link from the card in its slot to the last value on the server, and says what is wrong with the first
    that is broken, and what to do. As root it sees most; it changes nothing, and asks the driver only as the agent's
    user. The server's side is looked at where --url is given. Exit code 0: healthy. 1: a fault. docs/DOCTOR.md
    describes every link.

    \b
    Example:
      sudo zbx-nvidia doctor
      sudo zbx-nvidia doctor --url https://zabbix.example.com/zabbix \
        --token-file ~/.zabbix-token --host gpu01
    """
    from zbx_nvidia.doctor.checks import first_fault  # noqa: PLC0415  so that the help is quick
    from zbx_nvidia.doctor.host_state import Scene  # noqa: PLC0415  as above
    from zbx_nvidia.doctor.run import run  # noqa: PLC0415  as above

    if server_only and not (connect and name):
        raise UsageError("--server-only needs --url and --host: the server, and the host's name there")
    scene = Scene(kind)
    here = None if server_only else scene
    found = run(here, connect, name, scene.program.parent)
    fault = first_fault(found)
    if as_json:
        click.echo(json.dumps(as_data(found, fault, asked=connect is not None), indent=2))
    else:
        for line in as_lines(found, fault, asked=connect is not None, root=here is None or here.root):
            click.echo(line)
    if fault is not None:
        raise click.exceptions.Exit(1)


def as_lines(found: list[Finding], fault: Finding | None, *, asked: bool, root: bool) -> Iterator[str]:
    """What was found, for people: no line but a command is longer than 80 columns."""
    marks = MARKS if _speaks_utf8() else PLAIN_MARKS
    part = ""
    for finding in found:
        if finding.part != part:
            part = finding.part
            yield part
        text = " ".join(finding.seen.text.split())
        line = f"  {marks[finding.seen.state]} {finding.title:{TITLE}} {text}".rstrip()
        yield line if len(line) <= WIDTH else line[: WIDTH - 3] + "..."
    if not asked:
        yield f"  {marks['unseen']} not looked at: give --url, and a token (see --help)"
    for finding in found:
        if finding.seen.state == "note":
            yield ""
            yield f"Note: {finding.title} ({finding.link})"
            yield from _said(finding)
    yield ""
    if fault is None:
        yield "Nothing is wrong." if root else "Nothing is wrong, as far as can be seen without root (sudo)."
        return
    yield f"The fault: {fault.title} ({fault.link})"
    yield from _said(fault)


def _said(finding: Finding) -> Iterator[str]:
    """Cause and cure; commands are left in one line, to be copied."""
    yield from textwrap.wrap(finding.seen.cause, WIDTH - 2, initial_indent="  ", subsequent_indent="  ")
    for line in finding.seen.cure.splitlines():
        if line.startswith("    "):
            yield f"  {line}"
        else:
            yield from textwrap.wrap(line, WIDTH - 2, initial_indent="  ", subsequent_indent="  ")


def _speaks_utf8() -> bool:
    return (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"


def as_data(found: list[Finding], fault: Finding | None, *, asked: bool) -> dict[str, Any]:
    """The same for machines."""
    return {
        "version": __version__,
        "healthy": fault is None,
        "server_asked": asked,
        "fault": _row(fault) if fault else None,
        "links": [_row(finding) for finding in found],
    }


def _row(finding: Finding) -> dict[str, str]:
    seen = finding.seen
    return {
        "id": finding.link,
        "title": finding.title,
        "part": finding.part,
        "state": seen.state,
        "text": seen.text,
        "fault": seen.key,
        "cause": seen.cause,
        "cure": seen.cure,
    }
