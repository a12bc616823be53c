"""`zbx-nvidia show`: what people see of their GPUs, on wide and narrow terminals and in a pipe."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sysconfig
import time
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from tests.conftest import PATIENCE, REPOSITORY
from tests.unit.cli.screen import Shown, on_terminal
from tests.unit.clocks import SLOW
from tests.unit.collector.resident.service import Service
from zbx_nvidia.catalog.status import OK
from zbx_nvidia.cli import health, view
from zbx_nvidia.cli.main import main
from zbx_nvidia.cli.table import Look
from zbx_nvidia.collector.document import Collection, Gpu, Problem, build
from zbx_nvidia.collector.resident import config

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Machine, MachineFactory
    from tests.unit.conftest import ClocksFactory

PROGRAM = f"{sysconfig.get_path('scripts')}/zbx-nvidia"
BUSY = 1_700_000_400  # when the simulated cards work
NOWHERE = {"PATH": "/usr/bin:/bin"}  # no driver
NARROW = ["GPU", "Model", "Temp", "HBM", "Power", "Memory", "Util", "Mem", "SM", "clock"]  # headings of an H100
VARIABLES = ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR")  # that change what is shown
RED, YELLOW, GREEN = "\x1b[31m\x1b[1m", "\x1b[33m", "\x1b[32m"


@pytest.fixture
def calm(machine: MachineFactory, clocked: ClocksFactory) -> MachineFactory:
    """Machines whose driver answers in time, however busy the real one is."""

    def make(profile: str, *, clock: float | None = BUSY) -> Machine:
        made = machine(profile, clock=clock)
        clocked(made, speed=SLOW)
        for name in VARIABLES:
            made.env.pop(name, None)
        return made

    return make


def shown(env: dict[str, str], *arguments: str, columns: int = 80) -> Shown:
    """On a terminal. Nothing wraps there, whatever is shown."""
    found = on_terminal([PROGRAM, "show", *arguments], env, columns)
    assert [line for line in found.lines if len(line) > columns] == []
    assert "Traceback" not in found.raw
    return found


def piped(env: dict[str, str], *arguments: str, text: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [PROGRAM, "show", *arguments], env=env, input=text, capture_output=True, text=True, check=False
    )


def golden(name: str) -> dict[str, Any]:
    """A document that the collector has made."""
    found: dict[str, Any] = json.loads((REPOSITORY / "tests" / "golden" / f"{name}.json").read_text())
    return found


def changed(name: str, **readings: object) -> str:
    """Such a document with other readings of its first GPU; None takes one away."""
    document = golden(name)
    first = next(iter(document["gpus"].values()))
    first.update(readings)
    for key in [key for key, value in readings.items() if value is None]:
        del first[key]
    return json.dumps(document)


def row(raw: str, index: int) -> str:
    """The line of a GPU, with its colors."""
    (found,) = [line for line in raw.splitlines() if re.match(rf"(\x1b\[\d+m)*\s*(\x1b\[\d+m)*{index}\b", line)]
    return found


# -- terminals and pipes -----------------------------------------------------------------------------------------------


def test_a_gaming_card_on_a_narrow_terminal(calm: MachineFactory) -> None:
    found = shown(calm("gtx1070").env)
    assert found.code == 0
    assert found.lines == [
        "Driver 580.95.05  NVML 13.580.95.05  CUDA 13.0  GPUs 1",
        "GPU  Model     Temp   Fan      Power      Memory  Util   Mem  SM clock   P",
        "  0  GTX 1070  46°C   13%   57W/151W  2.1/8.0GiB   36%   18%    753MHz  P2",
    ]


def test_a_wide_terminal_has_bars_and_reasons_beside_the_card(calm: MachineFactory) -> None:
    host = calm("h100x8")
    host.set("gpu 2", clocks_event_reasons=0x4, power_usage=699_000, utilization_gpu=50)
    found = shown(host.env, columns=160)
    headings, *rows = found.lines[1:]
    assert headings.split() == [*NARROW, "P"]
    assert [line.split()[0] for line in rows] == list("01234567")
    assert all("█" in line or "░" in line for line in rows)
    assert "████████░░░░░░░░░  50%" in rows[2]
    assert rows[2].endswith("P0  Power throttling (power limit)")


def test_a_narrow_terminal_has_the_reasons_below_and_loses_columns_on_the_right(calm: MachineFactory) -> None:
    host = calm("h100x8")
    host.set("gpu *", clocks_event_reasons=0x4)
    host.set("gpu 2", gpu_recovery_action=1)
    found = shown(host.env)
    assert found.lines[1].split() == NARROW
    assert found.lines[-2:] == ["GPU 0-7: Power throttling (power limit)", "GPU 2: Action needed: Reset the GPU"]
    assert not any("█" in line for line in found.lines)
    assert shown(host.env, columns=60).lines[1].split() == ["GPU", "Model", "Temp", "HBM", "Memory", "Util"]


def test_a_long_model_is_cut_before_columns_are(calm: MachineFactory) -> None:
    host = calm("gtx1070")
    host.set("gpu 0", name="NVIDIA RTX PRO 6000 Blackwell Max-Q Workstation Edition")
    assert "RTX PRO 6000 Blackw…  46°C   13%   57W/151W" in shown(host.env).lines[2]
    assert "RTX PRO 6000 Blackwell Max-Q Workstation Edition  46°C" in piped(host.env).stdout


def test_a_pipe_gets_plain_text_with_everything(calm: MachineFactory) -> None:
    host = calm("h100x8")
    host.set("gpu 0", clocks_event_reasons=0x40)
    done = piped(host.env)
    assert "\x1b" not in done.stdout
    assert done.stdout.splitlines()[1].split() == [*NARROW, "P"]
    assert done.stdout.splitlines()[2].endswith("P0  Thermal throttling (hardware)")


@pytest.mark.parametrize("columns", [None, 20, 40, 80, 100, 120, 160, 240])
@pytest.mark.parametrize("card", sorted(path.stem for path in (REPOSITORY / "tests" / "golden").glob("*.json")))
def test_every_card_fits_every_width(card: str, columns: int | None) -> None:
    look = Look(columns, color=False, encoding="utf-8", bars=columns is not None)
    lines = view.lines(golden(card), look, wide=True, processes=True, seen=health.Seen())
    texts = [look.paint(line) for line in lines]
    assert columns is None or max(map(len, texts)) <= columns
    assert not any(text.endswith(" ") for text in texts)
    assert any(text.startswith("GPU  Model") for text in texts)


@pytest.mark.parametrize(
    ("arguments", "environment", "expected"),
    [
        ((), {}, True),
        ((), {"NO_COLOR": "1"}, False),
        ((), {"NO_COLOR": ""}, True),
        ((), {"TERM": "dumb"}, False),
        (("--color", "never"), {}, False),
        (("--color", "always"), {"NO_COLOR": "1"}, True),
    ],
)
def test_color_on_a_terminal(
    tmp_path: Path, arguments: tuple[str, ...], environment: dict[str, str], *, expected: bool
) -> None:
    file = tmp_path / "document.json"
    file.write_text(json.dumps(golden("gtx1070")))
    found = shown({**NOWHERE, **environment}, "--document", str(file), *arguments)
    assert ("\x1b" in found.raw) == expected


def test_color_in_a_pipe_on_demand() -> None:
    text = json.dumps(golden("gtx1070"))
    assert "\x1b" not in piped(NOWHERE, "--document", "-", text=text).stdout
    assert "\x1b" in piped(NOWHERE, "--document", "-", "--color", "always", text=text).stdout
    assert "\x1b" in piped({**NOWHERE, "FORCE_COLOR": "1"}, "--document", "-", text=text).stdout


def test_a_terminal_that_knows_ascii_only(calm: MachineFactory) -> None:
    env = {**calm("gtx1070").env, "PYTHONIOENCODING": "ascii"}
    found = shown(env, columns=160)
    assert found.raw.isascii()
    assert " 46C " in found.lines[2]
    assert "#######............. " in found.lines[2]
    assert "?" not in found.raw


# -- colors by the card's own limits -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("card", "readings", "text", "style"),
    [
        ("gtx1070", {"temperature": 80}, "80°C", GREEN),
        ("gtx1070", {"temperature": 84}, "84°C", YELLOW),
        ("gtx1070", {"temperature": -3}, "-3°C", GREEN),
        ("gtx1070", {"temperature": 94}, "94°C", RED),
        ("gtx1070", {"temperature": 94, "temperature_slowdown": 110}, "94°C", GREEN),
        ("gtx1070", {"temperature": 94, "temperature_slowdown": None}, "94°C", ""),
        ("h100x8", {"temperature_margin": 14}, "57°C", GREEN),
        ("h100x8", {"temperature_margin": 13}, "57°C", YELLOW),
        ("h100x8", {"temperature_margin": 3}, "57°C", RED),
        # Some cards report such margins while they are cool.
        ("h100x8", {"temperature_margin": 0}, "57°C", ""),
        ("h100x8", {"temperature_margin": -2, "throttle_sw_thermal": 1}, "57°C", RED),
        ("h100x8", {"throttle_hw_thermal": 1}, "57°C", RED),
        ("v100", {"temperature_memory": 84, "temperature_memory_max": 85}, "84°C", RED),
        ("v100", {"temperature_memory": 60, "temperature_memory_max": 85}, "60°C", GREEN),
        ("gtx1070", {"memory_used": 7 * 2**30}, "7.0/8.0GiB", GREEN),
        ("gtx1070", {"memory_used": 7.5 * 2**30}, "7.5/8.0GiB", YELLOW),
        ("gtx1070", {"memory_used": 8 * 2**30}, "8.0/8.0GiB", RED),
        ("gtx1070", {"power": 150.0, "power_percent": 99.3}, "150W/151W", YELLOW),
        ("gtx1070", {"power": 140.0, "power_percent": 92.7}, "140W/151W", ""),
        ("gtx1070", {"fan_speed": 95}, " 95%", YELLOW),
        ("gtx1070", {"fan_speed": 0}, "  0%", RED),
        ("gtx1070", {"fan_speed": 0, "temperature": 50}, "  0%", ""),
    ],
)
def test_a_number_has_the_color_of_its_limit(
    tmp_path: Path, card: str, readings: dict[str, object], text: str, style: str
) -> None:
    file = tmp_path / "document.json"
    file.write_text(changed(card, **readings))
    raw = row(shown(NOWHERE, "--document", str(file), columns=100).raw, 0)
    number = text.lstrip()
    if style:
        assert f"{style}{number}\x1b[0m" in raw
    else:
        assert re.search(rf"(?<![m\d]){re.escape(number)}(?!\x1b)", raw)


# -- cards in trouble --------------------------------------------------------------------------------------------------


def test_a_lost_and_a_sick_card_have_a_row_in_red(calm: MachineFactory) -> None:
    host = calm("h100x8")
    host.set("gpu 3", state="lost")
    host.set("gpu 5", state="sick")
    found = shown(host.env)
    assert found.code == 1
    rows = [line for line in found.lines if re.match(r" +\d ", line)]
    assert [line.split()[0] for line in rows] == list("01234567")
    assert rows[3] == "  3  LOST: GPU is lost"
    assert rows[5] == "  5  SICK: Unknown Error"
    assert f"{RED}LOST: GPU is lost" in found.raw
    assert f"{RED}SICK: Unknown Error" in found.raw
    # One line for all that it refuses.
    assert [line for line in found.lines if "(999)" in line] == [
        "host name, uuid, pci, serial, and 35 more: Unknown Error (999)"
    ]


def lost(*gpus: Gpu, slots: tuple[str, ...] = (), count: int = 2) -> str:
    """The document of a host with a healthy card, and these."""
    healthy = Gpu(0, "ok", {"index": 0, "uuid": "GPU-0a", "pci": "00000000:01:00.0", "name": "Tesla T4"}, {}, (), ())
    found = Collection(OK, "", {}, count, [healthy, *gpus], ["00000000:01:00.0", *slots], [], {}, "oneshot", 0.1)
    return json.dumps(build(found))


GONE = (Problem("", "", 15, "GPU is lost"),)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            lost(
                Gpu(
                    1, "lost",
                    {"name": "Tesla T4", "pci": "00000000:02:00.0", "uuid": "GPU-0b", "serial": "0423918012345"},
                    {}, (), GONE,
                )
            ),
            ["  1  LOST, slot 00000000:02:00.0, serial 0423918012345, Tesla T4: GPU is lost"],
        ),
        (
            lost(Gpu(1, "lost", {}, {}, (), GONE), slots=("00000000:02:00.0",)),
            ["  1  LOST, slot 00000000:02:00.0: GPU is lost"],
        ),
        (
            # Which is in which slot is not known if there are more slots than cards.
            lost(Gpu(1, "lost", {}, {}, (), GONE), slots=("00000000:02:00.0", "00000000:03:00.0")),
            ["  1  LOST: GPU is lost", "Slots of which no GPU answers: 00000000:02:00.0, 00000000:03:00.0"],
        ),
        (lost(count=2), ["  1  SICK: no answer"]),
    ],
)  # fmt: skip
def test_what_is_known_of_a_lost_card(text: str, expected: list[str]) -> None:
    done = piped(NOWHERE, "--document", "-", text=text)
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    assert lines[lines.index(expected[0]) :] == expected


def test_more_lost_cards_than_the_text_has_room_for() -> None:
    reason = (Problem("", "", 15, "GPU is lost " + "x" * 120),)
    text = lost(*(Gpu(index, "lost", {}, {}, (), reason) for index in range(1, 5)), count=5)
    lines = piped(NOWHERE, "--document", "-", text=text).stdout.splitlines()
    assert [line[:14] for line in lines[-3:]] == ["  1  LOST: GPU", "  2  LOST: GPU", "2 more are los"]


def test_why_a_card_is_slow_or_must_be_reset(tmp_path: Path) -> None:
    file = tmp_path / "document.json"
    file.write_text(
        changed(
            "h100x8", recovery_action=4, remap_failure=1, throttle_hw_slowdown=1, throttle_hw_thermal=1,
            throttle_sw_thermal=1, throttle_power_brake=1, throttle_sync_boost=1, repair_tpc_pending=1,
            fabric_faults="bandwidth degraded", nvlink_slow="4, 11",
        )
    )  # fmt: skip
    notes = [line for line in shown(NOWHERE, "--document", str(file)).lines if line.startswith("GPU 0: ")]
    assert notes == [
        "GPU 0: Action needed: Drain, then reset the GPU",
        "GPU 0: Row remapping failure",
        "GPU 0: NVLink fabric: bandwidth degraded",
        "GPU 0: Thermal throttling (software, hardware)",
        "GPU 0: Power throttling (power brake)",
        "GPU 0: TPC repair pending",
        "GPU 0: Slow NVLinks: 4, 11",
        "GPU 0: Throttling (sync boost)",
    ]


def test_a_card_that_sleeps(tmp_path: Path) -> None:
    document = golden("h100x8")
    uuid = next(iter(document["gpus"]))
    known = {key: document["gpus"][uuid][key] for key in ("index", "name", "uuid", "pci")}
    document["gpus"][uuid] = {**known, "asleep": 1}
    file = tmp_path / "document.json"
    file.write_text(json.dumps(document))
    assert "GPU 0: Asleep, and not woken" in shown(NOWHERE, "--document", str(file)).lines


def test_a_card_that_answers_hardly_anything(calm: MachineFactory) -> None:
    host = calm("h100x8")
    readings = ("temperature", "margin_temperature", "utilization_gpu", "power_usage", "memory_used")
    host.set("gpu 3", dict.fromkeys(readings, "!UNKNOWN"))
    found = shown(host.env)
    assert f"{RED}3\x1b[0m" in row(found.raw, 3)
    assert re.search(r"^GPU 3: \d+ readings failed$", "\n".join(found.lines), re.MULTILINE)


@pytest.mark.parametrize(
    ("code", "recent", "style", "expected"),
    [
        (79, ",79,", RED, "GPU 0: XID 79: GPU has fallen off the bus (host restart), 5 min ago"),
        (79, ",", "\x1b[2m", "GPU 0: XID 79: GPU has fallen off the bus (host restart), 5 min ago"),
        (31, ",31,", YELLOW, "GPU 0: XID 31: GPU memory page fault, 5 min ago"),
        (9999, ",9999,", RED, "GPU 0: XID 9999: unknown code, 5 min ago"),
    ],
)
def test_the_last_xid_in_words(tmp_path: Path, code: int, recent: str, style: str, expected: str) -> None:
    file = tmp_path / "document.json"
    # A minute later it is still "5 min".
    file.write_text(changed("t4", xid_last=code, xid_last_time=int(time.time()) - 300, xid_recent=recent))
    assert style + expected in shown(NOWHERE, "--document", str(file)).raw


# -- --wide and --processes --------------------------------------------------------------------------------------------


def test_what_identifies_the_cards(calm: MachineFactory) -> None:
    host = calm("h100x8")
    found = shown(host.env, "--wide", columns=120)
    assert found.lines[11:13] == [
        "GPU  PCI address       Serial         UUID                                      VBIOS",
        "  0  00000000:19:00.0  1654723021444  GPU-9bb1b5a4-5f6c-4965-adf0-ad165eee2b9b  96.00.A5.00.01",
    ]
    assert found.lines[0].startswith("Driver 590.48.01 ")
    assert shown(host.env, "--wide").lines[11].split() == ["GPU", "PCI", "address", "Serial", "UUID"]


def test_mig_instances_have_lines_of_their_own(tmp_path: Path) -> None:
    document = golden("h100-mig")
    first = document["discovery"]["mig"][0]["{#MIG}"]
    document["mig"][first] |= {"memory_used": 42_400_000_000, "gpm_sm": 61.4, "gpm_tensor": 0.2}
    # Of an instance that a later reading did not find, a document may have the row alone.
    document["mig"].pop(document["discovery"]["mig"][1]["{#MIG}"])
    file = tmp_path / "document.json"
    file.write_text(json.dumps(document))
    lines = shown(NOWHERE, "--document", str(file)).lines
    assert lines[lines.index("") + 1 :] == [
        "GPU   MIG  Profile        Memory    SM  Tensor",
        "  0   2/0  3g.40gb  39.5/39.5GiB   61%      0%",
        "  0   9/0  1g.10gb    0.0/9.8GiB",
        "  0  10/0  1g.10gb    0.0/9.8GiB",
    ]
    assert RED + "39.5/39.5GiB" in shown(NOWHERE, "--document", str(file)).raw
    assert first in "\n".join(shown(NOWHERE, "--document", str(file), "--wide", columns=120).lines)


def test_processes_with_their_users(calm: MachineFactory) -> None:
    host = calm("gtx1070")
    host.set(f"gpu 0 process {os.getpid()}", name="/opt/train/train --secret", compute=1, used_memory=2**30)
    lines = piped(host.env, "--processes").stdout.splitlines()
    assert lines[4].split() == ["GPU", "PID", "User", "Type", "Memory", "Name"]
    table = [line.split() for line in lines[5:]]
    me = subprocess.run(["id", "-un"], capture_output=True, text=True, check=True).stdout.strip()
    assert ["0", str(os.getpid()), me, "C", "1024MiB", "train"] in table
    assert ["0", "5001843", "G", "137MiB", "Xorg"] in table
    sizes = [int(word.removesuffix("MiB")) for line in table for word in line if word.endswith("MiB")]
    assert sizes == sorted(sizes, reverse=True)
    assert "secret" not in "".join(lines)


def test_a_long_list_and_none_at_all(calm: MachineFactory) -> None:
    host = calm("gtx1070")
    for number in range(20):
        host.set(f"gpu 0 process {6_000_000 + number}", name="worker", compute=1, used_memory=2**30)
    last = piped(host.env, "--processes").stdout.splitlines()[-1]
    assert last == "GPU 0: 6 more. The document has only the largest processes."
    text = changed("gtx1070", process_list=[], processes=0)
    assert piped(NOWHERE, "-p", "--document", "-", text=text).stdout.splitlines()[-1] == "No processes."


def test_a_document_without_the_list_of_processes() -> None:
    text = changed("gtx1070", process_list=None)
    assert piped(NOWHERE, "-p", "--document", "-", text=text).stdout.splitlines()[-1] == (
        "GPU 0: no list of processes: the driver does not report it, or the document was made without it. "
        "Run nvidia-smi."
    )
    document = json.loads(text)
    document["collector"]["errors"] = [
        {"gpu": "", "metric": "process_list", "code": 0, "message": "left out: the document would be too large"}
    ]
    assert (
        "GPU 0: no list of processes: left out: the document would be too large. Run nvidia-smi."
        in piped(NOWHERE, "-p", "--document", "-", text=json.dumps(document)).stdout.splitlines()
    )


# -- texts of others ---------------------------------------------------------------------------------------------------

EVIL = "\x1b]0;owned\x07\x1b[2J\u202e\u009b31m\n\r"


def test_no_text_of_the_driver_or_of_a_process_commands_the_terminal(tmp_path: Path) -> None:
    document = golden("h100x8")
    first = next(iter(document["gpus"].values()))
    first |= {"name": f"H100{EVIL}", "serial": EVIL, "vbios": EVIL, "pci": EVIL}
    first["process_list"] = [
        {"pid": 1, "type": EVIL, "name": EVIL, "user": EVIL, "container": EVIL, "arguments": EVIL, "memory": 1}
    ]
    document["status"] |= {"code": 999, "message": EVIL, "name": EVIL}
    document["host"] |= {"driver_version": EVIL, "lost": f"GPU 9: {EVIL}, {EVIL}", "gpus_lost": 1}
    document["collector"]["errors"] = [{"gpu": EVIL, "metric": EVIL, "code": EVIL, "message": EVIL}]
    file = tmp_path / "document.json"
    file.write_text(json.dumps(document))
    for columns in (80, 160):
        found = shown(NOWHERE, "--document", str(file), "--wide", "--processes", columns=columns)
        left = re.sub(r"\x1b\[[0-9]+m", "", found.raw).replace("\r\n", "")
        assert [character for character in left if not character.isprintable()] == []
        assert "owned" in left
    assert piped(NOWHERE, "--document", str(file), "--json").stdout.strip().isprintable()


def test_the_name_of_a_process_that_the_driver_passes_on(calm: MachineFactory) -> None:
    host = calm("gtx1070")
    host.set("gpu 0 process 6000001", name=r"\x1b[31mevil\x07", compute=1, used_memory=2**30)
    found = piped(host.env, "--processes")
    assert "?[31mevil?" in found.stdout
    assert "\x1b" not in found.stdout


# -- where documents are from ------------------------------------------------------------------------------------------


@pytest.fixture
def of_service(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The document that the service's configuration names; nothing in this process reaches a driver."""
    monkeypatch.setattr(config, "PATH", str(tmp_path / "agent.conf"))
    (tmp_path / "agent.conf").write_text(f"document = {tmp_path}/document.json\n")
    return tmp_path / "document.json"


