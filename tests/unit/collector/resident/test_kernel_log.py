"""The kernel's log: XIDs that the driver tells nobody, SXids, and that what both tell counts once."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.collector.resident.service import QUICK
from zbx_nvidia.collector.resident.kernel_log import KernelLog, LogLine, Switches, place
from zbx_nvidia.collector.resident.xid_history import DRIVER, LOG, XidHistory

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import Machine
    from tests.unit.collector.resident.conftest import ServiceFactory
    from tests.unit.conftest import ClocksFactory

# Of h100x8, by index.
GPU_2 = "PCI:0000:3f:00"
KMSG = Path("/dev/kmsg")


class Log:
    """A file in the form of /dev/kmsg, by the clock of this machine or another that runs already."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.clock: Callable[[], float] = time.monotonic
        self._number = 0
        path.touch()

    def say(self, *messages: str, ago: float = 0.0, facility: int = 0) -> None:
        with self.path.open("a") as file:
            for message in messages:
                when = int(1e6 * (self.clock() - ago))
                assert when >= 0, "no kernel has a log of before its start"
                file.write(f"{8 * facility + 4},{self._number},{when},-;{message}\n SUBSYSTEM=pci\n DEVICE=+pci:0000\n")
                self._number += 1


@pytest.fixture
def log(tmp_path: Path) -> Log:
    return Log(tmp_path / "kmsg")


# -- what a line says ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("message", "line"),
    [
        (
            "NVRM: Xid (PCI:0000:65:00): 79, pid='<unknown>', name=<unknown>, GPU has fallen off the bus.",
            (False, "0000:65:00", 79, False),
        ),
        ("NVRM: Xid (PCI:0000:C1:00): 31, pid=1234, name=python, Ch 00000008", (False, "0000:c1:00", 31, False)),
        ("NVRM: Xid (PCI:00010000:01:00 GPU-I:02): 94, Contained: CE", (False, "10000:01:00", 94, False)),
        ("NVRM: Xid (0000:03:00): 14, Channel 00000001", (False, "0000:03:00", 14, False)),
        (
            "nvidia-nvswitch3: SXid (PCI:0000:c1:00.0): 12028, Non-fatal, Link 32 egress non-posted PRIV error (First)",
            (True, "0000:c1:00.0", 12028, False),
        ),
        (
            "nvidia-nvswitch0: SXid (PCI:0000:06:00.0): 20034, Fatal, Link 30 LTSSM Fault Up",
            (True, "0000:06:00.0", 20034, True),
        ),
        (
            "nvidia-nvswitch0: SXid (PCI:0000:06:00.0): 20034, Severity 1 Engine instance 30 Sub-engine instance 00",
            None,
        ),
        ("nvidia-nvswitch0: SXid (PCI:0000:06:00.0): 20034, Data {0x00140004, 0x00000000}", None),
        ("nvidia-nvswitch0: SXid (PCI:0000:06:00.0): garbled, Fatal", None),
        ("NVRM: GPU at PCI:0000:65:00: GPU-b850f46d-d5ea-c752-ddf3-c4453e44d3f7", None),
        ("NVRM: Xid (PCI:0000:65:00): , nothing", None),
        ("python: NVRM: Xid (PCI:0000:65:00): 79, said by another", None),
    ],
)
def test_lines(log: Log, message: str, line: tuple[bool, str, int, bool] | None) -> None:
    before = time.monotonic()
    log.say("usb 1-1: new device", message)
    after = time.monotonic()
    found = KernelLog(str(log.path)).take(time.monotonic())
    assert [each[:4] for each in found] == ([line] if line else [])
    assert all(before - 1e-6 <= each.when <= after for each in found)


@pytest.mark.parametrize(
    ("message", "words"),
    [
        (
            "149, NETIR_LINK_EVT  Fatal   XC0 i0 Link 08 (0x00000406 0x00000000 0x00000000)",
            "NETIR_LINK_EVT Fatal XC0 i0 Link 08",
        ),
        ("145, RLW_REMAP Nonfatal XC1 i1 Link 17 (0x1c, 0x0)", "RLW_REMAP Nonfatal XC1 i1 Link 17"),
        ("79, pid='<unknown>', name=<unknown>, GPU has fallen off the bus.", "GPU has fallen off the bus"),
        ("31, pid=1234, name=python, Ch 00000008", "Ch 00000008"),
        ("999, " + "x" * 500, "x" * 120),
        ("13", ""),
    ],
)
def test_what_the_kernel_says_of_an_error(log: Log, message: str, words: str) -> None:
    """Whether it is fatal, its sub-code and its link; neither processes nor registers."""
    log.say(f"NVRM: Xid ({GPU_2}): {message}")
    (line,) = KernelLog(str(log.path)).take(time.monotonic())
    assert line.words == words


