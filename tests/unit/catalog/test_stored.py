"""What is stored each poll: what an alert evaluates over a period, what reports average, and nothing else.

And that an alert on what is stored on change sees the same as if each poll were stored.
"""

from __future__ import annotations

import re
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zbx_nvidia.catalog import alerts
from zbx_nvidia.catalog.alerts import ALERTS, Alert
from zbx_nvidia.catalog.entities import METRICS
from zbx_nvidia.catalog.macros import MACROS
from zbx_nvidia.catalog.metrics import AVERAGED, FLOAT, LIVE, SLOW, STATIC, Metric
from zbx_nvidia.catalog.storage import SECONDS, heartbeat
from zbx_nvidia.template.expressions import while_present

REFS = {metric.ref: metric for metric in METRICS}
DEFAULTS = {f"{{{macro.name}}}": macro.value for macro in MACROS}
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


class Call(NamedTuple):
    """A function of Zabbix on an item.

    Attributes:
        function: Its name.
        ref: The metric.
        parameters: What follows.
    """

    function: str
    ref: str
    parameters: str


def calls(alert: Alert) -> list[Call]:
    """What an alert asks of the history of its items; what its event name shows is the last values."""
    text = f"{alert.expression} {alert.recovery} {' '.join(re.findall(r'{[?]([^}]*)', alert.event))}"
    return [Call(*found) for found in re.findall(r"(\w+)\(@([a-z0-9_.]+)(?:,([^)]*))?\)", text)]


def seconds(period: str) -> int:
    """The length of a period, of a macro its default; 0 for a number of values."""
    value = DEFAULTS.get(period, period)
    return int(value[:-1]) * UNITS[value[-1]] if value[-1:] in UNITS else 0


def must_be_each_poll(call: Call, alert: Alert) -> bool:
    """Whether a function sees something else if only changes are stored, and once in a while."""
    ref, parameters = call.ref, call.parameters
    period, _, more = parameters.partition(",")
    if call.function in {"last", "find"}:  # also as it was then: last(x,#1:now-period)
        return bool(period) and not period.startswith("#1:")
    then = f"last(@{ref},#1:now-{period})"
    if call.function == "count":
        # Of changes: nothing else is known of, and what was before them.
        return then not in alert.expression and seconds(period) < 2 * SECONDS[heartbeat(REFS[ref]) or "1h"]
    if f"(count(@{ref},{period})=0 or {call.function}(@{ref},{period})" in alert.expression and not more:
        return then not in alert.expression or f"last(@{ref})" not in alert.expression
    # What is long enough always has a value, even if nothing has changed.
    return call.function not in {"min", "max"} or seconds(period) < 2 * SECONDS[heartbeat(REFS[ref]) or "1h"]


MUST = {call.ref for alert in ALERTS for call in calls(alert) if must_be_each_poll(call, alert)}


def test_the_alerts_need_something() -> None:
    assert {"timestamp", "gpu.present", "gpu.utilization", "gpu.ecc_uncorrected_volatile", "status.driver"} <= MUST
    assert not MUST & {"gpu.throttle_hw_thermal", "gpu.pcie_width", "host.gpus_present", "gpu.nvlink_up"}


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.ref)
def test_a_reading_is_stored_each_poll_if_and_only_if_an_alert_needs_it(metric: Metric) -> None:
    """Excepted is what reports average, which the row says."""
    assert (metric.storage == LIVE) == (metric.ref in MUST)
    assert metric.storage in {LIVE, AVERAGED, SLOW, STATIC}
    if metric.storage == AVERAGED:
        # Bytes are many: there, a fraction is nothing.
        assert metric.kind == FLOAT or metric.unit == "B", "Zabbix cuts the mean of integers"
        assert re.search("utili[sz]ation|memory|power|held|gpus", metric.key), "what a report averages"


def test_what_a_report_averages_is_stored_each_poll() -> None:
    for ref in ("utilization", "memory_used", "memory_used_percent", "power", "power_percent", "processes"):
        metric = REFS[f"gpu.{ref}"]
        assert not heartbeat(metric)
        assert metric.kind == FLOAT or metric.unit == "B", "as above"


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.key)
def test_zabbix_looks_at_each_alert_each_poll_if_time_or_a_macro_can_change_it(alert: Alert) -> None:
    """It does when an item of the trigger gets a value."""
    expression = alert.expression if alert.entity == "host" else while_present(alert.expression)
    if "{$" in expression or "now-" in expression:
        refs = re.findall(r"@([a-z0-9_.]+)", expression)
        assert any(not heartbeat(REFS[ref]) for ref in refs)


# -- the same as of each poll ----------------------------------------------------------------------------------------

UNKNOWN = None
PERIOD = 10  # polls
Values = list[tuple[int, int]]  # when, in polls, and what


def thinned(values: Values, beat: int) -> Values:
    """What Zabbix stores of it: changes, and once in so many polls."""
    kept: Values = []
    for when, value in values:
        if not kept or value != kept[-1][1] or when - kept[-1][0] >= beat:
            kept.append((when, value))
    return kept


def called(function: str, values: Values, now: int, parameters: str) -> float | None:
    """A function of Zabbix: over (now - period, now], or the last value until then."""
    if function == "last":
        until = now - PERIOD if parameters else now
        return next((float(value) for when, value in reversed(values) if when <= until), UNKNOWN)
    found = [value for when, value in values if now - PERIOD < when <= now]
    if function == "count":
        return float(len([value for value in found if '"eq",1' not in parameters or value == 1]))
    if not found:
        return UNKNOWN
    if function == "avg":
        return sum(found) / len(found)
    return float(min(found) if function == "min" else max(found))


