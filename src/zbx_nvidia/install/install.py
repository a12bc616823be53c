"""Configures the Zabbix agents of this host to serve the document, and undoes it."""

from __future__ import annotations

import dataclasses
import os
import re
import shlex
import time
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from zbx_nvidia.catalog.entities import DOCUMENT, LINKS_DOCUMENT
from zbx_nvidia.errors import HostError
from zbx_nvidia.host import system
from zbx_nvidia.install import agent_settings, deadline, files, program_check, record, service, steps
from zbx_nvidia.install.plan import InstallPlan, readable_by
from zbx_nvidia.install.record import Record
from zbx_nvidia.install.steps import Action, Compile, File, OnRollback
from zbx_nvidia.zabbix_agent import config, find, key_rules, log, processes, verify
from zbx_nvidia.zabbix_agent.find import FILE

if TYPE_CHECKING:
    from collections.abc import Callable

    from zbx_nvidia.install.agent_settings import Settings
    from zbx_nvidia.install.steps import Step
    from zbx_nvidia.zabbix_agent.find import Agent
    from zbx_nvidia.zabbix_agent.verify import Verification

    # Mode, path of zbx-nvidia-agent, path of the resident document, deadline of a poll -> the text of the file.
    Render = Callable[[str, str, str, float | None], str]
    Say = Callable[[str], None]

ONESHOT, RESIDENT = "oneshot", "resident"
KEYS = (DOCUMENT, LINKS_DOCUMENT)
PROGRAM = "program"  # `of` of the record's entries of compiled modules
WORDS_WITHIN = 3.0  # s until the reason of an agent that has ended is in the journal or its log
STAYS = 0.5  # s that a started agent must run to count as running
HEAD = "# Set by zbx-nvidia install-agent:\n"


class Request(NamedTuple):
    """What the user asks for.

    Attributes:
        kind: Which agents: agentd, agent2 or auto.
        mode: oneshot or resident; None for the present mode of each agent, oneshot for a new one.
        command: Path of zbx-nvidia-agent.
        render: Makes the text of the UserParameter file.
        settings: Further parameters of the agent.
    """

    kind: str
    mode: str | None
    command: Path
    render: Render
    settings: Settings


class InstallResult(NamedTuple):
    """The result.

    Attributes:
        changed: Whether anything was changed.
        verifications: Each agent with what it answered.
        notes: Further lines for the user.
    """

    changed: bool
    verifications: tuple[tuple[Agent, Verification], ...]
    notes: tuple[str, ...]


def install(request: Request, say: Say, *, dry_run: bool) -> InstallResult:
    """Install, or change an installation.

    Args:
        request: What to install.
        say: Called with each step before it is done.
        dry_run: Whether to print the steps only.

    Raises:
        HostError: It failed, and nothing has changed.
    """
    agent_settings.check(request.settings)
    _root("install-agent")
    with record.locked() if not dry_run else nullcontext():
        return _install(request, say, dry_run=dry_run)


def _install(request: Request, say: Say, *, dry_run: bool) -> InstallResult:
    agents = find.find(request.kind)
    known = record.load() or Record()
    plan = InstallPlan(known)
    work = [_Work(agent, plan, request) for agent in agents]
    # The same program, checked for each user who runs it.
    program, *_ = [program_check.check(request.command, user) for user in dict.fromkeys(one.user for one in agents)]
    for one in work:
        plan.steps.append(OnRollback(one.as_before))
    missing = program_check.uncompiled(program)
    if missing:
        plan.compile(Compile(program, missing))
    modes = {**known.modes, **{one.of: one.mode for one in work}}
    if RESIDENT in modes.values():
        readers = [Path(of) for of, mode in modes.items() if mode == RESIDENT]
        service.install(plan, request.command, large=find.take_large_files(readers, agents))
    for one in work:
        one.configure()
    plan.steps += [step for one in work for step in one.restart()]
    if RESIDENT not in modes.values() and any(entry.of == service.OF for entry in known.entries):
        # After the agents: until their restart they read what the service writes.
        service.remove(plan)
    plan.record = dataclasses.replace(plan.record, modes=modes)
    changed = _apply(plan, say, dry_run=dry_run, verify=[Action([], one.verify) for one in work])
    if missing and not dry_run and program_check.uncompiled(program):
        plan.notes.append(f"The modules of {request.command} could not be compiled: each poll costs twice as much")
    notes = dict.fromkeys([*plan.notes, *(note for one in work for note in one.notes)])
    return InstallResult(
        changed, tuple((one.agent, one.verification) for one in work if one.verification), tuple(notes)
    )


