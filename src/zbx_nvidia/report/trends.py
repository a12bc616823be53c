"""Reads what Zabbix has stored for a report: a block of GPUs or users after the other, several requests at a time.

A report of 5,000 GPUs and 30 days reads 29 million trends. What each of them costs decides how long it takes.
"""

from __future__ import annotations

from itertools import repeat
from operator import itemgetter
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from zbx_nvidia.report.gather import ReportedGpu
from zbx_nvidia.report.jobs import HOLDS
from zbx_nvidia.report.period import HOUR
from zbx_nvidia.report.usage import Trend
from zbx_nvidia.server import shapes
from zbx_nvidia.server.find import pieces
from zbx_nvidia.server.several import in_order

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from zbx_nvidia.report.period import Period
    from zbx_nvidia.report.users import User
    from zbx_nvidia.server.connection import Connection

    Owner = TypeVar("Owner", bound=ReportedGpu | User)

Object = dict[str, Any]

# Requests under way. With the server on the same two processors, a report of 200 GPUs and 30 days took 4.8 s with one,
# and 3.5 s with two or more: the client is busy all the time then. Four are for a server that is slower or far away.
AT_ONCE = 4
ROWS = 40_000  # of an answer: PHP builds it in memory, about 0.5 KB for each row, and its limit is 128 MB
THROTTLING = "throttling"
# Attribute of an hour -> the fields of its trends that a sum is made of: 39 of 48, and each costs the front end and us.
FIELDS = {
    "present": ("num",),
    "utilization": ("num", "value_avg", "value_max"),
    "processes": ("num", "value_min", "value_avg"),
    "power": ("num", "value_avg"),
    "energy": ("value_min", "value_max"),
    "temperature": ("num", "value_max"),
    THROTTLING: ("num", "value_min", "value_avg", "value_max"),
    "gpus": ("num", "value_avg", "value_max"),
}
_NOT_THROTTLED = Trend(0, 0.0, 0.0, 0.0)
_item, _clock = itemgetter("itemid"), itemgetter("clock")


class _Part(NamedTuple):
    """What one request asks for.

    Attributes:
        name: Attribute of an hour; "" for the texts of jobs.
        itemids: Of which items.
        start: Of which time, in seconds of Unix time.
        end: The first that is not in it.
    """

    name: str
    itemids: Sequence[str]
    start: int
    end: int

    def ask(self, zabbix: Connection) -> list[Object]:
        """The rows."""
        if not self.name:
            return _texts(zabbix, self.itemids, self.start, self.end)
        request = {
            "itemids": self.itemids,
            "time_from": self.start,
            "time_till": self.end - 1,
            "output": ["itemid", "clock", *FIELDS[self.name]],
        }
        rows: list[Object] = zabbix.call("trend.get", request)
        return rows


