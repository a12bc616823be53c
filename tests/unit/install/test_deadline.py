"""How long a poll may take, by the agent that waits for it."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from zbx_nvidia.install import deadline
from zbx_nvidia.template import userparameters
from zbx_nvidia.zabbix_agent import config, find
from zbx_nvidia.zabbix_agent.find import Agent

if TYPE_CHECKING:
    from collections.abc import Iterator

OF_6, OF_7 = "zabbix_agentd (daemon) (Zabbix) 6.0.14", "zabbix_agentd (daemon) (Zabbix) 7.0.22"


@pytest.fixture
def folder() -> Iterator[Path]:
    """Where the user that runs the agent's program may come to, which is not so with tmp_path."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.mark.parametrize(
    ("timeout", "version", "expected"),
    [
        ("", OF_6, None),
        ("Timeout=3", OF_6, None),
        ("Timeout=10", OF_6, 9.5),
        ("Timeout=30", "zabbix_agent2 (Zabbix) 6.4.21", 29.5),
        ("Timeout=1", OF_6, 0.5),
        ("Timeout=5\nTimeout=20", OF_6, 19.5),  # the last one counts
        # The server says with each request how long it may take; a longer poll would lose every value.
        ("Timeout=10", OF_7, None),
        ("Timeout=10", "", None),
        ("Timeout=soon", OF_6, None),
        ("Timeout=0", OF_6, None),
    ],
)
def test_the_deadline_follows_the_agent(folder: Path, timeout: str, version: str, expected: float | None) -> None:
    program, main = folder / "zabbix_agentd", folder / "agent.conf"
    program.write_text(f"#!/bin/sh\necho '{version}'\n")
    program.chmod(0o755)
    main.write_text(f"Server=192.0.2.1\n{timeout}\n")
    agent = Agent("agentd", program, main, "", "root")
    assert deadline.of(agent, config.read(main, "agentd")) == expected


@pytest.mark.parametrize(
    ("versions", "expected"),
    [([OF_7], True), ([OF_6], False), ([""], False), ([OF_7, OF_6], False), ([OF_7, OF_7], True)],
)
def test_a_file_is_as_large_as_each_of_its_readers_takes(
    folder: Path,
    versions: list[str],
    expected: bool,  # noqa: FBT001
) -> None:
    agents = []
    for place, version in enumerate(versions):
        program, main = folder / f"agent{place}", folder / f"{place}.conf"
        program.write_text(f"#!/bin/sh\necho '{version}'\n")
        program.chmod(0o755)
        main.write_text("Server=192.0.2.1\n")
        agents.append(Agent("agentd", program, main, "", "root"))
    # One of an earlier run that is gone since reads nothing; one that is there, but not found, may be of any version.
    gone = folder / "gone.conf"
    readers = [*(agent.config for agent in agents), gone]
    assert find.take_large_files(readers, agents) is expected
    gone.touch()
    assert not find.take_large_files(readers, agents)


def test_the_deadline_is_in_the_file() -> None:
    usual, longer = userparameters.render("/p"), userparameters.render("/p", 9.5)
    assert "--deadline" not in usual
    assert longer.splitlines()[-2:] == [
        "UserParameter=nvidia.get,/p get --deadline 9.5",
        "UserParameter=nvidia.links.get,/p links --deadline 9.5",
    ]
    alias = userparameters.render_alias("/f", "/p", 0.5)
    assert alias.endswith("UserParameter=nvidia.links.get,/p links --beside /f --deadline 0.5\n")
