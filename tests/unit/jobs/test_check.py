"""`zbx-nvidia check`: the alerts of the catalog on this host, and what a single document cannot say."""

from __future__ import annotations

import json
import os
import subprocess
import time
from typing import TYPE_CHECKING, Any

import click
import pytest
from click.testing import CliRunner

from tests.conftest import REPOSITORY
from tests.unit.clocks import SLOW
from tests.unit.jobs.test_run import PLAIN, PROGRAM
from zbx_nvidia.catalog.alerts import ALERTS
from zbx_nvidia.catalog.status import HOST_BUSY, OK, RELEASED
from zbx_nvidia.cli.main import main
from zbx_nvidia.collector.resident import config
from zbx_nvidia.errors import UsageError
from zbx_nvidia.jobs.fitness import DEFAULTS, SEVERITIES, choice, evaluate
from zbx_nvidia.jobs.rules import Rules

if TYPE_CHECKING:
    from pathlib import Path

    from click.testing import Result

    from tests.conftest import Machine, MachineFactory
    from tests.unit.conftest import ClocksFactory

GOLDEN = sorted(path for path in (REPOSITORY / "tests" / "golden").glob("*.json"))
FIRST = "GPU-9bb1b5a4-5f6c-4965-adf0-ad165eee2b9b"  # of the H100s


def golden(name: str = "h100x8") -> dict[str, Any]:
    found: dict[str, Any] = json.loads((REPOSITORY / "tests" / "golden" / f"{name}.json").read_text())
    return {**found, "timestamp": int(time.time())}


def changed(name: str = "h100x8", **readings: object) -> dict[str, Any]:
    """With other readings of the first GPU."""
    document = golden(name)
    next(iter(document["gpus"].values())).update(readings)
    return document


def raised(document: dict[str, Any], **macros: str) -> dict[str, str]:
    own = {f"$NVIDIA.{name.replace('_', '.')}": value for name, value in macros.items()}
    return {finding.alert.key: finding.text for finding in evaluate(document, None, own).findings}


def check(env: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([PROGRAM, "check", *arguments], env=env, capture_output=True, text=True, check=False)


# -- expressions -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_every_expression_can_be_read_and_no_sound_card_is_unfit(path: Path) -> None:
    """A fault of a rule on any card would drain its hosts."""
    found = evaluate(golden(path.stem), None, {})
    assert (found.findings, found.unknown, found.fit) == ([], [], True)
    assert found.judged >= 20


READINGS = {"gpu.temperature": 80, "gpu.fan_speed": 0, "gpu.vbios": "96", "gpu.xid_recent": ",79,", "timestamp": 1000}


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("1+2*3-4/2", 5),
        ("-2*-3", 6),
        ("(1+2)*3", 9),
        ("1<2 and 2<=2 or 1=2", 1),
        ("1=1 and 2<>2", 0),
        ("{$NVIDIA.TEMP.PERIOD}", 180),
        ("max(1,2)+min(3,4)+power(2,3)", 13),
        ("last(@gpu.temperature)", 80),
        ("min(@gpu.temperature,{$NVIDIA.TEMP.PERIOD})", 80),
        ("last(@gpu.temperature,#1:now-{$NVIDIA.TEMP.PERIOD})>70", 1),
        ("count(@gpu.temperature,1h)", 1),
        ('count(@gpu.fan_speed,1h,"eq",0)', 1),
        ('count(@gpu.fan_speed,1h,"eq",1)', 0),
        ('last(@gpu.vbios)="96"', 1),
        ('last(@gpu.vbios)<>"96"', 0),
        ("length(last(@gpu.vbios))", 2),
        ('find(@gpu.xid_recent,,"regexp","{$NVIDIA.XID.RESTART}")', 1),
        # What is unknown, and what follows from it.
        ("last(@gpu.power)", None),
        ("last(@gpu.power)>0 and 1=1", None),
        ("last(@gpu.power)>0 and 1=2", 0),
        ("1=2 and last(@gpu.power)>0", 0),
        ("last(@gpu.power)>0 or 1=1", 1),
        ("last(@gpu.power)>0 or 1=2", None),
        ("last(@gpu.power)+1", None),
        ("max(last(@gpu.power),1)", None),
        ('changecount(@gpu.temperature,1h,"inc")>0', None),
        ("last(@timestamp)", 1000),
        ("last(@timestamp)=last(@timestamp,#1:now-{$NVIDIA.STALE})", None),
        ("nodata(@timestamp,5m)=1", None),
        ("last(@gpu.vbios)>3", None),
    ],
)
def test_an_expression(expression: str, value: float | None) -> None:
    assert Rules(READINGS.get, DEFAULTS).value(expression) == value


