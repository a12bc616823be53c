"""The jobs that hold a GPU, and who vouches for each.

What root has written counts first: files of the prolog of Slurm, by `zbx-nvidia job begin` or by another tool. Then the
names of control groups, which root makes too. For all other processes their own users say what they do, by running them
under `zbx-nvidia run`. That one is found in /proc, as an ancestor of the process on the GPU with the same user. Users
write no file: so nobody can claim the GPU of another, a job ends with its processes, and no directory in /run has to be
open to everybody.
"""

# Without `from __future__ import annotations`: typing would compile the text of each annotation at each poll.
import contextlib
import json
import os
import stat
import threading
import time
from typing import Any, NamedTuple

from zbx_nvidia.collector.owner import is_sluid
from zbx_nvidia.collector.reading import read_with
from zbx_nvidia.errors import printable
from zbx_nvidia.kernel.proc import PARENT, START, age, fields_of

PROC = "/proc"
CGROUPS = "/sys/fs/cgroup"
OWN = "/run/zbx-nvidia-jobs"  # of `zbx-nvidia job`: a file for each job
MAP = "/run/gpustat"  # of jobstats: a file for each GPU
LONGEST = 64  # characters of an ID or a name
# s in which a job need not have a process yet. The prolog runs before them, and may take minutes.
GRACE = 300
_LARGEST = 4096  # bytes of a file, and of a command line
_MOST_FILES = 1024
_MOST_JOBS = 16  # of a GPU: of more, nobody could read the text
_GENERATIONS = 64  # between `zbx-nvidia run` and a process on the GPU
_REMEMBERED = 4096  # processes
_FRESH = 1.0  # s in which nothing is read again: each GPU asks for it
_NO_USER = 2**32 - 1  # above the numbers of users
_SEPARATORS = str.maketrans(dict.fromkeys(";()", "_"))
_WORDS = 4  # of a command line in which `run` is searched: `python3 -I zbx-nvidia run`


class Held(NamedTuple):
    """What is known of the jobs of a GPU.

    Attributes:
        jobs: Each with `since` (Unix time), and as far as known `id`, `name` and `uid`.
        since: When the first of them began; 0 if there is none.
    """

    jobs: list[dict[str, Any]]
    since: int


class JobFile(NamedTuple):
    """What a file says of a job.

    Attributes:
        gpus: Index or UUID of each GPU or MIG instance.
        id: Of the job.
        name: Of the job, or "".
        uid: Of its user; None if that is not known.
        since: Unix time.
    """

    gpus: frozenset[str]
    id: str
    name: str
    uid: int | None
    since: int


# -- the jobs of a GPU ------------------------------------------------------------------------------------------------


def held(entries: list[dict[str, Any]], files: list[JobFile], gpu: set[str]) -> list[dict[str, Any]]:
    """The jobs that hold a GPU: those that root has written down, then those of which there are processes.

    Args:
        entries: Its processes, as of `processes.describe`.
        files: As of `written`.
        gpu: How files may call it: its index, its UUID, and the UUIDs of its MIG instances.
    """
    entries = [entry for entry in entries if "uid" in entry and not {"C", "M"}.isdisjoint(entry["type"].split("+"))]
    jobs: dict[str, dict[str, Any]] = {}
    for file in files:
        if file.gpus & gpu and (file.since > time.time() - GRACE or _is_on(entries, file) or _LIVING.has(file)):
            about = {"id": file.id, "name": file.name, "uid": file.uid, "since": file.since}
            known = jobs.setdefault(file.id, {key: value for key, value in about.items() if value not in {"", None}})
            known["since"] = min(known["since"], file.since)
    # Those that say their job first: another process of the same user is of that.
    for entry in sorted(entries, key=lambda entry: "job" not in entry):
        address, about = _of_process(entry, [*jobs.values()])
        if address:
            known = jobs.setdefault(address, about)
            known["since"] = min(known["since"], about["since"])
            if "name" in about and "name" not in known and known.get("uid") == about.get("uid"):
                known["name"] = about["name"]
    # The driver lists processes in any order, and the value is stored when it changes.
    return sorted(jobs.values(), key=lambda job: (job["since"], job.get("id", ""), job.get("name", "")))[:_MOST_JOBS]


def _is_on(entries: list[dict[str, Any]], file: JobFile) -> bool:
    return any(entry.get("job") == file.id or ("job" not in entry and entry["uid"] == file.uid) for entry in entries)


def _of_process(entry: dict[str, Any], known: list[dict[str, Any]]) -> tuple[str, dict[str, Any]]:
    """Which job a process is of, by an address that no other has, and what is known of that; "" if it is of none."""
    about = {"uid": entry["uid"], "since": entry.get("started", int(time.time()))}
    run = _run_of(entry["pid"], entry["uid"])
    name = {"name": run[1]} if run else {}
    if "job" in entry:
        return entry["job"], {**about, **name, "id": entry["job"]}
    same_user = next((job for job in known if job.get("uid") == entry["uid"] and "id" in job), None)
    if same_user:
        return same_user["id"], {**about, **name}
    if "pod" in entry:
        # The user in a pod says nothing: most often it is root.
        pod = "/".join(entry[key] for key in ("namespace", "pod") if key in entry)
        return f"pod {pod}", {"name": pod, "since": about["since"]}
    if run:
        return f"run {run[0]}", {**about, **name, "since": run[2]}
    return "", about


