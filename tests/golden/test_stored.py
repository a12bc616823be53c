"""What a simulated card at work has Zabbix store per hour: what docs/COSTS.md counts, and how much it may be."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from scripts.generate.costs import items_of_a_gpu, values_per_hour
from scripts.generate.stored import PATH, moving, replay, stored
from tests.golden.documents import PROFILES, path_of
from zbx_nvidia.catalog.graphs import GRAPHS
from zbx_nvidia.catalog.storage import SECONDS, heartbeat
from zbx_nvidia.template.expressions import BY_REF

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import MachineFactory

# Values per hour of one GPU, by default.
BARS = {"h100x8": 1900, "gtx1070": 1300}
REWRITE = "python -m scripts.generate.stored"


def test_every_machine_was_replayed() -> None:
    assert sorted(json.loads(PATH.read_text(encoding="utf-8"))) == PROFILES


@pytest.mark.usefixtures("unmeasured")
@pytest.mark.parametrize("profile", BARS)
def test_the_values_of_an_hour_are_those_of_a_replay_and_few(
    profile: str, machine: MachineFactory, tmp_path: Path
) -> None:
    document = json.loads(path_of(profile).read_text(encoding="utf-8"))
    rows = items_of_a_gpu(document)
    assert values_per_hour(profile, rows) <= BARS[profile]
    found = moving(replay(profile, tmp_path, machine(profile).env))
    known = json.loads(PATH.read_text(encoding="utf-8"))[profile]
    # Whether a PID of the profile is also one of this machine is chance.
    for key in ("process_oldest", "process_list", "job", "job_since"):
        found.pop(key, None)
        known.pop(key, None)
    assert found == known, REWRITE


def test_what_is_stored_of_values() -> None:
    assert stored([0] * 120, 3600) == 2
    assert stored([0] * 120, 0) == 120
    assert stored([0, 0, 1, 1, 0, None, 0], 3600) == 3
    assert stored([0] * 9, 180) == 3


def test_a_line_of_a_graph_has_no_gaps() -> None:
    """The front end of 6.0 leaves one where values are four polls apart, and the poll takes a while."""
    lines = [(BY_REF[line.metric], line.drawn) for graph in GRAPHS for line in graph.lines]
    assert {SECONDS[heartbeat(metric)] for metric, drawn in lines if drawn != "DASHED_LINE"} == {0, 180}
