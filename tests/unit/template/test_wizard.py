"""The files for 7.4 keep rules of our own, since no server of 7.4 or 8.0 was available. Each rule is seen to fail."""

from __future__ import annotations

import copy
import re
from typing import TYPE_CHECKING, Any

import pytest

from tests.unit.template.files import exported, template_text
from tests.unit.template.wizard_format import problems, without_additions
from zbx_nvidia.catalog.macros import MACROS
from zbx_nvidia.catalog.metrics import GROUPS
from zbx_nvidia.template import VARIANTS
from zbx_nvidia.template.build import ALL_MACROS, switch

if TYPE_CHECKING:
    from collections.abc import Callable

Tree = dict[str, Any]


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_rules_hold(variant: str) -> None:
    assert problems(template_text("7.4", variant), exported("7.4", variant)) == []


@pytest.mark.parametrize("variant", VARIANTS)
def test_without_its_additions_it_is_the_file_for_7_0_byte_for_byte(variant: str) -> None:
    """That one is imported into a real Zabbix 7.0."""
    text = template_text("7.4", variant)
    assert without_additions(text) == template_text("7.0", variant)
    assert text.count("          config:\n") == sum(macro.field is not None for macro in ALL_MACROS) > 60


def template(export: Tree) -> Tree:
    found: Tree = export["templates"][0]
    return found


def macro(export: Tree, name: str = "{$NVIDIA.INTERVAL}") -> Tree:
    found: Tree = next(one for one in template(export)["macros"] if one["macro"] == name)
    return found


def config(export: Tree) -> Tree:
    found: Tree = macro(export)["config"]
    return found


def first(tree: Tree, key: str, value: object) -> None:
    """Puts a key before all others."""
    others = dict(tree)
    tree.clear()
    tree.update({key: value, **others})


FAULTS: dict[str, tuple[Callable[[Tree], Any], str]] = {
    "version": (lambda export: export.update(version="8.0"), r"^version '8\.0'$"),
    "unknown key of the file": (lambda export: export.update(dashboards=[]), "export: unknown key 'dashboards'"),
    "wizard_ready of another word": (lambda export: template(export).update(wizard_ready="1"), "^wizard_ready '1'$"),
    "no wizard_ready": (lambda export: template(export).pop("wizard_ready"), "^wizard_ready None$"),
    "unknown key of the template": (lambda export: template(export).update(wizard=1), "template: unknown key 'wizard'"),
    "readme at the end": (
        lambda export: template(export).update(readme=template(export).pop("readme")),
        "template: order of keys",
    ),
    "no readme": (lambda export: template(export).pop("readme"), r"readme: headings \[\]"),
    "readme without Setup": (
        lambda export: template(export).update(readme="## Overview\n\nText.\n"),
        r"readme: headings \['## Overview'\]",
    ),
    "readme with HTML": (
        lambda export: template(export).update(readme=template(export)["readme"] + "<b>Now</b>.\n"),
        "readme: HTML",
    ),
    "readme without an end": (
        lambda export: template(export).update(readme=template(export)["readme"].rstrip()),
        "readme: does not end in one line break",
    ),
    "unknown key of a macro": (lambda export: macro(export).update(configuration={}), "unknown key 'configuration'"),
    "config before the macro": (
        lambda export: first(macro(export), "config", macro(export).pop("config")),
        r"macro \{\$NVIDIA.INTERVAL\}: order of keys",
    ),
    "wrong constant": (lambda export: config(export).update(type="CHECKBOX"), "type 'CHECKBOX'"),
    "no type": (lambda export: config(export).pop("type"), "no type"),
    "unknown key of a config": (lambda export: config(export).update(options=[]), "unknown key 'options'"),
    "order of a config": (
        lambda export: first(config(export), "label", config(export).pop("label")),
        r"config of \{\$NVIDIA.INTERVAL\}: order of keys",
    ),
    "no label": (lambda export: config(export).pop("label"), "no label"),
    "empty label": (lambda export: config(export).update(label=""), "no label"),
    "no help": (lambda export: config(export).pop("description"), "no description"),
    "long label": (lambda export: config(export).update(label="x" * 256), "label is too long"),
    "label of another field": (
        lambda export: config(export).update(label=macro(export, "{$NVIDIA.LINKS.INTERVAL}")["config"]["label"]),
        "a label stands twice",
    ),
    "Markdown in the help": (lambda export: config(export).update(description="Use *all*."), "Markdown .* description"),
    "unknown section": (lambda export: config(export).update(section_name="Other"), "section 'Other'"),
    "section torn apart": (lambda export: config(export).update(section_name="Filters"), "sections are torn apart"),
    "priority of another field": (lambda export: config(export).update(priority="2"), "priorities are not 1 to"),
    "priority as a number": (lambda export: config(export).update(priority=1), "priority is no text"),
    "priority as a word": (lambda export: config(export).update(priority="first"), "priorities are not 1 to"),
    "broken regex": (lambda export: config(export).update(regex="^[0-9$"), "regex .*unterminated"),
    "regex with a slash": (lambda export: config(export).update(regex="^1m|1/2$"), "a slash"),
    "regex in the middle": (lambda export: config(export).update(regex="[0-9]"), "not anchored"),
    "regex against the default": (lambda export: config(export).update(regex="^[0-9]$"), "refuses the default '1m'"),
    "empty regex": (lambda export: config(export).update(regex=""), "an empty regex"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_found(fault: str) -> None:
    change, message = FAULTS[fault]
    export = copy.deepcopy(exported("7.4", "passive"))
    change(export)
    assert any(re.search(message, problem) for problem in problems("", export)), problems("", export)


@pytest.mark.parametrize(
    ("line", "replacement", "message"),
    [
        ("type: DEPENDENT", "type: NESTED", "constant NESTED"),
        ("value_type: TEXT", "value_type: JSON", "constant JSON"),
        ("type: TEXT", "type: CHECKBOX", "constant CHECKBOX"),
        ("section_name: Alarms", "section_name: Alarms ", "blanks at the end"),
    ],
)
def test_a_fault_in_the_text_is_found(line: str, replacement: str, message: str) -> None:
    text = template_text("7.4", "passive")
    wrong = text.replace(f" {line}\n", f" {replacement}\n", 1)
    assert wrong != text
    assert any(message in problem for problem in problems(wrong, exported("7.4", "passive")))


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("delay: '0'", "delay: '1'", 1),
        lambda text: text.replace("          config:\n", "          configs:\n", 1),
        lambda text: text.replace("      wizard_ready:", "      wizard_readied:", 1),
        lambda text: text.replace("value: 1m\n", "value: 2m\n", 1),
    ],
)
def test_another_difference_from_the_file_for_7_0_is_found(change: Callable[[str], str]) -> None:
    text = template_text("7.4", "passive")
    assert change(text) != text
    assert without_additions(change(text)) != template_text("7.0", "passive")


