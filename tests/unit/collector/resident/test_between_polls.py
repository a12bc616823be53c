"""What only a process that stays can know: peaks and XID errors."""

from __future__ import annotations

import itertools
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.unit.collector.collector import get, python
from tests.unit.collector.resident.service import STALL, pss
from zbx_nvidia.catalog.sampled import GPM_READERS, SAMPLED_READERS, SERVICE
from zbx_nvidia.catalog.xid import XIDS
from zbx_nvidia.catalog.xid_actions import CLASSES
from zbx_nvidia.collector.processes import sees_every_process
from zbx_nvidia.collector.resident.sampler import Window
from zbx_nvidia.collector.resident.xid_history import MAX_CODES, XidHistory
from zbx_nvidia.collector.resident.xids import Tally

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import Machine, MachineFactory
    from tests.unit.collector.collector import Answer
    from tests.unit.collector.resident.conftest import ServiceFactory
    from tests.unit.collector.resident.service import Service
    from tests.unit.conftest import ClocksFactory


# -- peaks -----------------------------------------------------------------------------------------------------------


def test_a_window_forgets() -> None:
    window = Window(60)
    for second in range(1000):
        window.add(float(second), 1000 - second)
    assert window.made(999.0)["peak"] == 61
    assert window.made(1059.0)["peak"] == 1
    assert window.made(1060.0) == {}
    assert window.made(1060.0) == {}


def test_a_window_forgets_what_came_late_by_its_own_time() -> None:
    window = Window(60)
    for at, value in ((100.0, 1), (101.0, 2), (104.0, 3)):
        window.add(at, value)
    window.add_told([(95.0, 50), (98.0, 40)])
    assert window.made(104.0)["peak"] == 50
    assert window.made(156.0)["peak"] == 40
    assert window.made(159.0)["peak"] == 3


def test_a_window_forgets_though_the_wall_clock_has_jumped() -> None:
    """The driver stamps with it: what came after a sample is not older than that."""
    window = Window(60)
    window.add_told([(100.0, 1), (-3500.0, 50), (101.0, 2)])
    assert window.made(104.0)["peak"] == 50
    assert window.made(160.5)["peak"] == 2
    assert window.made(161.5) == {}


def test_a_spike_between_two_polls_is_seen(
    machine: MachineFactory, serve: ServiceFactory, clocked: ClocksFactory
) -> None:
    """Of power, temperature and clock, for 1.2 s, with the poll at its worst moment: long after."""
    node = machine("h100x8", clock=1_700_000_000)
    clocks = clocked(node, speed=0.25)
    node.set("gpu *", power_instant=100_000, temperature=40, utilization_gpu=3, clock_sm=345, memory_temperature=45)
    service = serve(node, samples="0.5s", window="30s")
    before = service.well().by_index[2]
    assert (before["sampled_power_peak"], before["sampled_temperature_peak"], before["sampled_utilization_peak"]) == (
        100,
        40,
        3,
    )
    calm = node.path.read_text()
    node.set("gpu 2", power_instant=690_000, temperature=81, utilization_gpu=99, clock_sm=1980, memory_temperature=90)
    time.sleep(4 * 1.2)
    node.write(calm)
    clocks.leap(20)
    for _ in range(2):  # one may be under way
        answer = service.until_written(service.written())
    after = answer.by_index[2]
    assert after["sampled_power_peak"] == 690
    assert 100 < after["sampled_power_average"] < 690
    assert after["sampled_temperature_peak"] == 81
    assert after["sampled_temperature_memory_peak"] == 90
    assert after["sampled_utilization_peak"] == 99
    assert after["sampled_clock_sm_peak"] == 1_980_000_000
    assert answer.by_index[3]["sampled_power_peak"] == answer.by_index[3]["sampled_power_p95"] == 100


