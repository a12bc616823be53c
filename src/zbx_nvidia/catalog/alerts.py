"""The alerts: one row each, from which triggers, documentation and tests are derived.

In expressions ``@gpu.temperature`` stands for the item of that metric. Macros of rows about a GPU or a part of it get
the card's UUID as context, so that each can be set for one card. Rows about a GPU count only while the card is there:
the values of one that has gone stay at the last reading.

A function over a period that holds a single value gives that value: so after a gap, or on a new host, one reading would
look like a whole period. What has to last for a period is therefore also asked for as it was one period ago
(``last(x,#1:now-period)``), which is unknown on a new host. That stands last, so that {ITEM.LASTVALUE1} stays the same.
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
        depends: Keys of the alerts that make this one pointless: of the host, for those exist always, or of the same
            GPU where they stand on readings that this one has too.
        opdata: What the problem list shows beside it, always the newest. No texts: Zabbix cuts them at 20 characters.
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


# Replays a minute that a sound link may have. By the fastest that it was in the period: a card at rest slows its link
# down, and most of the replays are those of before.
_GENERATION = "max(@gpu.pcie_generation,{$NVIDIA.PCIE.PERIOD})"
_REPLAYS = (
    "{$NVIDIA.PCIE.REPLAYS}*last(@gpu.pcie_width)"
    f"*(({_GENERATION}<3)*0.15*{_GENERATION}+({_GENERATION}>=3)*0.06*power(2,{_GENERATION}))"
)


def _lasting(function: str, ref: str, period: str, is_so: str) -> str:
    """What a reading has to be for a whole period, which one value that stands alone in it does not tell."""
    return f"{function}(@{ref},{period}){is_so} and last(@{ref},#1:now-{period}){is_so}"


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
        "Collector stands still",
        "Collector stands still: no new document for {$NVIDIA.STALE}",
        AVERAGE, "availability",
        # The document now is the one of then.
        "last(@timestamp)=last(@timestamp,#1:now-{$NVIDIA.STALE})",
        "",
        ("nodata",),
        "Made at: {ITEM.LASTVALUE1}",
        "The agent answers, but always with the same document: what makes it on the host does so no more.",
        "Look at the service (systemctl status zbx-nvidia), or at what else answers nvidia.get on the host.",
    ),
    Alert(
        "host", "clock",
        "Clocks differ",
        "Clocks of the host and the Zabbix server differ by more than {$NVIDIA.CLOCK}",
        WARNING, "notice",
        # Only where documents are new: one that is old by itself is not the clock's.
        "fuzzytime(@timestamp,{$NVIDIA.CLOCK})=0 and change(@timestamp)<>0",
        "fuzzytime(@timestamp,{$NVIDIA.CLOCK})=1",
        ("nodata", "stale"),
        "Made at: {ITEM.LASTVALUE1}",
        "Documents come, but their time is not the server's. Alarms work; times in texts are the host's.",
        "Compare the clocks of host and server; see that both get the time (chronyc tracking, timedatectl).",
    ),
    Alert(
        "host", "driver",
        "Driver does not answer",
        "Driver does not answer: {?last(@status.message)}",
        HIGH, "availability",
        # The message is named so that it can be shown; its length is never below 0.
        # Not the code: it tells also of one GPU that owes an answer, which is a matter of “GPU is sick”.
        "max(@status.driver,{$NVIDIA.POLLS})=0 and last(@status.code)>0 and length(last(@status.message))>=0",
        "last(@status.driver)=1",
        ("nodata", "stale"),
        "{ITEM.LASTVALUE2}",
        "The host answers, its NVIDIA driver does not: no reading of any GPU can be had.",
        "Do what the message says; then run nvidia-smi on the host.",
    ),
    Alert(
        "host", "lost",
        "GPU is lost",
        "GPU is lost: {?last(@host.lost)}",
        HIGH, "availability",
        # Only of one that was lost before it was ever seen: the most that were present in a month are fewer than are
        # there and lost together. Of all others “Lost or missing” tells, which knows the card.
        "min(@host.gpus_lost,{$NVIDIA.POLLS})>0 and length(last(@host.lost))>=0"
        " and max(@host.gpus_present,{$NVIDIA.GPU.MEMORY})<last(@host.gpus_present)+last(@host.gpus_lost)",
        "last(@host.gpus_lost)=0",
        ("driver",),
        "Lost: {ITEM.LASTVALUE1}",
        "The driver counts a GPU that it cannot reach, and that was not seen here before: it has fallen off the bus, "
        "or needs a reset.",
        "Drain the host and reboot it; if the card is lost again, check seating, power and cables, then replace it.",
    ),
    Alert(
        "host", "sick",
        "GPU is sick",
        "GPU is sick: {?last(@host.sick)}",
        HIGH, "availability",
        # As above: one that no longer says who it is, but was seen, is among the “Lost or missing”.
        "min(@host.gpus_sick,{$NVIDIA.POLLS})>0 and length(last(@host.sick))>=0"
        " and max(@host.gpus_present,{$NVIDIA.GPU.MEMORY})"
        "<last(@host.gpus_present)+last(@host.gpus_lost)+last(@host.gpus_sick)",
        "last(@host.gpus_sick)=0",
        ("driver",),
        "Sick: {ITEM.LASTVALUE1}",
        "A GPU is there, but answers every reading with an error.",
        "Look at dmesg for NVRM and Xid lines; drain the host and reset the GPU or reboot.",
    ),
    Alert(
        "host", "count",
        "Fewer GPUs than expected",
        "Fewer GPUs than expected ({ITEM.LASTVALUE1} of {$NVIDIA.GPU.EXPECTED})",
        HIGH, "availability",
        # As above: of a card that was seen within a month “Lost or missing” tells.
        "last(@host.gpu_count)<{$NVIDIA.GPU.EXPECTED}"
        " and max(@host.gpus_present,{$NVIDIA.GPU.MEMORY})<{$NVIDIA.GPU.EXPECTED}",
        "",
        ("driver",),
        "Current value: {ITEM.LASTVALUE1}",
        "The driver counts fewer GPUs than this host should have.",
        "Compare nvidia-smi -L and lspci; a card that lspci lacks has lost its slot or its power.",
    ),
    Alert(
        "host", "slow",
        "Collection is slow",
        "Collection takes {ITEM.LASTVALUE1} (over {$NVIDIA.SLOW} s)",
        WARNING, "performance",
        _lasting("min", "collector.duration", "{$NVIDIA.SLOW.PERIOD}", ">{$NVIDIA.SLOW}"),
        "",
        ("driver",),
        "Current value: {ITEM.LASTVALUE1}",
        "Reading the GPUs takes nearly as long as the agent waits; soon there will be no data.",
        "Switch persistence mode on (nvidia-smi -pm 1); look for a GPU that answers slowly, and at the host's load.",
    ),
    Alert(
        "host", "errors",
        "Readings in error",
        "Readings in error ({ITEM.LASTVALUE1})",
        WARNING, "notice",
        _lasting("min", "collector.error_count", "{$NVIDIA.SLOW.PERIOD}", ">0"),
        "",
        ("driver",),
        "Current value: {ITEM.LASTVALUE1}",
        "The driver refuses readings that it does not call unsupported: no permission, or an unknown error.",
        "Run zbx-nvidia show on the host as the agent's user: it names reading and error.",
    ),
    Alert(
        "host", "driver_version",
        "Driver version is not the expected one",
        "Driver version is {ITEM.LASTVALUE1} (expected: {$NVIDIA.EXPECTED.DRIVER})",
        WARNING, "notice",
        # The status is there because it comes with each poll: the version is stored when it changes and once a day,
        # and a trigger is looked at when one of its items gets a value.
        '"{$NVIDIA.EXPECTED.DRIVER}"<>"" and last(@host.driver_version)<>"{$NVIDIA.EXPECTED.DRIVER}"'
        " and last(@status.code)=0",
        "",
        ("driver",),
        "Current value: {ITEM.LASTVALUE1}",
        "The host has another driver than the fleet should have.",
        "Install the expected driver, or set {$NVIDIA.EXPECTED.DRIVER} for this host.",
    ),
    Alert(
        "host", "sxid",
        "Fatal error of an NVSwitch",
        "Fatal error of an NVSwitch: {ITEM.LASTVALUE1}",
        HIGH, "availability",
        "length(last(@host.sxid_recent))>0",
        "",
        ("driver",),
        "",
        "A switch of the NVLink fabric has reported an SXid error that it calls fatal: traffic between GPUs was lost, "
        "and what uses them was ended.",
        "Look the code up in NVIDIA's Fabric Manager User Guide; drain the host and reset its GPUs and switches, or "
        "restart it. If it comes again, have the switch or its baseboard replaced.",
    ),
    Alert(
        "gpu", "missing",
        "Lost or missing",
        "{#NAME} at {#PCI} is lost or missing (serial number {#SERIAL})",
        HIGH, "availability",
        # Over several polls, for what it depends on stands on other items, and is looked at later in the same second.
        # When as many are there as ever were in a month, the card has been replaced.
        "max(@gpu.present,{$NVIDIA.POLLS})=0 and {$NVIDIA.GPU.WATCH}=1"
        " and last(@host.gpus_present)<max(@host.gpus_present,{$NVIDIA.GPU.MEMORY})",
        "last(@gpu.present)=1 or {$NVIDIA.GPU.WATCH}=0"
        " or last(@host.gpus_present)>=max(@host.gpus_present,{$NVIDIA.GPU.MEMORY})",
        ("driver",),
        "Last seen at {#PCI}",
        "A card that was here does not answer any more, although the driver does: it has fallen off the bus, needs a "
        "reset, or was taken out.",
        "If it was taken out on purpose, set {$NVIDIA.GPU.WATCH} to 0 for its UUID; else look for it with lspci: if it "
        "is there, drain the host and reboot it; if not, check seating, power and cables.",
    ),
    Alert(
        "gpu", "temperature",
        "Temperature is near the slowdown point",
        "Temperature is near the slowdown point ({ITEM.LASTVALUE1}, slowdown at {ITEM.LASTVALUE2})",
        WARNING, "performance",
        _lasting(
            "min", "gpu.temperature", "{$NVIDIA.TEMP.PERIOD}", ">last(@gpu.temperature_slowdown)-{$NVIDIA.TEMP.MARGIN}"
        ),
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
        # Some H100 were seen with margins at and below 0 while they were cool (gpud): such a one counts only while
        # something holds the clocks down for heat.
        "max(@gpu.temperature_margin,{$NVIDIA.TEMP.PERIOD})"
        "<last(@gpu.temperature_slowdown_margin)+{$NVIDIA.TEMP.MARGIN}"
        " and (min(@gpu.temperature_margin,{$NVIDIA.TEMP.PERIOD})>0"
        " or max(@gpu.throttle_sw_thermal,{$NVIDIA.TEMP.PERIOD})=1"
        " or max(@gpu.throttle_hw_thermal,{$NVIDIA.TEMP.PERIOD})=1)"
        " and last(@gpu.temperature_margin,#1:now-{$NVIDIA.TEMP.PERIOD})"
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
        "Fan is not asked to turn while hot",
        "Fan is not asked to turn at {ITEM.LASTVALUE2} for {$NVIDIA.FAN.PERIOD}",
        HIGH, "availability",
        # A10G cards, passively cooled, answer with a fan at 0 %: one that never turned has not stopped.
        "max(@gpu.fan_speed,{$NVIDIA.FAN.PERIOD})=0"
        " and min(@gpu.temperature,{$NVIDIA.FAN.PERIOD})>{$NVIDIA.FAN.HOT}"
        " and count(@gpu.fan_turned,{$NVIDIA.FAN.MEMORY})>0"
        " and last(@gpu.fan_speed,#1:now-{$NVIDIA.FAN.PERIOD})=0"
        " and last(@gpu.temperature,#1:now-{$NVIDIA.FAN.PERIOD})>{$NVIDIA.FAN.HOT}",
        "last(@gpu.fan_speed)>0 or max(@gpu.temperature,{$NVIDIA.FAN.PERIOD})<{$NVIDIA.FAN.HOT}",
        ("driver",),
        "Fan: {ITEM.LASTVALUE1}, temperature: {ITEM.LASTVALUE2}",
        "No fan is asked to turn although the card is hot, and one was. On a cool card that is normal. NVML tells what "
        "the card asks of its fans: one that is asked to turn and does not is seen by the heat alone.",
        "Look for a tool that sets fan speeds, and for the driver's own messages; stop the load.",
    ),
    Alert(
        "gpu", "recovery",
        "Recovery action is needed",
        "Recovery action is needed: {ITEM.LASTVALUE1}",
        HIGH, "availability",
        "last(@gpu.recovery_action)>0",
        "",
        ("driver",),
        "Current value: {ITEM.LASTVALUE1}",
        "The driver itself says that the card cannot go on without this.",
        "Drain the host and do what it says: reset the GPU (nvidia-smi -r), or reboot.",
    ),
    Alert(
        "gpu", "ecc_uncorrected",
        "Uncorrected ECC error",
        "Uncorrected ECC error ({ITEM.LASTVALUE1} since the driver was loaded)",
        AVERAGE, "availability",
        'changecount(@gpu.ecc_uncorrected_volatile,{$NVIDIA.ECC.PERIOD},"inc")>0',
        "",
        ("driver",),
        "Current value: {ITEM.LASTVALUE1}",
        "Data in the card's memory was lost; the application that used it was most likely ended.",
        "Restart the application; reset the GPU when a row remapping is pending; if it comes again, run diagnostics.",
    ),
    Alert(
        "gpu", "ecc_corrected",
        "Many corrected ECC errors",
        "Many corrected ECC errors ({ITEM.LASTVALUE1} an hour, over {$NVIDIA.ECC.CORRECTED.MAX})",
        WARNING, "notice",
        "avg(@gpu.ecc_corrected_rate,{$NVIDIA.ECC.CORRECTED.PERIOD})>{$NVIDIA.ECC.CORRECTED.MAX}",
        "",
        ("driver",),
        "Current value: {ITEM.LASTVALUE1}",
        "The memory wears out; nothing is lost yet.",
        "Watch the card; plan for its replacement if uncorrected errors follow.",
    ),
    Alert(
        "gpu", "memory_unrepairable",
        "Memory cannot be repaired",
        "Memory cannot be repaired",
        HIGH, "availability",
        "last(@gpu.memory_unrepairable)=1",
        "",
        ("driver",),
        "",
        "The memory has an error that neither a spare row nor a reset puts right.",
        "Take the card out of service and have it replaced.",
    ),
    Alert(
        "gpu", "remap_failure",
        "Row remapping failed",
        "Row remapping failed",
        HIGH, "availability",
        "last(@gpu.remap_failure)=1",
        "",
        ("driver",),
        "",
        "A faulty memory row has no spare row left to replace it.",
        "Take the card out of service and have it replaced (run NVIDIA's field diagnostics first).",
    ),
    Alert(
        "gpu", "remap_pending",
        "Row remapping is pending",
        "Row remapping is pending",
        WARNING, "notice",
        # Over several polls, for “Row remapping failed” stands on another item, and may be looked at a little later.
        "min(@gpu.remap_pending,{$NVIDIA.POLLS})=1",
        "",
        ("driver", "remap_failure"),
        "",
        "A faulty memory row will be replaced at the next reset of the GPU.",
        "Drain the GPU and reset it at the next occasion (nvidia-smi -r).",
    ),
    Alert(
        "gpu", "remap_many",
        "Many rows remapped",
        "Many rows remapped for uncorrected errors ({ITEM.LASTVALUE1}, limit {$NVIDIA.REMAP.MAX})",
        AVERAGE, "notice",
        "last(@gpu.remapped_uncorrected)>={$NVIDIA.REMAP.MAX}",
        "",
        ("driver",),
        "Current value: {ITEM.LASTVALUE1}",
        "The card has used up the rows that NVIDIA allows it.",
        "Have the card replaced.",
    ),
    Alert(
        "gpu", "retired_pending",
        "Page retirement is pending",
        "Page retirement is pending",
        WARNING, "notice",
        "last(@gpu.retired_pages_pending)=1",
        "",
        ("driver",),
        "",
        "Faulty memory pages will be taken out of use when the driver is loaded anew.",
        "Drain the host and reboot it, or reload the driver, at the next occasion.",
    ),
    Alert(
        "gpu", "retired_many",
        "Many pages retired",
        "Many pages retired ({ITEM.LASTVALUE1} and {ITEM.LASTVALUE2}, limit {$NVIDIA.RETIRED.MAX})",
        AVERAGE, "notice",
        "last(@gpu.retired_pages_single)+last(@gpu.retired_pages_double)>={$NVIDIA.RETIRED.MAX}",
        "",
        ("driver",),
        "Single-bit: {ITEM.LASTVALUE1}, double-bit: {ITEM.LASTVALUE2}",
        "The card can retire no more pages than these.",
        "Have the card replaced.",
    ),
    Alert(
        "gpu", "fabric",
        "GPU has not joined the fabric",
        "GPU has not joined the fabric ({ITEM.LASTVALUE1}, status {ITEM.LASTVALUE2})",
        HIGH, "availability",
        "(max(@gpu.fabric_state,{$NVIDIA.FABRIC.PERIOD})<3 or min(@gpu.fabric_status,{$NVIDIA.FABRIC.PERIOD})>0)"
        " and (last(@gpu.fabric_state,#1:now-{$NVIDIA.FABRIC.PERIOD})<3"
        " or last(@gpu.fabric_status,#1:now-{$NVIDIA.FABRIC.PERIOD})>0)",
        "last(@gpu.fabric_state)=3 and last(@gpu.fabric_status)=0",
        ("driver",),
        "State: {ITEM.LASTVALUE1}, status: {ITEM.LASTVALUE2}",
        "CUDA does not start on a GPU that its NVSwitches do not know.",
        "Check that nvidia-fabricmanager runs and is of the driver's version; restart it, then reset the GPUs.",
    ),
    Alert(
        "gpu", "xid_restart",
        "XID error: the host must be restarted",
        "XID error: the host must be restarted ({ITEM.LASTVALUE2}; recent codes {ITEM.LASTVALUE1})",
        HIGH, "availability",
        # The last code of these is named so that it can be shown with its meaning; it is never below 0.
        'find(@gpu.xid_recent,,"regexp","{$NVIDIA.XID.RESTART}")=1 and last(@gpu.xid_restart_last)>=0',
        "",
        ("driver",),
        "Last: {ITEM.LASTVALUE2}",
        "The driver has reported an error after which NVIDIA asks for a restart of the host.",
        "Drain the host and restart it. If it comes again, check seating, power and cables, then replace the card.",
    ),
    Alert(
        "gpu", "xid_reset",
        "XID error: the GPU must be reset",
        "XID error: the GPU must be reset ({ITEM.LASTVALUE2}; recent codes {ITEM.LASTVALUE1})",
        HIGH, "availability",
        'find(@gpu.xid_recent,,"regexp","{$NVIDIA.XID.RESET}")=1 and last(@gpu.xid_reset_last)>=0',
        "",
        ("driver", "xid_restart"),
        "Last: {ITEM.LASTVALUE2}",
        "The driver has reported an error after which NVIDIA asks for a reset of the GPU.",
        "Drain the GPU; run zbx-nvidia-agent release, then nvidia-smi -r, then systemctl restart zbx-nvidia, which "
        "ends this alarm; or restart the host.",
    ),
    Alert(
        "gpu", "xid_support",
        "XID error: to be looked into",
        "XID error: to be looked into ({ITEM.LASTVALUE2}; recent codes {ITEM.LASTVALUE1})",
        AVERAGE, "availability",
        'find(@gpu.xid_recent,,"regexp","{$NVIDIA.XID.SUPPORT}")=1 and last(@gpu.xid_support_last)>=0',
        "",
        ("driver", "xid_reset"),
        "Last: {ITEM.LASTVALUE2}",
        "The driver has reported an error that is neither an application's fault nor cured by a reset alone.",
        "Look it up at docs.nvidia.com/deploy/xid-errors; run NVIDIA's field diagnostics, then call support. When it "
        "is dealt with, systemctl restart zbx-nvidia ends this alarm.",
    ),
    Alert(
        "gpu", "xid_fabric",
        "XID 45 alone: the fabric manager",
        "XID 45 alone, and not in the fabric: the fabric manager may be the reason",
        WARNING, "notice",
        # A process that was killed leaves it too, on any card: only where the fabric itself is not well.
        'find(@gpu.xid_recent,,"regexp","{$NVIDIA.XID.FABRIC}")=1 and last(@gpu.fabric_state)<3',
        "",
        ("driver", "fabric", "xid_reset"),
        "Fabric: {ITEM.LASTVALUE2}",
        "Channels were torn down, nothing else was reported, and the GPU is not in the fabric of its NVSwitches.",
        "Check that nvidia-fabricmanager runs and is of the driver's version; restart it, then reset the GPUs.",
    ),
    Alert(
        "gpu", "xid_info",
        "XID event",
        "XID event (recent codes {ITEM.LASTVALUE1})",
        INFO, "notice",
        'find(@gpu.xid_recent,,"regexp","{$NVIDIA.XID.INFO}")=1',
        "",
        ("driver", "xid_reset"),
        "",
        "Faulty memory was dealt with: a row was remapped (63), or an error was kept to one application (94).",
        "63: reset the GPU at the next occasion. 94: restart the application that was hit.",
    ),
    Alert(
        "gpu", "hw_thermal",
        "Clocks held down by the hardware for heat",
        "Clocks held down by the hardware for heat for {$NVIDIA.THROTTLE.PERIOD}",
        AVERAGE, "performance",
        _lasting("min", "gpu.throttle_hw_thermal", "{$NVIDIA.THROTTLE.PERIOD}", "=1"),
        "last(@gpu.throttle_hw_thermal)=0",
        ("driver",),
        "",
        "The card is too hot and runs at half its clocks or less.",
        "Check fans, airflow and the temperature of the room; take load off the card.",
    ),
    Alert(
        "gpu", "power_brake",
        "Clocks held down by the power brake",
        "Clocks held down by the power brake for {$NVIDIA.THROTTLE.PERIOD}",
        AVERAGE, "performance",
        _lasting("min", "gpu.throttle_power_brake", "{$NVIDIA.THROTTLE.PERIOD}", "=1"),
        "last(@gpu.throttle_power_brake)=0",
        ("driver",),
        "",
        "The host asks the card to slow down: a power supply has failed or is overloaded.",
        "Check the host's power supplies and their feeds.",
    ),
    Alert(
        "gpu", "sw_thermal",
        "Clocks held down by the driver for heat",
        "Clocks held down by the driver for heat for {$NVIDIA.THROTTLE.SW.PERIOD}",
        WARNING, "performance",
        _lasting("min", "gpu.throttle_sw_thermal", "{$NVIDIA.THROTTLE.SW.PERIOD}", "=1"),
        "last(@gpu.throttle_sw_thermal)=0",
        ("driver", "hw_thermal"),
        "",
        "The card is at its highest working temperature and gives less than it could.",
        "Check fans, airflow and the temperature of the room.",
    ),
    Alert(
        "gpu", "memory_temperature",
        "Memory temperature is near its limit",
        "Memory temperature is near its limit ({ITEM.LASTVALUE1}, limit {ITEM.LASTVALUE2})",
        WARNING, "performance",
        _lasting(
            "min", "gpu.temperature_memory", "{$NVIDIA.TEMP.PERIOD}",
            ">last(@gpu.temperature_memory_max)-{$NVIDIA.TEMP.MARGIN}",
        ),
        "max(@gpu.temperature_memory,{$NVIDIA.TEMP.PERIOD})"
        "<last(@gpu.temperature_memory_max)-{$NVIDIA.TEMP.MARGIN}-{$NVIDIA.TEMP.HYST}",
        ("driver",),
        "Current value: {ITEM.LASTVALUE1}",
        "The memory is about to slow the card down.",
        "Check fans, airflow and the temperature of the room.",
    ),
    Alert(
        "gpu", "pcie_width",
        "PCIe link has lost lanes",
        "PCIe link has lost lanes ({ITEM.LASTVALUE1} of {ITEM.LASTVALUE2})",
        WARNING, "performance",
        _lasting("max", "gpu.pcie_width", "{$NVIDIA.PCIE.PERIOD}", "<last(@gpu.pcie_width_max)"),
        "last(@gpu.pcie_width)>=last(@gpu.pcie_width_max)",
        ("driver",),
        "Current value: {ITEM.LASTVALUE1}",
        "The link to the card is narrower than card and slot allow: transfers are slow.",
        "Drain the host, reseat the card or its riser, and look for bent or dirty contacts.",
    ),
    Alert(
        "gpu", "pcie_generation",
        "PCIe link is slow under load",
        "PCIe link is slow under load (generation {ITEM.LASTVALUE1} of {ITEM.LASTVALUE2})",
        WARNING, "performance",
        "max(@gpu.pcie_generation,{$NVIDIA.PCIE.PERIOD})<last(@gpu.pcie_generation_max)"
        " and min(@gpu.utilization,{$NVIDIA.PCIE.PERIOD})>{$NVIDIA.PCIE.LOAD}"
        # A desktop that plays a video is busy in a slow state, and its link need not be fast.
        " and max(@gpu.performance_state,{$NVIDIA.PCIE.PERIOD})<=2"
        " and last(@gpu.pcie_generation,#1:now-{$NVIDIA.PCIE.PERIOD})<last(@gpu.pcie_generation_max)"
        " and last(@gpu.utilization,#1:now-{$NVIDIA.PCIE.PERIOD})>{$NVIDIA.PCIE.LOAD}",
        "last(@gpu.pcie_generation)>=last(@gpu.pcie_generation_max)",
        ("driver",),
        "Current value: {ITEM.LASTVALUE1}",
        "A card at rest lowers the speed of its link; at work, in the states P0 to P2, it must not.",
        "Look for PCIe errors in dmesg and at the host's firmware settings; reseat the card.",
    ),
    Alert(
        "gpu", "pcie_replays",
        "Many PCIe replays",
        f"Many PCIe replays ({{ITEM.LASTVALUE1}} a minute, over {{?{_REPLAYS}}})",
        WARNING, "performance",
        f"avg(@gpu.pcie_replay_rate,{{$NVIDIA.PCIE.PERIOD}})>{_REPLAYS}",
        "",
        ("driver",),
        "Current value: {ITEM.LASTVALUE1}",
        "Packets are sent again more often than a sound link of this speed does (DCGM's limit a lane and minute).",
        "Drain the host, reseat the card or its riser; replace riser or card if it comes again.",
    ),
    Alert(
        "gpu", "vbios",
        "VBIOS version is not the expected one",
        "VBIOS version is {ITEM.LASTVALUE1} (expected: {$NVIDIA.EXPECTED.VBIOS})",
        WARNING, "notice",
        '"{$NVIDIA.EXPECTED.VBIOS}"<>"" and last(@gpu.vbios)<>"{$NVIDIA.EXPECTED.VBIOS}"',
        "",
        ("driver",),
        "Current value: {ITEM.LASTVALUE1}",
        "The card has another firmware than the fleet should have.",
        "Update the card's firmware, or set {$NVIDIA.EXPECTED.VBIOS} for this host.",
    ),
    Alert(
        "gpu", "ecc_expected",
        "ECC mode is not the expected one",
        "ECC mode is {ITEM.LASTVALUE1} (expected: {$NVIDIA.EXPECTED.ECC})",
        WARNING, "notice",
        "{$NVIDIA.EXPECTED.ECC}>=0 and last(@gpu.ecc_mode)<>{$NVIDIA.EXPECTED.ECC}",
        "",
        ("driver",),
        "Current value: {ITEM.LASTVALUE1}",
        "Memory errors are corrected, or not, against the plan.",
        "Set it with nvidia-smi -e and reset the GPU.",
    ),
    Alert(
        "gpu", "mig_expected",
        "MIG mode is not the expected one",
        "MIG mode is {ITEM.LASTVALUE1} (expected: {$NVIDIA.EXPECTED.MIG})",
        WARNING, "notice",
        "{$NVIDIA.EXPECTED.MIG}>=0 and last(@gpu.mig_mode)<>{$NVIDIA.EXPECTED.MIG}",
        "",
        ("driver",),
        "Current value: {ITEM.LASTVALUE1}",
        "The card is divided, or not, against the plan.",
        "Set it with nvidia-smi -mig and reset the GPU.",
    ),
    Alert(
        "gpu", "persistence_expected",
        "Persistence mode is not the expected one",
        "Persistence mode is {ITEM.LASTVALUE1} (expected: {$NVIDIA.EXPECTED.PERSISTENCE})",
        WARNING, "notice",
        "{$NVIDIA.EXPECTED.PERSISTENCE}>=0 and last(@gpu.persistence_mode)<>{$NVIDIA.EXPECTED.PERSISTENCE}",
        "",
        ("driver",),
        "Current value: {ITEM.LASTVALUE1}",
        "Without it the driver lets go of a card that nobody uses, and each poll wakes it.",
        "Start nvidia-persistenced, or run nvidia-smi -pm 1.",
    ),
    Alert(
        "gpu", "power_expected",
        "Power limit is not the expected one",
        "Power limit is {ITEM.LASTVALUE1} (expected: {$NVIDIA.EXPECTED.POWER} W)",
        WARNING, "notice",
        "{$NVIDIA.EXPECTED.POWER}>=0 and last(@gpu.power_limit)<>{$NVIDIA.EXPECTED.POWER}",
        "",
        ("driver",),
        "Current value: {ITEM.LASTVALUE1}",
        "The card may draw more, or less, than planned.",
        "Set it with nvidia-smi -pl.",
    ),
    Alert(
        "gpu", "idle",
        "Memory is held but nothing runs",
        "Memory is held but nothing runs for {$NVIDIA.IDLE.PERIOD} ({ITEM.LASTVALUE2})",
        INFO, "capacity",
        "{$NVIDIA.IDLE.ALARM}=1 and max(@gpu.utilization,{$NVIDIA.IDLE.PERIOD})=0"
        " and min(@gpu.memory_used_percent,{$NVIDIA.IDLE.PERIOD})>{$NVIDIA.IDLE.MEMORY}"
        " and last(@gpu.utilization,#1:now-{$NVIDIA.IDLE.PERIOD})=0",
        "",
        ("driver",),
        "Memory: {ITEM.LASTVALUE2}",
        "Somebody keeps a card that does no work.",
        "Ask its user, or end the process (nvidia-smi shows it).",
    ),
    Alert(
        "gpu", "stall",
        "Looks busy but draws no power",
        "Looks busy but draws no power for {$NVIDIA.STALL.PERIOD} ({ITEM.LASTVALUE2} of the limit)",
        INFO, "capacity",
        "{$NVIDIA.STALL.ALARM}=1 and min(@gpu.utilization,{$NVIDIA.STALL.PERIOD})>={$NVIDIA.STALL.UTIL}"
        " and max(@gpu.power_percent,{$NVIDIA.STALL.PERIOD})<{$NVIDIA.STALL.POWER}"
        " and last(@gpu.utilization,#1:now-{$NVIDIA.STALL.PERIOD})>={$NVIDIA.STALL.UTIL}",
        "",
        ("driver",),
        "Utilization: {ITEM.LASTVALUE1}, power: {ITEM.LASTVALUE2}",
        "A kernel runs but does nothing: most often a job that hangs in communication.",
        "Look at the job: does its log go on? Compare its ranks.",
    ),
    Alert(
        "gpu", "abandoned",
        "Memory is held by nobody",
        "Memory is held by nobody for {$NVIDIA.ABANDONED.PERIOD} ({ITEM.LASTVALUE2})",
        INFO, "capacity",
        "{$NVIDIA.ABANDONED.ALARM}=1 and max(@gpu.processes,{$NVIDIA.ABANDONED.PERIOD})=0"
        " and min(@gpu.memory_used_percent,{$NVIDIA.ABANDONED.PERIOD})>{$NVIDIA.IDLE.MEMORY}"
        " and last(@gpu.processes,#1:now-{$NVIDIA.ABANDONED.PERIOD})=0",
        "",
        ("driver",),
        "Memory: {ITEM.LASTVALUE2}",
        "Memory is taken although no process is on the card: what a crashed job leaves behind.",
        "Look for processes that hold /dev/nvidia* open (fuser -v /dev/nvidia*); reset the GPU if there is none.",
    ),
    Alert(
        "gpu", "old_process",
        "Process runs for very long",
        "Process runs for very long ({ITEM.LASTVALUE1})",
        INFO, "notice",
        "{$NVIDIA.PROCESS.AGE}>0 and last(@gpu.process_oldest)>{$NVIDIA.PROCESS.AGE}",
        "",
        ("driver",),
        "Current value: {ITEM.LASTVALUE1}",
        "A process is on the card for longer than jobs of this site run.",
        "Ask its user whether it still does anything.",
    ),
    Alert(
        "gpu", "license",
        "vGPU has no license",
        "vGPU has no license for {$NVIDIA.LICENSE.PERIOD}: {ITEM.LASTVALUE1}",
        WARNING, "availability",
        _lasting("max", "gpu.license_state", "{$NVIDIA.LICENSE.PERIOD}", "<5"),
        "last(@gpu.license_state)=5",
        ("driver",),
        "Current value: {ITEM.LASTVALUE1}",
        "Without its license a vGPU is slowed down, to 3 frames a second in the end.",
        "Check the guest's client configuration token and its way to the license server (nvidia-smi -q, nvidia-gridd).",
    ),
    Alert(
        "gpu", "nvlink_down",
        "NVLink is down",
        "NVLink is down ({ITEM.LASTVALUE1} up)",
        AVERAGE, "availability",
        # Stored when it changes: it must be down now, and have been down a while ago.
        "last(@gpu.nvlink_up)<{$NVIDIA.NVLINK.EXPECTED}"
        " and last(@gpu.nvlink_up,#1:now-{$NVIDIA.NVLINK.DOWN})<{$NVIDIA.NVLINK.EXPECTED}"
        " or {$NVIDIA.NVLINK.EXPECTED}=0 and last(@gpu.nvlink_up)<max(@gpu.nvlink_up,{$NVIDIA.NVLINK.MEMORY})"
        " and last(@gpu.nvlink_up,#1:now-{$NVIDIA.NVLINK.DOWN})<max(@gpu.nvlink_up,{$NVIDIA.NVLINK.MEMORY})",
        "",
        ("driver",),
        "Current value: {ITEM.LASTVALUE1}",
        "A link to another GPU or a switch has gone: jobs over several GPUs become slow or fail.",
        "Look at dmesg for Xid 74 and at nvidia-smi nvlink -s; drain the host, reset the GPUs, check bridge or board. "
        "If it was taken out on purpose, set {$NVIDIA.NVLINK.EXPECTED} to the links that are left.",
    ),
    Alert(
        "gpu", "nvlink_errors",
        "NVLink errors",
        "NVLink errors (replays: {ITEM.LASTVALUE1}, recoveries: {ITEM.LASTVALUE2})",
        WARNING, "notice",
        'changecount(@gpu.nvlink_replays,{$NVIDIA.NVLINK.PERIOD},"inc")>0'
        ' or changecount(@gpu.nvlink_recoveries,{$NVIDIA.NVLINK.PERIOD},"inc")>0',
        "",
        ("driver",),
        "Replays: {ITEM.LASTVALUE1}, recoveries: {ITEM.LASTVALUE2}",
        "Packets had to be sent again, or a link had to be trained anew.",
        "Watch it; if it goes on, drain the host and run NVIDIA's field diagnostics.",
    ),
    Alert(
        "gpu", "nvlink5_errors",
        "NVLink data errors",
        "NVLink data errors (left by the error correction: {ITEM.LASTVALUE1}, failed recoveries: {ITEM.LASTVALUE2})",
        AVERAGE, "availability",
        'changecount(@gpu.nvlink_effective_errors,{$NVIDIA.NVLINK.PERIOD},"inc")>0'
        ' or changecount(@gpu.nvlink_recoveries_failed,{$NVIDIA.NVLINK.PERIOD},"inc")>0',
        "",
        ("driver",),
        "Uncorrected: {ITEM.LASTVALUE1}, failed recoveries: {ITEM.LASTVALUE2}",
        "A link of NVLink 5 passed on what its error correction could not put right, or went down for good.",
        "Look at nvidia-smi nvlink -e; drain the host, reset the GPUs; run NVIDIA's field diagnostics if it goes on.",
    ),
    Alert(
        "gpu", "nvlink_crc",
        "Many NVLink CRC errors",
        "Many NVLink CRC errors ({ITEM.LASTVALUE1} a second, over {$NVIDIA.NVLINK.CRC})",
        AVERAGE, "performance",
        "avg(@gpu.nvlink_crc_rate,{$NVIDIA.NVLINK.PERIOD})>{$NVIDIA.NVLINK.CRC}",
        "",
        ("driver",),
        "Current value: {ITEM.LASTVALUE1}",
        "A link transfers badly: each such packet is sent again.",
        "Drain the host; check the bridge or baseboard; run NVIDIA's field diagnostics.",
    ),
)  # fmt: skip

BY_KEY = {alert.key: alert for alert in ALERTS}
