"""The doctor's checks as a table, and what it prints."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.conftest import REPOSITORY
from zbx_nvidia.cli import doctor
from zbx_nvidia.cli.main import main
from zbx_nvidia.doctor import run
from zbx_nvidia.doctor.checks import FAULT, NOTE, UNSEEN, Check, Fault, Finding, Result, State
from zbx_nvidia.doctor.service_commands import Service

FAULTS = [(check, fault) for check in run.CHECKS for fault in check.faults]
IDS = [f"{check.id}-{fault.key}" for check, fault in FAULTS]
PROGRAM = Path(sys.executable).parent / "zbx-nvidia"


def test_every_check_has_its_own_name_and_fits_its_column() -> None:
    ids = [check.id for check in run.CHECKS]
    assert len(set(ids)) == len(ids) > 30
    for check in run.CHECKS:
        assert len(check.title) <= doctor.TITLE, check.title
        assert re.match(r"(If|Is|Was|Does|Do|Can|May|Which|What|How|When) .*\?", check.question), check.id
        assert check.faults
        assert len({fault.key for fault in check.faults}) == len(check.faults)


def test_checks_need_earlier_ones_and_are_outvoted_by_later_ones() -> None:
    ids = [check.id for check in run.CHECKS]
    for number, check in enumerate(run.CHECKS):
        assert set(check.needs) <= set(ids[:number]), check.id
        assert set(check.outvoted_by) <= set(ids[number + 1 :]), check.id


@pytest.mark.parametrize(("check", "fault"), FAULTS, ids=IDS)
def test_a_fault_has_cause_and_fix_in_words(check: Check[State], fault: Fault) -> None:
    assert fault.state in {FAULT, NOTE}
    assert fault.cause.rstrip('"').endswith((".", "}", ")")), check.id
    assert fault.fix
    for line in fault.fix.splitlines():
        assert line.startswith("    ") or line == line.strip()
        # Each sentence ends; one before its commands may end in a colon.
        assert line.startswith(("    ", "{")) or line.endswith((".", ":")), line


@pytest.mark.parametrize(
    ("command", "options"),
    [
        ("add-host", ("--address", "--url", "--token-file")),
        ("install-template", ("--url", "--token-file")),
        ("install-agent", ("--mode",)),
    ],
)
def test_a_command_of_ours_has_the_options_that_it_needs(command: str, options: tuple[str, ...]) -> None:
    lines = [line for _, fault in FAULTS for line in fault.fix.splitlines() if f"zbx-nvidia {command}" in line]
    assert lines
    for line in lines:
        assert all(f" {option} " in line for option in options), line
        assert ("--psk-file" in line) == ("--psk-identity" in line)
        assert "'" not in line, f"{line}: a name is quoted where it is filled in"


@pytest.mark.parametrize(("check", "fault"), FAULTS, ids=IDS)
def test_commands_of_our_services_come_from_one_place(check: Check[State], fault: Fault) -> None:
    """Since the agent, or the collector, may be no service here."""
    commands = {f"{{{name}.{verb}}}" for name in ("agent", "collector") for verb in vars(Service) if verb[0] != "_"}
    assert not re.search(r"\{\w+\.\w+\}", fault.cause), check.id
    for line in fault.fix.splitlines():
        assert not re.search(r"(systemctl|journalctl -u) .*(zbx-nvidia|zabbix-agent|\{)", line), line
        if re.search(r"\{\w+\.\w+\}", line):
            assert line.partition(" ")[0] in commands, line


def test_the_documentation_has_every_check_and_every_fault() -> None:
    text = (REPOSITORY / "docs" / "DOCTOR.md").read_text(encoding="utf-8")
    for check, fault in FAULTS:
        part = text.partition(f"(`{check.id}`)")[2].partition("\n## ")[0]
        assert f"**{fault.key}**" in part, (check.id, fault.key)


def finding(name: str, state: str, text: str, cause: str = "", fix: str = "") -> Finding:
    return Finding(name, name.title(), "Part", Result(state, text, "key" if cause else "", cause, fix))


LONG = "word " * 40
FOUND = [
    finding("a", "good", LONG),
    finding("b", NOTE, "two\nlines", LONG, "Do:\n    command"),
    finding("c", FAULT, "broken", LONG, f"{LONG}\n    {'x' * 100}\nand then."),
    finding("d", UNSEEN, ""),
]


@pytest.mark.parametrize(
    ("encoding", "mark", "width"), [("utf-8", "✗", 80), ("ascii", "X", 80), ("iso-8859-1", "X", 160)]
)
def test_what_is_printed_fits_a_terminal(monkeypatch: pytest.MonkeyPatch, encoding: str, mark: str, width: int) -> None:
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding=encoding))
    lines = list(doctor.as_lines(FOUND, FOUND[2], server_asked=False, root=True, width=width, verbose=True))
    text = "\n".join(lines)
    text.encode(encoding)
    assert all(len(line) <= width for line in lines if "xxx" not in line)
    assert text.count("word") == 4 * 40, "nothing is cut"
    assert f"\n      {'x' * 100}\n" in text  # a command stays whole, to be copied
    assert f"  {mark} C" in text
    assert "two lines" in text
    assert text.startswith("The fault: C (c)\n")
    assert text.index("The fault: C (c)") < text.index(f"{mark} C") < text.index("Note: B (b)")
    assert "give --url" in text


def test_notes_are_explained_when_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding="utf-8"))
    short = list(doctor.as_lines(FOUND[:2], None, server_asked=True, root=True))
    assert short[-4:] == [
        "",
        "! works, but could be better: zbx-nvidia doctor --verbose says how.",
        "",
        "Nothing is wrong.",
    ]
    assert "Note: B (b)" not in short
    assert not [line for line in doctor.as_lines(FOUND[:1], None, server_asked=True, root=True) if "verbose" in line]


@pytest.mark.parametrize(
    "arguments",
    [
        ["--server-only"],
        ["--server-only", "--host", "gpu01"],
        ["--server-only", "--url", "http://127.0.0.1:1"],
        ["--agent", "agent3"],
    ],
)
def test_wrong_usage(arguments: list[str]) -> None:
    clean: dict[str, str | None] = {name: None for name in os.environ if name.startswith("ZABBIX_")}
    assert CliRunner().invoke(main, ["doctor", *arguments], env=clean).exit_code == 2


@pytest.mark.slow
def test_a_front_end_that_cannot_be_reached_is_a_fault_and_no_error() -> None:
    arguments = ["doctor", "--server-only", "--host", "gpu01", "--url", "http://127.0.0.1:1", "--json"]
    done = CliRunner().invoke(main, arguments, env={"ZABBIX_TOKEN": "x" * 64})
    assert done.exit_code == 1
    said = json.loads(done.output)
    assert said["fault"]["id"] == "frontend"
    assert "cannot be reached" in said["fault"]["cause"]
    assert {check["state"] for check in said["checks"][1:]} == {"unchecked"}


FIX = (
    "Do:\n    zbx-nvidia install-agent\n    sudo zbx-nvidia doctor\n    zbx-nvidia-agent serve --check\nas zbx-nvidia "
    "says, then:\n    systemctl restart zbx-nvidia zabbix-agent\n    journalctl -u zbx-nvidia -n 20"
)


@pytest.mark.parametrize("linked", [True, False])
def test_a_fix_names_the_program_by_its_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, linked: bool) -> None:  # noqa: FBT001
    """Each by itself: a link on PATH may lead to zbx-nvidia alone."""
    bin_, path = tmp_path / "opt", tmp_path / "path"
    for folder in (bin_, path):
        folder.mkdir()
    for name in ("zbx-nvidia", "zbx-nvidia-agent"):
        (bin_ / name).touch(0o755)
    if linked:
        (path / "zbx-nvidia").symlink_to(bin_ / "zbx-nvidia")
    monkeypatch.setenv("PATH", str(path))
    found = run.with_paths(finding("a", FAULT, "broken", "Cause.", FIX), bin_)
    program = "zbx-nvidia" if linked else f"{bin_}/zbx-nvidia"
    assert found.result.fix == (
        f"Do:\n    {program} install-agent\n    sudo {program} doctor\n    "
        f"{bin_}/zbx-nvidia-agent serve --check\nas zbx-nvidia says, then:\n    systemctl restart zbx-nvidia "
        "zabbix-agent\n    journalctl -u zbx-nvidia -n 20"
    )
    assert run.with_paths(finding("a", FAULT, "broken", "Cause.", FIX), tmp_path / "none").result.fix == FIX


@pytest.mark.parametrize("on_path", [True, False])
def test_where_it_is_not_on_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, on_path: bool) -> None:  # noqa: FBT001
    for name in ("zbx-nvidia", "zbx-nvidia-agent") if on_path else ():
        (tmp_path / name).symlink_to(PROGRAM.with_name(name))
    monkeypatch.setenv("PATH", str(tmp_path))

    fault = Fault("none", cause="Nothing.", fix=FIX)

    def answer(_: State) -> Result:
        raise fault("nothing")

    monkeypatch.setattr(run, "HOST", [Check[State]("a", "A", "Part", "Is it?", (fault,), answer)])
    monkeypatch.setattr(run, "REFUSED", [])
    said = json.loads(CliRunner().invoke(main, ["doctor", "--json"]).output)
    assert (said["fault"]["fix"] == FIX) is on_path
    assert (f"    {PROGRAM} install-agent" in said["checks"][0]["fix"]) is not on_path


def test_nothing_of_the_driver_is_loaded_by_the_doctor_itself() -> None:
    code = (
        "import sys\nfrom zbx_nvidia.cli.main import main\n"
        "main(['doctor', '--json'], standalone_mode=False)\n"
        "maps = open('/proc/self/maps').read()\n"
        "sys.exit('pynvml' in sys.modules or 'libnvidia' in maps)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done
    assert '"checks"' in done.stdout, done
