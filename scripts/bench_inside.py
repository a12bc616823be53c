"""The part of `make bench` that runs in the agent's container: prints its measurements as JSON.

usage: bench_inside.py ROUNDS oneshot|resident

Each round runs every candidate once, so that other load on the machine affects all of them alike.
"""

from __future__ import annotations

import ctypes
import json
import os
import socket
import statistics
import struct
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(sys.executable).parent
# The service processes as many errors as a GPU may report at once, of more codes than exist.
STORM = """
from zbx_nvidia.collector.resident.xid_history import XidHistory
from zbx_nvidia.collector.resident.xids import Tally
tally, history = Tally(), XidHistory(60, 600)
for number in range(100_000):
    tally.add(number % 1000 if number % 3 else 79)
    if number % 7777 == 0:
        for code, count, _, when in tally.take():
            history.add(code, count, when, 0.0)
"""
YARDSTICK = {"python -c 'import pynvml'": [sys.executable, "-c", "import pynvml"]}
COMMANDS = {
    **YARDSTICK,
    "zbx-nvidia-agent get": [str(HERE / "zbx-nvidia-agent"), "get"],
    "100,000 XIDs": [sys.executable, "-c", STORM],
}
# A job that says how long it took.
JOB = """
import time
start = time.perf_counter()
for _ in range(50_000_000):
    pass
print(time.perf_counter() - start)
"""
JOBS = 5  # with `zbx-nvidia run` and without, by turns
KEYS = ("agent.ping", "nvidia.get")
PR_SET_CHILD_SUBREAPER = 36
SERVICE_SECONDS = 30
DOCUMENT = Path("/run/zbx-nvidia/document.json")
PROFILE = Path("/etc/nvml-simulator/profile")


def ask(key: str) -> bytes:
    """One passive check, by Zabbix's plain protocol."""
    with socket.create_connection(("127.0.0.1", 10050), timeout=30) as agent:
        agent.sendall(b"ZBXD\x01" + struct.pack("<II", len(key), 0) + key.encode())
        answer = b""
        while part := agent.recv(65536):
            answer += part
    return answer[13:]


def cpu(command: list[str]) -> float:
    """CPU seconds of a command and of all processes that it starts."""
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    spent = 0.0
    while True:
        try:
            _, status, usage = os.wait4(-1, 0)
        except ChildProcessError:
            break
        if status:
            sys.exit(f"{command} ended with {status}")
        spent += usage.ru_utime + usage.ru_stime
    child.returncode = 0
    return spent


def hanging() -> float:
    """Seconds that the agent takes for an answer while a call for one GPU does not return; the container's last use."""
    new = PROFILE.with_name("profile.new")
    new.write_bytes(PROFILE.read_bytes().replace(b"[gpu 0]\n", b"[gpu 0]\nstate = hang\n"))
    new.rename(PROFILE)
    start = time.perf_counter()
    answer = ask("nvidia.get")
    seconds = time.perf_counter() - start
    if json.loads(answer)["status"]["name"] != "Deadline exceeded":
        sys.exit(answer.decode())
    return seconds


def slowed() -> float:
    """How much longer a job takes under `zbx-nvidia run`: a ratio."""
    plain = [sys.executable, "-c", JOB]
    measured = [str(HERE / "zbx-nvidia"), "run", "--", *plain]
    took: dict[bool, list[float]] = {False: [], True: []}
    for _ in range(JOBS):
        for under, command in ((False, plain), (True, measured)):
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            took[under].append(float(done.stdout))
    return min(took[True]) / min(took[False])


def service() -> dict[str, float]:
    """The use of all processes of the resident collector: CPU seconds per minute, and memory (PSS) in bytes."""
    (root,) = (path for path in Path("/proc").glob("[0-9]*") if b"zbx-nvidia-agent\0serve" in _read(path / "cmdline"))
    before, start = _cpu_time(root), time.perf_counter()
    documents: dict[int, float] = {}  # CPU time of the driver for each document, by its timestamp
    while (seconds := time.perf_counter() - start) < SERVICE_SECONDS:
        document = json.loads(DOCUMENT.read_bytes())
        documents[document["timestamp"]] = document["collector"]["driver_cpu"]
        time.sleep(0.5)
    taken = _cpu_time(root) - before
    # The first document covers the time before the measurement.
    driver = sum(list(documents.values())[1:])
    pss = sum(
        1024 * int(line.split()[1])
        for process in _tree(root)
        for line in _read(process / "smaps_rollup").decode().splitlines()
        if line.startswith("Pss:")
    )
    minutes = seconds / 60
    return {"cpu": taken / minutes, "driver": driver / minutes, "pss": pss}


def _tree(process: Path) -> list[Path]:
    """A process and all its descendants."""
    children = [pid for task in (process / "task").iterdir() for pid in _read(task / "children").split()]
    return [process, *(each for pid in children for each in _tree(Path("/proc", pid.decode())))]


def _cpu_time(root: Path) -> float:
    """CPU seconds of a tree of processes, with threads and children that have ended."""
    spent = 0.0
    for process in _tree(root):
        # The clock of clock_getcpuclockid(3): the whole process in nanoseconds, with threads that have ended.
        spent += time.clock_gettime((~int(process.name) << 3) | 2)
        user, system = _read(process / "stat").rpartition(b") ")[2].split()[13:15]
        spent += (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")  # children that were waited for
    return spent


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:  # it has ended meanwhile
        return b""


def main() -> None:
    """Measure."""
    rounds, collector = int(sys.argv[1]), sys.argv[2]
    # This process adopts orphans: `get` does not wait for its child, whose time counts too.
    if ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        sys.exit("prctl failed")
    waited: dict[str, list[float]] = {key: [] for key in KEYS}
    spent: dict[str, list[float]] = {name: [] for name in COMMANDS}
    size = 0
    for _ in range(rounds):
        for key in KEYS:
            start = time.perf_counter()
            answer = ask(key)
            waited[key].append(time.perf_counter() - start)
            size = len(answer)
            if key == "nvidia.get" and json.loads(answer)["status"]["code"]:
                sys.exit(answer.decode())
        for name, command in (COMMANDS if collector == "oneshot" else YARDSTICK).items():
            spent[name].append(cpu(command))
    print(
        json.dumps(
            {
                "wall": {key: statistics.median(times) for key, times in waited.items()},
                "cpu": {name: statistics.median(times) for name, times in spent.items() if times},
                "service": service() if collector == "resident" else {},
                "bytes": size,
                "slowed": slowed() if collector == "oneshot" else 0.0,
                "hanging": hanging() if collector == "oneshot" else 0.0,
            }
        )
    )


if __name__ == "__main__":
    main()