def test_an_expression_of_another_kind_is_not_passed_over() -> None:
    for expression in ("last(@gpu.temperature) ? 1", "1 2", "trendavg(1)"):
        with pytest.raises((ValueError, LookupError)):
            Rules(READINGS.get, DEFAULTS).value(expression)


# -- alerts ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("document", "macros", "key", "text"),
    [
        (changed("t4", temperature=90), {}, "temperature", "90 °C, 3 °C below the slowdown limit"),
        (
            changed(temperature_margin=1), {}, "temperature_margin",
            "57 °C, 3 °C below the slowdown limit",
        ),
        (
            changed(temperature_margin=1, temperature=86, temperature_slowdown=89), {}, "temperature",
            "86 °C, 3 °C below the slowdown limit",
        ),
        (changed("gtx1070", temperature=80, fan_speed=0), {}, None, ""),  # whether its fan has ever run is not known
        (changed(recovery_action=1), {}, "recovery", "Recovery action required: Reset the GPU (1)"),
        (changed(recovery_action=5), {}, None, ""),
        (changed(remap_failure=1, remap_pending=1), {}, "remap_failure", "Row remapping failed"),
        (changed(remap_pending=1), {}, "remap_pending", "Row remapping pending"),
        (changed(memory_unrepairable=1), {}, "memory_unrepairable", "Unrepairable memory error"),
        (changed(remapped_uncorrected=600), {}, "remap_many", "600 rows remapped for uncorrected errors, limit 512"),
        (changed(fabric_state=2), {}, "fabric", "GPU has not joined the NVLink fabric: state In progress (2), status"),
        (changed(throttle_hw_thermal=1, throttle_sw_thermal=1), {}, "hw_thermal", "Thermal throttling (hardware)"),
        (changed(throttle_power_brake=1), {}, "power_brake", "Power throttling (power brake)"),
        (changed(nvlink_slow="3"), {}, "nvlink_slow", "NVLink slower than its version: links 3"),
        (changed(ecc_uncorrected_volatile=7), {}, None, ""),  # when is not known
        (
            changed(xid_recent=",13,79,", xid_restart_last=79), {}, "xid_restart",
            "XID error: GPU has fallen off the bus (79), host restart required (recent codes 13,79)",
        ),
        (changed(), {"EXPECTED_POWER": "650"}, "power_expected", "Power limit 700 W, expected 650 W"),
        (changed(), {"GPU_EXPECTED": "9"}, "count", "8 of 9 expected GPUs found"),
        (changed(), {"EXPECTED_DRIVER": "580.95.05"}, "driver_version", "Driver version 590.48.01, expected 580.95.05"),
        (changed(), {"NVLINK_EXPECTED": "19"}, "nvlink_down", "18 of 18 NVLinks up, down: "),
        (changed(temperature_memory=90), {"TEMP_MEMORY_MAX": "90"}, "memory_hot", "Memory at 90 °C, limit 90 °C"),
    ],
)  # fmt: skip
def test_an_alert(document: dict[str, Any], macros: dict[str, str], key: str | None, text: str) -> None:
    """No other one: those that depend on it are suppressed."""
    found = raised(document, **macros)
    assert set(found) == ({key} if key else set())  # a macro holds for all GPUs
    if key:
        assert found[key].startswith(text)


def test_no_text_keeps_a_macro() -> None:
    document = golden()
    for alert in ALERTS:
        text = Rules(lambda _: 1, DEFAULTS).text(alert.event, alert.expression)
        assert "{$" not in text, alert.key
        assert "{ITEM" not in text, alert.key
        assert "{?" not in text, alert.key
    assert raised(document) == {}