def test_every_spike_is_seen(machine: MachineFactory, serve: ServiceFactory, clocked: ClocksFactory) -> None:
    """More than a hundred of 1.2 s, of utilization and power, at somewhat less than the installed two samples a second:
    24 cards have one every 5 s, each at its own moment, and a document shows one for 3.2 s at most. All of it takes
    twice as long here, for no document comes more often than once a second: then there is one for each sample."""
    node = machine("gtx1070")
    load = "clamp((ramp(0, 5, 10, var.phase) - 3.8) * 1000000, 0, 1)"
    moments = random.Random(7)  # noqa: S311  no secret
    cards = [
        f"[gpu {index}]\nuuid = GPU-{index:08}-0000-0000-0000-000000000000\npci_bus_id = 00000000:{index:02X}:00.0\n"
        f"var.phase = {moments.uniform(0, 10):.4f}\n"
        for index in range(24)
    ]
    common = [
        "[gpu *]\nname = Tester\nutilization_memory = 0",
        f"utilization_gpu = 1 + 98 * {load}\npower_usage = 9000 + 90000 * {load}",
    ]
    node.write("\n".join(["[machine]\ndriver_version = 580.95.05", *common, *cards]))
    clocks = clocked(node, speed=0)
    service = serve(node, samples="1s", window="2s", pcie="0", gpm="no", xid="no")
    service.well()
    seen: dict[str, dict[int, list[float]]] = {"utilization": {}, "power": {}}
    peaks = {"utilization": 99, "power": 99}
    up: set[tuple[str, int]] = set()
    # What the first shows may have been before the service was: the driver remembers it.
    first = True
    end = clocks.monotonic() + 44
    while clocks.monotonic() < end:
        # Each of them some time after it was due.
        before = service.written()
        clocks.leap(moments.uniform(1.0, 1.4))
        answer = service.until_written(before)
        for index, readings in answer.by_index.items():
            for key, peak in peaks.items():
                shown = readings[f"sampled_{key}_peak"] == peak
                if shown and (key, index) not in up and not first:
                    seen[key].setdefault(index, []).append(clocks.monotonic())
                (up.add if shown else up.discard)((key, index))
        first = False
    trials = 0
    for key, by_card in seen.items():
        assert len(by_card) == 24, key
        for times in by_card.values():
            gaps = [later - sooner for sooner, later in itertools.pairwise(times)]
            assert all(6 < gap < 14 for gap in gaps), f"{key}: one was missed, or took for two: {gaps}"
            trials += len(times)
    assert trials > 150


def test_a_spike_is_seen_while_another_gpu_hangs(eight: Machine, serve: ServiceFactory) -> None:
    """One thread looks at all of them, but does not wait for one that hangs."""
    service = serve(eight, stall=STALL, window="60s")
    service.well()
    eight.set("gpu 1", power_instant="!HANG")
    service.until(lambda answer: answer.code == 1003, "a stall")
    for index in (0, 2, 7):
        eight.set(f"gpu {index}", power_instant=690_000)

    def seen(answer: Answer) -> bool:
        return all(answer.by_index[index]["sampled_power_peak"] == 690 for index in (0, 2, 7))

    service.until(seen, "their peaks")


def test_readings_that_come_and_go(eight: Machine, serve: ServiceFactory) -> None:
    """MIG mode takes utilization away. What is in error is neither there nor lacking, and no old value is repeated."""
    service = serve(eight, window="2s")
    service.well()
    eight.set("gpu 1", nvmlDeviceGetUtilizationRates="!NOT_SUPPORTED", nvmlDeviceGetClockInfo="!UNKNOWN")
    answer = service.until(lambda answer: "sampled_utilization" in answer.lacks(1), "a GPU that lacks it")
    assert "sampled_utilization_peak" not in answer.by_index[1]
    answer = service.until(lambda answer: "sampled_clock_sm_peak" not in answer.by_index[1], "no old clock")
    assert "sampled_clock_sm" not in answer.lacks(1)
    assert "sampled_power_peak" in answer.by_index[1]
    assert "sampled_utilization_peak" in answer.by_index[0]
    eight.set("gpu 1", nvmlDeviceGetUtilizationRates=None, nvmlDeviceGetClockInfo=None)
    service.until(lambda answer: "sampled_utilization_peak" in answer.by_index[1], "utilization")


def test_nonsense_in_place_of_a_sample_harms_no_other(eight: Machine, serve: ServiceFactory) -> None:
    """And not for ever: the thread that met it goes on."""
    service = serve(eight, window="2s")
    service.well()
    # The power of this moment, and the memory's temperature, as the service looks at them.
    eight.set("gpu 1", {"field.186": "DOUBLE 1 / 0", "field.82": "DOUBLE 0 / 0"})
    answer = service.until(lambda answer: "sampled_power_peak" not in answer.by_index[1], "no power")
    assert answer.code == 0
    assert "sampled_clock_sm_peak" in answer.by_index[1]
    eight.set("gpu 1", {"field.186": None, "field.82": None})
    service.until(lambda answer: "sampled_power_peak" in answer.by_index[1], "power")


