"""The meaning of each command's exit codes: for the manual, and checked by tests."""

from __future__ import annotations

MEANINGS = {
    0: "Done, or nothing to do, or --dry-run printed what would be done.",
    1: "It failed. One line on standard error says why, and what to do.",
    2: "Wrong usage: an unknown command or option, an invalid value, no credentials. Nothing was changed.",
}

_FRONT_END = "The Zabbix front end refuses, or cannot be reached"

# Commands with a more exact meaning.
OF_COMMANDS = {
    "show": {
        0: "All GPUs answer, or Ctrl-C ended --watch.",
        1: "The driver does not answer, or a GPU is lost or sick.",
    },
    "check": {
        0: "Fit: no alert of the given severity is raised.",
        1: "Unfit: an alert of the given severity is raised.",
        2: "Unknown: some GPUs could not be read, or the driver is released; or wrong usage.",
    },
    "run": {
        0: "The job ended with exit code 0. Every other code that is not listed is that of the job, too.",
        1: "That of the job, or this command failed before the job was started.",
        2: "That of the job, or wrong usage: an unknown option, no command. Nothing was started.",
        126: "The command is not allowed to run.",
        127: "The command does not exist.",
        128: "And the number of the signal that ended the job, such as 137 for SIGKILL.",
    },
    "doctor": {0: "Nothing is wrong.", 1: "There is a fault. The first one is printed, with its cause and its fix."},
    "install-agent": {1: "It failed, or the agent does not answer. Everything was restored."},
    "uninstall-agent": {1: "It failed. Nothing was changed."},
    "install-template": {
        1: f"{_FRONT_END}; or the template was edited and --overwrite is not given, or it has secret macros."
    },
    "uninstall-template": {1: f"{_FRONT_END}, or hosts have the template and --force is not given."},
    "add-host": {
        1: f"{_FRONT_END}, or the host has other settings and --overwrite is not given; with --wait also if no value "
        "arrives in 5 minutes, although the host was added."
    },
    "unpack": {
        1: "The new version cannot be written, or does not start, or another file is where a link would be. The "
        "existing installation is unchanged. With --remove: a Zabbix agent is configured to run it.",
        2: "Wrong usage, or DIR has other content and --replace is not given. Nothing was changed.",
    },
}


def meanings(command: str) -> dict[int, str]:
    """Exit code -> its meaning for this command."""
    return {**MEANINGS, **OF_COMMANDS.get(command, {})}
