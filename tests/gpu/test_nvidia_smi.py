"""The document of the real GPUs of this machine against what nvidia-smi says of them: `pytest -m gpu tests/gpu`."""

from __future__ import annotations

import json
import os
import subprocess
import time
from typing import Any

import pytest

from tests.conftest import REPOSITORY
from tests.gpu.smi import differences, known, readings
from tests.unit.collector.collector import get
from zbx_nvidia.catalog.metrics import GPU_METRICS

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


def cards() -> tuple[dict[str, str], list[dict[str, Any]]]:
    """What nvidia-smi was asked for, and its readings, in the terms of the document."""
    asked = known(smi("--help-query-gpu"))
    table = smi(f"--query-gpu={','.join(asked.values())}", "--format=csv,noheader")
    return asked, readings(table.splitlines(), asked)


def test_document_says_what_nvidia_smi_says() -> None:
    for _ in range(ATTEMPTS):
        asked, seen = cards()
        answer = get(os.environ)
        assert answer.code == 0, answer.message
        assert answer.document["presence"].keys() == {card["uuid"] for card in seen}
        if not (found := differences(answer.document["gpus"], seen, asked, MOVES)):
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
