"""What others build on and no change of ours may move unnoticed: names of commands, options, keys, paths and faults.

`python -m tests.contracts.contracts` rewrites contracts.json. A difference is a decision and goes into the change log.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import click

from tests.conftest import REPOSITORY
from zbx_nvidia.catalog.alerts import ALERTS
from zbx_nvidia.catalog.entities import DOCUMENT, ENTITIES, LINKS_DOCUMENT, METRICS
from zbx_nvidia.catalog.macros import MACROS
from zbx_nvidia.catalog.metrics import GROUPS
from zbx_nvidia.catalog.status import STATUSES
from zbx_nvidia.cli.exits import meanings
from zbx_nvidia.cli.main import COMMANDS, main
from zbx_nvidia.collector import job
from zbx_nvidia.collector.main import USAGE
from zbx_nvidia.collector.resident import config
from zbx_nvidia.doctor.run import CHECKS
from zbx_nvidia.host import paths
from zbx_nvidia.install import install, record
from zbx_nvidia.template import TEMPLATE_NAMES
from zbx_nvidia.template.build import build, switch
from zbx_nvidia.template.dialect import SERIES, form, speak

PATH = Path(__file__).with_name("contracts.json")


def contracts() -> dict[str, Any]:
    """All of them, in an order that does not depend on that of the code."""
    return {
        "commands": {name: _command(name) for name in sorted(COMMANDS)},
        "agent": sorted(set(re.findall(r"--[a-z]+|(?<=zbx-nvidia-agent )[a-z|]+", USAGE))),
        "configuration": sorted(key[0] for key in config.KEYS),
        "paths": sorted(
            map(str, (config.PATH, record.PATH, paths.UNIT, paths.SYSUSERS, paths.RUNTIME, paths.PROGRAM, job.OWN))
        ),
        "keys": sorted([DOCUMENT, LINKS_DOCUMENT, *(metric.item_key for metric in METRICS)]),
        "sections": {entity.section: [entity.name, entity.document] for entity in ENTITIES},
        "alerts": sorted(f"{alert.entity}.{alert.key}" for alert in ALERTS),
        "macros": sorted([*(macro.name for macro in MACROS), *(switch(group.name) for group in GROUPS)]),
        "statuses": sorted(status.code for status in STATUSES),
        "doctor": {check.id: sorted(fault.key for fault in check.faults) for check in CHECKS},
        "templates": sorted(TEMPLATE_NAMES.values()),
        "uuids": {f"{series} {variant}": _uuids(series, variant) for series in SERIES for variant in TEMPLATE_NAMES},
        "marks": [install.HEAD],
        "files": sorted(
            str(path.relative_to(REPOSITORY))
            for folder in ("templates", "userparameters", "systemd")
            for path in (REPOSITORY / folder).rglob("*")
            if path.is_file()
        ),
    }


def _command(name: str) -> dict[str, Any]:
    command = main.get_command(click.Context(main), name)
    assert command is not None
    return {
        "parameters": {
            " ".join(parameter.opts): {
                "required": parameter.required,
                "words": list(parameter.type.choices) if isinstance(parameter.type, click.Choice) else [],
            }
            for parameter in command.params
        },
        "exits": sorted(meanings(name)),
    }


def _uuids(series: str, variant: str) -> dict[str, str]:
    """UUID -> what has it: by key or by expression, for names may change."""
    found: dict[str, str] = {}

    def walk(node: Any, kind: str) -> None:
        if isinstance(node, list):
            for each in node:
                walk(each, kind)
        elif isinstance(node, dict):
            if "uuid" in node:
                found[node["uuid"]] = f"{kind} {node.get('key', '')}".strip()
            for key, value in node.items():
                walk(value, key)

    walk(speak(build(variant, form(series)), series), "export")
    return dict(sorted(found.items()))


def text() -> str:
    return json.dumps(contracts(), indent=1, sort_keys=True, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    PATH.write_text(text(), encoding="utf-8")
