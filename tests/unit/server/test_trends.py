"""What a report asks for: the same sums whichever request ends first, and no answer that is too large."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sysconfig
import threading
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from tests.conftest import PATIENCE
from zbx_nvidia.cli.main import main
from zbx_nvidia.report import trends
from zbx_nvidia.report.gather import KEYS, ReportedGpu
from zbx_nvidia.report.jobs import HOLDS
from zbx_nvidia.report.period import HOUR, Period
from zbx_nvidia.server.connection import Credentials, connect

if TYPE_CHECKING:
    from collections.abc import Callable

PROGRAM = f"{sysconfig.get_path('scripts')}/zbx-nvidia"
TOKEN = "0f0e0d0c"  # noqa: S105  of no real account
PERIOD = Period(10 * HOUR, 12 * HOUR)
HOSTS, GPUS, HOURS = 5, 2, 24
BEGIN = 10 * 24  # hour of Unix time
SPAN = ("--since", "1970-01-11T00:00:00+00:00", "--until", "1970-01-12T00:00:00+00:00")
ASKED = {"itemid", "clock", "num", "value_min", "value_avg", "value_max"}
# Of an item: lowest, mean and highest value of an hour.
VALUES: dict[str, Callable[[int], tuple[float, float, float]]] = {
    "present": lambda _: (1, 1, 1),
    "utilization": lambda hour: (0, 10.1 + hour % 7 / 3, 99) if hour % 5 else (0, 0, 0),
    "processes": lambda hour: (hour % 2, 1.3 + hour % 2, 3),
    "energy": lambda hour: (hour * 1000.7, hour * 1000.7 + 400, hour * 1000.7 + 1000.1),
    "temperature": lambda hour: (40, 50.5, 60 + hour % 9),
    "throttle_share_sw_thermal": lambda hour: (0, 3.7, 20) if hour % 4 == 0 else (0, 0, 0),
    "throttle_share_hw_thermal": lambda hour: (1.1, 1.1, 1.1) if hour % 6 == 0 else (0, 0, 0),
    "throttle_share_power_brake": lambda _: (0, 0, 0),
}


def fleet(front: Any, answers: Any) -> list[dict[str, Any]]:
    """A server that has these hosts and their trends, and answers only what it is asked for; the requests of trends."""
    items = {
        f"{host}{gpu}{number}": (str(host), f"GPU-{host}-{gpu}", KEYS[key], VALUES[key])
        for host in range(1, HOSTS + 1)
        for gpu in range(GPUS)
        for number, key in enumerate(VALUES)
    }
    asked: list[dict[str, Any]] = []

    def item(request: dict[str, Any], _headers: object) -> Any:
        names = [*request["params"]["output"], *(["tags"] if "selectTags" in request["params"] else [])]
        rows = [
            {"itemid": itemid, "hostid": host, "key_": f"{key}[{uuid}]", "name": f"GPU {uuid[-1]} x", "tags": []}
            for itemid, (host, uuid, key, _) in items.items()
        ]
        return answers["result"]([{name: row[name] for name in names} for row in rows])

    def trend(request: dict[str, Any], _headers: object) -> Any:
        of = request["params"]
        asked.append(of)
        rows = []
        for itemid in of["itemids"]:
            for hour in range(of["time_from"] // HOUR, of["time_till"] // HOUR + 1):
                least, mean, most = items[itemid][3](hour + int(itemid))
                row = {
                    "itemid": itemid, "clock": str(hour * HOUR), "num": "60",
                    "value_min": f"{least}", "value_avg": f"{mean}", "value_max": f"{most}",
                }  # fmt: skip
                rows.append({name: row[name] for name in of["output"]})
        return answers["result"](rows)

    front.answers["item.get"] = item
    hosts = [{"hostid": str(host), "name": f"host {host}", "hostgroups": []} for host in range(1, HOSTS + 1)]
    front.answers["host.get"] = answers["result"](hosts)
    front.answers["event.get"] = answers["result"]([])
    front.answers["trend.get"] = trend
    return asked


def said(front: Any, *arguments: str) -> Any:
    environment = {"ZABBIX_URL": front.url, "ZABBIX_TOKEN": TOKEN}
    done = CliRunner().invoke(main, ["report", *SPAN, "--format", "json", *arguments], env=environment)
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def question(request: dict[str, Any]) -> tuple[Any, ...]:
    """What tells a request of trends from the others."""
    return (*request["itemids"], request["time_from"], request["time_till"])


def test_sums_are_the_same_whichever_request_ends_first(
    front: Any, answers: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trends, "ROWS", 4 * (HOURS + 1))  # two hosts at a time
    asked = fleet(front, answers)
    with monkeypatch.context() as one_by_one:
        one_by_one.setattr(trends, "AT_ONCE", 1)
        wanted = said(front, "--by", "gpu")
    in_order = front.answers["trend.get"]
    # By their place among the questions, not by when they come: the next one is always under way beside this one.
    places = {question(request): place for place, request in enumerate(asked)}
    assert len(places) == len(asked)
    answered = [threading.Event() for _ in asked]

    def backwards(request: dict[str, Any], headers: Any) -> Any:
        place = places[question(request["params"])]
        answer = in_order(request, headers)
        if place % 2 == 0 and place + 1 < len(answered):
            assert answered[place + 1].wait(PATIENCE)
        answered[place].set()
        return answer

    front.answers["trend.get"] = backwards
    assert said(front, "--by", "gpu") == wanted
    assert len(wanted["lines"]) == HOSTS * GPUS
    figures = wanted["total"]
    assert figures["covered_hours"] == figures["busy_hours"] + figures["held_idle_hours"] + figures["free_hours"]
    assert figures["covered_hours"] == HOSTS * GPUS * HOURS
    # Each hour begins 0.6 J before the last one ended: from the end of the hour before to that of the last one.
    assert figures["kwh"] == pytest.approx(HOSTS * GPUS * HOURS * 1000.7 / 3_600_000, rel=1e-3)
    assert figures["peak_temperature"] == 68
    lost = sum(
        VALUES[key](hour + int(f"{host}{gpu}{number}"))[1] / 100
        for number, key in enumerate(VALUES)
        if key.startswith("throttle_share")
        for host in range(1, HOSTS + 1)
        for gpu in range(GPUS)
        for hour in range(BEGIN, BEGIN + HOURS)
    )
    assert figures["throttled_share"] == pytest.approx(lost / (HOSTS * GPUS * HOURS), abs=1e-6)


def test_only_what_is_used_is_asked_for_and_no_more_than_an_answer_may_have(
    front: Any, answers: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trends, "ROWS", 4 * (HOURS + 1))
    asked = fleet(front, answers)
    said(front)
    fields = 0
    for of in asked:
        hours = (of["time_till"] + 1 - of["time_from"]) // HOUR
        assert len(of["itemids"]) * hours <= trends.ROWS
        fields += len(of["output"]) * len(of["itemids"]) * hours
    rows = HOSTS * GPUS * len(VALUES) * (HOURS + 1)
    assert sum(len(of["itemids"]) for of in asked) == HOSTS * GPUS * len(VALUES)
    assert fields < 0.85 * rows * len(ASKED)


def test_a_row_of_another_time_or_form_is_an_error_in_a_line(front: Any, answers: Any) -> None:
    fleet(front, answers)
    good = {"itemid": "100", "clock": str(BEGIN * HOUR), "num": "1", "value_min": "1", "value_avg": "1",
            "value_max": "1"}  # fmt: skip
    for wrong in (
        {"clock": "0"}, {"clock": None}, {"num": "many"}, {"num": None}, {"value_max": [1]}, {"itemid": "of nobody"},
    ):  # fmt: skip
        front.answers["trend.get"] = answers["result"]([{**good, **wrong}])
        environment = {"ZABBIX_URL": front.url, "ZABBIX_TOKEN": TOKEN}
        done = CliRunner().invoke(main, ["report", *SPAN], env=environment)
        assert done.exit_code == 1, (wrong, done.output)
        assert "answers trend.get in a form that Zabbix has not" in done.stderr
        assert done.stderr.count("\n") == 1


def test_the_end_does_not_wait_for_what_is_under_way(front: Any, answers: Any) -> None:
    fleet(front, answers)
    came, hang = threading.Event(), threading.Event()

    def hanging(_request: object, _headers: object) -> Any:
        came.set()
        hang.wait(2 * PATIENCE)
        return answers["result"]([])

    front.answers["trend.get"] = hanging
    environment = {**os.environ, "ZABBIX_URL": front.url, "ZABBIX_TOKEN": TOKEN}
    command = [PROGRAM, "report", *SPAN, "--timeout", f"{10 * PATIENCE:.0f}"]
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert came.wait(PATIENCE)
        process.send_signal(signal.SIGINT)
        output = process.communicate(timeout=PATIENCE)
        assert not hang.is_set()
        assert process.returncode not in {0, None}
        assert "Traceback" not in "".join(output)
    finally:
        hang.set()
        process.kill()
        process.communicate()


def test_what_is_too_much_is_asked_in_halves(front: Any, answers: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trends, "ROWS", 50)
    stored = [
        {"itemid": itemid, "clock": str(clock), "value": f"job {clock} of {itemid}"}
        for clock in range(9 * HOUR, 12 * HOUR, 60)
        for itemid in ("7", "8", "9")
    ]

    def history(request: dict[str, Any], _headers: object) -> Any:
        asked = request["params"]
        found = [
            row
            for row in stored
            if row["itemid"] in asked["itemids"] and asked["time_from"] <= int(row["clock"]) <= asked["time_till"]
        ]
        return answers["result"](found[: asked["limit"]])

    front.answers["history.get"] = history
    gpus = [
        ReportedGpu(f"GPU-{itemid}", itemid, itemid, "T4", "host", "1", (), job=itemid) for itemid in ("7", "8", "9")
    ]
    with connect(front.url, Credentials(token=TOKEN)) as zabbix:
        (found,) = trends.filled(zabbix, [gpus], PERIOD, lambda _: None, with_jobs=True)
    assert found is gpus
    for gpu in gpus:
        wanted = [(int(row["clock"]), row["value"]) for row in stored if row["itemid"] == gpu.job]
        assert gpu.texts == [value for value in wanted if value[0] >= PERIOD.since - HOLDS]