def test_a_sample_that_cannot_be_is_reported_once_and_not_kept(eight: Machine, serve: ServiceFactory) -> None:
    service = serve(eight, window="60s")
    service.well()
    eight.set("gpu 1", utilization_gpu=127622, pcie_throughput_tx=2_000_000_000)

    def reported(answer: Answer) -> dict[str, str]:
        return {problem["metric"]: problem["message"] for problem in answer.errors}

    answer = service.until(lambda answer: len(reported(answer)) == 2, "both reports")
    assert reported(answer)["utilization"] == "impossible value: 127622 %, not in 0 to 100"
    assert reported(answer)["sampled_pcie_sent"] == "impossible value: 2000000000000 Bps, not in 0 to 1000000000000"
    assert len(answer.errors) == 2
    assert answer.by_index[1]["sampled_utilization_peak"] <= 100
    assert answer.by_index[1]["sampled_pcie_sent"] <= 4e9


@pytest.mark.parametrize("new_call", ["there", "!FUNCTION_NOT_FOUND"])
def test_samples_of_temperatures_below_zero_are_kept(
    machine: MachineFactory, serve: ServiceFactory, new_call: str
) -> None:
    node = machine("v100")
    if new_call.startswith("!"):
        node.set("gpu 0", temperature_v=new_call)
    node.set("gpu 0", temperature=-3, memory_temperature=-7)
    gpu = serve(node).until(lambda answer: "sampled_temperature_peak" in answer.by_index[0], "samples").by_index[0]
    assert {key: value for key, value in gpu.items() if key.startswith("sampled_temperature")} == {
        "sampled_temperature_peak": -3,
        "sampled_temperature_average": -3,
        "sampled_temperature_p95": -3,
        "sampled_temperature_memory_peak": -7,
        "sampled_temperature_memory_average": -7,
    }


@pytest.mark.parametrize("gone", [{"state": "lost"}, {"nvmlDeviceGetUUID": "!UNKNOWN"}], ids=["lost", "sick"])
def test_a_gpu_that_was_away_has_no_past(eight: Machine, serve: ServiceFactory, gone: dict[str, str]) -> None:
    """And what it has at once does not wait for the next look, which is far away here."""
    eight.set("gpu 1", power_instant=650_000)
    service = serve(eight, window="60s", samples="60s")
    assert service.well().by_index[1]["sampled_power_peak"] == 650
    eight.set("gpu 1", gone)
    service.until(lambda answer: 1 not in answer.by_index, "a GPU that is away")
    eight.set("gpu 1", power_instant=80_000)
    service.next()
    eight.set("gpu 1", dict.fromkeys(gone))
    answer = service.until(lambda answer: 1 in answer.by_index, "the GPU")
    assert answer.by_index[1]["sampled_power_peak"] == 80


def test_pcie_throughput(eight: Machine, serve: ServiceFactory) -> None:
    eight.set("gpu *", pcie_throughput_tx=2_000_000, pcie_throughput_rx="!NOT_SUPPORTED")
    answer = serve(eight).well()
    assert answer.by_index[0]["sampled_pcie_sent"] == 2e9
    assert "sampled_pcie_received" in answer.lacks()
    assert "sampled_pcie_sent" in serve(eight, pcie="0").well().lacks()


def test_what_the_driver_has_seen_itself_counts(machine: MachineFactory, serve: ServiceFactory) -> None:
    """Also what lay between two samples of ours, which are far apart here."""
    node = machine("gtx1070")
    node.set(
        "gpu 0", utilization_gpu="step(1, 98, 2)", power_usage="step(9000, 149000, 2)", clock_sm="step(139, 1890, 2)"
    )
    node.set("gpu 0", power_instant=20_000)
    service = serve(node, samples="60s", window="60s")
    gpu = service.well().by_index[0]
    assert (gpu["sampled_utilization_peak"], gpu["sampled_utilization_p95"]) == (98, 98)
    assert 40 < gpu["sampled_utilization_average"] < 60
    assert gpu["sampled_power_peak"] == 149
    assert gpu["sampled_clock_sm_peak"] == 1_890_000_000
    # Where the driver has none, or says nothing new, ours go on alone.
    node.set("gpu 0", nvmlDeviceGetSamples="!NOT_SUPPORTED", utilization_gpu=7)
    service = serve(node, window="30s", samples="0.1s")
    assert service.well().by_index[0]["sampled_utilization_peak"] == 7
    node.set("gpu 0", nvmlDeviceGetSamples="!NOT_FOUND", utilization_gpu=8)
    answer = service.until(lambda answer: answer.by_index[0]["sampled_utilization_peak"] == 8, "our own samples")
    assert not {"sampled_utilization", "sampled_power"} & answer.lacks()
    node.set("gpu 0", nvmlDeviceGetSamples=None, utilization_gpu="9 + 0 * t")
    service.until(lambda answer: answer.by_index[0]["sampled_utilization_peak"] == 9, "both")


