"""`make demo`, as somebody sees it who tries the product for the first time."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from tests.integration.conftest import ROOT, SERIES

pytestmark = pytest.mark.integration

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Future

PORTS = {"6.0": "18060", "7.0": "18070"}  # apart: both look for a free one at the same time


class Demo:
    """The demo of a series, beside one that a developer may look at; images stay at the end.

    Attributes:
        project: Its name for Docker.
        first: How its first start ended.
    """

    first: Future[subprocess.CompletedProcess[str]]

    def __init__(self, series: str) -> None:
        self.series = series
        prefix = os.environ.get("ZBX_NVIDIA_TEST_PROJECT", "zbx-nvidia-test")
        self.project = f"{prefix}-demo-{series.replace('.', '')}"

    def start(self) -> subprocess.CompletedProcess[str]:
        names = {"ZBX_NVIDIA_DEMO_PROJECT": self.project, "ZABBIX_WEB_PORT": PORTS[self.series]}
        return subprocess.run(
            [sys.executable, ROOT / "scripts/demo.py", self.series],
            env={**os.environ, **names},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )

    def end(self) -> None:
        down = ["docker", "compose", "--project-name", self.project, "down", "--volumes", "--remove-orphans"]
        subprocess.run([*down, "--timeout", "2"], cwd=ROOT, capture_output=True, check=True)


@pytest.fixture(scope="module")
def demos() -> Iterator[dict[str, Demo]]:
    """That of each series, started. Both at once: they wait most of two minutes."""
    by_series = {series: Demo(series) for series in SERIES}
    for demo in by_series.values():
        demo.end()  # that of a killed run
    try:
        with ThreadPoolExecutor() as pool:
            for demo in by_series.values():
                demo.first = pool.submit(demo.start)
            yield by_series
    finally:
        for demo in by_series.values():
            demo.end()


# Named so that one worker gets both.
@pytest.mark.parametrize("series", SERIES, ids=lambda series: f"Zabbix {series}")
def test_it_shows_values_of_every_gpu_and_may_be_started_again(demos: dict[str, Demo], series: str) -> None:
    demo = demos[series]
    first = demo.first.result()
    assert not first.returncode, first.stdout + first.stderr
    rows = [[cell.strip() for cell in line.strip("│").split("│")] for line in first.stdout.splitlines() if "│" in line]
    assert [(host, gpu) for host, gpu, *_ in rows] == [
        ("workstation", "0"),
        *(("gpu-server", str(gpu)) for gpu in range(8)),
    ]
    for _, _, model, temperature, fan, utilization, memory, power in rows:
        assert re.fullmatch(r"\d+ °C", temperature)
        assert re.fullmatch(r"\d+ %", fan) if model == "NVIDIA GeForce GTX 1070" else fan == "-"
        assert re.fullmatch(r"\d+ %", utilization)
        assert re.fullmatch(r"\d+ GiB", memory)
        assert re.fullmatch(r"\d+ W", power)
    assert re.search(r"^The front end: http://127\.0\.0\.1:\d+ ", first.stdout, re.MULTILINE)
    # What it shows are the product's times: an XID keeps its alert for a day, not for the minute of the tests.
    for service in ("server", "gpu-server"):
        command = [
            "docker",
            "exec",
            f"{demo.project}-{service}-1",
            "sh",
            "-c",
            "cat /proc/[0-9]*/cmdline | tr '\\0' ' '",
        ]
        running = subprocess.run(command, capture_output=True, text=True, check=False).stdout
        assert "zabbix" in running
        assert "-test.conf" not in running
    second = demo.start()
    assert not second.returncode, second.stdout + second.stderr
    assert second.stdout.count("│\n") == len(rows)
