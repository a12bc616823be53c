"""What a template file of 7.4 may have that one of 7.0 lacks: rules of our own, since no server of 7.4 could be had.

They are stricter than Zabbix: only constants that were seen in a template of Zabbix itself, and every field complete.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from zbx_nvidia.catalog.macros import SECTIONS

if TYPE_CHECKING:
    from collections.abc import Iterator

Tree = dict[str, Any]

# In the order of an export.
EXPORT = ("version", "template_groups", "templates", "triggers")
TEMPLATE = (
    "uuid", "template", "name", "description", "wizard_ready", "readme", "vendor", "groups", "items",
    "discovery_rules", "tags", "macros", "dashboards", "valuemaps",
)  # fmt: skip
MACRO = ("macro", "value", "description", "config")
CONFIG = ("type", "priority", "section_name", "label", "description", "regex")

REQUIRED = {"type", "priority", "section_name", "label", "description"}
LONGEST = 255  # characters of a short text in Zabbix's database
# What Markdown would take for something else than text, in help that is a single line.
MARKDOWN = re.compile(r"[*_`<>\[\]|~]|^\s*(#|\d+\.|[-+]) ")


def problems(text: str, export: Tree) -> list[str]:
    """Everything that is wrong with a file of 7.4: the text of the file, and what it says."""
    return [*_file(text), *_export(export)]


def without_additions(text: str) -> str:
    """The file of 7.0 that is in a file of 7.4, line by line."""
    kept, skipped = [], -1
    for line in text.splitlines(keepends=True):
        indent = len(line) - len(line.lstrip(" "))
        if skipped >= 0 and (indent > skipped or not line.strip()):
            continue
        key = line.strip().partition(":")[0]
        skipped = indent if key in {"wizard_ready", "readme", "config"} and indent in {6, 10} else -1
        if skipped < 0:
            kept.append(line)
    return "".join(kept).replace("  version: '7.4'\n", "  version: '7.0'\n", 1)


def _file(text: str) -> Iterator[str]:
    if "\t" in text or re.search(r"[ \t]$", text, re.MULTILINE):
        yield "tabs, or blanks at the end of a line"
    for constant in ("LIST", "CHECKBOX", "NESTED", "NOCONF", "JSON"):
        if re.search(rf"^\s*(- )?(type|value_type|output_format): '?{constant}'?$", text, re.MULTILINE):
            yield f"constant {constant}: not seen in a template of Zabbix"


def _export(export: Tree) -> Iterator[str]:
    yield from _keys("export", export, EXPORT)
    if export.get("version") != "7.4":
        yield f"version {export.get('version')!r}"
    for template in export.get("templates", []):
        yield from _keys("template", template, TEMPLATE)
        if template.get("wizard_ready") != "YES":
            yield f"wizard_ready {template.get('wizard_ready')!r}"
        yield from _readme(template.get("readme", ""))
        for macro in template.get("macros", []):
            yield from _keys(f"macro {macro.get('macro')}", macro, MACRO)
            if "config" in macro:
                yield from _config(macro)
        yield from _positions([macro["config"] for macro in template.get("macros", []) if "config" in macro])


def _keys(what: str, tree: Tree, allowed: tuple[str, ...]) -> Iterator[str]:
    yield from (f"{what}: unknown key {key!r}" for key in tree if key not in allowed)
    known = [key for key in tree if key in allowed]
    if known != sorted(known, key=allowed.index):
        yield f"{what}: order of keys {known}"


def _readme(text: str) -> Iterator[str]:
    headings = re.findall(r"^#+ .*$", text, re.MULTILINE)
    if headings != ["## Overview", "## Setup"]:
        yield f"readme: headings {headings}"
    if re.search(r"<[a-z/!]", text, re.IGNORECASE):
        yield "readme: HTML"
    if not text.endswith("\n") or text.endswith("\n\n"):
        yield "readme: does not end in one line break"


def _config(macro: Tree) -> Iterator[str]:
    name, config = f"config of {macro.get('macro')}", macro["config"]
    yield from _keys(name, config, CONFIG)
    yield from (f"{name}: no {key}" for key in sorted(REQUIRED) if not config.get(key))
    yield from (f"{name}: {key} is no text" for key, value in config.items() if not isinstance(value, str))
    if config.get("type") != "TEXT":
        yield f"{name}: type {config.get('type')!r}"
    if config.get("section_name") not in SECTIONS:
        yield f"{name}: section {config.get('section_name')!r}"
    yield from (
        f"{name}: {key} is too long" for key in ("label", "section_name", "regex") if len(config.get(key, "")) > LONGEST
    )
    yield from (
        f"{name}: Markdown or a line break in {key}"
        for key in ("label", "description")
        # A macro contains no Markdown, but dots and underscores.
        if MARKDOWN.search(re.sub(r"\{\$[^}]*\}", "", str(config.get(key, "")))) or "\n" in str(config.get(key, ""))
    )
    yield from _regex(name, str(macro.get("value", "")), config)


def _regex(name: str, value: str, config: Tree) -> Iterator[str]:
    """Zabbix checks what is typed twice: JavaScript's new RegExp(regex), and PHP's preg_match("/" . regex . "/")."""
    if "regex" not in config:
        return
    regex = config["regex"]
    if not regex:
        yield f"{name}: an empty regex is the default, which an export leaves out"
    if "/" in regex:
        yield f"{name}: a slash in the regex ends it in PHP"
    try:
        pattern = re.compile(regex)
    except re.error as error:
        yield f"{name}: regex {regex!r}: {error}"
        return
    if not (regex.startswith("^") and regex.endswith("$")):
        yield f"{name}: the regex is not anchored"
    if not pattern.search(value):
        yield f"{name}: the regex refuses the default {value!r}"


def _positions(configs: list[Tree]) -> Iterator[str]:
    priorities = [str(config.get("priority")) for config in configs]
    if sorted(priorities) != sorted(map(str, range(1, len(configs) + 1))):
        yield f"priorities are not 1 to {len(configs)}, each once"
        return
    ordered = sorted(configs, key=lambda config: int(config["priority"]))
    sections = [str(config.get("section_name")) for config in ordered]
    if sections != sorted(sections, key=lambda section: SECTIONS.index(section) if section in SECTIONS else -1):
        yield "sections are torn apart, or not in their order"
    labels = [(config.get("section_name"), config.get("label")) for config in configs]
    if len(set(labels)) != len(labels):
        yield "a label stands twice in a section"
