"""How single results become findings."""

from __future__ import annotations

import errno

import pytest

from zbx_nvidia.doctor.checks import (
    FAULT,
    GOOD,
    NOTE,
    UNCHECKED,
    UNSEEN,
    Check,
    CheckReport,
    Fault,
    Finding,
    Result,
    State,
    check,
    first_fault,
    good,
    unseen,
)
from zbx_nvidia.errors import HostError

BROKEN = Fault("broken", cause="{what} is broken.", fix="Repair {what}.")
SLOW = Fault("slow", cause="{what} is slow.", fix="Oil {what}.", state=NOTE)


class Thing(State):
    """What the checks look at: the checks of these names are broken; how often each looked."""

    def __init__(self, *broken: str) -> None:
        self.broken = broken
        self.looks: dict[str, int] = {}

    def look(self, name: str) -> Result:
        self.looks[name] = self.looks.get(name, 0) + 1
        if name in self.broken:
            raise BROKEN(what=name)
        if f"{name} slow" in self.broken:
            raise SLOW("slow", what=name)
        return unseen("not here") if f"{name} unseen" in self.broken else good("well")


@check("card", "Card", "Host", BROKEN, outvoted_by=("answer",))
def card(thing: Thing) -> Result:
    """Is it
    there?
    """
    return thing.look("card")


@check("driver", "Driver", "Host", BROKEN, SLOW, needs=("card",), outvoted_by=("answer",))
def driver(thing: Thing) -> Result:
    return thing.look("driver")


@check("program", "Program", "Host", BROKEN, SLOW)
def program(thing: Thing) -> Result:
    return thing.look("program")


@check("answer", "Answer", "Host", BROKEN, needs=("driver", "program", "nobody"), outvoted_by=("nobody",))
def answer(thing: Thing) -> Result:
    return thing.look("answer")


def report(thing: Thing) -> dict[str, Finding]:
    """Of card, driver (a good answer overrules their faults), program, and answer, which needs both."""
    whole = CheckReport()
    whole.add([card, driver, program, answer], thing)
    return {finding.check: finding for finding in whole.findings()}


def states(*broken: str) -> dict[str, str]:
    return {name: finding.result.state for name, finding in report(Thing(*broken)).items()}


def test_the_docstring_is_the_question() -> None:
    assert card.question == "Is it there?"


def test_all_is_well_and_each_looks_once() -> None:
    thing = Thing()
    findings = report(thing)
    assert {finding.result.state for finding in findings.values()} == {GOOD}
    assert first_fault(findings.values()) is None
    assert thing.looks == {"card": 1, "driver": 1, "program": 1, "answer": 1}


def test_what_needs_a_broken_check_is_not_checked() -> None:
    assert states("program") == {"card": GOOD, "driver": GOOD, "program": FAULT, "answer": UNCHECKED}
    assert states("card", "answer") == {"card": FAULT, "driver": UNCHECKED, "program": GOOD, "answer": UNCHECKED}


def test_what_works_further_on_outvotes_what_looks_broken() -> None:
    assert states("card", "driver") == {"card": UNSEEN, "driver": UNSEEN, "program": GOOD, "answer": GOOD}
    # A note too: card and driver are on the way to the answer, and it is there.
    assert states("driver slow")["driver"] == UNSEEN
    thing = Thing("card")
    assert "it works: Answer" in report(thing)["card"].result.text
    assert thing.looks["answer"] == 1


def test_a_voter_that_is_not_there_or_not_seen_outvotes_nothing() -> None:
    assert states("answer")["answer"] == FAULT
    assert states("card", "answer unseen")["card"] == FAULT


def test_a_note_breaks_nothing() -> None:
    assert states("program slow")["answer"] == GOOD
    result = report(Thing("program slow"))["program"].result
    assert result == Result(NOTE, "slow", "slow", "program is slow.", "Oil program.")


def test_the_first_fault_has_its_cause_and_its_fix_with_names() -> None:
    fault = first_fault(report(Thing("answer", "driver")).values())
    assert fault is not None
    assert fault.result == Result(FAULT, "driver is broken.", "broken", "driver is broken.", "Repair driver.")


def raising(error: Exception) -> Check[State]:
    @check("file", "File", "Host")
    def file(_: State) -> Result:
        raise error

    return file


def test_another_error_is_a_fault_of_its_check() -> None:
    result = raising(HostError("the file cannot be read")).run(State())
    assert (result.state, result.fault, result.cause) == (FAULT, "error", "the file cannot be read")


@pytest.mark.parametrize(
    ("error", "root", "state"),
    [
        (PermissionError(errno.EACCES, "Permission denied", "/x/key"), False, UNSEEN),
        (PermissionError(errno.EACCES, "Permission denied", "/x/key"), True, FAULT),
        (IsADirectoryError(errno.EISDIR, "Is a directory", "/x/key"), False, FAULT),
    ],
)
def test_a_file_that_a_check_stumbles_over(error: OSError, root: bool, state: str) -> None:  # noqa: FBT001
    host = State()
    host.root = root
    result = raising(error).run(host)
    assert result.state == state
    assert f"/x/key: {error.strerror}" in result.text