def test_the_words_of_the_last_error(eight: Machine, serve: ServiceFactory, log: Log) -> None:
    """Also of a code that no table has yet."""
    service = serve(eight, kernel_log=str(log.path))
    assert "xid_words" not in service.well().document["host"]
    log.say(f"NVRM: Xid ({GPU_2}): 149, NETIR_LINK_EVT Fatal XC0 i0 Link 08 (0x00000406)")
    answer = service.until(lambda answer: answer.by_index[2].get("xid_last") == 149, "the first")
    assert answer.document["host"]["xid_words"].endswith(": XID 149, NETIR_LINK_EVT Fatal XC0 i0 Link 08")
    assert "NETIR_LINK_EVT Fatal XC0 i0 Link 08" in service.said()
    log.say(f"NVRM: Xid ({GPU_2}): 199, something new")
    answer = service.until(lambda answer: answer.by_index[2].get("xid_last") == 199, "the second")
    assert answer.document["host"]["xid_words"].endswith(": XID 199, something new")
    assert answer.by_index[2]["xid_support_last"] == 199
    eight.set("gpu 2", state="lost")
    answer = service.until(lambda answer: answer.document["host"]["gpus_lost"] == 1, "a lost GPU")
    assert "XID 199: unknown code (something new)" in answer.document["host"]["lost"]


def test_what_is_not_the_kernels_own_does_not_count(log: Log) -> None:
    log.say(f"NVRM: Xid ({GPU_2}): 79, from a program", facility=1)
    log.path.write_text(log.path.read_text() + f"NVRM: Xid ({GPU_2}): 79, without a head\n")
    assert KernelLog(str(log.path)).take(time.monotonic()) == []


def test_only_what_is_new_and_what_is_whole(log: Log) -> None:
    reader = KernelLog(str(log.path))
    log.say(f"NVRM: Xid ({GPU_2}): 1, a")
    assert [line.code for line in reader.take(1e9)] == [1]
    assert reader.take(1e9) == []
    log.say(f"NVRM: Xid ({GPU_2}): 2, b")
    whole = log.path.read_bytes()
    log.path.write_bytes(whole[:-60])
    assert reader.take(1e9) == []
    log.path.write_bytes(whole)
    assert [line.code for line in reader.take(1e9)] == [2]
    reader.use("")
    assert not reader.reads
    reader.use(str(log.path))
    log.say(f"NVRM: Xid ({GPU_2}): 3, c")
    assert [line.code for line in reader.take(1e9)] == [3], "not from its beginning again"


@given(st.binary(max_size=300))
def test_no_bytes_break_it(tmp_path_factory: pytest.TempPathFactory, text: bytes) -> None:
    path = tmp_path_factory.mktemp("log") / "kmsg"
    path.write_bytes(b"4,1,1,-;NVRM: Xid (PCI:0000:65:00): 13" + text + b"\n" + text + b"\n4,99999999,1,-;NVRM: Xid (")
    assert all(isinstance(line, LogLine) for line in KernelLog(str(path)).take(1.0))


def test_a_pipe_that_nobody_writes_to_holds_up_nobody(tmp_path: Path) -> None:
    os.mkfifo(pipe := tmp_path / "pipe")
    reader = KernelLog(str(pipe))
    assert reader.take(1.0) == []
    with pipe.open("w") as writer:
        writer.write("4,1,1,-;NVRM: Xid (PCI:0000:65:00): 13, x\n")
        writer.flush()
        assert [line.code for line in reader.take(1.0)] == [13]
        assert reader.take(1.0) == []


@pytest.mark.skipif(not os.access(KMSG, os.R_OK), reason=f"{KMSG} may not be read here")
def test_the_real_log() -> None:
    reader = KernelLog(str(KMSG))
    try:
        KMSG.open("rb").close()
    except PermissionError:
        reader.take(time.monotonic())
        assert reader.complaint == "/dev/kmsg: Operation not permitted"
        return
    reader.take(time.monotonic())
    assert (reader.reads, reader.complaint) == (True, "")
    with pytest.raises(BlockingIOError):
        os.read(reader._descriptor or 0, 16_384)  # noqa: SLF001  it was read to its end


