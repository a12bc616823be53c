"""One NVML call: its value, or one of four refusals.

    NvmlError
    +-- Absent    the card or the driver does not have it: leave the value out, and report nothing
    +-- NotNow    no value now: leave it out, and conclude nothing
    +-- Refused   no permission, or an error without a reason: leave the value out, and report it
    +-- Lost      the device or the driver is gone: every reading of the device is void

Raised here and nowhere else, so that no caller needs to know pynvml's codes.
"""

from __future__ import annotations

import threading
from time import perf_counter, thread_time
from typing import TYPE_CHECKING, Any, TypeVar

import pynvml

from zbx_nvidia.errors import ZbxNvidiaError, printable

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

_SHORT = 0.001  # s

_ABSENT = frozenset(
    {
        pynvml.NVML_ERROR_NOT_SUPPORTED,
        pynvml.NVML_ERROR_FUNCTION_NOT_FOUND,  # the library is older than the call
        pynvml.NVML_ERROR_ARGUMENT_VERSION_MISMATCH,  # the library is older than the structure
        pynvml.NVML_ERROR_DEPRECATED,  # the library is newer than the call
        pynvml.NVML_ERROR_NO_DATA,
    }
)
_LOST = frozenset(
    {
        pynvml.NVML_ERROR_GPU_IS_LOST,
        pynvml.NVML_ERROR_RESET_REQUIRED,
        pynvml.NVML_ERROR_GPU_NOT_FOUND,
        pynvml.NVML_ERROR_UNINITIALIZED,
        pynvml.NVML_ERROR_DRIVER_NOT_LOADED,
        pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH,
    }
)

# "Not available" as a number: all bits set, with or without the sign, in 32 and 64 bit (other collectors were seen to
# store the latter as 9.2e18). No quantity of NVML comes near the 64-bit ones, and none in 32 bit equals its maximum.
_NOT_A_VALUE = frozenset({0x7FFFFFFF, 0xFFFFFFFF})
_LARGEST = 1 << 62
_SIGN = 1 << 31


class NvmlError(ZbxNvidiaError):
    """A call that gave no value.

    Attributes:
        code: NVML's return code; 0 if the call succeeded with an invalid value.
        message: NVML's text for the code, or what is wrong with the value.
    """

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class Absent(NvmlError):
    """The card or the driver does not have it."""


class NotNow(NvmlError):
    """The card has it, but now no value that can be compared with others."""


class Refused(NvmlError):
    """The driver returned neither a value nor a reason why it has none."""


class Lost(NvmlError):
    """The device, or the driver, is gone."""


class _Spent(threading.local):
    """Time of one thread's calls, in s.

    Attributes:
        time: Elapsed time.
        waited: The part of it in which the thread used no CPU.
        began: CPU time of the whole thread when the count began.
    """

    time = 0.0
    waited = 0.0
    began = 0.0


_spent = _Spent()
# Functions that took long when they were last called: they may do so by waiting. By `id`, as those of ctypes have no
# hash; all live as long as the process.
_slow: set[int] = set()


def spent() -> tuple[float, float]:
    """Time of this thread's NVML calls since its last call of this function, in s: elapsed time, and CPU time."""
    taken = (_spent.time, _spent.time - _spent.waited)
    _spent.time = _spent.waited = 0.0
    _spent.began = thread_time()
    return taken


def call(function: Callable[..., Any], *arguments: object) -> Any:  # noqa: ANN401  whatever pynvml returns
    """Call NVML.

    Args:
        function: A function of pynvml.
        arguments: Its arguments.

    Raises:
        Absent: Not supported here.
        Refused: No permission, or any other error.
        Lost: The device is gone.
    """
    waits = id(function) in _slow
    cpu = thread_time() if waits else 0.0
    since = perf_counter()
    try:
        return function(*arguments)
    except pynvml.NVMLError as error:
        code = int(error.value)
        raise _class_of(code)(code, str(error)) from None
    except pynvml.NVMLLibraryMismatchError as error:
        # Not an NVMLError: pynvml raises it if the library lacks the version of a call that pynvml was built for.
        raise Absent(pynvml.NVML_ERROR_FUNCTION_NOT_FOUND, str(error)) from None
    finally:
        taken = perf_counter() - since
        _spent.time += taken
        if taken >= _SHORT:
            # What a call used that nobody expected to wait is known as well as what the whole thread used.
            _spent.waited += taken - (thread_time() - cpu if waits else _at_most(taken))
            _slow.add(id(function))
        elif waits:
            # A short call cannot have waited. To read a thread's processor time is a system call, which takes longer
            # than most calls: it is left out where the function was short the last time.
            _slow.discard(id(function))


def _at_most(taken: float) -> float:
    """CPU time of a call that took so long and is counted in `time` already, if this thread did nothing else."""
    counted = _spent.time - taken - _spent.waited
    return max(0.0, min(taken, thread_time() - _spent.began - counted))


def text(function: Callable[..., Any], *arguments: object) -> str:
    """Call NVML for a string, and `clean` it.

    pynvml decodes strictly: a name that is not UTF-8 would raise UnicodeDecodeError. So this calls the function below
    its decorator, which returns bytes.
    """
    return clean(call(getattr(function, "__wrapped__", function), *arguments))


def clean(raw: bytes | str) -> str:
    """A string of NVML, with what cannot be decoded or printed replaced.

    Raises:
        Absent: It is empty.
    """
    value = raw.decode("utf-8", "replace") if isinstance(raw, bytes) else str(raw)
    # JSON would carry control characters in a name as escapes into every list in Zabbix.
    value = printable(value).strip()
    if not value:
        raise Absent(0, "empty string")
    return value


def number(value: int) -> int:
    """The number, unless it is one that drivers use for "not available"."""
    if value in _NOT_A_VALUE or abs(value) >= _LARGEST:
        raise Absent(0, f"not a value: {value}")
    return value


def signed(value: int) -> int:
    """A number of 32 bit of a call that has lost its sign, except those that drivers use for "not available"."""
    return value if value < _SIGN or value in _NOT_A_VALUE else value - 2 * _SIGN


def amount(value: int, most: int = 64) -> int:
    """A number of things to ask for one by one, unless a broken driver names one that no machine has.

    Raises:
        Refused: It is above `most`.
    """
    if not 0 <= value <= most:
        raise Refused(0, f"not a count: {value}")
    return value


def first(*choices: Callable[[], T]) -> T:
    """Value of the first choice that is not Absent: the new call, then the older ones. Any other error is raised."""
    for choice in choices[:-1]:
        try:
            return choice()
        except Absent:
            continue
    return choices[-1]()


def _class_of(code: int) -> type[NvmlError]:
    if code in _ABSENT:
        return Absent
    return Lost if code in _LOST else Refused