def evaluated(expression: str, history: dict[str, Values], now: int) -> bool | None:
    """What Zabbix makes of it: an unknown operand decides nothing where the other one decides."""
    if (parts := split(expression, " or ")) and len(parts) > 1:
        found = [evaluated(part, history, now) for part in parts]
        return True if True in found else UNKNOWN if UNKNOWN in found else False
    if (parts := split(expression, " and ")) and len(parts) > 1:
        found = [evaluated(part, history, now) for part in parts]
        return False if False in found else UNKNOWN if UNKNOWN in found else True
    if expression.startswith("(") and closing(expression) == len(expression) - 1:
        return evaluated(expression[1:-1], history, now)
    python = re.sub(r"(?<![<>])=", "==", expression)
    known = True

    def number(found: re.Match[str]) -> str:
        nonlocal known
        value = called(found[1], history[found[2]], now, found[3] or "")
        known = known and value is not UNKNOWN
        return str(value)

    python = re.sub(r"(\w+)\(@([a-z_.]+)(?:,([^)]*))?\)", number, python)
    return bool(eval(python, {"p": PERIOD})) if known else UNKNOWN  # noqa: S307  of the catalog


def split(expression: str, word: str) -> list[str]:
    """Where the word stands outside of parentheses."""
    parts, depth, start = [], 0, 0
    for place, sign in enumerate(expression):
        depth += {"(": 1, ")": -1}.get(sign, 0)
        if depth == 0 and expression.startswith(word, place):
            parts.append(expression[start:place])
            start = place + len(word)
    return [*parts, expression[start:]]


def closing(expression: str) -> int:
    depth = 0
    for place, sign in enumerate(expression):
        depth += {"(": 1, ")": -1}.get(sign, 0)
        if depth == 0:
            return place
    raise AssertionError(expression)


# States of a flag that last for a while each, some polls of them missing.
STATES = st.lists(st.tuples(st.integers(0, 1), st.integers(1, 25)), min_size=1, max_size=6)


def series(states: list[tuple[int, int]], missing: set[int]) -> Values:
    values = [value for value, length in states for _ in range(length)]
    return [(when, value) for when, value in enumerate(values) if when not in missing]


@pytest.mark.slow
@pytest.mark.once
@settings(max_examples=300)
@given(STATES, st.sets(st.integers(0, 150), max_size=40), st.integers(11, 60))
def test_what_must_last_is_the_same_of_changes(states: list[tuple[int, int]], missing: set[int], beat: int) -> None:
    every = series(states, missing)
    changes = thinned(every, beat)
    for function, is_so in (("min", "=1"), ("max", "<1"), ("min", ">0"), ("max", "=0")):
        then = alerts._lasting(function, "x", "p", is_so)  # noqa: SLF001  the subject
        now = alerts._unchanged(function, "x", "p", is_so)  # noqa: SLF001
        for when, _ in every:
            old, new = evaluated(then, {"x": every}, when), evaluated(now, {"x": changes}, when)
            # Where the old one is not false but unknown, nothing is raised either.
            assert (new is True) == (old is True), (when, is_so)
            assert (new is UNKNOWN) <= (when < PERIOD or not [1 for at, _ in every if at <= when - PERIOD])


@pytest.mark.slow
@settings(max_examples=300)
@given(STATES, st.integers(11, 60))
def test_a_flag_that_was_set_in_a_period_is_the_same_of_changes(states: list[tuple[int, int]], beat: int) -> None:
    """What was set just before it counts too."""
    every = series(states, set())
    for when, _ in every[PERIOD:]:
        seen = [value for at, value in every if when - PERIOD <= at <= when]
        changes = thinned(every, beat)
        assert evaluated(alerts._ever("x", "p"), {"x": changes}, when) == (1 in seen)  # noqa: SLF001


@pytest.mark.slow
@settings(max_examples=300)
@given(st.lists(st.integers(0, 3), min_size=PERIOD + 2, max_size=80), st.integers(11, 60))
def test_a_mean_rate_is_the_same_of_changes(growth: list[int], beat: int) -> None:
    counter = [(when, sum(growth[: when + 1])) for when in range(len(growth))]
    rates = list(enumerate(growth))
    history = {"c": thinned(counter, beat), "timestamp": [(when, when) for when, _ in counter], "rate": rates}
    for when in range(PERIOD, len(growth)):
        assert evaluated(alerts._grew("c", "p", "1"), history, when) == evaluated("avg(@rate,p)>1", history, when)  # noqa: SLF001


@pytest.mark.slow
@settings(max_examples=300)
@given(st.lists(st.integers(0, 1), min_size=PERIOD + 2, max_size=40), st.integers(0, 40), st.integers(-500, 500))
def test_a_clock_that_is_put_raises_nothing(growth: list[int], put: int, by: int) -> None:
    """A counter that grows no faster than it may, on a host whose clock jumps."""
    counter = [(when, sum(growth[: when + 1])) for when in range(len(growth))]
    clock = [(when, when + (by if when >= put else 0)) for when in range(len(growth))]
    for when in range(PERIOD, len(growth)):
        assert not evaluated(alerts._grew("c", "p", "1"), {"c": counter, "timestamp": clock}, when)  # noqa: SLF001
