"""NVLink, link by link and summed up, and the fabric."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.conftest import MachineFactory
    from tests.unit.simulator.conftest import ClientFactory

NOON = 1_700_000_000
FIELDS = "[(v.nvmlReturn, v.valueType, v.value.ullVal) for v in nvmlDeviceGetFieldValues(h({gpu}), {ids})]"


def test_the_links_of_an_h100(machine: MachineFactory, nvml: ClientFactory) -> None:
    node = machine("h100x8")
    node.set("gpu 3", {"nvlink_state.5": 0, "nvlink_version.6": 7, "nvlink_remote_pci_bus_id.9": "00000000:0A:00.0"})
    capabilities = ["p2p_supported", "sysmem_access", "p2p_atomics", "sysmem_atomics", "sli_bridge", "valid"]
    for number, capability in enumerate(capabilities):
        node.set("gpu 3", {f"nvlink_{capability}.1": 10 + number})
    ask = nvml(node)
    assert ask("[nvmlDeviceGetNvLinkState(h(3), link) for link in range(18)]") == [1] * 5 + [0] + [1] * 12
    assert ask("[nvmlDeviceGetNvLinkVersion(h(3), link) for link in (5, 6)]") == [6, 7]
    assert ask("[nvmlDeviceGetNvLinkCapability(h(3), 0, c) for c in range(6)]") == [1, 1, 1, 1, 0, 1]
    assert ask("[nvmlDeviceGetNvLinkCapability(h(3), 1, c) for c in range(6)]") == [10, 11, 12, 13, 14, 15]
    assert ask("nvmlDeviceGetNvLinkRemoteDeviceType(h(3), 0)") == 2
    addresses = [f"00000000:{bus}:00.0" for bus in ("07", "0A")]
    assert ask("[nvmlDeviceGetNvLinkRemotePciInfo(h(3), link).busId for link in (17, 9)]") == addresses
    for call in ("State(h(3), 18)", "Version(h(3), 18)", "Capability(h(3), 0, 6)", "ErrorCounter(h(3), 0, 5)"):
        assert ask(f"nvmlDeviceGetNvLink{call}") == "NVMLError_InvalidArgument"
    assert nvml(machine("gtx1070"))("nvmlDeviceGetNvLinkState(h(0), 0)") == "NVMLError_NotSupported"


@pytest.mark.parametrize(
    ("counter", "key", "ids"),
    [
        (0, "nvlink_replay_errors", [46, 51, 108, 113, 52, 161]),
        (1, "nvlink_recovery_errors", [53, 58, 114, 119, 59, 162]),
        (2, "nvlink_crc_flit_errors", [32, 37, 96, 101, 38, 163]),
        (3, "nvlink_crc_data_errors", [39, 44, 102, 107, 45]),
        (4, "nvlink_ecc_data_errors", [148, 153, 154, 159, 160]),
    ],
)
def test_errors_by_call_by_field_and_in_all(
    machine: MachineFactory, nvml: ClientFactory, counter: int, key: str, ids: list[int]
) -> None:
    """Fields that name their link exist for the first twelve; the sum is over all eighteen; then one that takes any."""
    total = ids[4]
    node = machine("h100x8")
    node.set("gpu 0", {key: "scope", f"{key}.17": 1000})
    ask = nvml(node)
    assert ask(f"[nvmlDeviceGetNvLinkErrorCounter(h(0), link, {counter}) for link in (0, 5, 17)]") == [0, 5, 1000]
    assert ask(FIELDS.format(gpu=0, ids=ids[:4])) == [[0, 3, link] for link in (0, 5, 6, 11)]
    assert ask(FIELDS.format(gpu=0, ids=[total])) == [[0, 3, sum(range(17)) + 1000]]
    for by_scope in ids[5:]:
        scopes = [(by_scope, 3), (by_scope, 17), (by_scope, 2**32 - 1)]
        assert ask(FIELDS.format(gpu=0, ids=scopes)) == [[0, 3, 3], [0, 3, 1000], [0, 3, 1136]]
    node.set("gpu 0", {f"{key}.sum": 5})
    assert ask(FIELDS.format(gpu=0, ids=[total])) == [[0, 3, 5]]


def test_throughput_adds_up(machine: MachineFactory, nvml: ClientFactory) -> None:
    ask = nvml(machine("h100x8", clock=NOON + 5000))
    for field in (138, 139, 140, 141):
        links = ask(FIELDS.format(gpu=0, ids=[(field, link) for link in range(18)]))
        (whole,) = ask(FIELDS.format(gpu=0, ids=[(field, 2**32 - 1)]))
        assert all(link[:2] == [0, 3] and link[2] > 10**9 for link in links)
        assert whole == [0, 3, sum(value for _, _, value in links)]


def test_each_direction_has_its_field(machine: MachineFactory, nvml: ClientFactory) -> None:
    node = machine("h100x8")
    for number, key in enumerate(("data_tx", "data_rx", "raw_tx", "raw_rx")):
        node.set("gpu 0", {f"nvlink_throughput_{key}.2": 2**40 + number, f"nvlink_throughput_{key}.sum": number})
    ask = nvml(node)
    for scope, base in ((2, 2**40), (2**32 - 1, 0)):
        values = ask(FIELDS.format(gpu=0, ids=[(field, scope) for field in range(138, 142)]))
        assert values == [[0, 3, base + number] for number in range(4)]


def test_a_sum_needs_every_link(machine: MachineFactory, nvml: ClientFactory) -> None:
    node = machine("h100x8")
    node.set("gpu 0", {"nvlink_crc_flit_errors.4": "!GPU_IS_LOST"})
    ask = nvml(node)
    assert ask(FIELDS.format(gpu=0, ids=[38])) == [[15, 3, 0]]
    node = machine("gtx1070")
    node.set("gpu 0", {"nvlink_replay_errors.4": 1})
    assert nvml(node)(FIELDS.format(gpu=0, ids=[52])) == [[3, 3, 0]]


def test_other_fields_of_links(machine: MachineFactory, nvml: ClientFactory) -> None:
    node = machine("h100x8")
    node.set("gpu 0", {"nvlink_speed.7": 5, "nvlink_state.17": 0})
    ask = nvml(node)
    values = ask(FIELDS.format(gpu=0, ids=[91, 90, 84, 132, 133, (164, 7), (165, 17), (166, 0)]))
    assert [value[2] for value in values] == [18, 26562, 26562, 26562, 5, 5, 0, 6]
    assert ask(FIELDS.format(gpu=0, ids=[(91, 2**32 - 1), (165, 2**32 - 1)])) == [[0, 1, 18], [0, 1, 17]]


V = (
    "(lambda s: (setattr(s, 'version', {version}), nvmlDeviceGetGpuFabricInfoV(h(0), byref(s)), s.state & 255,"
    " s.status, s.cliqueId, s.healthMask, bytes(s.clusterUuid).hex(), getattr(s, 'healthSummary', None))[1:])"
    "({structure}())"
)


def test_the_fabric_in_all_versions(machine: MachineFactory, nvml: ClientFactory) -> None:
    node = machine("h100x8")
    uuid = "11111111-2222-3333-4444-555555555555"
    node.set("gpu 0", fabric_state=2, fabric_status=4, fabric_clique_id=9, fabric_cluster_uuid=uuid)
    node.set("gpu 0", fabric_health_mask=0x155, fabric_health_summary=2)
    ask = nvml(node)
    plain = uuid.replace("-", "")
    third = V.format(version="nvmlGpuFabricInfo_v3", structure="c_nvmlGpuFabricInfo_v3_t")
    assert ask(third) == [0, 2, 4, 9, 0x155, plain, 2]
    second = V.format(version="nvmlGpuFabricInfo_v2", structure="c_nvmlGpuFabricInfo_v2_t")
    assert ask(second) == [0, 2, 4, 9, 0x155, plain, None]
    assert ask(V.format(version=5, structure="c_nvmlGpuFabricInfo_v3_t")) == "NVMLError_ArgumentVersionMismatch"
    first = "(lambda s: (nvmlDeviceGetGpuFabricInfo(h(0), byref(s)), s.state & 255, s.status, s.cliqueId))"
    assert ask(f"{first}(c_nvmlGpuFabricInfo_t())") == [0, 2, 4, 9]
    node.set("gpu 0", fabric_cluster_uuid="1234")
    assert ask(third) == "NVMLError_Unknown"
    assert nvml(machine("t4"))(third) == "NVMLError_NotSupported"


def test_padding_is_left_as_it_was(machine: MachineFactory, nvml: ClientFactory) -> None:
    """NVML's state is one byte, pynvml's four: what was in the other three stays, as with the real driver."""
    ask = nvml(machine("h100x8"))
    dirty = (
        "(lambda s: (memset(byref(s), 0xee, sizeof(s)), setattr(s, 'version', nvmlGpuFabricInfo_v3),"
        " nvmlDeviceGetGpuFabricInfoV(h(0), byref(s)), hex(s.state))[3])(c_nvmlGpuFabricInfo_v3_t())"
    )
    assert ask(dirty.replace("memset", "__import__('ctypes').memset")) == "0xeeeeee03"