def run(*arguments: str) -> tuple[int, list[str]]:
    result = CliRunner().invoke(main, ["show", *arguments], env=dict.fromkeys(VARIABLES))
    return result.exit_code, result.output.splitlines()


def test_the_document_of_a_running_service_is_shown_and_no_driver_is_called(
    machine: MachineFactory, tmp_path: Path, of_service: Path
) -> None:
    folder = tmp_path / "service"
    folder.mkdir()
    host = machine("gtx1070")
    service = Service(host.env, folder)
    try:
        service.well()
        of_service.symlink_to(service.document)
        code, lines = run()
        assert code == 0
        assert "GTX 1070" in lines[-1]
        host.set("gpu 0", {"xid.1": 79})
        service.until(lambda answer: "xid_last" in next(iter(answer.document["gpus"].values())), "an XID")
        assert "XID 79: GPU has fallen off the bus (host restart)" in run()[1][-1]
        code, lines = run("--json")
        assert json.loads(lines[0])["collector"]["mode"] == "resident"
    finally:
        service.process.terminate()
        service.process.wait(PATIENCE)
    # The service has removed its document, and there is no driver here.
    code, lines = run()
    assert code == 1
    assert lines[0].startswith("Library not found: ")


def aged(seconds: float) -> str:
    document = golden("gtx1070")
    document["timestamp"] = int(time.time() - seconds)
    return json.dumps(document)


