"""Which job holds a GPU: what root has written, what /proc shows, and what nobody can claim who has no right to it."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import PATIENCE
from tests.unit.collector.collector import get
from tests.unit.jobs.test_run import ON_GPU, Run
from zbx_nvidia.collector import job
from zbx_nvidia.collector.job import JobFile, held, run_name

if TYPE_CHECKING:
    from tests.conftest import Machine, MachineFactory

GPU = {"3", "GPU-3", "MIG-3"}
ALICE, BOB = 4_000_001, 4_000_002
NO_PID = 2**22 + 17  # above the kernel's highest
LONG_AGO = 1_000_000_000
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can do what other users do")


def process(uid: int = ALICE, **about: object) -> dict[str, Any]:
    return {"pid": NO_PID, "type": "C", "uid": uid, "started": LONG_AGO, **about}


def file(*gpus: str, id: str = "7", name: str = "", uid: int | None = ALICE) -> JobFile:  # noqa: A002  as the field
    return JobFile(frozenset(gpus or ("3",)), id, name, uid, int(time.time()))


# -- who counts -------------------------------------------------------------------------------------------------------


def test_no_job() -> None:
    assert held([], [], GPU) == []
    assert held([process()], [], GPU) == [], "a process alone is no job"
    assert held([process(type="G", job="7")], [], GPU) == [], "nor is a program that draws"


@pytest.mark.parametrize("name", sorted(GPU))
def test_a_file_names_the_gpu_by_index_or_uuid(name: str) -> None:
    written = file(name, name="train")
    assert held([], [written], GPU) == [{"id": "7", "name": "train", "uid": ALICE, "since": written.since}]
    assert held([], [written], {"4"}) == []


def test_control_groups_of_slurm_and_pods_need_no_file() -> None:
    assert held([process(job="7")], [], GPU) == [{"id": "7", "uid": ALICE, "since": LONG_AGO}]
    assert held([process(0, pod="trainer", namespace="ml")], [], GPU) == [{"name": "ml/trainer", "since": LONG_AGO}]


def test_a_file_and_the_processes_of_its_job_are_one_job() -> None:
    for entry in (process(job="7"), process(), process(BOB, job="7")):
        (found,) = held([entry], [file(name="train")], GPU)
        assert (found["id"], found["name"], found["uid"], found["since"]) == ("7", "train", ALICE, LONG_AGO)


def test_other_processes_on_the_gpu_are_jobs_of_their_own() -> None:
    found = held([process(), process(BOB, job="8")], [file()], GPU)
    assert [(one["id"], one["uid"]) for one in found] == [("7", ALICE), ("8", BOB)]


def test_the_order_of_the_driver_changes_nothing() -> None:
    """The value would be stored with each poll."""
    entries = [process(job="8"), process(BOB, job="9", started=LONG_AGO + 1), process(BOB, pod="trainer")]
    assert held(entries, [file()], GPU) == held(entries[::-1], [file()], GPU)


# -- zbx-nvidia run ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "name"),
    [
        ("/usr/bin/python3 /usr/bin/zbx-nvidia run -- /usr/bin/train --secret 1", "train"),
        ("python3 -I zbx-nvidia.pyz run train", "train"),
        ("zbx-nvidia run --name night -- train", "night"),
        ("zbx-nvidia run --name=night train --name other", "night"),
        ("zbx-nvidia run --name", ""),
        ("zbx-nvidia run", ""),
        ("zbx-nvidia runs --name night", ""),
        ("vi /usr/bin/zbx-nvidia", ""),
        ("python3 train.py zbx-nvidia", ""),
        ("", ""),
    ],
)
def test_the_name_of_a_run(command: str, name: str) -> None:
    assert run_name(command.split()) == name


def test_a_later_process_with_the_number_of_a_run_is_not_that_run(tmp_path: Path) -> None:
    def show(pid: int, parent: int, start: int, command: str) -> None:
        (tmp_path / str(pid)).mkdir(exist_ok=True)
        (tmp_path / str(pid) / "stat").write_text(f"{pid} (x) S {parent} {'0 ' * 17}{start} 0")
        (tmp_path / str(pid) / "cmdline").write_text(command.replace(" ", "\0"))

    runs, uid = job.Runs(), os.geteuid() or 5
    show(100, 1, 10, "zbx-nvidia run train")
    show(101, 100, 20, "train")
    (tmp_path / "100/status").write_text(f"Name:\tx\nUid:\t{uid}\t{uid}\n")
    for path in tmp_path.iterdir():
        if os.geteuid() == 0:
            os.chown(path, uid, -1)
    assert (runs.of(101, uid, str(tmp_path)) or ())[:2] == (100, "train")
    show(100, 1, 30, "vi")
    assert runs.of(101, uid, str(tmp_path)) is None


def test_the_name_of_a_run_does_no_harm() -> None:
    assert run_name(["zbx-nvidia", "run", "--name", "\x1b[2J\u202eevil\n" + "x" * 1000]) == "?[2J?evil?" + "x" * 54


def test_the_name_of_a_run_does_not_look_like_another_job() -> None:
    assert run_name(["zbx-nvidia", "run", "--name", "x (bob); 7 train (alice)"]) == "x _bob__ 7 train _alice_"


@pytest.fixture
def card(machine: MachineFactory) -> Machine:
    made = machine("t4")
    for pid in (5000675, 5005762):
        made.remove(f"gpu 0 process {pid}")
    return made


def test_a_run_is_the_job_of_its_gpu_as_long_as_it_lasts(card: Machine, tmp_path: Path) -> None:
    env = {**os.environ, **card.env}
    assert get(card.env).by_index[0]["job"] == ""
    before = int(time.time())
    run = Run(env, tmp_path, *ON_GPU, "0")
    assert run.line() == "ready"
    found = get(card.env).by_index[0]
    assert found["job"] == f"{Path(sys.executable).name} ({Path('/proc/self').owner()})"
    assert before - 1 <= found["job_since"] <= time.time() + 1
    (entry,) = found["process_list"]
    about = process(os.getuid(), pid=entry["pid"], job="7")
    (named,) = held([about], [], GPU)
    assert named["name"] == Path(sys.executable).name
    (another,) = held([about], [file(uid=ALICE)], GPU)
    assert "name" not in another, "the job of somebody else has no name of ours"
    pod = process(os.getuid(), pid=entry["pid"], pod="trainer", namespace="ml")
    assert held([pod], [], GPU) == [{"name": "ml/trainer", "since": LONG_AGO}], "a user does not rename a pod"
    run.end()
    card.remove(f"gpu 0 process {entry['pid']}")
    found = get(card.env).by_index[0]
    assert (found["job"], found["job_since"]) == ("", 0)


def there(proc: Path, pid: int, parent: int, *command: str) -> None:
    """A process of Bob."""
    folder = proc / str(pid)
    folder.mkdir(exist_ok=True)
    fields = " ".join(["0"] * 17)
    (folder / "stat").write_text(f"{pid} (x) y) S {parent} {fields} {pid} 0\n")
    (folder / "cmdline").write_text("\0".join(command))
    (folder / "status").write_text(f"Name:\tx\nUid:\t{BOB}\t{BOB}\t{BOB}\t{BOB}\n")


@as_root
def test_nobody_names_the_process_of_another(tmp_path: Path) -> None:
    """Not even an ancestor of it, as that of a daemon that starts programs for others."""
    there(tmp_path, 70, 1, "zbx-nvidia", "run", "--name", "mine", "train")
    there(tmp_path, 71, 70, "sh")
    there(tmp_path, 72, 71, "train")
    runs = job.Runs()
    assert runs.of(72, ALICE, str(tmp_path)) is None
    found = runs.of(72, BOB, str(tmp_path))
    assert found is not None
    assert found[:2] == (70, "mine")
    (tmp_path / "70" / "cmdline").write_text("zbx-nvidia\0run\0--name\0another")
    assert runs.of(72, BOB, str(tmp_path)) == found, "known: nothing more is read"
    assert runs.of(99, BOB, str(tmp_path)) is None


@as_root
def test_a_parent_that_has_just_ended_is_asked_for_again(tmp_path: Path) -> None:
    """`zbx-nvidia run` adopts what it leaves."""
    there(tmp_path, 70, 1, "zbx-nvidia", "run", "--name", "mine", "sh")
    there(tmp_path, 72, 71, "train")
    runs = job.Runs()
    assert runs.of(72, BOB, str(tmp_path)) is None
    there(tmp_path, 72, 70, "train")
    found = runs.of(72, BOB, str(tmp_path))
    assert found is not None
    assert found[:2] == (70, "mine")


@as_root
def test_a_process_that_is_not_dumpable_is_not_roots(tmp_path: Path) -> None:
    """The kernel shows its folder as root's: else everybody could pass for root."""
    (tmp_path / "status").write_text(f"Name:\tx\nUid:\t{ALICE}\t{ALICE}\t{ALICE}\t{ALICE}\n")
    assert job.user_of(str(tmp_path)) == ALICE
    assert job.user_of("/proc/self") == os.geteuid()


