"""How a GPU of a document is, by its own limits: styles for its numbers, notes in words, and the cards without any."""

from __future__ import annotations

import re
import time
from typing import Any, NamedTuple

from zbx_nvidia.host.durations import rough

ORDER = ("", "good", "dim", "warn", "bad")  # styles, the worst one last
_CLOSE, _NEAR = 5, 15  # °C below a limit; the first raises an alert in Zabbix ({$NVIDIA.TEMP.MARGIN})
_HOT = 70  # °C at which a fan must run ({$NVIDIA.FAN.HOT})
_FAST = 90  # % of a fan
_AT_LIMIT = 97  # % of the power limit
_MUCH, _FULL = 0.90, 0.98  # of the memory
_RESTS = frozenset({"throttle_sw_power_cap", "throttle_sync_boost"})  # normal under load
# A general reason, which the driver reports beside a special one.
_GENERAL, _SPECIAL = "throttle_hw_slowdown", ("throttle_hw_thermal", "throttle_power_brake")
_PENDING = ("remap_pending", "repair_channel_pending", "repair_tpc_pending")  # until the next reset
_FAULTS = ("memory_unrepairable", "remap_failure", *_PENDING)

_PCI = re.compile(r"[0-9A-F]{4,8}:[0-9A-F]{2}:[0-9A-F]{2}\.[0-9A-F]", re.IGNORECASE)
_UUID = re.compile(r"(GPU|MIG)-[0-9A-Fa-f-]+")
_SERIAL = re.compile(r"(?=\w*\d)\w{6,}")
_GPU = re.compile(r"GPU (\d+): (.*)", re.DOTALL)

Gpu = dict[str, Any]


class Note(NamedTuple):
    """What there is to say about a GPU.

    Attributes:
        text: In words.
        style: How bad it is.
    """

    text: str
    style: str


class Unwell(NamedTuple):
    """A lost or sick GPU.

    Attributes:
        place: In the driver's order: its index.
        state: `lost` or `sick`.
        known: What is known of its identity, by catalog key.
        reason: What the driver says of it.
    """

    place: int
    state: str
    known: Gpu
    reason: str

    def text(self) -> str:
        """In words: what somebody needs to find the card first."""
        words = {"pci": "slot ", "serial": "serial ", "name": ""}
        parts = [f"{word}{self.known[key]}" for key, word in words.items() if key in self.known]
        return ", ".join([self.state.upper(), *parts]) + f": {self.reason}"


# -- styles ------------------------------------------------------------------------------------------------------------


def _value(gpu: Gpu, key: str) -> float | None:
    value = gpu.get(key)
    return value if isinstance(value, (int, float)) else None


def heat(gpu: Gpu) -> str:
    """Of the temperature: how far below the limit of this card it is."""
    if gpu.get("throttle_hw_thermal"):
        return "bad"
    left = _degrees_left(gpu)
    if left is not None and left <= _CLOSE:
        return "bad"
    if gpu.get("throttle_sw_thermal") or (left is not None and left <= _NEAR):
        return "warn"
    return "" if left is None else "good"


def _degrees_left(gpu: Gpu) -> float | None:
    """To the slowdown. A card has either a limit or a margin, or neither."""
    temperature, margin = _value(gpu, "temperature"), _value(gpu, "temperature_margin")
    for key in ("temperature_slowdown", "temperature_max"):
        limit = _value(gpu, key)
        if limit is not None and temperature is not None:
            return limit - temperature
    # Some H100 were seen with margins at and below 0 while they were cool (gpud).
    if margin is None or (margin <= 0 and not gpu.get("throttle_sw_thermal")):
        return None
    return margin - (_value(gpu, "temperature_slowdown_margin") or 0)


def memory_heat(gpu: Gpu) -> str:
    """Of the temperature of the memory."""
    temperature, limit = _value(gpu, "temperature_memory"), _value(gpu, "temperature_memory_max")
    if temperature is None or limit is None:
        return ""
    return _level(temperature - limit, -_NEAR, -_CLOSE)


def fan(gpu: Gpu) -> str:
    """Of the fan: very fast, or off although the card is hot."""
    speed, temperature = _value(gpu, "fan_speed"), _value(gpu, "temperature")
    if speed == 0 and temperature is not None and temperature >= _HOT:
        return "bad"
    return "warn" if speed is not None and speed >= _FAST else ""


