"""`zbx-nvidia run`: the job notices nothing of it, and its figures are those of the simulated cards."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import sysconfig
import termios
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import PATIENCE, Machine, wait_for
from tests.unit.collector.collector import end

if TYPE_CHECKING:
    from tests.conftest import MachineFactory

PROGRAM = f"{sysconfig.get_path('scripts')}/zbx-nvidia"
ON_GPU = [sys.executable, str(Path(__file__).with_name("on_gpu.py"))]
PLAIN = {key: value for key, value in os.environ.items() if key not in {"LD_LIBRARY_PATH", "COLUMNS"}}


class Run:
    """A job under `run`, with its figures."""

    def __init__(self, env: dict[str, str], state: Path, *command: str) -> None:
        self.state = state
        self.process = subprocess.Popen(
            [PROGRAM, "run", "--", *command],
            env={**env, "XDG_STATE_HOME": str(state)},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            # As a shell starts it: in a process group that nobody could continue, the kernel drops Ctrl-Z. These tests
            # may be in one. Python 3.10 has no `process_group`.
            preexec_fn=os.setpgrp,  # noqa: PLW1509
        )  # fmt: skip

    def line(self) -> str:
        """The next line of the job."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def measured(self) -> None:
        """Wait until the GPUs were read three times from now on: what reads them waits once for each time."""
        (reader,) = (pid for pid in children(self.process.pid) if os.getsid(pid) == pid)
        before = waits(reader)
        wait_for(lambda: waits(reader) >= before + 4, "readings of the GPUs")

    def end(self) -> dict[str, Any]:
        """End the input of the job, and return its figures; what was printed is in them too."""
        out, err = self.process.communicate(timeout=PATIENCE)
        stored = (self.state / "zbx-nvidia" / "runs.jsonl").read_text().splitlines()
        figures: dict[str, Any] = json.loads(stored[-1])
        return {**figures, "out": out, "err": err, "code": self.process.returncode}


def children(pid: int) -> list[int]:
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if int((folder / "stat").read_text().rpartition(")")[2].split()[1]) == pid:
                found.append(int(folder.name))
    return found


def waits(pid: int) -> int:
    """How often a process has waited for something."""
    text = Path(f"/proc/{pid}/status").read_text()
    return int(re.findall(r"^voluntary_ctxt_switches:\s+(\d+)$", text, re.MULTILINE)[0])


def run(tmp_path: Path, *command: str, env: dict[str, str] | None = None) -> dict[str, Any]:
    return Run(env or PLAIN, tmp_path, *command).end()


# -- nothing is in the way of the job ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("script", "code"), [("exit 0", 0), ("exit 7", 7), ("kill -TERM $$", 143), ("kill -KILL $$", 137)]
)
def test_the_exit_code_is_that_of_the_job(tmp_path: Path, script: str, code: int) -> None:
    done = run(tmp_path, "sh", "-c", script)
    assert (done["code"], done["exit_code"]) == (code, code)


def test_a_command_that_does_not_start(tmp_path: Path) -> None:
    (plain := tmp_path / "plain").write_text("text")
    for command, code in (("no-such-command", 127), (str(tmp_path / "nowhere"), 127), (str(plain), 126), ("/", 126)):
        done = subprocess.run(
            [PROGRAM, "run", command], env={**PLAIN, "XDG_STATE_HOME": str(tmp_path)}, capture_output=True, text=True,
            check=False,
        )  # fmt: skip
        assert (done.returncode, done.stdout) == (code, "")
        assert re.fullmatch(rf"Error: {command}: .*\n", done.stderr)
    assert not (tmp_path / "zbx-nvidia").exists()


def test_a_script_without_an_interpreter_runs_as_in_a_shell(tmp_path: Path) -> None:
    (script := tmp_path / "script").write_text("echo hello $1\nexit 5\n")
    script.chmod(0o755)
    done = run(tmp_path, str(script), "you")
    assert (done["code"], done["out"]) == (5, "hello you\n")


