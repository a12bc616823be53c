"""Services that end with their test."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import pytest

from tests.conftest import PATIENCE
from tests.unit.clocks import Clocks
from tests.unit.collector.resident.service import FAST, Service

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.conftest import Machine


class ServiceFactory(Protocol):
    """The fixture `serve`: `serve(machine, stall=STALL)`.

    Time goes by faster for the service than for the test, unless the test has given clocks to the machine.
    """

    def __call__(self, machine: Machine, *, speed: float = FAST, **config: str) -> Service: ...


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A test of a real service is slow, for it waits for rounds. Of all others, test_state.py asks the pure state.

    Those of test_serve.py are not: that the service starts, answers and ends is seen in everyday work too.
    """
    for item in items:
        if isinstance(item, pytest.Function) and "serve" in item.fixturenames and item.path.name != "test_serve.py":
            item.add_marker("slow")


@pytest.fixture
def serve(tmp_path: Path, clocks_library: Path) -> Iterator[ServiceFactory]:
    """Starts services; what is left of them is ended by `_ends_what_hangs`, which is older and so ends later."""
    made: list[Service] = []

    def start(machine: Machine, *, speed: float = FAST, **config: str) -> Service:
        folder = tmp_path / f"s{len(made)}"
        folder.mkdir()
        env = machine.env
        if speed != 1 and "TEST_CLOCKS" not in env:
            env = {**env, **Clocks(folder / "clocks", clocks_library, speed).env}
        made.append(Service(env, folder, **config))
        return made[-1]

    yield start
    for service in made:
        if service.process.poll() is None:
            service.process.kill()
        service.process.wait(PATIENCE)
