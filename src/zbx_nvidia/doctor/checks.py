"""What a check is, and how the results of all checks fit together: what `zbx-nvidia doctor` is made of.

A check declares the faults that it can raise, so that the documentation is complete. Three rules combine the results:

- A check whose need is broken does not run: one cause gives one fault.
- A later check that is good overrules an earlier fault. If NVML answers, the GPU is on some bus, even if this container
  shows none.
- What cannot be seen from here is reported as unseen. It is not a fault.
"""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

from zbx_nvidia.errors import ZbxNvidiaError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from zbx_nvidia.doctor.service_commands import Service

GOOD = "good"
NOTE = "note"  # it works, but should be better
FAULT = "fault"
UNSEEN = "unseen"  # it cannot be seen from here, or this mode does not use it
UNCHECKED = "unchecked"  # it needs something that is broken
BROKEN = (FAULT, UNCHECKED)

# The parts of a report.
HOST = "Host"
DRIVER = "Driver"
COLLECTOR = "Collector"
AGENT = "Zabbix agent"
SERVER = "Zabbix server"


class State:
    """What checks look at. Each fact is fetched once, when a check asks for it.

    Attributes:
        root: Whether no file is closed to whoever looks.
    """

    root: bool = True

    @property
    def services(self) -> Mapping[str, Service]:
        """The services whose commands a fix may name, as `{agent.restart}`."""
        return {}


StateType = TypeVar("StateType", bound=State)


@dataclass(frozen=True)
class Fault:
    """One thing that can be wrong, declared beside the check that raises it: `raise NOT_BUILT(kernel=kernel)`.

    Attributes:
        key: Its name within the check. A contract.
        cause: What is wrong, with names in braces.
        fix: What to do, the same, and with commands of services as `{agent.restart}`, each in a line of its own. Lines
            that begin with four spaces are commands or lines of a file.
        state: FAULT, or NOTE for what works all the same.
    """

    key: str
    _: KW_ONLY
    cause: str
    fix: str
    state: str = FAULT

    def __call__(self, text: str = "", /, **names: object) -> FaultError:
        """The exception with which a check reports this fault.

        Args:
            text: In a few words; the cause if empty.
            names: For the braces of cause and fix.
        """
        return FaultError(self, text, names)


class FaultError(Exception):
    """Ends a check, from however deep within it."""

    def __init__(self, fault: Fault, text: str, names: Mapping[str, object]) -> None:
        super().__init__(fault.key)
        self.fault, self.text, self.names = fault, text, names

    def result(self, services: Mapping[str, Service]) -> Result:
        """The fault, with all names filled in."""
        cause = self.fault.cause.format(**self.names)
        fix = self.fault.fix.format(**self.names, **services)
        return Result(self.fault.state, self.text or cause, self.fault.key, cause, fix)


class Result(NamedTuple):
    """What a check found.

    Attributes:
        state: One of the above.
        text: In a few words.
        fault: Key of the fault; "" for none.
        cause: The fault's, with all names filled in.
        fix: The same.
    """

    state: str
    text: str
    fault: str = ""
    cause: str = ""
    fix: str = ""


class Finding(NamedTuple):
    """The result of a check in a report.

    Attributes:
        check: Id of the check.
        title: For people.
        part: What it belongs to.
        result: What it found.
    """

    check: str
    title: str
    part: str
    result: Result


@dataclass(frozen=True)
class Check(Generic[StateType]):
    """One step on the way from the card to the last value.

    Attributes:
        id: For machines and for the documentation.
        title: For people, 24 characters at most.
        part: What it belongs to.
        question: What it answers.
        faults: Every fault that it can raise.
        answer: Looks for itself, and returns a result or raises a fault.
        needs: Ids of earlier checks without which it cannot run.
        outvoted_by: Ids of later checks. If all of them are good, a fault found here is none.
    """

    id: str
    title: str
    part: str
    question: str
    faults: tuple[Fault, ...]
    answer: Callable[[StateType], Result]
    needs: tuple[str, ...] = ()
    outvoted_by: tuple[str, ...] = ()

    def run(self, state: StateType) -> Result:
        """The result of this check alone."""
        try:
            return self.answer(state)
        except FaultError as error:
            return error.result(state.services)
        except ZbxNvidiaError as error:
            return _unexpected(str(error))
        except OSError as error:
            text = f"{error.filename}: {error.strerror}" if error.filename else str(error)
            # A user who may not look cannot say what is there.
            if isinstance(error, PermissionError) and not state.root:
                return unseen(f"{text}: use sudo")
            return _unexpected(text)


def check(
    name: str,
    title: str,
    part: str,
    *faults: Fault,
    needs: tuple[str, ...] = (),
    outvoted_by: tuple[str, ...] = (),
) -> Callable[[Callable[[StateType], Result]], Check[StateType]]:
    """Makes a check of the function that answers it; its docstring is the question."""

    def declared(answer: Callable[[StateType], Result]) -> Check[StateType]:
        question = " ".join((answer.__doc__ or "").split())
        return Check(name, title, part, question, faults, answer, needs, outvoted_by)

    return declared


def good(text: str) -> Result:
    """All is well."""
    return Result(GOOD, text)


def unseen(text: str) -> Result:
    """It cannot be seen from here, or this mode does not use it."""
    return Result(UNSEEN, text)


def unchecked(text: str) -> Result:
    """Something that the check needs is broken."""
    return Result(UNCHECKED, text)


def _unexpected(text: str) -> Result:
    return Result(FAULT, text, "error", text, "Fix this, then run the doctor again.")


class CheckReport:
    """The results of checks, which may look at different states: needs and votes count across them."""

    def __init__(self) -> None:
        self._checks: dict[str, tuple[Check[Any], Any]] = {}
        self._own: dict[str, Result] = {}
        self._final: dict[str, Result] = {}

    def add(self, checks: Iterable[Check[StateType]], state: StateType) -> None:
        """Adds checks behind those that it has."""
        for one in checks:
            self._checks[one.id] = (one, state)

    def findings(self) -> list[Finding]:
        """The result of each check, in order."""
        return [Finding(name, one.title, one.part, self._result(name)) for name, (one, _) in self._checks.items()]

    def _result(self, name: str) -> Result:
        if name not in self._final:
            self._final[name] = self._combined(self._checks[name][0])
        return self._final[name]

    def _combined(self, one: Check[Any]) -> Result:
        for need in one.needs:
            if need in self._checks and self._result(need).state in BROKEN:
                return unchecked(f"not checked: needs {self._checks[need][0].title}")
        result = self._own_result(one.id)
        if result.state in {FAULT, NOTE} and one.outvoted_by:
            voters = [voter for voter in one.outvoted_by if voter in self._checks]
            all_vote = len(voters) == len(one.outvoted_by)
            if all_vote and all(self._own_result(voter).state in {GOOD, NOTE} for voter in voters):
                titles = ", ".join(self._checks[voter][0].title for voter in voters)
                return unseen(f"{result.text}; but it works: {titles}")
        return result

    def _own_result(self, name: str) -> Result:
        if name not in self._own:
            one, state = self._checks[name]
            self._own[name] = one.run(state)
        return self._own[name]


def first_fault(findings: Iterable[Finding]) -> Finding | None:
    """The fault that the others may come from."""
    return next((finding for finding in findings if finding.result.state == FAULT), None)
