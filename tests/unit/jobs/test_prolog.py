"""`zbx-nvidia job`: what the prolog and the epilog of Slurm write and remove, and that the collector reads it."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.unit.collector.test_job import as_root
from zbx_nvidia.cli.main import main
from zbx_nvidia.collector.job import files_in, held
from zbx_nvidia.errors import HostError, UsageError
from zbx_nvidia.jobs import prolog


@pytest.fixture
def folder(tmp_path: Path) -> str:
    return str(tmp_path / "jobs")


def test_the_collector_reads_what_the_prolog_writes(folder: str) -> None:
    before = os.umask(0o077)
    try:
        path = prolog.begin("4711", "train", 1000, "0,2-3,GPU-1", folder)
    finally:
        os.umask(before)
    assert path is not None
    assert path.stat().st_mode & 0o777 == 0o644
    assert path.parent.stat().st_mode & 0o777 == 0o755
    (found,) = files_in(folder)
    assert found._replace(since=0) == (frozenset({"0", "2", "3", "GPU-1"}), "4711", "train", 1000, 0)
    assert abs(found.since - time.time()) < 600
    assert [one["id"] for one in held([], [found], {"2"})] == ["4711"]
    prolog.end("4711", folder)
    assert list(Path(folder).iterdir()) == []
    prolog.end("4711", folder)


def test_a_job_without_a_gpu_is_not_written_down(folder: str) -> None:
    assert prolog.begin("4711", "train", 1000, "", folder) is None
    assert not Path(folder).exists()
    prolog.end("4711", folder)


@pytest.mark.parametrize("job", ["", "../4711", "a/b", ".4711", "-x", "4711\n", "x" * 65])
def test_an_id_is_no_path(folder: str, job: str) -> None:
    with pytest.raises(UsageError, match="not the ID of a job"):
        prolog.begin(job, "", 0, "0", folder)
    with pytest.raises(UsageError, match="not the ID of a job"):
        prolog.end(job, folder)


@pytest.mark.parametrize("gpus", ["all", "../0", "first", "0,0000:01:00.0"])
def test_a_gpu_has_an_index_or_a_uuid(folder: str, gpus: str) -> None:
    with pytest.raises(UsageError):
        prolog.begin("4711", "", 0, gpus, folder)


def test_a_directory_of_others_is_not_used(tmp_path: Path, folder: str) -> None:
    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobs").chmod(0o777)
    with pytest.raises(HostError, match="only this user can write to"):
        prolog.begin("4711", "", 0, "0", folder)
    (tmp_path / "jobs").rmdir()
    (tmp_path / "jobs").symlink_to(tmp_path)
    with pytest.raises(HostError, match="only this user can write to"):
        prolog.begin("4711", "", 0, "0", folder)


def test_slurm_says_it_in_several_ways() -> None:
    assert prolog.gpus_of({"SLURM_JOB_GPUS": "0,1", "CUDA_VISIBLE_DEVICES": "2"}) == "0,1"
    assert prolog.gpus_of({"CUDA_VISIBLE_DEVICES": "2"}) == "2"
    assert prolog.gpus_of({"SLURM_JOB_GPUS": ""}) == ""
    assert prolog.gpus_of({"SLURM_JOB_GPUS": "9", "CUDA_VISIBLE_DEVICES": "MIG-1"}) == "MIG-1", "9 is no index of NVML"


@as_root
def test_the_command_takes_all_from_slurm() -> None:
    slurm = {"SLURM_JOB_ID": "zbx-nvidia-test", "SLURM_JOB_UID": "1000", "SLURM_JOB_GPUS": "GPU-nobody"}
    path = Path("/run/zbx-nvidia-jobs/zbx-nvidia-test.json")
    try:
        assert CliRunner().invoke(main, ["job", "begin"], env=slurm).exit_code == 0
        assert '"gpus": ["GPU-nobody"]' in path.read_text(encoding="utf-8")
    finally:
        assert CliRunner().invoke(main, ["job", "end"], env=slurm).exit_code == 0
    assert not path.exists()
    with contextlib.suppress(OSError):  # unless it is in use
        path.parent.rmdir()
    assert CliRunner().invoke(main, ["job", "begin"], env={**slurm, "SLURM_JOB_UID": None}).exit_code == 2
    assert CliRunner().invoke(main, ["job", "end"], env={"SLURM_JOB_ID": None}).exit_code == 2
