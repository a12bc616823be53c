"""What the last job of a GPU was: what rounds make of it, and what the service writes."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.collector.resident.world import config
from zbx_nvidia.collector.amounts import duration, energy
from zbx_nvidia.collector.document import LONGEST_CHAR, Gpu, job_words
from zbx_nvidia.collector.job import shown
from zbx_nvidia.collector.resident.last_job import LastJob, LastJobs, Measured, key_of
from zbx_nvidia.jobs import prolog

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.conftest import MachineFactory
    from tests.unit.collector.collector import Answer
    from tests.unit.collector.resident.conftest import ServiceFactory
    from tests.unit.conftest import ClocksFactory

LONGEST = 20.0  # s between two rounds
A, B = ("id 7", -1, 0), ("id 8", -1, 0)
TRAIN = {A: "7 train (alice)"}
UTILIZATION = st.one_of(st.none(), st.integers(0, 100))
LENGTHS = st.lists(st.floats(0.5, LONGEST - 1), min_size=1, max_size=20)


Row = tuple[float, dict[Any, str], float | None, float | None]


def rounds(*seen: Row) -> str:
    """The line after rounds of (time, jobs, utilization, energy)."""
    gpu, line = LastJob(), ""
    for at, jobs, utilization, counter in seen:
        line = gpu.seen(Measured(at, utilization, counter), jobs, LONGEST)
    return line


# -- what rounds make of it --------------------------------------------------------------------------------------------


def test_a_job_that_was_seen_whole() -> None:
    gpu = LastJob()
    assert not gpu.seen(Measured(0, 0, 1000), {}, LONGEST)
    for place in range(720):
        assert not gpu.seen(Measured(10.0 + place * 16, 84, 1000 + 9500.0 * place), TRAIN, LONGEST)
    line = gpu.seen(Measured(10.0 + 720 * 16, 0, 1000 + 9500.0 * 720), {}, LONGEST)
    assert line == "7 train (alice): 3 h 12 min, 84 % busy, 1.90 kWh"
    assert gpu.seen(Measured(20_000, 0, 10**9), {}, LONGEST) == line, "until the next one ends"


def test_a_job_that_was_there_before_the_service() -> None:
    assert rounds((0, TRAIN, 50, None), (10, {}, 0, None)) == "7 train (alice): at least 10 s, 50 % busy"


def test_a_job_that_began_or_ended_unseen() -> None:
    """While the driver was released, or the GPU did not answer."""
    began = rounds((0, {}, None, None), (100, TRAIN, None, None), (110, {}, None, None))
    ended = rounds((0, {}, None, None), (10, TRAIN, 9, 5), (20, TRAIN, 9, 5), (100, {}, 0, 900))
    assert (began, ended) == ("7 train (alice): at least 10 s", "7 train (alice): at least 10 s, 9 % busy, 0.0 J")


def test_a_gap_while_the_job_holds_the_gpu_is_of_the_job() -> None:
    """But what the GPU did then, only its counter knows."""
    line = rounds((0, {}, 0, 0), (10, TRAIN, 90, 100), (200, TRAIN, 90, 3000), (210, {}, 0, 3100))
    assert line == "7 train (alice): 3 min 20 s, 0.833 Wh"


@pytest.mark.parametrize(("unknown", "line"), [(1, "7 train (alice): 20 s, 40 % busy"), (9, "7 train (alice): 20 s")])
def test_a_mean_of_a_part_of_the_time_is_not_that_of_the_job(unknown: float, line: str) -> None:
    rows: tuple[Row, ...] = (0, {}, 0, None), (1, TRAIN, None, None), (1 + unknown, TRAIN, 40, None)
    assert rounds(*rows, (21, {}, 0, None)) == line


def test_rounds_count_by_their_length() -> None:
    assert rounds((0, {}, 0, None), (1, TRAIN, 100, None), (2, TRAIN, 0, None), (11, {}, 0, None)).endswith("10 % busy")


@pytest.mark.parametrize("counters", [(5, 3, 9), (5, 9, 3), (None, 3, 9), (None, None, None), (9, 9, 0)])
def test_energy_is_left_out_if_the_counter_does_not_say_it(counters: tuple[float | None, ...]) -> None:
    first, second, third = counters
    line = rounds((0, {}, 1, 0), (10, TRAIN, 1, first), (20, TRAIN, 1, second), (30, {}, 1, third))
    assert line == "7 train (alice): 20 s, 1 % busy"


def test_a_counter_that_is_not_read_once_loses_nothing() -> None:
    assert rounds((0, {}, 1, 0), (9, TRAIN, 1, 5), (19, TRAIN, 1, None), (29, {}, 1, 25)).endswith("busy, 20 J")


def test_a_counter_that_is_not_read_any_more_does_not_say_the_end() -> None:
    seen = [(9.0 + 10 * place, TRAIN, 1, None) for place in range(1, 5)]
    assert rounds((0, {}, 1, 0), (9, TRAIN, 1, 5), *seen, (60, {}, 1, None)).endswith("1 % busy")


def test_jobs_that_share_the_gpu_say_so() -> None:
    both = {**TRAIN, B: "8 eval (bob)"}
    gpu = LastJob()
    for at, jobs in enumerate([{}, TRAIN, both, TRAIN]):
        line = gpu.seen(Measured(at), jobs, LONGEST)
    assert line == "8 eval (bob): 1 s, shared with other jobs"
    assert gpu.seen(Measured(9), {}, LONGEST) == "7 train (alice): 8 s, shared with other jobs"


def test_jobs_that_end_together_are_both_named() -> None:
    line = rounds((0, {}, None, None), (1, {B: "8", A: "7"}, None, None), (3, {}, None, None))
    assert line == "7: 2 s, shared with other jobs; 8: 2 s, shared with other jobs"


def test_a_name_that_becomes_known_later_is_of_the_same_job() -> None:
    assert rounds((0, {}, None, None), (1, {A: "7"}, None, None), (2, TRAIN, None, None), (3, {}, None, None)) == (
        "7 train (alice): 2 s"
    )


def test_the_next_run_of_the_same_name_is_another_job() -> None:
    """But not if only its start, computed again, has moved."""
    starts = (1_000_000, 1_000_001, 1_000_090)
    first, moved, second = ({("run train", 1000, since): "train (alice)"} for since in starts)
    start: tuple[Row, ...] = (0, {}, None, None), (1, first, None, None), (2, moved, None, None)
    assert not rounds(*start)
    assert rounds(*start, (3, second, None, None)) == "train (alice): 2 s"
    assert rounds(*start, (3, second, None, None), (7, {}, None, None)) == "train (alice): 4 s"


@given(LENGTHS, st.lists(st.tuples(UTILIZATION, st.one_of(st.none(), st.integers(0, 1000))), min_size=21, max_size=21))
def test_figures_are_within_what_was_seen(lengths: list[float], read: list[tuple[int | None, int | None]]) -> None:
    at, seen = 1.0, []
    for length, (utilization, counter) in zip([*lengths, 0.0], read, strict=False):
        seen.append((at, TRAIN, utilization, counter))
        at += length
    end: Row = (seen[-1][0], {}, *read[-1])
    line = rounds((0.5, {}, 0, 0), *seen[:-1], end)
    found = re.fullmatch(r"7 train \(alice\): (.*?)(?:, (\d+) % busy)?(?:, (\d+(?:\.\d)?) J)?", line)
    assert found, line
    assert found[1] == duration(end[0] - seen[0][0])
    used = [utilization for _, _, utilization, _ in seen[:-1]]
    known = [utilization for utilization in used if utilization is not None]
    if found[2]:
        assert round(min(known)) <= int(found[2]) <= round(max(known))
    assert found[2] or None in used, "it was known all the time"
    counters = [counter for *_, counter in (*seen[:-1], end) if counter is not None]
    is_counted = seen[0][3] is not None and counters == sorted(counters)
    if found[3]:
        assert is_counted
        assert float(found[3]) == counters[-1] - counters[0]
    if is_counted and end[3] is not None:
        assert found[3], "the counter said it"


@given(
    st.lists(
        st.tuples(st.sets(st.sampled_from("abc")), UTILIZATION, st.one_of(st.none(), st.floats(0, 1e15)), LENGTHS),
        max_size=30,
    )
)
def test_whatever_comes_the_line_changes_when_a_job_ends_and_only_then(rows: list[tuple[Any, ...]]) -> None:
    gpu, line, at = LastJob(), "", 0.0
    before: set[str] = set()
    for names, utilization, counter, (length, *_) in rows:
        at += length * 3
        jobs = {(f"id {name}", -1, 0): f"{name} (x)" for name in sorted(names)}
        now = gpu.seen(Measured(at, utilization, counter), jobs, LONGEST)
        gone = before - names
        assert gone or now == line
        if gone:
            assert [one.partition(" (x): ")[0] for one in now.split("; ")] == sorted(gone)
        before, line = names, now


WORD = st.text(st.characters(codec="utf-8"), max_size=90).map(shown)
JOB = st.fixed_dictionaries({"since": st.integers(0, 2**40)}, optional={"id": WORD, "name": WORD, "uid": st.just(0)})


@given(st.lists(JOB, min_size=1, max_size=16))
def test_a_job_cannot_look_like_two_and_the_line_fits(jobs: list[dict[str, Any]]) -> None:
    """And it is known by the same key in each round."""
    texts = {key_of(job): job_words(job, {0: "root"}) for job in jobs}
    line = rounds((0, {}, None, None), (1, texts, 3, 4), (2, {}, 5, 6))
    assert len(line) <= LONGEST_CHAR
    assert line.isprintable()
    assert "; " not in line or len(texts) > 1
    for job in jobs:
        assert key_of(dict(job)) == key_of({**job, "since": job["since"]})
    if all("uid" in job for job in jobs) and not line.endswith("..."):
        assert all("(root): " in part for part in line.split("; ")), "the figures are behind what users can write"


@given(st.floats(0, 1e8))
def test_a_time_is_in_minutes_below_sixty_and_exact(seconds: float) -> None:
    numbers = [int(word) for word in duration(seconds).split() if word.isdigit()]
    units = [word for word in duration(seconds).split() if not word.isdigit()]
    made = sum(number * {"s": 1, "min": 60, "h": 3600}[unit] for number, unit in zip(numbers, units, strict=True))
    assert abs(made - seconds) <= (31 if "h" in units else 0.51) + (30 if "h" in units else 0)
    assert all(number < 60 for number, unit in zip(numbers, units, strict=True) if unit != "h")


@given(st.floats(0, 1e12))
def test_energy_is_exact_to_three_digits(joules: float) -> None:
    number, unit = energy(joules).replace(",", "").split()
    made = float(number) * {"J": 1, "Wh": 3600, "kWh": 3.6e6, "MWh": 3.6e9}[unit]
    assert abs(made - joules) <= (0.51 if unit == "J" else 0.006 * joules)
    assert float(number) < 1000 or unit == "MWh"


@pytest.mark.parametrize(
    ("joules", "text"),
    {
        0: "0.0 J", 9.94: "9.9 J", 743.4: "743 J", 999.4: "999 J", 999.6: "0.278 Wh", 11_916: "3.31 Wh",
        35_990: "10.0 Wh", 3_598_000: "999 Wh", 3_599_000: "1.00 kWh", 6_840_000: "1.90 kWh", 7.2e12: "2,000 MWh",
    }.items(),
)  # fmt: skip
def test_energy_is_in_the_unit_that_people_know(joules: float, text: str) -> None:
    assert energy(joules) == text


# -- the GPUs of a round -----------------------------------------------------------------------------------------------


def gpu(position: int = 0, state: str = "ok", **readings: object) -> Gpu:
    return Gpu(position, state, {"uuid": "GPU-7", **readings}, {}, (), ())


def test_a_gpu_that_is_not_read_keeps_its_memory() -> None:
    gpus, job = LastJobs(), [{"id": "7", "uid": 5, "since": 0}]

    def line(at: float, *read: Gpu) -> list[str | None]:
        return [one.readings.get("job_last") for one in gpus.added(at, read, {5: "alice"}, config())]

    assert line(0, gpu(job=[])) == [None]
    assert line(5, gpu(job=job, energy=7)) == [None]
    assert line(10, gpu(state="sick")) == [None]
    assert line(12) == []
    assert line(15, gpu()) == [None], "its jobs are not known in this round"
    assert line(20, gpu(job=[], energy=9), gpu(1, job=job)) == ["7 (alice): 15 s, 2.0 J"] * 2
    assert line(25, gpu(state="lost")) == [None]
    # A card moves with its memory.
    assert line(30, gpu(1, job=[])) == line(35, gpu()) == ["7 (alice): 15 s, 2.0 J"]


def test_a_gpu_that_lacks_jobs_lacks_the_last_one() -> None:
    (found,) = LastJobs().added(0, [gpu()._replace(lacks=("job",))], {}, config())
    assert found.lacks == ("job", "job_last")


# -- the service -------------------------------------------------------------------------------------------------------


def test_the_service_says_what_the_last_job_was(
    machine: MachineFactory, serve: ServiceFactory, clocked: ClocksFactory, tmp_path: Path
) -> None:
    """Time is the test's: the job has the GPU for 12 minutes, and uses it for 6 of them."""
    card, folder = machine("t4"), str(tmp_path / "jobs")
    for pid in (5000675, 5005762):
        card.remove(f"gpu 0 process {pid}")
    card.set("gpu 0", utilization_gpu=0, total_energy=1_000_000)
    clocks = clocked(card, speed=0)
    service = serve(card, interval="60s", window="60s", samples="0", pcie="0", job_map=folder)
    assert service.well().by_index[0]["job"] == ""

    def minute(true: Callable[[Answer], bool], what: str) -> dict[str, Any]:
        """The next document of which this is true; the one of the next round, but that the clock may be read late."""
        before = service.written()
        clocks.leap(60)
        answer = service.until_written(before)
        assert true(answer), f"{what}: {answer.by_index[0]}"
        assert answer.code == 0
        return answer.by_index[0]

    prolog.begin("4711", "train", os.getuid(), "0", folder)
    card.set("gpu 0", utilization_gpu=80)
    begun = minute(lambda answer: answer.by_index[0]["job"].startswith("4711 train ("), "it began")
    assert "job_last" not in begun
    for _ in range(5):
        minute(lambda answer: "job_last" not in answer.by_index[0], "it works")
    card.set("gpu 0", utilization_gpu=10, total_energy=721_000_000)
    for _ in range(6):
        minute(lambda answer: "job_last" not in answer.by_index[0], "it waits")
    prolog.end("4711", folder)
    ended = minute(lambda answer: answer.by_index[0]["job"] == "", "it ended")
    assert ended["job_last"] == f"{begun['job']}: 12 min 0 s, 45 % busy, 200 Wh"
    assert minute(lambda _: True, "nothing new")["job_last"] == ended["job_last"]
