"""The graphs of a GPU and the value maps: one row each.

A graph exists only where every item of it does, so a graph holds what cards have together: temperatures with
thresholds on cards that give thresholds, with margins on cards that give margins.
"""

from __future__ import annotations

from typing import NamedTuple

from zbx_nvidia.catalog.xid import XIDS


class GraphLine(NamedTuple):
    """One line of a graph.

    Attributes:
        metric: The metric it shows.
        color: RRGGBB.
        drawn: SINGLE_LINE, BOLD_LINE, FILLED_REGION or DASHED_LINE.
    """

    metric: str
    color: str
    drawn: str = "SINGLE_LINE"


class Graph(NamedTuple):
    """One graph prototype.

    Attributes:
        key: Its identity, for ever.
        name: The end of its name.
        lines: What it shows.
        top: The metric that is the upper end of the axis, or "".
        percent: Whether the axis runs from 0 to 100.
    """

    key: str
    name: str
    lines: tuple[GraphLine, ...]
    top: str = ""
    percent: bool = False


GRAPHS = (
    Graph(
        key="temperature",
        name="Temperature",
        lines=(
            GraphLine("gpu.temperature", "1A7C11", "BOLD_LINE"),
            GraphLine("gpu.temperature_slowdown", "FF8000", "DASHED_LINE"),
            GraphLine("gpu.temperature_shutdown", "F63100", "DASHED_LINE"),
        ),
    ),
    Graph(
        key="temperature_margin",
        name="Temperature and margin (T.Limit)",
        lines=(
            GraphLine("gpu.temperature", "1A7C11", "BOLD_LINE"),
            GraphLine("gpu.temperature_margin", "2774A4"),
            GraphLine("gpu.temperature_slowdown_margin", "FF8000", "DASHED_LINE"),
        ),
    ),
    Graph(
        key="headroom",
        name="Temperature and headroom",
        lines=(
            GraphLine("gpu.temperature", "1A7C11", "BOLD_LINE"),
            GraphLine("gpu.temperature_headroom", "FF8000"),
        ),
    ),
    Graph(
        key="utilization",
        name="Utilization of GPU and memory controller",
        lines=(
            GraphLine("gpu.utilization", "1A7C11", "BOLD_LINE"),
            GraphLine("gpu.utilization_memory", "2774A4"),
        ),
        percent=True,
    ),
    Graph(
        key="memory",
        name="Memory usage",
        lines=(
            GraphLine("gpu.memory_used", "2774A4", "FILLED_REGION"),
            GraphLine("gpu.memory_total", "F63100", "DASHED_LINE"),
        ),
        top="gpu.memory_total",
    ),
    Graph(
        key="power",
        name="Power draw and limit",
        lines=(
            GraphLine("gpu.power", "A54F10", "BOLD_LINE"),
            GraphLine("gpu.power_limit", "F63100", "DASHED_LINE"),
        ),
    ),
    Graph(
        key="power_peaks",
        name="Power draw between polls",
        lines=(
            GraphLine("gpu.sampled_power_average", "A54F10", "BOLD_LINE"),
            GraphLine("gpu.sampled_power_p95", "FF8000"),
            GraphLine("gpu.sampled_power_peak", "F63100"),
        ),
    ),
    Graph(
        key="utilization_peaks",
        name="GPU utilization between polls",
        lines=(
            GraphLine("gpu.sampled_utilization_average", "1A7C11", "BOLD_LINE"),
            GraphLine("gpu.sampled_utilization_p95", "2774A4"),
            GraphLine("gpu.sampled_utilization_peak", "F63100"),
        ),
        percent=True,
    ),
    Graph(
        key="gpm",
        name="GPM activity",
        lines=(
            GraphLine("gpu.gpm_sm", "1A7C11", "BOLD_LINE"),
            GraphLine("gpu.gpm_occupancy", "2774A4"),
            GraphLine("gpu.gpm_tensor", "FF8000"),
            GraphLine("gpu.gpm_memory", "A54F10"),
        ),
        percent=True,
    ),
    Graph(
        key="pcie",
        name="PCIe throughput",
        lines=(GraphLine("gpu.sampled_pcie_sent", "1A7C11"), GraphLine("gpu.sampled_pcie_received", "2774A4")),
    ),
    Graph(
        key="throttling",
        name="Throttling, in % of time",
        lines=(
            GraphLine("gpu.throttle_share_power", "AC8C14"),
            GraphLine("gpu.throttle_share_sw_thermal", "FF8000"),
            GraphLine("gpu.throttle_share_hw_thermal", "F63100"),
            GraphLine("gpu.throttle_share_power_brake", "6C59DC"),
        ),
        percent=True,
    ),
    Graph(
        key="ecc",
        name="ECC errors",
        lines=(
            GraphLine("gpu.ecc_corrected_volatile", "AC8C14"),
            GraphLine("gpu.ecc_uncorrected_volatile", "F63100", "BOLD_LINE"),
        ),
    ),
    Graph(
        key="nvlink",
        name="NVLink throughput",
        lines=(GraphLine("gpu.nvlink_sent_rate", "1A7C11"), GraphLine("gpu.nvlink_received_rate", "2774A4")),
    ),
    Graph(
        key="fan",
        name="Fan speed",
        lines=(GraphLine("gpu.fan_speed", "6C59DC", "BOLD_LINE"),),
    ),
    Graph(
        key="clocks",
        name="Clocks",
        lines=(
            GraphLine("gpu.clock_sm", "1A7C11", "BOLD_LINE"),
            GraphLine("gpu.clock_memory", "2774A4"),
        ),
    ),
    Graph(
        key="codec",
        name="Encoder and decoder utilization",
        lines=(GraphLine("gpu.utilization_encoder", "A54F10"), GraphLine("gpu.utilization_decoder", "2774A4")),
        percent=True,
    ),
)