def test_streams_pass_through(tmp_path: Path) -> None:
    started = Run(PLAIN, tmp_path, "sh", "-c", "cat; echo problem >&2")
    assert started.process.stdin is not None
    started.process.stdin.write("some text")
    done = started.end()
    assert done["out"] == "some text"
    assert done["err"].startswith("problem\nsh: ")


def test_options_of_the_job_are_its_own(tmp_path: Path) -> None:
    done = subprocess.run(
        [PROGRAM, "run", "--name", "mine", "printf", "%s ", "--name", "--help"],
        env={**PLAIN, "XDG_STATE_HOME": str(tmp_path)}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout == "--name --help "
    assert done.stderr.startswith("mine: ")


def test_whoever_reads_notices_that_the_job_closes_its_output(tmp_path: Path) -> None:
    started = Run(PLAIN, tmp_path, "sh", "-c", "echo all; exec >&-; read line")
    assert started.process.stdout is not None
    assert started.process.stdout.read() == "all\n"  # its end, while the job still waits for its input
    assert started.process.poll() is None
    started.end()


def test_the_job_has_the_signals_as_without_it(tmp_path: Path) -> None:
    code = (
        "import signal; print(signal.pthread_sigmask(signal.SIG_BLOCK, []), "
        "[n.name for n in signal.valid_signals() if isinstance(n, signal.Signals)"
        " and signal.getsignal(n) == signal.SIG_IGN])"
    )
    without = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run(tmp_path, sys.executable, "-c", code)["out"] == without.stdout


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGRTMIN + 3])
def test_a_signal_is_passed_on(tmp_path: Path, number: int) -> None:
    code = (
        "import signal, sys, time\n"
        f"signal.signal({int(number)}, lambda *_: sys.exit(9))\n"
        "print('ready', flush=True)\n"
        # Not pause(): a signal that comes just before it would not end it.
        "while True: time.sleep(0.1)\n"
    )
    started = Run(PLAIN, tmp_path, sys.executable, "-c", code)
    assert started.line() == "ready"
    started.process.send_signal(number)
    assert started.end()["code"] == 9


def test_a_job_that_signals_its_group_gets_the_signal_once(tmp_path: Path) -> None:
    # One that is queued, as the usual ones are not: two of them count.
    code = (
        "import os, signal\n"
        "own = {signal.SIGRTMIN + 1}\n"
        "signal.pthread_sigmask(signal.SIG_BLOCK, own)\n"
        "os.kill(0, signal.SIGRTMIN + 1)\n"
        "count = 0\n"
        "while signal.sigtimedwait(own, 1): count += 1\n"
        "print(count)\n"
    )
    done = subprocess.run(
        [PROGRAM, "run", sys.executable, "-c", code], env={**PLAIN, "XDG_STATE_HOME": str(tmp_path)},
        capture_output=True, text=True, check=True, start_new_session=True,
    )  # fmt: skip
    assert done.stdout == "1\n"


