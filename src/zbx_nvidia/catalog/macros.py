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
    Macro("$NVIDIA.INTERVAL", "1m", "Poll interval of nvidia.get. {$NVIDIA.NODATA} must be at least 3 times as long."),
    Macro("$NVIDIA.LINKS.INTERVAL", "5m", "Poll interval of nvidia.links.get, if that item is enabled."),
    Macro("$NVIDIA.NODATA", "5m", "Time without data from a host that raises an alert. At least 3 poll intervals."),
    Macro(
        "$NVIDIA.STALE", "3m",
        "Time with an unchanged document that raises an alert. Must exceed the interval of the service.",
    ),
    Macro("$NVIDIA.CLOCK", "3m", "Difference between the clocks of host and server that raises an alert."),
    Macro("$NVIDIA.POLLS", "#2", "Number of polls (#) for which a driver or GPU must be gone before an alert."),
    Macro("$NVIDIA.GPU.EXPECTED", "0", "Number of GPUs that the host should have. 0: not checked."),
    Macro(
        "$NVIDIA.GPU.MEMORY", "30d",
        "How long a GPU that is gone counts as missing. Not longer than history is kept.",
    ),
    Macro("$NVIDIA.GPU.WATCH", "1", '0: no alert if this GPU is missing. With context: {$NVIDIA.GPU.WATCH:"GPU-..."}.'),
    Macro("$NVIDIA.GPU.MATCHES", ".*", "Discover only GPUs whose model matches this regular expression."),
    Macro(
        "$NVIDIA.GPU.NOT_MATCHES", "CHANGE_IF_NEEDED",
        "Do not discover GPUs whose model matches this regular expression.",
    ),
    Macro("$NVIDIA.UUID.MATCHES", ".*", "Discover only GPUs whose UUID matches this regular expression."),
    Macro(
        "$NVIDIA.UUID.NOT_MATCHES", "CHANGE_IF_NEEDED",
        "Do not discover GPUs whose UUID matches this regular expression.",
    ),
    Macro("$NVIDIA.USER.MATCHES", ".*", "Discover only users whose name matches this regular expression."),
    Macro(
        "$NVIDIA.USER.NOT_MATCHES", "CHANGE_IF_NEEDED",
        "Do not discover users whose name matches this regular expression.",
    ),
    Macro("$NVIDIA.TEMP.PERIOD", "3m", "How long a temperature must be near its limit before an alert."),
    Macro("$NVIDIA.TEMP.MARGIN", "5", "Distance to the limit, in °C, below which a temperature raises an alert."),
    Macro("$NVIDIA.TEMP.HYST", "3", "Additional distance, in °C, that a temperature must reach to resolve the alert."),
    Macro("$NVIDIA.SLOW", "2", "Maximum collection duration, in s. The Timeout of the agent is 3 by default."),
    Macro("$NVIDIA.SLOW.PERIOD", "10m", "How long collections must be slow, or readings must fail, before an alert."),
    Macro("$NVIDIA.ECC.PERIOD", "1h", "How long an uncorrected ECC error keeps its alert raised."),
    Macro("$NVIDIA.ECC.CORRECTED.MAX", "10000", "Maximum corrected ECC errors per hour, averaged over the period."),
    Macro("$NVIDIA.ECC.CORRECTED.PERIOD", "1h", "Period for the average of corrected ECC errors."),
    Macro("$NVIDIA.REMAP.MAX", "512", "Rows remapped for uncorrected errors at which a card must be replaced."),
    Macro("$NVIDIA.RETIRED.MAX", "63", "Retired pages at which a card must be replaced."),
    Macro("$NVIDIA.XID.RESET", pattern_of(RESET), "Regular expression for XID codes that require a GPU reset."),
    Macro(
        "$NVIDIA.XID.RESTART", pattern_of(RESTART),
        "Regular expression for XID codes that require a restart of the host.",
    ),
    Macro("$NVIDIA.XID.SUPPORT", pattern_of(SUPPORT), "Regular expression for XID codes to investigate."),
    Macro(
        "$NVIDIA.XID.FABRIC", "^,45,$",
        "Regular expression for XID codes that point at the fabric manager if they are alone and the GPU is not in its "
        "fabric.",
    ),
    Macro(
        "$NVIDIA.XID.INFO", pattern(*NOTIFIED),
        "Regular expression for XID codes that raise an alert for information.",
    ),
    Macro("$NVIDIA.THROTTLE.PERIOD", "5m", "How long hardware throttling must last before an alert."),
    Macro("$NVIDIA.THROTTLE.SW.PERIOD", "30m", "How long thermal throttling by software must last before an alert."),
    Macro("$NVIDIA.PCIE.PERIOD", "10m", "How long a PCIe link must be slow or faulty before an alert."),
    Macro("$NVIDIA.PCIE.LOAD", "50", "GPU utilization, in %, above which a link must run at its maximum generation."),
    Macro("$NVIDIA.PCIE.REPLAYS", "1", "Factor on the acceptable PCIe replay rate of a link of this speed."),
    Macro(
        "$NVIDIA.NVLINK.EXPECTED", "0",
        "NVLinks that each GPU should have up, such as 18 for an H100 or H200 on an HGX board. 0: as many as were up "
        "within {$NVIDIA.NVLINK.MEMORY}.",
    ),
    Macro("$NVIDIA.NVLINK.DOWN", "2m", "How long an NVLink must be down before an alert."),
    Macro(
        "$NVIDIA.NVLINK.PERIOD", "10m",
        "How long an NVLink error keeps its alert raised. Also the period of the CRC error rate.",
    ),
    Macro("$NVIDIA.FABRIC.PERIOD", "10m", "How long a GPU may take to join the fabric."),
    Macro(
        "$NVIDIA.NVLINK.MEMORY", "30d",
        "How long an NVLink that is gone counts as down. Not longer than history is kept.",
    ),
    Macro("$NVIDIA.NVLINK.CRC", "100", "Maximum NVLink CRC errors per second."),
    Macro("$NVIDIA.EXPECTED.DRIVER", "", "Driver version that the host should have. Empty: not checked."),
    Macro("$NVIDIA.EXPECTED.VBIOS", "", "VBIOS version that the GPUs should have. Empty: not checked."),
    Macro("$NVIDIA.EXPECTED.ECC", "-1", "Expected ECC mode. 1: on. 0: off. -1: not checked."),
    Macro("$NVIDIA.EXPECTED.MIG", "-1", "Expected MIG mode. 1: on. 0: off. -1: not checked."),
    Macro("$NVIDIA.EXPECTED.PERSISTENCE", "-1", "Expected persistence mode. 1: on. 0: off. -1: not checked."),
    Macro("$NVIDIA.EXPECTED.POWER", "-1", "Expected power limit, in W. -1: not checked."),
    Macro("$NVIDIA.IDLE.ALARM", "0", "1: alert on GPUs with memory in use but no work."),
    Macro("$NVIDIA.IDLE.PERIOD", "1h", "How long memory must be in use without work before an alert."),
    Macro("$NVIDIA.IDLE.MEMORY", "10", "Used memory, in %, above which memory counts as in use."),
    Macro("$NVIDIA.STALL.ALARM", "0", "1: alert on GPUs with high utilization but low power draw."),
    Macro("$NVIDIA.STALL.PERIOD", "30m", "How long utilization must be high and power draw low before an alert."),
    Macro("$NVIDIA.STALL.UTIL", "95", "GPU utilization, in %, that counts as high."),
    Macro("$NVIDIA.STALL.POWER", "25", "Power draw, in % of the limit, below which it counts as low."),
    Macro("$NVIDIA.ABANDONED.ALARM", "0", "1: alert on GPUs with memory in use but no process."),
    Macro("$NVIDIA.ABANDONED.PERIOD", "10m", "How long memory must be in use without a process before an alert."),
    Macro("$NVIDIA.PROCESS.AGE", "0", "Maximum age of a process on a GPU, in s. 0: not checked."),
    Macro(
        "$NVIDIA.LICENSE.PERIOD", "30m",
        "How long a vGPU may be without its license, as it is after each start.",
    ),
    Macro("$NVIDIA.FAN.PERIOD", "5m", "How long a fan may be off while the GPU is hot."),
    Macro("$NVIDIA.FAN.MEMORY", "30d", "How long a fan that has run is expected to run when the GPU is hot."),
    Macro("$NVIDIA.FAN.HOT", "70", "Temperature, in °C, above which a fan must run."),
)  # fmt: skip
