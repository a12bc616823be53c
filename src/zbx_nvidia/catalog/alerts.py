"""The alerts: one row each, from which triggers, documentation and tests are derived.

In expressions ``@gpu.temperature`` stands for the item of that metric. Macros of rows about a GPU get the card's UUID
as context, so that each can be set for one card. Rows about a GPU count only while the card is present: the values of
one that is gone stay at the last reading.

A function over a period with a single value returns that value. So after a gap, or on a new host, one reading would
look like a whole period. What must last for a period is therefore also compared as it was one period ago
(``last(x,#1:now-period)``), which is unknown on a new host. That stands last, so that {ITEM.LASTVALUE1} stays the same.

Most readings are stored on change and once an hour. Of such a one, functions over a period see what was stored in it,
and are unknown if that is nothing; ``last(x,#1:now-period)`` is what it was then, whenever it was stored. So what must
last is asked of it now, then, and of what was stored in between, if there is anything: the same as of each poll. Zabbix
evaluates a trigger when one of its items gets a value. So each that depends on time or on a macro has one that gets one
each poll: those of a GPU have its presence, which `template.expressions` adds.
"""

from __future__ import annotations

from typing import NamedTuple

from zbx_nvidia.catalog.status import HOST_BUSY

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
        event: What is wrong, with value and limit in front. Items in expression macros belong to every card that has
            the alert.
        severity: As above.
        scope: Value of the trigger tag `scope`, in Zabbix's own vocabulary.
        expression: When it is raised.
        recovery: When it ends; "" for as soon as the expression is false.
        depends: Keys of the alerts of the same entity that suppress this one: of a GPU, only those that evaluate no
            readings but those that this one has too. None of a GPU depends on one of the host: Zabbix 7.0.22 refuses
            to unlink and clear a template, or to delete it, once such a trigger is discovered. It needs none either:
            while the driver does not answer, no value of a GPU comes, and so no trigger of it is evaluated.
        unless: Reader of a GPU that this alert stands in for: a card that has it gets the alert on that instead.
        opdata: What the problem list shows beside it, always the newest. No texts: Zabbix cuts them at 20 characters.
            "" for where the GPU sits.
        url: NVIDIA's page that explains it, which the menu of the problem links to; "" for its heading on the page of
            `{$NVIDIA.DOCS.URL}`.
        closable: Whether a person may close it: if it can stay open although its expression is false. Any other would
            be raised again by the next poll.
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
    unless: str = ""
    opdata: str = ""
    url: str = ""
    closable: bool = False


_XID_PAGE = "https://docs.nvidia.com/deploy/xid-errors/"
_ROWS_PAGE = "https://docs.nvidia.com/deploy/a100-gpu-mem-error-mgmt/"
# The recent XID codes without the commas around them.
_CODES = r'{{ITEM.LASTVALUE1}.regsub("^,(.*),$","\1")}'


def _lasting(function: str, ref: str, period: str, is_so: str) -> str:
    """True if a reading fulfills a condition for a whole period: a single value in the period is not enough."""
    return f"{function}(@{ref},{period}){is_so} and last(@{ref},#1:now-{period}){is_so}"


def _now_and_then(ref: str, period: str, is_so: str) -> str:
    """What is stored on change is so now, and was so a period ago."""
    return f"last(@{ref}){is_so} and last(@{ref},#1:now-{period}){is_so}"


def _unchanged(function: str, ref: str, period: str, is_so: str) -> str:
    """The same of a reading that is stored on change."""
    return f"last(@{ref}){is_so} and {_since(function, ref, period, is_so)}"


def _since(function: str, ref: str, period: str, is_so: str) -> str:
    """The part of it that looks back: `function` is `max` for an upper limit, and `min` for a lower one."""
    return f"last(@{ref},#1:now-{period}){is_so} and (count(@{ref},{period})=0 or {function}(@{ref},{period}){is_so})"


def _ever(ref: str, period: str) -> str:
    """True if a flag that is stored on change was 1 in a period."""
    return f'last(@{ref},#1:now-{period})=1 or count(@{ref},{period},"eq",1)>0'


def _grew(counter: str, period: str, limit: str, per: int = 1) -> str:
    """True if a counter that is stored on change grew by more than a limit per so many seconds, averaged over a period.

    By the time between the documents, which is longer than the period if none came at its beginning, and never shorter:
    it looks so where the host's clock was put back. A counter that began again is below its old value for a period.
    """
    then = f"#1:now-{period}"
    growth = f"(last(@{counter})-last(@{counter},{then}))" + (f"*{per}" if per > 1 else "")
    return f"{growth}>{limit}*max(last(@timestamp)-last(@timestamp,{then}),{period})"


# Replays per minute that a sound link may have, by its highest generation in two hours, which always have a value: an
# idle card lowers that, while most of the replays are older.
_GENERATION = "max(@gpu.pcie_generation,2h)"
_REPLAYS = (
    "{$NVIDIA.PCIE.REPLAYS}*last(@gpu.pcie_width)"
    f"*(({_GENERATION}<3)*0.15*{_GENERATION}+({_GENERATION}>=3)*0.06*power(2,{_GENERATION}))"
)


