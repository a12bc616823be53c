"""The command line: help, exit codes, one line for an error, and nothing loaded that is not needed."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import click
import pytest
from click.testing import CliRunner, Result

from zbx_nvidia.cli.main import COMMANDS, main

if TYPE_CHECKING:
    from pathlib import Path

SERVER_COMMANDS = ("install-template", "uninstall-template", "add-host")
HEAVY = ("pyzabbix", "requests", "yaml", "rich", "pynvml")


def run(*arguments: str, **environment: str) -> Result:
    """Runs a command; the variables that would find a server are not inherited."""
    clean: dict[str, str | None] = {name: None for name in os.environ if name.startswith("ZABBIX_")}
    return CliRunner().invoke(main, arguments, env={**clean, **environment}, prog_name="zbx-nvidia")


def loaded(*arguments: str) -> set[str]:
    """Which of the heavy modules a fresh interpreter has loaded after this command."""
    code = (
        "import sys, json\n"
        "from zbx_nvidia.cli.main import main\n"
        f"main({list(arguments)!r}, standalone_mode=False)\n"
        f"print(json.dumps([name for name in {HEAVY!r} if name in sys.modules]))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_every_row_of_the_table_is_a_command_with_help_and_an_example() -> None:
    for name in COMMANDS:
        text = run(name, "--help").output
        assert text.startswith(f"Usage: zbx-nvidia {name} ")
        # On a line of its own: in a raw string click does not see the sign that keeps lines apart.
        assert "\n  Example:\n" in text, name
        assert re.search(rf"zbx-nvidia(\.pyz)? {name}\b", text.partition("Example:")[2]), name


def test_help_names_every_command() -> None:
    output = run("--help").output
    assert all(f"\n  {name} " in output for name in COMMANDS)


@pytest.mark.parametrize(
    "arguments", [["--help"], ["--version"], *([name, "--help"] for name in COMMANDS)], ids=" ".join
)
def test_help_loads_nothing_heavy(arguments: list[str]) -> None:
    assert loaded(*arguments) == set()


@pytest.mark.slow
def test_heavy_modules_would_be_noticed() -> None:
    assert loaded("template", "--zabbix", "7.0") >= {"yaml"}


def test_unknown_command() -> None:
    result = run("instal-template")
    assert result.exit_code == 2
    assert "No such command 'instal-template'. Did you mean 'install-template'?" in result.output


@pytest.mark.parametrize("command", SERVER_COMMANDS)
def test_no_credentials(command: str) -> None:
    name = ["gpu01", "--address", "192.0.2.1"] if command == "add-host" else []
    result = run(command, *name, "--url", "http://127.0.0.1:1")
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr == (
        "Error: no credentials: set ZABBIX_TOKEN or give --token-file, "
        "or set ZABBIX_USER with ZABBIX_PASSWORD or --password-file\n"
    )


@pytest.mark.parametrize("command", SERVER_COMMANDS)
def test_no_address_of_the_front_end(command: str) -> None:
    name = ["gpu01", "--address", "192.0.2.1"] if command == "add-host" else []
    result = run(command, *name, ZABBIX_TOKEN="t")  # noqa: S106  of no real account
    assert result.exit_code == 2
    assert "Missing option '--url' (env var: 'ZABBIX_URL')" in result.stderr


def test_front_end_that_cannot_be_reached() -> None:
    result = run("install-template", ZABBIX_URL="http://127.0.0.1:1", ZABBIX_TOKEN="t")  # noqa: S106  of no real account
    assert result.exit_code == 1
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert line.startswith("Error: http://127.0.0.1:1 cannot be reached: Connection refused: ")


@pytest.mark.parametrize("command", SERVER_COMMANDS)
def test_no_option_takes_a_secret(command: str) -> None:
    found = main.get_command(click.Context(main), command)
    assert found
    names = {name for parameter in found.params for name in parameter.opts}
    assert not {"--password", "--token"} & names
    result = run(command, "--password", "s3cret")
    assert result.exit_code == 2
    assert "s3cret" not in result.output


def test_no_traceback_for_a_file_that_cannot_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    def read(**_: object) -> None:
        raise PermissionError(13, "Permission denied", "/etc/zabbix")

    found = main.get_command(click.Context(main), "show")
    assert found
    monkeypatch.setattr(found, "callback", read)
    result = run("show")
    assert (result.exit_code, result.output) == (1, "Error: /etc/zabbix: Permission denied\n")


def test_output_that_knows_no_degree_sign() -> None:
    """As the tables are written, past click."""
    code = (
        "from zbx_nvidia.cli.main import main; from zbx_nvidia.cli.show import show; "
        "show.callback = lambda **_: print('45 °C'); main(['show'])"
    )
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "45 ?C\n", "")


def test_unreadable_token_file(tmp_path: Path) -> None:
    result = run("install-template", "--url", "http://127.0.0.1:1", "--token-file", str(tmp_path / "none"))
    assert result.exit_code == 2
    assert result.stderr.startswith(f"Error: --token-file {tmp_path}/none: cannot be read: No such file or directory")


@pytest.mark.slow
def test_token_file_that_others_can_read_is_warned_of(tmp_path: Path) -> None:
    """As a process of its own: the warning goes through the log, which the test runner takes over."""
    path = tmp_path / "token"
    path.write_text("t")
    path.chmod(0o644)
    command = [sys.executable, "-c", "from zbx_nvidia.cli.main import main; main()", "install-template"]
    done = subprocess.run(
        [*command, "--url", "http://127.0.0.1:1", "--token-file", str(path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    warning, error = done.stderr.splitlines()
    assert warning == f"warning: --token-file {path}: other users can read this file: run chmod 600 on it"
    assert error.startswith("Error: http://127.0.0.1:1 cannot be reached")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["gpu01"], "--address is missing: the server polls the agent there"),
        (["gpu01", "--variant", "active", "--port", "10051"], "--port without --address: give both"),
        (["gpu01", "--address", "a", "--port", "0"], "Invalid value for '--port'"),
        (["gpu01", "--address", "a", "--tag", "=x"], "'=x' has no tag: write it as location=rack7"),
        (["gpu01", "--address", "a", "--macro", "lower=1"], "'lower=1' is not a macro and its value"),
        (["gpu01", "--address", "a", "--macro", "NVIDIA.X"], "'NVIDIA.X' is not a macro and its value"),
        (
            ["gpu01", "--address", "a", "--proxy", "x", "--proxy-group", "y"],
            "--proxy and --proxy-group exclude each other",
        ),
        (["gpu01", "--address", "a", "--psk-identity", "x"], "--psk-identity and --psk-file belong together"),
        (["gpu01", "--address", "a", "--psk-file", "x"], "--psk-identity and --psk-file belong together"),
        (["gpu01", "--address", "a", "--psk-identity", "x", "--psk-file", "/none"], "--psk-file /none: cannot be read"),
        ([], "Missing argument 'NAME'"),
    ],
)
def test_add_host_refuses_wrong_options(arguments: list[str], message: str) -> None:
    result = run("add-host", *arguments, ZABBIX_URL="http://127.0.0.1:1", ZABBIX_TOKEN="t")  # noqa: S106  as above
    assert result.exit_code == 2
    assert message in result.stderr


@pytest.mark.parametrize(
    ("text", "macro", "value"),
    [
        ("NVIDIA.NODATA=10m", "{$NVIDIA.NODATA}", "10m"),
        ("{$NVIDIA.NODATA}=10m", "{$NVIDIA.NODATA}", "10m"),
        ('{$NVIDIA.EXPECTED:"GPU-1=x"}=1', '{$NVIDIA.EXPECTED:"GPU-1=x"}', "1"),
        ("NVIDIA.MATCHES=a=b", "{$NVIDIA.MATCHES}", "a=b"),
        ("NVIDIA.MATCHES=", "{$NVIDIA.MATCHES}", ""),
    ],
)
def test_macros_are_taken_with_and_without_their_signs(text: str, macro: str, value: str) -> None:
    from zbx_nvidia.cli.hosts import add_host, parse_macros  # noqa: PLC0415  not needed by the others

    assert parse_macros(click.Context(add_host), click.Option(["--macro"]), (text,)) == {macro: value}


@pytest.mark.parametrize("key", ["x3cret" * 8, "5ec4e7" * 5, "5ec4e7" * 90, "5ec4e7" * 7 + "5"])
def test_a_key_that_zabbix_would_not_take_is_not_shown(key: str, tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.touch(0o600)
    path.write_text(key)
    psk = ("--psk-identity", "x", "--psk-file", str(path))
    result = run("add-host", "gpu01", "--address", "a", *psk, ZABBIX_URL="http://127.0.0.1:1", ZABBIX_TOKEN="t")  # noqa: S106  as above
    assert result.exit_code == 2
    assert result.stderr.startswith(f"Error: --psk-file {path}: the key is ")
    assert key[:12] not in result.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--psk-identity", "x"], "Error: --psk-identity needs --psk"),
        (["--server", "a\nAllowRoot=1"], "Error: --server 'a\\nAllowRoot=1': must be one line of at most 1024 bytes"),
        (["--mode", "both"], "Invalid value for '--mode'"),
        (["--agent", "agent3"], "Invalid value for '--agent'"),
    ],
)
def test_install_agent_refuses_wrong_options(arguments: list[str], message: str) -> None:
    result = run("install-agent", *arguments)
    assert result.exit_code == 2
    assert message in result.stderr


def test_userparameters_of_both_ways_to_run() -> None:
    assert run("userparameters").output.splitlines()[-2:] == [
        "UserParameter=nvidia.get,/opt/zbx-nvidia/bin/zbx-nvidia-agent get",
        "UserParameter=nvidia.links.get,/opt/zbx-nvidia/bin/zbx-nvidia-agent links",
    ]
    text = run("userparameters", "--mode", "resident", "--file", "/run/x/d.json", "--command", "/usr/bin/z").output
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    assert lines == [
        "Alias=nvidia.get:vfs.file.contents[/run/x/d.json]",
        "UserParameter=nvidia.links.get,/usr/bin/z links --beside /run/x/d.json",
    ]
    assert run("userparameters", "--mode", "both").exit_code == 2
    refused = run("userparameters", "--file", "/run/x/d.json")
    assert refused.exit_code == 2
    assert refused.output == "Error: --file has no effect without --mode resident: give both\n"
