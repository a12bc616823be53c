"""The generated template files, read once for all tests: to render one takes a second. A test says that they are so."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import yaml

from scripts.generate.__main__ import template_file

FOLDER = Path(__file__).parents[3] / "templates" / "zabbix"
# The parser in C, where there is one, takes a tenth of the time.
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def parse(text: str) -> dict[str, Any]:
    """What stands below `zabbix_export` of a file, each value as text, as `zbx_nvidia.template.document` makes it."""
    loader = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
    tree: dict[str, Any] = yaml.load(text, Loader=loader)["zabbix_export"]  # noqa: S506  the base loader makes only strings
    return tree


@functools.cache
def template_text(series: str, variant: str) -> str:
    """The file of a series, `7.0`, and a variant, `passive`."""
    return (FOLDER / series / template_file(variant)).read_text()


@functools.cache
def exported(series: str, variant: str) -> dict[str, Any]:
    """What Zabbix reads of it. Copy it before you change it."""
    tree: dict[str, Any] = yaml.load(template_text(series, variant), Loader=LOADER)["zabbix_export"]  # noqa: S506  a safe one
    return tree
