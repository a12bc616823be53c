"""The files by which root says which job has which GPU, for the prolog and the epilog of a batch system."""

from __future__ import annotations

import json
import os
import re
import stat
import time
from pathlib import Path
from typing import TYPE_CHECKING

from zbx_nvidia.collector.job import LONGEST, OWN
from zbx_nvidia.errors import HostError, UsageError
from zbx_nvidia.jobs.fitness import choice

if TYPE_CHECKING:
    from collections.abc import Mapping

_ID = re.compile(rf"[A-Za-z0-9_+][A-Za-z0-9_.+-]{{0,{LONGEST - 1}}}")  # it becomes the name of a file
# In the prolog, and in that of older Slurm.
_GPUS = ("SLURM_JOB_GPUS", "GPU_DEVICE_ORDINAL", "CUDA_VISIBLE_DEVICES")


def begin(job: str, name: str, uid: int, gpus: str, folder: str = OWN) -> Path | None:
    """Write down that a job has GPUs.

    Args:
        job: Its ID.
        name: Its name, or "".
        uid: Of its user.
        gpus: Indices or UUIDs of GPUs or MIG instances, between commas.
        folder: Where the collector looks.

    Returns:
        The file; None if the job has no GPU.

    Raises:
        UsageError: The ID or a GPU is impossible.
        HostError: Others can write to the directory.
        OSError: It cannot be written.
    """
    path = _path(job, folder)
    named = choice(gpus)
    if named is None or any(":" in one for one in named):  # the collector knows no PCI addresses
        raise UsageError(f"{gpus[:LONGEST]}: name the GPUs of the job by index or UUID")
    if not named:
        return None
    path.parent.mkdir(mode=0o755, exist_ok=True)
    about = path.parent.lstat()
    if not stat.S_ISDIR(about.st_mode) or about.st_uid != os.geteuid() or about.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise HostError(f"{path.parent} is not a directory that only this user can write to: remove it")
    text = json.dumps({"id": job, "name": name[:LONGEST], "uid": uid, "gpus": named, "since": int(time.time())})
    new = path.with_suffix(".new")
    new.write_text(text + "\n", encoding="utf-8")
    new.chmod(0o644)  # whatever the umask of the batch system is: the collector is not root
    path.parent.chmod(0o755)
    new.replace(path)
    return path


def end(job: str, folder: str = OWN) -> None:
    """Remove the file of a job, if there is one.

    Raises:
        UsageError: The ID is impossible.
        OSError: It cannot be removed.
    """
    _path(job, folder).unlink(missing_ok=True)


def gpus_of(environment: Mapping[str, str]) -> str:
    """The GPUs of a job, as Slurm says them to its prolog; "" for none."""
    visible = environment.get("CUDA_VISIBLE_DEVICES", "")
    if "MIG-" in visible:
        # Slurm numbers MIG instances as if they were GPUs: SLURM_JOB_GPUS would name other GPUs, or none.
        return visible
    return next((environment[name] for name in _GPUS if environment.get(name)), "")


def _path(job: str, folder: str) -> Path:
    if not _ID.fullmatch(job):
        raise UsageError(f"not the ID of a job: {job[:LONGEST]!r}")
    return Path(folder) / f"{job}.json"
