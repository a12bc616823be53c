"""The exception tree of zbx-nvidia.

    ZbxNvidiaError          base, never raised directly
    +-- UsageError          a value given by the user cannot be used       (exit code 2)
    +-- ServerError         the Zabbix front end refuses, or is not there  (exit code 1)
    |   +-- RefusedError    it answered, and refused this request          (exit code 1)
    +-- HostError           something on this host must be changed first   (exit code 1)
    +-- NvmlError           an NVML call gave no value                     (never leaves the collector)

``args[0]`` is always one line that says what happened, where, and what to do about it. It never contains a secret.
What others say goes into it, and into whatever else people see, as `printable` leaves it.
"""


def printable(text: str) -> str:
    """A text without control characters, escape sequences and marks that reverse the direction of writing."""
    if text.isprintable():
        return text  # as nearly all are; to look at each character takes 20 times as long
    return "".join(character if character.isprintable() else "?" for character in text)


class ZbxNvidiaError(Exception):
    """Base of every error that a user may read."""

    exit_code = 1


class UsageError(ZbxNvidiaError):
    """A value given by the user cannot be used."""

    exit_code = 2


class ServerError(ZbxNvidiaError):
    """The Zabbix front end refuses a request, or cannot be reached."""


class RefusedError(ServerError):
    """The Zabbix front end answered, and refused the request: the same one with other contents may succeed."""


class HostError(ZbxNvidiaError):
    """Something on this host must be changed first: its Zabbix agent, a file, a service, a permission."""
