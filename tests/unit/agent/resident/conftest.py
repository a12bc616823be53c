"""Services that end with their test."""

from __future__ import annotations

import mmap
import struct
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import pytest

from tests.unit.agent.resident.service import Service

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import Machine


class Clocks:
    """The clocks of what runs with `env`: clocks.c says how."""

    def __init__(self, path: Path, library: Path, speed: float = 1.0) -> None:
        path.write_bytes(struct.pack("4d", 0.0, speed, time.monotonic(), time.time()))
        self.env = {"TEST_CLOCKS": str(path), "LD_PRELOAD": str(library)}
        self._speed = speed
        with path.open("r+b") as file:
            self._shared = mmap.mmap(file.fileno(), 0)
        self._since, self._begin = time.time(), time.monotonic()

    def jump(self, seconds: float) -> None:
        """Set the wall clock so much ahead, or behind, of what it would show."""
        struct.pack_into("d", self._shared, 0, seconds)

    def time(self) -> float:
        """What the wall clock shows."""
        (jump,) = struct.unpack_from("d", self._shared, 0)
        return float(self._since + (time.time() - self._since) * self._speed + jump)

    def monotonic(self) -> float:
        """What the other one shows."""
        return self._begin + (time.monotonic() - self._begin) * self._speed


@pytest.fixture(scope="session")
def clocks_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    library = tmp_path_factory.mktemp("clocks") / "clocks.so"
    source = Path(__file__).with_name("clocks.c")
    subprocess.run(["gcc", "-O2", "-Wall", "-Werror", "-shared", "-fPIC", "-o", library, source], check=True)
    return library


class ServiceFactory(Protocol):
    """The fixture `serve`: `serve(machine, stall="2s")`."""

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
        service.process.wait(10)