def filled(
    zabbix: Connection,
    blocks: Iterable[Sequence[Owner]],
    period: Period,
    step: Callable[[int], None],
    *,
    with_jobs: bool = False,
) -> Iterator[Sequence[Owner]]:
    """Yields these blocks of GPUs or of users, each with its trends. Those of the next are under way meanwhile.

    Args:
        zabbix: The server.
        blocks: Whose `hours` are filled.
        period: Of which time, and an hour more, for the energy counters.
        step: Called with how many hours of items are done.
        with_jobs: Whether `texts` of the GPUs are filled too.
    """

    def questions() -> Iterator[tuple[_Part, Sequence[Owner], bool]]:
        for block in blocks:
            parts = list(_trends_of(block, period))
            if with_jobs:
                parts += _texts_of(block, period)
            yield from ((part, block, part is parts[-1]) for part in parts)

    def ask(connection: Connection, question: tuple[_Part, Sequence[Owner], bool]) -> list[Object]:
        return question[0].ask(connection)

    for (part, block, is_last), rows in in_order(zabbix, ask, questions(), AT_ONCE):
        if part.name:
            with shapes.in_form(zabbix.answers("trend.get")):
                _note(part, block, rows)
            step(len(part.itemids) * (part.end - part.start) // HOUR)
        else:
            with shapes.in_form(zabbix.answers("history.get")):
                _note_texts(block, rows)
        if is_last:
            yield block


def _trends_of(block: Sequence[ReportedGpu | User], period: Period) -> Iterator[_Part]:
    since = period.since - HOUR
    width = max(1, ROWS // (period.hours + 1))
    length = min(period.hours + 1, ROWS // width) * HOUR
    for name in FIELDS:
        of_name = [itemid for owner in block for itemid, of in owner.items.items() if of == name]
        for itemids in pieces(of_name, width):
            for start in range(since, period.until, length):
                yield _Part(name, itemids, start, min(start + length, period.until))


def _texts_of(block: Sequence[ReportedGpu | User], period: Period) -> Iterator[_Part]:
    # Once an hour, and as often as it changes; and as much before the period as such a value holds.
    width = max(1, ROWS // (3 * period.hours))
    for itemids in pieces([gpu.job for gpu in block if isinstance(gpu, ReportedGpu) and gpu.job], width):
        yield _Part("", itemids, period.since - HOLDS, period.until)


def _note(part: _Part, block: Sequence[ReportedGpu | User], rows: list[Object]) -> None:
    """Puts the rows of an answer where they belong."""
    of = {itemid: owner for owner in block for itemid in owner.items}
    if part.name == THROTTLING:
        # Three of eight items, and nearly always 0. To make no numbers of that saves a fifth of the client's time.
        for hour in _hours(part, of, [row for row in rows if row["value_max"] == "0"]):
            hour.throttling.append(_NOT_THROTTLED)
        rows = [row for row in rows if row["value_max"] != "0"]
        for hour, trend in zip(_hours(part, of, rows), _trends(part, rows), strict=True):
            hour.throttling.append(trend)
        return
    for hour, trend in zip(_hours(part, of, rows), _trends(part, rows), strict=True):
        setattr(hour, part.name, trend)


def _hours(part: _Part, of: Mapping[str, ReportedGpu | User], rows: list[Object]) -> Iterator[Any]:
    """The hour that each row is of."""
    for itemid, clock in zip(map(_item, rows), map(int, map(_clock, rows)), strict=True):
        if not part.start <= clock < part.end:
            raise ValueError("of another time than was asked for")
        owner = of[itemid]
        yield owner.hours.get(clock) or owner.hour(clock)


def _trends(part: _Part, rows: list[Object]) -> Iterator[Trend]:
    """What each row says; 0 for a field that was not asked for."""
    fields = FIELDS[part.name]
    columns = [
        map(kind, map(itemgetter(field), rows)) if field in fields else repeat(kind())
        for field, kind in (("num", int), ("value_min", float), ("value_avg", float), ("value_max", float))
    ]
    return map(Trend, *columns)


def _note_texts(block: Sequence[ReportedGpu | User], rows: list[Object]) -> None:
    of = {gpu.job: gpu.texts for gpu in block if isinstance(gpu, ReportedGpu)}
    for row in rows:
        of[row["itemid"]].append((int(row["clock"]), str(row["value"])))


def _texts(zabbix: Connection, itemids: Sequence[str], since: int, until: int) -> list[Object]:
    """Values of items of text, in order. Nobody knows how often they changed: what is too much is asked in halves."""
    request = {
        "itemids": itemids,
        "history": 1,  # text of this kind
        "time_from": since,
        "time_till": until - 1,
        "output": ["itemid", "clock", "value"],
        "sortfield": "clock",
        "limit": ROWS,
    }
    rows: list[Object] = zabbix.call("history.get", request)
    if len(rows) < ROWS:
        return rows
    if len(itemids) > 1:
        half = len(itemids) // 2
        return _texts(zabbix, itemids[:half], since, until) + _texts(zabbix, itemids[half:], since, until)
    if until - since < 2:  # noqa: PLR2004  a second cannot be divided
        return rows
    half = (since + until) // 2
    return _texts(zabbix, itemids, since, half) + _texts(zabbix, itemids, half, until)
