"""The configuration of a Zabbix agent, read as the agent reads it.

Observed on 6.0.14 and 7.0.22, both agents: an Include is read in place, and if a parameter is set twice, the last one
counts. Agent 2 sorts the files of a directory; agentd takes them in the order of the file system.
"""

from __future__ import annotations

import fnmatch
import re
import socket
from pathlib import Path
from typing import NamedTuple

from zbx_nvidia.errors import HostError
from zbx_nvidia.host import reading

AGENTD = "agentd"
AGENT2 = "agent2"
KINDS = (AGENTD, AGENT2)
DEPTH = 10  # of nested includes; both agents stop there
LONGEST_KEY_FILE = 65_536  # bytes; a key has 512 at most
LONGEST = 2048  # bytes in a line, for both agents

DEFAULT_NAMES = {"", "Zabbix server"}  # as in the configuration files of the packages


class Statement(NamedTuple):
    """A line `name=value`.

    Attributes:
        name: Of the parameter.
        value: As written, without spaces around it.
        file: The file that holds the line.
        line: Its number, from 1.
    """

    name: str
    value: str
    file: Path
    line: int

    @property
    def location(self) -> str:
        """File and line, for people."""
        return f"{self.file}:{self.line}"


class Include(NamedTuple):
    """A line `Include=`.

    Attributes:
        value: As written.
        file: The file that holds the line.
        line: Its number, from 1.
        folder: The directory that it includes files from; None if it names a file.
        pattern: Which files of that directory; "*" for all.
        files: The files that it includes now, in the order in which the agent reads them.
    """

    value: str
    file: Path
    line: int
    folder: Path | None
    pattern: str
    files: tuple[Path, ...]


class Configuration(NamedTuple):
    """The configuration of an agent.

    Attributes:
        file: The main file.
        kind: Of the agent, agentd or agent2.
        statements: In the order in which the agent reads them.
        includes: The Include lines, in the same order.
        problems: Why an agent would not start with it, one line each, with file and line number.
    """

    file: Path
    kind: str
    statements: tuple[Statement, ...]
    includes: tuple[Include, ...]
    problems: tuple[str, ...]

    def all(self, name: str) -> tuple[Statement, ...]:
        """All lines that set a parameter."""
        return tuple(statement for statement in self.statements if statement.name == name)

    def last(self, name: str, default: str = "") -> str:
        """The value that the agent uses."""
        statements = self.all(name)
        return statements[-1].value if statements else default

    @property
    def files(self) -> tuple[Path, ...]:
        """All files that the agent reads, the main one first."""
        return tuple(dict.fromkeys([self.file, *(file for include in self.includes for file in include.files)]))


def read(path: Path | str, kind: str) -> Configuration:
    """Read the configuration of an agent.

    Args:
        path: The main file.
        kind: agentd or agent2: they treat Include lines differently.

    Raises:
        HostError: The main file cannot be read. All other faults are in `problems`.
    """
    reader = _Reader(Path(path).absolute(), kind)
    try:
        data = reading.read(reader.main, links=True)
    except OSError as error:
        raise HostError(f"{path}: the configuration of the Zabbix agent cannot be read: {error.strerror}") from None
    reader.parse(reader.main, data, 1)
    return Configuration(
        reader.main, kind, tuple(reader.statements), tuple(reader.includes), tuple(reader.problems)
    )  # fmt: skip


def leads_to(include: Include, name: str, kind: str) -> bool:
    """Whether an Include line includes a file of that name from its directory."""
    return include.folder is not None and _matches(name, include.pattern, kind)


def host_name(configuration: Configuration) -> str:
    """The name that this host probably has in Zabbix."""
    name = configuration.last("Hostname").split(",")[0].strip()
    return socket.gethostname() if name in DEFAULT_NAMES else name