# -- `zbx-nvidia run` ------------------------------------------------------------------------------------------------


class Runs:
    """The `zbx-nvidia run` of each process, by its number and its start: it never gets another one."""

    def __init__(self) -> None:
        self.known: dict[tuple[int, int], tuple[int, str, int, int] | None] = {}

    def of(self, pid: int, uid: int, proc: str = PROC) -> tuple[int, str, int] | None:
        """PID, name and start of the nearest ancestor that is one, if it still runs and is of that user."""
        run: tuple[int, str, int, int] | None = None
        way = []
        for _ in range(_GENERATIONS):
            if pid <= 1:
                break
            try:
                fields = fields_of(f"{proc}/{pid}")
            except OSError:
                return None  # it has just ended, and what it started has another parent now: nothing to remember
            process = (pid, int(fields[START]))
            with contextlib.suppress(KeyError):  # not by `in`: another thread may forget them meanwhile
                run = self.known[process]
                break
            way.append(process)
            name = run_name(_command_line(f"{proc}/{pid}/cmdline"))
            if name:
                run = (pid, name, round(time.time() - age(fields)), process[1])
                break
            pid = int(fields[PARENT])
        if len(self.known) > _REMEMBERED:
            self.known.clear()
        self.known.update(dict.fromkeys(way, run))
        return run[:3] if run and _is_of(f"{proc}/{run[0]}", uid, run[3]) else None


_RUNS = Runs()
_run_of = _RUNS.of


def run_name(words: list[str]) -> str:
    """The name of the job in the command line of a `zbx-nvidia run`; "" of other programs."""
    for place, word in enumerate(words[:_WORDS]):
        if os.path.basename(word).startswith(("zbx-nvidia", "zbx_nvidia")) and words[place + 1 : place + 2] == ["run"]:
            return _name_of(words[place + 2 :])
    return ""


def _name_of(words: list[str]) -> str:
    """By the options of `run`, as its command reads them: the last name, else that of the program."""
    name = ""
    while words and words[0].startswith("-") and words[0] != "--":
        option, equals, value = words[0].partition("=")
        if option == "--name" and not equals:
            value = words[1] if len(words) > 1 else ""
            words = words[1:]
        name = value or name
        words = words[1:]
    if words[:1] == ["--"]:
        words = words[1:]
    return shown(name or os.path.basename(words[0] if words else ""))


def shown(text: str) -> str:
    """An ID or a name as it leaves the host: without what separates jobs, by which it could look like two of them."""
    return printable(text.strip()[:LONGEST]).translate(_SEPARATORS)


def _command_line(path: str) -> list[str]:
    try:
        with open(path, "rb") as file:
            return file.read(_LARGEST).decode("utf-8", "replace").split("\0")
    except OSError:
        return []


def user_of(folder: str) -> int:
    """The user of a process.

    Raises:
        OSError, ValueError: It has ended.
    """
    uid = os.stat(folder).st_uid
    if uid:
        return uid
    # The kernel shows a process that is not dumpable as root's, and each user can make his own so.
    with open(f"{folder}/status", "rb") as file:
        return int(file.read().partition(b"\nUid:")[2].split()[1])


def _is_of(folder: str, uid: int, start: int) -> bool:
    """Whether a process is of that user, and no later one of the same number."""
    try:
        return user_of(folder) == uid and int(fields_of(folder)[START]) == start
    except (OSError, ValueError, IndexError):
        return False


# -- files ------------------------------------------------------------------------------------------------------------


class Fresh:
    """What a function returned, for a second: each GPU asks for the same.

    Args:
        ask: The function.
    """

    def __init__(self, ask: Any) -> None:  # noqa: ANN401  a function; typing would be loaded for its type
        self._ask = ask
        self._turn = threading.Lock()
        self._known: tuple[float, tuple[Any, ...], Any] = (-_FRESH, (), None)

    def of(self, *arguments: Any) -> Any:  # noqa: ANN401  as the function
        """What it returned for these arguments."""
        with self._turn:
            now = time.monotonic()
            since, of, answer = self._known
            if of != arguments or now - since >= _FRESH:
                answer = self._ask(*arguments)
                self._known = (now, arguments, answer)
            return answer


def _files(*folders: str) -> list[JobFile]:
    return [file for folder in dict.fromkeys(folders) for file in files_in(folder)]


_FILES = Fresh(_files)


def written(folders: tuple[str, ...]) -> list[JobFile]:
    """What the files of some directories say, in that order."""
    files: list[JobFile] = _FILES.of(*folders)
    return files


