"""NVML's field values: each field is declared here once, with its number, its scope and its conversion to base units.

A declaration adds the field to the request, and a reader names the declaration, so every field that is read is also
requested. The member of NVML's union is not declared: each answer has the type of its value.
"""

from __future__ import annotations

import struct
from functools import cache
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import pynvml

from zbx_nvidia.driver.calls import Absent, Refused, call, number, signed
from zbx_nvidia.driver.native import LETTERS, FieldRequest, check

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from zbx_nvidia.driver.native import FieldAnswer

T = TypeVar("T")

MILLI = 1000  # NVML counts in mW and mJ
MICRO = 1_000_000
NANO = 1_000_000_000
MEGA = 1_000_000
_KIBI = 1024

_WHOLE_CARD = 0
_FIRST_LINK = 0
_ALL_LINKS = 0xFFFFFFFF

# Type of a value -> how to read it from the union.
_UNION = {value_type: struct.Struct(f"@{letter}") for value_type, letter in LETTERS.items()}

# The contents of the two requests, filled by the declarations below: (field, scope), and the fields of each link.
_OF_CARD: list[tuple[int, int]] = []
_OF_LINKS: list[int] = []


class Field(Generic[T]):
    """A field of one link, requested by `ask_link`.

    Args:
        field_id: NVML_FI_*.
        scale: Converts NVML's number to base units.
    """

    def __init__(self, field_id: int, scale: Callable[[int], T]) -> None:
        self.field_id = field_id
        self._scale = scale

    def value(self, answer: FieldAnswer) -> T:
        """The value in base units.

        Args:
            answer: NVML's for this field.

        Raises:
            Absent: The card or the driver does not have this field.
            Refused: No permission, or the value is nonsense.
            Lost: The device is gone.
        """
        return self._scale(_number_in(answer))

    def of_all_links(self) -> CardField[T]:
        """The sum of this field over all links, which the driver calculates."""
        return CardField(self.field_id, self._scale, _ALL_LINKS)


class CardField(Field[T]):
    """A field of the card, requested by `ask_card` together with all others.

    Args:
        field_id: NVML_FI_*.
        scale: Converts NVML's number to base units.
        scope: The part of the card.
    """

    def __init__(self, field_id: int, scale: Callable[[int], T], scope: int = _WHOLE_CARD) -> None:
        super().__init__(field_id, scale)
        self._place = len(_OF_CARD)
        _OF_CARD.append((field_id, scope))

    def among(self, answers: Sequence[FieldAnswer]) -> T:
        """Its value among the answers of `ask_card`; raises like `value`."""
        return self.value(answers[self._place])


class LinkCounter(Field[int]):
    """A counter of NVLink 5, requested by `ask_links`: it exists per link, and the driver has no sum.

    Args:
        field_id: NVML_FI_*.

    Attributes:
        of_first_link: The same for link 0, as part of the card's request. If it is absent, no other link is asked.
    """

    def __init__(self, field_id: int) -> None:
        super().__init__(field_id, int)
        self.of_first_link = CardField(field_id, int, _FIRST_LINK)
        self._place = len(_OF_LINKS)
        _OF_LINKS.append(field_id)

    def among(self, answers: Sequence[FieldAnswer], link: int) -> int:
        """Its value for one link among the answers of `ask_links`; raises like `value`."""
        return self.value(answers[link * len(_OF_LINKS) + self._place])


def ask_card(handle: Any) -> list[FieldAnswer]:  # noqa: ANN401  of pynvml
    """One answer for each CardField, in one call. Raises like `call`."""
    return _request(tuple(_OF_CARD)).ask(handle)


def ask_links(handle: Any, links: int) -> list[FieldAnswer]:  # noqa: ANN401  of pynvml
    """One answer for each LinkCounter of each link, in one call. Raises like `call`."""
    return _request(tuple((field_id, link) for link in range(links) for field_id in _OF_LINKS)).ask(handle)


def ask_link(handle: Any, link: int, fields: Sequence[Field[Any]]) -> list[FieldAnswer]:  # noqa: ANN401  of pynvml
    """One answer for each of these fields of one link, in one call. Raises like `call`."""
    return _request(tuple((field.field_id, link) for field in fields)).ask(handle)


def ask_speeds(handle: Any, links: int) -> list[FieldAnswer]:  # noqa: ANN401  of pynvml
    """Version and speed of each link in turn, in one call. Raises like `call`."""
    of_each = (LINK_VERSION.field_id, LINK_SPEED.field_id)
    return _request(tuple((field_id, link) for link in range(links) for field_id in of_each)).ask(handle)


def ask_alone(handle: Any, *fields: CardField[Any]) -> list[FieldAnswer]:  # noqa: ANN401  of pynvml
    """One answer for each of these fields of the whole card, in a call of its own. Raises like `call`."""
    return _request(tuple((field.field_id, _WHOLE_CARD) for field in fields)).ask(handle)


# There are few that differ: some for the card, and those for each link.
_request = cache(FieldRequest)


def _number_in(answer: FieldAnswer) -> int:
    value_type, code, union = answer
    if code != pynvml.NVML_SUCCESS:  # checked first: `call` measures its time, which costs 5 us
        call(check, code)
    # Read as another type, -2 becomes 4294967294.
    member = _UNION.get(value_type)
    if member is None:
        raise Absent(0, f"unknown value type {value_type}")
    (value,) = member.unpack_from(union)
    try:
        return number(int(value))
    except (ValueError, OverflowError):  # NaN or infinity, which no driver uses for "not available"
        raise Refused(0, f"not a value: {value}") from None


