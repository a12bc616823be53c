"""The commands for a Zabbix server work without Unix, and the collector says that it does not. Not run on Windows."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

# What Python has on Unix alone; a Python that lacks them stands for one on Windows. There `subprocess` does without
# them, and here it must be loaded before they go: `platform`, and so click, imports it on Python 3.10.
UNIX = ("fcntl", "grp", "pwd", "resource", "termios", "pty", "_posixsubprocess")
LACKING = (
    f"import os, subprocess, sys\nsys.modules.update(dict.fromkeys({UNIX!r}))\ndel os.fork, os.getuid, os.geteuid\n"
)


def run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", LACKING + code], capture_output=True, text=True, check=False)


def cli(*arguments: str) -> subprocess.CompletedProcess[str]:
    return run(f"from zbx_nvidia.cli.main import main\nmain({list(arguments)!r}, prog_name='zbx-nvidia')")


@pytest.mark.slow
def test_commands_for_a_server_need_nothing_of_unix() -> None:
    assert cli("template", "--zabbix", "6.0").stdout.startswith("zabbix_export:")
    server = ("--url", "http://127.0.0.1:1", "--user", "nobody")
    for command in (("install-template",), ("add-host", "gpu01", "--address", "192.0.2.1")):
        done = run(
            "os.environ['ZABBIX_PASSWORD'] = 'p'\n"
            f"from zbx_nvidia.cli.main import main\nmain({[*command, *server]!r}, prog_name='zbx-nvidia')"
        )
        assert done.returncode == 1
        assert done.stderr.startswith("Error: http://127.0.0.1:1 cannot be reached")


def test_the_collector_says_in_its_document_that_it_does_not_run_there() -> None:
    done = run("from zbx_nvidia.collector.main import get\nprint(get())")
    assert (done.returncode, done.stderr) == (0, "")
    document = json.loads(done.stdout)
    assert document["status"]["name"] == "Collector failed"
    assert "fcntl" in document["status"]["message"]
    assert document["gpus"] == {}