# -- GPM -------------------------------------------------------------------------------------------------------------


def test_how_busy_the_parts_are(machine: MachineFactory, serve: ServiceFactory, clocked: ClocksFactory) -> None:
    """The mean since the oldest sample of the window; a metric in error is left out, as is that of an older card."""
    node = machine("h100x8")
    clocks = clocked(node)
    node.set("gpu *", {"gpm.2": 40, "gpm.3": "!NOT_SUPPORTED", "gpm.10": "1 / 0"})
    service = serve(node)
    first = service.well()
    assert not [key for key in first.by_index[0] if key.startswith("gpm")]
    assert not [token for token in first.lacks() if token.startswith("gpm")]
    answer = service.until(lambda answer: "gpm_sm" in answer.by_index[0], "two samples")
    assert answer.by_index[0]["gpm_sm"] == 40
    assert {"gpm_occupancy", "gpm_memory"} <= answer.lacks()
    node.set("gpu *", {"gpm.2": 80})
    clocks.leap(10)
    service.until(lambda answer: answer.by_index[0].get("gpm_sm") == 80, "a window that has moved on")
    node.set("gpu 0", state="lost")
    service.until(lambda answer: 0 not in answer.by_index, "a lost GPU")
    node.set("gpu 0", state="ok")
    service.until(lambda answer: 0 in answer.by_index and "gpm_sm" in answer.by_index[0], "it is back")
    assert "gpm_sm" in serve(node, gpm="no").well().lacks()


def test_how_busy_the_instances_are(machine: MachineFactory, serve: ServiceFactory) -> None:
    """Each by itself; the GPU as a whole may say nothing of it in MIG mode."""
    node = machine("h100-mig")
    node.set("gpu 0", {"gpm.2": 33, "nvmlGpmSampleGet": "!NOT_SUPPORTED"})
    node.set("gpu 0 mig 0", {"gpm.2": 61, "gpm.5": "!NOT_SUPPORTED"})
    node.set("gpu 0 mig 1", {"gpm.2": 7})
    service = serve(node)
    first = instances(service.well())
    assert not [key for _, readings, _ in first.values() for key in readings if key.startswith("gpm")]
    assert not [token for _, _, lacks in first.values() for token in lacks if token.startswith("gpm")]
    answer = service.until(lambda answer: "gpm_sm" in instances(answer)["2"][1], "two samples")
    found = instances(answer)
    assert [found[gi][1]["gpm_sm"] for gi in ("2", "3", "9", "10")] == [61, 7, 0, 0]
    assert (found["2"][2] & GPM, found["3"][2] & GPM) == ({"gpm_tensor"}, set())
    assert "gpm_tensor" not in found["2"][1]
    assert answer.lacks() >= GPM
    assert "gpm_sm" not in answer.by_index[0]
    off = instances(serve(node, gpm="no").well())
    assert all(lacks >= GPM for _, _, lacks in off.values())


def test_an_instance_that_is_made_anew_has_no_past(machine: MachineFactory, serve: ServiceFactory) -> None:
    node = machine("h100-mig")
    node.set("gpu 0 mig 0", {"gpm.2": 60})
    service = serve(node)
    answer = service.until(lambda answer: "gpm_sm" in instances(answer)["2"][1], "two samples")
    old, readings, _ = instances(answer)["2"]
    assert readings["gpm_sm"] == 60
    new = "MIG-00000000-1111-2222-3333-444444444444"
    node.set("gpu 0 mig 0", {"gpm.2": 10, "uuid": new})
    answer = service.until(lambda answer: "gpm_sm" in answer.document["mig"].get(new, {}), "the new one")
    assert answer.document["mig"][new]["gpm_sm"] == 10
    assert old not in answer.document["mig"]
    node.remove("gpu 0 mig 0")
    answer = service.until(lambda answer: new not in answer.document["mig"], "one that is gone")
    assert instances(answer)["3"][1]["gpm_sm"] == 0
    assert (answer.code, answer.errors) == (0, [])
    node.set("gpu 0", mig_mode_current=0)
    answer = service.until(lambda answer: "mig" not in answer.document, "a whole GPU")
    assert "gpm_sm" in answer.by_index[0]


