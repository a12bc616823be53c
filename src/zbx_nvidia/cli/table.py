"""Tables for people: cells with a style, columns that give way on a narrow terminal, and text made harmless."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, NamedTuple

import click

from zbx_nvidia.errors import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

GAP = "  "  # between two columns
# What the styles look like. The text itself is never styled: on a terminal without color nothing is lost.
_STYLES: dict[str, dict[str, str | bool]] = {
    "": {},
    "head": {"bold": True},
    "dim": {"dim": True},
    "good": {"fg": "green"},
    "warn": {"fg": "yellow"},
    "bad": {"fg": "red", "bold": True},
}


class Look(NamedTuple):
    """What the output can show.

    Attributes:
        width: Columns; None if nobody counts them, as in a pipe.
        color: Whether it may have escape sequences for color.
        encoding: Of the text.
        bars: Whether to draw bars if there is room.
    """

    width: int | None
    color: bool
    encoding: str
    bars: bool

    def shows(self, text: str) -> bool:
        """Whether the output has these characters."""
        try:
            text.encode(self.encoding)
        except UnicodeError:
            return False
        return True

    def clean(self, text: object) -> str:
        """A text of the driver, or the name of a process, without what a terminal could obey.

        Control characters, escape sequences and marks that reverse the direction of writing are no printable
        characters. Anybody who may run a program on the host names its process.
        """
        shown = printable(str(text))
        return shown if self.shows(shown) else shown.encode(self.encoding, "replace").decode(self.encoding)

    def wrap(self, text: str, style: str = "") -> list[Line]:
        """A sentence: in lines that fit, the second and the next ones indented."""
        lines = [text] if self.width is None else textwrap.wrap(text, self.width, subsequent_indent="  ")
        return [(Span(line, style),) for line in lines]

    def cut(self, text: str, width: int) -> str:
        """So much of a text, with a sign of what is missing."""
        from rich.cells import cell_len, set_cell_size  # noqa: PLC0415  --help needs none of it

        if cell_len(text) <= width:
            return text
        sign = "…" if self.shows("…") else "..."
        return (set_cell_size(text, max(0, width - len(sign))) + sign)[: max(0, width)]

    def paint(self, line: Line) -> str:
        """A line as it is written."""
        if not self.color:
            return "".join(span.text for span in line)
        return "".join(
            click.style(span.text, **_STYLES[span.style]) if span.style and span.text else span.text  # type: ignore[arg-type]
            for span in line
        )


class Span(NamedTuple):
    """A piece of a line in one style."""

    text: str
    style: str = ""


Line = tuple[Span, ...]


class Column(NamedTuple):
    """A column of a table.

    Attributes:
        heading: Its name.
        left: Whether its text stands on the left.
        least: Its least width, so that it keeps still while its numbers change.
        leaves: When it gives way on a narrow terminal: the highest number first, 0 never.
    """

    heading: str
    left: bool = False
    least: int = 0
    leaves: int = 0


class Row(NamedTuple):
    """A line of a table.

    Attributes:
        cells: By heading; a cell that is not there is empty.
        rest: What stands after the first column instead of cells, for a card without readings.
    """

    cells: dict[str, Line]
    rest: Line = ()


def width_of(line: Line) -> int:
    """The columns that it takes."""
    from rich.cells import cell_len  # noqa: PLC0415  as above

    return sum(cell_len(span.text) for span in line)


def filled(columns: Iterable[Column], rows: Sequence[Row]) -> list[Column]:
    """The columns in which any row has something, wide enough for all of it."""
    used_columns = []
    for column in columns:
        cells = [row.cells[column.heading] for row in rows if row.cells.get(column.heading)]
        if any(width_of(cell) for cell in cells):
            widest = max(len(column.heading), *(width_of(cell) for cell in cells))
            used_columns.append(column._replace(least=max(column.least, widest)))
    return used_columns


def width(columns: Sequence[Column]) -> int:
    """Of a table with these columns."""
    return sum(column.least for column in columns) + len(GAP) * (len(columns) - 1)


def fitting(columns: Sequence[Column], room: int | None) -> list[Column]:
    """Those columns for which there is room."""
    kept = list(columns)
    while room is not None and width(kept) > room and any(column.leaves for column in kept):
        kept.remove(max(kept, key=lambda column: column.leaves))
    return kept


def lay_out(columns: Sequence[Column], rows: Sequence[Row], look: Look) -> list[Line]:
    """The lines of a table, its headings first; no line is wider than the output."""
    headings = Row({column.heading: (Span(column.heading, "head"),) for column in columns})
    return [_stripped(fit(_line(columns, row, look), look.width, look)) for row in (headings, *rows)]


def _stripped(line: Line) -> Line:
    """Without blanks at the end."""
    kept = list(line)
    while kept and not kept[-1].text.strip():
        kept.pop()
    return tuple(kept)


def _line(columns: Sequence[Column], row: Row, look: Look) -> Line:
    spans: list[Span] = []
    for number, column in enumerate(columns):
        cell = row.cells.get(column.heading, ())
        if column is not columns[-1]:
            cell = fit(cell, column.least, look)
        padding = Span(" " * (column.least - width_of(cell)))
        spans += (Span(GAP if number else ""), *((*cell, padding) if column.left else (padding, *cell)))
        if row.rest and not number:
            return (*spans, Span(GAP), *row.rest)
    return tuple(spans)


def fit(line: Line, room: int | None, look: Look) -> Line:
    """As much of a line as there is room for."""
    if room is None or width_of(line) <= room:
        return line
    kept: list[Span] = []
    left = room
    for span in line:
        needed = width_of((span,))
        if needed > left:
            # Of an empty piece there is nothing to miss.
            kept.append(span._replace(text=look.cut(span.text, left) if span.text.strip() else " " * left))
            break
        kept.append(span)
        left -= needed
    return tuple(kept)


def bar(share: float, size: int, style: str, look: Look) -> Line:
    """So much of a whole, from 0 to 1, as a bar."""
    full, empty = ("█", "░") if look.shows("█░") else ("#", ".")
    count = round(max(0.0, min(1.0, share)) * size)
    return (Span(full * count, style), Span(empty * (size - count), "dim"))
