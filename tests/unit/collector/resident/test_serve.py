"""The service when all is well: what it writes, who may run it, how it ends."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import stat
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.conftest import PATIENCE, wait_for
from tests.unit.clocks import SLOW
from tests.unit.collector.collector import get, program, python
from tests.unit.collector.resident.service import QUICK, of_a_poll, pss
from zbx_nvidia.catalog.metrics import GPU_METRICS
from zbx_nvidia.catalog.sampled import GPM_READERS, SAMPLED_METRICS, SAMPLED_READERS, SERVICE
from zbx_nvidia.collector import resident
from zbx_nvidia.collector.resident.output import write_file

if TYPE_CHECKING:
    from tests.conftest import Machine, MachineFactory
    from tests.unit.collector.collector import Answer
    from tests.unit.collector.resident.conftest import ServiceFactory
    from tests.unit.collector.resident.service import Service
    from tests.unit.conftest import ClocksFactory

SAMPLED = {metric.key for metric in SAMPLED_METRICS}
UNTIL_AN_XID = {"xid_last", "xid_last_time"}
# Of what a job was, nothing is known before one ends.
READ = set(SAMPLED_READERS) - {"job_last"}


@pytest.mark.parametrize("profile", ["h100x8", "gtx1070", "a100-mig", "gtx1070ti-r450", "vgpu-guest"])
def test_it_says_what_a_poll_says_and_more(machine: MachineFactory, serve: ServiceFactory, profile: str) -> None:
    same = machine(profile, clock=1_700_000_000)
    poll = get(same.env)
    service = serve(same)
    # PCIe is sampled seldom: until then it is neither there nor lacking.
    answer = service.until(lambda now: now.code == 0 and all_said(now), "every reading")
    assert answer.document["collector"]["mode"] == "resident"
    assert 0 <= answer.document["collector"]["duration"] < PATIENCE
    for part in ("presence", "fans", "mig"):
        assert answer.document.get(part) == poll.document.get(part)
    assert {**answer.document["host"], **poll.document["host"]} == answer.document["host"]
    assert answer.document["host"].keys() - poll.document["host"].keys() <= {"xid_application_gpus", "xid_words"}
    for index, gpu in poll.by_index.items():
        mine = answer.by_index[index]
        assert of_a_poll(mine) == of_a_poll(gpu)
        assert SERVICE in poll.lacks(index)
        assert SERVICE not in answer.lacks(index)
        # What a poll has of them, the service has too.
        assert SAMPLED & gpu.keys() <= mine.keys()
        assert poll.lacks(index) - {*SAMPLED_READERS, SERVICE} == answer.lacks(index) - set(SAMPLED_READERS)
        served = {metric.reader for metric in SAMPLED_METRICS if metric.key in mine}
        assert served | (answer.lacks(index) & READ) == READ
        assert "job_last" not in mine
        assert not served & answer.lacks(index)
        keys = {metric.key for metric in SAMPLED_METRICS if metric.reader in served}
        assert ("gpm_sm" in served) == profile.startswith("h100")
        assert keys - UNTIL_AN_XID <= mine.keys()
    assert rows_of_a_poll(answer) == rows_of_a_poll(poll)


def rows_of_a_poll(answer: Answer) -> dict[str, list[dict[str, str]]]:
    """The rows of discovery, an instance's with what the token stands for; what a GPU lacks is judged above."""
    gpm = ",".join(GPM_READERS)
    return {
        section: [
            {**row, "{#LACKS}": "" if section == "gpus" else row["{#LACKS}"].replace(f",{SERVICE},", f",{gpm},")}
            for row in rows
        ]
        for section, rows in answer.document["discovery"].items()
    }