def test_an_old_document_says_its_age(of_service: Path) -> None:
    of_service.write_text(aged(0))
    assert run()[1][0].startswith("Driver 580")
    of_service.write_text(aged(150))
    code, lines = run()
    assert code == 0
    assert lines[:2] == [
        "The document is 2 min old. Run `systemctl status zbx-nvidia`.",
        "Driver 580.95.05  NVML 13.580.95.05  CUDA 13.0  GPUs 1",
    ]


def test_the_document_of_a_service_that_has_ended_is_not_shown(of_service: Path) -> None:
    of_service.write_text(aged(7200 + 60))
    code, lines = run()
    assert code == 1
    assert lines[0] == (
        f"The document is 2 hours old: {of_service} is not shown, but the driver. "
        "Run `sudo systemctl restart zbx-nvidia`."
    )
    assert lines[1].startswith("Library not found: ")


def test_a_driver_that_was_released_is_left_alone(of_service: Path) -> None:
    document = golden("gtx1070")
    document |= {"timestamp": int(time.time()), "gpus": {}, "discovery": {}}
    document["status"] |= {"code": 1004, "name": "Released", "message": "On purpose"}
    of_service.write_text(json.dumps(document))
    code, lines = run()
    assert (code, lines[0]) == (1, "Released: On purpose")


