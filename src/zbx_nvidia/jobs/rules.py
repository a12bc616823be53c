"""The alerts of the catalog, evaluated on this host with a single document instead of Zabbix's history.

What an expression asks of a past time is answered as if the readings had been the same then: an alert on heat that
lasts is raised by heat that is there now. What only history can tell, such as the growth of a counter, is unknown, and
so is whatever follows from it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from zbx_nvidia.catalog.entities import METRICS
from zbx_nvidia.catalog.graphs import VALUEMAPS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Value = str | float | None  # None: unknown

_BY_REF = {metric.ref: metric for metric in METRICS}
_TOKEN = re.compile(
    r"""\s*(?:(?P<ref>@[a-z0-9_.]+)|(?P<word>[a-z]+)|(?P<number>\d+(?:\.\d+)?[smhdw]?)|(?P<text>"[^"]*")"""
    r"""|(?P<macro>\{\$[A-Z0-9_.]+\})|(?P<past>\#\d+(?::now-)?)|(?P<sign><>|<=|>=|[-+*/()=<>,]))"""
)
_MACRO = re.compile(r"\{(\$[A-Z0-9_.]+)\}")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_TIME = "timestamp"  # never the same as it was
# What two documents at least are needed for, or the clock of the server.
_OF_HISTORY = frozenset({"changecount", "change", "nodata", "fuzzytime"})
_COUNTED = 3  # arguments of count() with a condition: the item, the period, the operator; then its value


class Rules:
    """Evaluates expressions on one document.

    Args:
        read: The value of a reading by the catalog's name, such as `gpu.temperature`; None if there is none.
        macros: Values of user macros by name, such as `$NVIDIA.TEMP.MARGIN`.
    """

    def __init__(self, read: Callable[[str], object], macros: Mapping[str, str]) -> None:
        self._read = read
        self._macros = macros

    def truth(self, expression: str) -> bool | None:
        """Whether it is true; None if a document alone does not say it."""
        value = self.value(expression)
        return None if value is None or isinstance(value, str) else bool(value)

    def value(self, expression: str) -> Value:
        """What it comes to; None if that is not known."""
        return _Parser(expression, self._item, self._macros).result()

    def has_readings(self, expression: str) -> bool:
        """Whether the document has all readings that an expression names."""
        return all(self._read(ref) is not None for ref in _refs(expression))

    def text(self, event: str, expression: str) -> str:
        """The name of an event, with values instead of macros."""
        refs = _refs(expression)

        def last(number: str) -> str:
            place = int(number) - 1
            return self._shown(refs[place]) if place < len(refs) else "?"

        # A period is what Zabbix looks back on.
        event = re.sub(r" for \{\$[A-Z.]+\}", "", event)
        event = re.sub(
            r'\{\{ITEM\.LASTVALUE(\d)\}\.regsub\("(.*?)","(.*?)"\)\}', lambda match: _part(last, match), event
        )
        event = re.sub(r"\{ITEM\.LASTVALUE(\d)\}", lambda match: last(match[1]), event)
        event = re.sub(r"\{\?((?:\{[^}]*\}|[^{}])*)\}", lambda match: _plain(self.value(match[1])), event)
        return _MACRO.sub(lambda match: self._macros.get(match[1], "?"), event)

    def _shown(self, ref: str) -> str:
        """A reading as Zabbix shows it: with its words, or its unit."""
        value, metric = self._item("last", ref, []), _BY_REF[ref]
        words = VALUEMAPS.get(metric.valuemap, {}).get(_plain(value)) if metric.valuemap else None
        if words:
            return f"{words} ({_plain(value)})"
        unit = metric.unit.removeprefix("!")
        return f"{_plain(value)} {unit}" if unit and value is not None else _plain(value)

    def _item(self, function: str, ref: str, arguments: list[str]) -> Value:
        """A function of a reading."""
        value = _known(self._read(ref))
        if function in _OF_HISTORY or (arguments and ref == _TIME):
            return None
        if function == "count":
            return _count(value, arguments)
        if function == "find":
            return None if value is None else float(bool(re.search(arguments[-1], _plain(value))))
        return value