def test_one_that_cannot_be_read_says_why_until_it_can(tmp_path: Path) -> None:
    path = tmp_path / "later"
    reader = KernelLog(str(path))
    assert reader.take(1.0) == []
    assert (reader.reads, reader.complaint) == (False, f"{path}: No such file or directory")
    Log(path).say(f"NVRM: Xid ({GPU_2}): 43, x")
    assert [line.code for line in reader.take(1e9)] == [43]
    assert (reader.reads, reader.complaint) == (True, "")


def test_places() -> None:
    assert place("00000000:43:00.0") == place("0000:43:00") == place("0000:43:00.0") == "0000:43:00"
    assert place("00010000:C1:00.0") == "10000:c1:00"
    assert place("?") == "?"
    assert place("1:2") == "1:2"


def test_what_is_no_log_is_not_kept() -> None:
    reader = KernelLog("/dev/zero")
    assert reader.take(1.0) == []
    assert len(reader._rest) <= 16_384  # noqa: SLF001  that it is bounded is the point


# -- both sources ----------------------------------------------------------------------------------------------------


def test_an_error_that_both_tell_counts_once() -> None:
    """Whoever comes first, one by one or many at once, and however late."""
    history = XidHistory(60, 600)
    assert history.add(13, 1, 1e9, 100.0, source=LOG) == 1
    assert history.add(13, 1, 1e9, 100.2, source=DRIVER) == 0
    assert history.add(13, 1, 1e9, 101.0, source=DRIVER) == 1
    assert history.add(13, 1, 1e9, 100.9, source=LOG) == 0
    for second in range(200, 500, 20):
        assert history.add(31, 1, 1e9, second, source=LOG) == 1
    assert history.add(31, 15, 1e9, 480.0, 200.0, source=DRIVER) == 0, "told after a round of an hour"
    assert history.add(31, 1, 1e9, 600.0, source=DRIVER) == 1
    assert history.add(31, 1, 1e9, 700.0, source=LOG) == 1, "another"
    assert history.add(48, 1, 1e9, 100.0, source=LOG) == 1, "another code"
    assert history.readings(700.0)["xid_count"] == 2 + 15 + 2 + 1


def test_an_error_that_only_one_tells_is_not_taken_for_a_later_one() -> None:
    history = XidHistory(60, 600)
    assert history.add(79, 1, 1e9, 100.0, source=LOG) == 1  # during a release
    assert history.add(79, 1, 1e9, 200.0, source=DRIVER) == 1
    assert history.add(79, 1, 1e9, 200.1, source=LOG) == 0


def test_a_storm_of_which_the_log_keeps_a_part() -> None:
    history = XidHistory(60, 600)
    for number in range(1000):
        history.add(13, 1, 1e9, 100 + number / 1000, source=LOG)
    assert history.add(13, 100_000, 1e9, 101.0, 100.0, source=DRIVER) == 99_000
    assert history.readings(101.0)["xid_count"] == 100_000
    assert sum(map(len, history._untold.values())) <= 2  # noqa: SLF001  that it is bounded is the point


def test_the_latest_is_the_last_whoever_tells_it_later() -> None:
    history = XidHistory(60, 600)
    history.add(48, 1, 2e9, 1000.0, source=DRIVER)
    history.add(13, 1, 1e9, 900.0, source=LOG)
    readings = history.readings(1000.0)
    assert readings["xid_last"] == 48
    assert readings["xid_recent"] == ",13,48,"


def test_switches() -> None:
    switches = Switches(600)
    assert switches.readings(0.0) == {"sxid_count": 0, "sxid_recent": ""}
    switches.add(LogLine(True, "0000:c1:00.0", 20034, True, 100.0, 100.0, 100.0))
    switches.add(LogLine(True, "0000:c2:00.0", 12028, False, 101.0, 101.0, 101.0))
    recent = "NVSwitch 0000:c1:00.0: SXid 20034"
    assert switches.readings(200.0) == {"sxid_count": 2, "sxid_last": 12028, "sxid_recent": recent}
    assert switches.readings(700.0)["sxid_recent"] == ""
    for number in range(1000):
        when = 1000.0 + number
        switches.add(LogLine(True, f"0000:c{number % 6}:00.0", 20000 + number, True, when, when, when))
    text = str(switches.readings(2000.0)["sxid_recent"])
    assert text.startswith("NVSwitch 0000:c3:00.0: SXid 20999; ")
    assert len(text) <= 255
    assert len(switches._fatal) <= 64  # noqa: SLF001  as above


