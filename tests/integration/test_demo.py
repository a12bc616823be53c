"""`make demo`, as somebody sees it who tries the product for the first time."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.integration.conftest import ROOT, SERIES

pytestmark = pytest.mark.integration

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Start = Callable[[], subprocess.CompletedProcess[str]]


@pytest.fixture(params=SERIES)
def demo(request: pytest.FixtureRequest) -> Iterator[tuple[Start, str]]:
    """What starts the demo, beside one that a developer may look at, and its project; images stay at the end."""
    series = request.param
    project = f"{os.environ.get('ZBX_NVIDIA_TEST_PROJECT', 'zbx-nvidia-test')}-demo-{series.replace('.', '')}"
    # Ports apart: both look for a free one at the same time.
    port = {"6.0": "18060", "7.0": "18070"}[series]
    environment = {**os.environ, "ZBX_NVIDIA_DEMO_PROJECT": project, "ZABBIX_WEB_PORT": port}
    down = ["docker", "compose", "--project-name", project, "down", "--volumes", "--remove-orphans", "--timeout", "2"]

    def end() -> None:
        subprocess.run(down, cwd=ROOT, capture_output=True, check=True)

    def start() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, ROOT / "scripts/demo.py", series],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )

    end()  # that of a killed run
    try:
        yield start, project
    finally:
        end()


def test_it_shows_values_of_every_gpu_and_may_be_started_again(demo: tuple[Start, str]) -> None:
    start, project = demo
    first = start()
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
        command = ["docker", "exec", f"{project}-{service}-1", "sh", "-c", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '"]
        running = subprocess.run(command, capture_output=True, text=True, check=False).stdout
        assert "zabbix" in running
        assert "-test.conf" not in running
    second = start()
    assert not second.returncode, second.stdout + second.stderr
    assert second.stdout.count("│\n") == len(rows)
