"""Whether GPUs are fit for a job: the alerts that a single document can raise."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from zbx_nvidia.catalog.alerts import ALERTS, AVERAGE, BY_KEY, HIGH, INFO, WARNING
from zbx_nvidia.catalog.entities import METRICS
from zbx_nvidia.catalog.macros import MACROS
from zbx_nvidia.errors import UsageError
from zbx_nvidia.jobs.rules import Rules

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from zbx_nvidia.catalog.alerts import Alert

    Document = Mapping[str, Any]

SEVERITIES = (INFO, WARNING, AVERAGE, HIGH)
DEFAULTS = {macro.name: macro.value for macro in MACROS}
# Of GPUs without readings. If GPUs are chosen, each of them is looked for instead.
_OF_THE_OTHERS = frozenset({"lost", "sick", "count", "bound"})
# It says that nothing is known of the GPUs, and so does the status.
_UNKNOWN = "busy"
# What Zabbix makes of a reading: 1 as soon as that was so once.
_TURNED = {metric.ref: (metric.counter, metric.only) for metric in METRICS if metric.only}
_RANGE = re.compile(r"(\d{1,4})-(\d{1,4})")


class RaisedAlert(NamedTuple):
    """An alert that is raised.

    Attributes:
        alert: Its row.
        gpu: UUID of the GPU; "" for the host.
        place: Of the GPU in the driver's order; None for the host, or if it is not known.
        text: What is wrong, with values.
        counts: Whether the GPUs are unfit for it.
    """

    alert: Alert
    gpu: str
    place: int | None
    text: str
    counts: bool


class Fitness(NamedTuple):
    """How fit the GPUs are.

    Attributes:
        findings: The alerts that are raised, the worst first.
        unknown: What could not be evaluated, in words.
        gpus: UUIDs of the GPUs that were evaluated.
        judged: Number of alerts that were evaluated, of the host and of each GPU.
        history: Number of others, of which the readings are there, but need to be compared with earlier ones.
    """

    findings: list[RaisedAlert]
    unknown: list[str]
    gpus: list[str]
    judged: int
    history: int

    @property
    def fit(self) -> bool | None:
        """True if they are, False if they are not; None if that is not known."""
        if any(finding.counts for finding in self.findings):
            return False
        return None if self.unknown else True


def evaluate(
    document: Document, wanted: Sequence[str] | None, macros: Mapping[str, str], least: str = WARNING
) -> Fitness:
    """Evaluate the alerts.

    Args:
        document: What was collected.
        wanted: UUIDs or indices of GPUs; None for all.
        macros: User macros that differ from their defaults, by name, such as `$NVIDIA.GPU.EXPECTED`.
        least: The lowest severity for which GPUs are unfit.
    """
    values = {**DEFAULTS, **macros}
    chosen, absent = _chosen(document, wanted)
    left_out = {_UNKNOWN} if wanted is None else {_UNKNOWN, *_OF_THE_OTHERS}
    alerts = [alert for alert in ALERTS if alert.key not in left_out]
    raised: list[RaisedAlert] = []
    judged = history = 0
    for gpu in ["", *chosen]:
        rules = Rules(_Readings(document, gpu), values)
        findings: dict[str, RaisedAlert] = {}
        for alert in alerts:
            if (alert.entity == "host") != (not gpu) or (alert.unless and rules.has_readings(f"@gpu.{alert.unless}")):
                continue
            truth = rules.truth(alert.expression)
            judged += truth is not None
            history += truth is None and rules.has_readings(alert.expression)
            if truth:
                text = _placed(document, gpu, rules.text(alert.event, alert.expression))
                findings[alert.key] = _finding(document, alert, gpu, text, least)
        raised += [finding for finding in findings.values() if not _suppressed(finding, findings, raised)]
    unknown = list(_unknown(document, wanted))
    if not unknown and document["status"]["driver"]:
        raised += [_missing(document, name, least) for name in absent]
    raised.sort(key=lambda finding: (-SEVERITIES.index(finding.alert.severity), finding.place or 0))
    return Fitness(raised, unknown, chosen, judged, history)


def choice(text: str) -> list[str] | None:
    """The GPUs that a user names: UUIDs, PCI addresses, or indices with ranges, between commas.

    Returns:
        None for all.

    Raises:
        UsageError: It is none of these.
    """
    if text.strip().lower() == "all":
        return None
    names = []
    for name in filter(None, (part.strip() for part in text.split(","))):
        if span := _RANGE.fullmatch(name):
            names += [str(index) for index in range(int(span[1]), int(span[2]) + 1)]
        elif re.fullmatch(r"\d{1,4}|(GPU|MIG)-[0-9A-Za-z/-]+|[0-9A-Fa-f]+(:[0-9A-Fa-f]+){1,2}\.[0-7]", name):
            names.append(name)
        else:
            raise UsageError(f"{name}: no GPU has such a name; give an index, a UUID, a PCI address, or all")
    return names


class _Readings:
    """The readings of a document by the catalog's names."""

    def __init__(self, document: Document, gpu: str) -> None:
        self._document = document
        self._gpu = gpu

    def __call__(self, ref: str) -> object:
        entity, _, key = ref.rpartition(".")
        if ref in _TURNED:
            counter, pattern = _TURNED[ref]
            value = self(f"{entity}.{counter}")
            return 1 if value is not None and re.search(pattern, str(value)) else None
        if ref == "gpu.present":
            return self._document.get("presence", {}).get(self._gpu)
        place = self._document["gpus"].get(self._gpu, {}) if entity == "gpu" else self._document.get(entity, {})
        return place.get(key) if entity else self._document.get(key)