def _watts(milliwatts: int) -> float:
    return milliwatts / MILLI


def _seconds(nanoseconds: int) -> float:
    return nanoseconds / NANO


def _bytes(kibibytes: int) -> int:
    return kibibytes * _KIBI


def _bytes_per_second(megabytes_per_second: int) -> int:
    return megabytes_per_second * MEGA


def _sensor(value: int) -> int:
    degrees = signed(value)  # the driver declares it as a number without a sign
    if degrees == 0:
        # Boards without the sensor were seen to return 0 and success.
        raise Absent(0, "no sensor")
    return degrees


TEMPERATURE_MEMORY = CardField(pynvml.NVML_FI_DEV_MEMORY_TEMP, _sensor)
MARGIN_MAX = CardField(pynvml.NVML_FI_DEV_TEMPERATURE_GPU_MAX_TLIMIT, int)
MARGIN_MEMORY_MAX = CardField(pynvml.NVML_FI_DEV_TEMPERATURE_MEM_MAX_TLIMIT, int)
MARGIN_SLOWDOWN = CardField(pynvml.NVML_FI_DEV_TEMPERATURE_SLOWDOWN_TLIMIT, int)
MARGIN_SHUTDOWN = CardField(pynvml.NVML_FI_DEV_TEMPERATURE_SHUTDOWN_TLIMIT, int)

POWER_INSTANT = CardField(pynvml.NVML_FI_DEV_POWER_INSTANT, _watts)
POWER_AVERAGE = CardField(pynvml.NVML_FI_DEV_POWER_AVERAGE, _watts)
POWER_MEMORY = CardField(pynvml.NVML_FI_DEV_POWER_AVERAGE, _watts, pynvml.NVML_POWER_SCOPE_MEMORY)

THROTTLED_POWER = CardField(pynvml.NVML_FI_DEV_PERF_POLICY_POWER, _seconds)
THROTTLED_THERMAL = CardField(pynvml.NVML_FI_DEV_PERF_POLICY_THERMAL, _seconds)
THROTTLED_SW_THERMAL = CardField(pynvml.NVML_FI_DEV_CLOCKS_EVENT_REASON_SW_THERM_SLOWDOWN, _seconds)
THROTTLED_HW_THERMAL = CardField(pynvml.NVML_FI_DEV_CLOCKS_EVENT_REASON_HW_THERM_SLOWDOWN, _seconds)
THROTTLED_POWER_BRAKE = CardField(pynvml.NVML_FI_DEV_CLOCKS_EVENT_REASON_HW_POWER_BRAKE_SLOWDOWN, _seconds)

RECOVERY_ACTION = CardField(pynvml.NVML_FI_DEV_GET_GPU_RECOVERY_ACTION, int)

NVLINKS = CardField(pynvml.NVML_FI_DEV_NVLINK_LINK_COUNT, int)
NVLINK_CRC_FLIT = CardField(pynvml.NVML_FI_DEV_NVLINK_CRC_FLIT_ERROR_COUNT_TOTAL, int)
NVLINK_CRC_DATA = CardField(pynvml.NVML_FI_DEV_NVLINK_CRC_DATA_ERROR_COUNT_TOTAL, int)
NVLINK_REPLAYS = CardField(pynvml.NVML_FI_DEV_NVLINK_REPLAY_ERROR_COUNT_TOTAL, int)
NVLINK_RECOVERIES = CardField(pynvml.NVML_FI_DEV_NVLINK_RECOVERY_ERROR_COUNT_TOTAL, int)

LINK_VERSION = Field(pynvml.NVML_FI_DEV_NVLINK_GET_VERSION, int)
LINK_SPEED = Field(pynvml.NVML_FI_DEV_NVLINK_GET_SPEED, _bytes_per_second)
LINK_SENT_BEFORE_5 = Field(pynvml.NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_TX, _bytes)
LINK_RECEIVED_BEFORE_5 = Field(pynvml.NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_RX, _bytes)
NVLINK_SENT_BEFORE_5 = LINK_SENT_BEFORE_5.of_all_links()
NVLINK_RECEIVED_BEFORE_5 = LINK_RECEIVED_BEFORE_5.of_all_links()

LINK_SENT = LinkCounter(pynvml.NVML_FI_DEV_NVLINK_COUNT_XMIT_BYTES)
LINK_RECEIVED = LinkCounter(pynvml.NVML_FI_DEV_NVLINK_COUNT_RCV_BYTES)
LINK_RECEIVE_ERRORS = LinkCounter(pynvml.NVML_FI_DEV_NVLINK_COUNT_RCV_ERRORS)
LINK_EFFECTIVE_ERRORS = LinkCounter(pynvml.NVML_FI_DEV_NVLINK_COUNT_EFFECTIVE_ERRORS)
LINK_RECOVERIES = LinkCounter(pynvml.NVML_FI_DEV_NVLINK_COUNT_LINK_RECOVERY_EVENTS)
LINK_RECOVERIES_FAILED = LinkCounter(pynvml.NVML_FI_DEV_NVLINK_COUNT_LINK_RECOVERY_FAILED_EVENTS)