def test_without_gpm_the_instances_lack_it(machine: MachineFactory, serve: ServiceFactory) -> None:
    """Before Hopper, and where a process a poll has one look."""
    assert all(lacks >= GPM for _, _, lacks in instances(serve(machine("a100-mig")).well()).values())
    assert all(SERVICE in lacks for _, _, lacks in instances(get(machine("h100-mig").env)).values())


GPM = set(GPM_READERS)


def instances(answer: Answer) -> dict[str, tuple[str, dict[str, object], set[str]]]:
    """UUID, readings and what it lacks of each, by the id of its GPU instance."""
    return {
        row["{#GI}"]: (row["{#MIG}"], answer.document["mig"][row["{#MIG}"]], set(row["{#LACKS}"].split(",")))
        for row in answer.document["discovery"]["mig"]
    }


SAMPLES = """
import pynvml, sys
live, most = 0, 0
def counted(function, step):
    def call(*arguments):
        global live, most
        found = function(*arguments)
        live += step
        most = max(most, live)
        return found
    return call
pynvml.nvmlGpmSampleAlloc = counted(pynvml.nvmlGpmSampleAlloc, 1)
pynvml.nvmlGpmSampleFree = counted(pynvml.nvmlGpmSampleFree, -1)
from pathlib import Path
from zbx_nvidia.collector.collect import read_gpu
from zbx_nvidia.collector.resident.sampler import Activity
from zbx_nvidia.driver import system
system.start()
whole, less, lost = (Path(name) for name in sys.argv[2:])
activity = Activity(0, 10.0, wanted=True)
now = 1000.0
for round in range(300):
    # An instance goes and comes, and once the GPU is lost; each round is 2 s.
    state = lost if round == 200 else less if round // 7 % 2 else whole
    fresh = Path(sys.argv[1] + ".new")
    fresh.write_text(state.read_text())
    fresh.replace(sys.argv[1])
    gpu = read_gpu(0)
    if gpu.state == "lost":
        activity.forget()
        assert live == 0, live
    else:
        activity.made(now)
        activity.of_instances(gpu.parts["mig"], now)
    now += 2.0
held = live
activity.forget()
print(most, held, live)
"""


@pytest.mark.slow
def test_samples_are_given_back(machine: MachineFactory, tmp_path: Path) -> None:
    """Those that are too old, those of instances that are gone, and those of calls that fail."""
    node = machine("h100-mig")
    node.set("gpu 0 mig 2", nvmlGpmMigSampleGet="!UNKNOWN")
    states = []
    for name in ("whole", "less", "lost"):
        if name == "less":
            node.remove("gpu 0 mig 1")
        elif name == "lost":
            node.set("gpu 0", state="lost")
        states.append(tmp_path / name)
        states[-1].write_text(node.path.read_text())
    most, held, live = map(int, python(SAMPLES, node.env, str(node.path), *map(str, states)).split())
    # Six of 10 s for the GPU and each of its instances.
    assert 6 * 4 <= held <= most <= 6 * 5 + 1
    assert live == 0


# -- XID errors ------------------------------------------------------------------------------------------------------


def test_xids_are_counted_and_remembered(eight: Machine, serve: ServiceFactory, clocked: ClocksFactory) -> None:
    clocks = clocked(eight)
    service = serve(eight, xid_memory="500s", stall="600s")
    quiet = service.well().by_index[4]
    assert (quiet["xid_count"], quiet["xid_events"], quiet["xid_recent"]) == (0, 0, ",")
    assert not {"xid_last", "xid_last_time"} & quiet.keys()
    before = time.time()
    eight.set("gpu 4", {"xid.1": 13, "xid.2": 13, "xid.3": 48})
    noisy = service.until(lambda answer: answer.by_index[4]["xid_count"] == 3, "three XIDs").by_index[4]
    assert noisy["xid_last"] == 48
    assert before - 1 <= noisy["xid_last_time"] <= time.time() + 1
    assert noisy["xid_events"] == 2
    assert noisy["xid_recent"] == ",13,48,"
    assert [noisy[f"xid_{kind.key}"] for kind in CLASSES] == [0, 0, 1, 2, 0]
    assert service.answer().by_index[5]["xid_count"] == 0
    assert "GPU 4: XID 48 (Double bit ECC error), 1 times" in service.said()
    clocks.leap(350)
    assert service.next().by_index[4]["xid_recent"] == ",13,48,"
    clocks.leap(150)
    later = service.until(lambda answer: answer.by_index[4]["xid_recent"] == ",", "an end of the memory")
    assert later.by_index[4]["xid_count"] == 3
    assert later.by_index[4]["xid_last"] == 48


