"""The document of the real GPUs of this machine against what nvidia-smi says of them: `pytest -m gpu tests/gpu`."""

from __future__ import annotations

import json
import os
import subprocess
import time
from typing import Any

import pytest

from tests.conftest import REPOSITORY
from tests.gpu.smi import COLUMNS, readings
from tests.unit.collector.collector import Answer, get
from zbx_nvidia.catalog.metrics import CHAR, GPU_METRICS

pytestmark = pytest.mark.gpu

# What moves between two looks at a card that is at work, in the document's units; all else is the same.
MOVES = {
    "utilization": 100,
    "utilization_memory": 100,
    "utilization_encoder": 100,
    "utilization_decoder": 100,
    "memory_used": 2**30,
    "memory_free": 2**30,
    "temperature": 3,
    "temperature_margin": 3,
    "fan_speed": 10,
    "power": 50,
    "power_instant": 50,
    "power_average": 50,
    "temperature_memory": 3,
    "utilization_jpeg": 100,
    "utilization_ofa": 100,
    "performance_state": 15,
    "pcie_generation": 5,
    "encoder_sessions": 2,
    "encoder_fps": 1000,
    "encoder_latency": 1,
    "throttle_time_power": 5,
    "throttle_time_sw_thermal": 5,
    "throttle_time_hw_thermal": 5,
    "throttle_time_power_brake": 5,
    **{metric.key: 1 for metric in GPU_METRICS if metric.reader == "throttling"},
    "clock_sm": 300 * 10**6,
    "clock_memory": 300 * 10**6,
    "clock_graphics": 300 * 10**6,
    "clock_video": 300 * 10**6,
}
ROUNDING = {"B": 2**20, "W": 0.01}  # nvidia-smi prints whole MiB and hundredths of a watt
ATTEMPTS = 5  # a card that wakes or falls asleep between the looks changes all its clocks


def smi(*arguments: str) -> str:
    try:
        run = subprocess.run(["nvidia-smi", *arguments], capture_output=True, text=True, check=False, timeout=60)
    except (OSError, subprocess.TimeoutExpired) as error:
        pytest.fail(f"no real GPU here: nvidia-smi does not run ({error}). Deselect: -m 'not gpu'", pytrace=False)
    if run.returncode:
        said = (run.stdout + run.stderr).strip()
        pytest.fail(f"no real GPU here: nvidia-smi says {said}. Deselect: -m 'not gpu'", pytrace=False)
    return run.stdout


def cards() -> dict[str, dict[str, Any]]:
    """Readings of nvidia-smi by UUID and key of the document, in the document's units; what it lacks is left out."""
    known = smi("--help-query-gpu")
    asked = {key: column for key, column in COLUMNS.items() if f'"{column}"' in known}
    assert {"uuid", "temperature", "power", "memory_used"} <= asked.keys()
    table = smi(f"--query-gpu={','.join(asked.values())}", "--format=csv,noheader")
    return {row["uuid"]: row for row in readings(table.splitlines(), asked)}


def differences(answer: Answer, seen: dict[str, dict[str, Any]]) -> list[str]:
    assert answer.document["gpus"].keys() == seen.keys() == answer.document["presence"].keys()
    found = []
    for uuid, card in seen.items():
        ours = answer.document["gpus"][uuid]
        for metric in GPU_METRICS:
            mine, theirs = ours.get(metric.key), card.get(metric.key)
            if metric.smi not in COLUMNS.values() or mine == theirs:
                continue
            room = MOVES.get(metric.key, 0) + ROUNDING.get(metric.unit, 0)
            if mine is None or theirs is None or metric.kind == CHAR or abs(mine - theirs) > room:
                found.append(f"{uuid} {metric.key}: {mine}, {metric.smi}: {theirs}")
    return found


def test_document_says_what_nvidia_smi_says() -> None:
    for _ in range(ATTEMPTS):
        seen = cards()
        answer = get(os.environ)
        assert answer.code == 0, answer.message
        if not (found := differences(answer, seen)):
            break
        time.sleep(1)
    assert found == []


def test_document_is_recorded() -> None:
    """For a profile of the simulated driver, or a report: it has serial numbers and UUIDs in it."""
    smi("-L")
    document = get(os.environ).document
    folder = REPOSITORY / "build" / "gpu"
    folder.mkdir(parents=True, exist_ok=True)
    names = sorted({gpu["name"].replace(" ", "-").lower() for gpu in document["gpus"].values()})
    record = folder / f"{'+'.join(names) or 'none'}-{document['host']['driver_version']}.json"
    record.write_text(json.dumps(document, indent=2) + "\n")
    assert names
