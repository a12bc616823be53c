"""A process that has real pynvml on the simulated driver, and answers questions one after another."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Protocol

import pytest

from tests.forks import Fork

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import Machine

# Evaluates each line of standard input. An exception travels as its class's name; h(3) is the handle of GPU 3,
# m(0, 2) that of its MIG instance 2, plain(x) the members of a structure.
CLIENT = """
import json, os, sys, threading, time
from pynvml import *
import pynvml
def h(index): return nvmlDeviceGetHandleByIndex(index)
def of(call):
    try:
        return call()
    except (NVMLError, NVMLLibraryMismatchError):
        return None
class s: "What a test keeps between its questions."
def m(index, number): return nvmlDeviceGetMigDeviceHandleByIndex(h(index), number)
def field(index, *ids):
    return [(v.nvmlReturn, v.valueType, v.value.siVal, v.value.ullVal) for v in nvmlDeviceGetFieldValues(h(index), ids)]
def plain(structure):
    return {name: getattr(structure, name) for name, *_ in structure._fields_}
for line in sys.stdin:
    try:
        answer = eval(line)
    except Exception as error:
        answer = type(error).__name__
    print(json.dumps(answer, default=str), flush=True)
"""


class Client:
    """Asks a process of its own; it keeps the library open between the questions."""

    def __init__(self, machine: Machine) -> None:
        self.process = Fork(CLIENT, machine.env)

    def __call__(self, expression: str) -> Any:
        self.send(expression)
        answer = self.process.line()
        assert answer, f"the client died of {expression}: {self.process.end()}"
        return json.loads(answer)

    def send(self, expression: str) -> None:
        """Asks and does not wait for the answer."""
        self.process.stdin.write(expression + "\n")
        self.process.stdin.flush()

    def errors(self) -> str:
        """Ends the process and returns what it wrote on standard error."""
        return self.process.end()[2].decode()


class ClientFactory(Protocol):
    """The fixture `nvml`: `ask = nvml(machine)` starts a client on which nvmlInit was called."""

    def __call__(self, machine: Machine, *, init: bool = True) -> Client: ...


@pytest.fixture(autouse=True)
def _without_coverage(unmeasured: None) -> None:
    """The driver is what is tested here, and src/ has no part in it."""


@pytest.fixture
def nvml() -> Iterator[ClientFactory]:
    clients: list[Client] = []

    def start(machine: Machine, *, init: bool = True) -> Client:
        client = Client(machine)
        clients.append(client)
        if init:
            assert client("nvmlInit()") is None
        return client

    yield start
    for client in clients:
        client.process.close()