# -- files ------------------------------------------------------------------------------------------------------------


def test_jobstats_and_dcgm_exporter(tmp_path: Path) -> None:
    (tmp_path / "0").write_text("45916256 262563\n")
    (tmp_path / "1").write_text("11\n12\n")
    found = job.files_in(str(tmp_path))
    assert [(*one.gpus, one.id, one.uid) for one in found] == [
        ("0", "45916256", 262563), ("1", "11", None), ("1", "12", None),
    ]  # fmt: skip
    assert all(abs(one.since - time.time()) < PATIENCE for one in found)


def test_garbage_is_no_job(tmp_path: Path) -> None:
    for number, text in enumerate(("", "\n", "{}", '{"id": "1"}', '{"id": "", "gpus": ["0"], "uid": 1}', "[" * 5000)):
        (tmp_path / f"{number}.json").write_text(text)
    (tmp_path / "0").write_bytes(bytes(range(256)))
    (tmp_path / "1").write_text("7 alice\n")
    (tmp_path / "2").write_text(f"7 {2**32}\n")
    (tmp_path / "7.json").write_text('{"id": "7", "gpus": ["0"], "uid": 1, "since": 1e999}')
    (tmp_path / "8.json").write_text('{"id": "8", "gpus": ["0"], "uid": -2}')
    assert job.files_in(str(tmp_path)) == []


