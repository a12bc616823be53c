"""AllowKey and DenyKey, as Zabbix's manual and both agents have them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from zbx_nvidia.zabbix_agent import key_rules
from zbx_nvidia.zabbix_agent.config import AGENTD, read

if TYPE_CHECKING:
    from pathlib import Path

FILE = "vfs.file.contents[/run/zbx-nvidia/document.json]"


@pytest.mark.parametrize(
    ("pattern", "key", "fits"),
    [
        ("*", "nvidia.get", True),
        ("*", FILE, True),
        ("nvidia.get", "nvidia.get", True),
        ("nvidia.*", "nvidia.get", True),
        ("nvidia.*", "nvidia.links.get", True),
        ("nvidia.*[*]", "nvidia.get", False),  # with brackets a rule is about keys that have them
        ("nvidia", "nvidia.get", False),
        ("*.get", "nvidia.get", True),
        ("vfs.file.contents", FILE, False),
        ("vfs.file.contents[*]", FILE, True),
        ("vfs.file.*[*]", FILE, True),
        ("vfs.*", FILE, False),
        ("vfs.file.contents[/run/*]", FILE, True),
        ("vfs.file.contents[/etc/*]", FILE, False),
        ("vfs.file.contents[/run/zbx-nvidia/document.json]", FILE, True),
        ('vfs.file.contents["/run/zbx-nvidia/document.json"]', FILE, True),
        ("vfs.file.contents[/run/zbx-nvidia/document.json,*]", FILE, True),
        ("vfs.file.contents[/run/zbx-nvidia/document.json,utf-8]", FILE, False),
        ("vfs.file.contents[]", FILE, False),
        ("system.run[*]", FILE, False),
        ("a.b[*,x]", "a.b[1,x]", True),
        ("a.b[*,x]", "a.b[1,y]", False),
        ('a.b["x,y"]', 'a.b["x,y"]', True),
    ],
)
def test_whether_a_rule_is_about_a_key(pattern: str, key: str, fits: bool) -> None:  # noqa: FBT001  a parameter
    assert key_rules.fits(pattern, key) is fits


@pytest.mark.parametrize(
    ("lines", "denied"),
    [
        ("", 0),
        ("DenyKey=nvidia.*", 1),
        ("AllowKey=nvidia.get\nDenyKey=*", 0),
        ("DenyKey=*\nAllowKey=nvidia.get", 1),
        ("DenyKey=system.run[*]\nAllowKey=vfs.*[*]\nDenyKey=*", 3),
        ("DenyKey=vfs.file.contents[*]", 0),
    ],
)
def test_the_first_rule_that_fits_decides(tmp_path: Path, lines: str, denied: int) -> None:
    file = tmp_path / "zabbix_agentd.conf"
    file.write_text(f"{lines}\n", encoding="utf-8")
    found = key_rules.denies(read(file, AGENTD), "nvidia.get")
    assert (found.line if found else 0) == denied