def test_what_the_driver_takes_is_told_apart(eight: Machine, serve: ServiceFactory, clocked: ClocksFactory) -> None:
    """A call that waits takes time and no processor; samples are in it; without a driver nothing is said."""
    clocks = clocked(eight, speed=0)
    service = serve(eight, pcie="0", samples="2s", interval="2s", stall="600s")
    service.well()

    def spent(*, slow: float = 0.0) -> dict[str, float]:
        """What the next document says, the call that is slow having come back when time had passed for it."""
        before = service.written()
        clocks.leap(2)
        if slow:
            clocks.until_slow_calls()
            clocks.leap(slow)
        collector: dict[str, float] = service.until_written(before).document["collector"]
        return collector

    # Time stands still, but for what a test lets pass.
    quick = spent()
    assert quick["driver_time"] == 0
    eight.set("gpu 1", temperature_threshold_mem_max="!SLOW(300) 95")
    slow = spent(slow=300)
    assert slow["driver_time"] == pytest.approx(300, abs=1)
    assert slow["driver_cpu"] < 30, "a call that waits has none"


def test_what_samples_take_is_the_drivers_too(eight: Machine, serve: ServiceFactory, clocked: ClocksFactory) -> None:
    clocks = clocked(eight)
    eight.set("gpu 1", pcie_throughput_tx="!SLOW(300) 5")  # nobody but the sampler asks for it
    service = serve(eight, stall="600s", pcie="5s")
    clocks.until_slow_calls()
    # The next sample is due after the leap, and may come before the first document is asked for.
    eight.set("gpu 1", pcie_throughput_tx=5)
    clocks.leap(300)
    assert service.well().document["collector"]["driver_time"] >= 300


def test_a_poll_says_what_the_driver_takes(eight: Machine, clocked: ClocksFactory) -> None:
    clocked(eight, speed=SLOW)
    polled = get(eight.env).document["collector"]
    assert polled["driver_cpu"] > 0
    assert 0 < polled["driver_time"] < PATIENCE
    eight.set("machine", state="no_driver")
    assert "driver_time" not in get(eight.env).document["collector"]


def test_waiting_for_xids_takes_a_processor_and_no_time(eight: Machine, serve: ServiceFactory) -> None:
    """Eight threads wait in the driver all the time, and what it does then is the driver's."""
    service = serve(eight, pcie="0", samples="0")
    service.well()
    waits = [service.next().document["collector"] for _ in range(2)]
    assert all(collector["driver_cpu"] > 0 for collector in waits)
    assert all(collector["driver_time"] < 8 for collector in waits), "eight waits of a second are no work"
    quiet = max(collector["driver_cpu"] for collector in waits)
    eight.set("gpu *", {"xid.1-20000": 13})
    service.until(lambda answer: answer.document["collector"]["driver_cpu"] > 3 * quiet, "160,000 XIDs are work")
    service.until(lambda answer: answer.document["collector"]["driver_cpu"] < 3 * quiet, "then there is none")


def all_said(answer: Answer) -> bool:
    """Whether each of the service's own readings is there, or lacking."""
    there = {metric.key: metric.reader for metric in SAMPLED_METRICS}
    return all(
        {there[key] for key in gpu if key in there} | answer.lacks(index) >= READ
        for index, gpu in answer.by_index.items()
    )


def test_the_file_is_for_everybody_to_read_and_for_nobody_to_write(eight: Machine, serve: ServiceFactory) -> None:
    os.umask(old := os.umask(0o077))
    try:
        service = serve(eight)
    finally:
        os.umask(old)
    service.well()
    assert stat.S_IMODE(service.document.stat().st_mode) == 0o644
    others = [path for path in service.document.parent.iterdir() if path != service.document]
    assert others
    assert {stat.S_IMODE(path.stat().st_mode) & 0o077 for path in others} == {0}


def test_only_the_worker_knows_nvml(eight: Machine, serve: ServiceFactory) -> None:
    service = serve(eight)
    service.well()
    worker = service.worker()
    mapped = Path(f"/proc/{service.process.pid}/maps").read_text()
    assert "libnvidia-ml" not in mapped
    assert "ctypes" not in mapped
    assert "libnvidia-ml" in Path(f"/proc/{worker}/maps").read_text()


def test_a_second_one_refuses(eight: Machine, serve: ServiceFactory) -> None:
    first = serve(eight)
    first.well()
    refused = first.run("serve")
    assert refused.returncode == 1
    assert refused.stderr == f"zbx-nvidia-agent: another one writes {first.document} already\n"
    assert refused.stdout == ""
    first.next()
    other = serve(eight)  # of another document
    other.well()


