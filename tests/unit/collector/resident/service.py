"""Runs `zbx-nvidia-agent serve` as systemd does, on a simulated machine, and reads what it writes."""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.conftest import LOOK, PATIENCE, wait_for
from tests.unit.collector.collector import AGENT, Answer, checked, stat, states_of_threads
from zbx_nvidia.catalog.sampled import SAMPLED_METRICS

if TYPE_CHECKING:
    import signal
    from collections.abc import Callable, Mapping

SAMPLED = {metric.key for metric in SAMPLED_METRICS}
FAST = 4.0  # how fast time goes by for a service, unless a test says otherwise
# A call that takes four minutes hangs: one minute of the busiest machine.
QUICK = {"interval": "1s", "stall": "240s", "samples": "0.4s", "pcie": "2s", "window": "5s"}
# Where a call is to hang: 3 s of the machine. The GPUs that do not hang answer in a hundredth of it.
STALL = "12s"


class Service:
    """A service of a folder of its own, started when it is made."""

    def __init__(self, env: Mapping[str, str], folder: Path, **config: str) -> None:
        self.env = dict(env)
        self.folder = folder
        self.document = folder / "run" / "document.json"
        self.config = folder / "agent.conf"
        self.log = folder / "log"
        self.configure(**{**QUICK, **config})
        self.start()

    def configure(self, **config: str) -> None:
        lines = [f"document = {self.document}", *(f"{key} = {value}" for key, value in config.items())]
        self.config.write_text("\n".join(lines) + "\n")

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [AGENT, "serve", "--config", self.config],
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
            )

    def answer(self) -> Answer:
        return checked(self.document.read_bytes())

    def until(self, true: Callable[[Answer], Any], what: str) -> Answer:
        """The first document of which this is true."""
        end = time.monotonic() + PATIENCE
        last, seen = None, None
        while time.monotonic() < end:
            try:
                # Each is looked at once: to hold one against its schema takes as long as to make it.
                if (written := self.written()) != seen:
                    last, seen = self.answer(), written
                    if true(last):
                        return last
            except FileNotFoundError:
                last, seen = None, None
            assert self.process.poll() is None, f"it has ended: {self.said()}"
            time.sleep(LOOK)
        text = "no document" if last is None else json.dumps(last.document["status"])
        raise AssertionError(f"waited {PATIENCE:g} s for {what}; there is {text}; it said: {self.said()}")

    def well(self) -> Answer:
        return self.until(lambda answer: answer.code == 0, "a machine that is well")

    def next(self) -> Answer:
        """A document that is made from now on: two later, for one may be under way."""
        before = self.answer().text
        second = self.until(lambda answer: answer.text != before, "another document").text
        return self.until(lambda answer: answer.text != second, "another document")

    def written(self) -> tuple[int, int]:
        """Which document is there: on a clock that stands, two of them may be the same word for word."""
        found = self.document.stat()
        return found.st_ino, found.st_mtime_ns

    def until_written(self, since: tuple[int, int]) -> Answer:
        """A document that was written after that one."""
        wait_for(lambda: self.written() != since, "another document")
        return self.answer()

    def until_said(self, words: str) -> None:
        wait_for(lambda: words in self.said(), f"the words {words!r}")

    def worker(self) -> int | None:
        pids = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        alive = [int(pid) for pid in pids if stat(int(pid))[0] != "Z"]
        assert len(alive) <= 1, "never two workers"
        return alive[0] if alive else None

    def other_worker(self, than: int | None) -> int:
        wait_for(lambda: self.worker() not in {than, None}, f"a worker other than {than}")
        now = self.worker()
        assert now is not None
        return now

    def until_stuck(self) -> None:
        """Wait until a call of the worker hangs in the kernel."""
        wait_for(lambda: "D" in states_of_threads(self.worker() or 0), "a call that hangs")

    def signal(self, number: signal.Signals) -> None:
        os.kill(self.process.pid, number)

    def said(self) -> str:
        return self.log.read_text()

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(PATIENCE)

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [AGENT, *arguments, "--config", self.config],
            env=self.env,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
        )


def of_a_poll(readings: dict[str, Any]) -> dict[str, Any]:
    """What of a GPU's readings one look shows: without what is made of several, and what processes used in between."""
    found = {key: value for key, value in readings.items() if key not in SAMPLED}
    processes = [
        {key: value for key, value in entry.items() if not key.startswith("utilization")}
        for entry in found.pop("process_list", [])
    ]
    return {**found, "process_list": processes}


def pss(pid: int, kind: str = "Pss") -> int:
    """In kB."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith(f"{kind}:"))
