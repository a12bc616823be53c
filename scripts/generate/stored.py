"""How many values a simulated card at work has Zabbix store per hour: scripts/generate/stored.json.

`python -m scripts.generate.stored` rewrites it, for `costs`. Two hours of each machine are collected minute by minute,
and what does not change is left out as Zabbix does it. Most readings of a card never change, and which do is no matter
of opinion.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zbx_nvidia.catalog.sampled import GPU_ITEMS
from zbx_nvidia.catalog.storage import SECONDS, heartbeat

if TYPE_CHECKING:
    from collections.abc import Mapping

    from zbx_nvidia.catalog.metrics import Metric

ROOT = Path(__file__).parents[2]
PATH = Path(__file__).with_name("stored.json")
HOURS, POLL, START = 2, 60, 1_800_000_000
# In one process, which has NVML's module loaded: a collection is a fork of it.
PROGRAM = """
import sys
from zbx_nvidia.collector import collect
from zbx_nvidia.collector.main import get
profile, start, poll, polls = sys.argv[1], *map(int, sys.argv[2:])
text = open(profile).read()
for number in range(polls):
    with open(profile, "w") as file:
        file.write(text.replace("[machine]\\n", f"[machine]\\nclock = {start + poll * number}\\n", 1))
    print(get(60.0, age=0.0))
"""


def replay(profile: str, folder: Path, environment: Mapping[str, str]) -> list[dict[str, Any]]:
    """The readings of the first GPU of a machine, one poll after the other; the first poll is one before the hours.

    Args:
        profile: Of the simulator.
        folder: For a copy of it.
        environment: With the simulated driver.
    """
    text = (ROOT / "simulator/profiles" / f"{profile}.profile").read_text(encoding="utf-8")
    path = folder / f"{profile}.replayed"
    path.write_text(re.sub(r"^\[gpu [1-9]\d*( .*)?\]\n(?:(?!\[).*\n)*", "", text, flags=re.MULTILINE))
    polls = HOURS * 3600 // POLL + 1
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(path), str(START - POLL), str(POLL), str(polls)],
        env={**environment, "NVML_SIMULATOR_PROFILE": str(path)},
        capture_output=True,
        text=True,
        check=True,
    )
    documents = [json.loads(line) for line in done.stdout.splitlines()]
    (uuid,) = documents[0]["gpus"]
    return [document["gpus"][uuid] for document in documents]


def values_of(metric: Metric, polls: list[dict[str, Any]]) -> list[Any]:
    """What reaches the last step of an item's preprocessing, poll by poll, after the first one; None for nothing."""
    readings = [poll.get(metric.counter or metric.key) for poll in polls]
    if metric.only:
        return [1 if re.search(metric.only, str(now)) else None for now in readings[1:]]
    if metric.counter:
        return [_rate(metric, old, now) for old, now in itertools.pairwise(readings)]
    return readings[1:]


def _rate(metric: Metric, old: float | None, now: float | None) -> float | None:
    return None if old is None or now is None or now < old else (now - old) / POLL * metric.factor


def stored(values: list[Any], beat: int) -> int:
    """How many of these Zabbix stores, with a heartbeat of so many seconds; 0 for each poll."""
    count, last, since = 0, None, 0
    for value in values:
        since += POLL
        if value is not None and (value != last or since >= beat):
            count, last, since = count + 1, value, 0
    return count


def moving(polls: list[dict[str, Any]]) -> dict[str, float]:
    """Stored values per hour, by the key of each metric of the card that is not stored each poll and has changed."""
    found = {}
    for metric in GPU_ITEMS:
        if heartbeat(metric) and (metric.counter or metric.key) in polls[0]:
            values = values_of(metric, polls)
            if any(value != values[0] for value in values):
                found[metric.key] = stored(values, SECONDS[heartbeat(metric)]) / HOURS
    return found


def per_hour(metric: Metric, moves: Mapping[str, float]) -> float:
    """How many values of an item Zabbix stores per hour.

    Args:
        metric: Its row.
        moves: What `moving` found of its card.
    """
    if not heartbeat(metric):
        return 3600 / POLL
    return moves.get(metric.key, 3600 / SECONDS[heartbeat(metric)])


def main() -> None:
    """Rewrite the file."""
    library = ROOT / "build/simulator"
    environment = {**os.environ, "LD_LIBRARY_PATH": str(library), "PYTHONPATH": str(ROOT / "src")}
    rows = {}
    for path in sorted((ROOT / "simulator/profiles").glob("*.profile")):
        with tempfile.TemporaryDirectory() as folder:
            polls = replay(path.stem, Path(folder), environment)
        rows[path.stem] = moving(polls)
    PATH.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