def power(gpu: Gpu) -> str:
    """Of the power draw: a card at its limit is slower than it could be."""
    percent = _value(gpu, "power_percent")
    return "warn" if percent is not None and percent >= _AT_LIMIT else ""


def memory(gpu: Gpu) -> str:
    """Of the memory, by how full it is."""
    part = memory_share(gpu)
    return "" if part is None else _level(part, _MUCH, _FULL)


def memory_share(gpu: Gpu) -> float | None:
    """How much of the memory is in use, from 0 to 1."""
    return share(gpu.get("memory_used"), gpu.get("memory_total"))


def share(value: object, whole: object = 100) -> float | None:
    """How much of a whole this is, from 0 to 1."""
    if isinstance(value, (int, float)) and isinstance(whole, (int, float)) and whole > 0:
        return value / whole
    return None


def _level(value: float, warn: float, bad: float) -> str:
    return "bad" if value >= bad else "warn" if value >= warn else "good"


# -- notes -------------------------------------------------------------------------------------------------------------


def notes(gpu: Gpu, failed: int = 0) -> list[Note]:
    """What somebody should know of a GPU that answers, the worst first.

    Args:
        gpu: Its readings.
        failed: How many other readings the driver refused.
    """
    all_notes = [*_recovery(gpu), *_faults(gpu), *_xid(gpu), *_throttling(gpu)]
    if gpu.get("asleep") == 1:
        all_notes.append(Note("Asleep, and not woken", "dim"))
    if failed:
        # A card whose firmware is dead still answers who it is, and counts its ECC errors.
        style = "warn" if "temperature" in gpu else "bad"
        all_notes.append(Note(f"{failed} reading{'s' if failed > 1 else ''} failed", style))
    return sorted(all_notes, key=lambda note: -ORDER.index(note.style))


def _recovery(gpu: Gpu) -> list[Note]:
    from zbx_nvidia.catalog.graphs import VALUEMAPS  # noqa: PLC0415  --help needs none of it

    action = gpu.get("recovery_action")
    if not action:
        return []
    words = VALUEMAPS["NVIDIA recovery action"].get(str(action), f"recovery action {action}")
    return [Note(f"Action needed: {words}", "bad")]


def _faults(gpu: Gpu) -> list[Note]:
    faults = [Note(_name(key), "warn" if key in _PENDING else "bad") for key in _FAULTS if gpu.get(key) == 1]
    if gpu.get("fabric_faults"):
        faults.append(Note(f"NVLink fabric: {gpu['fabric_faults']}", "bad"))
    if gpu.get("nvlink_slow"):
        faults.append(Note(f"Slow NVLinks: {gpu['nvlink_slow']}", "warn"))
    return faults


def _throttling(gpu: Gpu) -> list[Note]:
    reasons = [key for key, value in gpu.items() if key.startswith("throttle_") and "_time_" not in key and value == 1]
    if any(key in reasons for key in _SPECIAL):
        reasons = [key for key in reasons if key != _GENERAL]
    # One kind with all its causes: Thermal throttling (software, hardware).
    causes: dict[str, list[str]] = {}
    styles: dict[str, str] = {}
    for key in reasons:
        kind, _, cause = _name(key).rstrip(")").partition(" (")
        causes.setdefault(kind, []).append(cause)
        styles[kind] = max(styles.get(kind, ""), _severity(key), key=ORDER.index)
    return [Note(f"{kind} ({', '.join(causes[kind])})", style) for kind, style in styles.items()]


def _severity(reason: str) -> str:
    if reason in _RESTS:
        return "dim"
    return "warn" if reason == "throttle_sw_thermal" else "bad"


def _name(key: str) -> str:
    """Of a metric, as Zabbix has it."""
    from zbx_nvidia.catalog.metrics import GPU_METRICS  # noqa: PLC0415  as above

    return next((metric.name for metric in GPU_METRICS if metric.key == key), key)


