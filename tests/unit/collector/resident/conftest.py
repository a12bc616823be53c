"""Services that end with their test."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import pytest

from tests.conftest import PATIENCE
from tests.unit.collector.resident.service import Service

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.conftest import Machine


class ServiceFactory(Protocol):
    """The fixture `serve`: `serve(machine, stall=STALL)`."""

    def __call__(self, machine: Machine, **config: str) -> Service: ...


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[ServiceFactory]:
    """Starts services; what is left of them is ended by `_ends_what_hangs`, which is older and so ends later."""
    made: list[Service] = []

    def start(machine: Machine, **config: str) -> Service:
        folder = tmp_path / f"s{len(made)}"
        folder.mkdir()
        made.append(Service(machine.env, folder, **config))
        return made[-1]

    yield start
    for service in made:
        if service.process.poll() is None:
            service.process.kill()
        service.process.wait(PATIENCE)