def test_xids_of_one_gpu_come_while_another_is_lost_or_stuck(eight: Machine, serve: ServiceFactory) -> None:
    """And those of the stuck one too: they may say why."""
    service = serve(eight, stall=STALL)
    service.well()
    eight.set("gpu 0", state="lost")
    eight.set("gpu 1", {"power_usage": "!HANG", "xid.1": 119})
    eight.set("gpu 2", {"xid.1": 94})
    answer = service.until(lambda answer: answer.by_index[2]["xid_count"] == 1, "an XID")
    assert answer.by_index[2]["xid_recent"] == ",94,"
    service.until(lambda _: "GPU 1: XID 119" in service.said(), "the XID of the stuck one")


def reset(service: Service) -> None:
    assert service.run("release").returncode == 0
    assert service.run("release", "--for", "0").returncode == 0


def reload(service: Service) -> None:
    service.configure(interval="5s", stall="60s", samples="0.2s")
    service.signal(signal.SIGHUP)


@pytest.mark.parametrize("end", [reset, reload])
def test_what_the_worker_has_heard_outlives_it(
    eight: Machine, serve: ServiceFactory, end: Callable[[Service], None]
) -> None:
    """Whoever answers an XID with a release and a reset must not lose it thereby, nor one that comes right behind."""
    service = serve(eight, interval="5s")
    service.well()
    eight.set("gpu 2", {"xid.1": 95})
    service.until_said("XID 95")  # the first is reported at once
    # The second is not reported yet. All waiting threads check the driver together, and the XID of GPU 3 is reported.
    eight.set("gpu 2", {"xid.2": 95})
    eight.set("gpu 3", {"xid.1": 94})
    service.until_said("XID 94")
    worker = service.worker()
    end(service)
    service.other_worker(worker)
    service.next()
    assert service.well().by_index[2]["xid_count"] == 2


def test_a_card_without_xids(eight: Machine, serve: ServiceFactory) -> None:
    eight.set("gpu 3", supported_event_types=None)
    answer = serve(eight).well()
    assert "xid" in answer.lacks(3)
    assert "xid" not in answer.lacks(2)
    assert not [key for key in answer.by_index[3] if key.startswith("xid")]


@pytest.mark.parametrize(
    ("call", "error", "code", "message"),
    [
        ("nvmlDeviceRegisterEvents", "NO_PERMISSION", 4, "Insufficient Permissions"),
        ("nvmlEventSetCreate", "UNKNOWN", 999, "Unknown Error"),
        ("nvmlEventSetWait_v2", "OPERATING_SYSTEM", 17, "The operating system has blocked the request."),
    ],
)
def test_a_wait_for_xids_that_is_refused_is_an_error(  # noqa: PLR0913, PLR0917  fixtures, and a row of a table
    eight: Machine, serve: ServiceFactory, call: str, error: str, code: int, message: str
) -> None:
    """Neither there nor lacking: whoever looks for XIDs shall learn that there will be none."""
    section = "gpu 4" if "Device" in call else "machine"
    eight.set(section, {call: f"!{error}"})
    service = serve(eight)
    gpus = 1 if section == "gpu 4" else 8
    answer = service.until(lambda answer: len(answer.errors) == gpus, "an error of each")
    uuid = answer.by_index[4]["uuid"]
    assert {"gpu": uuid, "metric": "xid", "code": code, "message": message} in answer.errors
    assert answer.document["collector"]["error_count"] == gpus
    assert "xid" not in answer.lacks(4)
    assert not [key for key in answer.by_index[4] if key.startswith("xid")]
    assert answer.by_index[4]["power"]
    eight.set(section, {call: None})
    answer = service.until(lambda answer: not answer.errors, "an end of it")
    assert answer.by_index[4]["xid_count"] == 0


def test_a_storm_of_xids(eight: Machine, serve: ServiceFactory) -> None:
    """100,000 at once from one GPU, of two codes in turn, and as many of one code from another."""
    service = serve(eight)
    service.well()
    service.next()
    pids = (service.process.pid, service.worker() or 0)
    before = sum(pss(pid) for pid in pids)
    eight.set("gpu 0", {"xid.1-100000": "13 + 32 * (scope / 2 - floor(scope / 2)) * 2"})
    eight.set("gpu 1", {"xid.1-100000": 94})
    answer = service.until(
        lambda answer: min(answer.by_index[index]["xid_count"] for index in (0, 1)) >= 100_000, "all of them"
    )
    kinds = ("count", "events", "application", "note", "last")
    assert [answer.by_index[0][f"xid_{kind}"] for kind in kinds] == [100_000, 2, 50_000, 50_000, 13]
    assert [answer.by_index[1][f"xid_{kind}"] for kind in kinds] == [100_000, 1, 100_000, 0, 94]
    assert answer.by_index[2]["xid_count"] == 0
    service.next()
    assert sum(pss(pid) for pid in pids) < before + 2000, "kB"
    assert service.said().count("XID 13") < 1000, "a line a round and code, not a line an error"


