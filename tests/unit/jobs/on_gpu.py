"""A job that is on simulated GPUs: it adds itself to the profile, prints a line, and ends when its input ends.

Arguments: numbers of GPUs. With `orphan` first, a process whose parent has ended does all that.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path


def main(gpus: list[str]) -> None:
    profile = Path(os.environ["NVML_SIMULATOR_PROFILE"])
    sections = "".join(
        f"\n[gpu {gpu} process {os.getpid()}]\nname = python train.py\ncompute = 1\nused_memory = 2147483648\n"
        "sm_utilization = 90\n"
        for gpu in gpus
    )
    (new := profile.with_suffix(f".{os.getpid()}")).write_text(profile.read_text() + sections)
    new.replace(profile)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.read()


if __name__ == "__main__":
    arguments = sys.argv[1:]
    if arguments[0] == "orphan":
        arguments.pop(0)
        reading, writing = os.pipe()
        if os.fork() == 0:
            if os.fork() != 0:
                os._exit(0)
            main(arguments)
            os.write(writing, b"x")
            os._exit(0)
        os.wait()
        os.read(reading, 1)
    else:
        main(arguments)
