"""The template's user macros that alerts and items use, with their defaults. One row each.

The switches `{$NVIDIA.GROUP.*}` are not here: they follow from the groups of metrics.
"""

from __future__ import annotations

from typing import NamedTuple

from zbx_nvidia.catalog.xid import NOTIFIED, pattern, pattern_of
from zbx_nvidia.catalog.xid_actions import RESET, RESTART, SUPPORT

# The sections of the Host Wizard (Zabbix 7.4 and newer), in their order there.
COLLECTION, EXPECTED, ALARMS, THRESHOLDS, FILTERS = "Collection", "Expected", "Alarms", "Thresholds", "Filters"
SECTIONS = (COLLECTION, EXPECTED, ALARMS, THRESHOLDS, FILTERS)

# Patterns of what is typed there. Zabbix puts them between slashes, so they contain none.
TIME = "^[0-9]+[smhdw]?$"
COUNT = "^[0-9]+$"
NUMBER = r"^[0-9]+(\.[0-9]+)?$"
NUMBER_OR_OFF = r"^(-1|[0-9]+(\.[0-9]+)?)$"
SWITCH = "^[01]$"
MODE = "^(-1|0|1)$"
ANYTHING = ""


class WizardField(NamedTuple):
    """The field of a macro in the Host Wizard.

    Attributes:
        section: One of `SECTIONS`.
        label: What stands beside the field.
        pattern: Regular expression for what is typed, without slashes; "" for anything.
    """

    section: str
    label: str
    pattern: str


class Macro(NamedTuple):
    """One user macro.

    Attributes:
        name: Without the braces.
        value: The default.
        text: What it is for, with its unit. It must be clear to somebody who sees no other macro.
        field: Its field in the Host Wizard. None: people seldom set it, as it is a detail of an alert, follows
            NVIDIA's documentation, or must fit what Zabbix stores.
    """

    name: str
    value: str
    text: str
    field: WizardField | None


