"""A chain of links, each of which is looked at: what `zbx-nvidia doctor` is made of.

A link knows the faults that it can have, as data, so that the documentation is complete. Three rules put the single
looks together:

- A link that stands on a broken one is not checked: one cause has one fault.
- What works further on outvotes what looks broken before it. Where NVML answers, the GPU is on some bus, even if this
  container shows none.
- What cannot be seen from here is said so, and is no fault.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

from zbx_nvidia.errors import ZbxNvidiaError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

GOOD = "good"
NOTE = "note"  # it works, and should be better
FAULT = "fault"
UNSEEN = "unseen"  # it cannot be seen from here, or is not part of this way to run
UNCHECKED = "unchecked"  # it stands on something that is broken
BROKEN = (FAULT, UNCHECKED)

Scene = TypeVar("Scene")


class Facts(NamedTuple):
    """What the links of the host tell those of the server: of the host and its agent.

    Attributes:
        addresses: Of the host.
        port: Of the agent.
        accepts: What of unencrypted, psk and cert the agent takes from who asks it.
        connects: Which of them it uses when it calls the server.
        mode: How it is to be served, oneshot or resident.
    """

    addresses: frozenset[str]
    port: str
    accepts: frozenset[str]
    connects: str
    mode: str


class Fault(NamedTuple):
    """One way in which a link is not as it should be.

    Attributes:
        key: Its name within the link.
        cause: What is wrong, with places for names in braces.
        cure: What to do, the same. Lines that begin with four spaces are commands or lines of a file.
        state: FAULT, or NOTE for what works all the same.
    """

    key: str
    cause: str
    cure: str
    state: str = FAULT


class Seen(NamedTuple):
    """What a look at a link has shown.

    Attributes:
        state: One of the above.
        text: In a few words.
        key: Of the fault; "" for none.
        cause: The fault's, with all names.
        cure: The same.
    """

    state: str
    text: str
    key: str = ""
    cause: str = ""
    cure: str = ""


class Finding(NamedTuple):
    """What was found at a link.

    Attributes:
        link: Its id.
        title: For people.
        part: What it belongs to.
        seen: What the look has shown.
    """

    link: str
    title: str
    part: str
    seen: Seen


@dataclass(frozen=True)
class Link(Generic[Scene]):
    """A link of the chain.

    Attributes:
        id: For machines and for the documentation.
        title: For people, 24 characters at most.
        part: What it belongs to.
        text: What is looked at.
        faults: What can be wrong with it.
        look: Looks at it.
        needs: Ids of links it stands on.
        outvoted_by: Ids of links which, all good, show that a fault seen here is none.
    """

    id: str
    title: str
    part: str
    text: str
    faults: tuple[Fault, ...]
    look: Callable[[Scene], Seen]
    needs: tuple[str, ...] = ()
    outvoted_by: tuple[str, ...] = ()


class Chain(Generic[Scene]):
    """The links of one part of the chain, in their order."""

    def __init__(self) -> None:
        self.links: list[Link[Scene]] = []

    def link(
        self,
        name: str,
        title: str,
        part: str,
        *faults: Fault,
        needs: tuple[str, ...] = (),
        outvoted_by: tuple[str, ...] = (),
    ) -> Callable[[Callable[[Scene], Seen]], Callable[[Scene], Seen]]:
        """Makes a link of the function that looks at it; its docstring says what it looks at."""

        def add(look: Callable[[Scene], Seen]) -> Callable[[Scene], Seen]:
            text = " ".join((look.__doc__ or "").split())
            self.links.append(Link(name, title, part, text, faults, look, needs, outvoted_by))
            return look

        return add


class _FaultySeenError(Exception):
    """Leaves a look from wherever it is."""

    def __init__(self, key: str, text: str, names: dict[str, Any]) -> None:
        super().__init__(key)
        self.key, self.text, self.names = key, text, names


def good(text: str) -> Seen:
    """The link is as it should be."""
    return Seen(GOOD, text)


def unseen(text: str) -> Seen:
    """The link cannot be seen from here, or there is none in this way to run."""
    return Seen(UNSEEN, text)


def unchecked(text: str) -> Seen:
    """Something that the look needs is broken."""
    return Seen(UNCHECKED, text)


def wrong(key: str, text: str = "", /, **names: object) -> Exception:
    """The exception with which a look says that its link has the fault of that key.

    Args:
        key: Of the fault, or the note.
        text: In a few words; the start of the cause if empty.
        names: For the braces of cause and cure.
    """
    return _FaultySeenError(key, text, names)


class Walk:
    """One walk along chains, which may be of different scenes: a link is outvoted or unchecked across them."""

    def __init__(self) -> None:
        self._links: dict[str, tuple[Link[Any], Any]] = {}
        self._raw: dict[str, Seen] = {}
        self._final: dict[str, Seen] = {}

    def add(self, links: Iterable[Link[Scene]], scene: Scene) -> None:
        """Takes links into the walk, behind those that it has."""
        for link in links:
            self._links[link.id] = (link, scene)

    def findings(self) -> list[Finding]:
        """What is found at each link, in order."""
        return [Finding(name, link.title, link.part, self._judge(name)) for name, (link, _) in self._links.items()]

    def _judge(self, name: str) -> Seen:
        if name not in self._final:
            self._final[name] = self._judged(self._links[name][0])
        return self._final[name]

    def _judged(self, link: Link[Any]) -> Seen:
        for need in link.needs:
            if need in self._links and self._judge(need).state in BROKEN:
                return unchecked(f"not checked: first {self._links[need][0].title}")
        seen = self._look(link.id)
        if seen.state in {FAULT, NOTE} and link.outvoted_by:
            voters = [voter for voter in link.outvoted_by if voter in self._links]
            if len(voters) == len(link.outvoted_by) and all(self._look(one).state in {GOOD, NOTE} for one in voters):
                works = " and ".join(self._links[voter][0].title for voter in voters)
                return unseen(f"{seen.text}; but it works: {works}")
        return seen

    def _look(self, name: str) -> Seen:
        if name not in self._raw:
            link, scene = self._links[name]
            self._raw[name] = look(link, scene)
        return self._raw[name]


def look(link: Link[Scene], scene: Scene) -> Seen:
    """Looks at one link alone."""
    try:
        return link.look(scene)
    except _FaultySeenError as found:
        fault = next(one for one in link.faults if one.key == found.key)
        cause = fault.cause.format(**found.names)
        return Seen(fault.state, found.text or cause, fault.key, cause, fault.cure.format(**found.names))
    except ZbxNvidiaError as error:
        return _trouble(str(error))
    except OSError as error:
        about = f"{error.filename}: {error.strerror}" if error.filename else str(error)
        # Who may not look is no judge of what is there.
        if isinstance(error, PermissionError) and not getattr(scene, "root", True):
            return unseen(f"{about}: use sudo")
        return _trouble(about)


def _trouble(said: str) -> Seen:
    return Seen(FAULT, said, "error", said, "Put that right, and run the doctor again.")


def first_fault(findings: Iterable[Finding]) -> Finding | None:
    """The fault that the others may come from."""
    return next((finding for finding in findings if finding.seen.state == FAULT), None)
