"""What the log of an agent says about refused connections, and why the agent ended."""

from __future__ import annotations

import datetime as dt
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from zbx_nvidia.host import system
from zbx_nvidia.host.reading import read

if TYPE_CHECKING:
    from zbx_nvidia.zabbix_agent.config import Configuration
    from zbx_nvidia.zabbix_agent.find import Agent

TAIL = 256 * 1024  # bytes of the end of a log
RECENT = 150.0  # s: two and a half intervals of the master item
LOCAL = ("127.", "::1")
# As both agents of 6.0 and 7.0 write them.
REFUSALS = (
    ("address", re.compile(r'connection from "([^"]+)" rejected, allowed hosts')),
    (
        "plain",
        re.compile(r"from (\S+?):.*(?:unencrypted connections? (?:is|are) not allowed|cannot accept unencrypted)"),
    ),
    ("encrypted", re.compile(r"from (\S+?):.*(?:TLS|PSK) connections? (?:is|are) not allowed")),
    ("identity", re.compile(r"from (\S+?):.*invalid PSK identity")),
    ("key", re.compile(r"from (\S+?):.*(?:handshake|decrypt|bad record|tls_accept|TLS)")),
)
IDENTITY = re.compile(r'cannot find requested PSK identity "([^"]*)"')
# As both agents write it, at every DebugLevel.
RELOADED = re.compile(r"user parameters reloaded", re.IGNORECASE)
COMPLAINT = re.compile(r"cannot|error|fail|invalid|wrong|unknown|panic|duplicate|already|denied", re.IGNORECASE)


class Refusal(NamedTuple):
    """A connection that the agent refused.

    Attributes:
        kind: address, plain (unencrypted, but encryption is required), encrypted (but not allowed), identity or key.
        address: Of the other side.
        ago: Seconds before now.
    """

    kind: str
    address: str
    ago: float


def lines(agent: Agent, configuration: Configuration) -> list[str]:
    """The end of an agent's log: of its file, or of the journal.

    Raises:
        HostError: journalctl cannot be run.
    """
    kind = configuration.last("LogType", "file")
    if kind == "file" and configuration.last("LogFile"):
        return tail(Path(configuration.last("LogFile")))
    return journal(agent.unit)


def tail(path: Path) -> list[str]:
    """The last lines of a file; none if it cannot be read."""
    try:
        return read(path, tail=TAIL).decode("utf-8", "replace").splitlines()
    except OSError:
        return []


def journal(unit: str, count: int = 200) -> list[str]:
    """The last lines of a service in systemd's journal."""
    if not unit or not system.has_systemd():
        return []
    command = ("journalctl", "--unit", unit, "--no-pager", "--output", "cat", "--lines", str(count))
    return system.run(*command).out.splitlines()


def refusals(log: list[str], since: float) -> list[Refusal]:
    """Recent refused connections from other machines, the last one first.

    Args:
        log: Lines of the log.
        since: Seconds since the epoch; earlier lines are skipped.
    """
    refused = []
    identity = False
    for line in log:
        when = moment(line)
        if when is None or when < since:
            continue
        identity = identity or bool(IDENTITY.search(line))
        for kind, pattern in REFUSALS:
            if match := pattern.search(line):
                if not match[1].startswith(LOCAL):
                    actual = "identity" if kind == "key" and identity else kind
                    refused.append(Refusal(actual, match[1], max(0.0, time.time() - when)))
                identity = False
                break
    return refused[::-1]


def reaches(log: list[str], back_to: float) -> bool:
    """Whether a log goes back to that time: it has a line from before."""
    return any(when <= back_to for when in map(moment, log) if when is not None)


def reloaded(log: list[str]) -> float:
    """The latest time at which an agent reloaded its UserParameter lines; 0 if the log has none."""
    # It writes whole seconds.
    return max((1 + (moment(line) or -1.0) for line in log if RELOADED.search(line)), default=0.0)


def moment(line: str) -> float | None:
    """When a line was written; None if it has no time."""
    match = re.match(r"\s*\d+:(\d{8}):(\d{6})\.\d+ |(\d{4}/\d\d/\d\d) (\d\d:\d\d:\d\d)\.\d+ ", line)
    if not match:
        return None
    text = (match[1] or match[3].replace("/", "")) + (match[2] or match[4].replace(":", ""))
    return dt.datetime.strptime(text, "%Y%m%d%H%M%S").astimezone().timestamp()


def last_words(agent: Agent, configuration: Configuration, since: float = 0.0) -> str:
    """Why an agent ended: the last complaint in systemd's journal of its last start, or else in its log.

    Args:
        agent: Which.
        configuration: Its own, which says where its log is.
        since: Seconds since the epoch; earlier lines of the log are of another run.

    Raises:
        HostError: journalctl cannot be run.
    """
    output = journal(agent.unit, 40)
    starts = [number for number, line in enumerate(output) if line.startswith(("Started ", "Starting "))]
    # systemd's own lines say only that it failed.
    own = [line for line in output[starts[-1] if starts else 0 :] if not line.startswith((agent.unit, "Start"))]
    # It writes whole seconds.
    logged = [line for line in lines(agent, configuration)[-12:] if (moment(line) or since) >= int(since)]
    for spoken in (own, logged):
        telling = [line for line in spoken if COMPLAINT.search(line) and "child process" not in line]
        if telling:
            stamp = r"^\s*(\d+:\d{8}:\d{6}\.\d+|\d{4}/\d\d/\d\d \S+|\S+ \[\d+\]:( ERROR:)?)\s+"
            return re.sub(stamp, "", telling[-1])[:300]
    return ""
