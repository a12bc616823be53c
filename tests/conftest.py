"""What every test may use: the simulated driver, and machines made from its profiles."""

from __future__ import annotations

import contextlib
import fcntl
import functools
import gc
import importlib.util
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import hypothesis
import pytest

from scripts import machine_folders
from tests.cost import Watch

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping

REPOSITORY = Path(__file__).resolve().parent.parent
SIMULATOR = REPOSITORY / "simulator"
CASES = REPOSITORY / "tests" / "cases"  # machines that show a fault, after reports of people

MEASURES = ("COVERAGE_PROCESS_CONFIG", "COVERAGE_PROCESS_START")  # by these coverage.py starts in a process

# s that a test waits for what must happen: so long that only a fault lets it pass, however busy the machine is. What
# must happen at a certain time is asked of a clock that the test gives.
PATIENCE = 240.0
LOOK = 0.02  # s between two looks whether it has happened

Value = str | int | float | None

# No example of hypothesis is too slow, and none takes too long to be made.
hypothesis.settings.register_profile("patient", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("patient")

STARTED_BY = "ZBX_NVIDIA_TESTS"  # in the environment of what the tests of this worker start

WATCH = pytest.StashKey[Watch]()

# Set by scripts/both-parts.sh for the unit tests: a file that is there while the integration tests run beside them.
# So long, and with more runnable processes lately than this, the first worker of xdist starts no test; the others give
# way one by one below that.
BESIDE = "ZBX_NVIDIA_BESIDE"
CROWDED = 5.0


def pytest_configure() -> None:
    # A shell starts a job in the background with Ctrl-C ignored, and every program that the tests start inherits that:
    # none of them could be ended by it.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    # Of the shell that starts the tests: each command that talks to a server would read all of those certificates.
    for name in ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"):
        os.environ.pop(name, None)


def pytest_sessionstart(session: pytest.Session) -> None:
    """Watches the load in the process that waits for the workers of xdist, and in each of them if they give way."""
    if not hasattr(session.config, "workerinput") or BESIDE in os.environ:
        session.config.stash[WATCH] = Watch()


def pytest_collection_finish() -> None:
    """Leaves all that was collected out of each collection of garbage: it stays to the end, and is large."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Gives way to the tests beside these while more processes want a processor than there should.

    The test's time and that of `faulthandler_timeout` begin after this: the wrapper that comes first is outermost.
    """
    if beside := os.environ.get(BESIDE):
        limit = CROWDED - int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
        item.config.stash[WATCH].give_way(limit, lambda _: Path(beside).exists())
    return (yield)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Says what the run has cost."""
    if watch := config.stash.get(WATCH, None):
        terminalreporter.write_line(str(watch.end()))


def wait_for(true: Callable[[], object], what: str) -> None:
    """Wait until this is true."""
    until = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < until, f"waited {PATIENCE:g} s for {what}"
        time.sleep(LOOK)


@pytest.fixture(scope="session", autouse=True)
def nothing_left() -> Iterator[None]:
    """Ends the run with an error if a program that a test has started goes on after all of them have ended.

    Known are those that have this worker's environment, from their start on. What forks.py forks from ends with us.
    """
    os.environ[STARTED_BY] = worker = f"{os.getpid()}.{time.time_ns()}"
    mark = f"{STARTED_BY}={worker}".encode()
    yield
    until = time.monotonic() + PATIENCE
    while (left := _started_with(mark)) and time.monotonic() < until:
        time.sleep(LOOK)
    for pid in left:
        with contextlib.suppress(ProcessLookupError):  # it has just ended
            os.kill(pid, signal.SIGKILL)
    assert not left, f"tests have ended, and what they started goes on: {list(left.values())}"


def _started_with(mark: bytes) -> dict[int, str]:
    """The commands of the processes that have this in their environment, by PID."""
    commands = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has just ended
            if mark not in (folder / "environ").read_bytes().split(b"\0"):
                continue
            command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            if not ("fork_origin.py" in command and parent == os.getpid()):
                commands[int(folder.name)] = command
    return commands


class Machine:
    """A simulated machine: a copy of a profile that a test may change while everything runs."""

    def __init__(self, path: Path, library: Path, clock: float | None = None) -> None:
        self.path = path
        self.env = {key: value for key, value in os.environ.items() if not key.startswith("NVML_SIMULATOR_")}
        inherited = self.env.get("LD_LIBRARY_PATH")
        self.env["LD_LIBRARY_PATH"] = f"{library.parent}:{inherited}" if inherited else str(library.parent)
        self.env["NVML_SIMULATOR_PROFILE"] = str(path)
        if clock is not None:
            self.env["NVML_SIMULATOR_CLOCK"] = str(clock)
        if folder := installation_of_its_own():
            self.env["PYTHONPATH"] = folder

    def set(self, section: str, values: Mapping[str, Value] | None = None, /, **more: Value) -> None:
        """Changes keys of a section ("machine", "gpu *", "gpu 3"), all at once; None removes a key.

        Keys that are no Python names go into the dictionary: `m.set("gpu 0", {"fan_speed.1": 40}, state="ok")`. A key
        that a GPU has from [gpu *] is removed by answering NOT_SUPPORTED.
        """
        text = self.path.read_text()
        for key, value in {**(values or {}), **more}.items():
            inherits = section.startswith("gpu ") and section != "gpu *" and _has(text, "gpu *", key)
            text = _set(text, section, key, "!NOT_SUPPORTED" if value is None and inherits else value)
        self.write(text)

    def show_kernel(self) -> Path:
        """Makes the /sys and /proc of this machine as the profile is now; the collector looks there from now on.

        A file there may be changed while everything runs.
        """
        folder = self.path.with_suffix(".kernel")
        machine_folders.make(self.path, folder)
        self.env["ZBX_NVIDIA_ROOT"] = str(folder)
        return folder

    def remove(self, section: str) -> None:
        """Removes a whole section: a MIG instance is destroyed, a process ends."""
        text = self.path.read_text()
        found = _section(text, section)
        if not found:
            pytest.fail(f"{self.path} has no section [{section}]", pytrace=False)
        self.write(text[: found.start()] + text[found.end() :])

    def write(self, text: str) -> None:
        """Replaces the whole profile, by rename, as the simulator wants it."""
        new = self.path.with_suffix(".new")
        new.write_text(text)
        new.replace(self.path)


@functools.cache
def installation_of_its_own() -> str:
    """A copy of the package for each worker of xdist: an installation collects once at a time, and others wait."""
    worker = os.environ.get("PYTEST_XDIST_WORKER")
    if not worker:
        return ""
    spec = importlib.util.find_spec("zbx_nvidia")
    assert spec is not None
    assert spec.origin is not None
    folder = REPOSITORY / "build" / "workers" / worker
    shutil.rmtree(folder, ignore_errors=True)
    # With its times: by those Python knows that what was compiled still holds.
    shutil.copytree(Path(spec.origin).parent, folder / "zbx_nvidia")
    return str(folder)


class MachineFactory(Protocol):
    """The fixture `machine`: `machine("t4")`, `machine("h100x8", clock=1700000000)` to freeze the time."""

    def __call__(self, profile: str, *, clock: float | None = None) -> Machine: ...


def _section(text: str, section: str) -> re.Match[str] | None:
    return re.search(rf"^\[{re.escape(section)}\]\n(?:(?!\[).*\n)*", text, re.MULTILINE)


def _line(key: str) -> re.Pattern[str]:
    return re.compile(rf"^{re.escape(key)}[ \t]*=.*\n", re.MULTILINE)


def _has(text: str, section: str, key: str) -> bool:
    found = _section(text, section)
    return bool(found and _line(key).search(found[0]))


def _set(text: str, section: str, key: str, value: Value) -> str:
    text = text if text.endswith("\n") else text + "\n"
    found = _section(text, section)
    if not found:
        return text if value is None else f"{text}\n[{section}]\n{key} = {value}\n"
    head, rest = found[0].split("\n", 1)
    body = _line(key).sub("", rest)
    body = body if value is None else f"{key} = {value}\n{body}"
    return f"{text[: found.start()]}{head}\n{body}{text[found.end() :]}"


@pytest.fixture
def unmeasured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Starts processes without coverage.py, which would be found where a test counts modules, memory, files or time.

    It has to come before `machine`, as it does by `@pytest.mark.usefixtures("unmeasured")`: a machine's environment is
    made of that of the tests.
    """
    for name in MEASURES:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def simulator_library() -> Path:
    """libnvidia-ml.so.1 of the simulator, built if need be; one worker at a time."""
    library = REPOSITORY / "build" / "simulator" / "libnvidia-ml.so.1"
    library.parent.mkdir(parents=True, exist_ok=True)
    with (library.parent / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        made = subprocess.run(["make", "-C", SIMULATOR], capture_output=True, text=True, check=False)
    if made.returncode:
        pytest.fail(f"make -C simulator failed (it needs make, gcc and libc6-dev):\n{made.stderr}", pytrace=False)
    return library


@pytest.fixture(scope="session")
def profiles() -> Path:
    """The directory of the simulator's profiles."""
    return SIMULATOR / "profiles"


@pytest.fixture
def machine(tmp_path: Path, simulator_library: Path, profiles: Path) -> MachineFactory:
    """Makes machines; each gets its own copy of the profile."""
    made: list[Machine] = []

    def make(profile: str, *, clock: float | None = None) -> Machine:
        source = profiles / f"{profile}.profile"
        if not source.exists() and (CASES / source.name).exists():
            source = CASES / source.name
        if not source.exists():
            known = ", ".join(sorted(path.stem for path in profiles.glob("*.profile")))
            pytest.fail(f"{source} does not exist; there are {known}", pytrace=False)
        copy = tmp_path / f"{profile}-{len(made)}.profile"
        copy.write_text(source.read_text())
        made.append(Machine(copy, simulator_library, clock))
        return made[-1]

    return make
