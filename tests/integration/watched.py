"""What is asked of a host that Zabbix watches: what its items hold and should hold, and what Zabbix complains of."""

from __future__ import annotations

import json
import os
import re
import time
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from click.testing import CliRunner

from tests.conftest import PATIENCE, REPOSITORY
from zbx_nvidia.catalog.entities import DOCUMENT, ENTITIES, METRICS
from zbx_nvidia.catalog.metrics import GROUPS, HOST_METRICS, PRESENT
from zbx_nvidia.catalog.sampled import SERVICE, SERVICE_READERS
from zbx_nvidia.catalog.status import HOST_BUSY
from zbx_nvidia.cli.main import main

if TYPE_CHECKING:
    from collections.abc import Collection

    from tests.integration.conftest import Stack

FROZEN = 1_800_000_000  # a frozen clock: readings do not change between the document and the item
MOVING = {
    "timestamp",
    "collector.duration",
    "collector.driver_time",
    "collector.driver_cpu",
    "gpu.process_oldest",
}  # all the same
# What an agent runs, by the key of its check.
COMMANDS = dict(
    line.removeprefix("UserParameter=").split(",", 1)
    for line in (REPOSITORY / "userparameters" / "nvidia.conf").read_text(encoding="utf-8").splitlines()
    if line.startswith("UserParameter=")
)
TOO_BUSY = HOST_BUSY.code
PARTS = tuple(metric for metric in METRICS if metric not in HOST_METRICS and metric != PRESENT)
# Items that have no value until there is one: after an XID error, after the end of a job.
UNTIL_AN_XID = {"xid_last", "xid_last_time", "job_last"}
SECTIONS = {"gpu": "gpus", **{entity.name: entity.section for entity in ENTITIES}}
# No alarm waits longer than for its next values: what the periods hold is the last value.
QUICK = {
    # What these remember has to outlast the slowest alarm of the same wave.
    "{$NVIDIA.ECC.PERIOD}": "60s",
    "{$NVIDIA.NVLINK.PERIOD}": "60s",
    "{$NVIDIA.NVLINK.DOWN}": "5s",
    **{
        f"{{$NVIDIA.{period}.PERIOD}}": "5s"
        for period in (
            "TEMP",
            "FABRIC",
            "FAN",
            "SLOW",
            "ECC.CORRECTED",
            "THROTTLE",
            "THROTTLE.SW",
            "PCIE",
            "IDLE",
            "JOB.IDLE",
            "STALL",
            "ABANDONED",
            "LICENSE",
        )
    },
}


class Run(NamedTuple):
    """What a command did."""

    code: int
    out: str
    err: str


class Client:
    """The command, as a user of this server runs it."""

    def __init__(self, url: str, **environment: str) -> None:
        self.environment = {"ZABBIX_URL": url, **environment}

    def __call__(self, *arguments: str) -> Run:
        """Runs it in this process: some four hundred starts of Python would take minutes."""
        clean: dict[str, str | None] = {name: None for name in os.environ if name.startswith("ZABBIX_")}
        done = CliRunner().invoke(main, arguments, env=clean | self.environment, prog_name="zbx-nvidia")
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exc_info
        return Run(done.exit_code, done.stdout, done.stderr)

    def ok(self, *arguments: str) -> str:
        done = self(*arguments)
        assert done.code == 0, done
        assert not done.err
        return done.out

    def refused(self, *arguments: str) -> str:
        """The one line that says why not."""
        done = self(*arguments)
        assert done.code == 1, done
        (line,) = done.err.splitlines()
        assert line.startswith("Error: ")
        return line


def as_options(macros: dict[str, str]) -> list[str]:
    """Host macros for `zbx-nvidia add-host`."""
    return [word for name, value in macros.items() for word in ("--macro", f"{name}={value}")]


def items(stack: Stack, host: str, *start: str) -> dict[str, dict[str, Any]]:
    """What the items of a host hold, by key: those that start with one of these where any are given.

    Their last values cost the database and the front end 200 ms of a processor for the 970 items of eight GPUs, and
    10 ms for one.
    """
    rows = stack.api.item.get(
        hostids=[stack.host_id(host)],
        search={"key_": list(start)} if start else {},
        startSearch=True,
        searchByAny=True,
        output=["key_", "name", "state", "error", "lastvalue", "lastclock", "value_type", "units"],
    )
    return {row["key_"]: row for row in rows}


def filled(stack: Stack, host: str, start: str) -> int:
    """How many of the items whose key starts so have a value."""
    return sum(item["lastclock"] != "0" for item in items(stack, host, start).values())


def states(stack: Stack, host: str) -> dict[str, dict[str, Any]]:
    """Its items without what they hold, by key."""
    rows = stack.api.item.get(hostids=[stack.host_id(host)], output=["key_", "state", "error"])
    return {row["key_"]: row for row in rows}


def document(stack: Stack, service: str, port: int = 10050, key: str = DOCUMENT) -> dict[str, Any]:
    """What the host's agent answers now; asked again if the machine was too busy to read anything."""
    end = time.monotonic() + PATIENCE
    while True:
        found: dict[str, Any] = json.loads(
            stack.exec(service, "zabbix_get", "-s", "127.0.0.1", "-p", str(port), "-k", key)
        )
        if found.get("status", {}).get("code") != TOO_BUSY or time.monotonic() > end:
            return found
        time.sleep(1)