def key_text(path: Path) -> str:
    """The contents of the file of a key, which the agent's user may write.

    Raises:
        OSError: It cannot be read.
    """
    return reading.read(path, LONGEST_KEY_FILE, links=True).decode("ascii", "replace")


def key_problem(text: str) -> str:
    """What is wrong with a key; "" if it is valid. The text never contains the key."""
    digits = text.strip()
    if not re.fullmatch(r"[0-9A-Fa-f]+", digits):
        return "not hexadecimal"
    if not 32 <= len(digits) <= 512 or len(digits) % 2:  # noqa: PLR2004  what Zabbix takes
        return f"{len(digits)} hexadecimal digits long: Zabbix takes an even number from 32 to 512"
    return ""


class _Reader:
    """Reads a configuration and the files that it includes."""

    def __init__(self, main: Path, kind: str) -> None:
        self.main = main
        self.kind = kind
        self.statements: list[Statement] = []
        self.includes: list[Include] = []
        self.problems: list[str] = []

    def parse(self, file: Path, data: bytes, depth: int) -> None:
        """Read one file and what it includes."""
        for number, raw in enumerate(data.split(b"\n"), 1):
            line = raw.strip()
            if not line or line.startswith(b"#"):
                continue
            where = f"{file}:{number}"
            if len(line) > LONGEST:
                self.problems.append(f"{where}: the line is longer than {LONGEST} bytes, the most that the agent takes")
                continue
            try:
                text = line.decode("utf-8")
            except UnicodeDecodeError:
                self.problems.append(f"{where}: the line is not UTF-8")
                continue
            name, equals, value = (part.strip() for part in text.partition("="))
            if not equals:
                # Not the line itself: it may hold a secret.
                self.problems.append(f"{where}: the line is not of the form Name=value")
            elif name == "Include":
                self._include(value, file, number, depth)
            else:
                self.statements.append(Statement(name, value, file, number))

    def _include(self, value: str, file: Path, number: int, depth: int) -> None:
        where = f"{file}:{number}: Include={value}"
        if depth >= DEPTH:
            self.problems.append(f"{where}: included {DEPTH} levels deep; perhaps a file includes itself")
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
                data = reading.read(path, links=True)
            except OSError as error:
                self.problems.append(f"{where}: {path}: {error.strerror}")
            else:
                self.parse(path, data, depth + 1)

    def _files(self, value: str) -> tuple[Path | None, str, list[Path]]:
        """The directory of an Include line, its pattern, and the files."""
        if not value:
            raise ValueError("names no file")
        # Relative to the directory of the main file, in included files too: so do agent 2 and agentd 7.0. For agentd
        # 6.0 it is relative to the working directory, which nobody means when a service starts it.
        path = self.main.parent / value
        signs = "*" if self.kind == AGENTD else "*?[\\"
        if any(sign in str(path.parent) for sign in signs):
            raise ValueError("has a pattern before the last part of the path, which the agent does not support")
        if any(sign in path.name for sign in signs):
            folder, pattern = path.parent, path.name
            folder.stat()
            if not folder.is_dir():
                raise ValueError(f"{folder} is not a directory")
        else:
            path.stat()
            if not path.is_dir():
                return None, "", [path]
            folder, pattern = path, "*"
        names = [entry for entry in folder.iterdir() if _matches(entry.name, pattern, self.kind) and entry.is_file()]
        # Not sorted for agentd: it uses the order of readdir, as iterdir does.
        return folder, pattern, sorted(names) if self.kind == AGENT2 else names


def alike(pattern: str, text: str) -> bool:
    """Whether a text matches a pattern whose only wildcard is the asterisk."""
    return re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), text, re.DOTALL) is not None


def _matches(name: str, pattern: str, kind: str) -> bool:
    """Whether a file name matches. Both agents include hidden files too."""
    if kind == AGENTD:
        # Its only wildcard is the asterisk.
        return alike(pattern, name)
    return fnmatch.fnmatchcase(name, re.sub(r"\[\^", "[!", pattern))