# -- the service -----------------------------------------------------------------------------------------------------


def test_what_came_before_and_during_a_release(
    eight: Machine, serve: ServiceFactory, clocked: ClocksFactory, log: Log
) -> None:
    clocks = clocked(eight)
    clocks.leap(7200)  # however young the machine of the tests is
    log.clock = clocks.monotonic
    log.say(f"NVRM: Xid ({GPU_2}): 48, before", ago=5400)
    before = clocks.time()
    log.say(f"NVRM: Xid ({GPU_2}): 63, before", f"NVRM: Xid ({GPU_2}): 63, before", ago=30)
    after = clocks.time()
    service = serve(eight, kernel_log=str(log.path), xid_memory="1h", stall="600s")
    gpu = service.well().by_index[2]
    assert [gpu[f"xid_{key}"] for key in ("count", "events", "last", "recent")] == [3, 2, 63, ",63,"]
    assert before - 31 <= gpu["xid_last_time"] <= after - 29
    assert service.answer().by_index[3]["xid_count"] == 0
    assert service.run("release", "--for", "500s").returncode == 0
    log.say(f"NVRM: Xid ({GPU_2}): 154, during")
    eight.set("gpu 2", {"xid.1": 154})
    clocks.leap(500)
    gpu = service.well().by_index[2]
    assert [gpu[f"xid_{key}"] for key in ("count", "last", "recent")] == [4, 154, ",63,154,"]


def test_one_that_both_sources_see(eight: Machine, serve: ServiceFactory, log: Log) -> None:
    """Also where the kernel's own clock has drifted a minute from the others."""
    service = serve(eight, speed=1, kernel_log=str(log.path))
    service.well()
    for number in range(1, 6):
        last = time.time()
        log.say(f"NVRM: Xid ({GPU_2}): 31, pid=1", ago=60)
        eight.set("gpu 2", {f"xid.{number}": 31})
        time.sleep(0.4)  # less than a round and more than one, as it comes
    service.until(lambda answer: answer.by_index[2]["xid_count"] >= 5, "five XIDs")
    service.next()
    gpu = service.next().by_index[2]
    assert gpu["xid_count"] == 5
    # And not a minute sooner or later.
    assert last - 30 < gpu["xid_last_time"] < time.time() + 1
    log.say(f"NVRM: Xid ({GPU_2}): 13, of the log alone", ago=60)
    eight.set("gpu 2", {"xid.6": 45})
    answer = service.until(lambda answer: answer.by_index[2]["xid_count"] >= 7, "one of each")
    assert answer.by_index[2]["xid_count"] == 7


def test_a_driver_that_tells_nothing(eight: Machine, serve: ServiceFactory, log: Log) -> None:
    """The log serves where the card reports no XIDs, or the driver refuses, or nobody asks it."""
    eight.set("gpu 2", nvmlDeviceRegisterEvents="!NO_PERMISSION")
    eight.set("gpu 3", supported_event_types=None)
    for xid in ("yes", "no"):
        service = serve(eight, kernel_log=str(log.path), xid=xid)
        answer = service.well()
        assert {answer.by_index[index]["xid_count"] for index in range(8)} == {0}
        assert not [row for row in answer.rows.values() if ",xid," in row["{#LACKS}"]]
        assert answer.errors == []
        log.say(f"NVRM: Xid ({GPU_2}): 43, x")
        service.until(lambda answer: answer.by_index[2]["xid_count"] == 1, "an XID")
        service.stop()
        log.path.write_text("")


def test_it_can_be_asked_for_later(eight: Machine, serve: ServiceFactory, log: Log) -> None:
    log.say(f"NVRM: Xid ({GPU_2}): 43, x")
    service = serve(eight)
    assert service.well().by_index[2]["xid_count"] == 0
    service.configure(**QUICK, kernel_log=str(log.path))
    worker = service.worker()
    for _ in range(2):
        service.process.send_signal(1)
        service.until(lambda answer: answer.by_index[2]["xid_count"] == 1, "an XID")
        service.next()
    assert service.answer().by_index[2]["xid_count"] == 1
    assert service.worker() == worker, "it has nothing to do with it"
