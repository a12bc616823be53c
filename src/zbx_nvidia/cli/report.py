"""`zbx-nvidia report`."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import re
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from zbx_nvidia.cli import terminal
from zbx_nvidia.cli.connection import connection_options
from zbx_nvidia.cli.table import Column, Line, Row, Span, filled, fitting, lay_out
from zbx_nvidia.errors import HostError, UsageError
from zbx_nvidia.report.figures import BY, BY_GPU, FOR_PEOPLE, Money, numbers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from zbx_nvidia.cli.connection import Connect
    from zbx_nvidia.cli.table import Look
    from zbx_nvidia.report.figures import Line as ReportLine
    from zbx_nvidia.report.report import Report

FORMATS = ("table", "csv", "json", "html")


@click.command()
@click.option(
    "--since", default="7d", show_default=True, metavar="TIME", help="Begin: 7d, 24h, 4w or 2026-11-01T08:00."
)
@click.option("--until", metavar="TIME", help="End, in the same forms. Default: the last hour that has ended.")
@click.option("--by", type=click.Choice(BY), default="host", show_default=True, help="What a line is.")
@click.option("--group", "groups", metavar="NAME", multiple=True, help="Host group. Repeatable. Default: all hosts.")
@click.option("--price", type=click.FloatRange(min=0), metavar="MONEY", help="Price of a kWh.")
@click.option("--co2", type=click.FloatRange(min=0), metavar="GRAMS", help="CO2 for a kWh, in g.")
@click.option("--format", "form", type=click.Choice(FORMATS), default="table", show_default=True, help="Of the report.")
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), help="File to write it to.")
@connection_options
def report(  # noqa: PLR0913  one for each option
    connect: Connect,
    *,
    since: str,
    until: str | None,
    by: str,
    groups: tuple[str, ...],
    price: float | None,
    co2: float | None,
    form: str,
    output: Path | None,
) -> None:
    r"""Report what GPUs did: GPU-hours busy, held but idle and free; energy; throttling; problems.

    It is made from the hourly trends and the problems that Zabbix has stored, in whole hours. A user who may read the
    hosts is enough. Hours without values never count as idle: the column COVERED says for how much of the
    period there are any.

    \b
    Example:
      export ZABBIX_URL=https://zabbix.example.com/zabbix
      zbx-nvidia report --token-file ~/.zabbix-token --since 30d --by model --price 0.30
      zbx-nvidia report --token-file ~/.zabbix-token --since 4w --format html --output gpus.html
    """
    from zbx_nvidia.report import gather, page  # noqa: PLC0415  so that the help is quick
    from zbx_nvidia.report.period import period  # noqa: PLC0415  as above
    from zbx_nvidia.report.report import make  # noqa: PLC0415  as above

    if form == "html":
        page.needed()
    of = period(since, until, time.time())
    money = Money(price, co2)
    with connect() as zabbix:
        gpus = gather.gpus(zabbix, groups)
        if not gpus:
            raise HostError(
                "no GPU in Zabbix that this user can read: check --group and the user's permissions, "
                "or add a host with `zbx-nvidia add-host`"
            )
        hours = sum(len(gpu.items) for gpu in gpus) * (of.hours + 1)
        with _progress(hours) as step:
            report = make(zabbix, gpus, of, by, all_hosts=zabbix.sees_all, step=step)
    writers: dict[str, Callable[[], str]] = {
        "table": lambda: "\n".join(_table(report, money, terminal.look())),
        "csv": lambda: _csv(report, money),
        "json": lambda: json.dumps(report.as_json(money), indent=2),
        "html": lambda: page.html(report, money),
    }
    text = writers[form]()
    if output is None:
        click.echo(text)
        return
    try:
        output.write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise UsageError(f"--output {output}: cannot be written: {error.strerror}") from None
    click.echo(f"Written: {output}")


@contextlib.contextmanager
def _progress(length: int) -> Iterator[Callable[[int], None]]:
    """A bar on standard error, if that is a terminal."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    with click.progressbar(length=length, label="Reading trends", file=sys.stderr) as bar:
        # By user or job more is read than was known before.
        yield lambda done: bar.update(min(done, (bar.length or 0) - bar.pos))


def _table(report: Report, money: Money, look: Look) -> list[str]:
    title = f"GPUs by {report.by}, {report.period}"
    lines: list[Line] = look.wrap(title, "head")
    rows = [_row(line, money, look) for line in report.lines]
    if len(report.lines) != 1 or report.by not in BY_GPU:
        rows.append(_row(report.whole, money, look))
    figures = [Column(figure.heading.upper(), leaves=figure.leaves) for figure in FOR_PEOPLE]
    columns = fitting(filled([Column("", left=True), *figures], rows), look.width)
    lines += lay_out(columns, rows, look)
    if report.idle:
        lines += [(), *look.wrap("Held but idle the longest", "head")]
        worst = [
            Row(
                {
                    "": (Span(look.clean(f"{gpu.host} {gpu.name}")),),
                    "MODEL": (Span(look.clean(gpu.model)),),
                    "HOURS": (Span(f"{usage.held_idle:.1f}"),),
                }
            )
            for gpu, usage in report.idle
        ]
        table = (Column("", left=True), Column("MODEL", left=True, leaves=1), Column("HOURS"))
        lines += lay_out(fitting(filled(table, worst), look.width), worst, look)
    if report.classes:
        problems = ", ".join(f"{scope} {count} ({hours:.1f} h)" for scope, (count, hours) in report.classes.items())
        lines += [(), *look.wrap(look.clean(f"Problems by class: {problems}"))]
    for note in report.notes:
        lines += look.wrap(note, "dim")
    return [look.paint(line) for line in lines]


def _row(line: ReportLine, money: Money, look: Look) -> Row:
    cells = {figure.heading.upper(): (Span(figure.text(line, money)),) for figure in FOR_PEOPLE}
    return Row({"": (Span(look.clean(line.name)),), **cells})


def _csv(report: Report, money: Money) -> str:
    rows = [numbers(line, money) for line in (*report.lines, report.whole)]
    for row in rows:
        # A spreadsheet would run it as a formula: agents that register themselves choose their names.
        row["name"] = re.sub(r"^(?=[=+\-@\t\r])", "'", str(row["name"]))
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().rstrip("\n")