class Terminal:
    """An interactive shell on a terminal of its own."""

    def __init__(self, env: dict[str, str]) -> None:
        self.text = ""
        self.pid, self._terminal = pty.fork()
        if self.pid == 0:
            shell = ["bash", "--norc", "--noprofile", "-i"]
            os.execve("/bin/bash", shell, {**env, "PS1": "$ ", "TERM": "dumb"})  # noqa: S606  a shell is the point

    def type(self, text: str) -> None:
        os.write(self._terminal, text.encode())

    def size(self, rows: int, columns: int) -> None:
        fcntl.ioctl(self._terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def expect(self, pattern: str) -> re.Match[str]:
        """Wait for a text, and drop all up to its end."""
        until = time.monotonic() + PATIENCE
        while not (found := re.search(pattern, self.text)):
            assert time.monotonic() < until, f"no {pattern} in {self.text!r}"
            if select.select([self._terminal], [], [], 1)[0]:
                self.text += os.read(self._terminal, 65536).decode("utf-8", "replace")
        self.text = self.text[found.end() :]
        return found

    def close(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self._terminal)


JOB = """
import os, signal, sys, time
signal.signal(signal.SIGWINCH, lambda *_: print("size", os.get_terminal_size().columns, flush=True))
signal.signal(signal.SIGCONT, lambda *_: print("continued", flush=True))
try:
    print("foreground", os.tcgetpgrp(0) == os.getpgrp(), flush=True)
    while True:
        time.sleep(0.05)
except KeyboardInterrupt:
    print("interrupted", flush=True)
    sys.exit(3)
"""


def test_the_terminal_is_the_jobs(tmp_path: Path) -> None:
    """Ctrl-Z stops it and gives the shell the prompt, fg continues it, a new size and Ctrl-C reach it."""
    (script := tmp_path / "job.py").write_text(JOB)
    terminal = Terminal({**PLAIN, "XDG_STATE_HOME": str(tmp_path)})
    try:
        terminal.expect(r"\$ ")
        terminal.type(f"{PROGRAM} run -- {sys.executable} {script}\n")
        terminal.expect("foreground True")
        terminal.size(30, 71)
        terminal.expect("size 71")
        for _ in range(2):
            terminal.type("\x1a")
            terminal.expect("Stopped")
            terminal.expect(r"\$ ")
            terminal.type("fg\n")
            terminal.expect("continued")
        terminal.type("\x03")
        terminal.expect("interrupted")
        terminal.expect("python.*, exit code 3")
        terminal.type("echo code=$?\n")
        terminal.expect("code=3")
    finally:
        terminal.close()


def test_ctrl_c_ends_the_loop_of_a_shell(tmp_path: Path) -> None:
    """A shell ends it if the command was ended by the signal, not if that has exit code 130."""
    terminal = Terminal({**PLAIN, "XDG_STATE_HOME": str(tmp_path)})
    try:
        terminal.expect(r"\$ ")
        terminal.type(f"for i in 1 2; do {PROGRAM} run -- sh -c 'echo run-$$; exec sleep 1000'; done\n")
        terminal.expect(r"run-\d+")
        terminal.type("\x03")
        terminal.expect(r"sh: .*, ended by signal 2")
        terminal.type("echo code=$?\n")
        terminal.expect("code=130")
        assert "run-" not in terminal.text
    finally:
        terminal.close()


def test_a_job_that_was_stopped_and_continued_by_others_ends(tmp_path: Path) -> None:
    """Nobody continues the command then: it does that by itself."""
    started = Run(PLAIN, tmp_path, sys.executable, "-c", "import os; print(os.getpid(), flush=True); input()")
    job = int(started.line())
    os.kill(job, signal.SIGSTOP)
    wait_for(lambda: all(state(pid) == "T" for pid in (job, started.process.pid)), "both to be stopped")
    os.kill(job, signal.SIGCONT)
    wait_for(lambda: state(started.process.pid) != "T", "the command to go on")
    assert started.process.stdin is not None
    started.process.stdin.write("\n")
    assert started.end()["code"] == 0


def test_a_job_that_was_stopped_and_continued_by_this_command(tmp_path: Path) -> None:
    """Whoever knows this command alone stops and continues it."""
    started = Run(PLAIN, tmp_path, sys.executable, "-c", "import os; print(os.getpid(), flush=True); input()")
    job = int(started.line())
    for _ in range(3):
        started.process.send_signal(signal.SIGTSTP)
        wait_for(lambda: all(state(pid) == "T" for pid in (job, started.process.pid)), "both to be stopped")
        started.process.send_signal(signal.SIGCONT)
        wait_for(lambda: all(state(pid) != "T" for pid in (job, started.process.pid)), "both to go on")
    assert started.process.stdin is not None
    started.process.stdin.write("\n")
    assert started.end()["code"] == 0


def state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


# -- processor and memory ----------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_without_a_driver_there_are_the_figures_of_the_processor_alone(tmp_path: Path) -> None:
    code = "import time; b = bytearray(300 << 20)\nwhile time.process_time() < 1: pass"
    done = run(tmp_path, "sh", "-c", f"'{sys.executable}' -c '{code}'")
    assert done["gpus"] == []
    assert done["cpu"] >= 1
    assert done["wall"] >= 1
    assert 300 << 20 <= done["memory_peak"] < 600 << 20
    assert "No figures of GPUs: NVML Shared Library Not Found." in done["err"]
    assert "GPU 0" not in done["err"]


@pytest.mark.slow
def test_an_orphan_counts(tmp_path: Path) -> None:
    """Its parent has ended: it would belong to nobody any more."""
    code = (
        "import os, time\n"
        "r, w = os.pipe()\n"
        "if os.fork() == 0:\n"
        "    if os.fork() == 0:\n"
        "        while time.process_time() < 0.5: pass\n"
        "        os.write(w, b'x')\n"
        "    os._exit(0)\n"
        "os.wait()\n"
        "os.read(r, 1)\n"
    )
    done = run(tmp_path, sys.executable, "-c", code)
    assert done["cpu"] >= 0.5


def test_what_reads_the_driver_does_not_count(tmp_path: Path) -> None:
    """It ends at once without a driver, and has used more than this job."""
    done = run(tmp_path, "sleep", "1")
    assert done["cpu"] < 0.03


def test_memory_of_a_job_that_nobody_has_looked_at(tmp_path: Path) -> None:
    """Of one that is smaller than what has started it, the kernel says the memory of that."""
    done = run(tmp_path, "true")
    assert "memory_peak" not in done
    assert done["memory_below"] > 1 << 20
    assert re.search(r"Peak memory  below \d+ MiB\n", done["err"])


def test_what_a_job_leaves_running_is_said(tmp_path: Path) -> None:
    done = run(tmp_path, "sh", "-c", "sleep 1000 >/dev/null 2>&1 & echo $!")
    os.kill(int(done["out"]), signal.SIGKILL)
    assert done["left_running"] == 1
    assert "1 process of the job still runs" in done["err"]


# -- GPUs --------------------------------------------------------------------------------------------------------------


def holding(machine: Machine, state_home: Path, *arguments: str) -> Run:
    """A job that has begun to hold simulated GPUs."""
    started = Run(machine.env, state_home, *ON_GPU, *arguments)
    assert started.line() == "ready"
    return started


def on_gpu(machine: Machine, state_home: Path, seconds: float, *arguments: str) -> dict[str, Any]:
    """A job that is on simulated GPUs for so long, and until they were read."""
    started = holding(machine, state_home, *arguments)
    time.sleep(seconds)
    started.measured()
    return started.end()


def only_the_job(machine: Machine) -> None:
    """Without the processes that the profile has."""
    for section in re.findall(r"^\[(gpu \d+ process \d+)\]$", machine.path.read_text(), re.MULTILINE):
        machine.remove(section)


def constant(machine: Machine, gpu: str, watts: int, **more: Any) -> None:
    """A card that draws the same all the time, and counts it."""
    machine.set(gpu, power_usage=watts * 1000, total_energy=f"counter(0, {watts * 1000})", **more)


@pytest.mark.slow
def test_energy_is_that_of_the_card(machine: MachineFactory, tmp_path: Path) -> None:
    """Within 2 % of the truth."""
    host = machine("t4")
    only_the_job(host)
    constant(host, "gpu 0", 60, utilization_gpu=80, temperature=66, clocks_event_reasons=0x40)
    done = on_gpu(host, tmp_path, 5, "0")
    (gpu,) = done["gpus"]
    assert gpu["energy"] == pytest.approx(60 * done["wall"], rel=0.02)
    assert gpu["energy_of"] == "counter"
    assert gpu["energy_covered"] == pytest.approx(done["wall"])
    assert gpu["power_mean"] == pytest.approx(60, rel=0.02)
    assert (gpu["power_peak"], gpu["utilization"], gpu["temperature_peak"]) == (60, 80, 66)
    assert (gpu["throttled"], gpu["power_capped"]) == (100, 0)
    assert gpu["memory_peak"] == 2 << 30
    assert "shared_with" not in gpu
    assert "until" not in gpu
    assert "estimated" not in done["err"]


@pytest.mark.slow
def test_a_card_without_an_energy_counter(machine: MachineFactory, tmp_path: Path) -> None:
    host = machine("gtx1070")
    only_the_job(host)
    host.set("gpu 0", power_usage=120_000)
    done = on_gpu(host, tmp_path, 2, "0")
    (gpu,) = done["gpus"]
    assert gpu["energy"] == pytest.approx(120 * done["wall"], rel=0.02)
    assert gpu["energy_of"] == "power"
    assert "estimated from power: no energy counter" in done["err"]
    assert " ~" in done["err"]


def test_only_gpus_that_the_job_used_count(machine: MachineFactory, tmp_path: Path) -> None:
    host = machine("h100x8")
    done = on_gpu(host, tmp_path, 1, "3", "5")
    assert [gpu["index"] for gpu in done["gpus"]] == [3, 5]
    assert done["gpus_seen"] == 8


def test_a_process_whose_parent_has_ended_counts(machine: MachineFactory, tmp_path: Path) -> None:
    done = on_gpu(machine("t4"), tmp_path, 1, "orphan", "0")
    assert [gpu["memory_peak"] for gpu in done["gpus"]] == [2 << 30]


@pytest.mark.slow
def test_of_a_shared_card_only_the_part_of_the_job_counts(machine: MachineFactory, tmp_path: Path) -> None:
    host = machine("t4")
    constant(host, "gpu 0", 60)
    host.set("gpu 0 process 5005762", sm_utilization=30)
    done = on_gpu(host, tmp_path, 4, "0")
    (gpu,) = done["gpus"]
    assert {other["name"] for other in gpu["shared_with"]} == {"Xorg", "python"}
    # The job 90 of 120, but nothing of the moment before it was on the card.
    assert gpu["energy_card"] == pytest.approx(60 * done["wall"], rel=0.02)
    assert 0.4 < gpu["energy"] / gpu["energy_card"] <= 0.76
    assert gpu["memory_peak"] == 2 << 30
    assert "shared with python, Xorg for" in " ".join(done["err"].split())


def test_a_job_on_no_gpu(machine: MachineFactory, tmp_path: Path) -> None:
    done = run(tmp_path, "true", env=machine("t4").env)
    assert done["gpus"] == []
    assert done["gpus_seen"] == 1
    assert "No process of the job was seen on a GPU" in done["err"]
    assert "So short a job can use a GPU unseen." in done["err"]


def test_a_driver_that_dies(machine: MachineFactory, tmp_path: Path) -> None:
    """The job goes on, and the figures say until when they are."""
    host = machine("t4")
    started = holding(host, tmp_path, "0")
    started.measured()
    host.set("gpu 0", state="lost")
    started.measured()
    time.sleep(1)
    done = started.end()
    (gpu,) = done["gpus"]
    assert done["code"] == 0
    assert 0 < gpu["until"] < done["wall"]
    assert gpu["energy_covered"] <= gpu["until"] + 0.001
    assert "GPU 0: figures until" in done["err"]


@pytest.mark.slow
def test_a_driver_that_hangs_holds_up_nobody(machine: MachineFactory, tmp_path: Path) -> None:
    host = machine("t4")
    started = holding(host, tmp_path, "0")
    started.measured()
    host.set("gpu 0", power_usage="!HANG")
    time.sleep(2)
    done = started.end()
    end(tmp_path)  # what reads the driver, which does not come back by itself
    assert done["code"] == 0
    assert done["gpus"][0]["until"] < done["wall"]


def test_figures_are_stored_for_the_user_only(tmp_path: Path) -> None:
    run(tmp_path, "true")
    path = tmp_path / "zbx-nvidia" / "runs.jsonl"
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_a_job_does_not_fail_because_it_cannot_be_stored(tmp_path: Path) -> None:
    (tmp_path / "zbx-nvidia").write_text("a file where a folder should be")
    done = subprocess.run(
        [PROGRAM, "run", "true"], env={**PLAIN, "XDG_STATE_HOME": str(tmp_path)}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0
    assert "Not stored: " in done.stderr


def test_without_room_for_another_process_the_job_still_runs(tmp_path: Path) -> None:
    """What reads the driver cannot open a file more."""
    done = subprocess.run(
        ["/bin/bash", "-c", f"ulimit -n 3; exec {PROGRAM} run true"], env={**PLAIN, "XDG_STATE_HOME": str(tmp_path)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "Traceback" not in done.stderr
