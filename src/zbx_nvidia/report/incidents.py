"""What went wrong in a period, by class, and how long GPUs could not be used."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

# The class of the alerts of which a GPU cannot be used.
UNUSABLE = "availability"


class Incident(NamedTuple):
    """A problem.

    Attributes:
        hostid: Of the host.
        gpu: The short UUID of the GPU; "" for one of the host.
        scope: The tag that says what suffers.
        name: Of the event.
        since: When it began, or the period did, in seconds of Unix time.
        until: When it ended, or the period did.
    """

    hostid: str
    gpu: str
    scope: str
    name: str
    since: int
    until: int


def lost_hours(incidents: Iterable[Incident], hostid: str, gpu: str) -> float:
    """Hours in which a GPU could not be used: problems at the same time count once, those of its host too."""
    spans = sorted(
        (one.since, one.until)
        for one in incidents
        if one.scope == UNUSABLE and one.hostid == hostid and one.gpu in {"", gpu}
    )
    seconds, reached = 0, 0
    for since, until in spans:
        start = max(since, reached)
        seconds += max(0, until - start)
        reached = max(reached, until)
    return seconds / 3600


def by_class(incidents: Iterable[Incident]) -> dict[str, tuple[int, float]]:
    """Class -> how many problems, and how many hours they were open in all; the most frequent first."""
    counts: dict[str, list[float]] = defaultdict(lambda: [0, 0.0])
    for one in incidents:
        counts[one.scope][0] += 1
        counts[one.scope][1] += max(0, one.until - one.since) / 3600
    ordered = sorted(counts.items(), key=lambda item: (-item[1][0], item[0]))
    return {scope: (int(number), hours) for scope, (number, hours) in ordered}
