"""Completion in real shells, with the files where the shells look for them."""

from __future__ import annotations

import os
import pty
import re
import select
import shutil
import subprocess
import sysconfig
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from tests.conftest import PATIENCE
from zbx_nvidia.cli.completion import SHELLS
from zbx_nvidia.cli.main import COMMANDS

if TYPE_CHECKING:
    from collections.abc import Iterator

SCRIPTS = sysconfig.get_path("scripts")
# What is typed before the tab key, and what it adds. {} is a folder with the one file `token`.
CASES = {
    "a command": ("comple", "tion "),
    "an option": ("template --var", "iant "),
    "a choice": ("add-host --variant act", "ive "),
    "a choice that takes a module to know": ("template --zabbix 6", ".0 "),
    "an argument": ("completion fi", "sh "),
    "a file": ("install-template --token-file {}/tok", "en "),
    "a program": ("userparameters --command {}/tok", "en "),
}


def script(shell: str) -> str:
    done = subprocess.run(
        [f"{SCRIPTS}/zbx-nvidia", "completion", shell],
        capture_output=True,
        text=True,
        check=True,
        env={"PATH": "/none"},
    )
    return done.stdout


@pytest.fixture(scope="module", params=SHELLS)
def shell(request: pytest.FixtureRequest) -> str:
    assert isinstance(request.param, str)
    if not shutil.which(request.param):
        pytest.fail(f"{request.param} is missing: scripts/system-packages.sh {request.param}", pytrace=False)
    return request.param


class Terminal:
    """A shell that believes somebody types."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._seen = ""

    def type(self, text: str) -> None:
        os.write(self._descriptor, text.encode())

    def until(self, pattern: str) -> re.Match[str]:
        """Read until this comes; what came before it is gone."""
        end = time.monotonic() + PATIENCE
        while not (found := re.search(pattern, self._seen)):
            if not select.select([self._descriptor], [], [], max(0.0, end - time.monotonic()))[0]:
                pytest.fail(f"no {pattern!r} in {self._seen!r}")
            self._seen += os.read(self._descriptor, 65536).decode(errors="replace")
        self._seen = self._seen[found.end() :]
        return found


@contextmanager
def terminal(command: list[str], env: dict[str, str]) -> Iterator[Terminal]:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=env, start_new_session=True)
    os.close(theirs)
    try:
        yield Terminal(ours)
    finally:
        process.kill()
        process.wait()
        os.close(ours)


# The key Control-X shows the line as the shell has it, between signs that typing it does not echo.
BASH = r"""bind -x '"\C-x": printf "<<%s>>\n" "$READLINE_LINE"'; bind 'set enable-bracketed-paste off'; source '{file}'
"""
ZSH = r"""fpath=('{folder}' $fpath); autoload -Uz compinit; compinit -u -D
show() {{ print -r -- "<<$BUFFER>>" }}; zle -N show; bindkey '^X' show
"""


@pytest.fixture(scope="module")
def completed(shell: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Name of the case -> what the line is after the tab key."""
    folder = tmp_path_factory.mktemp(shell)
    (folder / "files").mkdir()
    (folder / "files" / "token").touch()
    typed = {name: f"zbx-nvidia {line}".format(folder / "files") for name, (line, _) in CASES.items()}
    env = {"PATH": f"{SCRIPTS}:/usr/bin:/bin", "TERM": "dumb", "HOME": str(folder), "COLUMNS": "500", "PS1": "READY "}
    if shell == "fish":
        # It answers without a terminal, from the place where it loads completions by itself.
        place = folder / ".config/fish/completions"
        place.mkdir(parents=True)
        (place / "zbx-nvidia.fish").write_text(script(shell))
        yield {name: _fish(line, env) for name, line in typed.items()}
        return
    file = folder / "_zbx-nvidia"
    file.write_text(script(shell))
    start = {"bash": ["bash", "--norc", "--noprofile", "-i"], "zsh": ["zsh", "-f", "-i"]}[shell]
    with terminal(start, env) as there:
        there.until("READY ")
        there.type({"bash": BASH, "zsh": ZSH}[shell].format(file=file, folder=folder) + "echo SE''T\n")
        there.until("SET")
        lines = {}
        for name, line in typed.items():
            # Control-U: an empty line to begin with.
            there.type(f"\x15{line}\t\x18")
            lines[name] = there.until(r"<<(zbx-nvidia [^>]*)>>").group(1)
        yield lines


def _fish(line: str, env: dict[str, str]) -> str:
    """The line with the one completion that there is."""
    done = subprocess.run(
        ["fish", "--command", f"complete --do-complete '{line}'"], capture_output=True, text=True, check=True, env=env
    )
    (word,) = done.stdout.splitlines()
    # A description may follow. The shell itself adds the blank.
    return f"{line.rpartition(' ')[0]} {word.partition(chr(9))[0]} "


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_the_tab_key_completes(completed: dict[str, str], case: str) -> None:
    line, added = CASES[case]
    assert re.fullmatch(f"zbx-nvidia {re.escape(line + added)}".replace(r"\{\}", r"\S+"), completed[case])


def test_every_command_is_offered() -> None:
    """As click answers a shell."""
    env = {"_ZBX_NVIDIA_COMPLETE": "bash_complete", "COMP_WORDS": "zbx-nvidia ", "COMP_CWORD": "1"}
    done = subprocess.run([f"{SCRIPTS}/zbx-nvidia"], capture_output=True, text=True, check=True, env=env)
    assert [line.partition(",")[2] for line in done.stdout.splitlines()] == list(COMMANDS)


def test_an_unknown_shell() -> None:
    done = subprocess.run([f"{SCRIPTS}/zbx-nvidia", "completion", "csh"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "'csh' is not one of 'bash', 'zsh', 'fish'" in done.stderr
