"""The manual pages: where `man` finds them, and as readers of manuals want them."""

from __future__ import annotations

import re
import shutil
import subprocess
import sysconfig
from pathlib import Path

import click
import pytest

from scripts.generate.manual import pages
from tests.conftest import REPOSITORY
from zbx_nvidia.cli.main import COMMANDS, main
from zbx_nvidia.collector.main import USAGE

COMMITTED = REPOSITORY / "docs" / "man"
PAGES = sorted(pages())


def rendered(name: str) -> str:
    if not shutil.which("mandoc"):
        pytest.fail("mandoc is missing: scripts/system-packages.sh mandoc", pytrace=False)
    done = subprocess.run(
        ["mandoc", "-T", "ascii", "-O", "width=80", str(COMMITTED / name)], capture_output=True, text=True, check=True
    )
    # Bold is a letter over itself.
    return re.sub(".\b", "", done.stdout)


def test_every_program_and_command_has_a_page() -> None:
    assert set(PAGES) == {
        "man1/zbx-nvidia.1",
        "man8/zbx-nvidia-agent.8",
        *(f"man1/zbx-nvidia-{name}.1" for name in COMMANDS),
    }


def test_the_wheel_puts_them_where_man_looks() -> None:
    """man-db goes from a bin/ on PATH to the share/man beside it."""
    there = Path(sysconfig.get_path("data")) / "share" / "man"
    for name in PAGES:
        assert (there / name).read_text() == (COMMITTED / name).read_text()


@pytest.mark.parametrize("name", PAGES)
def test_nothing_to_complain_of(name: str) -> None:
    if not shutil.which("mandoc"):
        pytest.fail("mandoc is missing: scripts/system-packages.sh mandoc", pytrace=False)
    done = subprocess.run(
        ["mandoc", "-T", "lint", "-W", "warning", str(COMMITTED / name)], capture_output=True, text=True, check=False
    )
    # Without a date two builds of one version are alike.
    assert [line for line in done.stdout.splitlines() if 'missing date, using ""' not in line] == []


@pytest.mark.parametrize("command", COMMANDS)
def test_a_page_says_what_the_help_says(command: str) -> None:
    text = rendered(f"man1/zbx-nvidia-{command}.1")
    headings = re.findall(r"^[A-Z][A-Z ]+$", text, re.MULTILINE)
    assert headings[:3] == ["NAME", "SYNOPSIS", "DESCRIPTION"]
    assert {"OPTIONS", "EXIT STATUS", "EXAMPLES", "SEE ALSO"} <= set(headings)
    found = main.get_command(click.Context(main), command)
    assert found is not None
    flat = " ".join(text.split())
    for option in found.params:
        if isinstance(option, click.Option):
            assert option.opts[0] in flat
            assert " ".join((option.help or "").split())[:30] in flat
    # Its lines as they are, to be pasted.
    prose, _, examples = text.partition("EXAMPLES")
    assert re.search(rf"^ +.*zbx-nvidia(\.pyz)? {command}\b", examples, re.MULTILINE)
    assert max(len(line) for line in prose.splitlines()) <= 80


def test_the_page_of_the_program() -> None:
    text = rendered("man1/zbx-nvidia.1")
    headings = set(re.findall(r"^[A-Z][A-Z ]+$", text, re.MULTILINE))
    assert {"COMMANDS", "EXIT STATUS", "ENVIRONMENT", "FILES", "EXAMPLES"} <= headings
    assert all(re.search(rf"^ +{name}\b", text, re.MULTILINE) for name in COMMANDS)
    assert all(name in text for name in ("ZABBIX_URL", "ZABBIX_TOKEN", "ZABBIX_USER", "ZABBIX_PASSWORD"))


def test_the_page_of_the_collector_has_all_of_its_usage() -> None:
    text = " ".join(rendered("man8/zbx-nvidia-agent.8").split())
    words = [word for line in USAGE.splitlines() for word in re.findall(r"^(?:--)?[a-z]+(?=  )", line)]
    assert len(words) > 5
    for word in words:
        assert word in text
    for line in USAGE.splitlines():
        if line.startswith(("usage:", "    ")):
            assert " ".join(line.split()).removeprefix("usage: ") in text
