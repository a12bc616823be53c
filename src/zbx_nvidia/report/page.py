"""A report as one page of HTML: everything is in the file, so that it opens offline and prints."""

from __future__ import annotations

import importlib.util
from html import escape
from typing import TYPE_CHECKING

from zbx_nvidia.errors import HostError, printable
from zbx_nvidia.report.figures import FOR_PEOPLE

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from zbx_nvidia.report.figures import Line, Money
    from zbx_nvidia.report.report import Report

_BARS = 30  # of a chart: more cannot be read
_COLORS = ("#2f7d32", "#e08a00", "#9aa3ab", "rgba(140,150,156,.3)")  # busy, held but idle, free, not known
_STYLE = """
:root { color-scheme: light dark; --text: #1f2c33; --quiet: #66747c; --line: #dfe4e7; --page: #fff; }
@media (prefers-color-scheme: dark) {
  :root { --text: #f2f2f2; --quiet: #a0a8ae; --line: #383838; --page: #1b1b1b; }
}
@page { size: A4 landscape; margin: 12mm; }
@media print { :root { --text: #000; --quiet: #444; --line: #bbb; --page: #fff; } section { break-inside: avoid; } }
body { margin: 2rem auto; max-width: 82rem; padding: 0 1rem; color: var(--text); background: var(--page);
  font: 15px/1.45 system-ui, sans-serif; }
h1 { font-size: 1.5rem; margin: 0; } h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; }
p { color: var(--quiet); margin: .3rem 0; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: 13.5px; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .6rem; text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap; }
th { font-weight: 600; color: var(--quiet); } th:first-child, td:first-child { text-align: left; }
tr.total td { font-weight: 600; border-bottom: 0; }
.tiles { display: flex; flex-wrap: wrap; gap: 1rem; margin: 1.2rem 0; }
.tile { border: 1px solid var(--line); border-radius: 6px; padding: .7rem 1rem; min-width: 8rem; }
.tile b { display: block; font-size: 1.35rem; font-weight: 600; } .tile span { color: var(--quiet); }
svg { width: 100%; height: auto; } svg text { fill: var(--text) !important; }
svg .guides path, svg .axis path { stroke: var(--line) !important; }
"""


def needed() -> None:
    """Raises HostError if what draws the charts is not installed."""
    if importlib.util.find_spec("pygal") is None:
        raise HostError("--format html: charts need the package pygal: run `pip install 'zbx-nvidia[report]'`")


def html(report: Report, money: Money) -> str:
    """The page.

    Args:
        report: What it says.
        money: What energy costs.
    """
    title = f"GPUs by {report.by}"
    sections = [_tiles(report, money), _section("Hours", _hours_chart(report.lines))]
    if any(line.usage.powered for line in report.lines):
        sections.append(_section("Energy", _energy_chart(report.lines)))
    sections.append(_section("All figures", _figures(report, money)))
    if report.idle:
        rows = [(f"{gpu.host} {gpu.name}", gpu.model, f"{usage.held_idle:.1f}") for gpu, usage in report.idle]
        sections.append(_section("Held but idle the longest", _table(("GPU", "Model", "Hours"), rows)))
    if report.classes:
        rows = [(scope, str(count), f"{hours:.1f}") for scope, (count, hours) in report.classes.items()]
        sections.append(_section("Problems by class", _table(("Class", "Problems", "Hours open"), rows)))
    return "\n".join(
        [
            "<!DOCTYPE html>",
            '<html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body>",
            f"<h1>{escape(title)}</h1><p>{escape(str(report.period))}</p>",
            *sections,
            *(f"<p>{escape(note)}</p>" for note in report.notes),
            "</body></html>",
        ]
    )


def _section(title: str, content: str) -> str:
    return f"<section><h2>{escape(title)}</h2>{content}</section>"


