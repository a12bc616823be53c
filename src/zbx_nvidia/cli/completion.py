"""`zbx-nvidia completion`."""

from __future__ import annotations

import click
from click.shell_completion import ShellComplete, get_completion_class

SHELLS = ("bash", "zsh", "fish")
PROGRAM = "zbx-nvidia"
# With this variable a shell asks click for completions.
VARIABLE = "_ZBX_NVIDIA_COMPLETE"


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def completion(ctx: click.Context, *, shell: str) -> None:
    r"""Print a script that makes a shell complete this command.

    Write it where the shell looks for completions, and open a new shell. bash needs the package bash-completion, zsh a
    directory of its $fpath.

    \b
    Example:
      zbx-nvidia completion bash > /usr/share/bash-completion/completions/zbx-nvidia
      zbx-nvidia completion zsh > /usr/local/share/zsh/site-functions/_zbx-nvidia
      zbx-nvidia completion fish > /etc/fish/completions/zbx-nvidia.fish
    """
    kind = get_completion_class(shell)
    assert kind is not None  # noqa: S101  click knows these three
    # Not kind.source, which starts bash to check its version: the file may be for another machine.
    complete = kind(ctx.find_root().command, {}, PROGRAM, VARIABLE)
    text = ShellComplete.source(complete)
    # With click 8.5.1 every second tab key does nothing in zsh: loaded from $fpath, the file runs as a function, the
    # second time in the branch that only registers. So the first run registers too.
    call = f'    {complete.func_name} "$@"\n'
    click.echo(text.replace(call, f"    compdef {complete.func_name} {PROGRAM}\n{call}"))
