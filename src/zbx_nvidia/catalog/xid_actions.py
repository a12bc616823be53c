"""What must be done about an XID error: the classes of the codes in `xid`.

Apart from those, for a poll needs to know these alone, and 130 rows cost it half a millisecond.
"""

from __future__ import annotations

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


RESET = Class("reset", "reset the GPU", "Errors after which the GPU must be reset.")
RESTART = Class("restart", "restart the host", "Errors after which the host must be restarted.")
SUPPORT = Class("support", "investigate", "Errors that somebody must look into, with NVIDIA or the vendor's support.")
APPLICATION = Class("application", "application", "Errors of an application, or that end one: it is restarted.")
NOTE = Class("note", "for information", "Events after which nothing needs to be done at once.")

CLASSES = (RESET, RESTART, SUPPORT, APPLICATION, NOTE)
# After these somebody has to do something, and an alarm says what.
TO_MEND = (RESET, RESTART, SUPPORT)