def uninstall(say: Say, *, dry_run: bool) -> InstallResult:
    """Remove what was installed.

    Raises:
        HostError: It failed, and nothing has changed.
    """
    _root("uninstall-agent")
    with record.locked() if not dry_run else nullcontext():
        return _uninstall(say, dry_run=dry_run)


def _uninstall(say: Say, *, dry_run: bool) -> InstallResult:
    known = record.load()
    if known is None:
        return InstallResult(changed=False, verifications=(), notes=())
    plan = InstallPlan(known, gone=True)
    there = [_Running(agent) for kind in config.KINDS for agent in _agents(kind, plan)]
    plan.steps += [OnRollback(one.as_before) for one in there]
    touched = plan.remove([entry for entry in known.entries if entry.of not in {service.OF, PROGRAM}])
    for one in there:
        if one.before and one.reads(touched):
            plan.steps += one.restarting()
    if any(entry.of == service.OF for entry in known.entries):
        service.remove(plan)
    plan.remove([entry for entry in known.entries if entry.of == PROGRAM])
    _apply(plan, say, dry_run=dry_run, verify=[])
    notes = [*plan.notes, *(note for one in there for note in one.notes)]
    return InstallResult(changed=True, verifications=(), notes=tuple(notes))


class _Running:
    """An agent as it ran before, and how to restart it."""

    def __init__(self, agent: Agent) -> None:
        self.agent = agent
        self.before = find.running(agent)
        self.touched = False
        self.notes: list[str] = []

    def reads(self, paths: set[Path]) -> bool:
        """Whether it reads one of these files. Another agent of this host may share them."""
        try:
            configuration = config.read(self.agent.config, self.agent.kind)
        except HostError:
            return False  # it would not start again anyway
        key = configuration.last("TLSPSKFile")
        return not paths.isdisjoint(path.resolve() for path in (*configuration.files, *([Path(key)] if key else [])))

    def restarting(self) -> list[Step]:
        """The steps that restart it; none if it runs under no known service."""
        command = _restart_command(self.agent)
        if command:
            # The files may be broken while it runs with older, good ones: then it must go on running.
            return [Action([], self.takes_it), Action([f"$ {command}"], self._restart)]
        self.notes.append(f"{self.agent.name} runs under no service that zbx-nvidia knows: restart it or its container")
        return []

    def takes_it(self) -> None:
        """Let the agent's program read the configuration before the agent does."""
        verify.by_program(self.agent, "agent.ping")

    def as_before(self) -> None:
        """After a rollback: restart it with its old files."""
        if self.touched and self.before is not None:
            _restart(self.agent)

    def _restart(self) -> None:
        self.touched = True
        _restart(self.agent)


