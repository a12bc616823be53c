"""The jobs of GPUs, as a report asks for them: however often they changed, no answer is too large for the front end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zbx_nvidia.report import gather
from zbx_nvidia.report.gather import Gpu
from zbx_nvidia.report.jobs import HOLDS
from zbx_nvidia.report.period import HOUR, Period
from zbx_nvidia.server.connection import Credentials, connect

if TYPE_CHECKING:
    import pytest

TOKEN = "0f0e0d0c"  # noqa: S105  of no real account
PERIOD = Period(10 * HOUR, 12 * HOUR)


def test_what_is_too_much_is_asked_in_halves(front: Any, answers: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gather, "_ROWS", 50)
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
    gpus = [Gpu(f"GPU-{itemid}", itemid, itemid, "T4", "host", "1", (), job=itemid) for itemid in ("7", "8", "9")]
    with connect(front.url, Credentials(token=TOKEN)) as zabbix:
        found = gather.jobs(zabbix, gpus, PERIOD)
    for itemid in ("7", "8", "9"):
        wanted = [(int(row["clock"]), row["value"]) for row in stored if row["itemid"] == itemid]
        assert found[itemid] == [value for value in wanted if value[0] >= PERIOD.since - HOLDS]
