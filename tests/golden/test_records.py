"""What real cards said, as nvidia-smi printed it, against what the collector says of the same cards simulated.

The records are lines of public captures of nvidia-smi, without serial numbers and UUIDs. What cannot move must be the
same to the digit; of the rest, that a record has a number where the document has one.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import pytest

from scripts.generate.stored import PATH
from tests.conftest import REPOSITORY
from tests.golden.documents import path_of
from tests.gpu.smi import COLUMNS, readings
from tests.unit.collector.collector import validator
from zbx_nvidia.catalog.metrics import GPU_METRICS
from zbx_nvidia.catalog.sampled import GPM_METRICS, SAMPLED_METRICS
from zbx_nvidia.catalog.storage import heartbeat
from zbx_nvidia.collector.ranges import possible
from zbx_nvidia.jobs.fitness import evaluate

if TYPE_CHECKING:
    from pathlib import Path

RECORDS = sorted((REPOSITORY / "tests/gpu/records").glob("*.csv"))
DOCUMENTS = sorted((REPOSITORY / "tests/gpu/documents").glob("*.json"))
MASKED = {"serial", "pci", "index"}
# nvidia-smi's own: it works the memory in use out in whole MiB, and so what is held back.
MOVING = {metric.key for metric in GPU_METRICS if not heartbeat(metric)} | {"memory_reserved", "memory_total"}


@pytest.mark.parametrize("record", RECORDS, ids=lambda path: path.stem)
def test_a_real_card_and_its_profile_say_the_same(record: Path) -> None:
    header, line = record.read_text().splitlines()
    columns = {column: key for key, column in COLUMNS.items()}
    names = header.split(",")
    (real,) = readings([line], [columns[name] for name in names])
    golden = json.loads(path_of(record.stem).read_text())["gpus"].popitem()[1]
    asked = {columns[name] for name in names} - MASKED
    assert len(asked) > 60
    assert {key for key in asked if (key in real) != (key in golden)} == set()
    moving = MOVING | json.loads(PATH.read_text(encoding="utf-8"))[record.stem].keys()
    fixed = {key for key in asked - moving if key in real and key in golden}
    assert len(fixed) > 12
    assert {key: golden[key] for key in fixed} == {key: real[key] for key in fixed}


# What nobody but the host knows, and what is there while a process is.
OF_THE_HOST = {"process_oldest", "job", "job_since"}


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.stem)
def test_a_document_of_a_real_card_has_what_its_profile_has(path: Path) -> None:
    """Whole documents, with other UUIDs and serial numbers: of an H100 and an H200 that are passed through."""
    document = json.loads(path.read_text(encoding="utf-8"))
    validator("document").validate(document)
    ((uuid, real),) = document["gpus"].items()
    golden = json.loads(path_of("h100-vm").read_text())["gpus"].popitem()[1]
    more = {metric.key for metric in (*SAMPLED_METRICS, *GPM_METRICS)} | {key for key in real if key.startswith("xid")}
    assert real.keys() - golden.keys() - OF_THE_HOST <= (more if document["collector"]["mode"] == "resident" else set())
    assert golden.keys() - real.keys() == set()
    for metric in GPU_METRICS:
        if metric.key in real:
            assert possible(metric, real[metric.key]), metric.key
    # Two roads to the same: by the margins, and by the absolute threshold.
    assert abs(real["temperature_headroom"] - (real["temperature_slowdown"] - real["temperature"])) <= 3
    sound = evaluate({**document, "timestamp": int(time.time())}, None, {})
    assert (sound.findings, sound.gpus) == ([], [uuid])


def test_words_and_units() -> None:
    keys = [
        "name",
        "power",
        "clock_sm",
        "memory_used",
        "performance_state",
        "ecc_mode",
        "throttle_time_power",
        "fan_speed",
    ]
    (row,) = readings(["NVIDIA H100, 69.85 W, 345 MHz, 1 MiB, P8, Enabled, 1500000 us, [N/A]"], keys)
    assert row == {
        "name": "NVIDIA H100",
        "power": 69.85,
        "clock_sm": 345_000_000,
        "memory_used": 2**20,
        "performance_state": 8,
        "ecc_mode": 1,
        "throttle_time_power": 1.5,
    }
    (row,) = readings(
        ["Exclusive_Process, Completed, None, [Requested functionality has been deprecated]"],
        ["compute_mode", "fabric_state", "recovery_action", "ecc_mode"],
    )
    assert row == {"compute_mode": 3, "fabric_state": 3, "recovery_action": 0}
