"""Running commands, and asking systemd."""

from __future__ import annotations

import grp
import os
import pwd
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

from zbx_nvidia.errors import HostError
from zbx_nvidia.host.reading import read

PATIENCE = 60.0  # s for a command, unless the caller gives another limit
# A root shell of `su` or `sudo` may lack the sbin directories, where agents and systemd's tools are.
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# Secrets, and variables that make a program load other code than it would for the agent.
NOT_PASSED_ON = ("ZABBIX_", "PYTHON", "LD_")
RUNNING = Path("/run/systemd/system")  # exists if systemd is the first process of the system: sd_booted(3)


class SystemdError(HostError):
    """systemd runs this host but does not answer."""


class CommandResult(NamedTuple):
    """The result of a command.

    Attributes:
        code: Its exit code; 124 if it ran into the time limit.
        out: What it printed.
        err: What it printed as errors.
    """

    code: int
    out: str
    err: str

    @property
    def complaint(self) -> str:
        """The last line that it printed, for messages."""
        lines = [line.strip() for line in (self.err + "\n" + self.out).splitlines() if line.strip()]
        return lines[-1][:300] if lines else f"exit code {self.code}"


class Unit(NamedTuple):
    """A service, as systemd reports it.

    Attributes:
        name: With the suffix .service.
        active: Whether it runs, or is starting.
        enabled: Whether it starts at boot.
        pid: Of its main process; 0 while it does not run.
        user: The user that it runs as; "" if the unit names none.
        command: The command line, with variables filled in.
    """

    name: str
    active: bool
    enabled: bool
    pid: int
    user: str
    command: tuple[str, ...]


def may_read(path: Path, user: str) -> bool:
    """Whether a user may read a file; needs root.

    Raises:
        HostError: The user does not exist.
    """
    return user == "root" or run("test", "-r", str(path), user=user).code == 0


def run(*command: str, timeout: float = PATIENCE, user: str = "", groups: tuple[str, ...] = ()) -> CommandResult:
    """Run a command without a shell and without input.

    Args:
        command: Program and arguments. No secrets: every user can see them.
        timeout: Seconds until it is killed.
        user: The user to run it as; needs root.
        groups: Names of additional groups.

    Raises:
        HostError: The program or the user does not exist.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith(NOT_PASSED_ON)}
    environment.update(PATH=PATH, LC_ALL="C.UTF-8")
    try:
        # A directory that every user can enter.
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=timeout,
            check=False,
            env=environment,
            cwd="/",
            umask=0o022,
            **(_as(user, groups) if user else {}),
        )
    except subprocess.TimeoutExpired as error:
        return CommandResult(124, _text(error.stdout), _text(error.stderr) or f"did not end within {timeout:g} s")
    except OSError as error:
        raise HostError(f"{command[0]} cannot be run: {error.strerror}") from None
    return CommandResult(done.returncode, _text(done.stdout), _text(done.stderr))


def has_systemd() -> bool:
    """Whether systemd runs this host. In most containers it does not, although some show the host's /run."""
    return RUNNING.is_dir() and shutil.which("systemctl", path=PATH) is not None


def answers() -> bool:
    """Whether systemd answers this user: without D-Bus, as in small containers, it answers only root."""
    return run("systemctl", "show", "--property=Version").code == 0


def units(*names: str) -> tuple[Unit, ...]:
    """Those of the services that exist; none if systemd does not answer this user.

    Raises:
        SystemdError: It does not answer root either.
    """
    if not names or not has_systemd():
        return ()
    wanted = "Id,LoadState,ActiveState,UnitFileState,MainPID,User,ExecStart,Environment,EnvironmentFiles"
    done = run("systemctl", "show", f"--property={wanted}", "--", *names)
    if done.code and os.geteuid() != 0:
        # Without D-Bus, as in small containers, systemd answers only root.
        return ()
    if done.code:
        raise SystemdError(f"systemctl show: {done.complaint}")
    loaded = {}
    for block in done.out.strip().split("\n\n"):
        pairs = [line.partition("=") for line in block.splitlines()]
        values = {name: value for name, _, value in pairs}
        # One line for each file; systemd before 240 uses the singular name.
        environments = [value for name, _, value in pairs if name in {"EnvironmentFile", "EnvironmentFiles"}]
        values["EnvironmentFiles"] = " ".join(environments)
        if values.get("LoadState") != "loaded":
            continue
        unit = Unit(
            name=values["Id"],
            active=values["ActiveState"] in {"active", "activating", "reloading"},
            enabled=values["UnitFileState"].startswith(("enabled", "linked")),
            pid=int(values["MainPID"]),
            user=values["User"],
            command=_command(values),
        )
        loaded[unit.name] = unit
    return tuple(loaded.values())


def _command(values: dict[str, str]) -> tuple[str, ...]:
    """The command of a unit. For one that runs, /proc is more accurate."""
    _, argv, rest = values.get("ExecStart", "").partition("argv[]=")
    if not argv:
        return ()
    variables = dict(word.partition("=")[::2] for word in _words(values.get("Environment", "")))
    for part in values.get("EnvironmentFiles", "").split(" ("):
        path = Path(part.rpartition(") ")[2] or part)
        if path.is_absolute() and path.is_file():
            for line in read(path, links=True).decode("utf-8", "replace").splitlines():
                name, equals, value = line.strip().partition("=")
                if equals and not name.startswith(("#", ";")):
                    variables[name] = " ".join(_words(value))
    words: list[str] = []
    for word in _words(rest.partition(" ; ")[0]):
        # As in systemd: $NAME as a word of its own is split into words, ${NAME} inside a word is not.
        if word.startswith("$") and word[1:].isidentifier():
            words += _words(variables.get(word[1:], ""))
        else:
            for name, value in variables.items():
                word = word.replace(f"${{{name}}}", value)  # noqa: PLW2901  step by step
            words.append(word)
    return tuple(words)


def _words(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError:
        return text.split()


def _as(user: str, more: tuple[str, ...]) -> dict[str, Any]:
    """Arguments of subprocess that run a command as a user, with that user's groups and these."""
    if os.geteuid() != 0:
        if pwd.getpwuid(os.geteuid()).pw_name == user:
            return {}
        raise HostError(f"only root can act as {user}: use sudo")
    try:
        entry = pwd.getpwnam(user)
    except KeyError:
        raise HostError(f"there is no user {user}") from None
    groups = [*os.getgrouplist(user, entry.pw_gid), *_numbers(more)]
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": groups}


def _numbers(groups: tuple[str, ...]) -> list[int]:
    """The numbers of those groups that exist."""
    known = {entry.gr_name: entry.gr_gid for entry in grp.getgrall()} if groups else {}
    return [known[name] if name in known else int(name) for name in groups if name in known or name.isdigit()]


def _text(data: bytes | str | None) -> str:
    return data.decode("utf-8", "replace") if isinstance(data, bytes) else data or ""
