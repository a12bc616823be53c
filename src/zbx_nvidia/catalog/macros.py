"""The template's user macros that alerts and items use, with their defaults. One row each.

The switches `{$NVIDIA.GROUP.*}` are not here: they follow from the groups of metrics.
"""

from __future__ import annotations

from typing import NamedTuple

from zbx_nvidia.catalog.xid import NOTIFIED, pattern, pattern_of
from zbx_nvidia.catalog.xid_actions import RESET, RESTART, SUPPORT


class Macro(NamedTuple):
    """One user macro.

    Attributes:
        name: Without the braces.
        value: The default.
        text: What it is for, with its unit.
    """

    name: str
    value: str
    text: str


MACROS = (
    Macro("$NVIDIA.INTERVAL", "1m", "How often the host is asked for its document; {$NVIDIA.NODATA} goes with it."),
    Macro("$NVIDIA.LINKS.INTERVAL", "5m", "How often for that of its NVLinks, where that item is enabled."),
    Macro("$NVIDIA.NODATA", "5m", "Silence of a host that raises an alarm; at least 3 times the interval."),
    Macro("$NVIDIA.STALE", "3m", "How long a document may stay the same; more than the service takes for one."),
    Macro("$NVIDIA.CLOCK", "3m", "Difference between the clocks of host and server that raises an alarm."),
    Macro("$NVIDIA.POLLS", "#2", "Polls in a row in which a driver or a GPU has to be gone for an alarm."),
    Macro("$NVIDIA.GPU.EXPECTED", "0", "Number of GPUs that the host should have; 0: not checked."),
    Macro("$NVIDIA.GPU.MEMORY", "30d", "How long a GPU that was here is missed; not longer than history is kept."),
    Macro("$NVIDIA.GPU.WATCH", "1", '0: this GPU may be missing. With context: {$NVIDIA.GPU.WATCH:"GPU-..."}.'),
    Macro("$NVIDIA.GPU.MATCHES", ".*", "Only GPUs whose model matches are discovered."),
    Macro("$NVIDIA.GPU.NOT_MATCHES", "CHANGE_IF_NEEDED", "GPUs whose model matches are not discovered."),
    Macro("$NVIDIA.UUID.MATCHES", ".*", "Only GPUs whose UUID matches are discovered."),
    Macro("$NVIDIA.UUID.NOT_MATCHES", "CHANGE_IF_NEEDED", "GPUs whose UUID matches are not discovered."),
    Macro("$NVIDIA.USER.MATCHES", ".*", "Only users whose name matches are discovered."),
    Macro("$NVIDIA.USER.NOT_MATCHES", "CHANGE_IF_NEEDED", "Users whose name matches are not discovered."),
    Macro("$NVIDIA.TEMP.PERIOD", "3m", "How long a GPU has to be near its limit for an alarm."),
    Macro("$NVIDIA.TEMP.MARGIN", "5", "Degrees below the card's own slowdown point from which a GPU is too hot."),
    Macro("$NVIDIA.TEMP.HYST", "3", "Degrees that a GPU has to cool down further for the alarm to end."),
    Macro("$NVIDIA.SLOW", "2", "Seconds a collection may take; the agent's own limit is 3 by default."),
    Macro("$NVIDIA.SLOW.PERIOD", "10m", "How long collections have to be slow, or readings in error, for an alarm."),
    Macro("$NVIDIA.ECC.PERIOD", "1h", "How long an alarm for an uncorrected ECC error stays after the last one."),
    Macro("$NVIDIA.ECC.CORRECTED.MAX", "10000", "Corrected ECC errors an hour, mean of the period, that are too many."),
    Macro("$NVIDIA.ECC.CORRECTED.PERIOD", "1h", "Period of that mean."),
    Macro("$NVIDIA.REMAP.MAX", "512", "Rows remapped for uncorrected errors at which a card is worn out."),
    Macro("$NVIDIA.RETIRED.MAX", "63", "Retired pages at which a card is worn out."),
    Macro("$NVIDIA.XID.RESET", pattern_of(RESET), "XID codes after which a GPU must be reset."),
    Macro("$NVIDIA.XID.RESTART", pattern_of(RESTART), "XID codes after which the host must be restarted."),
    Macro("$NVIDIA.XID.SUPPORT", pattern_of(SUPPORT), "XID codes that somebody must look into."),
    Macro("$NVIDIA.XID.FABRIC", "^,45,$", "XID codes that, alone and outside the fabric, point at the fabric manager."),
    Macro("$NVIDIA.XID.INFO", pattern(*NOTIFIED), "XID codes that are worth a message."),
    Macro("$NVIDIA.THROTTLE.PERIOD", "5m", "How long the hardware has to hold the clocks down for an alarm."),
    Macro("$NVIDIA.THROTTLE.SW.PERIOD", "30m", "How long the driver has to cool the card down for an alarm."),
    Macro("$NVIDIA.PCIE.PERIOD", "10m", "How long a PCIe link has to be too slow, or bad, for an alarm."),
    Macro("$NVIDIA.PCIE.LOAD", "50", "GPU utilization in % from which a link must run at its full generation."),
    Macro("$NVIDIA.PCIE.REPLAYS", "1", "Multiple of the PCIe replay rate that a link of its speed may have."),
    Macro(
        "$NVIDIA.NVLINK.EXPECTED", "0",
        "NVLinks that each GPU should have up, 18 on an H100 or H200 of an HGX board; 0: as many as were lately.",
    ),
    Macro("$NVIDIA.NVLINK.DOWN", "2m", "How long an NVLink has to be down for an alarm."),
    Macro("$NVIDIA.NVLINK.PERIOD", "10m", "How long an NVLink error is remembered."),
    Macro("$NVIDIA.FABRIC.PERIOD", "10m", "How long a GPU may take to join the fabric."),
    Macro("$NVIDIA.NVLINK.MEMORY", "30d", "How long a lost NVLink is missed; not longer than history is kept."),
    Macro("$NVIDIA.NVLINK.CRC", "100", "NVLink CRC errors a second that are too many."),
    Macro("$NVIDIA.EXPECTED.DRIVER", "", "Driver version that the host should have; empty: not checked."),
    Macro("$NVIDIA.EXPECTED.VBIOS", "", "VBIOS version that its GPUs should have; empty: not checked."),
    Macro("$NVIDIA.EXPECTED.ECC", "-1", "1: ECC should be on, 0: off, -1: not checked."),
    Macro("$NVIDIA.EXPECTED.MIG", "-1", "1: MIG mode should be on, 0: off, -1: not checked."),
    Macro("$NVIDIA.EXPECTED.PERSISTENCE", "-1", "1: persistence mode should be on, 0: off, -1: not checked."),
    Macro("$NVIDIA.EXPECTED.POWER", "-1", "Power limit in W that GPUs should have; -1: not checked."),
    Macro("$NVIDIA.IDLE.ALARM", "0", "1: tell when memory is held but the GPU does nothing."),
    Macro("$NVIDIA.IDLE.PERIOD", "1h", "For how long."),
    Macro("$NVIDIA.IDLE.MEMORY", "10", "Memory in % that counts as held."),
    Macro("$NVIDIA.STALL.ALARM", "0", "1: tell when a GPU looks busy but draws no more power than at rest."),
    Macro("$NVIDIA.STALL.PERIOD", "30m", "For how long."),
    Macro("$NVIDIA.STALL.UTIL", "95", "GPU utilization in % that looks busy."),
    Macro("$NVIDIA.STALL.POWER", "25", "Power draw in % of the limit that a GPU at work exceeds."),
    Macro("$NVIDIA.ABANDONED.ALARM", "0", "1: tell when memory is held but no process is on the GPU."),
    Macro("$NVIDIA.ABANDONED.PERIOD", "10m", "For how long."),
    Macro("$NVIDIA.PROCESS.AGE", "0", "Seconds that a process may be on a GPU; 0: as long as it likes."),
    Macro("$NVIDIA.LICENSE.PERIOD", "30m", "How long a vGPU may be without its license, as it is after each start."),
    Macro("$NVIDIA.FAN.PERIOD", "5m", "How long no fan may be asked to turn while the GPU is hot."),
    Macro("$NVIDIA.FAN.MEMORY", "30d", "How long a fan that has turned is expected to turn."),
    Macro("$NVIDIA.FAN.HOT", "70", "Temperature in °C above which a fan must turn; cards stop it when they are cool."),
)  # fmt: skip