def test_a_file_may_be_of_any_age_and_host(tmp_path: Path) -> None:
    file = tmp_path / "d.json"
    file.write_text(aged(3 * 86_400))
    code, lines = run("--document", str(file))
    assert (code, lines[0]) == (0, "The document is 3 days old.")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "this is not JSON. Give a document of zbx-nvidia-agent get"),
        ("[1]", "this is no document of zbx-nvidia-agent get or serve"),
        ('{"timestamp": 1e99, "status": {}, "gpus": {}}', "this is no document of zbx-nvidia-agent get or serve"),
        ('{"version": 1, "links": {}}', "this is no document of zbx-nvidia-agent get or serve"),
    ],
)
def test_what_is_no_document(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "d.json"
    file.write_text(text)
    assert run("--document", str(file)) == (2, [f"Error: {file}: {message}"])


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    code, lines = run("--document", str(tmp_path / "none"))
    assert (code, lines) == (2, [f"Error: {tmp_path}/none: No such file or directory"])


def test_json_is_what_the_agent_gets(calm: MachineFactory) -> None:
    done = piped(calm("gtx1070").env, "--json")
    assert done.stdout == json.dumps(json.loads(done.stdout), separators=(",", ":")) + "\n"
    assert set(golden("gtx1070")) == set(json.loads(done.stdout))


def test_a_gpu_that_this_container_may_not_use_is_counted_and_no_fault(calm: MachineFactory) -> None:
    found = shown(calm("lxc-one-of-two").env)
    assert found.code == 0
    assert "1 of 2 GPUs refused: this user or container may not use them" in found.lines
    assert "Insufficient Permissions" not in "\n".join(found.lines)


def test_two_cards_with_one_uuid_are_named_once(calm: MachineFactory) -> None:
    text = "\n".join(shown(calm("dup-uuid").env).lines)
    assert text.count("same UUID as GPU 0") == 1
    assert "failed" not in text


def test_markup_in_the_name_of_a_card_is_text(calm: MachineFactory) -> None:
    node = calm("t4")
    node.set("gpu 0", name="NVIDIA [/b][link=x]T4")
    assert "[/b][link=x]T4" in "\n".join(shown(node.env, columns=160).lines)