def test_a_storm_is_counted_right_in_bounded_memory() -> None:
    """100,000 within a second, of more codes than there are, with someone who takes them in between."""
    tally, history = Tally(), XidHistory(60, 600)
    for number in range(100_000):
        tally.add(number % 1000 if number % 3 else 79)
        if number % 7777 == 0:
            taken = tally.take()
            assert len(taken) <= MAX_CODES + 1
            for code, count, _, when in taken:
                history.add(code, count, when, 0.0)
    for code, count, _, when in tally.take():
        history.add(code, count, when, 0.0)
    readings = history.readings(1.0)
    assert readings["xid_count"] == 100_000
    assert sum(readings[f"xid_{kind.key}"] for kind in CLASSES) == 100_000
    assert len(readings["xid_recent"]) <= 255
    assert len(history._codes) <= MAX_CODES  # noqa: SLF001  that it is bounded is the point
    assert tally.take() == ()


def test_repetitions_are_one_event_for_a_while_and_then_another() -> None:
    history = XidHistory(repeat=60, memory=600)
    for second in range(0, 120, 5):
        history.add(13, 100, 1e9, float(second))
    assert history.readings(120.0)["xid_events"] == 2
    assert history.readings(120.0)["xid_count"] == 2400
    history.add(48, 1, 1e9, 121.0)
    history.add(13, 1, 1e9, 122.0)
    assert history.readings(122.0)["xid_recent"] == ",48,13,"
    assert history.readings(721.5)["xid_recent"] == ",13,"
    assert history.readings(722.0)["xid_recent"] == ","


def test_what_is_to_be_mended_is_remembered_longer_than_news() -> None:
    history = XidHistory(repeat=60, memory=86_400)
    for second, code in enumerate((48, 63, 95, 119, 154, 45, 79)):
        history.add(code, 1, 1e9, float(second))
    readings = history.readings(10.0)
    assert readings["xid_recent"] == ",48,63,95,119,154,45,79,"
    assert (readings["xid_reset_last"], readings["xid_restart_last"], readings["xid_support_last"]) == (119, 79, 48)
    assert history.readings(86_000.0)["xid_recent"] == ",48,95,119,79,"
    later = history.readings(86_404.0)
    assert (later["xid_reset_last"], later["xid_restart_last"], later["xid_support_last"]) == (0, 79, 0)
    assert later["xid_recent"] == ",79,"


def test_the_longest_list_of_codes_fits_into_a_text() -> None:
    history = XidHistory(60, 600)
    for number in range(1000, 1000 + MAX_CODES):
        history.add(number * 100, 1, 1e9, 0.0)
    recent = history.readings(0.0)["xid_recent"]
    assert len(recent) <= 255
    assert recent.endswith(f",{(999 + MAX_CODES) * 100},"), "the newest are kept"


def test_the_table_of_codes() -> None:
    assert len({xid.code for xid in XIDS}) == len(XIDS)
    assert [xid.code for xid in XIDS] == sorted(xid.code for xid in XIDS)
    assert all(len(xid.meaning) <= 64 for xid in XIDS), "what Zabbix takes in a value map"
    kinds = {xid.code: xid.kind.key for xid in XIDS}
    assert {kinds[code] for code in (13, 31, 43)} == {"application"}
    assert {code for code, kind in kinds.items() if kind == "restart"} >= {79}
    assert {kinds[code] for code in (46, 62, 64, 95, 109, 110, 119, 120, 136, 140, 143, 155, 156, 158)} == {"reset"}
    assert {xid.code for xid in XIDS if xid.notify} == {63, 94, 157, 164}


def test_what_a_card_lacks_is_lacking_in_every_document(machine: MachineFactory, serve: ServiceFactory) -> None:
    """Also between two samples of what is sampled seldom: one document without a word of it, and it gets items."""
    service = serve(machine("gtx1070"), interval="1s", pcie="3s")
    service.well()
    first = service.answer()
    lacking = first.lacks() & set(SAMPLED_READERS)
    assert "sampled_pcie_sent" in lacking
    for _ in range(4):
        assert service.next().lacks() & set(SAMPLED_READERS) == lacking


