"""A real Zabbix of each series, with two GPU hosts, for the tests that need one.

Images are not built here: `scripts/images.sh 6.0 7.0` does that once, before two workers would do it at the same time.

What fails because a container has ended or the front end does not answer is a failure of the stack. The report says so,
and the summary counts it apart from failures of the product.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import requests
from pytest_docker.plugin import get_docker_services
from pyzabbix import ZabbixAPI, ZabbixAPIException
from xdist.scheduler import LoadScopeScheduling

from tests.conftest import CROWDED, PATIENCE, WATCH
from tests.cost import Watch
from tests.integration.engine import Inside, in_container
from tests.integration.server import Server

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Generator, Iterator, Mapping

    # Sections of a simulated machine, with the keys that change in each; None removes a key.
    Sections = Mapping[str, Mapping[str, object]]

ROOT = Path(__file__).parents[2]
ALL_SERIES = ("6.0", "7.0")
# `make test-integration SERIES=7.0` says so here.
SERIES = tuple(os.environ.get("ZBX_NVIDIA_TEST_SERIES", " ".join(ALL_SERIES)).split())
PROFILE = "/etc/nvml-simulator/profile"
HOSTS = ("workstation", "gpu-server")
SERVICES = ("postgres", "server", "web", *HOSTS)
# s between two looks, and after the first few: the tests' own questions are work for the server that they wait for.
# A small one costs the front end and the database about 7 ms of a processor.
PAUSE, LATER_PAUSE = 1.0, 2.0
LOOKS = 4  # with the first pause
# s from one reading of the configuration to the next, while a test waits for what depends on it. It is work for the
# server and the database, and what a test writes by the API is read at once anyway.
RELOAD = 8.0
# s from one pruning of the list of changes to the next, and that a change stays in it. The server of 7.0 keeps an hour
# of it and reads all of it with its configuration: 120,000 rows, 18 of 57 s of the processor time of one database.
PRUNE, RECENT = 60.0, 120
ANSWER = 120.0  # s that the front end has for an answer
GIVES_WAY = 600  # s that a worker gives way in all: where the load is of others, it does not help
WAITED = pytest.StashKey[int]()  # s that this worker has given way


class StackFailure(Exception):  # noqa: N818  what it is, in the words of the report
    """A container or the front end does not work: nothing that the product has done."""


WRITES = (".create", ".update", ".delete", ".massadd", ".massremove", ".import")


class Api(ZabbixAPI):  # type: ignore[misc]  # untyped
    """The API of a stack, which tells who must know that something was written."""

    written: Callable[[str], None] | None = None  # by that method

    def do_request(self, method: str, params: Any = None) -> Any:
        """Raises StackFailure where no answer comes."""
        try:
            answer = super().do_request(method, params)
        except requests.RequestException as error:  # 502 and 504 of a web server without PHP too
            raise StackFailure(f"the front end gives {method} no answer: {error}") from None
        if self.written and method.endswith(WRITES) and not method.startswith("task."):
            self.written(method)
        return answer


class Stack:
    """One Zabbix with its GPU hosts `workstation` (agentd, gtx1070) and `gpu-server` (agent 2, h100x8)."""

    def __init__(self, series: str, project: str, url: str) -> None:
        self.series = series
        self.project = project
        self._shell: subprocess.Popen[str] | None = None
        self._pruned = time.monotonic()
        self.url = url
        self.user = "Admin"
        self.password = "zabbix"  # noqa: S105 - what Zabbix's own first data set; reachable from this machine alone
        self.api: Any = Api(url, timeout=ANSWER)
        self.api.session.trust_env = False
        self.api.login(self.user, self.password)
        self.api.written = self._written
        self.reloads = True  # after each write by the API, the Zabbix server reads its configuration
        self._hosts: dict[str, str] = {}
        self._inside = {service: Inside(f"{project}-{service}-1") for service in HOSTS}

    def _written(self, method: str) -> None:
        if method == "host.delete":
            self._hosts.clear()
        if self.reloads:
            self.reload()

    def host_id(self, host: str) -> str:
        """The ID of a host, asked for once: the product deletes no host, and what the tests delete is forgotten."""
        if host not in self._hosts:
            (row,) = self.api.host.get(filter={"host": host}, output=["hostid"])
            self._hosts[host] = row["hostid"]
        return self._hosts[host]

    # `input` is what subprocess calls it.
    def exec(self, service: str, *command: str, user: str | None = None, input: str | None = None) -> str:  # noqa: A002
        """Run a command in a service's container; its standard output."""
        if service in self._inside and not user:
            done = self._inside[service].run(command, input or "")
        else:  # in those hosts, all that stays is of the agent's user (test_stack.py)
            as_user = ["--user", user] if user else []
            done = in_container([*as_user, f"{self.project}-{service}-1", *command], input or "")
        if done.returncode:
            message = f"{command} in {service} ended with {done.returncode}: {done.stdout}{done.stderr}"
            raise StackFailure(message) if self.complaint() else RuntimeError(message)
        return done.stdout

    def complaint(self) -> str:
        """What is wrong with the containers or the front end, in one line; "" if they work."""
        names = [f"{self.project}-{service}-1" for service in SERVICES]
        states = subprocess.run(
            ["docker", "inspect", "--format", "{{.Name}} is {{.State.Status}}, OOM {{.State.OOMKilled}}", *names],
            capture_output=True,
            text=True,
            check=False,
        )
        complaints = [line for line in states.stdout.splitlines() if not line.endswith(" is running, OOM false")]
        complaints += states.stderr.splitlines()
        if not complaints:
            try:
                self.api.api_version()
            except (StackFailure, ZabbixAPIException) as error:
                complaints.append(str(error))
        return "; ".join(complaints)

    def reload(self) -> None:
        """Let the server read its configuration now: by itself it does so seldom. One that is stopped will anyway.

        By a shell that stays in its container: to enter that each time costs more than the command.
        """
        if self._shell is None or self._shell.poll() is not None:
            self.close()
            self._shell = subprocess.Popen(
                ["docker", "exec", "--interactive", f"{self.project}-server-1", "sh"],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                text=True,
            )
        if self.series != "6.0" and time.monotonic() > self._pruned + PRUNE:
            self._pruned = time.monotonic()
            self.sql(f"delete from changelog where clock < extract(epoch from now()) - {RECENT}")  # noqa: S608
        stdin = self._shell.stdin
        assert stdin is not None
        with contextlib.suppress(BrokenPipeError):
            stdin.write("zabbix_server -R config_cache_reload </dev/null\n")
            stdin.flush()

    def close(self) -> None:
        """End what stays in the containers for this."""
        for inside in self._inside.values():
            inside.close()
        if self._shell is not None:
            self._shell.kill()
            with contextlib.suppress(BrokenPipeError):
                self._shell.communicate()
            self._shell = None

    def sql(self, *statements: str) -> str:
        """Run them in Zabbix's database, up to the first error; what they print."""
        psql = ("psql", "--quiet", "--set", "ON_ERROR_STOP=1", "--host", "127.0.0.1", "--username", "zabbix", "zabbix")
        return self.exec("postgres", "env", "PGPASSWORD=zabbix", *psql, input=";\n".join(statements) + ";\n")

    def get(self, service: str, key: str) -> str:
        """What the host's agent answers to a passive check."""
        return self.exec(service, "zabbix_get", "-s", "127.0.0.1", "-k", key).rstrip("\n")

    def set_profile(self, service: str, section: str = "gpu 0", **values: object) -> None:
        """Change keys in a section of the host's simulated machine; None removes a key."""
        self.set_sections(service, {section: values})

    def set_sections(self, service: str, sections: Sections) -> None:
        """The same in several sections at once: each command in a container costs more than what it does."""
        self._replace_profile(service, self.exec(service, "cat", PROFILE), sections)

    def reset_profile(self, service: str, sections: Sections | None = None) -> None:
        """The profile that the host started with, with these changes."""
        # The shell of the container knows its profile's name.
        original = self.exec(service, "sh", "-c", 'cat "/usr/share/nvml-simulator/profiles/$NVML_PROFILE.profile"')
        self._replace_profile(service, original, sections or {})

    def _replace_profile(self, service: str, text: str, sections: Sections) -> None:
        for section, values in sections.items():
            text = edited(text, section, values)
        # By rename: the simulator never sees half a file.
        self.exec(service, "sh", "-c", f"cat >{PROFILE}.new && mv {PROFILE}.new {PROFILE}", input=text)

    def wait(self, predicate: Callable[[], Any], what: str) -> Any:
        """Ask until the answer is true; that answer."""
        for _ in self._looks():
            if answer := predicate():
                return answer
        pytest.fail(f"Zabbix {self.series}: waited {PATIENCE:g} s for {what}; the last answer was {answer!r}")

    def until(self, complaints: Callable[[], Collection[str]]) -> None:
        """Ask until there is nothing to complain about."""
        for _ in self._looks():
            if not (found := complaints()):
                return
        pytest.fail(f"Zabbix {self.series}: after {PATIENCE:g} s: {found}")

    def _looks(self) -> Iterator[None]:
        """One for each look, while there is patience. The server reads its configuration again between them."""
        end = time.monotonic() + PATIENCE
        reload = 0.0
        looks = 0
        yield
        while time.monotonic() < end:
            looks += 1
            if time.monotonic() > reload:
                self.reload()
                reload = time.monotonic() + RELOAD
            time.sleep(PAUSE if looks <= LOOKS else LATER_PAUSE)
            yield