def test_severities_decide(tmp_path: Path) -> None:
    document = changed(remap_pending=1)  # a warning
    (path := tmp_path / "document.json").write_text(json.dumps(document))
    for severity, code in (("info", 1), ("warning", 1), ("average", 0), ("high", 0)):
        done = check(PLAIN, "--document", str(path), "--severity", severity)
        assert done.returncode == code
        assert done.stdout.splitlines()[0] == "WARNING  GPU 0: Row remapping pending"


# -- GPUs that are chosen ----------------------------------------------------------------------------------------------


def test_names_of_gpus() -> None:
    assert choice("all") is None
    assert choice("0,2-4, GPU-1a,MIG-2b,0000:19:00.0,") == ["0", "2", "3", "4", "GPU-1a", "MIG-2b", "0000:19:00.0"]
    assert choice("") == []
    for text in ("first", "-1", "0;1", "GPU", "$(id)", "1.5"):
        with pytest.raises(UsageError, match="no GPU has such a name"):
            choice(text)


@pytest.mark.parametrize("name", ["0", FIRST, "0000:19:00.0", "00000000:19:00.0"])
def test_only_the_chosen_gpu_counts(name: str) -> None:
    document = changed(remap_failure=1)
    assert evaluate(document, [name], {}).fit is False
    assert evaluate(document, ["1", "2"], {}).fit is True
    assert evaluate(document, [], {}).fit is True


def test_a_mig_instance_stands_for_its_gpu() -> None:
    document = golden("a100-mig")
    row = document["discovery"]["mig"][0]
    assert evaluate(document, [row["{#MIG}"]], {}).gpus == [row["{#UUID}"]]


def test_a_lost_gpu_concerns_those_who_have_chosen_it() -> None:
    document = golden()
    uuid, _ = document["gpus"].popitem()
    del document["presence"][uuid]
    document["host"] |= {"gpus_lost": 1, "gpus_present": 7, "lost": "GPU 7: 00000000:DB:00.0, GPU is lost"}
    assert [finding.alert.key for finding in evaluate(document, None, {}).findings] == ["lost"]
    assert evaluate(document, ["0", "1"], {}).fit is True
    (finding,) = evaluate(document, ["0", "7"], {}).findings
    assert (finding.alert.key, finding.place) == ("missing", 7)
    assert finding.text == "GPU lost or missing: 00000000:DB:00.0, GPU is lost"
    (finding,) = evaluate(document, ["9"], {}).findings
    assert finding.text == "GPU lost or missing: the driver does not have it"


# -- the command -------------------------------------------------------------------------------------------------------


def patient(machine: Machine, clocked: ClocksFactory) -> dict[str, str]:
    """On a busy machine the driver may not answer in time."""
    clocked(machine, speed=SLOW)
    return machine.env


def test_a_sound_host(machine: MachineFactory, clocked: ClocksFactory) -> None:
    done = check(patient(machine("h100x8"), clocked))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("FIT      8 GPUs, ")


def test_a_hot_card(machine: MachineFactory, clocked: ClocksFactory) -> None:
    host = machine("t4")
    host.set("gpu 0", temperature=91, clocks_event_reasons=0x20)
    env = patient(host, clocked)
    done = check(env)
    assert done.returncode == 1
    assert done.stdout.splitlines() == [
        "WARNING  GPU 0: 91 °C, 2 °C below the slowdown limit",
        "WARNING  GPU 0: Thermal throttling (software)",
    ]
    found = json.loads(check(env, "--json").stdout)
    assert found["fit"] is False
    assert [finding["alert"] for finding in found["findings"]] == ["temperature", "sw_thermal"]
    assert all(finding["action"] and finding["counts"] for finding in found["findings"])


def test_a_lost_card(machine: MachineFactory, clocked: ClocksFactory) -> None:
    host = machine("h100x8")
    host.set("gpu 3", state="lost")
    env = patient(host, clocked)
    assert check(env).stdout.startswith("HIGH     GPU is lost: GPU 3: ")
    assert [check(env, "--gpus", gpus).returncode for gpus in ("0-2,4-7", "3", "GPU-00000000-0000")] == [0, 1, 1]