@pytest.mark.parametrize("series", ["6.0", "7.0"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_older_files_have_nothing_of_it(series: str, variant: str) -> None:
    assert not re.search(r"^ +(wizard_ready|readme|config):", template_text(series, variant), re.MULTILINE)


def test_help_is_the_description_of_the_macro() -> None:
    for one in template(exported("7.4", "passive"))["macros"]:
        if "config" in one:
            assert one["config"]["description"] == one["description"]


def test_every_switch_has_a_field_and_what_people_do_not_set_has_none() -> None:
    fields = {one["macro"] for one in template(exported("7.4", "active"))["macros"] if "config" in one}
    assert {f"{{{switch(group.name)}}}" for group in GROUPS} - fields == {"{$NVIDIA.GROUP.HEALTH}"}
    names = {one.name for one in MACROS}
    assert {name for name in names if f"{{{name}}}" not in fields} == {one.name for one in MACROS if one.field is None}
    assert not {name for name in fields if re.search(r"\.(XID\.|REMAP|RETIRED)|(GPU|NVLINK|FAN)\.MEMORY", name)}


def test_the_description_of_a_macro_is_clear_alone() -> None:
    """Whoever sees it sees no heading above it: it says what it is about, and how to switch it off."""
    subjects = re.compile(r"GPU|NVLink|PCIe|ECC|MIG|VBIOS|XID|fan |process|readings|[Dd]river|clocks|Items for")
    texts = [one.text for one in ALL_MACROS]
    assert len(set(texts)) == len(texts)
    for one in ALL_MACROS:
        assert one.text.endswith("."), one.name
        assert subjects.search(one.text), one.name
        if one.field and one.field.pattern in {"^[01]$", "^(-1|0|1)$"}:
            assert "1: " in one.text, one.name
            assert "0: " in one.text, one.name
        if one.value == "-1":
            assert "-1: not checked." in one.text, one.name