def edited(profile: str, section: str, values: Mapping[str, object]) -> str:
    """A profile's text with these keys of a section replaced, or removed if the value is None."""
    lines: list[str] = []
    current = None
    for line in profile.splitlines():
        if line.startswith("["):
            current = line.strip()[1:-1]
        elif current == section and line.partition("=")[0].strip() in values:
            continue
        lines.append(line)
    header = f"[{section}]"
    at = next((number for number, line in enumerate(lines, 1) if line.strip() == header), None)
    if at is None:
        lines.append(header)
        at = len(lines)
    lines[at:at] = [f"{key} = {value}" for key, value in values.items() if value is not None]
    return "\n".join(lines) + "\n"


def missing_for(series: str, image: str = "server") -> str:
    """Why no container of this series can run here, and what to do, in one line; "" if it can."""
    wanted = f"zbx-nvidia/{image}:{series}{os.environ.get('ZBX_NVIDIA_IMAGES', '')}"
    try:
        found = subprocess.run(["docker", "images", "--quiet", wanted], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return "there is no Docker here: `make test-integration` installs an engine, and builds what these tests need"
    if found.returncode:
        return "no Docker engine answers: `make test-integration` starts one, and builds what these tests need"
    return "" if found.stdout else f"there are no images of Zabbix {series}: `scripts/images.sh {series}` builds them"


@contextmanager
def running(series: str) -> Iterator[Stack]:
    if complaint := missing_for(series):
        pytest.fail(complaint, pytrace=False)
    # A project's name may hold no dot. Another prefix lets two checkouts be tested on one machine.
    names = (os.environ.get("ZBX_NVIDIA_TEST_PROJECT", "zbx-nvidia-test"), os.environ.get("PYTEST_XDIST_WORKER", ""))
    project = "-".join((*filter(None, names), series.replace(".", "")))
    # Port 0: Docker takes a free one.
    settings = "ZABBIX_WEB_PORT=0 ZBX_NVIDIA_SETTINGS=-test ZBX_NVIDIA_HEALTH=2h"
    compose = f"env ZABBIX_SERIES={series} {settings} docker compose"
    compose_file = str(ROOT / "docker-compose.yml")
    log = ROOT / "build" / "integration" / f"{project}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    remove = "down --volumes --remove-orphans --timeout 2"
    up = "up --no-build --pull never --wait --wait-timeout 180"
    # Compose 2.26 clears the terminal's line before each line, terminal or not.
    logs = rf"logs --timestamps | sed 's/\x1b\[2K//' >'{log}'"
    with contextlib.ExitStack() as started:
        # Two, one in the other: pytest-docker cleans nothing up when its own set-up fails, so what starts the
        # containers stands inside what removes them, those of a killed run first.
        started.enter_context(get_docker_services(compose, compose_file, project, [remove], [logs, remove]))
        with alone():
            services = started.enter_context(get_docker_services(compose, compose_file, project, [up], []))
            stack = started.enter_context(
                contextlib.closing(Stack(series, project, f"http://127.0.0.1:{services.port_for('web', 8080)}"))
            )
        yield stack


@contextmanager
def alone() -> Iterator[None]:
    """While no other worker is in here: what takes all of the machine for a while is done in turn."""
    with (ROOT / "build" / "integration" / "alone.lock").open("w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@pytest.fixture(scope="session", params=SERIES)
def stack(request: pytest.FixtureRequest) -> Iterator[Stack]:
    """A Zabbix of each series, in turn, or side by side with workers of xdist, each of which has its own."""
    with running(request.param) as running_stack:
        yield running_stack


@pytest.fixture(scope="module")
def any_server(stack: Any) -> Iterator[Server]:
    stack.reloads = False  # nothing that these tests write is polled
    found = Server(stack)
    yield found
    found.close()
    stack.reloads = True


@pytest.fixture
def server(any_server: Server) -> Server:
    """A server without anything of ours."""
    any_server.clean()
    return any_server


@pytest.fixture
def installed(any_server: Server) -> Server:
    """A server with the template and without hosts of ours."""
    any_server.clean(template=False)
    any_server.reinstall()
    return any_server


# For a test whose subject is the same on each series.
ONCE = pytest.mark.parametrize("stack", SERIES[:1], indirect=True, scope="session")

# A series' work is six parts. The alerts take the longest, and spend most of it waiting for polls: most of what keeps
# the front ends busy runs beside them. What is left at the end is short. The machines of test_profiles, in ELSE, stay
# on their stack, where the tests of the API would find them.
ALERTS, ELSE, API, INSTALLATION, DOCTOR, TEMPLATES = range(6)
PARTS = {
    "test_monitoring.py": ALERTS,
    "test_install_agent.py": INSTALLATION,
    "test_ansible.py": DOCTOR,
    "test_doctor.py": DOCTOR,
    "test_templates.py": TEMPLATES,
    "test_updates.py": TEMPLATES,
    "test_api_client.py": API,
    "test_hosts.py": API,
}


class OneWorkerPerStack(LoadScopeScheduling):  # type: ignore[misc]  # xdist is followed no further than its name
    """All tests of a part of a series run in one worker, for they share its stack.

    xdist's own `--dist loadgroup` does not group at all under pytest 9.2 (observed with xdist 3.8.0).
    """

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        parameters = nodeid.partition("[")[2].rstrip("]").split("-")
        series = next((series for series in ALL_SERIES if series in parameters), "")
        # Those of no series by file: they share its machine.
        return f"{series} {PARTS.get(Path(file).name, ELSE)}" if series else file

    def _assign_work_unit(self, node: object) -> None:
        """Give a worker the next part: of the series whose stack it has, unless that is full of machines of ELSE."""
        done = [scope.split() for scope in self.assigned_work.get(node, ()) if " " in scope]
        full = {series for series, part in done if part == str(ELSE)}

        def rank(scope: str) -> tuple[bool, bool]:
            series = scope.partition(" ")[0]
            return series in full, not done or series != done[-1][0]

        self.workqueue.move_to_end(min(self.workqueue, key=rank), last=False)
        super()._assign_work_unit(node)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> OneWorkerPerStack:
    # Not those of most tests first, as xdist would: see below.
    config.option.loadscopereorder = False
    return OneWorkerPerStack(config, log)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest work first: a worker that has none left takes the next part. And each file in one piece.

    pytest orders by parameters, so that a file's fixtures would be made again and again. The demo starts stacks of its
    own: not while the workers start theirs.
    """

    def place(item: pytest.Item) -> tuple[int, str, bool, Path]:
        parameters = item.callspec.params if isinstance(item, pytest.Function) and hasattr(item, "callspec") else {}
        name = item.path.name
        return (PARTS.get(name, ELSE), str(parameters.get("stack", "")), name == "test_demo.py", item.path)

    items.sort(key=place)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Gives way while more processes want a processor than there should; not the alerts, which take the longest."""
    if PARTS.get(item.path.name, ELSE) != ALERTS:
        stash = item.config.stash
        if WATCH not in stash:
            stash[WATCH] = Watch()
        before = stash.get(WAITED, 0)
        waited = stash[WATCH].give_way(CROWDED + 1, lambda seconds: before + seconds < GIVES_WAY)
        stash[WAITED] = before + waited
    return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Looks at the stack whenever a test on it fails."""
    report = yield
    if report.failed and call.excinfo:
        stack = getattr(item, "funcargs", {}).get("stack")
        complaint = stack.complaint() if isinstance(stack, Stack) else ""
        if call.excinfo.errisinstance(StackFailure):
            complaint = complaint or str(call.excinfo.value)
        if complaint:
            report.sections.append(("not the product but the stack", complaint))
            report.user_properties.append(("stack", complaint))
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Counts failures of the stack apart from those of the product, and says what was left out."""
    reports = [report for kind in ("failed", "error") for report in terminalreporter.stats.get(kind, [])]
    of_the_stack = [report.nodeid for report in reports if dict(report.user_properties).get("stack")]
    if of_the_stack:
        terminalreporter.write_line(
            f"{len(of_the_stack)} of {len(reports)} failures are of the stack, not of the product; run them again: "
            + " ".join(of_the_stack)
        )
    for series in ALL_SERIES:
        if series not in SERIES:
            terminalreporter.write_line(f"left out: Zabbix {series}; to test it: make test-integration SERIES={series}")
