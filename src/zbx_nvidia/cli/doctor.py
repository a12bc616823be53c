"""`zbx-nvidia doctor`: checks the way from the card to Zabbix, and reports the first fault."""

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

WIDTH = 80  # columns where there is no terminal
WIDEST = 100  # of sentences: longer lines are hard to read
TITLE = 24  # width of the column of titles
MARKS = {"good": "✓", "note": "!", "fault": "✗", "unseen": "·", "unchecked": "-"}
PLAIN_MARKS = {"good": "+", "note": "!", "fault": "X", "unseen": ".", "unchecked": "-"}


@click.command()
@click.option(
    "--agent",
    "kind",
    type=click.Choice(["auto", "agentd", "agent2"]),
    default="auto",
    show_default=True,
    help="Which Zabbix agent of this host to check; auto: the one that runs.",
)
@click.option("--host", "name", default="", help="The host's name in Zabbix.  [default: the agent's Hostname]")
@click.option("--server-only", is_flag=True, help="Check only the Zabbix server, from any machine; needs --host.")
@click.option("--verbose", "-v", is_flag=True, help="Also print what could be better, and how.")
@click.option("--json", "as_json", is_flag=True, help="Print the results as JSON.")
@optional_connection_options
def doctor(  # noqa: PLR0913  one for each option
    connect: Connect | None, *, kind: str, name: str, server_only: bool, verbose: bool, as_json: bool
) -> None:
    r"""Find out why Zabbix shows no values of this host's GPUs.

    Checks each step from the card in its slot to the last value on the server, and prints the first fault, its cause
    and its fix. Run it as root, so that it can check everything. It changes nothing, and reads the driver only as the
    agent's user. With --url it checks the server too. Exit code 0: healthy. 1: a fault. docs/DOCTOR.md describes every
    check.

    \b
    Example:
      sudo zbx-nvidia doctor
      sudo zbx-nvidia doctor --url https://zabbix.example.com/zabbix \
        --token-file ~/.zabbix-token --host gpu01
    """
    from zbx_nvidia.cli import terminal  # noqa: PLC0415  so that the help is quick
    from zbx_nvidia.doctor.checks import first_fault  # noqa: PLC0415  as above
    from zbx_nvidia.doctor.host_state import HostState  # noqa: PLC0415  as above
    from zbx_nvidia.doctor.run import run  # noqa: PLC0415  as above

    if server_only and not (connect and name):
        raise UsageError("--server-only needs --url and --host: give the server, and the host's name in Zabbix")
    host = None if server_only else HostState(kind)
    findings = run(host, connect, name)
    fault = first_fault(findings)
    if as_json:
        click.echo(json.dumps(as_data(findings, fault, server_asked=connect is not None), indent=2))
    else:
        root = host is None or host.root
        width = terminal.width(WIDTH)
        asked = connect is not None
        for line in as_lines(findings, fault, server_asked=asked, root=root, width=width, verbose=verbose):
            click.echo(line)
    if fault is not None:
        raise click.exceptions.Exit(1)


def as_lines(  # noqa: PLR0913  what the report is about
    findings: list[Finding],
    fault: Finding | None,
    *,
    server_asked: bool,
    root: bool,
    width: int = WIDTH,
    verbose: bool = False,
) -> Iterator[str]:
    """The report for people: the fault first, then every check. Only commands may be longer than `width`."""
    prose = min(width, WIDEST)
    if fault is not None:
        yield f"The fault: {fault.title} ({fault.check})"
        yield from _cause_and_fix(fault, prose)
        yield ""
    marks = MARKS if _speaks_utf8() else PLAIN_MARKS
    part = ""
    for finding in findings:
        if finding.part != part:
            part = finding.part
            yield part
        text = " ".join(finding.result.text.split())
        title = f"  {marks[finding.result.state]} {finding.title:{TITLE}} "
        yield from (
            textwrap.wrap(f"{title}{text}".rstrip(), width, subsequent_indent=" " * len(title))
            if text
            else [title.rstrip()]
        )
    if not server_asked:
        yield f"  {marks['unseen']} not checked: give --url, and a token (see --help)"
    notes = [finding for finding in findings if finding.result.state == "note"]
    for finding in notes if verbose else ():
        yield ""
        yield f"Note: {finding.title} ({finding.check})"
        yield from _cause_and_fix(finding, prose)
    if notes and not verbose:
        yield ""
        yield f"{marks['note']} works, but could be better: zbx-nvidia doctor --verbose says how."
    if fault is None:
        yield ""
        yield "Nothing is wrong." if root else "Nothing is wrong, as far as can be seen without root (sudo)."


def _cause_and_fix(finding: Finding, width: int) -> Iterator[str]:
    """Commands stay on one line, so that they can be copied."""
    yield from _wrapped(f"  {finding.result.cause}", width - 2, "  ")
    for line in finding.result.fix.splitlines():
        if line.startswith("    "):
            yield f"  {line}"
        else:
            yield from _wrapped(f"  {line}", width - 2, "  ")


def _wrapped(text: str, width: int, indent: str) -> list[str]:
    """Lines of a text; paths and commands in it stay whole."""
    return textwrap.wrap(text, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def _speaks_utf8() -> bool:
    return (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"


def as_data(findings: list[Finding], fault: Finding | None, *, server_asked: bool) -> dict[str, Any]:
    """The report for machines."""
    return {
        "version": __version__,
        "healthy": fault is None,
        "server_asked": server_asked,
        "fault": _row(fault) if fault else None,
        "checks": [_row(finding) for finding in findings],
    }


def _row(finding: Finding) -> dict[str, str]:
    result = finding.result
    return {
        "id": finding.check,
        "title": finding.title,
        "part": finding.part,
        "state": result.state,
        "text": result.text,
        "fault": result.fault,
        "cause": result.cause,
        "fix": result.fix,
    }