def test_it_ends_within_a_second_and_leaves_no_file(
    eight: Machine, serve: ServiceFactory, clocked: ClocksFactory
) -> None:
    clocks = clocked(eight, speed=SLOW / 5)  # a second is 100 here
    service = serve(eight)
    service.well()
    worker = service.worker()
    started = clocks.monotonic()
    service.signal(signal.SIGINT)
    assert service.process.wait(PATIENCE) == 0
    assert clocks.monotonic() - started < 1
    left = {path.name for path in service.document.parent.iterdir()}
    assert left == {"document.json.lock", "document.json.worker.lock"}
    until_gone(worker)
    service.start()
    service.well()


def until_gone(pid: int | None) -> None:
    maps = Path(f"/proc/{pid}/maps")
    wait_for(lambda: not (maps.exists() and maps.read_bytes()), f"{pid} to end")


def test_the_worker_ends_when_the_service_is_killed(eight: Machine, serve: ServiceFactory) -> None:
    service = serve(eight)
    service.well()
    worker = service.worker()
    service.process.kill()
    service.process.wait()
    until_gone(worker)
    assert service.answer().code == 0  # left behind: its timestamp grows old, which the template sees
    service.start()
    service.next()


@pytest.mark.slow
def test_a_reader_never_sees_half_a_file(tmp_path: Path) -> None:
    """Written and read thousands of times at once."""
    path = tmp_path / "document.json"
    texts = [json.dumps({"n": number, "filler": "x" * (20_000 + 3 * number)}).encode() for number in range(20)]
    write_file(str(path), texts[0])
    written, over = 0, threading.Event()

    def write() -> None:
        nonlocal written
        while not over.is_set():
            write_file(str(path), texts[written % 20])
            written += 1

    writer = threading.Thread(target=write)
    writer.start()
    read = 0
    try:
        while read < 1000 or written < 3000:
            assert path.read_bytes() in texts
            assert writer.is_alive()
            read += 1
    finally:
        over.set()
        writer.join()


KILLER = """
import itertools, os, pathlib, random, signal, sys, time
from zbx_nvidia.collector.resident.output import write_file

path = pathlib.Path(sys.argv[1])
texts = [letter * 60_000 for letter in (b"a", b"b", b"c")]
write_file(str(path), texts[0])
moments, middle = random.Random(11), 0
kills = 0
while kills < 300 or middle < 20:
    kills += 1
    child = os.fork()
    if child == 0:
        for text in itertools.cycle(texts):
            write_file(str(path), text)
    time.sleep(moments.uniform(0.0005, 0.003))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    assert path.read_bytes() in texts
    half = path.with_name("document.json.new")
    middle += half.exists()
    half.unlink(missing_ok=True)
"""


@pytest.mark.slow
def test_a_kill_in_the_middle_of_a_write_leaves_a_whole_file(tmp_path: Path) -> None:
    """Three hundred times at the least, and until twenty have hit the middle."""
    # In a process of its own: a fork of this one, which has threads, is not to be had.
    assert not python(KILLER, os.environ, str(tmp_path / "document.json"))


@pytest.mark.slow
def test_a_kill_at_any_moment_leaves_a_whole_file(eight: Machine, serve: ServiceFactory) -> None:
    service = serve(eight)
    for pause in (0.0, 0.01, 0.02, 0.03, 0.3):
        service.until(lambda _: True, "a document")
        time.sleep(1 + pause)
        service.process.kill()
        service.process.wait()
        service.answer()
        service.start()
    service.next()


def test_arguments_leave_the_host_where_they_are_asked_for(machine: MachineFactory, serve: ServiceFactory) -> None:
    node = machine("t4")
    with program(node, "\x07", "x" * 5000):
        answer = serve(node).well()
        (entry,) = answer.by_index[0]["process_list"]
        assert (entry["name"], "user" in entry) == ("trainer", True)
        assert "secret" not in answer.text
        (entry,) = serve(node, arguments="yes").well().by_index[0]["process_list"]
        assert entry["name"] == "trainer"
        assert entry["arguments"] == "-c read wait --token secret ? " + 167 * "x" + "..."


