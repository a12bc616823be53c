"""The threads that look at GPUs: few, and a GPU that hangs holds up no other."""

from __future__ import annotations

import itertools
import threading
import time
from typing import TYPE_CHECKING

import pytest

from tests.conftest import PATIENCE, wait_for
from zbx_nvidia.collector.resident.rota import Looked, Rota

if TYPE_CHECKING:
    from collections.abc import Iterator

EVERY = 0.02


class Gpu:
    """A GPU whose looks can be stopped.

    Attributes:
        looks: The threads that have looked, one by one.
    """

    def __init__(self) -> None:
        self.looks: list[threading.Thread] = []
        self.answers = threading.Event()
        self.answers.set()
        self.looked = Looked(self._look)

    def _look(self) -> None:
        self.looks.append(threading.current_thread())
        self.answers.wait(PATIENCE)

    def has_more(self, looks: int = 3) -> bool:
        """Whether it is looked at again and again from now on."""
        before = len(self.looks)
        wait_for(lambda: len(self.looks) >= before + looks, "looks")
        return True


@pytest.fixture
def gpus() -> list[Gpu]:
    return [Gpu() for _ in range(8)]


@pytest.fixture
def rota(gpus: list[Gpu]) -> Iterator[Rota]:
    rota = Rota(EVERY)
    for gpu in gpus:
        rota.add(gpu.looked)
    rota.wake()
    yield rota
    rota.stop()
    for gpu in gpus:
        gpu.answers.set()
    rota.join()
    assert not running(rota)


def running(rota: Rota) -> list[threading.Thread]:
    return [thread for thread in rota._threads if thread.is_alive()]  # noqa: SLF001  nobody else knows them


@pytest.mark.usefixtures("rota")
def test_one_thread_looks_at_all_of_them_and_another_the_next_time(gpus: list[Gpu]) -> None:
    assert all(gpu.has_more() for gpu in gpus)
    # Unless a busy machine interrupts it.
    wait_for(lambda: len({gpu.looks[-1] for gpu in gpus}) == 1, "one thread that has looked at all")
    # A busy machine may keep one of them from its time; the other one takes that too.
    wait_for(lambda: any(one is not other for one, other in itertools.pairwise(gpus[0].looks)), "the other's turn")


def test_two_threads_are_enough(rota: Rota, gpus: list[Gpu]) -> None:
    assert gpus[0].has_more(10)
    wait_for(lambda: len(running(rota)) <= 2, "two threads")


def test_a_look_that_hangs_holds_up_no_other_gpu(rota: Rota, gpus: list[Gpu]) -> None:
    gpus[2].answers.clear()
    gpus[5].answers.clear()
    for gpu in gpus[:2] + gpus[3:5] + gpus[6:]:
        assert gpu.has_more(5)
    stuck = (len(gpus[2].looks), len(gpus[5].looks))
    assert gpus[7].has_more(5)
    assert (len(gpus[2].looks), len(gpus[5].looks)) == stuck, "nobody else is to hang there"
    assert len({gpu.looks[-1] for gpu in (gpus[2], gpus[5])}) == 2
    for gpu in (gpus[2], gpus[5]):
        gpu.answers.set()
        assert gpu.has_more()
    # Those that took the place of the two have it no more.
    wait_for(lambda: len(running(rota)) <= 2, "two threads")


def test_a_gpu_whose_thread_is_busy_is_left_to_it(rota: Rota, gpus: list[Gpu]) -> None:
    with gpus[0].looked.turn:
        before = len(gpus[0].looks)
        assert gpus[1].has_more()
        assert len(gpus[0].looks) == before
        rota.stop()
        rota.join()
    gpus[0].looked.look_if_due()
    assert gpus[0].looks[before:] == [threading.current_thread()], "once, however often it was due"
    gpus[0].looked.look_if_due()
    assert len(gpus[0].looks) == before + 1


def test_nothing_wakes_up_while_every_gpu_rests(rota: Rota, gpus: list[Gpu]) -> None:
    assert gpus[0].has_more()
    for gpu in gpus:
        gpu.looked.resting = True
    wait_for(lambda: rota._waiting == len(running(rota)) <= 2, "threads that wait")  # noqa: SLF001  as above
    time.sleep(3 * EVERY)
    before = [len(gpu.looks) for gpu in gpus]
    time.sleep(3 * EVERY)
    assert [len(gpu.looks) for gpu in gpus] == before
    gpus[4].looked.resting = False
    rota.wake()
    assert gpus[4].has_more()
    assert len(gpus[3].looks) == before[3]


def test_without_threads_it_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the limit of processes is reached."""
    gpu, rota = Gpu(), Rota(EVERY)
    rota.add(gpu.looked)

    def fails(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as limit:
        limit.setattr(threading.Thread, "start", fails)
        rota.wake()
    assert not gpu.looks
    rota.wake()
    assert gpu.has_more()
    rota.stop()
    rota.join()
