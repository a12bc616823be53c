"""The document's file: whole, for everybody to read, and removed when it cannot be renewed."""

from __future__ import annotations

import resource
import stat
from typing import TYPE_CHECKING

import pytest

from tests.unit.collector.collector import checked
from zbx_nvidia.catalog import status
from zbx_nvidia.collector.document import Collection, Gpu, failed
from zbx_nvidia.collector.resident.descriptors import locked, pipe
from zbx_nvidia.collector.resident.output import Output

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

RELEASED = failed(status.RELEASED, "For 5 s more", 0.0, "resident")


def of_gpus(*states: str) -> Collection:
    gpus = [
        Gpu(place, state, {"uuid": f"GPU-{place}"} if state == "ok" else {}, {}, (), ())
        for place, state in enumerate(states)
    ]
    return Collection(status.OK, "", {}, len(gpus), gpus, [], [], {}, "resident", 0.1)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "document.json"


@pytest.fixture
def output(path: Path) -> Output:
    return Output(str(path))


def test_it_is_there_for_everybody_and_goes_at_the_end(output: Output, path: Path) -> None:
    output.write(RELEASED)
    assert checked(path.read_bytes()).code == status.RELEASED.code
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    output.close()
    assert not list(path.parent.iterdir())


def test_a_value_that_is_no_json_ends_a_document_and_not_the_service(output: Output, path: Path) -> None:
    broken = Gpu(0, "ok", {"uuid": "GPU-0", "power": float("nan")}, {}, (), ())
    output.write(of_gpus("ok")._replace(gpus=[broken]))
    answer = checked(path.read_bytes())
    assert answer.code == status.COLLECTOR_FAILED.code
    assert answer.message.startswith("ValueError: ")


def test_the_log_says_what_has_changed_and_nothing_twice(output: Output, capfd: pytest.CaptureFixture[str]) -> None:
    for collection in (of_gpus("ok", "ok"), of_gpus("ok", "ok"), of_gpus("ok", "lost"), RELEASED, RELEASED):
        output.write(collection)
    for seconds in (5, 10):
        silent = of_gpus("ok", "ok")._replace(status=status.STALLED, detail=f"No answer for {seconds} s from GPU 2")
        output.write(silent._replace(gpu_count=3))
    output.write(failed(status.DRIVER_NOT_LOADED, "NVML error 9: x", 0.0, "resident"))
    assert capfd.readouterr().err.splitlines() == [
        "zbx-nvidia-agent: 2 GPUs",
        "zbx-nvidia-agent: 2 GPUs, 1 of them lost or sick",
        "zbx-nvidia-agent: Released",
        "zbx-nvidia-agent: Stalled: no answer from GPU 2",
        "zbx-nvidia-agent: Driver not loaded: NVML error 9: x",
    ]


@pytest.fixture
def no_room() -> Iterator[None]:
    """Files of this process may have 600 bytes: a disk that is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (600, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_what_cannot_be_renewed_is_not_left_to_be_read(
    output: Output, path: Path, capfd: pytest.CaptureFixture[str], request: pytest.FixtureRequest
) -> None:
    output.write(RELEASED)
    request.getfixturevalue("no_room")
    for _ in range(3):
        output.write(of_gpus(*8 * ["ok"]))
        assert not list(path.parent.iterdir())
    said = capfd.readouterr().err
    assert said.count("cannot be written, and was removed: File too large") == 1


def test_a_place_that_goes_and_comes(output: Output, path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    output.write(RELEASED)
    aside = path.parent.with_name("aside")
    path.parent.rename(aside)
    for _ in range(3):
        output.write(RELEASED)
    aside.rename(path.parent)
    for _ in range(3):
        output.write(RELEASED)
    said = capfd.readouterr().err
    assert said.count("cannot be written, and was removed: No such file or directory") == 1
    assert said.count("is written again") == 1


def test_a_lock_is_had_once(tmp_path: Path) -> None:
    first = locked(str(tmp_path / "lock"))
    assert first is not None
    assert first > 2
    assert locked(str(tmp_path / "lock")) is None
    with pytest.raises(FileNotFoundError):
        locked(str(tmp_path / "none" / "lock"))


def test_a_pipe_is_no_standard_stream() -> None:
    assert min(pipe()) > 2
