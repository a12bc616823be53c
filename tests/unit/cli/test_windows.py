"""What there is for Windows: text, and the commands for a Zabbix server. None of it was run there."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from zbx_nvidia.errors import UsageError
from zbx_nvidia.template.userparameters import render_for_windows

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


def lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if not line.startswith("#")]


@pytest.mark.parametrize(
    ("path", "written"),
    [
        (r"C:\Program Files\zbx-nvidia\zbx-nvidia-agent.exe", r'"C:\Program Files\zbx-nvidia\zbx-nvidia-agent.exe"'),
        (r"C:\zbx-nvidia\zbx-nvidia-agent.exe", r"C:\zbx-nvidia\zbx-nvidia-agent.exe"),
        (r"D:\Werkzeuge für GPUs\agent.exe", r'"D:\Werkzeuge für GPUs\agent.exe"'),
    ],
)
def test_a_path_with_spaces_is_quoted(path: str, written: str) -> None:
    assert lines(render_for_windows(path)) == [
        f"UserParameter=nvidia.get,{written} get",
        f"UserParameter=nvidia.links.get,{written} links",
    ]


@pytest.mark.parametrize("path", ['C:\\a"b.exe', r"C:\%TEMP%\a.exe", r"C:\R&D\a.exe"])
def test_what_cmd_would_take_for_its_own_is_refused(path: str) -> None:
    with pytest.raises(UsageError, match="which cmd takes for its own"):
        render_for_windows(path)


def test_the_command_prints_it() -> None:
    done = cli("userparameters", "--platform", "windows")
    assert done.returncode == 0, done.stderr
    assert lines(done.stdout)[0] == (
        r'UserParameter=nvidia.get,"C:\Program Files\zbx-nvidia\Scripts\zbx-nvidia-agent.exe" get'
    )
    assert r"C:\Program Files\Zabbix Agent 2\zabbix_agent2.d" in done.stdout
    assert "Not tried on Windows" in done.stdout
    refused = cli("userparameters", "--platform", "windows", "--mode", "resident")
    assert (refused.returncode, refused.stdout) == (2, "")


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
