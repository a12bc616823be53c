"""How single looks become findings."""

from __future__ import annotations

import errno
from types import SimpleNamespace

import pytest

from zbx_nvidia.doctor.checks import (
    FAULT,
    GOOD,
    NOTE,
    UNCHECKED,
    UNSEEN,
    Chain,
    Fault,
    Finding,
    Seen,
    Walk,
    first_fault,
    good,
    unseen,
    wrong,
)
from zbx_nvidia.errors import HostError

BROKEN = Fault("broken", "{what} is broken.", "Mend {what}.")
WORSE = Fault("slow", "{what} is slow.", "Oil {what}.", NOTE)


class Thing:
    """What is looked at: the links of these names are broken; how often each was looked at."""

    def __init__(self, *broken: str) -> None:
        self.broken = broken
        self.looks: dict[str, int] = {}

    def look(self, name: str) -> Seen:
        self.looks[name] = self.looks.get(name, 0) + 1
        if name in self.broken:
            raise wrong("broken", what=name)
        if f"{name} slow" in self.broken:
            raise wrong("slow", "slow", what=name)
        return unseen("not here") if f"{name} unseen" in self.broken else good("well")


def walk(thing: Thing) -> dict[str, Finding]:
    """A chain: card, driver (seen broken although the answer is good: outvoted), program, answer (needs program)."""
    chain: Chain[Thing] = Chain()

    @chain.link("card", "Card", "Host", BROKEN, outvoted_by=("answer",))
    def card(thing: Thing) -> Seen:
        """Whether it
        is there.
        """
        return thing.look("card")

    @chain.link("driver", "Driver", "Host", BROKEN, WORSE, needs=("card",), outvoted_by=("answer",))
    def driver(thing: Thing) -> Seen:
        return thing.look("driver")

    @chain.link("program", "Program", "Host", BROKEN, WORSE)
    def program(thing: Thing) -> Seen:
        return thing.look("program")

    @chain.link("answer", "Answer", "Host", BROKEN, needs=("driver", "program", "nobody"), outvoted_by=("nobody",))
    def answer(thing: Thing) -> Seen:
        return thing.look("answer")

    assert chain.links[0].text == "Whether it is there."
    way = Walk()
    way.add(chain.links, thing)
    return {finding.link: finding for finding in way.findings()}


def states(*broken: str) -> dict[str, str]:
    return {name: finding.seen.state for name, finding in walk(Thing(*broken)).items()}


def test_all_is_well_and_each_is_looked_at_once() -> None:
    thing = Thing()
    found = walk(thing)
    assert {finding.seen.state for finding in found.values()} == {GOOD}
    assert first_fault(found.values()) is None
    assert thing.looks == {"card": 1, "driver": 1, "program": 1, "answer": 1}


def test_what_stands_on_a_broken_link_is_not_checked() -> None:
    assert states("program") == {"card": GOOD, "driver": GOOD, "program": FAULT, "answer": UNCHECKED}
    assert states("card", "answer") == {"card": FAULT, "driver": UNCHECKED, "program": GOOD, "answer": UNCHECKED}


def test_what_works_further_on_outvotes_what_looks_broken() -> None:
    assert states("card", "driver") == {"card": UNSEEN, "driver": UNSEEN, "program": GOOD, "answer": GOOD}
    # A note too: card and driver are on the way to the answer, and it is there.
    assert states("driver slow")["driver"] == UNSEEN
    thing = Thing("card")
    assert "it works: Answer" in walk(thing)["card"].seen.text
    assert thing.looks["answer"] == 1


def test_a_voter_that_is_not_there_or_not_seen_outvotes_nothing() -> None:
    assert states("answer")["answer"] == FAULT
    assert states("card", "answer unseen")["card"] == FAULT


def test_a_note_breaks_nothing() -> None:
    assert states("program slow")["answer"] == GOOD
    seen = walk(Thing("program slow"))["program"].seen
    assert seen == Seen(NOTE, "slow", "slow", "program is slow.", "Oil program.")


def test_the_first_fault_has_its_cause_and_its_cure_with_names() -> None:
    fault = first_fault(walk(Thing("answer", "driver")).values())
    assert fault is not None
    assert fault.seen == Seen(FAULT, "driver is broken.", "broken", "driver is broken.", "Mend driver.")


def test_an_error_of_a_look_is_a_fault_of_its_link() -> None:
    chain: Chain[None] = Chain()

    @chain.link("file", "File", "Host")
    def file(_: None) -> Seen:
        raise HostError("the file cannot be read")

    way = Walk()
    way.add(chain.links, None)
    (found,) = way.findings()
    assert (found.seen.state, found.seen.cause) == (FAULT, "the file cannot be read")


@pytest.mark.parametrize(
    ("error", "root", "state"),
    [
        (PermissionError(errno.EACCES, "Permission denied", "/x/key"), False, UNSEEN),
        (PermissionError(errno.EACCES, "Permission denied", "/x/key"), True, FAULT),
        (IsADirectoryError(errno.EISDIR, "Is a directory", "/x/key"), False, FAULT),
        (PermissionError(errno.EACCES, "Permission denied", "/x/key"), None, FAULT),  # the server's side
    ],
)
def test_a_file_that_a_look_stumbles_over(error: OSError, root: bool | None, state: str) -> None:  # noqa: FBT001
    chain: Chain[object] = Chain()

    @chain.link("file", "File", "Host")
    def file(_: object) -> Seen:
        raise error

    way = Walk()
    way.add(chain.links, SimpleNamespace(**({} if root is None else {"root": root})))
    (found,) = way.findings()
    assert found.seen.state == state
    assert f"/x/key: {error.strerror}" in found.seen.text


def test_a_fault_that_its_link_does_not_have_is_a_fault_of_ours() -> None:
    chain: Chain[None] = Chain()

    @chain.link("file", "File", "Host", BROKEN)
    def file(_: None) -> Seen:
        raise wrong("unknown")

    way = Walk()
    way.add(chain.links, None)
    with pytest.raises(StopIteration):
        way.findings()
