"""The configuration of a Zabbix agent, read as that agent reads it.

Observed on 6.0.14 and 7.0.22, both agents: an Include is read where it stands, and of a parameter stated twice the last
one read counts. The files of a directory come sorted for agent 2, and as the file system lists them for agentd.
"""

from __future__ import annotations

import fnmatch
import re
import socket
from pathlib import Path
from typing import NamedTuple

from zbx_nvidia.errors import HostError

AGENTD = "agentd"
AGENT2 = "agent2"
KINDS = (AGENTD, AGENT2)
DEPTH = 10  # of includes; both agents stop there
LONGEST = 2048  # bytes in a line; both agents take no longer one

DEFAULT_NAMES = {"", "Zabbix server"}  # what the packages' files call every host


class Statement(NamedTuple):
    """A line `name=value`.

    Attributes:
        name: Of the parameter.
        value: As it is written, without spaces around it.
        file: Where it stands.
        line: Its number, from 1.
    """

    name: str
    value: str
    file: Path
    line: int


class Include(NamedTuple):
    """A line `Include=`.

    Attributes:
        value: As it is written.
        file: Where it stands.
        line: Its number, from 1.
        folder: The directory that it takes files from; None where it names a file.
        pattern: Which of that directory's files; "*" for all.
        files: What it leads to now, in the order in which the agent reads them.
    """

    value: str
    file: Path
    line: int
    folder: Path | None
    pattern: str
    files: tuple[Path, ...]


class Configuration(NamedTuple):
    """What an agent is told.

    Attributes:
        file: The main file.
        kind: Of the agent, agentd or agent2.
        statements: In the order in which the agent reads them.
        includes: The same.
        problems: What keeps an agent from starting with it, each in one line with file and number of the line.
    """

    file: Path
    kind: str
    statements: tuple[Statement, ...]
    includes: tuple[Include, ...]
    problems: tuple[str, ...]

    def all(self, name: str) -> tuple[Statement, ...]:
        """Every statement of a parameter."""
        return tuple(statement for statement in self.statements if statement.name == name)

    def last(self, name: str, default: str = "") -> str:
        """The value that counts."""
        statements = self.all(name)
        return statements[-1].value if statements else default

    @property
    def files(self) -> tuple[Path, ...]:
        """Every file that is read, the main one first."""
        return tuple(dict.fromkeys([self.file, *(file for include in self.includes for file in include.files)]))


def read(path: Path | str, kind: str) -> Configuration:
    """Read the configuration of an agent.

    Args:
        path: The main file.
        kind: agentd or agent2: they follow Include lines differently.

    Raises:
        HostError: The main file cannot be read. What is wrong further on is among the `problems`.
    """
    reader = _Reader(Path(path).absolute(), kind)
    try:
        data = reader.main.read_bytes()
    except OSError as error:
        raise HostError(f"{path}: the configuration of the Zabbix agent cannot be read: {error.strerror}") from None
    reader.parse(reader.main, data, 1)
    return Configuration(
        reader.main, kind, tuple(reader.statements), tuple(reader.includes), tuple(reader.problems)
    )  # fmt: skip


def leads_to(include: Include, name: str, kind: str) -> bool:
    """Whether an Include line takes a file of that name from its directory."""
    return include.folder is not None and _matches(name, include.pattern, kind)


def host_name(configuration: Configuration) -> str:
    """What Zabbix is likely to call this host."""
    name = configuration.last("Hostname").split(",")[0].strip()
    return socket.gethostname() if name in DEFAULT_NAMES else name


def key_problem(text: str) -> str:
    """What is wrong with the text of a key; "" if nothing is. It never quotes the key."""
    digits = text.strip()
    if not re.fullmatch(r"[0-9A-Fa-f]+", digits):
        return "not made of hexadecimal digits"
    if not 32 <= len(digits) <= 512 or len(digits) % 2:  # noqa: PLR2004  what Zabbix takes
        return f"of {len(digits)} hexadecimal digits: Zabbix takes 32 to 512, an even number"
    return ""


class _Reader:
    """What is read so far."""

    def __init__(self, main: Path, kind: str) -> None:
        self.main = main
        self.kind = kind
        self.statements: list[Statement] = []
        self.includes: list[Include] = []
        self.problems: list[str] = []

    def parse(self, file: Path, data: bytes, depth: int) -> None:
        """Read one file, and what it includes."""
        for number, raw in enumerate(data.split(b"\n"), 1):
            line = raw.strip()
            if not line or line.startswith(b"#"):
                continue
            where = f"{file}:{number}"
            if len(line) > LONGEST:
                self.problems.append(f"{where}: the line is longer than the {LONGEST} bytes that the agent takes")
                continue
            try:
                text = line.decode("utf-8")
            except UnicodeDecodeError:
                self.problems.append(f"{where}: the line is not UTF-8")
                continue
            name, equals, value = (part.strip() for part in text.partition("="))
            if not equals:
                # Not the line itself: it may be part of a secret.
                self.problems.append(f"{where}: the line is not of the form Name=value")
            elif name == "Include":
                self._include(value, file, number, depth)
            else:
                self.statements.append(Statement(name, value, file, number))

    def _include(self, value: str, file: Path, number: int, depth: int) -> None:
        where = f"{file}:{number}: Include={value}"
        if depth >= DEPTH:
            self.problems.append(f"{where}: included {DEPTH} levels deep, as by a file that includes itself")
            return
        try:
            folder, pattern, files = self._files(value)
        except OSError as error:
            self.problems.append(f"{where}: {error.filename}: {error.strerror}")
            return
        except ValueError as error:
            self.problems.append(f"{where}: {error}")
            return
        self.includes.append(Include(value, file, number, folder, pattern, tuple(files)))
        for path in files:
            try:
                data = path.read_bytes()
            except OSError as error:
                self.problems.append(f"{where}: {path}: {error.strerror}")
            else:
                self.parse(path, data, depth + 1)

    def _files(self, value: str) -> tuple[Path | None, str, list[Path]]:
        """The directory of an Include line, its pattern, and the files."""
        if not value:
            raise ValueError("names no file")
        # From the directory of the main file, in included files too: agent 2, and agentd 7.0. Where a service starts
        # agentd 6.0, a relative path leads nowhere that anybody would mean.
        path = self.main.parent / value
        signs = "*" if self.kind == AGENTD else "*?[\\"
        if any(sign in str(path.parent) for sign in signs):
            raise ValueError("has a pattern before the last part of the path, which the agent does not take")
        if any(sign in path.name for sign in signs):
            folder, pattern = path.parent, path.name
            folder.stat()
            if not folder.is_dir():
                raise ValueError(f"{folder} is no directory")
        else:
            path.stat()
            if not path.is_dir():
                return None, "", [path]
            folder, pattern = path, "*"
        names = [entry for entry in folder.iterdir() if _matches(entry.name, pattern, self.kind) and entry.is_file()]
        # Not sorted for agentd: it takes them as readdir gives them, as this does.
        return folder, pattern, sorted(names) if self.kind == AGENT2 else names


def _matches(name: str, pattern: str, kind: str) -> bool:
    """Whether a file's name fits; both agents take hidden files too."""
    if kind == AGENTD:
        # It knows no sign but the asterisk.
        return re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), name, re.DOTALL) is not None
    return fnmatch.fnmatchcase(name, re.sub(r"\[\^", "[!", pattern))
