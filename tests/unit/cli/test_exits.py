"""Exit codes are what the manual says they are."""

from __future__ import annotations

import subprocess
import sysconfig
from typing import TYPE_CHECKING

import pytest

from tests.conftest import REPOSITORY
from tests.unit.clocks import SLOW
from zbx_nvidia.cli.exits import MEANINGS, OF_COMMANDS
from zbx_nvidia.cli.main import COMMANDS

if TYPE_CHECKING:
    from tests.conftest import MachineFactory
    from tests.unit.conftest import ClocksFactory

PROGRAM = f"{sysconfig.get_path('scripts')}/zbx-nvidia"
NOBODY = ("--url", "http://127.0.0.1:1")  # no front end listens there
# command -> arguments -> exit code. What takes a Zabbix is among the tests that have one.
CASES: dict[str, dict[tuple[str, ...], int]] = {
    "install-template": {NOBODY: 1, (*NOBODY, "--variant", "none"): 2},
    "uninstall-template": {NOBODY: 1, (): 2},
    "add-host": {("gpu01", "--address", "192.0.2.1", *NOBODY): 1, ("gpu01", *NOBODY): 2},
    "template": {(): 0, ("--zabbix", "5.0"): 2, ("--variant", "none"): 2},
    "userparameters": {(): 0, ("--file", "/x"): 2},
    "completion": {("zsh",): 0, ("csh",): 2},
    "unpack": {("/nowhere",): 2},
    "check": {(): 1, ("--gpus", "first"): 2, ("--document", "/nowhere"): 2},
    "run": {(): 2, ("--", "/nowhere"): 127},
    "runs": {("--compare", "1"): 2, ("--compare", "no-such-run", "1"): 2},
}


def code(command: str, *arguments: str, env: dict[str, str] | None = None) -> int:
    done = subprocess.run([PROGRAM, command, *arguments], capture_output=True, text=True, check=False, env=env)
    # An error is one or two lines, never a traceback.
    assert "Traceback" not in done.stderr
    assert bool(done.stderr) == (
        done.returncode in {2, 127} or (done.returncode == 1 and command not in {"show", "check"})
    ), done
    return done.returncode


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
def test_help_and_wrong_usage(command: str) -> None:
    assert code(command, "--help") == 0
    assert code(command, "--no-such-option") == 2


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "arguments", "expected"),
    [(command, arguments, expected) for command, cases in CASES.items() for arguments, expected in cases.items()],
)
def test_code(command: str, arguments: tuple[str, ...], expected: int) -> None:
    env = {"ZABBIX_TOKEN": "t", "PATH": "/usr/bin:/bin"}
    assert code(command, *arguments, env=env) == expected


def test_show_says_by_its_code_whether_all_is_well(machine: MachineFactory, clocked: ClocksFactory) -> None:
    host = machine("h100x8")
    clocked(host, speed=SLOW)  # on a busy machine the driver may not answer in time, which is an answer too
    assert code("show", env=host.env) == 0
    host.set("gpu 3", state="lost")
    assert code("show", env=host.env) == 1
    assert code("show", "--json", env=host.env) == 1
    assert code("show", env={"PATH": "/usr/bin:/bin"}) == 1


def test_the_table_is_of_commands_that_there_are() -> None:
    assert set(OF_COMMANDS) <= set(COMMANDS)
    # Those of a shell are for a command that starts another.
    assert all(set(codes) <= {*MEANINGS, 126, 127, 128} for codes in OF_COMMANDS.values())


def test_the_docs_have_them() -> None:
    text = (REPOSITORY / "docs" / "COMMANDS.md").read_text()
    assert all(f"| {number} | {meaning} |" in text for number, meaning in MEANINGS.items())
    assert all(f"\n## {command}\n" in text for command in COMMANDS)
