"""The resident collector under a real systemd, set up as docs/RESIDENT.md says."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import PATIENCE, wait_for
from tests.integration.conftest import PROFILE
from tests.integration.machines import machine

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.integration.machines import Machine

pytestmark = pytest.mark.integration

DOCS = (Path(__file__).parents[2] / "docs" / "RESIDENT.md").read_text(encoding="utf-8")
DROP_INS = re.findall(r"^```ini\n(.*?)^```$", DOCS, re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def host() -> Iterator[Machine]:
    """With the service, set up by hand; the lines that set the agent up are another matter, and so is install-agent."""
    commands = DOCS.partition("\n### By hand\n")[2].split("```")[1].strip().splitlines()
    with machine("7.0", "service") as made:
        made.shell("\n".join(line for line in commands if "/etc/zabbix" not in line and "restart zabbix" not in line))
        yield made


def document(host: Machine, path: str) -> dict[str, Any]:
    end = time.monotonic() + PATIENCE
    while (done := host.run("cat", path)).code:
        assert time.monotonic() < end, f"no {path}: {host.run('journalctl', '--unit', 'zbx-nvidia').out[-1000:]}"
        time.sleep(0.1)
    found: dict[str, Any] = json.loads(done.out)
    return found


def kill(host: Machine) -> None:
    pid = host.ok("systemctl", "show", "--property", "MainPID", "--value", "zbx-nvidia").strip()
    host.ok("kill", "-KILL", pid)


def test_a_service_that_is_killed_leaves_nothing_to_read_and_comes_back(host: Machine) -> None:
    path = "/run/zbx-nvidia/document.json"
    assert document(host, path)["status"]["code"] == 0
    kill(host)
    end = time.monotonic() + PATIENCE
    while host.run("test", "-e", path).code == 0:
        assert time.monotonic() < end, "it was left to be read"
        time.sleep(0.1)
    assert document(host, path)["status"]["code"] == 0


def test_what_the_docs_add_to_the_unit_suffices(host: Machine) -> None:
    """For a document elsewhere, and for the real log of the real kernel."""
    assert len(DROP_INS) > 1
    (place,) = re.findall(r"^ReadWritePaths=(.*)$", "".join(DROP_INS), re.MULTILINE)
    host.shell(f"install -d -o zbx-nvidia -g zbx-nvidia {place} && mkdir -p /etc/systemd/system/zbx-nvidia.service.d")
    host.write("/etc/zbx-nvidia/agent.conf", f"document = {place}/document.json\nkernel_log = /dev/kmsg\n")
    host.shell("systemctl restart zbx-nvidia || true")
    assert host.run("test", "-e", f"{place}/document.json").code, "the unit is as closed as it should be"
    host.write("/etc/systemd/system/zbx-nvidia.service.d/more.conf", "\n".join(DROP_INS))
    host.shell("systemctl daemon-reload && systemctl restart zbx-nvidia")
    found = document(host, f"{place}/document.json")
    assert found["collector"]["errors"] == []
    assert found["host"]["sxid_count"] >= 0
    kill(host)
    end = time.monotonic() + PATIENCE
    while host.run("test", "-e", f"{place}/document.json").code == 0:
        assert time.monotonic() < end, "it was left to be read"
        time.sleep(0.1)


def test_when_it_has_stopped_the_driver_is_free(host: Machine) -> None:
    """Also where the driver is slow: whoever stops it by its name (mig-parted, gpu-operator) resets a GPU next."""
    host.shell("rm -rf /etc/systemd/system/zbx-nvidia.service.d /etc/zbx-nvidia/agent.conf; systemctl daemon-reload")
    host.shell("systemctl restart zbx-nvidia")
    assert document(host, "/run/zbx-nvidia/document.json")["status"]["code"] == 0
    held = f"ls -l /proc/[0-9]*/fd 2>/dev/null | grep -c ' {PROFILE}' || true"
    # The worker of a service that was killed may still be in a call.
    wait_for(lambda: host.shell(held).strip() == "1", "one process that uses the driver")
    host.set_profile(temperature_threshold_mem_max="!SLOW(3) 95")
    time.sleep(6)  # a round has begun, and is in that call
    host.shell("systemctl stop zbx-nvidia")
    assert host.shell(held).strip() == "0"
    assert host.run("test", "-e", "/run/zbx-nvidia/document.json").code