ALERTS = (
    Alert(
        entity="host", key="nodata", severity=AVERAGE, scope="availability",
        name="No data from the host",
        event="No data from the host for {$NVIDIA.NODATA}",
        expression="nodata(@timestamp,{$NVIDIA.NODATA})=1",
        opdata="Last document: {ITEM.LASTVALUE1}",
        why="Zabbix receives no document from this host. The agent is down, unreachable, or has no entry for "
        "`nvidia.get`.",
        action="Run `sudo zbx-nvidia doctor` on the host.",
    ),
    Alert(
        entity="host", key="stale", severity=AVERAGE, scope="availability",
        name="No new document from the collector",
        event="No new document from the collector for {$NVIDIA.STALE}",
        # The current document is the one of then.
        expression="last(@timestamp)=last(@timestamp,#1:now-{$NVIDIA.STALE})",
        depends=("nodata",),
        opdata="Document time: {ITEM.LASTVALUE1}",
        why="The agent answers, but always with the same document. The service on the host no longer updates it.",
        action="Run `systemctl status zbx-nvidia` on the host, then `sudo zbx-nvidia doctor`.",
    ),
    Alert(
        entity="host", key="clock", severity=WARNING, scope="notice",
        name="Clocks differ",
        event="Clocks of the host and the Zabbix server differ by more than {$NVIDIA.CLOCK}",
        # Only for fresh documents: an old one says nothing about the clock.
        expression="fuzzytime(@timestamp,{$NVIDIA.CLOCK})=0 and change(@timestamp)<>0",
        recovery="fuzzytime(@timestamp,{$NVIDIA.CLOCK})=1",
        depends=("nodata", "stale"),
        opdata="Document time: {ITEM.LASTVALUE1}",
        why="Documents arrive, but their time differs from the server's. Alerts work; times inside texts are the "
        "host's.",
        action="Run `timedatectl` and `chronyc tracking` on host and server. Correct the clock that is wrong.",
    ),
    Alert(
        entity="host", key="driver", severity=HIGH, scope="availability",
        name="Driver does not answer",
        event="Driver does not answer: {?last(@status.message)}",
        # The message is named so that it can be shown; its length is never below 0.
        # Not the code: it is above 0 also if a single GPU does not answer, which raises “GPU is sick”.
        expression=(
            "max(@status.driver,{$NVIDIA.POLLS})=0 and last(@status.code)>0 and length(last(@status.message))>=0"
        ),
        recovery="last(@status.driver)=1",
        depends=("nodata", "stale"),
        opdata="{ITEM.LASTVALUE2}",
        why="The host answers, but its NVIDIA driver does not. No GPU can be read.",
        action="Do what the message says. Then run `nvidia-smi` on the host.",
    ),
    Alert(
        entity="host", key="lost", severity=HIGH, scope="availability",
        name="GPU is lost",
        event="GPU is lost: {?last(@host.lost)}",
        # Only for one that was lost before it was ever seen: the maximum of present GPUs in a month is below the sum
        # of present and lost ones. All others raise “GPU lost or missing”, which knows the card.
        expression=(
            "min(@host.gpus_lost,{$NVIDIA.POLLS})>0 and length(last(@host.lost))>=0"
            " and max(@host.gpus_present,{$NVIDIA.GPU.MEMORY})<last(@host.gpus_present)+last(@host.gpus_lost)"
        ),
        recovery="last(@host.gpus_lost)=0",
        depends=("driver",),
        opdata="Lost: {ITEM.LASTVALUE1}",
        why="The driver counts a GPU that it cannot reach, and that was never seen here. It has fallen off the bus or "
        "needs a reset.",
        action="If the alert names a fix, such as “reset it”, start with it. Otherwise drain the host and reboot it. "
        "If the GPU is lost again, check its seating, power and cables, then replace it.",
    ),
    Alert(
        entity="host", key="sick", severity=HIGH, scope="availability",
        name="GPU is sick",
        event="GPU is sick: {?last(@host.sick)}",
        # As above: one that was seen, but no longer says who it is, raises “GPU lost or missing”.
        expression=(
            "min(@host.gpus_sick,{$NVIDIA.POLLS})>0 and length(last(@host.sick))>=0"
            " and max(@host.gpus_present,{$NVIDIA.GPU.MEMORY})"
            "<last(@host.gpus_present)+last(@host.gpus_lost)+last(@host.gpus_sick)"
        ),
        recovery="last(@host.gpus_sick)=0",
        depends=("driver",),
        opdata="Sick: {ITEM.LASTVALUE1}",
        why="A GPU is present, but answers every reading with an error, or not at all.",
        action="If the alert names a fix, such as a power cable, start with it. Otherwise run `dmesg | grep -E "
        "'NVRM|Xid'` on the host, drain the host, then reset the GPU or reboot the host.",
    ),
    Alert(
        entity="host", key="recovery_imex", severity=HIGH, scope="availability",
        name="IMEX domain must be recovered",
        event="IMEX domain must be recovered, say {ITEM.LASTVALUE1} GPUs",
        expression="last(@host.gpus_imex)>0",
        recovery="last(@host.gpus_imex)=0",
        depends=("driver",),
        opdata="GPUs: {ITEM.LASTVALUE1}",
        why="The service that shares GPU memory between the hosts of an NVLink domain (IMEX) has failed. No reset of a "
        "GPU helps.",
        action="Run `nvidia-imex-ctl -N` to find the host that is not ready. End the jobs of the domain. Then run "
        "`sudo systemctl restart nvidia-imex` on its hosts.",
    ),
    Alert(
        entity="host", key="count", severity=HIGH, scope="availability",
        name="Fewer GPUs than expected",
        event="{ITEM.LASTVALUE1} of {$NVIDIA.GPU.EXPECTED} expected GPUs found",
        # As above: a card that was seen within a month raises “GPU lost or missing”.
        expression=(
            "last(@host.gpu_count)<{$NVIDIA.GPU.EXPECTED}"
            " and max(@host.gpus_present,{$NVIDIA.GPU.MEMORY})<{$NVIDIA.GPU.EXPECTED}"
            # It comes with each poll.
            " and last(@timestamp)>0"
        ),
        depends=("driver",),
        opdata="Current value: {ITEM.LASTVALUE1}",
        why="The driver counts fewer GPUs than this host should have.",
        action="Compare `nvidia-smi -L` with `lspci -d 10de:`. If lspci does not list a card, check its seating and "
        "power.",
    ),
    Alert(
        entity="host", key="bound", severity=HIGH, scope="availability",
        name="Fewer GPUs than on the bus",
        event="The driver counts {ITEM.LASTVALUE1} of {?last(@host.gpus_bound)} GPUs on the bus",
        # As above. A lost GPU is still counted, so this is one that never came up.
        expression=(
            "last(@host.gpu_count)<last(@host.gpus_bound)"
            " and max(@host.gpus_present,{$NVIDIA.GPU.MEMORY})<last(@host.gpus_bound)"
            # In a container the bus cannot be seen: there is no value. Without values count() is 0, while nodata() is
            # unknown until its period is over. Of the others, only the time comes with each poll then.
            " and count(@host.gpus_bound,{$NVIDIA.NODATA})>0 and last(@timestamp)>0"
        ),
        recovery="last(@host.gpu_count)>=last(@host.gpus_bound) or count(@host.gpus_bound,{$NVIDIA.NODATA})=0",
        depends=("driver", "count"),
        opdata="Counted: {ITEM.LASTVALUE1}",
        why="A GPU on the bus is bound to the driver nvidia, but the driver does not count it. It failed to start.",
        action="Run `dmesg | grep NVRM` and compare `nvidia-smi -L` with `lspci -k -d 10de:`. Reboot the host. If the "
        "GPU is missing again, check its seating and power.",
    ),
    Alert(
        entity="host", key="slow", severity=WARNING, scope="performance",
        name="Collection is slow",
        event="Collection takes {ITEM.LASTVALUE1}, more than {$NVIDIA.SLOW} s",
        expression=_lasting("min", "collector.duration", "{$NVIDIA.SLOW.PERIOD}", ">{$NVIDIA.SLOW}"),
        depends=("driver",),
        opdata="Current value: {ITEM.LASTVALUE1}",
        why="Reading the GPUs takes almost as long as the Timeout of the agent. Beyond that, there is no data.",
        action="Run `nvidia-smi -pm 1` to keep the driver loaded. Check the load of the host, and for a GPU that "
        "answers slowly.",
    ),
    Alert(
        entity="host", key="busy", severity=WARNING, scope="performance",
        name="Host too busy to read its GPUs",
        event="Host too busy to read its GPUs",
        # It is the highest code. The time of the document comes with each poll.
        expression=_unchanged("min", "status.code", "{$NVIDIA.SLOW.PERIOD}", f"={HOST_BUSY.code}")
        + " and last(@timestamp)>0",
        recovery=f"last(@status.code)<>{HOST_BUSY.code}",
        depends=("nodata", "stale"),
        opdata="{ITEM.LASTVALUE1}",
        why="The collector waited for a processor until its deadline. This says nothing of the driver or the GPUs.",
        action="Check the load of the host with `uptime`. Run the resident collector, or raise `Timeout` of the agent "
        "and run `sudo zbx-nvidia install-agent` again, which adapts `--deadline` of the collector.",
    ),
    Alert(
        entity="host", key="errors", severity=WARNING, scope="notice",
        name="Failed readings",
        event="Failed readings: {ITEM.LASTVALUE1}",
        expression=_lasting("min", "collector.error_count", "{$NVIDIA.SLOW.PERIOD}", ">0"),
        depends=("driver",),
        opdata="Current value: {ITEM.LASTVALUE1}",
        why="The driver returns errors other than “not supported” and “no permission”.",
        action="Run `zbx-nvidia show` on the host, as the user of the agent. It lists the readings and their errors.",
    ),
    Alert(
        entity="host", key="left_out", severity=WARNING, scope="notice",
        name="Readings left out of the document",
        event="Readings left out of the document: {?last(@collector.left_out)}",
        expression="length(last(@collector.left_out))>0",
        recovery="length(last(@collector.left_out))=0",
        depends=("driver",),
        why="The document of this host would be larger than its agent can read. The least needed groups of readings "
        "are left out.",
        action="Run `sudo zbx-nvidia install-agent`: the service writes more if each agent that reads its document is "
        "7.0 or newer. If one is older, update it first, or run `sudo zbx-nvidia install-agent --mode oneshot`.",
    ),
    Alert(
        entity="host", key="driver_version", severity=WARNING, scope="notice",
        name="Unexpected driver version",
        event="Driver version {ITEM.LASTVALUE1}, expected {$NVIDIA.EXPECTED.DRIVER}",
        # Whether the driver is available comes with each poll; the version is stored on change and once a day.
        expression=(
            '"{$NVIDIA.EXPECTED.DRIVER}"<>"" and last(@host.driver_version)<>"{$NVIDIA.EXPECTED.DRIVER}"'
            " and last(@status.driver)=1"
        ),
        depends=("driver",),
        opdata="Current value: {ITEM.LASTVALUE1}",
        why="The host has another driver version than it should have.",
        action="Install the expected driver, or set `{$NVIDIA.EXPECTED.DRIVER}` for this host.",
    ),
    Alert(
        entity="host", key="sxid", severity=HIGH, scope="availability",
        name="Fatal NVSwitch error (SXid)",
        event="Fatal NVSwitch error (SXid): {ITEM.LASTVALUE1}",
        expression="length(last(@host.sxid_recent))>0",
        depends=("driver",),
        why="An NVSwitch has reported an SXid error that it calls fatal. Traffic between GPUs was lost, and the "
        "applications that used them have ended.",
        action="Look up the code in NVIDIA's Fabric Manager User Guide. Drain the host, then reset its GPUs and "
        "NVSwitches, or reboot it. If the error returns, replace the NVSwitch or its baseboard.",
    ),
    Alert(
        entity="gpu", key="missing", severity=HIGH, scope="availability",
        name="GPU lost or missing",
        event="GPU lost or missing, last seen at {#PLACE}",
        # Over several polls, because Zabbix may take the values of one document in two steps.
        # If as many are present as ever in a month, the card was replaced.
        expression=(
            "max(@gpu.present,{$NVIDIA.POLLS})=0 and {$NVIDIA.GPU.WATCH}=1"
            " and last(@host.gpus_present)<max(@host.gpus_present,{$NVIDIA.GPU.MEMORY})"
        ),
        recovery=(
            "last(@gpu.present)=1 or {$NVIDIA.GPU.WATCH}=0"
            " or last(@host.gpus_present)>=max(@host.gpus_present,{$NVIDIA.GPU.MEMORY})"
        ),
        opdata="Last seen at {#PLACE}",
        why="The driver answers, but no longer finds this GPU. It has fallen off the bus, needs a reset, or was "
        "removed.",
        action="If you removed it, set `{$NVIDIA.GPU.WATCH}` to 0 for its UUID. Otherwise run `lspci -d 10de:`. If the "
        "card is listed, drain the host and reboot it. If not, check its seating, power and cables.",
    ),
    Alert(
        entity="gpu", key="temperature", severity=WARNING, scope="performance",
        name="Temperature near the slowdown limit",
        event="{ITEM.LASTVALUE1}, {?last(@gpu.temperature_slowdown)-last(@gpu.temperature)} °C below the slowdown "
        "limit",
        expression=_lasting(
            "min", "gpu.temperature", "{$NVIDIA.TEMP.PERIOD}", ">last(@gpu.temperature_slowdown)-{$NVIDIA.TEMP.MARGIN}"
        ),
        recovery=(
            "max(@gpu.temperature,{$NVIDIA.TEMP.PERIOD})"
            "<last(@gpu.temperature_slowdown)-{$NVIDIA.TEMP.MARGIN}-{$NVIDIA.TEMP.HYST}"
        ),
        closable=True,
        opdata="Current value: {ITEM.LASTVALUE1}",
        why="The GPU is about to lower its clocks to protect itself.",
        action="Check fans, filters, airflow and room temperature. Until then, lower the power limit: `nvidia-smi -pl "
        "WATTS`.",
    ),
    Alert(
        entity="gpu", key="temperature_margin", severity=WARNING, scope="performance",
        name="Temperature margin near the slowdown limit",
        event="{?last(@gpu.temperature)} °C, {?last(@gpu.temperature_margin)-last(@gpu.temperature_slowdown_margin)} "
        "°C below the slowdown limit",
        # Some H100 were seen with margins at and below 0 while they were cool (gpud): such a margin counts only
        # during thermal throttling.
        expression=(
            "max(@gpu.temperature_margin,{$NVIDIA.TEMP.PERIOD})"
            "<last(@gpu.temperature_slowdown_margin)+{$NVIDIA.TEMP.MARGIN}"
            " and (min(@gpu.temperature_margin,{$NVIDIA.TEMP.PERIOD})>0"
            f" or {_ever('gpu.throttle_sw_thermal', '{$NVIDIA.TEMP.PERIOD}')}"
            f" or {_ever('gpu.throttle_hw_thermal', '{$NVIDIA.TEMP.PERIOD}')})"
            " and last(@gpu.temperature_margin,#1:now-{$NVIDIA.TEMP.PERIOD})"
            "<last(@gpu.temperature_slowdown_margin)+{$NVIDIA.TEMP.MARGIN}"
        ),
        recovery=(
            "min(@gpu.temperature_margin,{$NVIDIA.TEMP.PERIOD})"
            ">last(@gpu.temperature_slowdown_margin)+{$NVIDIA.TEMP.MARGIN}+{$NVIDIA.TEMP.HYST}"
        ),
        # Driver 580 gives both for an H100 and an H200, driver 590 the margin alone.
        unless="temperature_slowdown",
        closable=True,
        opdata="Margin: {ITEM.LASTVALUE1}",
        why="The GPU is about to lower its clocks to protect itself. It reports a margin (T.Limit) instead of a "
        "slowdown temperature.",
        action="Check fans, airflow, coolant and room temperature. Until then, lower the power limit: `nvidia-smi -pl "
        "WATTS`.",
    ),
    Alert(
        entity="gpu", key="fan", severity=HIGH, scope="availability",
        name="Fan off while the GPU is hot",
        event="{ITEM.LASTVALUE2}, but the fan is at {ITEM.LASTVALUE1} for {$NVIDIA.FAN.PERIOD}",
        # A10G cards, passively cooled, report a fan at 0 %: a fan that never ran has not stopped.
        expression=(
            "last(@gpu.fan_speed)=0"
            " and min(@gpu.temperature,{$NVIDIA.FAN.PERIOD})>{$NVIDIA.FAN.HOT}"
            " and count(@gpu.fan_turned,{$NVIDIA.FAN.MEMORY})>0"
            f" and {_since('max', 'gpu.fan_speed', '{$NVIDIA.FAN.PERIOD}', '=0')}"
            " and last(@gpu.temperature,#1:now-{$NVIDIA.FAN.PERIOD})>{$NVIDIA.FAN.HOT}"
        ),
        recovery="last(@gpu.fan_speed)>0 or max(@gpu.temperature,{$NVIDIA.FAN.PERIOD})<{$NVIDIA.FAN.HOT}",
        closable=True,
        opdata="Fan: {ITEM.LASTVALUE1}, temperature: {ITEM.LASTVALUE2}",
        why="The card requests a fan speed of 0 % although it is hot. NVML reports the requested speed: only the "
        "temperature reveals a blocked fan.",
        action="Stop the load. Look for a tool that sets fan speeds. Run `dmesg | grep NVRM`.",
    ),
    Alert(
        entity="gpu", key="recovery", severity=HIGH, scope="availability",
        name="Recovery action required",
        event="Recovery action required: {ITEM.LASTVALUE1}",
        # 5 is not about this GPU, but about the domain of several hosts: “IMEX domain must be recovered”.
        expression="last(@gpu.recovery_action)>0 and last(@gpu.recovery_action)<>5",
        opdata="Current value: {ITEM.LASTVALUE1}",
        why="The driver reports that the GPU needs this action to work again.",
        action="Drain the host and do what the event says. Reset the GPU: `nvidia-smi -r`. Drain peer-to-peer traffic: "
        "end the jobs on all GPUs that are connected with it. Reset the bus, or reboot: `reboot`.",
    ),
    Alert(
        entity="gpu", key="ecc_uncorrected", severity=AVERAGE, scope="availability",
        name="Uncorrected ECC errors",
        event="Uncorrected ECC errors: {ITEM.LASTVALUE1} since the driver was loaded",
        expression='changecount(@gpu.ecc_uncorrected_volatile,{$NVIDIA.ECC.PERIOD},"inc")>0',
        opdata="Current value: {ITEM.LASTVALUE1}",
        why="Data in the memory of the GPU was lost. The application that used it has most likely ended.",
        action="Restart the application. If a row remapping is pending, reset the GPU. If errors return, run NVIDIA's "
        "field diagnostics.",
    ),
    Alert(
        entity="gpu", key="ecc_corrected", severity=WARNING, scope="notice",
        name="High rate of corrected ECC errors",
        event="{ITEM.LASTVALUE1} corrected ECC errors per hour, limit {$NVIDIA.ECC.CORRECTED.MAX}",
        # The rate is named so that it can be shown; it is never below 0.
        expression="last(@gpu.ecc_corrected_rate)>=0 and "
        + _grew(
            "gpu.ecc_corrected_volatile", "{$NVIDIA.ECC.CORRECTED.PERIOD}", "{$NVIDIA.ECC.CORRECTED.MAX}", per=3600
        ),
        opdata="Current value: {ITEM.LASTVALUE1}",
        why="The memory wears out. No data is lost yet.",
        action="Watch the card. If uncorrected errors follow, replace it.",
    ),
    Alert(
        entity="gpu", key="memory_unrepairable", severity=HIGH, scope="availability",
        name="Unrepairable memory error",
        event="Unrepairable memory error",
        expression="last(@gpu.memory_unrepairable)=1",
        why="The memory has an error that neither a spare row nor a reset repairs.",
        action="Take the card out of service and replace it.",
    ),
    Alert(
        entity="gpu", key="remap_failure", severity=HIGH, scope="availability",
        name="Row remapping failed",
        event="Row remapping failed",
        expression="last(@gpu.remap_failure)=1",
        url=_ROWS_PAGE,
        why="A faulty memory row has no spare row left to replace it.",
        action="Take the card out of service, run NVIDIA's field diagnostics, and replace it.",
    ),
    Alert(
        entity="gpu", key="remap_pending", severity=WARNING, scope="notice",
        name="Row remapping pending",
        event="Row remapping pending",
        # Over several polls, and not if it has failed: Zabbix may evaluate “Row remapping failed” a little later.
        expression="min(@gpu.remap_pending,{$NVIDIA.POLLS})=1 and last(@gpu.remap_failure)=0",
        depends=("remap_failure",),
        url=_ROWS_PAGE,
        why="The next GPU reset replaces a faulty memory row.",
        action="At the next opportunity, drain the GPU and reset it: `nvidia-smi -r`.",
    ),
    Alert(
        entity="gpu", key="repair_pending", severity=WARNING, scope="notice",
        name="Repair pending",
        event="Repair pending: memory channel {ITEM.LASTVALUE1}, TPC {ITEM.LASTVALUE2}",
        expression="last(@gpu.repair_channel_pending)=1 or last(@gpu.repair_tpc_pending)=1",
        opdata="Channel: {ITEM.LASTVALUE1}, TPC: {ITEM.LASTVALUE2}",
        why="The next GPU reset repairs a memory channel or a group of multiprocessors (TPC) with spare parts.",
        action="At the next opportunity, drain the GPU and reset it: `nvidia-smi -r`.",
    ),
    Alert(
        entity="gpu", key="remap_many", severity=AVERAGE, scope="notice",
        name="Too many remapped rows",
        event="{ITEM.LASTVALUE1} rows remapped for uncorrected errors, limit {$NVIDIA.REMAP.MAX}",
        expression="last(@gpu.remapped_uncorrected)>={$NVIDIA.REMAP.MAX}",
        opdata="Current value: {ITEM.LASTVALUE1}",
        url=_ROWS_PAGE,
        why="The card has used all row remappings that NVIDIA allows.",
        action="Replace the card.",
    ),
    Alert(
        entity="gpu", key="retired_pending", severity=WARNING, scope="notice",
        name="Page retirement pending",
        event="Page retirement pending",
        expression="last(@gpu.retired_pages_pending)=1",
        why="The next load of the driver retires faulty memory pages.",
        action="At the next opportunity, drain the host, then reload the driver or reboot.",
    ),
    Alert(
        entity="gpu", key="retired_many", severity=AVERAGE, scope="notice",
        name="Too many retired pages",
        event="{?last(@gpu.retired_pages_single)+last(@gpu.retired_pages_double)} pages retired, limit "
        "{$NVIDIA.RETIRED.MAX}",
        expression="last(@gpu.retired_pages_single)+last(@gpu.retired_pages_double)>={$NVIDIA.RETIRED.MAX}",
        opdata="Single-bit: {ITEM.LASTVALUE1}, double-bit: {ITEM.LASTVALUE2}",
        why="The card has retired as many pages as it can.",
        action="Replace the card.",
    ),
    Alert(
        entity="gpu", key="fabric", severity=HIGH, scope="availability",
        name="GPU has not joined the NVLink fabric",
        event="GPU has not joined the NVLink fabric: state {ITEM.LASTVALUE1}, status {ITEM.LASTVALUE2}",
        # Not supported (0) from the start is no fault: so report cards without NVSwitches. After another state, it is.
        expression=(
            "max(@gpu.fabric_state,{$NVIDIA.FABRIC.MEMORY})>0"
            " and (last(@gpu.fabric_state)<3 or last(@gpu.fabric_status)>0)"
            f" and ({_since('max', 'gpu.fabric_state', '{$NVIDIA.FABRIC.PERIOD}', '<3')}"
            f" or {_since('min', 'gpu.fabric_status', '{$NVIDIA.FABRIC.PERIOD}', '>0')})"
        ),
        recovery="last(@gpu.fabric_state)=3 and last(@gpu.fabric_status)=0",
        closable=True,
        opdata="State: {ITEM.LASTVALUE1}, status: {ITEM.LASTVALUE2}",
        why="CUDA does not start on a GPU that has not joined the fabric of its NVSwitches. If the state is “Not "
        "supported”, the GPU was in a fabric before, and has left it.",
        action="Run `systemctl status nvidia-fabricmanager`. Its version must be that of the driver. Restart it, then "
        "reset the GPUs.",
    ),
    Alert(
        entity="gpu", key="fabric_health", severity=AVERAGE, scope="availability",
        name="NVLink fabric unhealthy",
        event="NVLink fabric unhealthy: {ITEM.LASTVALUE1}",
        expression='find(@gpu.fabric_faults,,"regexp","{$NVIDIA.FABRIC.FAULTS}")=1 and last(@gpu.fabric_state)=3',
        depends=("fabric",),
        why="The driver reports a fault of the NVLink fabric, as this GPU sees it. Jobs on several GPUs are slow or "
        "fail.",
        action="Run `nvidia-smi -q -d FABRIC`. Bandwidth degraded, too few NVLinks: run `nvidia-smi nvlink -s` and "
        "check the links that are down. Route or recovery: read the log of the fabric manager on the host or on the "
        "NVLink switches. Configuration or partition: check the settings of the fabric manager. If it stays, reset the "
        "GPU.",
    ),
    Alert(
        entity="gpu", key="xid_restart", severity=HIGH, scope="availability",
        name="XID error: host restart required",
        event="XID error: {ITEM.LASTVALUE2}, host restart required (recent codes " + _CODES + ")",
        # The last code of these is named so that the event shows it with its meaning; it is never below 0.
        expression='find(@gpu.xid_recent,,"regexp","{$NVIDIA.XID.RESTART}")=1 and last(@gpu.xid_restart_last)>=0',
        opdata="Last: {ITEM.LASTVALUE2}",
        url=_XID_PAGE,
        why="The driver has reported an error for which NVIDIA requires a restart of the host.",
        action="Drain the host and restart it. If the error returns, check the seating, power and cables of the card, "
        "then replace it.",
    ),
    Alert(
        entity="gpu", key="xid_reset", severity=HIGH, scope="availability",
        name="XID error: GPU reset required",
        event="XID error: {ITEM.LASTVALUE2}, GPU reset required (recent codes " + _CODES + ")",
        expression='find(@gpu.xid_recent,,"regexp","{$NVIDIA.XID.RESET}")=1 and last(@gpu.xid_reset_last)>=0',
        depends=("xid_restart",),
        opdata="Last: {ITEM.LASTVALUE2}",
        url=_XID_PAGE,
        why="The driver has reported an error for which NVIDIA requires a GPU reset.",
        action="Drain the GPU. Run `zbx-nvidia-agent release`, `nvidia-smi -r`, then `systemctl restart zbx-nvidia`, "
        "which resolves this alert unless the service reads the kernel log. Or restart the host.",
    ),
    Alert(
        entity="gpu", key="xid_support", severity=AVERAGE, scope="availability",
        name="XID error: investigation required",
        event="XID error: {ITEM.LASTVALUE2}, investigation required (recent codes " + _CODES + ")",
        expression='find(@gpu.xid_recent,,"regexp","{$NVIDIA.XID.SUPPORT}")=1 and last(@gpu.xid_support_last)>=0',
        depends=("xid_reset",),
        opdata="Last: {ITEM.LASTVALUE2}",
        url=_XID_PAGE,
        why="The driver has reported an error that is not an application's fault, and that a reset alone does not fix.",
        action="Look up the code at docs.nvidia.com/deploy/xid-errors. Run NVIDIA's field diagnostics, then contact "
        "support. Then run `systemctl restart zbx-nvidia`, which resolves this alert unless the service reads the "
        "kernel log.",
    ),
    Alert(
        entity="gpu", key="xid_fabric", severity=WARNING, scope="notice",
        name="XID 45 without other errors: check the fabric manager",
        event="XID 45 without other errors, and the GPU is not in its fabric: check the fabric manager",
        # A killed process leaves it too, on any card: so only if the fabric state is bad.
        expression='find(@gpu.xid_recent,,"regexp","{$NVIDIA.XID.FABRIC}")=1 and last(@gpu.fabric_state)<3'
        " and max(@gpu.fabric_state,{$NVIDIA.FABRIC.MEMORY})>0",
        depends=("fabric", "xid_reset"),
        opdata="Fabric: {ITEM.LASTVALUE2}",
        url=_XID_PAGE,
        why="The driver tore down channels and reported no other error, and the GPU is not in the fabric of its "
        "NVSwitches.",
        action="Run `systemctl status nvidia-fabricmanager`. Its version must be that of the driver. Restart it, then "
        "reset the GPUs.",
    ),
    Alert(
        entity="gpu", key="xid_repeated", severity=HIGH, scope="availability",
        name="XID errors again and again",
        event="XID errors that require action came back {$NVIDIA.REPEAT.XIDS} times or more within "
        "{$NVIDIA.REPEAT.TIME}",
        # Counted in polls: a burst is one.
        expression=(
            'changecount(@gpu.xid_reset,{$NVIDIA.REPEAT.TIME},"inc")'
            '+changecount(@gpu.xid_restart,{$NVIDIA.REPEAT.TIME},"inc")'
            '+changecount(@gpu.xid_support,{$NVIDIA.REPEAT.TIME},"inc")>={$NVIDIA.REPEAT.XIDS}'
            " and {$NVIDIA.REPEAT.XIDS}>0"
        ),
        url=_XID_PAGE,
        why="What was done about the first errors did not help.",
        action="Take the card out of service, run NVIDIA's field diagnostics, and contact support.",
    ),
    Alert(
        entity="gpu", key="xid_hardware", severity=WARNING, scope="notice",
        name="XID errors of applications on one GPU only",
        event="XID errors of applications on this GPU only, {$NVIDIA.REPEAT.APPLICATION} times or more within "
        "{$NVIDIA.REPEAT.TIME}",
        # A developer's own machine has few GPUs, and its errors are the program's.
        expression=(
            'changecount(@gpu.xid_application,{$NVIDIA.REPEAT.TIME},"inc")>={$NVIDIA.REPEAT.APPLICATION}'
            " and {$NVIDIA.REPEAT.APPLICATION}>0 and max(@host.xid_application_gpus,{$NVIDIA.REPEAT.TIME})<=1"
            " and last(@host.gpu_count)>3"
        ),
        url=_XID_PAGE,
        why="Errors such as 13 or 31 are most often an application's fault. If one GPU of several has them again and "
        "again, it is most likely the hardware.",
        action="Run the same application on another GPU. If it has no errors there, drain the GPU and run NVIDIA's "
        "field diagnostics.",
    ),
    Alert(
        entity="gpu", key="xid_info", severity=INFO, scope="notice",
        name="XID event, no immediate action",
        event="XID event, no immediate action (recent codes " + _CODES + ")",
        expression='find(@gpu.xid_recent,,"regexp","{$NVIDIA.XID.INFO}")=1',
        depends=("xid_reset",),
        url=_XID_PAGE,
        why="The driver has handled a fault. Examples: it remapped a faulty memory row (63), or an error hit a single "
        "application (94).",
        action="63: reset the GPU at the next opportunity. 94: restart the application. Others: look up the code at "
        "docs.nvidia.com/deploy/xid-errors.",
    ),
    Alert(
        entity="gpu", key="hw_thermal", severity=AVERAGE, scope="performance",
        name="Thermal throttling (hardware)",
        event="Thermal throttling (hardware) for {$NVIDIA.THROTTLE.PERIOD}",
        expression=_unchanged("min", "gpu.throttle_hw_thermal", "{$NVIDIA.THROTTLE.PERIOD}", "=1"),
        recovery="last(@gpu.throttle_hw_thermal)=0",
        why="The GPU is too hot. It runs at half its clocks or less.",
        action="Reduce the load on the GPU. Check fans, airflow and room temperature.",
    ),
    Alert(
        entity="gpu", key="power_brake", severity=AVERAGE, scope="performance",
        name="Power throttling (power brake)",
        event="Power throttling (power brake) for {$NVIDIA.THROTTLE.PERIOD}",
        expression=_unchanged("min", "gpu.throttle_power_brake", "{$NVIDIA.THROTTLE.PERIOD}", "=1"),
        recovery="last(@gpu.throttle_power_brake)=0",
        why="The host requests lower clocks: a power supply has failed or is overloaded.",
        action="Check the power supplies of the host and their feeds.",
    ),
    Alert(
        entity="gpu", key="sw_thermal", severity=WARNING, scope="performance",
        name="Thermal throttling (software)",
        event="Thermal throttling (software) for {$NVIDIA.THROTTLE.SW.PERIOD}",
        expression=_unchanged("min", "gpu.throttle_sw_thermal", "{$NVIDIA.THROTTLE.SW.PERIOD}", "=1"),
        recovery="last(@gpu.throttle_sw_thermal)=0",
        depends=("hw_thermal",),
        why="The GPU is at its maximum operating temperature. The driver lowers its clocks.",
        action="Check fans, airflow and room temperature.",
    ),
    Alert(
        entity="gpu", key="memory_temperature", severity=WARNING, scope="performance",
        name="Memory temperature near its limit",
        event="Memory at {ITEM.LASTVALUE1}, {?last(@gpu.temperature_memory_max)-last(@gpu.temperature_memory)} °C "
        "below its limit",
        expression="{$NVIDIA.TEMP.MEMORY.MAX}=0 and " + _lasting(
            "min", "gpu.temperature_memory", "{$NVIDIA.TEMP.PERIOD}",
            ">last(@gpu.temperature_memory_max)-{$NVIDIA.TEMP.MARGIN}",
        ),
        recovery=(
            "{$NVIDIA.TEMP.MEMORY.MAX}>0 or max(@gpu.temperature_memory,{$NVIDIA.TEMP.PERIOD})"
            "<last(@gpu.temperature_memory_max)-{$NVIDIA.TEMP.MARGIN}-{$NVIDIA.TEMP.HYST}"
        ),
        closable=True,
        opdata="Current value: {ITEM.LASTVALUE1}",
        why="The GPU is about to lower its clocks because its memory is hot.",
        action="Check fans, airflow and room temperature.",
    ),
    Alert(
        entity="gpu", key="memory_hot", severity=WARNING, scope="performance",
        name="Memory temperature above the limit that was set",
        event="Memory at {ITEM.LASTVALUE1}, limit {$NVIDIA.TEMP.MEMORY.MAX} °C",
        # Cards since Hopper report no limit of their own with driver 590; with 580 they do.
        expression="{$NVIDIA.TEMP.MEMORY.MAX}>0 and " + _lasting(
            "min", "gpu.temperature_memory", "{$NVIDIA.TEMP.PERIOD}", ">={$NVIDIA.TEMP.MEMORY.MAX}"
        ),
        recovery=(
            "{$NVIDIA.TEMP.MEMORY.MAX}=0"
            " or max(@gpu.temperature_memory,{$NVIDIA.TEMP.PERIOD})<{$NVIDIA.TEMP.MEMORY.MAX}-{$NVIDIA.TEMP.HYST}"
        ),
        closable=True,
        opdata="Current value: {ITEM.LASTVALUE1}",
        why="The memory is hotter than `{$NVIDIA.TEMP.MEMORY.MAX}`.",
        action="Check fans, airflow and room temperature.",
    ),
    Alert(
        entity="gpu", key="pcie_width", severity=WARNING, scope="performance",
        name="PCIe link width reduced",
        event="PCIe link at x{ITEM.LASTVALUE1}, fewer lanes than before or than expected",
        # The maximum that the driver reports can be that of the card alone: two cards at x8 in the slots of a consumer
        # board would have this alert for ever.
        expression=(
            "{$NVIDIA.EXPECTED.PCIE.WIDTH}<=0 and "
            + _now_and_then("gpu.pcie_width", "{$NVIDIA.PCIE.PERIOD}", "<max(@gpu.pcie_width,{$NVIDIA.PCIE.MEMORY})")
            + " or "
            + _now_and_then("gpu.pcie_width", "{$NVIDIA.PCIE.PERIOD}", "<{$NVIDIA.EXPECTED.PCIE.WIDTH}")
        ),
        opdata="Current value: {ITEM.LASTVALUE1}",
        why="The link uses fewer lanes than within the last 30 days, or than `{$NVIDIA.EXPECTED.PCIE.WIDTH}`. "
        "Transfers are slow.",
        action="Drain the host and reseat the card or its riser. Look for bent or dirty contacts. If the slot has no "
        "more lanes, set `{$NVIDIA.EXPECTED.PCIE.WIDTH}` for the UUID of the card.",
    ),
    Alert(
        entity="gpu", key="pcie_width_slot", severity=WARNING, scope="performance",
        name="PCIe link narrower than card and slot",
        event="PCIe link at x{ITEM.LASTVALUE1} instead of x{ITEM.LASTVALUE2}",
        expression=(
            "{$NVIDIA.EXPECTED.PCIE.WIDTH}=-1 and "
            + _now_and_then("gpu.pcie_width", "{$NVIDIA.PCIE.PERIOD}", "<last(@gpu.pcie_width_max)")
        ),
        depends=("pcie_width",),
        opdata="Current value: {ITEM.LASTVALUE1}",
        why="The link uses fewer lanes than card and slot support. Transfers are slow.",
        action="Drain the host and reseat the card or its riser. Look for bent or dirty contacts. If the slot has no "
        "more lanes, set `{$NVIDIA.EXPECTED.PCIE.WIDTH}` for the UUID of the card.",
    ),
    Alert(
        entity="gpu", key="pcie_generation", severity=WARNING, scope="performance",
        name="PCIe link slow under load",
        event="PCIe link at generation {ITEM.LASTVALUE1} of {ITEM.LASTVALUE2} under load",
        expression=(
            "last(@gpu.pcie_generation)<last(@gpu.pcie_generation_max)"
            " and min(@gpu.utilization,{$NVIDIA.PCIE.PERIOD})>{$NVIDIA.PCIE.LOAD}"
            # A desktop that plays a video is busy in a low performance state; its link need not be fast.
            f" and {_unchanged('max', 'gpu.performance_state', '{$NVIDIA.PCIE.PERIOD}', '<=2')}"
            f" and {_since('max', 'gpu.pcie_generation', '{$NVIDIA.PCIE.PERIOD}', '<last(@gpu.pcie_generation_max)')}"
            " and last(@gpu.utilization,#1:now-{$NVIDIA.PCIE.PERIOD})>{$NVIDIA.PCIE.LOAD}"
        ),
        recovery="last(@gpu.pcie_generation)>=last(@gpu.pcie_generation_max)",
        closable=True,
        opdata="Current value: {ITEM.LASTVALUE1}",
        why="An idle card lowers the generation of its link. Under load, in states P0 to P2, it must not.",
        action="Run `dmesg | grep -iE 'pcie|aer'`. Check the firmware settings of the host. Reseat the card.",
    ),
    Alert(
        entity="gpu", key="pcie_replays", severity=WARNING, scope="performance",
        name="High PCIe replay rate",
        event=f"{{ITEM.LASTVALUE1}} PCIe replays per minute, limit {{?{_REPLAYS}}}",
        # The rate is named so that it can be shown; it is never below 0.
        expression="last(@gpu.pcie_replay_rate)>=0 and "
        + _grew("gpu.pcie_replays", "{$NVIDIA.PCIE.PERIOD}", _REPLAYS, per=60),
        opdata="Current value: {ITEM.LASTVALUE1}",
        why="More packets are sent again than on a sound link of this speed (DCGM's limit per lane and minute).",
        action="Drain the host and reseat the card or its riser. If replays return, replace riser or card.",
    ),
    Alert(
        entity="gpu", key="vbios", severity=WARNING, scope="notice",
        name="Unexpected VBIOS version",
        event="VBIOS version {ITEM.LASTVALUE1}, expected {$NVIDIA.EXPECTED.VBIOS}",
        expression='"{$NVIDIA.EXPECTED.VBIOS}"<>"" and last(@gpu.vbios)<>"{$NVIDIA.EXPECTED.VBIOS}"',
        opdata="Current value: {ITEM.LASTVALUE1}",
        why="The card has another firmware version than it should have.",
        action="Update the firmware of the card, or set `{$NVIDIA.EXPECTED.VBIOS}` for this host.",
    ),
    Alert(
        entity="gpu", key="ecc_expected", severity=WARNING, scope="notice",
        name="Unexpected ECC mode",
        event="ECC mode {ITEM.LASTVALUE1}, expected {$NVIDIA.EXPECTED.ECC}",
        expression="{$NVIDIA.EXPECTED.ECC}>=0 and last(@gpu.ecc_mode)<>{$NVIDIA.EXPECTED.ECC}",
        opdata="Current value: {ITEM.LASTVALUE1}",
        why="ECC is not in the expected mode.",
        action="Run `nvidia-smi -e 1` (0: off), then reset the GPU.",
    ),
    Alert(
        entity="gpu", key="mig_expected", severity=WARNING, scope="notice",
        name="Unexpected MIG mode",
        event="MIG mode {ITEM.LASTVALUE1}, expected {$NVIDIA.EXPECTED.MIG}",
        expression="{$NVIDIA.EXPECTED.MIG}>=0 and last(@gpu.mig_mode)<>{$NVIDIA.EXPECTED.MIG}",
        opdata="Current value: {ITEM.LASTVALUE1}",
        why="MIG is not in the expected mode.",
        action="Run `nvidia-smi -mig 1` (0: off), then reset the GPU.",
    ),
    Alert(
        entity="gpu", key="persistence_expected", severity=WARNING, scope="notice",
        name="Unexpected persistence mode",
        event="Persistence mode {ITEM.LASTVALUE1}, expected {$NVIDIA.EXPECTED.PERSISTENCE}",
        expression="{$NVIDIA.EXPECTED.PERSISTENCE}>=0 and last(@gpu.persistence_mode)<>{$NVIDIA.EXPECTED.PERSISTENCE}",
        opdata="Current value: {ITEM.LASTVALUE1}",
        why="Persistence mode is not as expected. If off, the driver unloads a card that nothing uses, and each poll "
        "wakes it.",
        action="Run `systemctl enable --now nvidia-persistenced`, or `nvidia-smi -pm 1`.",
    ),
    Alert(
        entity="gpu", key="power_expected", severity=WARNING, scope="notice",
        name="Unexpected power limit",
        event="Power limit {ITEM.LASTVALUE1}, expected {$NVIDIA.EXPECTED.POWER} W",
        expression="{$NVIDIA.EXPECTED.POWER}>=0 and last(@gpu.power_limit)<>{$NVIDIA.EXPECTED.POWER}",
        opdata="Current value: {ITEM.LASTVALUE1}",
        why="The card may draw more or less power than planned.",
        action="Run `nvidia-smi -pl WATTS`.",
    ),
    Alert(
        entity="gpu", key="idle", severity=INFO, scope="capacity",
        name="Memory in use, but no work",
        event="{ITEM.LASTVALUE2} of memory in use, but no work for {$NVIDIA.IDLE.PERIOD}",
        expression=(
            "{$NVIDIA.IDLE.ALARM}=1 and max(@gpu.utilization,{$NVIDIA.IDLE.PERIOD})=0"
            " and min(@gpu.memory_used_percent,{$NVIDIA.IDLE.PERIOD})>{$NVIDIA.IDLE.MEMORY}"
            " and last(@gpu.utilization,#1:now-{$NVIDIA.IDLE.PERIOD})=0"
        ),
        opdata="Memory: {ITEM.LASTVALUE2}",
        why="A process keeps the GPU occupied without using it.",
        action="Run `nvidia-smi` to find the process. Ask its user, or end it.",
    ),
    Alert(
        entity="gpu", key="job_idle", severity=INFO, scope="capacity",
        name="Held by a job, but idle",
        event="Held by the job {?last(@gpu.job)}, but no work for {$NVIDIA.JOB.IDLE.PERIOD}",
        expression=(
            "{$NVIDIA.JOB.IDLE.ALARM}=1 and last(@gpu.job_since)>0"
            " and last(@timestamp)-last(@gpu.job_since)>={$NVIDIA.JOB.IDLE.PERIOD}"
            " and max(@gpu.utilization,{$NVIDIA.JOB.IDLE.PERIOD})=0"
            " and last(@gpu.utilization,#1:now-{$NVIDIA.JOB.IDLE.PERIOD})=0"
        ),
        opdata="Held since: {ITEM.LASTVALUE1}",
        why="A job got the GPU, but does not use it. Others wait for it.",
        action="Ask the user of the job, or cancel it.",
    ),
    Alert(
        entity="gpu", key="stall", severity=INFO, scope="capacity",
        name="High utilization, but low power draw",
        event="{ITEM.LASTVALUE1} utilization at {ITEM.LASTVALUE2} of the power limit for {$NVIDIA.STALL.PERIOD}",
        expression=(
            "{$NVIDIA.STALL.ALARM}=1 and min(@gpu.utilization,{$NVIDIA.STALL.PERIOD})>={$NVIDIA.STALL.UTIL}"
            " and max(@gpu.power_percent,{$NVIDIA.STALL.PERIOD})<{$NVIDIA.STALL.POWER}"
            " and last(@gpu.utilization,#1:now-{$NVIDIA.STALL.PERIOD})>={$NVIDIA.STALL.UTIL}"
        ),
        opdata="Utilization: {ITEM.LASTVALUE1}, power: {ITEM.LASTVALUE2}",
        why="The GPU looks busy but does no work. Most often a job hangs in communication.",
        action="Check whether the log of the job still grows. Compare its ranks.",
    ),
    Alert(
        entity="gpu", key="abandoned", severity=INFO, scope="capacity",
        name="Memory in use without a process",
        event="{ITEM.LASTVALUE2} of memory in use without a process for {$NVIDIA.ABANDONED.PERIOD}",
        expression=(
            "{$NVIDIA.ABANDONED.ALARM}=1 and max(@gpu.processes,{$NVIDIA.ABANDONED.PERIOD})=0"
            " and min(@gpu.memory_used_percent,{$NVIDIA.ABANDONED.PERIOD})>{$NVIDIA.IDLE.MEMORY}"
            " and last(@gpu.processes,#1:now-{$NVIDIA.ABANDONED.PERIOD})=0"
        ),
        opdata="Memory: {ITEM.LASTVALUE2}",
        why="No process is on the GPU, but memory is in use: a crashed job can leave it behind.",
        action="Run `fuser -v /dev/nvidia*` to find processes that have the driver open. If there are none, reset the "
        "GPU.",
    ),
    Alert(
        entity="gpu", key="old_process", severity=INFO, scope="notice",
        name="Long-running process",
        event="Process runs for {ITEM.LASTVALUE1}, more than {$NVIDIA.PROCESS.AGE} s",
        expression="{$NVIDIA.PROCESS.AGE}>0 and last(@gpu.process_oldest)>{$NVIDIA.PROCESS.AGE}",
        opdata="Current value: {ITEM.LASTVALUE1}",
        why="A process is on the GPU for longer than jobs of this site run.",
        action="Ask its user whether it is still needed.",
    ),
    Alert(
        entity="gpu", key="license", severity=WARNING, scope="availability",
        name="vGPU without a license",
        event="vGPU without a license for {$NVIDIA.LICENSE.PERIOD}: {ITEM.LASTVALUE1}",
        expression=_unchanged("max", "gpu.license_state", "{$NVIDIA.LICENSE.PERIOD}", "<5"),
        recovery="last(@gpu.license_state)=5",
        opdata="Current value: {ITEM.LASTVALUE1}",
        why="Without its license, a vGPU is slowed down, finally to 3 frames per second.",
        action="Run `nvidia-smi -q` and `systemctl status nvidia-gridd` in the guest. Check its client configuration "
        "token and its connection to the license server.",
    ),
    Alert(
        entity="gpu", key="nvlink_down", severity=AVERAGE, scope="availability",
        name="NVLink down",
        event="{ITEM.LASTVALUE1} of {?last(@gpu.nvlink_links)} NVLinks up, down: {?last(@gpu.nvlink_down)}",
        expression=(
            _now_and_then("gpu.nvlink_up", "{$NVIDIA.NVLINK.DOWN}", "<{$NVIDIA.NVLINK.EXPECTED}")
            + " or {$NVIDIA.NVLINK.EXPECTED}=0 and "
            + _now_and_then("gpu.nvlink_up", "{$NVIDIA.NVLINK.DOWN}", "<max(@gpu.nvlink_up,{$NVIDIA.NVLINK.MEMORY})")
        ),
        opdata="Current value: {ITEM.LASTVALUE1}",
        why="A link to another GPU or to an NVSwitch is down. Jobs on several GPUs get slow or fail.",
        action="Run `dmesg | grep 'Xid.*: 74,'` and `nvidia-smi nvlink -s`. Drain the host, reset the GPUs, check the "
        "bridge or baseboard. If you removed it, set `{$NVIDIA.NVLINK.EXPECTED}` to the number of remaining links.",
    ),
    Alert(
        entity="gpu", key="nvlink_errors", severity=WARNING, scope="notice",
        name="NVLink errors",
        event="NVLink errors: {ITEM.LASTVALUE1} replays",
        expression='changecount(@gpu.nvlink_replays,{$NVIDIA.NVLINK.PERIOD},"inc")>0',
        opdata="Replays: {ITEM.LASTVALUE1}",
        why="Packets were sent again.",
        action="Watch the link. If errors return, drain the host and run NVIDIA's field diagnostics.",
    ),
    Alert(
        entity="gpu", key="nvlink_recoveries", severity=WARNING, scope="notice",
        name="NVLink trained again",
        event="NVLink trained again: {ITEM.LASTVALUE1} recoveries",
        # Not with the replays: NVLink 5 has none.
        expression='changecount(@gpu.nvlink_recoveries,{$NVIDIA.NVLINK.PERIOD},"inc")>0',
        opdata="Recoveries: {ITEM.LASTVALUE1}",
        why="A link had too many errors, and was trained again.",
        action="Watch the link. If errors return, drain the host and run NVIDIA's field diagnostics.",
    ),
    Alert(
        entity="gpu", key="nvlink_slow", severity=WARNING, scope="performance",
        name="NVLink slower than its version",
        event="NVLink slower than its version: links {ITEM.LASTVALUE1}",
        expression="length(last(@gpu.nvlink_slow))>0",
        why="The link is up, but runs at a lower speed than links of its version.",
        action="Run `nvidia-smi nvlink -s`. Drain the host and reset the GPUs. If the link stays slow, check the "
        "bridge or baseboard, and run NVIDIA's field diagnostics.",
    ),
    Alert(
        entity="gpu", key="nvlink5_errors", severity=AVERAGE, scope="availability",
        name="NVLink data errors",
        event="NVLink data errors: {ITEM.LASTVALUE1} uncorrected, {ITEM.LASTVALUE2} failed recoveries",
        expression=(
            'changecount(@gpu.nvlink_effective_errors,{$NVIDIA.NVLINK.PERIOD},"inc")>0'
            ' or changecount(@gpu.nvlink_recoveries_failed,{$NVIDIA.NVLINK.PERIOD},"inc")>0'
        ),
        opdata="Uncorrected: {ITEM.LASTVALUE1}, failed recoveries: {ITEM.LASTVALUE2}",
        why="An NVLink 5 passed on errors that its error correction could not correct, or did not recover.",
        action="Run `nvidia-smi nvlink -e`. Drain the host and reset the GPUs. If errors return, run NVIDIA's field "
        "diagnostics.",
    ),
    Alert(
        entity="gpu", key="nvlink_crc", severity=AVERAGE, scope="performance",
        name="High NVLink CRC error rate",
        event="{ITEM.LASTVALUE1} NVLink CRC errors per second, limit {$NVIDIA.NVLINK.CRC}",
        # The rate is named so that it can be shown; it is never below 0.
        expression="last(@gpu.nvlink_crc_rate)>=0 and "
        + _grew("gpu.nvlink_crc", "{$NVIDIA.NVLINK.PERIOD}", "{$NVIDIA.NVLINK.CRC}"),
        opdata="Current value: {ITEM.LASTVALUE1}",
        why="Packets arrive damaged and are sent again. The link is slow.",
        action="Drain the host. Check the bridge or baseboard, and run NVIDIA's field diagnostics.",
    ),
    Alert(
        entity="host", key="xid_application", severity=INFO, scope="notice",
        name="XID errors of an application on several GPUs",
        event="XID 13 or 31 on {ITEM.LASTVALUE1} GPUs at the same time",
        expression=(
            "{$NVIDIA.REPEAT.GPUS}>0 and last(@host.xid_application_gpus)>={$NVIDIA.REPEAT.GPUS}"
            # It comes with each poll.
            " and last(@timestamp)>0"
        ),
        depends=("driver",),
        opdata="GPUs: {ITEM.LASTVALUE1}",
        url=_XID_PAGE,
        why="Several GPUs report errors of applications within 10 minutes. The cause is a job, and not the hardware.",
        action="Look at the log of the job that runs on these GPUs.",
    ),
)  # fmt: skip

BY_KEY = {alert.key: alert for alert in ALERTS}
