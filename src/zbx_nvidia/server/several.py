"""Several requests at a time, each on a connection of its own; their answers come in the order of the questions."""

from __future__ import annotations

import contextlib
import queue
import threading
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from zbx_nvidia.server.connection import Connection

# Seconds. A signal that comes after Python's last look for one and before its wait in the kernel does not end the wait:
# of 2,400 reports on a busy machine, one did not notice Ctrl-C. So we never wait for longer than this at once.
LOOK = 0.5

Question = TypeVar("Question")
Answer = TypeVar("Answer")


class _Outcome(NamedTuple):
    """What came of a question: an answer, or an error."""

    number: int
    answer: object = None
    error: BaseException | None = None


def _taken(done: queue.SimpleQueue[_Outcome]) -> _Outcome:
    """The next outcome."""
    while True:
        with contextlib.suppress(queue.Empty):
            return done.get(timeout=LOOK)


def in_order(
    zabbix: Connection, ask: Callable[[Connection, Question], Answer], questions: Iterable[Question], at_once: int
) -> Iterator[tuple[Question, Answer]]:
    """Asks these questions, some at a time, and yields each with its answer.

    An error ends all at once, whichever question it is of, and none is asked after it. Nobody waits for the requests
    that are still under way then, nor after Ctrl-C: their threads are daemons, those of `concurrent.futures` are not.

    Args:
        zabbix: The connection whose login they use.
        ask: Asks one, on the connection that it is given.
        questions: Taken one by one, while answers come.
        at_once: How many are under way, or are answered but not taken yet.
    """
    todo: queue.SimpleQueue[tuple[int, Question] | None] = queue.SimpleQueue()
    done: queue.SimpleQueue[_Outcome] = queue.SimpleQueue()

    def work() -> None:
        with contextlib.closing(zabbix.beside()) as connection:
            while given := todo.get():
                number, question = given
                try:
                    done.put(_Outcome(number, ask(connection, question)))
                except BaseException as error:  # noqa: BLE001  whoever takes the answers raises it
                    done.put(_Outcome(number, error=error))
                    return

    rest = enumerate(questions)
    asked: dict[int, Question] = {}
    answers: dict[int, object] = {}
    try:
        for each in islice(rest, at_once):
            threading.Thread(target=work, name="question", daemon=True).start()
            asked[each[0]] = each[1]
            todo.put(each)
        while asked:
            number = min(asked)
            while number not in answers:
                outcome = _taken(done)
                if outcome.error is not None:
                    raise outcome.error
                answers[outcome.number] = outcome.answer
            # The next is asked before this one is looked at, so that as many as may be are always under way.
            for each in islice(rest, 1):
                asked[each[0]] = each[1]
                todo.put(each)
            yield asked.pop(number), answers.pop(number)  # type: ignore[misc]  # by number, each is of its question
    finally:
        for _ in range(at_once):
            todo.put(None)
