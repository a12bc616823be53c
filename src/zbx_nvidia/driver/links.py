"""Readers of the links of a GPU: PCIe, NVLink, and the fabric of NVSwitches."""

from __future__ import annotations

from typing import NoReturn

import pynvml

from zbx_nvidia.driver import fields, native
from zbx_nvidia.driver.calls import Absent, NotNow, Refused, amount, call, first, number
from zbx_nvidia.driver.card import Card
from zbx_nvidia.driver.fabric import faults_of
from zbx_nvidia.driver.fields import MEGA
from zbx_nvidia.driver.readings import Fabric, FabricHealth, FabricPlace, LinkSpeed, NvLink
from zbx_nvidia.kernel import bus

# The fields of one link, by key of the catalog. Of several fields with one key, the first that answers counts.
_LINK_FIELDS: tuple[tuple[str, fields.Field[int]], ...] = (
    ("version", fields.LINK_VERSION),
    ("speed", fields.LINK_SPEED),
    ("sent", fields.LINK_SENT),
    ("sent", fields.LINK_SENT_BEFORE_5),
    ("received", fields.LINK_RECEIVED),
    ("received", fields.LINK_RECEIVED_BEFORE_5),
    ("recoveries", fields.LINK_RECOVERIES),
    ("receive_errors", fields.LINK_RECEIVE_ERRORS),
    ("effective_errors", fields.LINK_EFFECTIVE_ERRORS),
)
# Before NVLink 5.
_LINK_ERRORS = {
    "recoveries": (pynvml.NVML_NVLINK_ERROR_DL_RECOVERY,),
    "replays": (pynvml.NVML_NVLINK_ERROR_DL_REPLAY,),
    "crc": (pynvml.NVML_NVLINK_ERROR_DL_CRC_FLIT, pynvml.NVML_NVLINK_ERROR_DL_CRC_DATA),
}
# MB/s in one direction that a link of each version (NVML_NVLINK_VERSION_*) has at least, by NVIDIA's data sheets: the
# slowest are the NVLink 3.1 of RTX cards. Drivers round.
_LEAST = {1: 20_000, 2: 25_000, 3: 25_000, 4: 25_000, 5: 14_000, 6: 25_000, 7: 50_000, 8: 100_000}
_ROUNDED = 0.95


