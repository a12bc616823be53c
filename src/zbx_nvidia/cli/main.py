"""Entry point of `zbx-nvidia`."""

from __future__ import annotations

import difflib
import errno
import importlib
import io
import sys
from typing import Any

import click

from zbx_nvidia import __version__
from zbx_nvidia.errors import ZbxNvidiaError

# Command -> module:function. A module is imported when its command is run or listed, and imports what it works with
# only when it runs: the help must not wait for YAML and HTTP.
COMMANDS = {
    "show": "zbx_nvidia.cli.show:show",
    "check": "zbx_nvidia.cli.check:check",
    "run": "zbx_nvidia.cli.run:run",
    "runs": "zbx_nvidia.cli.runs:runs",
    "job": "zbx_nvidia.cli.job:job",
    "install-agent": "zbx_nvidia.cli.host:install_agent",
    "uninstall-agent": "zbx_nvidia.cli.host:uninstall_agent",
    "install-template": "zbx_nvidia.cli.templates:install_template",
    "uninstall-template": "zbx_nvidia.cli.templates:uninstall_template",
    "install-dashboard": "zbx_nvidia.cli.dashboards:install_dashboard",
    "uninstall-dashboard": "zbx_nvidia.cli.dashboards:uninstall_dashboard",
    "add-host": "zbx_nvidia.cli.hosts:add_host",
    "report": "zbx_nvidia.cli.report:report",
    "doctor": "zbx_nvidia.cli.doctor:doctor",
    "template": "zbx_nvidia.cli.template:template",
    "userparameters": "zbx_nvidia.cli.template:userparameters",
    "completion": "zbx_nvidia.cli.completion:completion",
    "unpack": "zbx_nvidia.cli.unpack:unpack",
}


class Commands(click.Group):
    """A group that prints this package's errors as one line, without a traceback, and exits with their code."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  click's signature
        """The names of all commands, in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002  click's signature
        """The command of that name."""
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name].partition(":")
        command = getattr(importlib.import_module(module), attribute)
        assert isinstance(command, click.Command)  # noqa: S101  the table above is wrong
        # After a line with a backspace alone, click does not rewrap. Docstrings are raw: they have the two characters
        # \b, which click does not recognize.
        command.help = (command.help or "").replace("\\b\n", "\b\n")
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command of these arguments; a mistyped one is answered with the most similar."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            similar = difflib.get_close_matches(args[0], COMMANDS, n=1)
            if not similar:
                raise
            raise click.UsageError(f"{error.message} Did you mean {similar[0]!r}?", ctx) from None

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401  what a command returns is click's business
        """Run the command that was asked for."""
        if isinstance(sys.stdout, io.TextIOWrapper):
            # A terminal without a degree sign shows a question mark.
            sys.stdout.reconfigure(errors="replace")
        try:
            return super().invoke(ctx)
        except ZbxNvidiaError as error:
            click.echo(f"Error: {error}", err=True)
            ctx.exit(error.exit_code)
        except OSError as error:
            if error.errno == errno.EPIPE:
                raise  # the reader closed the pipe; click handles it
            where = f"{error.filename}: " if error.filename else ""
            click.echo(f"Error: {where}{error.strerror or error}", err=True)
            ctx.exit(1)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="zbx-nvidia")
def main() -> None:
    """Watch NVIDIA GPUs in Zabbix."""
