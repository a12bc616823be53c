"""What every unit test may use: clocks for the processes that it starts."""

from __future__ import annotations

import itertools
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import pytest

from tests.conftest import installation_of_its_own
from tests.unit.clocks import Clocks
from zbx_nvidia.collector import lock

if TYPE_CHECKING:
    from tests.conftest import Machine


@pytest.fixture(scope="session", autouse=True)
def lock_of_its_own() -> None:
    """A command that runs within this process waits for no collection of another worker's."""
    if folder := installation_of_its_own():
        lock.__file__ = f"{folder}/zbx_nvidia/collector/lock.py"


@pytest.fixture(scope="session")
def clocks_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    library = tmp_path_factory.mktemp("clocks") / "clocks.so"
    source = Path(__file__).with_name("clocks.c")
    subprocess.run(["gcc", "-O2", "-Wall", "-Werror", "-shared", "-fPIC", "-o", library, source], check=True)
    return library


class ClocksFactory(Protocol):
    """The fixture `clocked`: `clocked(machine, speed=0.05)` gives what runs on this machine from now on such clocks."""

    def __call__(self, machine: Machine, *, speed: float = 1.0) -> Clocks: ...


@pytest.fixture
def clocked(tmp_path: Path, clocks_library: Path) -> ClocksFactory:
    numbers = itertools.count()

    def give(machine: Machine, *, speed: float = 1.0) -> Clocks:
        made = Clocks(tmp_path / f"clocks{next(numbers)}", clocks_library, speed)
        machine.env |= made.env
        return made

    return give