def _finding(document: Document, alert: Alert, gpu: str, text: str, least: str) -> RaisedAlert:
    counts = SEVERITIES.index(alert.severity) >= SEVERITIES.index(least)
    index = document["gpus"][gpu].get("index") if gpu else None
    return RaisedAlert(alert, gpu, index, text, counts)


def _suppressed(finding: RaisedAlert, of_gpu: Mapping[str, RaisedAlert], raised: Sequence[RaisedAlert]) -> bool:
    """Whether an alert on which this one depends is raised, of the same GPU or of the host."""
    of_host = {other.alert.key for other in raised if not other.gpu}
    depends = set(finding.alert.depends)
    # An alert suppresses also what depends on one that it suppresses.
    for key in finding.alert.depends:
        depends |= set(BY_KEY[key].depends)
    return bool(depends & (of_host | set(of_gpu)))


def _chosen(document: Document, wanted: Sequence[str] | None) -> tuple[list[str], list[str]]:
    """UUIDs of the GPUs, and names of which the document has no readings."""
    gpus = document["gpus"]
    if wanted is None:
        return list(gpus), []
    names: dict[str, str] = {}
    for uuid, gpu in gpus.items():
        names |= {uuid.lower(): uuid, str(gpu.get("index")): uuid, _address(str(gpu.get("pci", ""))): uuid}
    for row in document.get("discovery", {}).get("mig", ()):
        names[str(row.get("{#MIG}", "")).lower()] = str(row.get("{#UUID}", ""))
    known = {name: names.get(name.lower()) or names.get(_address(name)) for name in wanted}
    uuids = [uuid for uuid in known.values() if uuid is not None and uuid in gpus]
    return list(dict.fromkeys(uuids)), [name for name, uuid in known.items() if uuid not in gpus]


def _address(name: str) -> str:
    """A PCI address as NVML has it, with eight digits of domain."""
    domain, colon, rest = name.upper().partition(":")
    return f"{domain:0>8}:{rest}" if colon and ":" in rest else ""


def _placed(document: Document, gpu: str, text: str) -> str:
    rows = document.get("discovery", {}).get("gpus", ())
    row: Mapping[str, Any] = next((row for row in rows if row.get("{#UUID}") == gpu), {})
    return re.sub(r"\{#[A-Z]+\}", lambda match: str(row.get(match[0], "?")), text)


def _missing(document: Document, name: str, least: str) -> RaisedAlert:
    """What is known of a chosen GPU that has no readings."""
    host = document.get("host", {})
    words = [part for state in ("lost", "sick") for part in str(host.get(state, "")).split("; ")]
    number = f"GPU {name}: "
    known = next((part for part in words if part.startswith(number) or name.lower() in part.lower().split(", ")), "")
    text = f"GPU lost or missing: {known.removeprefix(number) if known else 'the driver does not have it'}"
    finding = _finding(document, BY_KEY["missing"], "", text, least)
    return finding._replace(gpu="" if name.isdigit() else name, place=int(name) if name.isdigit() else None)


def _unknown(document: Document, wanted: Sequence[str] | None) -> Iterator[str]:
    status, host = document["status"], document.get("host", {})
    if status["code"] and status["driver"]:
        yield f"{status['name']}: {status['message']}"
    if wanted is None and host.get("gpus_refused"):
        refused = host["gpus_refused"]
        yield f"{refused} GPU{' refuses' if refused == 1 else 's refuse'} this user or container: run it as root"