@as_root
def test_no_file_of_a_user_is_read(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    for name in ("0", "1", "2"):
        (tmp_path / name).write_text(f"{name} 0\n")
    os.chown(tmp_path / "0", ALICE, ALICE)
    (tmp_path / "1").chmod(0o666)
    assert [one.id for one in job.files_in(str(tmp_path))] == ["2"]


@as_root
@pytest.mark.parametrize(("owner", "mode"), [(ALICE, 0o755), (0, 0o1777), (0, 0o775)])
def test_no_directory_is_read_in_which_users_can_write(tmp_path: Path, owner: int, mode: int) -> None:
    """One could put a link to a file of root there, or another name of it."""
    (tmp_path / "0").write_text("7 0\n")
    os.chown(tmp_path, owner, -1)
    tmp_path.chmod(mode)
    assert job.files_in(str(tmp_path)) == []


def test_no_kind_of_file_holds_up_the_others(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "0")
    (tmp_path / "1").symlink_to("4")
    (tmp_path / "2").write_text("7 0\n" * 2_500_000)
    (tmp_path / "3").mkdir()
    (tmp_path / "4").write_text("7 0\n")
    assert [one.gpus for one in job.files_in(str(tmp_path))] == [{"4"}]


def test_thousands_of_files_are_read_in_part(tmp_path: Path) -> None:
    for number in range(3000):
        (tmp_path / f"{number}.json").write_text(json.dumps({"id": f"{number}", "gpus": ["3"], "uid": 0}))
    found = job.files_in(str(tmp_path))
    assert len(found) == 1024
    assert len(held([], found, GPU)) == 16


def test_texts_are_made_harmless_and_no_job_is_of_the_future(tmp_path: Path) -> None:
    about = {"id": "7\x1b]0;evil\x07", "name": "\u202e" + "x" * 1000, "gpus": ["3"], "uid": 5, "since": 9e12}
    (tmp_path / "7.json").write_text(json.dumps(about))
    (found,) = job.files_in(str(tmp_path))
    assert found.id == "7?]0_evil?"
    assert found.name == "?" + "x" * 63
    assert found.since <= time.time()


# -- jobs that have ended ---------------------------------------------------------------------------------------------


def old(**about: Any) -> JobFile:
    return file(**about)._replace(since=LONG_AGO)


def test_a_job_ends_with_its_control_group(tmp_path: Path) -> None:
    """Also if its epilog never came: as if it had, a job without processes is gone."""
    for top in ("system.slice/slurmstepd.scope", "system.slice/node7_slurmstepd.scope", "devices/slurm/uid_5"):
        groups = tmp_path / top.replace("/", "_")
        (groups / top / "job_7").mkdir(parents=True)
        assert job.slurm_jobs(str(groups)) == {"7"}
        living = job.Living()
        assert living.has(old(id="7"), str(groups))
        assert not living.has(old(id="8"), str(groups))


def test_a_control_group_without_a_process_is_no_job(tmp_path: Path) -> None:
    """slurmstepd was killed too, and nobody has removed it."""
    v2, v1 = (tmp_path / top for top in ("system.slice/slurmstepd.scope", "freezer/slurm/uid_5"))
    for job_id, events, step in (("1", "populated 0\nfrozen 0\n", ""), ("2", "populated 1\nfrozen 0\n", "")):
        (v2 / f"job_{job_id}").mkdir(parents=True)
        (v2 / f"job_{job_id}/cgroup.events").write_text(events)
        (v2 / f"job_{job_id}/cgroup.procs").write_text(step)
    for job_id, step in (("3", ""), ("4", "4711\n")):
        (v1 / f"job_{job_id}/step_batch").mkdir(parents=True)
        (v1 / f"job_{job_id}/cgroup.procs").write_text("")
        (v1 / f"job_{job_id}/step_batch/cgroup.procs").write_text(step)
    assert job.slurm_jobs(str(tmp_path)) == {"2", "4"}


def test_without_control_groups_a_job_ends_with_the_processes_of_its_user(tmp_path: Path) -> None:
    nowhere = str(tmp_path)
    assert job.slurm_jobs(nowhere) is None
    living = job.Living()
    assert living.has(old(uid=os.getuid()), nowhere)
    assert not living.has(old(uid=ALICE), nowhere)
    assert living.has(old(uid=None), nowhere), "nobody can say"


def test_names_of_newer_slurm_say_nothing_of_numbers(tmp_path: Path) -> None:
    (tmp_path / "system.slice/slurmstepd.scope/s0123456789ABC").mkdir(parents=True)
    assert job.slurm_jobs(str(tmp_path)) is None


def test_the_same_is_asked_once_for_all_gpus_and_something_else_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job, "_FRESH", PATIENCE)
    asked: list[str] = []
    fresh = job.Fresh(asked.append)
    for folder in ("a", "a", "b", "b", "a"):
        fresh.of(folder)
    assert asked == ["a", "b", "a"]
    (tmp_path / "7").write_text("1 5")
    assert job.written((str(tmp_path),))
    assert not job.written((str(tmp_path / "none"),))


def test_a_file_is_no_ghost() -> None:
    assert held([], [file(uid=ALICE)], GPU), "the prolog runs before the processes"
    assert not held([], [old(uid=ALICE)], GPU), "its epilog never came"
    assert held([process()], [old(uid=ALICE)], GPU)
