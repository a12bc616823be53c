"""What the exit codes of the commands mean: for the manual, and held by the tests."""

from __future__ import annotations

MEANINGS = {
    0: "Done; or there was nothing to do, or --dry-run said what would be done.",
    1: "It could not be done. One line on standard error says why, and what to do about it.",
    2: "Wrong usage: an unknown command or option, a value that cannot be used, no credentials. Nothing was done.",
}

_FRONT_END = "The Zabbix front end refuses it or cannot be reached"

# Where a command says more than that.
OF_COMMANDS = {
    "show": {0: "All GPUs answer.", 1: "The driver does not answer, or a GPU is lost or sick."},
    "doctor": {0: "Nothing is wrong.", 1: "There is a fault. The first one is printed, with its cause and its fix."},
    "install-agent": {1: "It cannot be done, or the agent does not answer: everything was put back."},
    "uninstall-agent": {1: "It cannot be done, and nothing has changed."},
    "install-template": {1: f"{_FRONT_END}."},
    "uninstall-template": {1: f"{_FRONT_END}, or hosts have the template and --force is not given."},
    "add-host": {1: f"{_FRONT_END}, or the host differs from what is asked and --overwrite is not given."},
    "unpack": {
        1: "It could not be written, or does not start: what was there is there still.",
        2: "Wrong usage, or DIR holds something else and --replace is not given. Nothing was done.",
    },
}


def meanings(command: str) -> dict[int, str]:
    """Exit code -> what it means for this command."""
    return {**MEANINGS, **OF_COMMANDS.get(command, {})}
