"""The alerts: one row each, from which triggers, documentation and tests are derived.

In expressions ``@gpu.temperature`` stands for the item of that metric. Macros of rows about a GPU or a part of it get
the card's UUID as context, so that each can be set for one card. Rows about a GPU count only while the card is there:
the values of one that has gone stay at the last reading.
"""

from __future__ import annotations

from typing import NamedTuple

# Severities, by the names of Zabbix's export format.
INFO = "INFO"
WARNING = "WARNING"
AVERAGE = "AVERAGE"
HIGH = "HIGH"


class Alert(NamedTuple):
    """One alert.

    Attributes:
        entity: `host`, or the entity whose discovery rule holds it.
        key: Its identity, for ever: the UUID of the trigger follows from it.
        name: What is wrong, without values.
        event: What is wrong, with value and threshold.
        severity: As above.
        scope: Value of the trigger tag `scope`, in Zabbix's own vocabulary.
        expression: When it is raised.
        recovery: When it ends; "" for as soon as the expression is false.
        depends: Keys of the alerts that make this one pointless. Only on alerts of the host: those exist always.
        opdata: What the problem list shows beside it, always the newest.
        why: What it means.
        action: What the operator should do.
    """

    entity: str
    key: str
    name: str
    event: str
    severity: str
    scope: str
    expression: str
    recovery: str
    depends: tuple[str, ...]
    opdata: str
    why: str
    action: str


