"""What can go wrong under a service that stays: calls that hang, drivers that go, files that cannot be written."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.conftest import PATIENCE, wait_for
from tests.unit.clocks import SLOW
from tests.unit.collector.collector import AGENT, Answer, end, get, stat
from tests.unit.collector.resident.service import STALL, of_a_poll
from zbx_nvidia.collector.resident.state import FIRST_PAUSE
from zbx_nvidia.collector.resident.worker_process import LAST_WAIT

if TYPE_CHECKING:
    from tests.conftest import Machine
    from tests.unit.collector.resident.conftest import ServiceFactory
    from tests.unit.collector.resident.service import Service
    from tests.unit.conftest import ClocksFactory


def age(answer: Answer) -> int:
    found = re.match(r"No answer for (\d+) s", answer.message)
    assert found, answer.message
    return int(found[1])


def holders(path: Path) -> list[int]:
    """Processes that hold the simulated driver open."""
    return [
        int(folder.parent.name)
        for folder in Path("/proc").glob("[0-9]*/fd")
        if any(str(link).startswith(str(path)) for link in links(folder))
    ]


def links(folder: Path) -> list[Path]:
    found = []
    try:
        for link in folder.iterdir():
            try:
                found.append(link.readlink())
            except OSError:
                continue
    except OSError:
        return []
    return found


# -- calls that do not come back -------------------------------------------------------------------------------------


def test_one_gpu_of_eight_stalls(eight: Machine, serve: ServiceFactory, well: Answer) -> None:
    healthy = eight.path.read_text()
    service = serve(eight, stall=STALL)
    service.well()
    worker = service.worker()
    eight.set("gpu 5", state="hang")
    first = service.until(lambda answer: answer.code != 0, "a stall")
    assert (first.code, first.document["status"]["name"]) == (1003, "Stalled")
    assert re.match(r"No answer for \d+ s from GPU 5\. ", first.message)
    assert age(first) >= 3
    assert first.document["host"]["sick"] == "GPU 5: no answer"
    assert "presence" not in first.document
    assert first.document["discovery"] == {}
    # Both count whole seconds, by two clocks: one may grow without the other.
    written = first.document["timestamp"]
    grown = "an age that grows, in later documents"
    second = service.until(lambda answer: age(answer) > age(first) and answer.document["timestamp"] > written, grown)
    for index in set(range(8)) - {5}:
        assert of_a_poll(second.by_index[index]) == of_a_poll(well.by_index[index])
    assert 5 not in second.by_index
    # Nor does it hide the errors of those that are asked after it.
    eight.set("gpu 7", {"xid.1": 13})
    service.until(lambda answer: answer.by_index[7].get("xid_last") == 13, "the XID of another GPU")
    # Left alone, and none beside it.
    assert service.worker() == worker
    assert service.said().count("Stalled: no answer from GPU 5\n") == 1
    # It does not stand in the way of the end of the service, and the next one waits until it is gone.
    service.stop()
    assert "left alone" in service.said()
    assert stat(worker or 0)[0] != "gone"
    service.start()
    stuck = service.until(lambda answer: answer.code == 1001, "a document that says so")
    assert stuck.document["gpus"] == {}
    assert service.worker() is None
    os.kill(worker or 0, signal.SIGKILL)  # the simulated driver comes back in no other way
    eight.write(healthy)
    service.well()


def test_the_end_waits_for_a_moment_only(eight: Machine, serve: ServiceFactory, clocked: ClocksFactory) -> None:
    """It takes less than a second, though a call hangs."""
    clocks = clocked(eight, speed=SLOW / 10)  # what is left of the second is a minute here
    service = serve(eight)
    service.well()
    eight.set("gpu 5", power_instant="!HANG")
    clocks.leap(1)  # another round
    service.until_stuck()
    began = clocks.monotonic()
    service.process.terminate()
    wait_for(lambda: not service.document.exists(), "an end that has begun")
    clocks.leap(LAST_WAIT)
    assert service.process.wait(PATIENCE) == 0
    assert clocks.monotonic() - began < 1
    assert "left alone" in service.said()


def test_the_whole_driver_stalls(eight: Machine, serve: ServiceFactory, tmp_path: Path) -> None:
    service = serve(eight, stall=STALL)
    service.well()
    eight.set("machine", gpu_count="!HANG")
    first = service.until(lambda answer: answer.code == 1003, "a stall")
    assert first.document["gpus"] == first.document["discovery"] == {}
    worker = service.worker()
    service.until(lambda answer: age(answer) > age(first), "an age that grows")
    assert service.worker() == worker
    service.stop()
    assert stat(worker or 0)[0] != "gone"
    end(tmp_path)


# -- drivers and GPUs that go and come -------------------------------------------------------------------------------


def test_a_gpu_is_lost_and_back(eight: Machine, serve: ServiceFactory, well: Answer) -> None:
    service = serve(eight)
    service.well()
    eight.set("gpu 3", state="lost")
    answer = service.until(lambda answer: answer.document["host"]["gpus_lost"] == 1, "a lost GPU")
    assert answer.code == 0
    assert sorted(answer.by_index) == [0, 1, 2, 4, 5, 6, 7]
    assert len(answer.document["presence"]) == 7
    eight.set("gpu 3", state="ok")
    answer = service.until(lambda answer: answer.document["host"]["gpus_lost"] == 0, "the GPU")
    assert of_a_poll(answer.by_index[3]) == of_a_poll(well.by_index[3])


def test_the_driver_goes_and_comes_back(eight: Machine, serve: ServiceFactory) -> None:
    service = serve(eight)
    service.well()
    worker = service.worker()
    healthy = eight.path.read_text()
    eight.set("machine", state="LIB_RM_VERSION_MISMATCH", gpu_count="!LIB_RM_VERSION_MISMATCH")
    answer = service.until(lambda answer: answer.code == 18, "a driver that is gone")
    assert answer.document["gpus"] == answer.document["discovery"] == {}
    assert not {"host", "presence"} & set(answer.document)
    for _ in range(2):
        assert service.next().code == 18
    eight.write(healthy)
    assert len(service.well().by_index) == 8
    assert service.worker() != worker


def test_no_driver_yet(eight: Machine, serve: ServiceFactory) -> None:
    eight.set("machine", state="no_driver")
    service = serve(eight)
    assert service.until(lambda _: True, "a document").code == 9
    eight.set("machine", state="ok")
    service.well()


def test_gpus_come_and_go(eight: Machine, serve: ServiceFactory) -> None:
    eight.set("machine", gpu_count=6)
    service = serve(eight)
    assert len(service.well().by_index) == 6
    eight.set("machine", gpu_count=8)
    service.until(lambda answer: len(answer.by_index) == 8, "two more")
    eight.set("machine", gpu_count=7)
    answer = service.until(lambda answer: len(answer.by_index) == 7, "one less")
    assert answer.code == answer.document["host"]["gpus_lost"] == 0


def test_the_worker_dies(eight: Machine, serve: ServiceFactory, clocked: ClocksFactory) -> None:
    clocks = clocked(eight, speed=SLOW)  # it takes a while until another is started
    service = serve(eight)
    service.well()
    worker = service.worker()
    os.kill(worker or 0, signal.SIGSEGV)
    answer = service.until(lambda answer: answer.code == 1002, "a document that says so")
    assert answer.message.startswith("The process that reads the driver died: signal 11. ")
    assert answer.document["gpus"] == {}
    clocks.leap(FIRST_PAUSE)
    assert service.other_worker(worker) != worker
    service.well()


def test_the_worker_is_not_ended_by_a_signal_to_the_group(eight: Machine, serve: ServiceFactory) -> None:
    service = serve(eight)
    service.well()
    worker = service.worker()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        os.kill(worker or 0, number)
    service.next()
    assert service.worker() == worker


@pytest.mark.slow
@pytest.mark.parametrize("way", ["replaced", "link turned"])
def test_the_library_is_replaced(
    eight: Machine, serve: ServiceFactory, simulator_library: Path, tmp_path: Path, way: str
) -> None:
    """By a package that puts another file in its place, or turns the link to another version beside it."""
    folder = tmp_path / "lib"
    folder.mkdir()
    soname = folder / "libnvidia-ml.so.1"
    old, new = folder / "libnvidia-ml.so.580", folder / "libnvidia-ml.so.590"
    shutil.copy(simulator_library, old)
    shutil.copy(simulator_library, new)
    if way == "replaced":
        old.rename(soname)
    else:
        soname.symlink_to(old.name)
    eight.env["LD_LIBRARY_PATH"] = str(folder)
    service = serve(eight)
    service.well()
    worker = service.worker()
    for _ in range(2):
        service.next()
    assert service.worker() == worker
    if way == "replaced":
        new.rename(soname)
    else:
        (folder / "link").symlink_to(new.name)
        (folder / "link").rename(soname)
    other = service.other_worker(worker)
    service.next()
    assert service.worker() == other, "once is enough"
    assert service.said().count("library was replaced") == 1
    assert service.well().code == 0


# -- the place of the document ---------------------------------------------------------------------------------------


@pytest.mark.skipif(
    subprocess.run(["unshare", "--map-root-user", "--mount", "true"], capture_output=True, check=False).returncode != 0,
    reason="no file system can be mounted here",
)
def test_a_full_disk(eight: Machine, serve: ServiceFactory) -> None:
    """A real one, of a few pages, mounted for the service alone; and then there is room again."""
    service = serve(eight)
    service.well()
    service.stop()
    place = service.document.parent
    program = f"mount -t tmpfs -o size=128k none {place} && exec {AGENT} serve --config {service.config}"
    with service.log.open("ab") as log:
        service.process = subprocess.Popen(
            ["unshare", "--map-root-user", "--mount", "sh", "-c", program], env=service.env, stderr=log
        )
    service.document = Path(f"/proc/{service.process.pid}/root/{service.document}")
    service.well()
    filler = service.document.with_name("filler")
    with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
        while file.write(bytes(4096)):
            continue
    wait_for(lambda: not service.document.exists(), "a document that is removed")
    service.until_said("No space left on device")
    filler.unlink()
    service.until(lambda _: True, "a document")
    service.next()
    assert "is written again" in service.said()


def test_a_place_that_cannot_be(eight: Machine, serve: ServiceFactory) -> None:
    service = serve(eight)
    service.config.write_text("document = /proc/none/document.json\n")
    refused = service.run("serve")
    assert refused.returncode == 1
    assert refused.stderr.startswith("zbx-nvidia-agent: /proc/none/document.json: ")
    assert refused.stderr.count("\n") == 1


# -- release ---------------------------------------------------------------------------------------------------------


def test_release_lets_go_of_the_driver(eight: Machine, serve: ServiceFactory, clocked: ClocksFactory) -> None:
    clocks = clocked(eight)
    service = serve(eight, stall="600s")
    service.well()
    assert holders(eight.path) == [service.worker()]
    done = service.run("release", "--for", "500s")
    assert (done.returncode, done.stdout, done.stderr) == (0, "released\n", "")
    assert holders(eight.path) == []
    assert service.worker() is None
    answer = service.answer()
    assert (answer.code, answer.document["status"]["name"]) == (1004, "Released")
    assert answer.document["gpus"] == answer.document["discovery"] == {}
    assert not {"host", "presence"} & set(answer.document)
    later = service.next()
    assert later.code == 1004
    assert holders(eight.path) == []
    clocks.leap(500)
    assert len(service.well().by_index) == 8
    assert holders(eight.path) == [service.worker()]


@pytest.mark.slow
def test_a_poll_beside_the_service_lets_go_with_it(eight: Machine, serve: ServiceFactory) -> None:
    """That of the NVLinks is a process a poll in resident mode too."""
    service = serve(eight)
    service.well()
    beside = ("--beside", str(service.document))
    assert sum(map(len, get(eight.env, *beside, command="links").document["links"].values())) == 144
    assert service.run("release").returncode == 0
    answer = get(eight.env, *beside, command="links")
    assert (answer.code, answer.document["links"]) == (1004, {})
    assert service.run("release", "--for", "0").returncode == 0
    service.well()
    assert get(eight.env, *beside, command="links").code == 0
    assert get(eight.env, "--beside", "/nowhere", command="links").code == 0, "no service, no reason to wait"


def test_release_while_a_call_hangs_says_so(eight: Machine, serve: ServiceFactory) -> None:
    service = serve(eight, stall=STALL)
    service.well()
    eight.set("gpu 2", state="hang")
    service.until(lambda answer: answer.code == 1003, "a stall")
    refused = service.run("release")
    assert refused.returncode == 1
    assert refused.stderr == "zbx-nvidia-agent: error: the driver does not answer, and is still held\n"
    assert service.answer().code == 1003
    assert holders(eight.path)


def test_release_without_a_service(eight: Machine, serve: ServiceFactory) -> None:
    service = serve(eight)
    service.well()
    assert service.run("release", "--for", "soon").returncode == 2
    service.stop()
    refused = service.run("release")
    assert refused.returncode == 1
    assert "is zbx-nvidia-agent serve running?" in refused.stderr


def test_a_poll_beside_the_service(eight: Machine, serve: ServiceFactory) -> None:
    """For a person who looks: neither waits for the other."""
    service: Service = serve(eight)
    service.well()
    assert get(eight.env).code == 0
    assert service.next().code == 0


# -- while one call hangs --------------------------------------------------------------------------------------------


def stuck(eight: Machine, service: Service) -> Answer:
    """GPU 5 hangs, the others do not."""
    eight.set("gpu 5", power_instant="!HANG")
    return service.until(lambda answer: answer.code == 1003 and len(answer.by_index) == 7, "a stall")


def test_a_poll_beside_the_service_does_not_hang_with_it(eight: Machine, serve: ServiceFactory) -> None:
    service = serve(eight, stall=STALL)
    service.well()
    stuck(eight, service)
    answer = get(eight.env, "--beside", str(service.document), command="links")
    assert (answer.code, answer.document["links"]) == (1003, {})
    assert holders(eight.path) == [service.worker()]


def test_an_old_document_holds_no_poll_back(eight: Machine, serve: ServiceFactory) -> None:
    """That of a service that was killed while it had released the driver, where no unit removes it."""
    service = serve(eight)
    service.well()
    assert service.run("release").returncode == 0
    service.process.kill()
    service.process.wait()
    beside = ("--beside", str(service.document))
    assert get(eight.env, *beside, command="links").code == 1004
    left = json.loads(service.document.read_bytes())
    service.document.write_text(json.dumps({**left, "timestamp": left["timestamp"] - 600}))
    assert get(eight.env, *beside, command="links").code == 0


def test_a_release_waits_for_a_poll_that_is_under_way(
    eight: Machine, serve: ServiceFactory, clocked: ClocksFactory
) -> None:
    service = serve(eight)
    service.well()
    clocks = clocked(eight, speed=SLOW)
    eight.set("gpu 7", {"nvlink_state.3": "!SLOW(0.25) 1"})
    with subprocess.Popen(
        [AGENT, "links", "--beside", str(service.document)], env=eight.env, stdout=subprocess.DEVNULL
    ) as poll:
        clocks.until_slow_calls()
        # On that clock too: it would wait in vain for twenty times as long as usual.
        service.env |= clocks.env
        done = service.run("release")
        assert (done.returncode, holders(eight.path)) == (0, [])
        assert poll.wait(PATIENCE) == 0


def test_root_does_not_take_the_place_of_the_services_user(eight: Machine, serve: ServiceFactory) -> None:
    service = serve(eight)
    service.well()
    service.stop()
    os.chown(service.document.parent, 65534, 65534)
    done = service.run("serve")
    assert done.returncode == 1
    assert "belongs to user 65534: run it as that, not as root" in done.stderr
