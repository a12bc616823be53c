"""The cost of a check as ratios to reference commands, measured in one run on the same machine.

Runs real agents in the container of a GPU host (scripts/images.sh 7.0), on the simulated driver.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).parents[1]
IMAGE = "zbx-nvidia/gpu-host:7.0" + os.environ.get("ZBX_NVIDIA_IMAGES", "")
PROFILE = "/etc/nvml-simulator/profile"
AGENTS = ("zabbix_agentd", "zabbix_agent2")
COLLECTORS = ("oneshot", "resident")
ROUNDS = 30
CPU_BAR = 1.7  # `get` for 8 GPUs, 128 readings each, in CPU time of a process that only imports pynvml
SIZE_BAR = 32 * 1024  # bytes of the document of 8 GPUs: half of the limit of 6.0 agents
PING_BAR = 3  # a resident check, in times of an agent.ping of the same agent
STORM_BAR = 10.0  # 100,000 XIDs at once, in CPU time as above; about 3 was measured
# CPU time of the service for 8 GPUs per minute, in imports of pynvml: a ratio does not depend on the machine.
SERVICE_BAR, PSS_BAR = 10, 45e6
RUN_BAR = 1.01  # a job under `zbx-nvidia run`, in times of the same job without
HANG_BAR = 3.0  # s: what zabbix_agentd gives a UserParameter (Timeout=3)
GET, IMPORT, STORM = "zbx-nvidia-agent get", "python -c 'import pynvml'", "100,000 XIDs"


def docker(*arguments: str, text: str = "") -> str:
    """Run docker; its output."""
    done = subprocess.run(["docker", *arguments], input=text, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"error: docker {arguments[0]}: {done.stderr.strip()}")
    return done.stdout


def measure(agent: str, gpus: int, collector: str) -> dict[str, Any]:
    """All measurements with one agent, number of GPUs and kind of collector."""
    profile = (ROOT / "simulator/profiles/h100x8.profile").read_text(encoding="utf-8")
    for index in range(gpus, 8):
        profile = re.sub(rf"^\[gpu {index}\]\n(?:(?!\[).*\n)*", "", profile, flags=re.MULTILINE)
    environment = ("--env", "NVML_PROFILE=h100x8", "--env", f"COLLECTOR={collector}")
    container = docker("run", "--detach", "--rm", "--init", *environment, IMAGE, agent).strip()
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
        ready = (
            f"until zabbix_get -s 127.0.0.1 -k nvidia.get 2>&1 | grep -q '\"gpu_count\":{gpus},'; do sleep 0.1; done"
        )
        docker("exec", container, "timeout", "30", "sh", "-c", ready)
        program = (ROOT / "scripts/bench_inside.py").read_text(encoding="utf-8")
        output = docker(
            *("exec", "--interactive", container, "/opt/zbx-nvidia/bin/python", "-", str(ROUNDS), collector),
            text=program,
        )
        result: dict[str, Any] = json.loads(output)
        return result
    finally:
        docker("rm", "--force", container)


def main() -> None:
    """Measure and print; exit code 1 if a limit is exceeded."""
    console = Console(width=None if sys.stdout.isatty() else 100)
    results = {
        (agent, gpus, collector): measure(agent, gpus, collector)
        for gpus in (1, 8)
        for agent in AGENTS
        for collector in COLLECTORS
    }

    table = Table(title=f"Passive checks, median of {ROUNDS}, wall time in ms", title_justify="left")
    for heading in ("Agent", "GPUs", "Collector", "agent.ping", "nvidia.get", "Ratio", "Document in bytes"):
        table.add_column(heading, justify="left" if heading in {"Agent", "Collector"} else "right")
    slowest = 0.0
    for (agent, gpus, collector), result in results.items():
        ping, get = (result["wall"][key] for key in ("agent.ping", "nvidia.get"))
        if collector == "resident":
            slowest = max(slowest, get / ping)
        times = (f"{1000 * ping:.2f}", f"{1000 * get:.2f}", f"{get / ping:.1f}")
        table.add_row(agent, str(gpus), collector, *times, f"{result['bytes']:,}")
    console.print(table)

    table = Table(
        title=f"Processes, median of {ROUNDS}, CPU time in ms, with all child processes", title_justify="left"
    )
    for heading in ("GPUs", IMPORT, GET, "Ratio", STORM, "Ratio"):
        table.add_column(heading, justify="right")
    ratio = storm = 0.0
    for gpus in (1, 8):
        spent = results[AGENTS[0], gpus, "oneshot"]["cpu"]
        ratio = spent[GET] / spent[IMPORT]
        storm = spent[STORM] / spent[IMPORT]
        table.add_row(
            *(str(gpus), f"{1000 * spent[IMPORT]:.1f}", f"{1000 * spent[GET]:.1f}", f"{ratio:.2f}"),
            *(f"{1000 * spent[STORM]:.1f}", f"{storm:.2f}"),
        )
    console.print(table)

    table = Table(
        title="The service, at two samples a second: CPU time of all its processes per minute, in imports of pynvml",
        title_justify="left",
    )
    for heading in ("GPUs", "Total", "Driver calls", "Service itself", "Share of a CPU", "Memory (PSS)"):
        table.add_column(heading, justify="right")
    imports = 0.0
    for gpus in (1, 8):
        result = results[AGENTS[1], gpus, "resident"]
        service, unit = result["service"], result["cpu"][IMPORT]
        imports = service["cpu"] / unit
        parts = (imports, service["driver"] / unit, imports - service["driver"] / unit)
        share, memory = f"{100 * service['cpu'] / 60:.2f} %", f"{service['pss'] / 1e6:.1f} MB"
        table.add_row(str(gpus), *(f"{part:.1f}" for part in parts), share, memory)
    console.print(table)

    size = results[AGENTS[0], 8, "oneshot"]["bytes"]
    hanging = max(results[agent, 8, "oneshot"]["hanging"] for agent in AGENTS)
    slowed = min(results[agent, 8, "oneshot"]["slowed"] for agent in AGENTS)
    bars = {
        f"get: {ratio:.2f} times the CPU time of an import (at most {CPU_BAR})": ratio <= CPU_BAR,
        f"{STORM}: {storm:.2f} times the CPU time of an import (at most {STORM_BAR})": storm <= STORM_BAR,
        f"document {size:,} B (below {SIZE_BAR:,})": size < SIZE_BAR,
        f"resident check {slowest:.1f} times a ping (at most {PING_BAR})": slowest <= PING_BAR,
        f"check while a GPU hangs {hanging:.2f} s (at most {HANG_BAR:g})": hanging <= HANG_BAR,
        f"a job under zbx-nvidia run {slowed:.3f} times as long (at most {RUN_BAR})": slowed <= RUN_BAR,
        f"service {imports:.1f} imports of pynvml a minute (at most {SERVICE_BAR})": imports <= SERVICE_BAR,
        f"service {service['pss'] / 1e6:.1f} MB (below {PSS_BAR / 1e6:g})": service["pss"] < PSS_BAR,
    }
    console.print("Limits for 8 GPUs:")
    for words, held in bars.items():
        console.print(f"  {'ok      ' if held else 'EXCEEDED'} {words}")
    if not all(bars.values()):
        sys.exit(1)


if __name__ == "__main__":
    main()
