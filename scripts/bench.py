"""What a check costs, beside its yardsticks, in one run on the same machine: ratios, not seconds, are what counts.

Runs real agents in the container of a GPU host (scripts/images.sh 7.0), on the simulated driver.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).parents[1]
IMAGE = "zbx-nvidia/gpu-host:7.0"
PROFILE = "/etc/nvml-simulator/profile"
AGENTS = ("zabbix_agentd", "zabbix_agent2")
ROUNDS = 30
CPU_BAR = 1.9  # `get` for 8 GPUs, 128 readings each, in CPU time of a process that only imports pynvml
SIZE_BAR = 32 * 1024  # bytes of the document of 8 GPUs: half of what 6.0 agents read
GET, IMPORT = "zbx-nvidia-agent get", "python -c 'import pynvml'"


def docker(*arguments: str, text: str = "") -> str:
    """Run docker; its output."""
    done = subprocess.run(["docker", *arguments], input=text, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"error: docker {arguments[0]}: {done.stderr.strip()}")
    return done.stdout


def measure(agent: str, gpus: int) -> dict[str, Any]:
    """All measurements with one agent and so many GPUs."""
    profile = (ROOT / "simulator/profiles/h100x8.profile").read_text(encoding="utf-8")
    for index in range(gpus, 8):
        profile = re.sub(rf"^\[gpu {index}\]\n(?:(?!\[).*\n)*", "", profile, flags=re.MULTILINE)
    container = docker("run", "--detach", "--rm", "--env", "NVML_PROFILE=h100x8", IMAGE, agent).strip()
    try:
        docker(
            "exec",
            "--interactive",
            container,
            "sh",
            "-c",
            f"cat >{PROFILE}.new && mv {PROFILE}.new {PROFILE}",
            text=profile,
        )
        ready = "until zabbix_get -s 127.0.0.1 -k agent.ping >/dev/null 2>&1; do sleep 0.1; done"
        docker("exec", container, "timeout", "20", "sh", "-c", ready)
        program = (ROOT / "scripts/bench_inside.py").read_text(encoding="utf-8")
        output = docker(
            "exec", "--interactive", container, "/opt/zbx-nvidia/bin/python", "-", str(ROUNDS), text=program
        )
        result: dict[str, Any] = json.loads(output)
        return result
    finally:
        docker("rm", "--force", container)


def main() -> None:
    """Measure and print; exit code 1 when a bar is missed."""
    console = Console(width=None if sys.stdout.isatty() else 100)
    results = {(agent, gpus): measure(agent, gpus) for gpus in (1, 8) for agent in AGENTS}

    table = Table(title=f"Passive checks, median of {ROUNDS}, wall time in ms", title_justify="left")
    for heading in ("Agent", "GPUs", "agent.ping", "nvidia.get", "Document in bytes"):
        table.add_column(heading, justify="left" if heading == "Agent" else "right")
    for (agent, gpus), result in results.items():
        wall = result["wall"]
        times = [f"{1000 * wall[key]:.2f}" for key in ("agent.ping", "nvidia.get")]
        table.add_row(agent, str(gpus), *times, f"{result['bytes']:,}")
    console.print(table)

    table = Table(
        title=f"Processes, median of {ROUNDS}, CPU time in ms, all their children's in it", title_justify="left"
    )
    for heading in ("GPUs", IMPORT, GET, "Ratio"):
        table.add_column(heading, justify="right")
    ratio = 0.0
    for gpus in (1, 8):
        spent = results[AGENTS[0], gpus]["cpu"]
        ratio = spent[GET] / spent[IMPORT]
        table.add_row(str(gpus), f"{1000 * spent[IMPORT]:.1f}", f"{1000 * spent[GET]:.1f}", f"{ratio:.2f}")
    console.print(table)

    size = results[AGENTS[0], 8]["bytes"]
    console.print(
        f"Bars for 8 GPUs: CPU ratio {ratio:.2f} (at most {CPU_BAR}), document {size:,} B (below {SIZE_BAR:,})"
    )
    if ratio > CPU_BAR or size >= SIZE_BAR:
        sys.exit(1)


if __name__ == "__main__":
    main()