class LinkReaders(Card):
    """PCIe, NVLink and fabric of a GPU.

    A sum over NVLinks is NotNow while one link returns no count, what is said of a PCIe link while it is down.
    """

    def pcie_generation(self) -> int:
        """Generation of PCIe in use. nvmlDeviceGetCurrPcieLinkGeneration. nvidia-smi: pcie.link.gen.current."""
        return _of_link(number(call(pynvml.nvmlDeviceGetCurrPcieLinkGeneration, self._handle)))

    def pcie_generation_max(self) -> int:
        """Highest generation that card and slot have in common. nvmlDeviceGetMaxPcieLinkGeneration, sysfs.

        nvidia-smi: pcie.link.gen.max.
        """
        self._require_slot()
        both = _of_link(number(call(pynvml.nvmlDeviceGetMaxPcieLinkGeneration, self._handle)))
        return min(both, self._port()[0] or both)

    def pcie_width(self) -> int:
        """Number of lanes in use. nvmlDeviceGetCurrPcieLinkWidth. nvidia-smi: pcie.link.width.current."""
        return _of_link(number(call(pynvml.nvmlDeviceGetCurrPcieLinkWidth, self._handle)))

    def pcie_width_max(self) -> int:
        """Number of lanes that card and slot have in common. nvmlDeviceGetMaxPcieLinkWidth, sysfs.

        nvidia-smi: pcie.link.width.max.
        """
        self._require_slot()
        both = _of_link(number(call(pynvml.nvmlDeviceGetMaxPcieLinkWidth, self._handle)))
        return min(both, self._port()[1] or both)

    def pcie_replays(self) -> int:
        """Number of packets sent again. nvmlDeviceGetPcieReplayCounter. nvidia-smi -q: Replays Since Reset."""
        return number(call(pynvml.nvmlDeviceGetPcieReplayCounter, self._handle))

    def nvlink(self) -> NvLink:
        """Number of NVLinks. Field NVLINK_LINK_COUNT, nvmlDeviceGetNvLinkState. nvidia-smi nvlink -s."""
        links = self._links()
        down = [link for link in range(links) if not self._link_is_up(link)]
        return NvLink(links - len(down), links, ", ".join(map(str, down)))

    def nvlink_sent(self) -> int:
        """Payload sent over all links, in B. Fields NVLINK_COUNT_XMIT_BYTES (NVLink 5), NVLINK_THROUGHPUT_DATA_TX.

        nvidia-smi nvlink -gt d.
        """
        return first(
            lambda: self._over_links(fields.LINK_SENT),
            lambda: self._total(fields.NVLINK_SENT_BEFORE_5),
        )

    def nvlink_received(self) -> int:
        """Payload received over all links, in B. Fields NVLINK_COUNT_RCV_BYTES (NVLink 5), NVLINK_THROUGHPUT_DATA_RX.

        nvidia-smi nvlink -gt d.
        """
        return first(
            lambda: self._over_links(fields.LINK_RECEIVED),
            lambda: self._total(fields.NVLINK_RECEIVED_BEFORE_5),
        )

    def nvlink_replays(self) -> int:
        """Number of packets sent again. Before NVLink 5.

        Field NVLINK_REPLAY_ERROR_COUNT_TOTAL, nvmlDeviceGetNvLinkErrorCounter of each link. nvidia-smi nvlink -e.
        """
        return first(lambda: self._total(fields.NVLINK_REPLAYS), lambda: self._over_calls("replays"))

    def nvlink_recoveries(self) -> int:
        """Number of times that a link was trained again.

        Fields NVLINK_COUNT_LINK_RECOVERY_EVENTS (NVLink 5), NVLINK_RECOVERY_ERROR_COUNT_TOTAL, or
        nvmlDeviceGetNvLinkErrorCounter of each link. nvidia-smi nvlink -e.
        """
        return first(
            lambda: self._over_links(fields.LINK_RECOVERIES),
            lambda: self._total(fields.NVLINK_RECOVERIES),
            lambda: self._over_calls("recoveries"),
        )

    def nvlink_recoveries_failed(self) -> int:
        """Number of times that a link could not be trained again and went down. NVLink 5.

        Field NVLINK_COUNT_LINK_RECOVERY_FAILED_EVENTS. nvidia-smi nvlink -e.
        """
        return self._over_links(fields.LINK_RECOVERIES_FAILED)

    def nvlink_crc(self) -> int:
        """Number of packets with a wrong checksum, of data and of flow control. Before NVLink 5.

        Fields NVLINK_CRC_FLIT_ERROR_COUNT_TOTAL, NVLINK_CRC_DATA_ERROR_COUNT_TOTAL, or
        nvmlDeviceGetNvLinkErrorCounter of each link. nvidia-smi nvlink -e.
        """
        return first(
            lambda: self._total(fields.NVLINK_CRC_FLIT) + self._total(fields.NVLINK_CRC_DATA),
            lambda: self._over_calls("crc"),
        )

    def speeds(self) -> LinkSpeed:
        """Speed of the NVLinks that are up, in B/s. Fields NVLINK_GET_VERSION, NVLINK_GET_SPEED.

        nvidia-smi nvlink -s.
        """
        links = self._links()
        answers = fields.ask_speeds(self._handle, links)
        speeds = {}
        slow = []
        # What all links answer alike is made a number once.
        by_answer: dict[tuple[native.FieldAnswer, native.FieldAnswer], tuple[int, bool]] = {}
        for link, answer in enumerate(zip(answers[::2], answers[1::2], strict=True)):
            if answer not in by_answer:
                by_answer[answer] = _speed_of(*answer)
            speed, is_slow = by_answer[answer]
            if speed and self._link_is_up(link):
                speeds[link] = speed
                if is_slow:
                    slow.append(link)
        if not speeds:
            if any(map(self._link_is_up, range(links))):
                raise Absent(0, "no speed")
            self._none_is_up(since=pynvml.NVML_DEVICE_ARCH_HOPPER)
        return LinkSpeed(min(speeds.values()), ", ".join(map(str, slow)))

    def nvlink_receive_errors(self) -> int:
        """Number of packets received with errors. Field NVLINK_COUNT_RCV_ERRORS. NVLink 5. nvidia-smi nvlink -e."""
        return self._over_links(fields.LINK_RECEIVE_ERRORS)

    def nvlink_effective_errors(self) -> int:
        """Number of errors that the forward error correction left. Field NVLINK_COUNT_EFFECTIVE_ERRORS. NVLink 5.

        nvidia-smi nvlink -e.
        """
        return self._over_links(fields.LINK_EFFECTIVE_ERRORS)

    def links(self) -> list[dict[str, int]]:
        """The readings of each NVLink, from `link`."""
        return [self.link(link) for link in range(self._links())]

    def link(self, link: int) -> dict[str, int]:
        """Readings of one NVLink by key of the catalog, those that it has: state, version, speed (B/s), bytes, errors.

        nvmlDeviceGetNvLinkState, nvmlDeviceGetFieldValues, nvmlDeviceGetNvLinkErrorCounter.
        nvidia-smi nvlink -s, -gt d, -e.
        """
        readings = {"up": self._link_is_up(link)}
        answers = fields.ask_link(self._handle, link, [field for _, field in _LINK_FIELDS])
        for (key, field), answer in zip(_LINK_FIELDS, answers, strict=True):
            try:
                readings.setdefault(key, field.value(answer))
            except Absent:
                continue
        for key in _LINK_ERRORS:
            try:
                readings.setdefault(key, self._link_errors(link, key))
            except Absent:
                continue
        return readings

    def fabric(self) -> Fabric:
        """State in the NVLink fabric. nvmlDeviceGetGpuFabricInfoV. Since r550. nvidia-smi -q: Fabric.

        A card that had joined its fabric was seen to report NOT_SUPPORTED from then on. So this is a state too, of
        each card with NVLinks; alerts know whether it had another one before.
        """
        info = self._fabric()
        if info.state == pynvml.NVML_GPU_FABRIC_STATE_NOT_SUPPORTED:
            self._links()
        return Fabric(info.state, info.status)

    def faults(self) -> FabricHealth:
        """Health of the fabric as this GPU sees it. nvmlDeviceGetGpuFabricInfoV. nvidia-smi -q: Fabric, Health."""
        info = self._fabric()
        if not info.mask and not info.summary:
            if info.state in {
                pynvml.NVML_GPU_FABRIC_STATE_NOT_STARTED,
                pynvml.NVML_GPU_FABRIC_STATE_IN_PROGRESS,
            }:
                raise NotNow(0, "not joined yet")
            raise Absent(0, "no information on health")
        return FabricHealth(info.summary, faults_of(info.mask, info.summary))

    def clique(self) -> FabricPlace:
        """Place in a fabric of several machines. nvmlDeviceGetGpuFabricInfoV.

        nvidia-smi -q: Fabric, CliqueId, ClusterUUID.
        """
        info = self._fabric()
        if not any(info.cluster):
            raise Absent(0, "a fabric of this machine alone")
        digits = info.cluster.hex()
        parts = (digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:])
        return FabricPlace(info.clique, "-".join(parts))

    def _fabric(self) -> native.FabricInfo:
        return self._once(
            "fabric",
            lambda: first(
                lambda: native.fabric(self._handle, pynvml.c_nvmlGpuFabricInfo_v3_t()),
                lambda: native.fabric(self._handle, pynvml.c_nvmlGpuFabricInfo_v2_t()),
            ),
        )

    def _port(self) -> tuple[int | None, int | None]:
        """What the port above the card can, as far as it is known."""
        return self._once("port", lambda: bus.port_above(self._address()))

    def _require_slot(self) -> None:
        """Absent in a virtual machine, which does not see the slot: there NVML returns the maximum of the card alone.

        A T4 and an A10G that a cloud passes through were seen to report 8 of 16 lanes permanently; nvidia-smi has
        "Host Max: N/A" there.
        """
        try:
            mode = self.virtualization_mode()
        except (Absent, Refused):
            return
        if mode in {pynvml.NVML_GPU_VIRTUALIZATION_MODE_PASSTHROUGH, pynvml.NVML_GPU_VIRTUALIZATION_MODE_VGPU}:
            raise Absent(0, "a virtual machine does not see the slot")

    def _links(self) -> int:
        links = self._field(fields.NVLINKS)
        if links == 0:
            raise Absent(0, "no NVLink")
        return amount(links)

    def _link_is_up(self, link: int) -> int:
        return self._once(("link", link), lambda: self._state_of(link))

    def _state_of(self, link: int) -> int:
        try:
            return int(call(pynvml.nvmlDeviceGetNvLinkState, self._handle, link) == pynvml.NVML_FEATURE_ENABLED)
        except Absent:
            return 0

    def _total(self, field: fields.CardField[int]) -> int:
        """A sum that the driver has; some drivers return 0 for a card without NVLinks."""
        self._links()
        return self._field(field)

    def _over_calls(self, errors: str) -> int:
        """The sum of a counter of `_LINK_ERRORS` over all links. Raises like `_over_links`."""
        counts: list[int] = []
        for link in range(links := self._links()):
            try:
                counts.append(self._link_errors(link, errors))
            except Absent:
                if self._link_is_up(link):
                    raise
        return self._sum(counts, links, before=pynvml.NVML_DEVICE_ARCH_BLACKWELL)

    def _link_errors(self, link: int, errors: str) -> int:
        return sum(
            number(call(pynvml.nvmlDeviceGetNvLinkErrorCounter, self._handle, link, counter))
            for counter in _LINK_ERRORS[errors]
        )

    def _sum(self, counts: list[int], links: int, *, since: int = 0, before: int = 0) -> int:
        """The sum of what the links count, if all do."""
        if not counts:
            self._none_is_up(since=since or pynvml.NVML_DEVICE_ARCH_HOPPER, before=before)
        if len(counts) < links:
            raise NotNow(0, "not every link gives its count")
        return sum(counts)

    def _none_is_up(self, *, since: int, before: int = 0) -> NoReturn:
        """No link has a value. If none is up, the card may have had it before.

        Args:
            since: First architecture whose boards all have their NVLinks connected, and that has the value. An RTX card
                without a bridge never had a link that is up.
            before: First architecture that no longer has the value; 0 for none.
        """
        links = self._links()
        try:
            chip = number(call(pynvml.nvmlDeviceGetArchitecture, self._handle))
        except Absent:
            chip = 0
        if chip >= since and (not before or chip < before) and not any(map(self._link_is_up, range(links))):
            raise NotNow(0, "no NVLink is up")
        raise Absent(pynvml.NVML_ERROR_NOT_SUPPORTED, "no such counter")

    def _over_links(self, counter: fields.LinkCounter) -> int:
        """The sum of a counter over all links.

        Raises:
            NotNow: One link returns no count, for example because it is down: the sum would fall without it, and jump
                when the link is back.
        """
        links = self._links()
        try:
            self._field(counter.of_first_link)
        except Absent:
            if self._link_is_up(0):
                raise
        answers = self._once("links", lambda: fields.ask_links(self._handle, links))
        counts = []
        for link in range(links):
            try:
                counts.append(counter.among(answers, link))
            except Absent:
                continue
        return self._sum(counts, links, since=pynvml.NVML_DEVICE_ARCH_BLACKWELL)


def _of_link(value: int) -> int:
    """Generation or lanes of a PCIe link, which has at least one."""
    if value == 0:
        raise NotNow(0, "no PCIe link")
    return value


def _speed_of(version: native.FieldAnswer, speed: native.FieldAnswer) -> tuple[int, bool]:
    """Speed of an NVLink, in B/s, and whether it is below the least of its version. 0 where the link has none."""
    try:
        known, fast = fields.LINK_VERSION.value(version), fields.LINK_SPEED.value(speed)
    except Absent:
        return 0, False
    return fast, fast < _ROUNDED * MEGA * _LEAST.get(known, 0)
