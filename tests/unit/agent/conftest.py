"""Nothing that a test of the collector starts outlives it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.conftest import Machine
from tests.unit.agent import collector

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.conftest import MachineFactory


@pytest.fixture(autouse=True)
def _ends_what_hangs(tmp_path: Path) -> Iterator[None]:
    yield
    collector.end(tmp_path)


@pytest.fixture
def eight(machine: MachineFactory) -> Machine:
    """A machine of eight H100, its time frozen: what a fault does not touch reads the same."""
    return machine("h100x8", clock=collector.CLOCK)


@pytest.fixture(scope="session")
def well(tmp_path_factory: pytest.TempPathFactory, simulator_library: Path, profiles: Path) -> collector.Answer:
    """The same machine when all is well."""
    copy = tmp_path_factory.mktemp("well") / "h100x8.profile"
    copy.write_text((profiles / "h100x8.profile").read_text())
    answer = collector.get(Machine(copy, simulator_library, collector.CLOCK).env)
    assert answer.code == 0
    assert len(answer.by_index) == len(answer.rows) == 8
    return answer
