"""What must be done about an XID error: the classes of the codes in `xid`.

In a module of its own, because a poll needs only these, and the rows there cost it half a millisecond.
"""

# Without `from __future__ import annotations`: typing would compile the text of each annotation at each poll.
from typing import NamedTuple


class Class(NamedTuple):
    """What must be done about an error.

    Attributes:
        key: Its identity; the end of a metric's key.
        name: What must be done, for people.
        text: The same as a sentence.
    """

    key: str
    name: str
    text: str


RESET = Class("reset", "GPU reset", "Errors that require a GPU reset.")
RESTART = Class("restart", "host restart", "Errors that require a restart of the host.")
SUPPORT = Class("support", "investigation", "Errors to investigate, with the support of NVIDIA or the vendor.")
APPLICATION = Class("application", "application", "Errors of an application, or that end one. Restart it.")
NOTE = Class("note", "information", "Events that require no immediate action.")

CLASSES = (RESET, RESTART, SUPPORT, APPLICATION, NOTE)
# These require somebody to act, and an alert says how.
TO_MEND = (RESET, RESTART, SUPPORT)
