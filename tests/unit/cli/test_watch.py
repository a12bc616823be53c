"""`zbx-nvidia show --watch`: drawn in place until Ctrl-C, and the terminal is as before."""

from __future__ import annotations

import json
import signal
import subprocess
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.conftest import PATIENCE, REPOSITORY
from tests.unit.cli.screen import Terminal, terminal
from tests.unit.clocks import SLOW

if TYPE_CHECKING:
    from tests.conftest import MachineFactory
    from tests.unit.conftest import ClocksFactory

PROGRAM = f"{sysconfig.get_path('scripts')}/zbx-nvidia"
ENTER, LEAVE = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"
NOWHERE = {"PATH": "/usr/bin:/bin"}
GOLDEN = REPOSITORY / "tests" / "golden" / "h100x8.json"


class File:
    """A document that a test changes while it is watched."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.document = json.loads(GOLDEN.read_text())
        self.write()

    def write(self) -> None:
        new = self.path.with_suffix(".new")
        new.write_text(json.dumps(self.document))
        new.replace(self.path)

    def heat(self, degrees: int) -> None:
        for gpu in self.document["gpus"].values():
            gpu["temperature"] = degrees
        self.write()

    def lose(self, index: int) -> None:
        (uuid,) = [uuid for uuid, gpu in self.document["gpus"].items() if gpu["index"] == index]
        del self.document["gpus"][uuid]
        self.document["host"] |= {"gpus_lost": 1, "lost": f"GPU {index}: GPU is lost"}
        self.write()


@pytest.fixture
def file(tmp_path: Path) -> File:
    return File(tmp_path / "document.json")


def watching(file: File, *arguments: str, every: str = "0.1") -> list[str]:
    return [PROGRAM, "show", "--watch", every, "--document", str(file.path), *arguments]


def seen(there: Terminal, text: str) -> None:
    there.until(lambda screen: any(text in line for line in screen.lines), text)


def restored(there: Terminal) -> None:
    assert not there.screen.alternate
    assert there.screen.cursor
    assert "Traceback" not in there.raw
    assert "Aborted" not in there.raw


@pytest.mark.parametrize("columns", [80, 160])
def test_drawn_in_place_until_control_c(file: File, columns: int) -> None:
    """The screen fails the test if anything scrolls or wraps."""
    with terminal(watching(file), NOWHERE, columns, rows=16) as there:
        seen(there, "57°C")
        assert there.screen.alternate
        assert not there.screen.cursor
        assert "every 0.1 s  Ctrl-C ends" in there.screen.lines[0]
        file.heat(77)
        seen(there, "77°C")
        assert not any("57°C" in line for line in there.screen.lines)
        there.type("\x03")
        assert there.end() == 0
        restored(there)


def test_two_seconds_unless_said_otherwise(file: File) -> None:
    for arguments in (["--watch", "--document", str(file.path)], ["--document", str(file.path), "--watch"]):
        with terminal([PROGRAM, "show", *arguments], NOWHERE) as there:
            seen(there, "every 2 s")
            there.type("\x03")
            assert there.end() == 0


def test_a_new_size_is_drawn_at_once(file: File) -> None:
    """Long before the next document is due, and whatever the shell has exported."""
    with terminal(
        watching(file, every="86400"), {**NOWHERE, "COLUMNS": "90", "LINES": "9"}, columns=80, rows=16
    ) as there:
        seen(there, "57°C")
        there.until(lambda screen: screen.frames, "a whole frame")
        assert not any("█" in line for line in there.screen.lines)
        there.resize(160, 16)
        # To its end: of what is still drawn for this size, nothing must come after the next.
        there.until(lambda screen: any("█" in line for line in screen.lines) and screen.frames > 1, "a wide frame")
        there.resize(160, 5)
        seen(there, "more lines")
        there.type("\x03")
        assert there.end() == 0
        restored(there)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_the_terminal_is_restored_when_it_is_ended_otherwise(file: File, number: signal.Signals) -> None:
    with terminal(watching(file), NOWHERE) as there:
        seen(there, "57°C")
        there.process.send_signal(number)
        assert there.end() == 128 + number
        restored(there)


def test_the_terminal_is_restored_while_it_is_stopped(file: File) -> None:
    """The kernel stops no process without a shell that would continue it: here it goes on at once."""
    with terminal(watching(file), NOWHERE) as there:
        seen(there, "57°C")
        assert there.raw.count(ENTER) == 1
        assert LEAVE not in there.raw
        there.type("\x1a")
        there.until(lambda _: there.raw.count(ENTER) == 2, "the view again")
        assert there.raw.count(LEAVE) == 1
        seen(there, "57°C")
        there.type("\x03")
        assert there.end() == 0
        restored(there)


def test_a_card_that_is_lost_while_it_is_watched_is_found_in_the_rack(file: File) -> None:
    with terminal(watching(file, "--wide"), NOWHERE, columns=100) as there:
        seen(there, "57°C")
        file.lose(3)
        seen(there, "  3  LOST, slot 00000000:66:00.0, serial 1654723082102, NVIDIA H100 80GB HBM3: GPU is lost")
        seen(there, "  3  00000000:66:00.0  1654723082102  GPU-3c947964-b3be-4008-a0c4-c757a60a9ab3")


def test_a_reading_of_the_driver_each_time(machine: MachineFactory, clocked: ClocksFactory) -> None:
    """Each has its whole deadline, and leaves no process behind."""
    host = machine("gtx1070", clock=1_700_000_400)
    clocks = clocked(host, speed=SLOW)
    with terminal([PROGRAM, "show", "--watch", "0.1"], host.env) as there:
        seen(there, "46°C")
        clocks.leap(1800)
        host.set("gpu 0", temperature=71)
        seen(there, "71°C")
        frames = there.screen.frames
        there.until(lambda screen: screen.frames > frames + 3, "more frames")
        assert not any("Deadline" in line for line in there.screen.lines)
        children = Path(f"/proc/{there.process.pid}/task/{there.process.pid}/children").read_text().split()
        # One may be reading, one may not be buried yet.
        assert len(children) <= 2
        there.type("\x03")
        assert there.end() == 0
        restored(there)


def test_on_a_terminal_without_a_cursor_one_is_below_the_other(file: File) -> None:
    with terminal(watching(file), {**NOWHERE, "TERM": "dumb"}) as there:
        there.until(lambda screen: sum("Ctrl-C ends" in line for line in screen.lines) == 3, "three frames")
        assert "\x1b" not in there.raw
        there.type("\x03")
        assert there.end() == 0


def test_in_a_pipe_one_is_below_the_other(file: File) -> None:
    process = subprocess.Popen(watching(file, "--json"), env=NOWHERE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        documents = [json.loads(process.stdout.readline()) for _ in range(3)]
        assert all(len(document["gpus"]) == 8 for document in documents)
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE) == 0
        assert process.stderr.read() == b""
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        process.stderr.close()


@pytest.mark.parametrize("arguments", [["--watch", "0"], ["--watch", "soon"], ["--watch", "--document", "-"]])
def test_what_cannot_be_watched(arguments: list[str]) -> None:
    done = subprocess.run([PROGRAM, "show", *arguments], env=NOWHERE, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "--watch" in done.stderr
