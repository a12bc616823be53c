"""Nothing that a test of the collector starts outlives it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.conftest import MEASURES, Machine
from tests.unit.collector import collector

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.conftest import MachineFactory


@pytest.fixture(autouse=True)
def _ends_what_hangs(tmp_path: Path) -> Iterator[None]:
    yield
    collector.end(tmp_path)


@pytest.fixture(autouse=True)
def _without_coverage(unmeasured: None) -> None:
    """With coverage.py a collection took three times as long."""


@pytest.fixture
def eight(machine: MachineFactory) -> Machine:
    """A machine of eight H100, its time frozen: what a fault does not touch reads the same."""
    return machine("h100x8", clock=collector.CLOCK)


@pytest.fixture(scope="session")
def well(tmp_path_factory: pytest.TempPathFactory, simulator_library: Path, profiles: Path) -> collector.Answer:
    """The same machine when all is well."""
    copy = tmp_path_factory.mktemp("well") / "h100x8.profile"
    copy.write_text((profiles / "h100x8.profile").read_text())
    env = Machine(copy, simulator_library, collector.CLOCK).env
    answer = collector.get({name: value for name, value in env.items() if name not in MEASURES})
    assert answer.code == 0
    assert len(answer.by_index) == len(answer.rows) == 8
    return answer