def test_no_driver() -> None:
    done = check({"PATH": "/usr/bin:/bin"})
    assert done.returncode == 1
    assert done.stdout.startswith("HIGH     Driver does not answer: NVML error 12: ")


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The document of a service."""
    monkeypatch.setattr(config, "PATH", str(tmp_path / "agent.conf"))
    (tmp_path / "agent.conf").write_text(f"document = {tmp_path}/document.json\n")
    monkeypatch.setattr(os, "fork", lambda: pytest.fail("the driver was read"))
    return tmp_path / "document.json"


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["check", *arguments])


def test_a_service_is_asked_instead_of_the_driver(service: Path) -> None:
    service.write_text(json.dumps(golden()))
    assert run().exit_code == 0
    service.write_text(json.dumps(changed(remap_failure=1)))
    assert run().exit_code == 1


def test_an_old_document_of_the_service_says_nothing_of_now(service: Path) -> None:
    service.write_text(json.dumps({**golden(), "timestamp": int(time.time()) - 190}))
    done = run()
    assert done.exit_code == 2
    assert done.output.startswith("UNKNOWN  The document is 3 min old")


@pytest.mark.parametrize("status", [RELEASED, HOST_BUSY])
def test_what_could_not_be_read_is_unknown(service: Path, status: Any) -> None:
    document = golden()
    document["status"] = {"driver": 1, "code": status.code, "name": status.name, "message": status.remedy}
    document |= {"gpus": {}, "discovery": {}}
    service.write_text(json.dumps(document))
    for arguments in ((), ("--gpus", "0")):
        done = run(*arguments)
        assert done.exit_code == 2
        assert done.output.startswith(f"UNKNOWN  {status.name}: ")
    assert json.loads(run("--json").output)["fit"] is None


def test_gpus_that_this_user_may_not_use_are_unknown(service: Path) -> None:
    document = golden()
    document["host"]["gpus_refused"] = 2
    service.write_text(json.dumps(document))
    done = run()
    assert (done.exit_code, done.output) == (2, "UNKNOWN  2 GPUs refuse this user or container: run it as root\n")
    assert run("--gpus", "0").exit_code == 0


@pytest.mark.parametrize(
    "document",
    [
        "", "[]", "{}", json.dumps({**golden(), "gpus": []}), json.dumps({**golden(), "status": {"code": 0}}),
        json.dumps({**golden(), "host": 3}), json.dumps({**golden(), "presence": 3}),
        json.dumps({**golden(), "status": {"code": 0, "name": 1, "message": OK.remedy}}),
    ],
)  # fmt: skip
def test_a_document_that_is_none(tmp_path: Path, document: str) -> None:
    (path := tmp_path / "document.json").write_text(document)
    done = run("--document", str(path))
    assert done.exit_code == 2
    assert done.output.startswith("Error: ")
    assert len(done.output.splitlines()) == 1


def test_wrong_usage(service: Path) -> None:
    service.write_text(json.dumps(golden()))
    for arguments, message in (
        (("--gpus", "first"), "first: no GPU has such a name"),
        (("--macro", "NVIDIA.NO.SUCH=1"), "the template has no macro {$NVIDIA.NO.SUCH}"),
    ):
        done = run(*arguments)
        assert done.exit_code == 2
        assert message in done.output


def test_a_text_of_the_driver_commands_no_terminal(service: Path) -> None:
    service.write_text(json.dumps(changed(recovery_action=1, fabric_faults="\x1b[2J", fabric_state=3)))
    assert "\x1b" not in run().output
    assert "NVLink fabric unhealthy: ?[2J" in run().output


def test_the_severities_of_the_option_are_those_of_the_alerts() -> None:
    """The command does not load the catalog to say its help."""
    command = main.get_command(click.Context(main), "check")
    assert command
    (option,) = [parameter for parameter in command.params if parameter.name == "severity"]
    assert list(option.type.choices) == [severity.lower() for severity in SEVERITIES]  # type: ignore[attr-defined]