def parts(found: dict[str, Any], entity: str) -> dict[str, dict[str, Any]]:
    """The readings of all entities of that kind in a document, by what stands in the brackets of their item keys."""
    there = found.get(SECTIONS[entity], {})
    if entity == "link":
        return {f"{uuid},{link}": readings for uuid, links in there.items() for link, readings in enumerate(links)}
    return {place.replace("/", ","): readings for place, readings in there.items()}


def lacking(tokens: str) -> set[str]:
    """The readers that a row's {#LACKS} names, or has one token for."""
    named = set(tokens.split(","))
    return named | SERVICE_READERS if SERVICE in named else named


def expected_values(found: dict[str, Any], off: Collection[str]) -> dict[str, Any]:
    """What each item must hold, from the document: by key, and nothing else may exist.

    Args:
        found: The document.
        off: Groups of metrics that are not discovered.

    Returns:
        The values. None: the item is there, as every item of the host itself, but the document has nothing for it.
    """
    values: dict[str, Any] = {}
    for metric in HOST_METRICS:
        section = found.get(metric.entity, {}) if metric.entity else found
        values[metric.item_key] = section.get(metric.key)
    for uuid in found["gpus"]:
        values[f"{PRESENT.item_key}[{uuid}]"] = 1
    lacks = {row["{#UUID}"]: lacking(row["{#LACKS}"]) for row in found["discovery"]["gpus"]}
    for metric in PARTS:
        if metric.group in off:
            continue
        for place, readings in parts(found, metric.entity).items():
            if metric.only and metric.counter in readings:
                counts = re.search(metric.only, str(readings[metric.counter]))
                values[f"{metric.item_key}[{place}]"] = 1 if counts else None
            elif metric.counter in readings:
                # Zabbix calculates it, and the clock is frozen.
                values[f"{metric.item_key}[{place}]"] = 0
            elif metric.key in readings:
                values[f"{metric.item_key}[{place}]"] = readings[metric.key]
            elif metric.entity == "gpu" and not metric.counter and metric.reader not in lacks[place]:
                # The card has it, but not now: no XID yet, or the age of a process that this host does not see.
                values[f"{metric.item_key}[{place}]"] = None
    return values


def off_by_default() -> set[str]:
    return {group.name for group in GROUPS if not group.on}


def differences(there: dict[str, dict[str, Any]], wanted: dict[str, Any]) -> dict[str, Any]:
    """What is wrong with a host's items: by key, what it holds and what it should."""
    wrong: dict[str, Any] = {key: "no such item" for key in wanted if key not in there}
    wrong |= {key: "not wanted" for key in there if key not in wanted and key not in COMMANDS}
    for key in set(wanted) & set(there):
        item, value = there[key], wanted[key]
        if value is None:
            if item["lastclock"] != "0":
                wrong[key] = (item["lastvalue"], "nothing")
        elif item["lastclock"] == "0":
            wrong[key] = "no value"
        elif key.removeprefix("nvidia.").partition("[")[0] not in MOVING and not same(item["lastvalue"], value):
            wrong[key] = (item["lastvalue"], value)
    return wrong


def wait_for_gpus(stack: Stack, host: str) -> None:
    """Until all GPUs of the host of that name in a stack have values."""
    gpus = len(document(stack, host)["gpus"])
    stack.wait(lambda: filled(stack, host, "nvidia.gpu.power[") == gpus, f"values of all {gpus} GPUs of {host}")


def same(stored: str, value: Any) -> bool:
    """Whether an item holds a value of the document."""
    if isinstance(value, str):
        return stored == value
    if isinstance(value, list):
        return bool(json.loads(stored) == value)
    return bool(float(stored) == pytest.approx(value, rel=1e-9, abs=1e-4))


def errors(stack: Stack, host: str) -> dict[str, str]:
    """What Zabbix itself complains of: items, discovery rules and triggers in error."""
    hostid = stack.host_id(host)
    rules = stack.api.discoveryrule.get(hostids=[hostid], output=["key_", "state", "error"])
    assert {rule["key_"] for rule in rules} == {f"nvidia.{metric.entity}.discovery" for metric in PARTS}
    triggers = stack.api.trigger.get(hostids=[hostid], output=["description", "state", "error"])
    there = states(stack, host)

    def of_the_past(error: str) -> bool:
        # After a poll that failed (observed on a busy machine, 7.0), a trigger says that its item is not supported,
        # until that has a value. The item of a fault that a machine does not have gets none.
        found = re.search(rf"/{re.escape(host)}/([^)]+)\): item is not supported", error)
        item = items(stack, host, found[1]).get(found[1]) if found else None
        return bool(item and item["state"] == "0" and item["lastclock"] == "0")

    return {
        **{key: item["error"] or "unsupported" for key, item in there.items() if item["state"] != "0"},
        **{rule["key_"]: rule["error"] or "state" for rule in rules if rule["error"] or rule["state"] != "0"},
        **{
            row["description"]: row["error"] or "state"
            for row in triggers
            if (row["error"] or row["state"] != "0") and not of_the_past(row["error"])
        },
    }