def files_in(folder: str) -> list[JobFile]:
    """What the files of a directory say, as far as nobody but root can have written it.

    The user of this process counts as root.
    """
    try:
        if not _is_safe(os.stat(folder)):
            return []
        with os.scandir(folder) as listing:
            names = sorted(entry.name for _, entry in zip(range(_MOST_FILES), listing, strict=False))
    except OSError:  # there is none, as on most hosts
        return []
    files = []
    for name in names:
        try:
            data, about = read_with(f"{folder}/{name}", _LARGEST)
            if _is_safe(about):
                files += parse(name, data.decode("utf-8", "replace"), int(about.st_mtime))
        except (OSError, ValueError, LookupError, TypeError, OverflowError, RecursionError):
            continue  # it is gone, is no file, or is not of a tool that we know
    return files


def _is_safe(about: os.stat_result) -> bool:
    return about.st_uid in {0, os.geteuid()} and not about.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def parse(name: str, text: str, changed: int) -> list[JobFile]:
    """What a file says.

    Args:
        name: `ID.json` of `zbx-nvidia job`; else index or UUID of a GPU or MIG instance. Then it has lines, each with
            the ID of a job, and where jobstats writes it, with the number of its user.
        text: Its contents.
        changed: When it was written, Unix time.

    Raises:
        ValueError, LookupError, TypeError, OverflowError: It is none of these.
    """
    now = int(time.time())
    if name.endswith(".json"):
        about = json.loads(text)
        gpus = frozenset(str(gpu) for gpu in about["gpus"])
        since = int(about.get("since", changed))
        name = shown(str(about.get("name", "")))
        return [JobFile(gpus, _id(str(about["id"])), name, _uid(about["uid"]), min(since, now))]
    files = []
    for line in text.splitlines()[:_MOST_JOBS]:
        job, *rest = line.split()
        files.append(JobFile(frozenset({name}), _id(job), "", _uid(rest[0]) if rest else None, min(changed, now)))
    return files


def _uid(value: Any) -> int:  # noqa: ANN401  JSON, or a word
    uid = int(value)
    if not 0 <= uid < _NO_USER:
        raise ValueError("no user")  # pwd would refuse it, and name no other user of this round
    return uid


def _id(text: str) -> str:
    if not shown(text):
        raise ValueError("no ID")
    return shown(text)


# -- jobs that have ended ---------------------------------------------------------------------------------------------


class Living:
    """Whether a job of which no process is on the GPU is there at all: the epilog of one may never have come."""

    def __init__(self) -> None:
        self._jobs, self._users = Fresh(slurm_jobs), Fresh(_users)

    def has(self, file: JobFile, cgroups: str = CGROUPS, proc: str = PROC) -> bool:
        """By the control groups of Slurm; where there are none, by the processes of its user."""
        jobs = self._jobs.of(cgroups)
        if jobs is not None:
            return file.id in jobs
        if file.uid is None or not shows_others(proc):
            return True  # nobody can say
        return file.uid in self._users.of(proc)


def slurm_jobs(cgroups: str = CGROUPS) -> set[str] | None:
    """The jobs with processes in their control groups; None if Slurm makes none here, or names them otherwise."""
    jobs: set[str] = set()
    tops = [
        *_folders(f"{cgroups}/system.slice", lambda name: name.endswith("slurmstepd.scope")),
        *(
            top
            for controller in ("devices", "memory", "freezer", "cpuset")
            for top in _folders(f"{cgroups}/{controller}", lambda name: name == "slurm" or name.startswith("slurm_"))
        ),
    ]
    if not tops:
        return None
    for top in tops:
        for place in (top, *_folders(top, lambda name: name.startswith("uid_"))):
            for name in _names(place):
                if is_sluid(name.removeprefix("job_")):
                    return None
                if name.startswith("job_") and not _is_empty(f"{place}/{name}"):
                    jobs.add(name.removeprefix("job_"))
    return jobs


def _is_empty(group: str) -> bool:
    """Whether a control group has no process: if slurmstepd is killed, nobody removes it."""
    try:
        with open(f"{group}/cgroup.events", "rb") as file:
            return b"populated 0" in file.read(_LARGEST)
    except OSError:
        pass  # v1
    is_known = False
    for place, _, _ in os.walk(group):
        with contextlib.suppress(OSError), open(f"{place}/cgroup.procs", "rb") as file:
            if file.read(1):
                return False
            is_known = True
    return is_known


def _folders(folder: str, is_one: Any) -> list[str]:  # noqa: ANN401  a function; typing would be loaded for its type
    return [f"{folder}/{name}" for name in _names(folder) if is_one(name)]


def _names(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []


def _users(proc: str) -> set[int]:
    """All users who have a process."""
    users = set()
    for name in _names(proc):
        if name.isdigit():
            with contextlib.suppress(OSError):
                users.add(os.stat(f"{proc}/{name}").st_uid)
    return users


def shows_others(proc: str = PROC) -> bool:
    """Whether /proc shows the processes of other users at all (hidepid)."""
    try:
        with open(f"{proc}/1/stat", "rb"):
            return True
    except OSError:
        return False


_LIVING = Living()
