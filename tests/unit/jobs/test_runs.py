"""`zbx-nvidia runs`: what is kept, and two runs side by side."""

from __future__ import annotations

import json
import pwd
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import pytest
from click.testing import CliRunner

from tests.unit.cli.screen import on_terminal
from tests.unit.jobs.test_run import PLAIN, PROGRAM
from zbx_nvidia.cli.main import main
from zbx_nvidia.errors import UsageError
from zbx_nvidia.jobs import compare, records

if TYPE_CHECKING:
    from click.testing import Result

GPU = {
    "index": 0, "uuid": "GPU-1", "name": "NVIDIA GeForce GTX 1070", "energy": 9000.0, "energy_of": "power",
    "energy_covered": 100.0, "power_mean": 90.0, "power_peak": 140.0, "utilization": 77.0, "memory_peak": 3 << 30,
    "temperature_peak": 71, "throttled": 0.0, "power_capped": 3.0, "held": 100.0,
}  # fmt: skip


def figures(name: str, wall: Any = 100.0, **more: Any) -> dict[str, Any]:
    return {
        "name": name, "command": [name], "started": 1_790_000_000.0, "host": "gpu01", "exit_code": 0, "wall": wall,
        "cpu": wall * 2, "memory_peak": 5 << 30, "samples": 50, "gpus": [], **more,
    }  # fmt: skip


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.delenv("COLUMNS", raising=False)
    return tmp_path / "zbx-nvidia" / "runs.jsonl"


def runs(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["runs", *arguments])


def test_where_the_file_is() -> None:
    assert records.path_of({"XDG_STATE_HOME": "/state"}) == Path("/state/zbx-nvidia/runs.jsonl")
    for environment in ({}, {"XDG_STATE_HOME": ""}, {"XDG_STATE_HOME": "relative"}):
        assert records.path_of(environment) == Path.home() / ".local/state/zbx-nvidia/runs.jsonl"


