"""`zbx-nvidia job`: says which job has which GPU, for the prolog and the epilog of a batch system."""

from __future__ import annotations

import os

import click

from zbx_nvidia.errors import HostError, UsageError


@click.command()
@click.argument("event", type=click.Choice(["begin", "end"]))
@click.option("--id", "job", envvar="SLURM_JOB_ID", required=True, metavar="ID", help="ID of the job.")
@click.option("--name", envvar="SLURM_JOB_NAME", default="", metavar="NAME", help="Name of the job.")
@click.option("--uid", envvar="SLURM_JOB_UID", type=click.IntRange(0, 2**32 - 2), help="Number of its user.")
@click.option("--gpus", metavar="LIST", help="Its GPUs: indices such as 0,2-3, or UUIDs also of MIG instances.")
def job(*, event: str, job: str, name: str, uid: int | None, gpus: str | None) -> None:
    r"""Say which job has which GPU, so that Zabbix shows it.

    For the prolog and the epilog of a batch system, as root. In those of Slurm, no option is needed: ID, user and GPUs
    follow from SLURM_JOB_ID, SLURM_JOB_UID and SLURM_JOB_GPUS, and the name from SLURM_JOB_NAME if Slurm sets it. For a
    job without GPUs, the command does nothing.

    \b
    Example:
      zbx-nvidia job begin
      zbx-nvidia job begin --id 4711 --uid 1000 --gpus 0-3
      zbx-nvidia job end --id 4711
    """
    from zbx_nvidia.jobs import prolog  # noqa: PLC0415  --help needs none of it

    if os.geteuid():
        raise HostError("only root can say which job has which GPU: run this in the prolog of slurmd, or with sudo")
    if event == "end":
        prolog.end(job)
        return
    if uid is None:
        raise UsageError("the user of the job is not known: give --uid, or run this in the prolog of Slurm")
    prolog.begin(job, name, uid, prolog.gpus_of(os.environ) if gpus is None else gpus)
