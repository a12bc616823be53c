"""The results of readers that return several values, which are present or absent together."""

# Without `from __future__ import annotations`: typing would compile the text of each annotation at each poll. That took
# a quarter of the import time of this module.
from typing import NamedTuple


class Utilization(NamedTuple):
    """Shares of the last sample period (1/6 s to 1 s, by product), in %.

    Attributes:
        gpu: Time in which at least one kernel ran.
        memory: Time in which device memory was read or written.
    """

    gpu: int
    memory: int


class Memory(NamedTuple):
    """Frame buffer memory.

    Attributes:
        total: In B.
        used: In B; includes the reserved part before driver branch r510.
        free: In B.
        used_percent: `used` as a share of `total`, in %.
    """

    total: int
    used: int
    free: int
    used_percent: float


class Bar1(NamedTuple):
    """The window through which the CPU and other devices reach the frame buffer, in B.

    Attributes:
        total: Its size.
        used: The part that is mapped.
    """

    total: int
    used: int


class PowerLimits(NamedTuple):
    """The range of the power limit, in W.

    Attributes:
        minimum: The lowest.
        maximum: The highest.
    """

    minimum: float
    maximum: float


class Throttling(NamedTuple):
    """The reasons why the clocks are reduced now: 1 for yes.

    Attributes:
        sw_power_cap: The power limit.
        hw_slowdown: The hardware, because of heat or power.
        sync_boost: Other GPUs of a sync boost group.
        sw_thermal: The driver, because of heat.
        hw_thermal: The hardware, because of heat.
        power_brake: The host or its power supply.
    """

    sw_power_cap: int
    hw_slowdown: int
    sync_boost: int
    sw_thermal: int
    hw_thermal: int
    power_brake: int


class RetiredPages(NamedTuple):
    """Number of memory pages taken out of use (before Ampere).

    Attributes:
        single: After repeated corrected errors.
        double: After an uncorrected error.
    """

    single: int
    double: int


class RemappedRows(NamedTuple):
    """Memory rows replaced by spare ones (Ampere and newer).

    Attributes:
        corrected: Number, after corrected errors.
        uncorrected: Number, after uncorrected errors.
        pending: 1 if a row waits for the next reset.
        failure: 1 if a row could not be replaced.
    """

    corrected: int
    uncorrected: int
    pending: int
    failure: int


class EccLocation(NamedTuple):
    """Number of ECC errors in one kind of memory.

    Attributes:
        corrected_volatile: Corrected, since the driver was loaded.
        uncorrected_volatile: Not corrected, since the driver was loaded.
        corrected_aggregate: Corrected, over the life of the card.
        uncorrected_aggregate: Not corrected, over the life of the card.
    """

    corrected_volatile: int
    uncorrected_volatile: int
    corrected_aggregate: int
    uncorrected_aggregate: int


class SpareRows(NamedTuple):
    """Number of memory banks, by how many spare rows they have left.

    Attributes:
        max: All.
        high: Most.
        partial: Some.
        low: Few.
        none: None.
    """

    max: int
    high: int
    partial: int
    low: int
    none: int


class NvLink(NamedTuple):
    """Number of NVLinks of a GPU.

    Attributes:
        up: Those that carry data.
        links: Those that the chip has.
        down: Numbers of the others, in words; "" if all are up.
    """

    up: int
    links: int
    down: str


class Fabric(NamedTuple):
    """State of a GPU in the NVLink fabric of its NVSwitches.

    Attributes:
        state: nvmlGpuFabricState_t: 1 not started, 2 in progress, 3 completed.
        status: NVML's return code for it, 0 for success.
    """

    state: int
    status: int


class FabricHealth(NamedTuple):
    """Health of a GPU's part of the NVLink fabric.

    Attributes:
        summary: NVML_GPU_FABRIC_HEALTH_SUMMARY_*: 1 healthy, 2 unhealthy, 3 limited capacity; 0 if the driver has none.
        faults: What is wrong, in words; "" for nothing.
    """

    summary: int
    faults: str


class FabricPlace(NamedTuple):
    """Where a GPU is in an NVLink fabric of several machines.

    Attributes:
        clique: Number of the part of the fabric in which GPUs reach each other.
        cluster: UUID of the fabric.
    """

    clique: int
    cluster: str


class Repairs(NamedTuple):
    """What the next reset of a GPU repairs: 1 for yes.

    Attributes:
        channel: A memory channel.
        tpc: A group of multiprocessors (TPC).
    """

    channel: int
    tpc: int


class LinkSpeed(NamedTuple):
    """Speed of the NVLinks that are up.

    Attributes:
        lowest: Of the slowest, in B/s.
        slow: Numbers of those that are slower than their version, in words; "" for none.
    """

    lowest: int
    slow: str


class Platform(NamedTuple):
    """Where a board sits in its rack.

    Attributes:
        chassis: Serial number of the chassis.
        slot: Slot of the chassis, counted by its maker.
        tray: Index of the compute tray.
    """

    chassis: str
    slot: int
    tray: int


class Confidential(NamedTuple):
    """Confidential computing, set for the whole machine.

    Attributes:
        feature: 1 if it is on.
        environment: 0 none, 1 for trials, 2 for production.
        dev_tools: 1 if tools may look inside, which makes it insecure.
    """

    feature: int
    environment: int
    dev_tools: int


class ProtectedMemory(NamedTuple):
    """Memory that confidential computing protects, in B.

    Attributes:
        total: All of it.
        used: The allocated part.
    """

    total: int
    used: int


class License(NamedTuple):
    """The license of a vGPU, seen from its guest.

    Attributes:
        state: NVML_GRID_LICENSE_STATE_*: 5 is licensed.
        product: The licensed product.
    """

    state: int
    product: str


class VgpuUtilization(NamedTuple):
    """Shares of the card's engines that a vGPU used, in %.

    Attributes:
        gpu: Of the multiprocessors.
        memory: Of the memory controller.
        encoder: Of the video encoder.
        decoder: Of the video decoder.
    """

    gpu: int
    memory: int
    encoder: int
    decoder: int


class GpuProcess(NamedTuple):
    """A process on a GPU.

    Attributes:
        pid: Its number: in the PID namespace of this process since driver branch r515, before that in the host's.
        kind: nvidia-smi's letters, joined by `+`: `C` computes, `G` draws, `M` computes through MPS.
        memory: Allocated memory, in B; None if the driver does not know.
        gpu_instance: Its MIG GPU instance; None outside MIG.
        compute_instance: Its compute instance there; None outside MIG.
    """

    pid: int
    kind: str
    memory: int | None
    gpu_instance: int | None
    compute_instance: int | None = None


class Sessions(NamedTuple):
    """Encoder or frame-capture sessions.

    Attributes:
        sessions: Number of open sessions.
        fps: Mean frames per second.
        latency: Mean time per frame, in s.
    """

    sessions: int
    fps: int
    latency: float