class _Parser:
    """Evaluates while it reads: from `or`, which binds least, to a number.

    Args:
        expression: With the catalog's names of readings.
        item: Called for a function of a reading, with its name, the reading, and the other arguments.
        macros: As of `Rules`.
    """

    def __init__(
        self, expression: str, item: Callable[[str, str, list[str]], Value], macros: Mapping[str, str]
    ) -> None:
        self._tokens: list[tuple[str, str]] = []
        self._item = item
        self._macros = macros
        self._place = 0
        place = 0
        while place < len(expression.rstrip()):
            match = _TOKEN.match(expression, place)
            if not match or match.lastgroup is None:
                raise ValueError(f"cannot read {expression[place:]!r}")
            self._tokens.append((match.lastgroup, match[match.lastgroup]))
            place = match.end()

    def result(self) -> Value:
        value = self._either()
        if self._place < len(self._tokens):
            raise ValueError(f"unexpected {self._tokens[self._place][1]!r}")
        return value

    def _next(self) -> str:
        return self._tokens[self._place][1] if self._place < len(self._tokens) else ""

    def _take(self) -> tuple[str, str]:
        token = self._tokens[self._place]
        self._place += 1
        return token

    def _either(self) -> Value:
        value = self._both()
        while self._next() == "or":
            self._take()
            other = self._both()
            value = 1.0 if value or other else None if None in {value, other} else 0.0
        return value

    def _both(self) -> Value:
        value = self._equality()
        while self._next() == "and":
            self._take()
            other = self._equality()
            known = [each for each in (value, other) if each is not None]
            value = 0.0 if not all(known) else None if None in {value, other} else 1.0
        return value

    def _equality(self) -> Value:
        return self._chain(self._order, {"=": lambda a, b: a == b, "<>": lambda a, b: a != b}, alike=True)

    def _order(self) -> Value:
        signs: dict[str, Callable[[float, float], float]] = {
            "<": lambda a, b: a < b, "<=": lambda a, b: a <= b, ">": lambda a, b: a > b, ">=": lambda a, b: a >= b,
        }  # fmt: skip
        return self._chain(self._sum, signs)

    def _sum(self) -> Value:
        return self._chain(self._product, {"+": lambda a, b: a + b, "-": lambda a, b: a - b})

    def _product(self) -> Value:
        return self._chain(self._single, {"*": lambda a, b: a * b, "/": lambda a, b: a / b if b else float("nan")})

    def _chain(
        self, part: Callable[[], Value], signs: Mapping[str, Callable[..., float]], *, alike: bool = False
    ) -> Value:
        value = part()
        while self._next() in signs and self._tokens[self._place][0] == "sign":
            sign = self._take()[1]
            other = part()
            if value is None or other is None:
                value = None
            elif isinstance(value, str) or isinstance(other, str):
                # Zabbix compares texts for equality only.
                value = float(signs[sign](_plain(value), _plain(other))) if alike else None
            else:
                value = float(signs[sign](value, other))
        return value

    def _single(self) -> Value:
        kind, text = self._take()
        if kind == "word":
            return self._function(text)
        if kind == "sign" and text == "(":
            value = self._either()
            self._take()
            return value
        if kind == "sign" and text == "-":
            value = self._single()
            return None if value is None or isinstance(value, str) else -value
        return self._literal(kind, text)

    def _literal(self, kind: str, text: str) -> Value:
        if kind == "text":
            return self._filled(text[1:-1])
        text = self._filled(text)
        match = re.fullmatch(r"(-?\d+(?:\.\d+)?)([smhdw]?)", text)
        return float(match[1]) * _SECONDS.get(match[2], 1) if match else text

    def _filled(self, text: str) -> str:
        return _MACRO.sub(lambda match: self._macros[match[1]], text)

    def _function(self, name: str) -> Value:
        self._take()  # the parenthesis
        if self._tokens[self._place][0] == "ref":
            ref = self._take()[1][1:]
            return self._item(name, ref, self._arguments())
        values = [self._either()]
        while self._take()[1] == ",":
            values.append(self._either())
        if None in values:
            return None
        if name == "length":
            return float(len(_plain(values[0])))
        numbers = [float(value) for value in values if value is not None]
        calculations: dict[str, Callable[..., float]] = {"min": min, "max": max, "power": pow}
        return calculations[name](*numbers)

    def _arguments(self) -> list[str]:
        """What stands behind the reading, up to the parenthesis, as text."""
        arguments: list[str] = []
        while (token := self._take())[1] != ")":
            if token[1] == ",":
                arguments.append("")
            else:
                arguments[-1] += self._filled(token[1].strip('"'))
        return arguments


def _refs(expression: str) -> list[str]:
    """The readings in an expression, each once, in order."""
    return list(dict.fromkeys(re.findall(r"@([a-z0-9_.]+)", expression)))


def _count(value: Value, arguments: list[str]) -> Value:
    if value is None or len(arguments) < _COUNTED:
        return None if value is None else 1.0
    return float(_plain(value) == arguments[2])


def _known(value: object) -> Value:
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        return None
    return value if isinstance(value, str) else float(value)


def _part(last: Callable[[str], str], match: re.Match[str]) -> str:
    value = last(match[1])
    inner = re.search(match[2], value)
    return inner.expand(match[3]) if inner else value


def _plain(value: Value) -> str:
    if value is None:
        return "?"
    return value if isinstance(value, str) else f"{value:.10g}"