ALERTS = (
    Alert(
        "host", "nodata",
        "No data from the host",
        "No data from the host for {$NVIDIA.NODATA}",
        AVERAGE, "availability",
        "nodata(@timestamp,{$NVIDIA.NODATA})=1",
        "",
        (),
        "",
        "Zabbix gets no document from this host: the agent is down, cannot be reached, or does not know nvidia.get.",
        "Check that the agent runs and that its configuration holds the UserParameter nvidia.get.",
    ),
    Alert(
        "host", "stale",
        "Document is old",
        "Document is older than {$NVIDIA.STALE}, or the clocks differ",
        AVERAGE, "availability",
        "fuzzytime(@timestamp,{$NVIDIA.STALE})=0",
        "",
        ("nodata",),
        "Made at: {ITEM.LASTVALUE1}",
        "The document's time and the Zabbix server's clock differ: a collector stands still, or a clock is wrong.",
        "Compare the clocks of host and server; in resident mode, restart the service.",
    ),
    Alert(
        "host", "driver",
        "Driver does not answer",
        "Driver does not answer: {?last(@status.message)}",
        HIGH, "availability",
        # The message is named so that it can be shown; its length is never below 0.
        "min(@status.code,{$NVIDIA.POLLS})>0 and length(last(@status.message))>=0",
        "last(@status.code)=0",
        ("nodata", "stale"),
        "{ITEM.LASTVALUE1}: {ITEM.LASTVALUE2}",
        "The host answers, its NVIDIA driver does not: no reading of any GPU can be had.",
        "Do what the message says; then run nvidia-smi on the host.",
    ),
    Alert(
        "host", "lost",
        "GPU is lost",
        "GPU is lost: {?last(@host.lost)}",
        HIGH, "availability",
        "last(@host.gpus_lost)>0 and length(last(@host.lost))>=0",
        "",
        ("driver",),
        "{ITEM.LASTVALUE2}",
        "The driver counts a GPU that it can no longer reach: it has fallen off the bus, or needs a reset.",
        "Drain the host and reboot it; if the card is lost again, check seating, power and cables, then replace it.",
    ),
    Alert(
        "host", "sick",
        "GPU is sick",
        "GPU is sick: {?last(@host.sick)}",
        HIGH, "availability",
        "last(@host.gpus_sick)>0 and length(last(@host.sick))>=0",
        "",
        ("driver",),
        "{ITEM.LASTVALUE2}",
        "A GPU is there, but answers every reading with an error.",
        "Look at dmesg for NVRM and Xid lines; drain the host and reset the GPU or reboot.",
    ),
    Alert(
        "host", "count",
        "Fewer GPUs than expected",
        "Fewer GPUs than expected ({ITEM.LASTVALUE1} of {$NVIDIA.GPU.EXPECTED})",
        HIGH, "availability",
        "last(@host.gpu_count)<{$NVIDIA.GPU.EXPECTED}",
        "",
        ("driver",),
        "Current value: {ITEM.LASTVALUE1}",
        "The driver counts fewer GPUs than this host should have.",
        "Compare nvidia-smi -L and lspci; a card that lspci lacks has lost its slot or its power.",
    ),
    Alert(
        "gpu", "missing",
        "Missing",
        "{#NAME} at {#PCI} is missing (serial number {#SERIAL})",
        HIGH, "availability",
        # Over several polls, for the alerts it depends on stand on other items: with the last one alone it was seen
        # raised beside "GPU is lost", whose item had not been looked at yet.
        "max(@gpu.present,{$NVIDIA.POLLS})=0 and {$NVIDIA.GPU.WATCH}=1",
        "",
        ("driver", "lost", "sick", "count"),
        "Last seen at {#PCI}",
        "A card that was here is here no more, although the driver answers.",
        "If it was removed on purpose, set {$NVIDIA.GPU.WATCH} to 0 for its UUID; else look for it with lspci.",
    ),
    Alert(
        "gpu", "temperature",
        "Temperature is near the slowdown point",
        "Temperature is near the slowdown point ({ITEM.LASTVALUE1}, slowdown at {ITEM.LASTVALUE2})",
        WARNING, "performance",
        "min(@gpu.temperature,{$NVIDIA.TEMP.PERIOD})>last(@gpu.temperature_slowdown)-{$NVIDIA.TEMP.MARGIN}",
        "max(@gpu.temperature,{$NVIDIA.TEMP.PERIOD})"
        "<last(@gpu.temperature_slowdown)-{$NVIDIA.TEMP.MARGIN}-{$NVIDIA.TEMP.HYST}",
        ("driver",),
        "Current value: {ITEM.LASTVALUE1}",
        "The card is about to slow itself down to protect itself.",
        "Check fans, filters, airflow and the temperature of the room; lower the power limit to bridge the time.",
    ),
    Alert(
        "gpu", "temperature_margin",
        "Temperature margin is nearly used up",
        "Temperature margin is nearly used up ({ITEM.LASTVALUE1} left, slowdown at {ITEM.LASTVALUE2})",
        WARNING, "performance",
        "max(@gpu.temperature_margin,{$NVIDIA.TEMP.PERIOD})"
        "<last(@gpu.temperature_slowdown_margin)+{$NVIDIA.TEMP.MARGIN}",
        "min(@gpu.temperature_margin,{$NVIDIA.TEMP.PERIOD})"
        ">last(@gpu.temperature_slowdown_margin)+{$NVIDIA.TEMP.MARGIN}+{$NVIDIA.TEMP.HYST}",
        ("driver",),
        "Current value: {ITEM.LASTVALUE1}",
        "The same for cards that give margins (T.Limit) instead of temperatures.",
        "Check fans, airflow, coolant and the temperature of the room; lower the power limit to bridge the time.",
    ),
    Alert(
        "gpu", "fan",
        "Fan stands still while hot",
        "Fan stands still at {ITEM.LASTVALUE2} for {$NVIDIA.FAN.PERIOD}",
        HIGH, "availability",
        "max(@gpu.fan_speed,{$NVIDIA.FAN.PERIOD})=0"
        " and min(@gpu.temperature,{$NVIDIA.FAN.PERIOD})>{$NVIDIA.FAN.HOT}",
        "last(@gpu.fan_speed)>0 or max(@gpu.temperature,{$NVIDIA.FAN.PERIOD})<{$NVIDIA.FAN.HOT}",
        ("driver",),
        "Fan: {ITEM.LASTVALUE1}, temperature: {ITEM.LASTVALUE2}",
        "No fan turns although the card is hot. A fan that stands still on a cool card is normal.",
        "Check the fan, its cable and any tool that sets fan speeds; stop the load.",
    ),
)  # fmt: skip

BY_KEY = {alert.key: alert for alert in ALERTS}
