"""Several requests at a time: the answers in order, never more than may be, and an end at once after an error."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import PATIENCE
from zbx_nvidia.errors import ServerError
from zbx_nvidia.server.connection import Basic, Connection, Credentials, connect
from zbx_nvidia.server.several import in_order

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

TOKEN = Credentials(token="t0ken" * 12)
PASSWORD = Credentials(user="robot", password="c0rrect")  # noqa: S106  of no real account


def ask(zabbix: Connection, number: int) -> int:
    (row,) = zabbix.call("trend.get", {"itemids": [str(number)]})
    return int(row["num"])


def answering(answers: Any, do: Callable[[int], None]) -> Any:
    """An answer that repeats the number of the question, after this was done with it."""

    def answer(request: dict[str, Any], _headers: object) -> Any:
        (itemid,) = request["params"]["itemids"]
        do(int(itemid))
        return answers["result"]([{"num": itemid}])

    return answer


def test_answers_come_in_order_whichever_is_ready_first(front: Any, answers: Any) -> None:
    answered = [threading.Event() for _ in range(6)]

    def backwards(number: int) -> None:
        if number % 3 < 2:
            assert answered[number + 1].wait(PATIENCE)
        answered[number].set()

    front.answers["trend.get"] = answering(answers, backwards)
    with connect(front.url, TOKEN) as zabbix:
        assert list(in_order(zabbix, ask, range(6), 3)) == [(number, number) for number in range(6)]


@pytest.mark.parametrize("at_once", [1, 2, 4])
def test_as_many_are_under_way_as_may_be_and_no_more(front: Any, answers: Any, at_once: int) -> None:
    together = threading.Barrier(at_once)
    lock = threading.Lock()
    under_way: list[int] = []
    most = 0

    def together_only(number: int) -> None:
        nonlocal most
        with lock:
            under_way.append(number)
            most = max(most, len(under_way))
        together.wait(PATIENCE)
        with lock:
            under_way.remove(number)

    front.answers["trend.get"] = answering(answers, together_only)
    with connect(front.url, TOKEN) as zabbix:
        found = [answer for _, answer in in_order(zabbix, ask, range(3 * at_once), at_once)]
    assert found == list(range(3 * at_once))
    assert most == at_once


def test_what_is_not_taken_yet_counts_too(front: Any, answers: Any) -> None:
    front.answers["trend.get"] = answering(answers, lambda _: None)
    taken: list[int] = []

    def questions() -> Any:
        for number in range(20):
            # Else the answers that wait would fill the memory.
            assert number - len(taken) <= 2
            yield number

    with connect(front.url, TOKEN) as zabbix:
        for _, answer in in_order(zabbix, ask, questions(), 2):
            taken.append(answer)
    assert taken == list(range(20))


def test_an_error_ends_all_although_the_others_hang(front: Any, answers: Any) -> None:
    hang = threading.Event()

    def answer(request: dict[str, Any], _headers: object) -> Any:
        if request["params"]["itemids"] == ["2"]:
            return answers["error"]("No luck today.")
        hang.wait(PATIENCE)
        return answers["result"]([])

    front.answers["trend.get"] = answer
    try:
        with connect(front.url, TOKEN, timeout=10 * PATIENCE) as zabbix:
            with pytest.raises(ServerError) as caught:
                list(in_order(zabbix, ask, range(20), 3))
            assert not hang.is_set()
    finally:
        hang.set()
    line = str(caught.value)
    assert "trend.get" in line
    assert "No luck today" in line
    assert "\n" not in line
    asked = [request["params"]["itemids"] for request, _ in front.requests if request["method"] == "trend.get"]
    assert len(asked) <= 3


def test_no_question_is_no_answer(front: Any) -> None:
    with connect(front.url, TOKEN) as zabbix:
        assert list(in_order(zabbix, ask, (), 4)) == []


@pytest.mark.parametrize(
    ("version", "before"), [("6.0.14", Basic()), ("6.0.14", Basic("door", "keeper")), ("7.0.22", Basic())]
)
def test_all_are_of_one_login(front: Any, answers: Any, version: str, before: Basic) -> None:
    front.answers["apiinfo.version"] = answers["result"](version)
    front.answers["trend.get"] = answering(answers, lambda _: None)
    with connect(front.url, PASSWORD, front=before) as zabbix:
        list(in_order(zabbix, ask, range(8), 4))
    assert front.methods().count("user.login") == front.methods().count("user.logout") == 1
    sent = [each for each in front.requests if each[0]["method"] == "trend.get"]
    assert len(sent) == 8
    for request, headers in sent:
        header = headers.get("Authorization", "")
        assert "5e55" * 8 in (request.get("auth"), header.removeprefix("Bearer "))
        assert header.startswith("Basic ") == bool(before.user)


def test_all_trust_what_the_first_one_trusts(tls_front: Any, answers: Any, certificate: Path) -> None:
    tls_front.answers["trend.get"] = answering(answers, lambda _: None)
    with connect(tls_front.url, TOKEN, ca_file=certificate) as zabbix:
        assert len(list(in_order(zabbix, ask, range(3), 2))) == 3


# A signal that another thread takes does not end the wait of the main thread, as one that comes just before the wait.
TAKEN_BY_ANOTHER = """
import os, signal, threading, types
from zbx_nvidia.server.several import in_order

def ask(connection, number):
    if number == 0:
        print("asked", flush=True)
        os.read(0, 1)
        signal.pthread_kill(threading.get_ident(), signal.SIGINT)
    threading.Event().wait()

zabbix = types.SimpleNamespace(beside=lambda: types.SimpleNamespace(close=lambda: None))
list(in_order(zabbix, ask, range(4), 2))
"""


def test_control_c_that_comes_just_before_a_wait_is_noticed() -> None:
    command = [sys.executable, "-c", TAKEN_BY_ANOTHER]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, text=True, stdin=pipe, stdout=pipe, stderr=pipe) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "asked\n"
            _, errors = process.communicate("x", timeout=PATIENCE)
        finally:
            process.kill()
    assert process.returncode == -signal.SIGINT
    assert errors.endswith("KeyboardInterrupt\n")
