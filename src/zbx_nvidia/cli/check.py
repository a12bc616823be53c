"""`zbx-nvidia check`: whether the GPUs of this host are fit for a job now."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import click

from zbx_nvidia.cli.hosts import parse_macros
from zbx_nvidia.errors import UsageError, printable

if TYPE_CHECKING:
    from zbx_nvidia.jobs.fitness import Fitness, RaisedAlert

_OLD = 60  # s; a service that is alive writes at least once a minute, except with a long interval
_FIT = {True: 0, False: 1, None: 2}
_SEVERITIES = ("info", "warning", "average", "high")


@click.command()
@click.option(
    "--gpus", "names", default="all", show_default=True, metavar="LIST",
    help="The GPUs: indices such as 0,2-3, UUIDs also of MIG instances, or PCI addresses.",
)  # fmt: skip
@click.option(
    "--severity", type=click.Choice(_SEVERITIES), default="warning", show_default=True,
    help="The lowest severity for which the GPUs are unfit. Less severe alerts are printed only.",
)  # fmt: skip
@click.option(
    "--macro", "macros", multiple=True, callback=parse_macros, metavar="MACRO=VALUE",
    help="User macro of the template that differs from its default, with or without {$}; repeatable.",
)  # fmt: skip
@click.option(
    "--document", "path", type=click.Path(dir_okay=False, allow_dash=True), default="", metavar="FILE",
    help="Check this document instead, of any host; - for standard input.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def check(*, names: str, severity: str, macros: dict[str, str], path: str, as_json: bool) -> None:
    r"""Check whether the GPUs of this host are fit for a job now.

    Evaluates the alerts of the template with the present readings, and prints one line for each that is raised. What
    must last for some time in Zabbix counts at once here. Alerts that need earlier readings are left out. If
    zbx-nvidia-agent runs as a service, the driver is not called. For the prolog of Slurm, its HealthCheckProgram, and
    for CI.

    \b
    Example:
      zbx-nvidia check
      zbx-nvidia check --gpus "$SLURM_JOB_GPUS" --severity average
      zbx-nvidia check --macro NVIDIA.GPU.EXPECTED=8 --json
    """
    from zbx_nvidia.cli.show import read  # noqa: PLC0415  --help needs none of it
    from zbx_nvidia.jobs import fitness  # noqa: PLC0415  as above

    own = {name.strip("{}"): value for name, value in macros.items()}
    if unknown := sorted(set(own) - set(fitness.DEFAULTS)):
        raise UsageError(f"the template has no macro {{{unknown[0]}}}; docs/ALERTS.md lists them")
    wanted = fitness.choice(names)
    document, remark = read(path)
    try:
        verdict = fitness.evaluate(document, wanted, own, severity.upper())
    except (LookupError, TypeError, ValueError, AttributeError):
        if not path:
            raise
        raise UsageError(f"{path}: this document is damaged. Give one of zbx-nvidia-agent get") from None
    age = time.time() - document["timestamp"]
    if abs(age) > _OLD and not path:
        verdict.unknown.append(remark or "The document of the service is too old")
    elif remark:
        click.echo(f"Note: {remark}", err=True)
    if as_json:
        click.echo(json.dumps(_data(verdict, document), indent=1))
    else:
        for line in _lines(verdict):
            click.echo(printable(line))
    raise click.exceptions.Exit(_FIT[verdict.fit])


def _lines(verdict: Fitness) -> list[str]:
    lines = [f"{finding.alert.severity:8} {_where(finding)}{finding.text}" for finding in verdict.findings]
    lines += [f"{'UNKNOWN':8} {text}" for text in verdict.unknown]
    if verdict.fit:
        count = len(verdict.gpus)
        lines.append(f"{'FIT':8} {count} GPU{'' if count == 1 else 's'}, {verdict.judged} alerts evaluated")
    return lines


def _where(finding: RaisedAlert) -> str:
    if finding.place is not None:
        return f"GPU {finding.place}: "
    return f"{finding.gpu}: " if finding.gpu else ""


def _data(verdict: Fitness, document: dict[str, Any]) -> dict[str, Any]:
    return {
        "fit": verdict.fit,
        "timestamp": document["timestamp"],
        "mode": document["collector"].get("mode"),
        "findings": [
            {
                "alert": finding.alert.key,
                "severity": finding.alert.severity,
                "counts": finding.counts,
                "gpu": finding.gpu,
                "index": finding.place,
                "text": finding.text,
                "action": finding.alert.action,
            }
            for finding in verdict.findings
        ],
        "unknown": verdict.unknown,
        "gpus": verdict.gpus,
        "evaluated": verdict.judged,
        "need_history": verdict.history,
    }
