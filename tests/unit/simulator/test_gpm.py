"""GPM: metrics between two samples, of a GPU and of a MIG instance."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.conftest import MachineFactory
    from tests.unit.simulator.conftest import Client, ClientFactory

NOON = 1_700_000_000
SAMPLE = """[os.environ.__setitem__("NVML_SIMULATOR_CLOCK", str({at})), setattr(s, "{name}", nvmlGpmSampleAlloc()),
{take}, None][-1]"""
GET = """(lambda g: (setattr(g, "version", {version}), setattr(g, "numMetrics", {count}),
setattr(g, "sample1", s.{first}), setattr(g, "sample2", s.{second}),
[setattr(g.metrics[i], "metricId", id) for i, id in enumerate({ids})],
nvmlGpmMetricsGet(g), [(x.nvmlReturn, x.value) for x in g.metrics[:{count}]])[-1])(c_nvmlGpmMetricsGet_t())"""


def sample(ask: Client, name: str, at: int, take: str = "nvmlGpmSampleGet(h(0), s.{name})") -> object:
    return ask(SAMPLE.format(at=at, name=name, take=take.format(name=name)).replace("\n", " "))


def get(ask: Client, first: str, second: str, ids: list[int], version: int = 1) -> object:
    text = GET.format(version=version, count=len(ids), first=first, second=second, ids=ids)
    return ask(text.replace("\n", " "))


def test_metrics_lie_between_two_samples(machine: MachineFactory, nvml: ClientFactory) -> None:
    node = machine("h100x8")
    node.set("gpu 0", {"gpm.2": f"t - {NOON}", "gpm.5": 12.5, "gpm.10": "!NO_PERMISSION"})
    ask = nvml(node)
    assert ask("nvmlGpmQueryDeviceSupport(h(0)).isSupportedDevice") == 1
    assert sample(ask, "a", NOON + 10) is None
    assert sample(ask, "b", NOON + 20) is None
    assert get(ask, "a", "b", [2, 5, 10, 170]) == [[0, 15], [0, 12.5], [4, 0], [3, 0]]
    assert get(ask, "a", "b", [2], version=2) == "NVMLError_ArgumentVersionMismatch"
    assert ask("[nvmlGpmSampleFree(x) for x in (s.a, s.b)]") == [None, None]


def test_samples_must_belong_together(machine: MachineFactory, nvml: ClientFactory) -> None:
    node = machine("h100x8")
    ask = nvml(node)
    sample(ask, "a", NOON)
    sample(ask, "other", NOON, "nvmlGpmSampleGet(h(1), s.{name})")
    sample(ask, "empty", NOON, "None")
    assert get(ask, "a", "other", [2]) == "NVMLError_InvalidArgument"
    assert get(ask, "a", "empty", [2]) == "NVMLError_InvalidArgument"
    node.set("gpu 0", state="lost")
    assert get(ask, "a", "a", [2]) == "NVMLError_GpuIsLost"


def test_without_gpm(machine: MachineFactory, nvml: ClientFactory) -> None:
    ask = nvml(machine("rtx4080s"))
    assert ask("nvmlGpmQueryDeviceSupport(h(0)).isSupportedDevice") == 0
    assert sample(ask, "a", NOON) == "NVMLError_NotSupported"


def test_an_instance_has_metrics_of_its_own(machine: MachineFactory, nvml: ClientFactory) -> None:
    node = machine("h100-mig")
    node.set("gpu 0 mig 0", {"gpm.2": 61})
    node.set("gpu 0", {"gpm.2": 33})
    ask = nvml(node)
    of_instance = "nvmlGpmMigSampleGet(h(0), 2, s.{name})"
    sample(ask, "a", NOON, of_instance)
    sample(ask, "b", NOON + 1, of_instance)
    assert get(ask, "a", "b", [2]) == [[0, 61]]
    sample(ask, "c", NOON)
    assert get(ask, "c", "c", [2]) == [[0, 33]]
    assert get(ask, "a", "c", [2]) == "NVMLError_InvalidArgument"
    assert sample(ask, "d", NOON, "nvmlGpmMigSampleGet(h(0), 4, s.{name})") == "NVMLError_NotFound"
    node.remove("gpu 0 mig 0")
    assert get(ask, "a", "b", [2]) == [[6, 0]]
