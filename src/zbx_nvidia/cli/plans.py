"""Prints what a command would change on the server, and applies it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from zbx_nvidia.errors import RefusedError, ServerError

if TYPE_CHECKING:
    from collections.abc import Callable

    from zbx_nvidia.server.plan import Plan

OPTIONS = (
    click.option("--dry-run", is_flag=True, help="Print what would change, and change nothing."),
    click.option("--verbose", is_flag=True, help="Print every change, with the whole old and new value."),
    click.option("--json", "as_json", is_flag=True, help="Print the changes as JSON."),
)


def plan_options(command: Callable[..., None]) -> Callable[..., None]:
    """Gives a command the options `--dry-run`, `--verbose` and `--json`."""
    for option in reversed(OPTIONS):
        command = option(command)
    return command


def show_and_apply(plans: list[Plan], *, dry_run: bool, verbose: bool, as_json: bool) -> bool:
    """Prints the plans and, if none has a refusal, applies them. Returns whether it has changed anything."""
    from zbx_nvidia.cli import terminal  # noqa: PLC0415  so that the help is quick
    from zbx_nvidia.cli.preview import WIDTH, as_lines  # noqa: PLC0415  as above
    from zbx_nvidia.server.plan import as_data  # noqa: PLC0415  as above

    refusals = [plan.refusal for plan in plans if plan.refusal]
    changed = any(plan.changes for plan in plans)
    apply = changed and not dry_run and not refusals
    if not as_json:
        width = terminal.width(WIDTH)
        for plan in plans:
            click.echo("\n".join(as_lines(plan, width, verbose=verbose)))
    if apply:
        for plan in plans:
            if plan.changes:
                _apply(plan)
    if as_json:
        document = {"changed": changed, "applied": apply, "plans": [as_data(plan) for plan in plans]}
        click.echo(json.dumps(document, indent=2))
    elif apply:
        click.echo("Done.")
    elif changed and dry_run:
        click.echo("Dry run: nothing was changed.")
    if refusals:
        raise ServerError("; ".join(refusals))
    return apply


def _apply(plan: Plan) -> None:
    """Makes the changes. If the server refuses them since another run was faster, those that are left then."""
    while True:
        try:
            plan.apply()
        except RefusedError as error:
            refused = error
        else:
            return
        now = _again(plan)
        if now is None or now.refusal or now.changes == plan.changes:
            raise refused
        if not now.changes:
            return
        plan = now


def _again(plan: Plan) -> Plan | None:
    """The plan with what the server has now; None if there is none."""
    try:
        return plan.again() if plan.again else None
    except ServerError:
        return None
