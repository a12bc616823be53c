"""`zbx-nvidia run`: a job, and what it took."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from zbx_nvidia.errors import HostError

if TYPE_CHECKING:
    from collections.abc import Sequence


@click.command(context_settings={"allow_interspersed_args": False})
@click.option("--name", default="", metavar="NAME", help="Name of the run.  [default: that of the program]")
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def run(*, name: str, command: Sequence[str]) -> None:
    r"""Run a job, and print what it took when it ends.

    Prints wall time, CPU time and peak memory of the job and of all processes that it started. For each GPU that they
    used: energy, power, utilization, memory, temperature, and the share of time in which it was throttled. This goes
    to standard error. The job has the terminal, the streams, the signals and the exit code as without this command.
    `zbx-nvidia runs` lists and compares the figures, which are stored for this user only, with the command.

    \b
    Example:
      zbx-nvidia run -- python train.py --epochs 3
      zbx-nvidia run --name cpu -- python train.py cpu
    """
    if not hasattr(os, "fork"):
        raise HostError("zbx-nvidia run needs Linux: run it on the GPU host")
    from zbx_nvidia.jobs.measure import Measurement  # noqa: PLC0415  --help needs none of it
    from zbx_nvidia.jobs.released import Released  # noqa: PLC0415  as above

    released = Released()
    measurement = Measurement(command, released)
    figures = measurement.run()
    if released.why:
        figures["driver"] = f"the service on this host says: {released.why}"
    _report({"name": name or Path(command[0]).name, "command": list(command), **figures})
    measurement.end_as_the_job()
    raise click.exceptions.Exit(figures["exit_code"])


def _report(figures: dict[str, Any]) -> None:
    """Print and store the figures. Whatever fails there is no failure of the job."""
    import signal  # noqa: PLC0415  as above

    from zbx_nvidia.cli import summary, terminal  # noqa: PLC0415  as above
    from zbx_nvidia.jobs import records  # noqa: PLC0415  as above

    # A shell that was the job may have left us in the background of the terminal.
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    lines = summary.of_run(figures, terminal.look(stream=sys.stderr))
    try:
        records.add(records.path_of(os.environ), figures)
    except OSError as error:
        lines.append(f"Not stored: {error.filename}: {error.strerror}")
    with contextlib.suppress(OSError):
        click.echo("\n".join(lines), err=True, color=True)  # whether there is to be color was decided by `look`
