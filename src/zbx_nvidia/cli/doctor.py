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

WIDTH = 80
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
@click.option("--json", "as_json", is_flag=True, help="Print the results as JSON.")
@optional_connection_options
def doctor(connect: Connect | None, *, kind: str, name: str, server_only: bool, as_json: bool) -> None:
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
    from zbx_nvidia.doctor.checks import first_fault  # noqa: PLC0415  so that the help is quick
    from zbx_nvidia.doctor.host_state import HostState  # noqa: PLC0415  as above
    from zbx_nvidia.doctor.run import run  # noqa: PLC0415  as above

    if server_only and not (connect and name):
        raise UsageError("--server-only needs --url and --host: give the server, and the host's name in Zabbix")
    this_host = HostState(kind)
    host = None if server_only else this_host
    findings = run(host, connect, name, this_host.program.parent)
    fault = first_fault(findings)
    if as_json:
        click.echo(json.dumps(as_data(findings, fault, server_asked=connect is not None), indent=2))
    else:
        root = host is None or host.root
        for line in as_lines(findings, fault, server_asked=connect is not None, root=root):
            click.echo(line)
    if fault is not None:
        raise click.exceptions.Exit(1)


def as_lines(findings: list[Finding], fault: Finding | None, *, server_asked: bool, root: bool) -> Iterator[str]:
    """The report for people. Only commands may be longer than 80 columns."""
    marks = MARKS if _speaks_utf8() else PLAIN_MARKS
    part = ""
    for finding in findings:
        if finding.part != part:
            part = finding.part
            yield part
        text = " ".join(finding.result.text.split())
        line = f"  {marks[finding.result.state]} {finding.title:{TITLE}} {text}".rstrip()
        yield line if len(line) <= WIDTH else line[: WIDTH - 3] + "..."
    if not server_asked:
        yield f"  {marks['unseen']} not checked: give --url, and a token (see --help)"
    for finding in findings:
        if finding.result.state == "note":
            yield ""
            yield f"Note: {finding.title} ({finding.check})"
            yield from _cause_and_fix(finding)
    yield ""
    if fault is None:
        yield "Nothing is wrong." if root else "Nothing is wrong, as far as can be seen without root (sudo)."
        return
    yield f"The fault: {fault.title} ({fault.check})"
    yield from _cause_and_fix(fault)


def _cause_and_fix(finding: Finding) -> Iterator[str]:
    """Commands stay on one line, so that they can be copied."""
    yield from textwrap.wrap(finding.result.cause, WIDTH - 2, initial_indent="  ", subsequent_indent="  ")
    for line in finding.result.fix.splitlines():
        if line.startswith("    "):
            yield f"  {line}"
        else:
            yield from textwrap.wrap(line, WIDTH - 2, initial_indent="  ", subsequent_indent="  ")


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