def _tiles(report: Report, money: Money) -> str:
    usage = report.whole.usage
    tiles = [
        ("GPUs", str(report.whole.gpus)),
        ("GPU-hours present", f"{usage.present:,.0f}"),
        ("covered", f"{100 * (usage.coverage or 0):.1f} %"),
    ]
    if usage.present:
        tiles.append(("busy", f"{100 * usage.busy / usage.present:.0f} %"))
        tiles.append(("held but idle", f"{100 * usage.held_idle / usage.present:.0f} %"))
    tiles += [
        (figure.heading, figure.text(report.whole, money))
        for figure in FOR_PEOPLE
        if figure.of_energy and figure.text(report.whole, money)
    ]
    inner = "".join(
        f'<div class="tile"><b>{escape(value)}</b><span>{escape(name)}</span></div>' for name, value in tiles
    )
    return f'<div class="tiles">{inner}</div>'


def _figures(report: Report, money: Money) -> str:
    lines = [*report.lines, report.whole]
    shown = [figure for figure in FOR_PEOPLE if any(figure.text(line, money) for line in lines)]
    rows = [(line.name, *(figure.text(line, money) for figure in shown)) for line in lines]
    return _table(("", *(figure.heading for figure in shown)), rows, total=True)


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]], *, total: bool = False) -> str:
    rows = list(rows)
    head = "".join(f"<th>{escape(head)}</th>" for head in heads)
    body = ""
    for number, row in enumerate(rows):
        kind = ' class="total"' if total and number == len(rows) - 1 else ""
        body += f"<tr{kind}>" + "".join(f"<td>{escape(printable(cell))}</td>" for cell in row) + "</tr>\n"
    return f'<div class="wide"><table><tr>{head}</tr>\n{body}</table></div>'


def _hours_chart(lines: Sequence[Line]) -> str:
    shown = sorted(lines, key=lambda line: -line.usage.present)[:_BARS]
    series = {
        "busy": [line.usage.busy for line in shown],
        "held but idle": [line.usage.held_idle for line in shown],
        "free": [line.usage.free for line in shown],
        "not known": [
            (line.usage.hours or line.usage.present) - line.usage.busy - line.usage.held_idle - line.usage.free
            for line in shown
        ],
    }
    return _chart([line.name for line in shown], series, _COLORS, "GPU-hours") + _rest(lines)


def _energy_chart(lines: Sequence[Line]) -> str:
    shown = sorted((line for line in lines if line.usage.powered), key=lambda line: -line.usage.joules)[:_BARS]
    return _chart(
        [line.name for line in shown], {"kWh": [line.usage.kwh or 0.0 for line in shown]}, ("#1f6fb2",), "kWh"
    )


def _rest(lines: Sequence[Line]) -> str:
    return f"<p>The {_BARS} with the most GPU-hours of {len(lines)}.</p>" if len(lines) > _BARS else ""


def _chart(names: Sequence[str], series: dict[str, list[float]], colors: tuple[str, ...], unit: str) -> str:
    """Bars from the left, one for each name, as a part of the page."""
    import pygal  # noqa: PLC0415  only this form of a report needs it
    from pygal.style import Style  # noqa: PLC0415  as above

    style = Style(
        background="transparent",
        plot_background="transparent",
        foreground="#66747c",
        foreground_strong="#1f2c33",
        foreground_subtle="#aab4ba",
        colors=colors,
        font_family="system-ui, sans-serif",
        label_font_size=13,
        major_label_font_size=13,
        legend_font_size=13,
        opacity="1",
        transition="0s",
    )
    chart = pygal.HorizontalStackedBar(
        style=style,
        js=[],  # it would be fetched
        width=960,
        height=120 + 26 * len(names),
        legend_at_bottom=True,
        legend_at_bottom_columns=len(series),
        show_legend=len(series) > 1,
        truncate_label=40,
        x_title=unit,
        disable_xml_declaration=True,
        print_values=False,
    )
    # The first bar is drawn at the bottom.
    chart.x_labels = [printable(name) for name in reversed(names)]
    for name, values in series.items():
        chart.add(name, [round(value, 2) for value in reversed(values)])
    return str(chart.render(is_unicode=True))