class _Work(_Running):
    """The work for one agent."""

    def __init__(self, agent: Agent, plan: InstallPlan, request: Request) -> None:
        super().__init__(agent)
        self.plan, self.request = plan, request
        self.of = str(agent.config)
        self.mode = request.mode or plan.record.modes.get(self.of, ONESHOT)
        self.configuration = config.read(agent.config, agent.kind)
        self.stale = False  # it must read its configuration again, whichever agent's step changes it
        self.reload_will_do = False
        self.changed = False
        self.verification: Verification | None = None
        if self.configuration.problems:
            raise HostError(f"{self.configuration.problems[0]}: fix this first")

    def configure(self) -> None:
        """Plan its file, its parameters and its key.

        Each before what names it, and on removal after it: an agent without one of them does not start, and a run may
        be killed between any two steps.
        """
        path, is_read = self._drop_in()
        self._nobody_else_serves(path)
        earlier = self.plan.record.settings.get(self.of, {})
        # Without our own file: only lines of others count here.
        others = self.configuration._replace(
            statements=tuple(one for one in self.configuration.statements if one.file.resolve() != path.resolve())
        )
        wanted = agent_settings.wanted(
            self.agent, others, self.request.settings, agent_settings.unchanged(others, earlier)
        )
        self._say_what_is_left(others, earlier, wanted)
        self._key(wanted)
        ours = {name: value for name, value in wanted.items() if not others.all(name)}
        limit = deadline.of(self.agent, self.configuration)
        text = self.request.render(self.mode, str(self.request.command), str(service.document()), limit)
        if ours:
            text += "\n" + HEAD + "".join(f"{name}={value}\n" for name, value in ours.items())
        old = files.state(path)
        self.plan.whole(path, text.encode(), self.of, takes_over=_only_ours)
        if not is_read:
            self.plan.lines(self.agent.config, self.of, lambda data: files.appended(data, f"Include={path}"))
        for name in list(wanted):
            for statement in others.all(name):
                self._state(statement, wanted[name])
        before = old.data.decode("utf-8", "replace") if old else ""
        self.changed = self.stale or before != text
        self.reload_will_do = not self.stale and _differ_in_user_parameters_alone(before, text)
        rest = {of: values for of, values in self.plan.record.settings.items() if of != self.of}
        self.plan.record = dataclasses.replace(
            self.plan.record, settings={**rest, **({self.of: wanted} if wanted else {})}
        )
        self._say_who_may_ask(wanted.get("Server") or others.last("Server"))

    def restart(self) -> list[Step]:
        """The steps that make the agent read its new configuration; none if it does not run, or nothing has changed."""
        if not self.changed:
            # It may never have read the present files.
            return [] if self.before is None or self._answers() else self.restarting()
        todo: list[Step] = [Action([], self.takes_it)]
        if self.before is None:
            self.notes.append(f"{self.agent.name} does not run: start it with `{_start_command(self.agent)}`")
        elif self.reload_will_do:
            todo.append(Action([f"$ {self._reload_command()}"], self._reload))
        else:
            return self.restarting() or todo
        return todo

    def verify(self) -> None:
        """Ask the agent for the document."""
        if self.before and self.changed and not self.touched:
            # It still runs with its old configuration.
            reservation = "the agent serves it only after a restart"
            self.verification = verify.verify_program(self.agent, self.mode, reservation)
            return
        try:
            self.verification = verify.verify_agent(self.agent, self.mode)
        except HostError as error:
            # An alias is resolved before the rules apply.
            key = DOCUMENT if self.mode == ONESHOT else f"vfs.file.contents[{service.document()}]"
            deny = key_rules.denies(config.read(self.agent.config, self.agent.kind), key)
            hint = f"; {deny.location} states {deny.name}={deny.value}" if deny else ""
            raise HostError(f"{error}{hint}") from None

    def _drop_in(self) -> tuple[Path, bool]:
        """The path of its file, and whether it reads that already."""
        # Keep its present path while the agent reads it: an Include above ours may lead to another one.
        read = {path.resolve() for path in self.configuration.files}
        for entry in self.plan.record.entries:
            if entry.kind == "whole" and Path(entry.path).resolve() in read:
                return Path(entry.path), True
        path = find.drop_in(self.agent)
        if path is not None:
            return path, True
        config = self.agent.config
        path = config.with_suffix(".d") / FILE
        self.notes.append(f"{config} had no Include line for {FILE}: one was added")
        return path, False

    def _nobody_else_serves(self, path: Path) -> None:
        for statement in self.configuration.statements:
            if statement.name not in {"UserParameter", "Alias"}:
                continue
            key = re.split(r"[,:\[]", statement.value)[0]
            if key in KEYS and statement.file.resolve() != path.resolve():
                raise HostError(
                    f"{statement.location} already states {statement.name}={key}, and an agent takes only "
                    "one: remove that line"
                )

    def _say_what_is_left(self, others: config.Configuration, earlier: dict[str, str], wanted: dict[str, str]) -> None:
        for name, value in earlier.items():
            if name not in wanted:
                other = next(one for one in others.all(name) if one.value != value)
                self.notes.append(
                    f"{other.location} states {name}={other.value}, not {value} as an earlier run set it: "
                    "it stays unchanged"
                )

    def _say_who_may_ask(self, server: str) -> None:
        if self.request.settings.server or verify.listens_at(self.configuration) is None:
            return
        if agent_settings.allows_only_this_machine(server):
            self.notes.append(
                f"{self.agent.name} accepts requests only from {server}: for a Zabbix server elsewhere, run "
                "`zbx-nvidia install-agent --server ADDRESS`"
            )

    def _state(self, statement: config.Statement, value: str) -> None:
        if statement.value != value:
            self.stale = True
            line = f"{statement.name}={value}"
            self.plan.lines(statement.file, self.of, lambda data: files.edited(data, statement.line, line))

    def _key(self, wanted: dict[str, str]) -> None:
        if not self.request.settings.psk:
            return
        path = Path(wanted["TLSPSKFile"])
        identity = wanted["TLSPSKIdentity"]
        self.notes.append(
            f"The key of identity {identity!r} is in {path}. Add it to Zabbix: run `zbx-nvidia add-host "
            f"{shlex.quote(verify.host_name(self.agent, self.configuration))} --address ADDRESS "
            f"--psk-identity {shlex.quote(identity)} --psk-file FILE`"
        )
        if not os.path.lexists(path):
            self.stale = True
            if any(isinstance(step, steps.NewKey) and step.path == path for step in self.plan.steps):
                return
            self.plan.key(path, self.agent.user, self.of, agent_settings.new_key)
            return
        if not path.is_file():
            raise HostError(f"{path} is not a file, or a link to none: remove it, then run this again to make a key")
        problem = config.key_problem(config.key_text(path))
        if problem:
            raise HostError(f"{path}: the key is {problem}: remove the file, then run this again to make a key")
        if not readable_by(path, self.agent.user):
            user = self.agent.user
            raise HostError(f"{path} is not readable by the user {user}: run `chown {user} {path}`")

    def _reload_command(self) -> str:
        return f"{self.agent.program} -c {self.agent.config} -R userparameter_reload"

    def _reload(self) -> None:
        self.touched = True
        done = system.run(*self._reload_command().split(" "), timeout=20)
        served = not done.code and steps.wait(self._answers, 5)
        if not served:
            # An agent that lost its PID file or socket cannot reload.
            _restart(self.agent)

    def _answers(self) -> bool:
        try:
            verify.verify_agent(self.agent, self.mode, patience=0)
        except HostError:
            return False
        return True


