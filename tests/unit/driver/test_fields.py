"""Fields of NVML: each is read from its own place in the answer, and none is asked for that nobody reads."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import TYPE_CHECKING

from tests.unit.collector.collector import python
from zbx_nvidia.driver import fields

if TYPE_CHECKING:
    from tests.conftest import MachineFactory

FIELDS = {name: value for name, value in vars(fields).items() if isinstance(value, fields.Field)}
ALL_LINKS = 0xFFFFFFFF
SCOPES = {"POWER_MEMORY": 2}
PROGRAM = """
import struct
from zbx_nvidia.driver import fields, native, system
from zbx_nvidia.driver.device import Device
native._ANSWERED = struct.Struct("@IIqqII8s")  # what it was the answer to, too
system.start()
handle = Device(0)._handle
answers = fields.ask_card(handle)
links = fields.ask_links(handle, 2)
for name, field in vars(fields).items():
    if isinstance(field, fields.CardField):
        answer = answers[field._place]
        print(name, *answer[:2])
    elif isinstance(field, fields.LinkCounter):
        for link, answer in enumerate((links[field._place], links[field._place + len(fields._OF_LINKS)])):
            print(name, *answer[:2])
        first = answers[field.of_first_link._place]
        print(name, *first[:2])
"""


def test_each_field_has_its_own_place_in_the_answers(machine: MachineFactory) -> None:
    expected = []
    for name, field in FIELDS.items():
        if isinstance(field, fields.LinkCounter):
            expected += [f"{name} {field.field_id} {link}" for link in (0, 1, 0)]
        elif isinstance(field, fields.CardField):
            expected.append(f"{name} {field.field_id} {SCOPES.get(name, ALL_LINKS if '_BEFORE_5' in name else 0)}")
    assert python(PROGRAM, machine("h100x8").env).splitlines() == expected
    assert len(expected) > 30


def test_each_field_is_declared_once_and_has_a_reader() -> None:
    """Of one number there are two only where all links together are asked for what each link has."""
    one_link = [field.field_id for name, field in FIELDS.items() if name.startswith("LINK_")]
    card = [(field.field_id, SCOPES.get(name)) for name, field in FIELDS.items() if not name.startswith("LINK_")]
    assert len(set(one_link)) == len(one_link)
    assert len(set(card)) == len(card)
    used = {
        node.attr
        for path in Path(fields.__file__).parent.glob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "fields"
    }
    assert used >= FIELDS.keys()