# What is shown of a number that a value map lacks.
DEFAULTS = {"NVIDIA XID": "Unknown code"}

# The value maps, except that of the driver status, which follows from `status`.
VALUEMAPS = {
    "NVIDIA yes or no": {"0": "No", "1": "Yes"},
    "NVIDIA on or off": {"0": "Off", "1": "On"},
    "NVIDIA fabric state": {"0": "Not supported", "1": "Not started", "2": "In progress", "3": "Completed"},
    "NVIDIA fabric health": {"0": "Not supported", "1": "Healthy", "2": "Unhealthy", "3": "Limited capacity"},
    "NVIDIA compute mode": {"0": "Default", "1": "Exclusive thread", "2": "Prohibited", "3": "Exclusive process"},
    "NVIDIA recovery action": {
        "0": "None",
        "1": "Reset the GPU",
        "2": "Reboot the node",
        "3": "Drain peer-to-peer traffic",
        "4": "Drain, then reset the GPU",
        "5": "Recover the IMEX domain",
        "6": "Reset the bus",
        "7": "Reboot the system",
    },
    "NVIDIA XID": {"0": "None", **{f"{xid.code}": xid.meaning for xid in XIDS}},
    "NVIDIA virtualization mode": {
        "0": "None",
        "1": "Pass-through",
        "2": "vGPU",
        "3": "vGPU host",
        "4": "vSGA host",
    },
    "NVIDIA license state": {
        "0": "Unknown",
        "1": "Not initialized",
        "2": "Unlicensed, not restricted",
        "3": "Unlicensed, restricted",
        "4": "Unlicensed",
        "5": "Licensed",
    },
    "NVIDIA confidential computing environment": {"0": "None", "1": "Simulation", "2": "Production"},
    "NVIDIA NVLink version": {
        "1": "1.0",
        "2": "2.0",
        "3": "2.2",
        "4": "3.0",
        "5": "3.1",
        "6": "4.0",
        "7": "5.0",
        "8": "6.0",
    },
    "NVIDIA presence": {"0": "Missing", "1": "Present"},
    "NVIDIA performance state": {
        **{f"{state}": f"P{state}" for state in range(16)},
        "0": "P0 (maximum performance)",
        "15": "P15 (minimum performance)",
    },
}