def test_a_user_without_a_home(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container with a user number that nobody knows."""

    def nobody(uid: int) -> NoReturn:
        raise KeyError(uid)

    monkeypatch.setattr(pwd, "getpwuid", nobody)
    monkeypatch.delenv("HOME")
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    done = runs()
    assert (done.exit_code, done.output) == (1, "Error: ~: this user has no home: set XDG_STATE_HOME\n")


def test_no_runs(home: Path) -> None:
    done = runs()
    assert (done.exit_code, done.output) == (0, f"No runs in {home}. Run `zbx-nvidia run -- COMMAND`.\n")
    assert json.loads(runs("--json").output) == {"runs": [], "skipped": 0}


def test_runs_are_numbered_and_found(home: Path) -> None:
    assert [records.add(home, figures(name)) for name in ("a", "b", "a", "1")] == [1, 2, 3, 4]
    stored = records.load(home).runs
    assert records.find(stored, "a")["id"] == 3
    assert records.find(stored, "2")["name"] == "b"
    assert records.find(stored, "1")["id"] == 1  # the number, although a run has this name
    with pytest.raises(UsageError, match="c: no such run"):
        records.find(stored, "c")


GARBAGE = [
    "", "no JSON", "[]", "3", "{}", "[" * 100_000, json.dumps(figures("no number")),
    json.dumps({"id": 1, **figures("x", wall="long")}), json.dumps({"id": 1, **figures("x"), "name": 3}),
    json.dumps({"id": 1, **figures("x"), "gpus": {}}), json.dumps({"id": 1, **figures("x"), "gpus": [3]}),
    json.dumps({"id": 1, **figures("x"), "gpus": [{"energy": None}]}),
    json.dumps({"id": 1, **figures("x"), "cpu": "1"}),
    json.dumps({"id": 1, **figures("x", wall=float("nan"))}), json.dumps({"id": True, **figures("x")}),
    json.dumps({"id": 1, **figures("x"), "gpus": [{"shared_with": ["x"]}]}),
    json.dumps({"id": 1, **figures("x"), "gpus": [{"energy": "much"}]}),
    json.dumps({"id": 1, **figures("x"), "gpus": [{"name": 3}]}), json.dumps({"id": 1e300, **figures("x")}),
    json.dumps({"id": 1, **figures("x"), "host": ["x"]}), "\udc80 not UTF-8", "\0",
]  # fmt: skip


def test_garbage_is_left_out_and_said(home: Path) -> None:
    records.add(home, figures("before"))
    with home.open("ab") as file:
        file.write("\n".join(GARBAGE).encode("utf-8", "surrogateescape"))
    assert records.add(home, figures("after")) == 2
    stored = records.load(home)
    assert [run["name"] for run in stored.runs] == ["before", "after"]
    assert stored.skipped == len(GARBAGE) - 1  # an empty line is nothing
    done = runs("--json")
    assert done.exit_code == 0
    assert f"{stored.skipped} lines are no run, and left out" in done.stderr
    assert runs().exit_code == 0


@pytest.mark.parametrize("gpu", [{}, {"energy": 1e18}, {"shared_with": [{}]}, {"until": -1}])
def test_figures_that_a_user_has_changed_are_shown_all_the_same(home: Path, gpu: dict[str, Any]) -> None:
    records.add(home, figures("odd", gpus=[gpu], started=1e18, exit_code=-5))
    records.add(home, figures("odd", wall=0, cpu=0))
    for arguments in ((), ("--compare", "1", "2"), ("--compare", "2", "1", "--json")):
        done = runs(*arguments)
        assert done.exit_code == 0, done.output


def test_old_runs_give_way(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "_MOST", 6)
    monkeypatch.setattr(records, "_KEPT", 3)
    for number in range(7):
        records.add(home, figures(f"r{number}"))
    assert [run["id"] for run in records.load(home).runs] == [4, 5, 6, 7]
    assert home.stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in home.parent.iterdir()) == ["runs.jsonl", "runs.lock"]


def test_runs_that_end_at_the_same_time(home: Path) -> None:
    code = (
        "from zbx_nvidia.jobs import records\nfrom pathlib import Path\n"
        f"for _ in range(20): records.add(Path({str(home)!r}), {figures('x')!r})"
    )
    processes = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(4)]
    assert [process.wait() for process in processes] == [0] * 4
    assert sorted(run["id"] for run in records.load(home).runs) == list(range(1, 81))


def test_a_link_in_place_of_the_file_is_not_followed(home: Path, tmp_path: Path) -> None:
    home.parent.mkdir()
    (target := tmp_path / "target").write_text("")
    home.symlink_to(target)
    with pytest.raises(OSError, match="symbolic links"):
        records.add(home, figures("x"))
    assert target.read_text() == ""
    assert runs().exit_code == 1


@pytest.mark.parametrize(
    ("walls", "energies", "words"),
    [
        ((2700, 100), (None, None), "27 times faster"),
        ((2700, 100), (9000, 1000), "27 times faster, a ninth of the energy"),
        ((100, 250), (1000, 1000), "2.5 times slower, the same energy"),
        ((100, 103), (1000, 2000), "as fast, 2 times the energy"),
        ((200, 100), (1000, 500), "2 times faster, half of the energy"),
        ((200, 100), (1000, 900), "2 times faster, 90 % of the energy"),
        ((200, 100), (1000, 10), "2 times faster, 1 % of the energy"),
        ((200, 100), (1000, 4), "2 times faster, 0.4 % of the energy"),
        ((0, 100), (None, 100), "too short to compare"),
    ],
)
def test_words(walls: tuple[float, float], energies: tuple[float | None, float | None], words: str) -> None:
    first, second = (
        figures("x", wall=wall, gpus=[] if energy is None else [{"energy": energy}])
        for wall, energy in zip(walls, energies, strict=True)
    )
    assert compare.words(first, second) == words


def test_the_energy_of_a_run_is_known_only_if_that_of_each_gpu_is() -> None:
    assert compare.energy(figures("x", gpus=[{"energy": 1.0}, {"energy": 2.0}])) == 3
    assert compare.energy(figures("x", gpus=[{"energy": 1.0}, {}])) is None
    assert compare.energy(figures("x")) is None


@pytest.mark.parametrize("columns", [40, 80, 160])
def test_tables_fit_the_terminal(home: Path, columns: int) -> None:
    records.add(home, figures("train-on-the-processor-with-a-long-name\x1b[2J", wall=9000))
    records.add(home, figures("gpu", gpus=[GPU] * 8, exit_code=143))
    env = {**PLAIN, "XDG_STATE_HOME": str(home.parent.parent)}
    for arguments in ((), ("--compare", "1", "2")):
        shown = on_terminal([PROGRAM, "runs", *arguments], env, columns)
        assert shown.code == 0
        assert [line for line in shown.lines if len(line) > columns] == []
        assert "\x1b[2J" not in shown.raw
    assert "gpu is 90 times faster" in " ".join(shown.lines)


def test_a_table(home: Path) -> None:
    records.add(home, figures("cpu", wall=2700))
    records.add(home, figures("gpu", gpus=[GPU]))
    lines = runs().output.splitlines()
    assert lines[0].split() == [
        "Run", "Name", "Started", "Wall", "time", "CPU", "time", "Memory", "GPUs", "Energy", "Power", "Util", "Exit",
    ]  # fmt: skip
    assert lines[2].split()[:2] == ["2", "gpu"]
    assert lines[2].split()[4:] == ["1", "min", "40", "s", "3", "min", "20", "s", "5.0", "GiB", "1", "~2.50", "Wh",
                                    "90", "W", "77%", "0"]  # fmt: skip
    output = runs("--compare", "cpu", "gpu").output
    assert output.splitlines()[-1] == "gpu is 27 times faster"
    found = json.loads(runs("--compare", "cpu", "gpu", "--json").output)
    assert [run["id"] for run in found["runs"]] == [1, 2]
    assert found["comparison"] == {"words": "27 times faster", "wall": 0.037037}


def test_many_runs(home: Path) -> None:
    for number in range(25):
        records.add(home, figures(f"r{number}"))
    lines = runs().output.splitlines()
    assert len(lines) == 1 + 20 + 1
    assert lines[1].split()[:2] == ["6", "r5"]
    assert lines[-1] == "5 earlier: --json prints them all"


def test_a_run_that_is_not_there(home: Path) -> None:
    records.add(home, figures("x"))
    done = runs("--compare", "x", "y")
    assert done.exit_code == 2
    assert done.output == "Error: y: no such run; zbx-nvidia runs lists numbers and names\n"