MACROS = (
    Macro(
        "$NVIDIA.INTERVAL", "1m",
        "How often Zabbix polls the readings of all GPUs, the item nvidia.get. The time without data that raises an "
        "alert, {$NVIDIA.NODATA}, must be at least 3 times as long.",
        WizardField(COLLECTION, "Poll interval", TIME),
    ),
    Macro(
        "$NVIDIA.LINKS.INTERVAL", "5m",
        "How often Zabbix polls the readings of single NVLinks, the item nvidia.links.get, if that item is enabled.",
        WizardField(COLLECTION, "Poll interval of single NVLinks", TIME),
    ),
    Macro(
        "$NVIDIA.GPU.EXPECTED", "0",
        "Number of GPUs that the host should have. Fewer raise an alert. 0: not checked.",
        WizardField(EXPECTED, "Number of GPUs", COUNT),
    ),
    Macro(
        "$NVIDIA.NVLINK.EXPECTED", "0",
        "Number of NVLinks that each GPU should have up, such as 18 for an H100 or H200 on an HGX board. Fewer raise "
        "an alert. 0: as many as were up within {$NVIDIA.NVLINK.MEMORY}.",
        WizardField(EXPECTED, "NVLinks of each GPU", COUNT),
    ),
    Macro(
        "$NVIDIA.EXPECTED.DRIVER", "",
        "NVIDIA driver version that the host should have, such as 580.95.05. Another one raises an alert. Empty: not "
        "checked.",
        WizardField(EXPECTED, "Driver version", "^[0-9.]*$"),
    ),
    Macro(
        "$NVIDIA.EXPECTED.VBIOS", "",
        "VBIOS version that all GPUs of the host should have, such as 96.00.A5.00.01. Another one raises an alert. "
        "Empty: not checked.",
        WizardField(EXPECTED, "VBIOS version", "^[0-9A-Za-z.]*$"),
    ),
    Macro(
        "$NVIDIA.EXPECTED.PCIE.WIDTH", "0",
        "Number of PCIe lanes that each GPU should use, such as 16. Fewer raise an alert. 0: as many as it has used "
        "within {$NVIDIA.PCIE.MEMORY}. -1: as many as card and slot both support, too. For a single GPU, set this "
        'macro with its UUID as context: {$NVIDIA.EXPECTED.PCIE.WIDTH:"GPU-..."}.',
        WizardField(EXPECTED, "PCIe lanes of each GPU", "^(-1|[0-9]+)$"),
    ),
    Macro(
        "$NVIDIA.EXPECTED.ECC", "-1",
        "ECC mode that the GPUs should have. The other one raises an alert. 1: on. 0: off. -1: not checked.",
        WizardField(EXPECTED, "ECC mode", MODE),
    ),
    Macro(
        "$NVIDIA.EXPECTED.MIG", "-1",
        "MIG mode that the GPUs should have. The other one raises an alert. 1: on. 0: off. -1: not checked.",
        WizardField(EXPECTED, "MIG mode", MODE),
    ),
    Macro(
        "$NVIDIA.EXPECTED.PERSISTENCE", "-1",
        "Persistence mode that the GPUs should have. The other one raises an alert. 1: on. 0: off. -1: not checked.",
        WizardField(EXPECTED, "Persistence mode", MODE),
    ),
    Macro(
        "$NVIDIA.EXPECTED.POWER", "-1",
        "Power limit that the GPUs should have, in W. Another one raises an alert. -1: not checked.",
        WizardField(EXPECTED, "Power limit, in W", NUMBER_OR_OFF),
    ),
    Macro(
        "$NVIDIA.NODATA", "5m",
        "How long a host may send no GPU readings before an alert is raised. At least 3 poll intervals.",
        WizardField(ALARMS, "Time without data", TIME),
    ),
    Macro(
        "$NVIDIA.GPU.WATCH", "1",
        "Whether a missing GPU raises an alert. 1: yes. 0: no. For a single GPU, set this macro with its UUID as "
        'context: {$NVIDIA.GPU.WATCH:"GPU-..."}.',
        WizardField(ALARMS, "Alert on missing GPUs", SWITCH),
    ),
    Macro(
        "$NVIDIA.IDLE.ALARM", "0",
        "Whether a GPU raises an alert if its memory is in use, but it does no work. 1: yes. 0: no.",
        WizardField(ALARMS, "Alert on idle GPUs with memory in use", SWITCH),
    ),
    Macro(
        "$NVIDIA.IDLE.PERIOD", "1h",
        "How long a GPU must have memory in use and do no work before an alert is raised. Only if "
        "{$NVIDIA.IDLE.ALARM} is 1.",
        WizardField(ALARMS, "Time until a GPU counts as idle", TIME),
    ),
    Macro(
        "$NVIDIA.JOB.IDLE.ALARM", "0",
        "Whether a GPU raises an alert if a job holds it, but it does no work. 1: yes. 0: no.",
        WizardField(ALARMS, "Alert on idle GPUs that a job holds", SWITCH),
    ),
    Macro(
        "$NVIDIA.JOB.IDLE.PERIOD", "1h",
        "How long a job must hold a GPU that does no work before an alert is raised. Only if "
        "{$NVIDIA.JOB.IDLE.ALARM} is 1.",
        WizardField(ALARMS, "Time until a GPU that a job holds counts as idle", TIME),
    ),
    Macro(
        "$NVIDIA.STALL.ALARM", "0",
        "Whether a GPU raises an alert if its utilization is high, but its power draw is low: its work may hang. "
        "1: yes. 0: no.",
        WizardField(ALARMS, "Alert on GPUs that may hang", SWITCH),
    ),
    Macro(
        "$NVIDIA.STALL.PERIOD", "30m",
        "How long the utilization of a GPU must be high and its power draw low before an alert is raised. Only if "
        "{$NVIDIA.STALL.ALARM} is 1.",
        WizardField(ALARMS, "Time until work counts as hanging", TIME),
    ),
    Macro(
        "$NVIDIA.ABANDONED.ALARM", "0",
        "Whether a GPU raises an alert if its memory is in use, but no process runs on it. 1: yes. 0: no.",
        WizardField(ALARMS, "Alert on memory in use without a process", SWITCH),
    ),
    Macro(
        "$NVIDIA.ABANDONED.PERIOD", "10m",
        "How long the memory of a GPU must be in use without a process before an alert is raised. Only if "
        "{$NVIDIA.ABANDONED.ALARM} is 1.",
        WizardField(ALARMS, "Time of memory in use without a process", TIME),
    ),
    Macro(
        "$NVIDIA.TEMP.PERIOD", "3m",
        "How long a GPU or its memory must be near its temperature limit before an alert is raised.",
        WizardField(ALARMS, "Time near the temperature limit", TIME),
    ),
    Macro(
        "$NVIDIA.FAN.PERIOD", "5m",
        "How long a fan may be off while its GPU is hot before an alert is raised.",
        WizardField(ALARMS, "Time with the fan off while the GPU is hot", TIME),
    ),
    Macro(
        "$NVIDIA.THROTTLE.PERIOD", "5m",
        "How long the hardware must throttle a GPU, for heat or by power brake, before an alert is raised.",
        WizardField(ALARMS, "Time of throttling by hardware", TIME),
    ),
    Macro(
        "$NVIDIA.THROTTLE.SW.PERIOD", "30m",
        "How long the driver must throttle a GPU for heat before an alert is raised.",
        WizardField(ALARMS, "Time of throttling by software", TIME),
    ),
    Macro(
        "$NVIDIA.PCIE.PERIOD", "10m",
        "How long the PCIe link of a GPU must be slow or faulty before an alert is raised.",
        WizardField(ALARMS, "Time of a slow PCIe link", TIME),
    ),
    Macro(
        "$NVIDIA.NVLINK.DOWN", "2m",
        "How long an NVLink must be down before an alert is raised.",
        WizardField(ALARMS, "Time of an NVLink being down", TIME),
    ),
    Macro(
        "$NVIDIA.TEMP.MARGIN", "5",
        "Distance of the temperature of a GPU, or of its memory, to the limit of the card, in °C. A smaller one raises "
        "an alert.",
        WizardField(THRESHOLDS, "Distance to the temperature limit, in °C", NUMBER),
    ),
    Macro(
        "$NVIDIA.TEMP.MEMORY.MAX", "0",
        "Temperature of the memory of a GPU, in °C, at which an alert is raised. 0: {$NVIDIA.TEMP.MARGIN} below the "
        "limit that the card reports; cards since Hopper report none.",
        WizardField(THRESHOLDS, "Memory temperature, in °C", COUNT),
    ),
    Macro(
        "$NVIDIA.FAN.HOT", "70",
        "Temperature of a GPU, in °C, above which its fan must run. If the fan is off, an alert is raised.",
        WizardField(THRESHOLDS, "Temperature at which a fan must run, in °C", NUMBER),
    ),
    Macro(
        "$NVIDIA.SLOW", "2",
        "Maximum time that a collection of all GPU readings may take, in s. A longer one raises an alert. The Timeout "
        "of a Zabbix agent is 3 s by default.",
        WizardField(THRESHOLDS, "Duration of a collection, in s", NUMBER),
    ),
    Macro(
        "$NVIDIA.CLOCK", "3m",
        "Difference between the clocks of the host and the Zabbix server above which an alert is raised.",
        WizardField(THRESHOLDS, "Clock difference", TIME),
    ),
    Macro(
        "$NVIDIA.ECC.CORRECTED.MAX", "10000",
        "Maximum corrected ECC errors of a GPU per hour, averaged over {$NVIDIA.ECC.CORRECTED.PERIOD}. More raise an "
        "alert.",
        WizardField(THRESHOLDS, "Corrected ECC errors per hour", NUMBER),
    ),
    Macro(
        "$NVIDIA.PCIE.LOAD", "50",
        "GPU utilization, in %, above which the PCIe link of a GPU must run at its maximum generation.",
        WizardField(THRESHOLDS, "Utilization that needs a fast PCIe link, in %", NUMBER),
    ),
    Macro(
        "$NVIDIA.NVLINK.CRC", "100",
        "Maximum NVLink CRC errors of a GPU per second. More raise an alert.",
        WizardField(THRESHOLDS, "NVLink CRC errors per second", NUMBER),
    ),
    Macro(
        "$NVIDIA.IDLE.MEMORY", "10",
        "Share of used GPU memory, in %, above which the memory counts as in use. For the alerts on memory in use "
        "without work or without a process.",
        WizardField(THRESHOLDS, "Memory that counts as in use, in %", NUMBER),
    ),
    Macro(
        "$NVIDIA.STALL.UTIL", "95",
        "GPU utilization, in %, that counts as high. For the alert on high utilization with low power draw.",
        WizardField(THRESHOLDS, "High utilization of a GPU that may hang, in %", NUMBER),
    ),
    Macro(
        "$NVIDIA.STALL.POWER", "25",
        "Power draw of a GPU, in % of its power limit, below which it counts as low. For the alert on high "
        "utilization with low power draw.",
        WizardField(THRESHOLDS, "Low power draw of a GPU that may hang, in %", NUMBER),
    ),
    Macro(
        "$NVIDIA.PROCESS.AGE", "0",
        "Maximum age of a process on a GPU, in s. An older one raises an alert. 0: not checked.",
        WizardField(THRESHOLDS, "Age of a process, in s", COUNT),
    ),
    Macro(
        "$NVIDIA.GPU.MATCHES", ".*",
        "Regular expression: only GPUs whose model matches it are discovered.",
        WizardField(FILTERS, "GPU models to discover", ANYTHING),
    ),
    Macro(
        "$NVIDIA.GPU.NOT_MATCHES", "CHANGE_IF_NEEDED",
        "Regular expression: GPUs whose model matches it are not discovered.",
        WizardField(FILTERS, "GPU models to leave out", ANYTHING),
    ),
    Macro(
        "$NVIDIA.UUID.MATCHES", ".*",
        "Regular expression: only GPUs whose UUID matches it are discovered.",
        WizardField(FILTERS, "GPU UUIDs to discover", ANYTHING),
    ),
    Macro(
        "$NVIDIA.UUID.NOT_MATCHES", "CHANGE_IF_NEEDED",
        "Regular expression: GPUs whose UUID matches it are not discovered.",
        WizardField(FILTERS, "GPU UUIDs to leave out", ANYTHING),
    ),
    Macro(
        "$NVIDIA.USER.MATCHES", ".*",
        "Regular expression: only users of GPUs whose name matches it are discovered.",
        WizardField(FILTERS, "Users to discover", ANYTHING),
    ),
    Macro(
        "$NVIDIA.USER.NOT_MATCHES", "CHANGE_IF_NEEDED",
        "Regular expression: users of GPUs whose name matches it are not discovered.",
        WizardField(FILTERS, "Users to leave out", ANYTHING),
    ),
    # Details of alerts.
    Macro(
        "$NVIDIA.STALE", "3m",
        "How long the document with the GPU readings may be unchanged before an alert is raised. Must exceed the "
        "interval of the resident service.",
        None,
    ),
    Macro(
        "$NVIDIA.POLLS", "#2",
        "Number of polls in a row in which the driver or a GPU must be gone before an alert is raised. Written after "
        "the character #.",
        None,
    ),
    Macro(
        "$NVIDIA.TEMP.HYST", "3",
        "Additional distance to the temperature limit of a GPU, in °C. The temperature must reach it before the alert "
        "is resolved.",
        None,
    ),
    Macro(
        "$NVIDIA.SLOW.PERIOD", "10m",
        "How long collections of the GPU readings must be slow, or readings must fail, before an alert is raised.",
        None,
    ),
    Macro("$NVIDIA.ECC.PERIOD", "1h", "How long an uncorrected ECC error of a GPU keeps its alert raised.", None),
    Macro(
        "$NVIDIA.ECC.CORRECTED.PERIOD", "1h",
        "Period over which the corrected ECC errors of a GPU are averaged, before they are compared with "
        "{$NVIDIA.ECC.CORRECTED.MAX}.",
        None,
    ),
    Macro(
        "$NVIDIA.PCIE.REPLAYS", "1",
        "Factor on the acceptable rate of PCIe replays of a GPU. That rate follows from the speed of its link.",
        None,
    ),
    Macro(
        "$NVIDIA.NVLINK.PERIOD", "10m",
        "How long an NVLink error keeps its alert raised. Also the period over which NVLink CRC errors are averaged.",
        None,
    ),
    Macro(
        "$NVIDIA.FABRIC.PERIOD", "10m",
        "How long a GPU may take to join the NVLink fabric before an alert is raised.",
        None,
    ),
    Macro(
        "$NVIDIA.LICENSE.PERIOD", "30m",
        "How long a vGPU may be without its license before an alert is raised. Each start begins without it.",
        None,
    ),
    # These follow NVIDIA's documentation.
    Macro(
        "$NVIDIA.REMAP.MAX", "512",
        "Number of memory rows remapped for uncorrected errors at which a GPU must be replaced.",
        None,
    ),
    Macro(
        "$NVIDIA.RETIRED.MAX", "63",
        "Number of retired memory pages at which a GPU must be replaced.",
        None,
    ),
    Macro(
        "$NVIDIA.XID.RESET", pattern_of(RESET),
        "Regular expression for the codes of XID errors that require a GPU reset.",
        None,
    ),
    Macro(
        "$NVIDIA.XID.RESTART", pattern_of(RESTART),
        "Regular expression for the codes of XID errors that require a restart of the host.",
        None,
    ),
    Macro(
        "$NVIDIA.XID.SUPPORT", pattern_of(SUPPORT),
        "Regular expression for the codes of XID errors that somebody must investigate.",
        None,
    ),
    Macro(
        "$NVIDIA.XID.FABRIC", "^,45,$",
        "Regular expression for the codes of XID errors that point at the fabric manager. Only if the GPU has no other "
        "recent XID error and is not in its fabric.",
        None,
    ),
    Macro(
        "$NVIDIA.XID.INFO", pattern(*NOTIFIED),
        "Regular expression for the codes of XID errors that raise an alert for information only.",
        None,
    ),
    Macro(
        "$NVIDIA.FABRIC.FAULTS", ".",
        "Regular expression for the faults of the NVLink fabric that raise an alert, such as “bandwidth|unhealthy”. A "
        "dot: all.",
        None,
    ),
    Macro(
        "$NVIDIA.REPEAT.XIDS", "5",
        "Number of XID errors of a GPU that require action, within {$NVIDIA.REPEAT.TIME}, at which an alert is "
        "raised. 0: none.",
        None,
    ),
    Macro(
        "$NVIDIA.REPEAT.APPLICATION", "10",
        "Number of XID errors of applications on a single GPU, within {$NVIDIA.REPEAT.TIME}, at which an alert is "
        "raised. Only if the host has more than 3 GPUs, and the others are quiet. 0: none.",
        None,
    ),
    Macro(
        "$NVIDIA.REPEAT.GPUS", "0",
        "Number of GPUs of a host with XID 13 or 31 within 10 minutes at which an alert says that an application is "
        "the cause. 0: none.",
        None,
    ),
    Macro(
        "$NVIDIA.DOCS.URL", "",
        "Address of a copy of docs/ALERTS.md of zbx-nvidia, to which the menu of each GPU problem then links for what "
        "to do. Empty: no link.",
        None,
    ),
    # These must fit the history that Zabbix stores.
    Macro(
        "$NVIDIA.REPEAT.TIME", "1d",
        "Period in which repeated XID errors of a GPU are counted. Not longer than Zabbix keeps the history of its "
        "items.",
        None,
    ),
    Macro(
        "$NVIDIA.GPU.MEMORY", "30d",
        "How long a GPU that is gone counts as missing. Not longer than Zabbix keeps the history of its items.",
        None,
    ),
    Macro(
        "$NVIDIA.NVLINK.MEMORY", "30d",
        "How long an NVLink that is gone counts as down. Not longer than Zabbix keeps the history of its items.",
        None,
    ),
    Macro(
        "$NVIDIA.PCIE.MEMORY", "30d",
        "How long a GPU is expected to use as many PCIe lanes as it has used before. Not longer than Zabbix keeps the "
        "history of its items.",
        None,
    ),
    Macro(
        "$NVIDIA.FABRIC.MEMORY", "30d",
        "How long a GPU that was in an NVLink fabric is expected there. Not longer than Zabbix keeps the history of "
        "its items.",
        None,
    ),
    Macro(
        "$NVIDIA.FAN.MEMORY", "30d",
        "How long a fan that has run is expected to run again when its GPU is hot. Not longer than Zabbix keeps the "
        "history of its items.",
        None,
    ),
)  # fmt: skip