# -- who uses what ---------------------------------------------------------------------------------------------------


def test_what_each_process_and_user_uses(machine: MachineFactory, serve: ServiceFactory) -> None:
    """A process of which the driver has no sample has used nothing; a poll knows of none."""
    node = machine("t4")
    for pid in (5000675, 5005762):
        node.remove(f"gpu 0 process {pid}")
    mine, parent = os.getpid(), os.getppid()
    shares = {"utilization_memory": 31, "encoder_utilization": 7, "decoder_utilization": 2}
    node.set(f"gpu 0 process {mine}", {"name": "busy", "compute": 1, "sm_utilization": 61, **shares})
    node.set(f"gpu 0 process {parent}", {"name": "idle", "compute": 1})
    service = serve(node)
    me = Path(f"/proc/{mine}").owner()
    answer = service.until(lambda answer: answer.code == 0 and me in answer.document["users"], "the name of a user")
    used = {entry["pid"]: {key: entry[key] for key in KEYS} for entry in answer.by_index[0]["process_list"]}
    assert list(used[mine].values()) == [61, 31, 7, 2]
    assert list(used[parent].values()) == [0, 0, 0, 0]
    assert answer.document["users"][me]["utilization"] == 61
    assert answer.document["discovery"]["users"][0]["{#LACKS}"] == ",,"
    node.set(f"gpu 0 process {mine}", sm_utilization=20)
    service.until(lambda answer: answer.document["users"][me]["utilization"] == 20, "another share")
    poll = get(node.env)
    assert not [key for entry in poll.by_index[0]["process_list"] for key in KEYS if key in entry]
    assert "utilization" not in poll.document["users"][me]
    assert poll.document["discovery"]["users"][0]["{#LACKS}"] == ",utilization,"
    # A driver that does not say it, for the first time or again.
    node.set("gpu 0", dict.fromkeys(CALLS, "!NOT_SUPPORTED"))
    answer = service.until(lambda answer: "utilization" not in answer.document["users"][me], "silence")
    assert answer.document["discovery"]["users"][0]["{#LACKS}"] == ",utilization,"
    assert [entry["pid"] for entry in answer.by_index[0]["process_list"]] == [entry["pid"] for entry in listed(poll)]
    assert answer.errors == []
    node.set("gpu 0", dict.fromkeys(CALLS, "!NOT_FOUND"))
    service.until(lambda answer: answer.document["users"][me].get("utilization") == 0, "nobody")


KEYS = ("utilization", "utilization_memory", "utilization_encoder", "utilization_decoder")
CALLS = ("nvmlDeviceGetProcessesUtilizationInfo", "nvmlDeviceGetProcessUtilization")


def listed(answer: Answer) -> list[dict[str, object]]:
    found: list[dict[str, object]] = answer.by_index[0]["process_list"]
    return found


CONTAINER = ("unshare", "--map-root-user", "--pid", "--fork", "--mount-proc")
SHARES = """
import time
from zbx_nvidia.collector.collect import read_gpu
from zbx_nvidia.collector.resident.sampler import Consumers
from zbx_nvidia.driver import system
system.start()
listed = Consumers(0).added(read_gpu(0), time.monotonic()).get("process_list", ())
print(sum("utilization" in entry for entry in listed))
"""


@pytest.mark.skipif(
    subprocess.run([*CONTAINER, "true"], capture_output=True, check=False).returncode != 0,
    reason="no process can have PIDs of its own here",
)
def test_shares_under_other_pids_than_those_of_the_list(machine: MachineFactory) -> None:
    """In a container drivers have been reported to list by its PIDs and to sample by the host's."""
    node = machine("t4")

    def told(*prefix: str) -> int:
        command = [*prefix, sys.executable, "-c", SHARES]
        return int(subprocess.run(command, env=node.env, capture_output=True, text=True, check=True).stdout)

    there = told(*CONTAINER)
    assert there > 0
    node.set("gpu 0 process 5009999", {"name": "who", "sm_utilization": 61})
    assert told(*CONTAINER) == 0
    assert told() == (there if sees_every_process() else 0)


def test_processes_of_a_divided_gpu(machine: MachineFactory, serve: ServiceFactory) -> None:
    answer = serve(machine("h100-mig")).well()
    assert len(listed(answer)) == 3
    assert not [key for entry in listed(answer) for key in KEYS if key in entry]
