"""The part of `make bench` that runs beside the agent, on the simulated GPUs: prints its measurements as JSON.

usage: bench_inside.py ROUNDS

All of a round's candidates run one after the other, so that a noisy neighbour hits them alike.
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
COMMANDS = {
    "python -c 'import pynvml'": [sys.executable, "-c", "import pynvml"],
    "zbx-nvidia-agent get": [str(HERE / "zbx-nvidia-agent"), "get"],
}
KEYS = ("agent.ping", "nvidia.get")
PR_SET_CHILD_SUBREAPER = 36


def ask(key: str) -> bytes:
    """One passive check, by Zabbix's plain protocol."""
    with socket.create_connection(("127.0.0.1", 10050), timeout=30) as agent:
        agent.sendall(b"ZBXD\x01" + struct.pack("<II", len(key), 0) + key.encode())
        answer = b""
        while part := agent.recv(65536):
            answer += part
    return answer[13:]


def cpu(command: list[str]) -> float:
    """CPU seconds of a command and of every process it leaves behind."""
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


def main() -> None:
    """Measure."""
    rounds = int(sys.argv[1])
    # Orphans come to us: `get` leaves its child to itself, and its time counts.
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
        for name, command in COMMANDS.items():
            spent[name].append(cpu(command))
    print(
        json.dumps(
            {
                "wall": {key: statistics.median(times) for key, times in waited.items()},
                "cpu": {name: statistics.median(times) for name, times in spent.items()},
                "bytes": size,
            }
        )
    )


if __name__ == "__main__":
    main()