def _apply(plan: InstallPlan, say: Say, *, dry_run: bool, verify: list[Step]) -> bool:
    """Apply the steps, or only print them. Returns whether there are any."""
    listed = [step for step in plan.steps if step.lines()]
    for step in listed:
        # The whole file only in a dry run: afterwards the user can read it in place.
        details = step.details() if dry_run and isinstance(step, File) else []
        for line in (*step.lines(), *details):
            say(f"  {line}")
    if dry_run:
        return bool(listed)
    if plan.has_news:
        steps.apply([plan.before(), *plan.steps, *verify, plan.after()])
    else:
        # Nothing was changed, so nothing can be undone.
        for step in verify:
            step.apply()
    return bool(listed)


def _root(command: str) -> None:
    if os.geteuid() != 0:
        raise HostError(f"only root can do this: run `sudo zbx-nvidia {command}`")


def _agents(kind: str, plan: InstallPlan) -> tuple[Agent, ...]:
    try:
        return find.find(kind)
    except find.NoAgentError:
        pass
    except HostError as error:
        name = processes.PROGRAMS[kind]
        plan.notes.append(f"{name} was not restarted ({error}): if it runs here, restart it yourself")
    return ()


def _only_ours(data: bytes) -> bool:
    """Whether a file holds only what a manual installation puts there."""
    lines = [line.strip() for line in data.decode("utf-8", "replace").splitlines()]
    statements = [line for line in lines if line and not line.startswith("#")]
    return all(re.match(r"(UserParameter|Alias)\s*=\s*nvidia\.(links\.)?get[,:]", line) for line in statements)


def _differ_in_user_parameters_alone(old: str, new: str) -> bool:
    def others(text: str) -> list[str]:
        lines = [line.strip() for line in text.splitlines()]
        return sorted(line for line in lines if line and not line.startswith(("#", "UserParameter=")))

    return others(old) == others(new)


def _init_script(agent: Agent) -> Path | None:
    """The init script of an agent on a host without systemd. In a container it would end the container."""
    if system.has_systemd() or Path("/proc/1/comm").read_text(encoding="ascii", errors="replace").strip() != "init":
        return None
    names = (name.removesuffix(".service") for name in find.UNITS[agent.kind])
    return next((path for path in (Path("/etc/init.d") / name for name in names) if os.access(path, os.X_OK)), None)


def _restart_command(agent: Agent) -> str:
    script = _init_script(agent)
    return f"systemctl restart {agent.unit}" if agent.unit else f"{script} restart" if script else ""


def _start_command(agent: Agent) -> str:
    return f"systemctl enable --now {agent.unit}" if agent.unit else f"{agent.program} -c {agent.config}"


def _restart(agent: Agent) -> None:
    """Restart an agent and wait until it runs.

    Raises:
        HostError: It does not start, with the reason that its own program or its log gives.
    """
    command = _restart_command(agent)
    if not command:
        return
    before = find.running(agent)
    since = time.time()
    system.run("systemctl", "reset-failed", agent.unit) if agent.unit else None
    done = system.run(*command.split(" "))

    def runs() -> bool:
        first = find.running(agent)
        if first is None or (before is not None and first.pid == before.pid):
            return False
        # One that cannot listen on its address ends shortly after its start.
        time.sleep(STAYS)
        now = find.running(agent)
        return now is not None and now.pid == first.pid

    if done.code or not steps.wait(runs, verify.STARTS_WITHIN):
        verify.by_program(agent, "agent.ping")
        configuration = config.read(agent.config, agent.kind)
        # On a busy machine the journal was seen without them; what the log had was of the run before.
        words = steps.wait(lambda: log.last_words(agent, configuration, since), WORDS_WITHIN)
        complaint = words or (done.complaint if done.code else f"nothing runs after {verify.STARTS_WITHIN:g} s")
        raise HostError(f"{agent.name} does not start again ({command}): {complaint}")