def test_jobs_of_another_tool_are_read_where_the_configuration_says(
    machine: MachineFactory, serve: ServiceFactory, tmp_path: Path
) -> None:
    (folder := tmp_path / "map").mkdir(mode=0o755)
    (folder / "0").write_text(f"4711 {os.getuid()}\n")
    service = serve(machine("t4"), job_map=str(folder))
    # The name of a user is looked up once it is known whose a job is.
    known = service.until(lambda answer: answer.by_index[0].get("job") == f"4711 ({folder.owner()})", "the job")
    assert known.by_index[0]["job_since"] == int((folder / "0").stat().st_mtime)
    (folder / "0").unlink()
    service.until(lambda answer: "job" not in answer.by_index[0], "the end of the job")


def test_what_a_killed_service_leaves_is_cleaned_up(eight: Machine, serve: ServiceFactory) -> None:
    """As the unit does after it; a service that runs keeps what is its own."""
    service = serve(eight)
    service.well()
    assert service.run("serve", "--clean").returncode == 0
    assert service.answer().code == 0
    service.process.kill()
    service.process.wait()
    assert service.document.exists()
    done = service.run("serve", "--clean")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert {path.name for path in service.document.parent.iterdir()} == {
        "document.json.lock",
        "document.json.worker.lock",
    }
    service.config.write_text(f"document = {service.folder}/none/document.json\n")
    assert service.run("serve", "--clean").returncode == 0, "there is nothing"
    service.config.write_text(f"document = {service.folder}/document.json\n")
    assert service.run("serve", "--clean").returncode == 0
    assert not service.document.parent.with_name("document.json.lock").exists(), "it would be root's"
    service.config.write_text("documents = /x\n")
    assert service.run("serve", "--clean").returncode == 2


# -- GPUs without work -----------------------------------------------------------------------------------------------


def wake_ups(service: Service) -> int:
    """How often a thread of the worker has gone to sleep and been woken."""
    tasks = Path(f"/proc/{service.worker()}/task").iterdir()
    lines = [line for task in tasks for line in (task / "status").read_text().splitlines()]
    return sum(int(line.split()[1]) for line in lines if line.startswith("voluntary_ctxt_switches"))


WORK = pytest.mark.parametrize("tells", [True, False])


def without_work(eight: Machine, *, tells: bool) -> str:
    """Take the work of all GPUs away; the profile with it."""
    if tells:
        eight.set("gpu *", utilization_gpu=40)
    else:
        eight.set("gpu *", nvmlDeviceGetUtilizationRates="!NOT_SUPPORTED")
    busy = eight.path.read_text()
    if tells:
        eight.set("gpu *", utilization_gpu=0)
    else:
        for index in range(8):
            eight.remove(f"gpu {index} process {5011345 + index}")
    return busy


@WORK
def test_gpus_without_work_are_left_in_peace(eight: Machine, serve: ServiceFactory, *, tells: bool) -> None:
    """Recognized by utilization or, if a card has none, by its processes. Then nothing in the worker wakes any more."""
    without_work(eight, tells=tells)
    service = serve(eight, idle="2m", window="2s", xid="no")
    service.until(lambda answer: "sampled_power_peak" in answer.by_index[3], "samples")
    answer = service.until(lambda answer: "sampled_power_peak" not in answer.by_index[3], "a calm")
    assert "sampled_power" not in answer.lacks(3)
    assert (answer.code, len(answer.by_index)) == (0, 8)

    def calm() -> bool:
        before = wake_ups(service)
        time.sleep(1)  # ten samples, were they taken
        return wake_ups(service) == before

    wait_for(calm, "a second in which nothing wakes")


# -- configuration ---------------------------------------------------------------------------------------------------