def _xid(gpu: Gpu) -> list[Note]:
    """The last XID. Only a service sees them."""
    from zbx_nvidia.catalog.xid import BY_CODE  # noqa: PLC0415  as above
    from zbx_nvidia.catalog.xid_actions import TO_MEND  # noqa: PLC0415  as above

    code, when = gpu.get("xid_last"), _value(gpu, "xid_last_time")
    if not code:
        return []
    known = BY_CODE.get(code)
    ago = f", {rough(max(0.0, time.time() - when))} ago" if when else ""
    recent = f",{code}," in f",{gpu.get('xid_recent', '')},"
    severe = known is None or known.kind in TO_MEND
    action = f" ({known.kind.name})" if known and severe else ""
    style = ("bad" if severe else "warn") if recent else "dim"
    return [Note(f"XID {code}: {known.meaning if known else 'unknown code'}{action}{ago}", style)]


def ranges(numbers: list[int]) -> str:
    """Numbers in order, neighbors as a range: 0-3, 7."""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and runs[-1][-1] == number - 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)


# -- cards without readings --------------------------------------------------------------------------------------------


class Seen:
    """Who sat where, as earlier documents of a --watch had it.

    A card that is lost does not even answer who it is, and somebody has to find it in the rack.
    """

    def __init__(self) -> None:
        self._cards: dict[int, Gpu] = {}

    def note(self, gpus: list[Gpu], count: object) -> None:
        """Remember the cards of a document in which none is missing."""
        if gpus and len(gpus) == count:
            self._cards = {gpu["index"]: gpu for gpu in gpus if "index" in gpu}

    def known(self, index: int, gpus: list[Gpu]) -> Gpu:
        """The card of that index; nothing unless all others still sit where they sat."""
        for gpu in gpus:
            if self._cards.get(gpu.get("index", -1), {}).get("uuid") != gpu.get("uuid"):
                return {}
        card = self._cards.get(index, {})
        return {key: card[key] for key in ("name", "pci", "serial", "uuid", "vbios") if key in card}


def unwell(host: Gpu, gpus: list[Gpu], seen: Seen) -> tuple[list[Unwell], list[str]]:
    """The GPUs of which a document has no readings.

    Args:
        host: What it has of the host; `lost` and `sick` there are texts.
        gpus: Those with readings.
        seen: What earlier documents had.

    Returns:
        The cards, and what else is to be said about lost ones.
    """
    seen.note(gpus, host.get("gpu_count"))
    cards: list[Unwell] = []
    rest: list[str] = []
    for state in ("lost", "sick"):
        of_state, slots = _parsed(state, str(host.get(state, "")))
        homeless = [place for place, card in enumerate(of_state) if "pci" not in card.known]
        if len(slots) == len(homeless):
            # The driver's order is that of the slots.
            for place, slot in zip(homeless, slots, strict=True):
                of_state[place].known["pci"] = slot
        elif slots:
            rest.append(f"Slots of which no GPU answers: {', '.join(slots)}")
        cards += [card._replace(known={**seen.known(card.place, gpus), **card.known}) for card in of_state]
        missing = int(host.get(f"gpus_{state}", 0)) - len(of_state)
        if missing > 0:
            rest.append(f"{missing} more {'is' if missing == 1 else 'are'} {state}")
    return cards, rest


def _parsed(state: str, text: str) -> tuple[list[Unwell], list[str]]:
    """Cards and slots of the text, which is made for Zabbix."""
    cards: list[Unwell] = []
    slots: list[str] = []
    for part in filter(None, text.split("; ")):
        if match := _GPU.match(part):
            known, reason = _identity(match[2])
            cards.append(Unwell(int(match[1]), state, {"index": int(match[1]), **known}, reason))
        elif part.startswith("slot ") and _PCI.match(part.removeprefix("slot ")):
            slots.append(part.removeprefix("slot "))
        elif cards:
            cards[-1] = cards[-1]._replace(reason=f"{cards[-1].reason}; {part}")
    return cards, slots


def _identity(text: str) -> tuple[Gpu, str]:
    """What is known of a card (name, slot, UUID, serial number), and the reason after it."""
    words = text.split(", ")
    known: Gpu = {}
    for place, word in enumerate(words[:-1]):
        key = next((key for key, form in _FORMS.items() if form.fullmatch(word)), "")
        follows = any(form.fullmatch(words[place + 1]) for form in (_PCI, _UUID))
        if not key and place == 0 and follows:
            key = "name"
        if not key:
            return known, ", ".join(words[place:])
        known[key] = word
    return known, words[-1]


_FORMS = {"pci": _PCI, "uuid": _UUID, "serial": _SERIAL}
