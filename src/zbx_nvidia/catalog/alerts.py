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
    why: str
    action: str
    recovery: str = ""
    depends: tuple[str, ...] = ()
    opdata: str = ""


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
        entity="host", key="nodata", severity=AVERAGE, scope="availability",
        name="No data from the host",
        event="No data from the host for {$NVIDIA.NODATA}",
        expression="nodata(@timestamp,{$NVIDIA.NODATA})=1",
        why="Zabbix gets no document from this host: the agent is down, cannot be reached, or does not know "
        "nvidia.get.",
        action="Check that the agent runs and that its configuration holds the UserParameter nvidia.get.",
    ),
    Alert(
        entity="host", key="stale", severity=AVERAGE, scope="availability",
        name="Collector stands still",
        event="Collector stands still: no new document for {$NVIDIA.STALE}",
        # The document now is the one of then.
        expression="last(@timestamp)=last(@timestamp,#1:now-{$NVIDIA.STALE})",
        depends=("nodata",),
        opdata="Made at: {ITEM.LASTVALUE1}",
        why="The agent answers, but always with the same document: what makes it on the host does so no more.",
        action="Look at the service (systemctl status zbx-nvidia), or at what else answers nvidia.get on the host.",
    ),
    Alert(
        entity="host", key="clock", severity=WARNING, scope="notice",
        name="Clocks differ",
        event="Clocks of the host and the Zabbix server differ by more than {$NVIDIA.CLOCK}",
        # Only where documents are new: one that is old by itself is not the clock's.
        expression="fuzzytime(@timestamp,{$NVIDIA.CLOCK})=0 and change(@timestamp)<>0",
        recovery="fuzzytime(@timestamp,{$NVIDIA.CLOCK})=1",
        depends=("nodata", "stale"),
        opdata="Made at: {ITEM.LASTVALUE1}",
        why="Documents come, but their time is not the server's. Alarms work; times in texts are the host's.",
        action="Compare the clocks of host and server; see that both get the time (chronyc tracking, timedatectl).",
    ),
    Alert(
        entity="host", key="driver", severity=HIGH, scope="availability",
        name="Driver does not answer",
        event="Driver does not answer: {?last(@status.message)}",
        # The message is named so that it can be shown; its length is never below 0.
        # Not the code: it tells also of one GPU that owes an answer, which is a matter of “GPU is sick”.
        expression=(
            "max(@status.driver,{$NVIDIA.POLLS})=0 and last(@status.code)>0 and length(last(@status.message))>=0"
        ),
        recovery="last(@status.driver)=1",
        depends=("nodata", "stale"),
        opdata="{ITEM.LASTVALUE2}",
        why="The host answers, its NVIDIA driver does not: no reading of any GPU can be had.",
        action="Do what the message says; then run nvidia-smi on the host.",
    ),
    Alert(
        entity="host", key="lost", severity=HIGH, scope="availability",
        name="GPU is lost",
        event="GPU is lost: {?last(@host.lost)}",
        # Only of one that was lost before it was ever seen: the most that were present in a month are fewer than are
        # there and lost together. Of all others “Lost or missing” tells, which knows the card.
        expression=(
            "min(@host.gpus_lost,{$NVIDIA.POLLS})>0 and length(last(@host.lost))>=0"
            " and max(@host.gpus_present,{$NVIDIA.GPU.MEMORY})<last(@host.gpus_present)+last(@host.gpus_lost)"
        ),
        recovery="last(@host.gpus_lost)=0",
        depends=("driver",),
        opdata="Lost: {ITEM.LASTVALUE1}",
        why="The driver counts a GPU that it cannot reach, and that was not seen here before: it has fallen off the "
        "bus, or needs a reset.",
        action="Drain the host and reboot it; if the card is lost again, check seating, power and cables, then "
        "replace it.",
    ),
    Alert(
        entity="host", key="sick", severity=HIGH, scope="availability",
        name="GPU is sick",
        event="GPU is sick: {?last(@host.sick)}",
        # As above: one that no longer says who it is, but was seen, is among the “Lost or missing”.
        expression=(
            "min(@host.gpus_sick,{$NVIDIA.POLLS})>0 and length(last(@host.sick))>=0"
            " and max(@host.gpus_present,{$NVIDIA.GPU.MEMORY})"
            "<last(@host.gpus_present)+last(@host.gpus_lost)+last(@host.gpus_sick)"
        ),
        recovery="last(@host.gpus_sick)=0",
        depends=("driver",),
        opdata="Sick: {ITEM.LASTVALUE1}",
        why="A GPU is there, but answers every reading with an error.",
        action="Look at dmesg for NVRM and Xid lines; drain the host and reset the GPU or reboot.",
    ),
    Alert(
        entity="host", key="count", severity=HIGH, scope="availability",
        name="Fewer GPUs than expected",
        event="Fewer GPUs than expected ({ITEM.LASTVALUE1} of {$NVIDIA.GPU.EXPECTED})",
        # As above: of a card that was seen within a month “Lost or missing” tells.
        expression=(
            "last(@host.gpu_count)<{$NVIDIA.GPU.EXPECTED}"
            " and max(@host.gpus_present,{$NVIDIA.GPU.MEMORY})<{$NVIDIA.GPU.EXPECTED}"
        ),
        depends=("driver",),
        opdata="Current value: {ITEM.LASTVALUE1}",
        why="The driver counts fewer GPUs than this host should have.",
        action="Compare nvidia-smi -L and lspci; a card that lspci lacks has lost its slot or its power.",
    ),
    Alert(
        entity="host", key="slow", severity=WARNING, scope="performance",
        name="Collection is slow",
        event="Collection takes {ITEM.LASTVALUE1} (over {$NVIDIA.SLOW} s)",
        expression=_lasting("min", "collector.duration", "{$NVIDIA.SLOW.PERIOD}", ">{$NVIDIA.SLOW}"),
        depends=("driver",),
        opdata="Current value: {ITEM.LASTVALUE1}",
        why="Reading the GPUs takes nearly as long as the agent waits; soon there will be no data.",
        action="Switch persistence mode on (nvidia-smi -pm 1); look for a GPU that answers slowly, and at the host's "
        "load.",
    ),
    Alert(
        entity="host", key="errors", severity=WARNING, scope="notice",
        name="Readings in error",
        event="Readings in error ({ITEM.LASTVALUE1})",
        expression=_lasting("min", "collector.error_count", "{$NVIDIA.SLOW.PERIOD}", ">0"),
        depends=("driver",),
        opdata="Current value: {ITEM.LASTVALUE1}",
        why="The driver refuses readings that it does not call unsupported: no permission, or an unknown error.",
        action="Run zbx-nvidia show on the host as the agent's user: it names reading and error.",
    ),
    Alert(
        entity="host", key="driver_version", severity=WARNING, scope="notice",
        name="Driver version is not the expected one",
        event="Driver version is {ITEM.LASTVALUE1} (expected: {$NVIDIA.EXPECTED.DRIVER})",
        # The status is there because it comes with each poll: the version is stored when it changes and once a day,
        # and a trigger is looked at when one of its items gets a value.
        expression=(
            '"{$NVIDIA.EXPECTED.DRIVER}"<>"" and last(@host.driver_version)<>"{$NVIDIA.EXPECTED.DRIVER}"'
            " and last(@status.code)=0"
        ),
        depends=("driver",),
        opdata="Current value: {ITEM.LASTVALUE1}",
        why="The host has another driver than the fleet should have.",
        action="Install the expected driver, or set {$NVIDIA.EXPECTED.DRIVER} for this host.",
    ),
    Alert(
        entity="host", key="sxid", severity=HIGH, scope="availability",
        name="Fatal error of an NVSwitch",
        event="Fatal error of an NVSwitch: {ITEM.LASTVALUE1}",
        expression="length(last(@host.sxid_recent))>0",
        depends=("driver",),
        why="A switch of the NVLink fabric has reported an SXid error that it calls fatal: traffic between GPUs was "
        "lost, and what uses them was ended.",
        action="Look the code up in NVIDIA's Fabric Manager User Guide; drain the host and reset its GPUs and "
        "switches, or restart it. If it comes again, have the switch or its baseboard replaced.",
    ),
    Alert(
        entity="gpu", key="missing", severity=HIGH, scope="availability",
        name="Lost or missing",
        event="{#NAME} at {#PCI} is lost or missing (serial number {#SERIAL})",
        # Over several polls, for what it depends on stands on other items, and is looked at later in the same second.
        # When as many are there as ever were in a month, the card has been replaced.
        expression=(
            "max(@gpu.present,{$NVIDIA.POLLS})=0 and {$NVIDIA.GPU.WATCH}=1"
            " and last(@host.gpus_present)<max(@host.gpus_present,{$NVIDIA.GPU.MEMORY})"
        ),
        recovery=(
            "last(@gpu.present)=1 or {$NVIDIA.GPU.WATCH}=0"
            " or last(@host.gpus_present)>=max(@host.gpus_present,{$NVIDIA.GPU.MEMORY})"
        ),
        depends=("driver",),
        opdata="Last seen at {#PCI}",
        why="A card that was here does not answer any more, although the driver does: it has fallen off the bus, "
        "needs a reset, or was taken out.",
        action="If it was taken out on purpose, set {$NVIDIA.GPU.WATCH} to 0 for its UUID; else look for it with "
        "lspci: if it is there, drain the host and reboot it; if not, check seating, power and cables.",
    ),
    Alert(
        entity="gpu", key="temperature", severity=WARNING, scope="performance",
        name="Temperature is near the slowdown point",
        event="Temperature is near the slowdown point ({ITEM.LASTVALUE1}, slowdown at {ITEM.LASTVALUE2})",
        expression=_lasting(
            "min", "gpu.temperature", "{$NVIDIA.TEMP.PERIOD}", ">last(@gpu.temperature_slowdown)-{$NVIDIA.TEMP.MARGIN}"
        ),
        recovery=(
            "max(@gpu.temperature,{$NVIDIA.TEMP.PERIOD})"
            "<last(@gpu.temperature_slowdown)-{$NVIDIA.TEMP.MARGIN}-{$NVIDIA.TEMP.HYST}"
        ),
        depends=("driver",),
        opdata="Current value: {ITEM.LASTVALUE1}",
        why="The card is about to slow itself down to protect itself.",
        action="Check fans, filters, airflow and the temperature of the room; lower the power limit to bridge the "
        "time.",
    ),
    Alert(
        entity="gpu", key="temperature_margin", severity=WARNING, scope="performance",
        name="Temperature margin is nearly used up",
        event="Temperature margin is nearly used up ({ITEM.LASTVALUE1} left, slowdown at {ITEM.LASTVALUE2})",
        # Some H100 were seen with margins at and below 0 while they were cool (gpud): such a one counts only while
        # something holds the clocks down for heat.
        expression=(
            "max(@gpu.temperature_margin,{$NVIDIA.TEMP.PERIOD})"
            "<last(@gpu.temperature_slowdown_margin)+{$NVIDIA.TEMP.MARGIN}"
            " and (min(@gpu.temperature_margin,{$NVIDIA.TEMP.PERIOD})>0"
            " or max(@gpu.throttle_sw_thermal,{$NVIDIA.TEMP.PERIOD})=1"
            " or max(@gpu.throttle_hw_thermal,{$NVIDIA.TEMP.PERIOD})=1)"
            " and last(@gpu.temperature_margin,#1:now-{$NVIDIA.TEMP.PERIOD})"
            "<last(@gpu.temperature_slowdown_margin)+{$NVIDIA.TEMP.MARGIN}"
        ),
        recovery=(
            "min(@gpu.temperature_margin,{$NVIDIA.TEMP.PERIOD})"
            ">last(@gpu.temperature_slowdown_margin)+{$NVIDIA.TEMP.MARGIN}+{$NVIDIA.TEMP.HYST}"
        ),
        depends=("driver",),
        opdata="Current value: {ITEM.LASTVALUE1}",
        why="The same for cards that give margins (T.Limit) instead of temperatures.",
        action="Check fans, airflow, coolant and the temperature of the room; lower the power limit to bridge the "
        "time.",
    ),
    Alert(
        entity="gpu", key="fan", severity=HIGH, scope="availability",
        name="Fan is not asked to turn while hot",
        event="Fan is not asked to turn at {ITEM.LASTVALUE2} for {$NVIDIA.FAN.PERIOD}",
        # A10G cards, passively cooled, answer with a fan at 0 %: one that never turned has not stopped.
        expression=(
            "max(@gpu.fan_speed,{$NVIDIA.FAN.PERIOD})=0"
            " and min(@gpu.temperature,{$NVIDIA.FAN.PERIOD})>{$NVIDIA.FAN.HOT}"
            " and count(@gpu.fan_turned,{$NVIDIA.FAN.MEMORY})>0"
            " and last(@gpu.fan_speed,#1:now-{$NVIDIA.FAN.PERIOD})=0"
            " and last(@gpu.temperature,#1:now-{$NVIDIA.FAN.PERIOD})>{$NVIDIA.FAN.HOT}"
        ),
        recovery="last(@gpu.fan_speed)>0 or max(@gpu.temperature,{$NVIDIA.FAN.PERIOD})<{$NVIDIA.FAN.HOT}",
        depends=("driver",),
        opdata="Fan: {ITEM.LASTVALUE1}, temperature: {ITEM.LASTVALUE2}",
        why="No fan is asked to turn although the card is hot, and one was. On a cool card that is normal. NVML tells "
        "what the card asks of its fans: one that is asked to turn and does not is seen by the heat alone.",
        action="Look for a tool that sets fan speeds, and for the driver's own messages; stop the load.",
    ),
    Alert(
        entity="gpu", key="recovery", severity=HIGH, scope="availability",
        name="Recovery action is needed",
        event="Recovery action is needed: {ITEM.LASTVALUE1}",
        expression="last(@gpu.recovery_action)>0",
        depends=("driver",),
        opdata="Current value: {ITEM.LASTVALUE1}",
        why="The driver itself says that the card cannot go on without this.",
        action="Drain the host and do what it says: reset the GPU (nvidia-smi -r), or reboot.",
    ),
    Alert(
        entity="gpu", key="ecc_uncorrected", severity=AVERAGE, scope="availability",
        name="Uncorrected ECC error",
        event="Uncorrected ECC error ({ITEM.LASTVALUE1} since the driver was loaded)",
        expression='changecount(@gpu.ecc_uncorrected_volatile,{$NVIDIA.ECC.PERIOD},"inc")>0',
        depends=("driver",),
        opdata="Current value: {ITEM.LASTVALUE1}",
        why="Data in the card's memory was lost; the application that used it was most likely ended.",
        action="Restart the application; reset the GPU when a row remapping is pending; if it comes again, run "
        "diagnostics.",
    ),
    Alert(
        entity="gpu", key="ecc_corrected", severity=WARNING, scope="notice",
        name="Many corrected ECC errors",
        event="Many corrected ECC errors ({ITEM.LASTVALUE1} an hour, over {$NVIDIA.ECC.CORRECTED.MAX})",
        expression="avg(@gpu.ecc_corrected_rate,{$NVIDIA.ECC.CORRECTED.PERIOD})>{$NVIDIA.ECC.CORRECTED.MAX}",
        depends=("driver",),
        opdata="Current value: {ITEM.LASTVALUE1}",
        why="The memory wears out; nothing is lost yet.",
        action="Watch the card; plan for its replacement if uncorrected errors follow.",
    ),
    Alert(
        entity="gpu", key="memory_unrepairable", severity=HIGH, scope="availability",
        name="Memory cannot be repaired",
        event="Memory cannot be repaired",
        expression="last(@gpu.memory_unrepairable)=1",
        depends=("driver",),
        why="The memory has an error that neither a spare row nor a reset puts right.",
        action="Take the card out of service and have it replaced.",
    ),
    Alert(
        entity="gpu", key="remap_failure", severity=HIGH, scope="availability",
        name="Row remapping failed",
        event="Row remapping failed",
        expression="last(@gpu.remap_failure)=1",
        depends=("driver",),
        why="A faulty memory row has no spare row left to replace it.",
        action="Take the card out of service and have it replaced (run NVIDIA's field diagnostics first).",
    ),
    Alert(
        entity="gpu", key="remap_pending", severity=WARNING, scope="notice",
        name="Row remapping is pending",
        event="Row remapping is pending",
        # Over several polls, for “Row remapping failed” stands on another item, and may be looked at a little later.
        expression="min(@gpu.remap_pending,{$NVIDIA.POLLS})=1",
        depends=("driver", "remap_failure"),
        why="A faulty memory row will be replaced at the next reset of the GPU.",
        action="Drain the GPU and reset it at the next occasion (nvidia-smi -r).",
    ),
    Alert(
        entity="gpu", key="remap_many", severity=AVERAGE, scope="notice",
        name="Many rows remapped",
        event="Many rows remapped for uncorrected errors ({ITEM.LASTVALUE1}, limit {$NVIDIA.REMAP.MAX})",
        expression="last(@gpu.remapped_uncorrected)>={$NVIDIA.REMAP.MAX}",
        depends=("driver",),
        opdata="Current value: {ITEM.LASTVALUE1}",
        why="The card has used up the rows that NVIDIA allows it.",
        action="Have the card replaced.",
    ),
    Alert(
        entity="gpu", key="retired_pending", severity=WARNING, scope="notice",
        name="Page retirement is pending",
        event="Page retirement is pending",
        expression="last(@gpu.retired_pages_pending)=1",
        depends=("driver",),
        why="Faulty memory pages will be taken out of use when the driver is loaded anew.",
        action="Drain the host and reboot it, or reload the driver, at the next occasion.",
    ),
    Alert(
        entity="gpu", key="retired_many", severity=AVERAGE, scope="notice",
        name="Many pages retired",
        event="Many pages retired ({ITEM.LASTVALUE1} and {ITEM.LASTVALUE2}, limit {$NVIDIA.RETIRED.MAX})",
        expression="last(@gpu.retired_pages_single)+last(@gpu.retired_pages_double)>={$NVIDIA.RETIRED.MAX}",
        depends=("driver",),
        opdata="Single-bit: {ITEM.LASTVALUE1}, double-bit: {ITEM.LASTVALUE2}",
        why="The card can retire no more pages than these.",
        action="Have the card replaced.",
    ),
    Alert(
        entity="gpu", key="fabric", severity=HIGH, scope="availability",
        name="GPU has not joined the fabric",
        event="GPU has not joined the fabric ({ITEM.LASTVALUE1}, status {ITEM.LASTVALUE2})",
        expression=(
            "(max(@gpu.fabric_state,{$NVIDIA.FABRIC.PERIOD})<3 or min(@gpu.fabric_status,{$NVIDIA.FABRIC.PERIOD})>0)"
            " and (last(@gpu.fabric_state,#1:now-{$NVIDIA.FABRIC.PERIOD})<3"
            " or last(@gpu.fabric_status,#1:now-{$NVIDIA.FABRIC.PERIOD})>0)"
        ),
        recovery="last(@gpu.fabric_state)=3 and last(@gpu.fabric_status)=0",
        depends=("driver",),
        opdata="State: {ITEM.LASTVALUE1}, status: {ITEM.LASTVALUE2}",
        why="CUDA does not start on a GPU that its NVSwitches do not know.",
        action="Check that nvidia-fabricmanager runs and is of the driver's version; restart it, then reset the GPUs.",
    ),
    Alert(
        entity="gpu", key="xid_restart", severity=HIGH, scope="availability",
        name="XID error: the host must be restarted",
        event="XID error: the host must be restarted ({ITEM.LASTVALUE2}; recent codes {ITEM.LASTVALUE1})",
        # The last code of these is named so that it can be shown with its meaning; it is never below 0.
        expression='find(@gpu.xid_recent,,"regexp","{$NVIDIA.XID.RESTART}")=1 and last(@gpu.xid_restart_last)>=0',
        depends=("driver",),
        opdata="Last: {ITEM.LASTVALUE2}",
        why="The driver has reported an error after which NVIDIA asks for a restart of the host.",
        action="Drain the host and restart it. If it comes again, check seating, power and cables, then replace the "
        "card.",
    ),
    Alert(
        entity="gpu", key="xid_reset", severity=HIGH, scope="availability",
        name="XID error: the GPU must be reset",
        event="XID error: the GPU must be reset ({ITEM.LASTVALUE2}; recent codes {ITEM.LASTVALUE1})",
        expression='find(@gpu.xid_recent,,"regexp","{$NVIDIA.XID.RESET}")=1 and last(@gpu.xid_reset_last)>=0',
        depends=("driver", "xid_restart"),
        opdata="Last: {ITEM.LASTVALUE2}",
        why="The driver has reported an error after which NVIDIA asks for a reset of the GPU.",
        action="Drain the GPU; run zbx-nvidia-agent release, then nvidia-smi -r, then systemctl restart zbx-nvidia, "
        "which ends this alarm; or restart the host.",
    ),
    Alert(
        entity="gpu", key="xid_support", severity=AVERAGE, scope="availability",
        name="XID error: to be looked into",
        event="XID error: to be looked into ({ITEM.LASTVALUE2}; recent codes {ITEM.LASTVALUE1})",
        expression='find(@gpu.xid_recent,,"regexp","{$NVIDIA.XID.SUPPORT}")=1 and last(@gpu.xid_support_last)>=0',
        depends=("driver", "xid_reset"),
        opdata="Last: {ITEM.LASTVALUE2}",
        why="The driver has reported an error that is neither an application's fault nor cured by a reset alone.",
        action="Look it up at docs.nvidia.com/deploy/xid-errors; run NVIDIA's field diagnostics, then call support. "
        "When it is dealt with, systemctl restart zbx-nvidia ends this alarm.",
    ),
    Alert(
        entity="gpu", key="xid_fabric", severity=WARNING, scope="notice",
        name="XID 45 alone: the fabric manager",
        event="XID 45 alone, and not in the fabric: the fabric manager may be the reason",
        # A process that was killed leaves it too, on any card: only where the fabric itself is not well.
        expression='find(@gpu.xid_recent,,"regexp","{$NVIDIA.XID.FABRIC}")=1 and last(@gpu.fabric_state)<3',
        depends=("driver", "fabric", "xid_reset"),
        opdata="Fabric: {ITEM.LASTVALUE2}",
        why="Channels were torn down, nothing else was reported, and the GPU is not in the fabric of its NVSwitches.",
        action="Check that nvidia-fabricmanager runs and is of the driver's version; restart it, then reset the GPUs.",
    ),
    Alert(
        entity="gpu", key="xid_info", severity=INFO, scope="notice",
        name="XID event",
        event="XID event (recent codes {ITEM.LASTVALUE1})",
        expression='find(@gpu.xid_recent,,"regexp","{$NVIDIA.XID.INFO}")=1',
        depends=("driver", "xid_reset"),
        why="Faulty memory was dealt with: a row was remapped (63), or an error was kept to one application (94).",
        action="63: reset the GPU at the next occasion. 94: restart the application that was hit.",
    ),
    Alert(
        entity="gpu", key="hw_thermal", severity=AVERAGE, scope="performance",
        name="Clocks held down by the hardware for heat",
        event="Clocks held down by the hardware for heat for {$NVIDIA.THROTTLE.PERIOD}",
        expression=_lasting("min", "gpu.throttle_hw_thermal", "{$NVIDIA.THROTTLE.PERIOD}", "=1"),
        recovery="last(@gpu.throttle_hw_thermal)=0",
        depends=("driver",),
        why="The card is too hot and runs at half its clocks or less.",
        action="Check fans, airflow and the temperature of the room; take load off the card.",
    ),
    Alert(
        entity="gpu", key="power_brake", severity=AVERAGE, scope="performance",
        name="Clocks held down by the power brake",
        event="Clocks held down by the power brake for {$NVIDIA.THROTTLE.PERIOD}",
        expression=_lasting("min", "gpu.throttle_power_brake", "{$NVIDIA.THROTTLE.PERIOD}", "=1"),
        recovery="last(@gpu.throttle_power_brake)=0",
        depends=("driver",),
        why="The host asks the card to slow down: a power supply has failed or is overloaded.",
        action="Check the host's power supplies and their feeds.",
    ),
    Alert(
        entity="gpu", key="sw_thermal", severity=WARNING, scope="performance",
        name="Clocks held down by the driver for heat",
        event="Clocks held down by the driver for heat for {$NVIDIA.THROTTLE.SW.PERIOD}",
        expression=_lasting("min", "gpu.throttle_sw_thermal", "{$NVIDIA.THROTTLE.SW.PERIOD}", "=1"),
        recovery="last(@gpu.throttle_sw_thermal)=0",
        depends=("driver", "hw_thermal"),
        why="The card is at its highest working temperature and gives less than it could.",
        action="Check fans, airflow and the temperature of the room.",
    ),
    Alert(
        entity="gpu", key="memory_temperature", severity=WARNING, scope="performance",
        name="Memory temperature is near its limit",
        event="Memory temperature is near its limit ({ITEM.LASTVALUE1}, limit {ITEM.LASTVALUE2})",
        expression=_lasting(
            "min", "gpu.temperature_memory", "{$NVIDIA.TEMP.PERIOD}",
            ">last(@gpu.temperature_memory_max)-{$NVIDIA.TEMP.MARGIN}",
        ),
        recovery=(
            "max(@gpu.temperature_memory,{$NVIDIA.TEMP.PERIOD})"
            "<last(@gpu.temperature_memory_max)-{$NVIDIA.TEMP.MARGIN}-{$NVIDIA.TEMP.HYST}"
        ),
        depends=("driver",),
        opdata="Current value: {ITEM.LASTVALUE1}",
        why="The memory is about to slow the card down.",
        action="Check fans, airflow and the temperature of the room.",
    ),
    Alert(
        entity="gpu", key="pcie_width", severity=WARNING, scope="performance",
        name="PCIe link has lost lanes",
        event="PCIe link has lost lanes ({ITEM.LASTVALUE1} of {ITEM.LASTVALUE2})",
        expression=_lasting("max", "gpu.pcie_width", "{$NVIDIA.PCIE.PERIOD}", "<last(@gpu.pcie_width_max)"),
        recovery="last(@gpu.pcie_width)>=last(@gpu.pcie_width_max)",
        depends=("driver",),
        opdata="Current value: {ITEM.LASTVALUE1}",
        why="The link to the card is narrower than card and slot allow: transfers are slow.",
        action="Drain the host, reseat the card or its riser, and look for bent or dirty contacts.",
    ),
    Alert(
        entity="gpu", key="pcie_generation", severity=WARNING, scope="performance",
        name="PCIe link is slow under load",
        event="PCIe link is slow under load (generation {ITEM.LASTVALUE1} of {ITEM.LASTVALUE2})",
        expression=(
            "max(@gpu.pcie_generation,{$NVIDIA.PCIE.PERIOD})<last(@gpu.pcie_generation_max)"
            " and min(@gpu.utilization,{$NVIDIA.PCIE.PERIOD})>{$NVIDIA.PCIE.LOAD}"
            # A desktop that plays a video is busy in a slow state, and its link need not be fast.
            " and max(@gpu.performance_state,{$NVIDIA.PCIE.PERIOD})<=2"
            " and last(@gpu.pcie_generation,#1:now-{$NVIDIA.PCIE.PERIOD})<last(@gpu.pcie_generation_max)"
            " and last(@gpu.utilization,#1:now-{$NVIDIA.PCIE.PERIOD})>{$NVIDIA.PCIE.LOAD}"
        ),
        recovery="last(@gpu.pcie_generation)>=last(@gpu.pcie_generation_max)",
        depends=("driver",),
        opdata="Current value: {ITEM.LASTVALUE1}",
        why="A card at rest lowers the speed of its link; at work, in the states P0 to P2, it must not.",
        action="Look for PCIe errors in dmesg and at the host's firmware settings; reseat the card.",
    ),
    Alert(
        entity="gpu", key="pcie_replays", severity=WARNING, scope="performance",
        name="Many PCIe replays",
        event=f"Many PCIe replays ({{ITEM.LASTVALUE1}} a minute, over {{?{_REPLAYS}}})",
        expression=f"avg(@gpu.pcie_replay_rate,{{$NVIDIA.PCIE.PERIOD}})>{_REPLAYS}",
        depends=("driver",),
        opdata="Current value: {ITEM.LASTVALUE1}",
        why="Packets are sent again more often than a sound link of this speed does (DCGM's limit a lane and minute).",
        action="Drain the host, reseat the card or its riser; replace riser or card if it comes again.",
    ),
    Alert(
        entity="gpu", key="vbios", severity=WARNING, scope="notice",
        name="VBIOS version is not the expected one",
        event="VBIOS version is {ITEM.LASTVALUE1} (expected: {$NVIDIA.EXPECTED.VBIOS})",
        expression='"{$NVIDIA.EXPECTED.VBIOS}"<>"" and last(@gpu.vbios)<>"{$NVIDIA.EXPECTED.VBIOS}"',
        depends=("driver",),
        opdata="Current value: {ITEM.LASTVALUE1}",
        why="The card has another firmware than the fleet should have.",
        action="Update the card's firmware, or set {$NVIDIA.EXPECTED.VBIOS} for this host.",
    ),
    Alert(
        entity="gpu", key="ecc_expected", severity=WARNING, scope="notice",
        name="ECC mode is not the expected one",
        event="ECC mode is {ITEM.LASTVALUE1} (expected: {$NVIDIA.EXPECTED.ECC})",
        expression="{$NVIDIA.EXPECTED.ECC}>=0 and last(@gpu.ecc_mode)<>{$NVIDIA.EXPECTED.ECC}",
        depends=("driver",),
        opdata="Current value: {ITEM.LASTVALUE1}",
        why="Memory errors are corrected, or not, against the plan.",
        action="Set it with nvidia-smi -e and reset the GPU.",
    ),
    Alert(
        entity="gpu", key="mig_expected", severity=WARNING, scope="notice",
        name="MIG mode is not the expected one",
        event="MIG mode is {ITEM.LASTVALUE1} (expected: {$NVIDIA.EXPECTED.MIG})",
        expression="{$NVIDIA.EXPECTED.MIG}>=0 and last(@gpu.mig_mode)<>{$NVIDIA.EXPECTED.MIG}",
        depends=("driver",),
        opdata="Current value: {ITEM.LASTVALUE1}",
        why="The card is divided, or not, against the plan.",
        action="Set it with nvidia-smi -mig and reset the GPU.",
    ),
    Alert(
        entity="gpu", key="persistence_expected", severity=WARNING, scope="notice",
        name="Persistence mode is not the expected one",
        event="Persistence mode is {ITEM.LASTVALUE1} (expected: {$NVIDIA.EXPECTED.PERSISTENCE})",
        expression="{$NVIDIA.EXPECTED.PERSISTENCE}>=0 and last(@gpu.persistence_mode)<>{$NVIDIA.EXPECTED.PERSISTENCE}",
        depends=("driver",),
        opdata="Current value: {ITEM.LASTVALUE1}",
        why="Without it the driver lets go of a card that nobody uses, and each poll wakes it.",
        action="Start nvidia-persistenced, or run nvidia-smi -pm 1.",
    ),
    Alert(
        entity="gpu", key="power_expected", severity=WARNING, scope="notice",
        name="Power limit is not the expected one",
        event="Power limit is {ITEM.LASTVALUE1} (expected: {$NVIDIA.EXPECTED.POWER} W)",
        expression="{$NVIDIA.EXPECTED.POWER}>=0 and last(@gpu.power_limit)<>{$NVIDIA.EXPECTED.POWER}",
        depends=("driver",),
        opdata="Current value: {ITEM.LASTVALUE1}",
        why="The card may draw more, or less, than planned.",
        action="Set it with nvidia-smi -pl.",
    ),
    Alert(
        entity="gpu", key="idle", severity=INFO, scope="capacity",
        name="Memory is held but nothing runs",
        event="Memory is held but nothing runs for {$NVIDIA.IDLE.PERIOD} ({ITEM.LASTVALUE2})",
        expression=(
            "{$NVIDIA.IDLE.ALARM}=1 and max(@gpu.utilization,{$NVIDIA.IDLE.PERIOD})=0"
            " and min(@gpu.memory_used_percent,{$NVIDIA.IDLE.PERIOD})>{$NVIDIA.IDLE.MEMORY}"
            " and last(@gpu.utilization,#1:now-{$NVIDIA.IDLE.PERIOD})=0"
        ),
        depends=("driver",),
        opdata="Memory: {ITEM.LASTVALUE2}",
        why="Somebody keeps a card that does no work.",
        action="Ask its user, or end the process (nvidia-smi shows it).",
    ),
    Alert(
        entity="gpu", key="stall", severity=INFO, scope="capacity",
        name="Looks busy but draws no power",
        event="Looks busy but draws no power for {$NVIDIA.STALL.PERIOD} ({ITEM.LASTVALUE2} of the limit)",
        expression=(
            "{$NVIDIA.STALL.ALARM}=1 and min(@gpu.utilization,{$NVIDIA.STALL.PERIOD})>={$NVIDIA.STALL.UTIL}"
            " and max(@gpu.power_percent,{$NVIDIA.STALL.PERIOD})<{$NVIDIA.STALL.POWER}"
            " and last(@gpu.utilization,#1:now-{$NVIDIA.STALL.PERIOD})>={$NVIDIA.STALL.UTIL}"
        ),
        depends=("driver",),
        opdata="Utilization: {ITEM.LASTVALUE1}, power: {ITEM.LASTVALUE2}",
        why="A kernel runs but does nothing: most often a job that hangs in communication.",
        action="Look at the job: does its log go on? Compare its ranks.",
    ),
    Alert(
        entity="gpu", key="abandoned", severity=INFO, scope="capacity",
        name="Memory is held by nobody",
        event="Memory is held by nobody for {$NVIDIA.ABANDONED.PERIOD} ({ITEM.LASTVALUE2})",
        expression=(
            "{$NVIDIA.ABANDONED.ALARM}=1 and max(@gpu.processes,{$NVIDIA.ABANDONED.PERIOD})=0"
            " and min(@gpu.memory_used_percent,{$NVIDIA.ABANDONED.PERIOD})>{$NVIDIA.IDLE.MEMORY}"
            " and last(@gpu.processes,#1:now-{$NVIDIA.ABANDONED.PERIOD})=0"
        ),
        depends=("driver",),
        opdata="Memory: {ITEM.LASTVALUE2}",
        why="Memory is taken although no process is on the card: what a crashed job leaves behind.",
        action="Look for processes that hold /dev/nvidia* open (fuser -v /dev/nvidia*); reset the GPU if there is "
        "none.",
    ),
    Alert(
        entity="gpu", key="old_process", severity=INFO, scope="notice",
        name="Process runs for very long",
        event="Process runs for very long ({ITEM.LASTVALUE1})",
        expression="{$NVIDIA.PROCESS.AGE}>0 and last(@gpu.process_oldest)>{$NVIDIA.PROCESS.AGE}",
        depends=("driver",),
        opdata="Current value: {ITEM.LASTVALUE1}",
        why="A process is on the card for longer than jobs of this site run.",
        action="Ask its user whether it still does anything.",
    ),
    Alert(
        entity="gpu", key="license", severity=WARNING, scope="availability",
        name="vGPU has no license",
        event="vGPU has no license for {$NVIDIA.LICENSE.PERIOD}: {ITEM.LASTVALUE1}",
        expression=_lasting("max", "gpu.license_state", "{$NVIDIA.LICENSE.PERIOD}", "<5"),
        recovery="last(@gpu.license_state)=5",
        depends=("driver",),
        opdata="Current value: {ITEM.LASTVALUE1}",
        why="Without its license a vGPU is slowed down, to 3 frames a second in the end.",
        action="Check the guest's client configuration token and its way to the license server (nvidia-smi -q, "
        "nvidia-gridd).",
    ),
    Alert(
        entity="gpu", key="nvlink_down", severity=AVERAGE, scope="availability",
        name="NVLink is down",
        event="NVLink is down ({ITEM.LASTVALUE1} up)",
        # Stored when it changes: it must be down now, and have been down a while ago.
        expression=(
            "last(@gpu.nvlink_up)<{$NVIDIA.NVLINK.EXPECTED}"
            " and last(@gpu.nvlink_up,#1:now-{$NVIDIA.NVLINK.DOWN})<{$NVIDIA.NVLINK.EXPECTED}"
            " or {$NVIDIA.NVLINK.EXPECTED}=0 and last(@gpu.nvlink_up)<max(@gpu.nvlink_up,{$NVIDIA.NVLINK.MEMORY})"
            " and last(@gpu.nvlink_up,#1:now-{$NVIDIA.NVLINK.DOWN})<max(@gpu.nvlink_up,{$NVIDIA.NVLINK.MEMORY})"
        ),
        depends=("driver",),
        opdata="Current value: {ITEM.LASTVALUE1}",
        why="A link to another GPU or a switch has gone: jobs over several GPUs become slow or fail.",
        action="Look at dmesg for Xid 74 and at nvidia-smi nvlink -s; drain the host, reset the GPUs, check bridge or "
        "board. If it was taken out on purpose, set {$NVIDIA.NVLINK.EXPECTED} to the links that are left.",
    ),
    Alert(
        entity="gpu", key="nvlink_errors", severity=WARNING, scope="notice",
        name="NVLink errors",
        event="NVLink errors (replays: {ITEM.LASTVALUE1}, recoveries: {ITEM.LASTVALUE2})",
        expression=(
            'changecount(@gpu.nvlink_replays,{$NVIDIA.NVLINK.PERIOD},"inc")>0'
            ' or changecount(@gpu.nvlink_recoveries,{$NVIDIA.NVLINK.PERIOD},"inc")>0'
        ),
        depends=("driver",),
        opdata="Replays: {ITEM.LASTVALUE1}, recoveries: {ITEM.LASTVALUE2}",
        why="Packets had to be sent again, or a link had to be trained anew.",
        action="Watch it; if it goes on, drain the host and run NVIDIA's field diagnostics.",
    ),
    Alert(
        entity="gpu", key="nvlink5_errors", severity=AVERAGE, scope="availability",
        name="NVLink data errors",
        event="NVLink data errors (left by the error correction: {ITEM.LASTVALUE1}, failed recoveries: "
        "{ITEM.LASTVALUE2})",
        expression=(
            'changecount(@gpu.nvlink_effective_errors,{$NVIDIA.NVLINK.PERIOD},"inc")>0'
            ' or changecount(@gpu.nvlink_recoveries_failed,{$NVIDIA.NVLINK.PERIOD},"inc")>0'
        ),
        depends=("driver",),
        opdata="Uncorrected: {ITEM.LASTVALUE1}, failed recoveries: {ITEM.LASTVALUE2}",
        why="A link of NVLink 5 passed on what its error correction could not put right, or went down for good.",
        action="Look at nvidia-smi nvlink -e; drain the host, reset the GPUs; run NVIDIA's field diagnostics if it "
        "goes on.",
    ),
    Alert(
        entity="gpu", key="nvlink_crc", severity=AVERAGE, scope="performance",
        name="Many NVLink CRC errors",
        event="Many NVLink CRC errors ({ITEM.LASTVALUE1} a second, over {$NVIDIA.NVLINK.CRC})",
        expression="avg(@gpu.nvlink_crc_rate,{$NVIDIA.NVLINK.PERIOD})>{$NVIDIA.NVLINK.CRC}",
        depends=("driver",),
        opdata="Current value: {ITEM.LASTVALUE1}",
        why="A link transfers badly: each such packet is sent again.",
        action="Drain the host; check the bridge or baseboard; run NVIDIA's field diagnostics.",
    ),
)  # fmt: skip

BY_KEY = {alert.key: alert for alert in ALERTS}