def test_a_new_configuration_is_taken_over(eight: Machine, serve: ServiceFactory) -> None:
    service = serve(eight, samples="0")
    answer = service.well()
    assert "sampled_power" in answer.lacks()
    worker = service.worker()
    service.configure(**{**QUICK, "xid": "no"})
    service.signal(signal.SIGHUP)
    answer = service.until(lambda answer: answer.code == 0 and "sampled_power" not in answer.lacks(), "samples")
    assert "xid" in answer.lacks()
    assert service.worker() != worker
    assert "configuration read again" in service.said()


def test_a_bad_configuration_is_refused_and_the_old_one_stays(eight: Machine, serve: ServiceFactory) -> None:
    service = serve(eight)
    service.well()
    worker = service.worker()
    service.configure(interval="soon")
    service.signal(signal.SIGHUP)
    service.next()
    assert re.search(r"the old configuration stays: \S*agent.conf:2: not a time.*soon", service.said())
    assert service.worker() == worker
    service.configure(interval="1s")
    service.document.parent.joinpath("x").touch()
    service.config.write_text(f"document = {service.folder}/run/other.json\ninterval = 1s\n")
    service.signal(signal.SIGHUP)
    service.next()
    assert "until the service is restarted" in service.said()


def test_check(eight: Machine, serve: ServiceFactory) -> None:
    service = serve(eight)
    assert service.run("serve", "--check").stdout == "The configuration is valid.\n"
    service.configure(intervall="1s")
    bad = service.run("serve", "--check")
    assert bad.returncode == 2
    assert bad.stderr.startswith(f"zbx-nvidia-agent: {service.config}:2: unknown key: intervall; there are ")
    service.stop()
    assert service.run("serve").returncode == 2
    assert service.run("serve", "--color").returncode == 2


# -- systemd ---------------------------------------------------------------------------------------------------------


def test_systemd_is_told(eight: Machine, serve: ServiceFactory, clocked: ClocksFactory, tmp_path: Path) -> None:
    address = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(address))
        systemd.settimeout(PATIENCE)
        eight.env |= {"NOTIFY_SOCKET": str(address), "WATCHDOG_USEC": "600000"}
        clocks = clocked(eight, speed=SLOW)
        service = serve(eight, pcie="0")
        told: list[str] = []
        while "READY=1" not in told:
            told += systemd.recv(4096).decode().split("\n")
        assert service.answer().code == 0, "ready means that there is a document"
        assert "STATUS=8 GPUs" in told
        # That it is alive, it says twice in the time that it has.
        for _ in range(5):
            clocks.leap(0.3)
            while systemd.recv(4096) != b"WATCHDOG=1":
                continue
        service.signal(signal.SIGHUP)
        while (line := systemd.recv(4096).decode().split("\n"))[0] != "RELOADING=1":
            continue
        assert line[1].startswith("MONOTONIC_USEC=")
        service.stop()
        rest = []
        while "STOPPING=1" not in rest:
            rest += systemd.recv(4096).decode().split("\n")


# -- what it costs ---------------------------------------------------------------------------------------------------


def test_it_takes_little_memory(machine: MachineFactory, serve: ServiceFactory) -> None:
    """Eight H100s at two samples a second, as it is installed. What it takes of a processor, `make bench` shows."""
    service = serve(machine("h100x8"), interval="5s", stall="5s", samples="0.5s", pcie="5s", window="60s")
    service.well()
    service.next()
    pids = (service.process.pid, service.worker() or 0)
    assert sum(pss(pid) for pid in pids) < 45_000, "25 MB when nothing else runs"


def test_nothing_is_decided_by_the_wall_clock() -> None:
    """It may jump. It is for the document's timestamp, the time at which an XID came, and the driver's own samples."""
    folder = Path(resident.__file__).parent
    users = {
        path.name for path in folder.glob("*.py") if re.search(r"\btime\.time\(|datetime|strftime", path.read_text())
    }
    assert users == {"sampler.py", "xid_tracker.py"}
    assert len(list(folder.glob("*.py"))) > 8


def test_rows_of_the_catalogue_and_of_the_service_differ() -> None:
    assert not SAMPLED & {metric.key for metric in GPU_METRICS}
