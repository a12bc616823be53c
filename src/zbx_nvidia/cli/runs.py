"""`zbx-nvidia runs`: the runs of this user, and two of them side by side."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from pathlib import Path

    from zbx_nvidia.jobs.records import Stored

_LISTED = 20


@click.command()
@click.option(
    "--compare", nargs=2, metavar="A B", help="Compare two runs, each by its number, or the newest of a name."
)
@click.option("--json", "as_json", is_flag=True, help="Print all figures of all runs, or of the two, as JSON.")
def runs(*, compare: tuple[str, str] | None, as_json: bool) -> None:
    r"""List the jobs that `zbx-nvidia run` has measured, or compare two of them.

    Each user has a private file: zbx-nvidia/runs.jsonl in $XDG_STATE_HOME, by default in ~/.local/state. It has at
    least the 1,000 newest runs.

    \b
    Example:
      zbx-nvidia runs
      zbx-nvidia runs --compare cpu gpu
      zbx-nvidia runs --json | jq '.runs[-1].gpus'
    """
    from zbx_nvidia.cli import summary, terminal  # noqa: PLC0415  --help needs none of it
    from zbx_nvidia.jobs import compare as comparison  # noqa: PLC0415  as above
    from zbx_nvidia.jobs import records  # noqa: PLC0415  as above

    path = records.path_of(os.environ)
    stored = records.load(path)
    if stored.skipped:
        lines = f"{stored.skipped} line{'s are' if stored.skipped > 1 else ' is'}"
        click.echo(f"{path}: {lines} no run, and left out", err=True)
    if compare:
        first, second = (records.find(stored.runs, wanted) for wanted in compare)
        if as_json:
            click.echo(_json({"runs": [first, second], "comparison": comparison.ratios(first, second)}))
            return
        shown = summary.compared(first, second, terminal.look())
    elif as_json:
        click.echo(_json({"runs": stored.runs, "skipped": stored.skipped}))
        return
    else:
        shown = _listed(stored, path)
    click.echo("\n".join(shown), color=True)  # whether there is to be color was decided by `look`


def _listed(stored: Stored, path: Path) -> list[str]:
    from zbx_nvidia.cli import summary, terminal  # noqa: PLC0415  as above

    if not stored.runs:
        return [f"No runs in {path}. Run `zbx-nvidia run -- COMMAND`."]
    shown = summary.table(stored.runs[-_LISTED:], terminal.look())
    earlier = len(stored.runs) - _LISTED
    return [*shown, f"{earlier} earlier: --json prints them all"] if earlier > 0 else shown


def _json(figures: dict[str, Any]) -> str:
    """ASCII, so that no terminal obeys it."""
    return json.dumps(figures, indent=1)
