"""The docs: links lead somewhere, lines are short, and commands and options exist."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.conftest import REPOSITORY

if TYPE_CHECKING:
    from pathlib import Path

README = REPOSITORY / "README.md"
# What the commands print of themselves; generated.
COMMANDS = REPOSITORY / "docs" / "COMMANDS.md"
DOCS = [
    *REPOSITORY.glob("*.md"),
    *REPOSITORY.glob("docs/*.md"),
    REPOSITORY / "simulator" / "README.md",
    *REPOSITORY.glob("deploy/ansible/roles/*/README.md"),
]
HAND_WRITTEN = [path for path in DOCS if not path.read_text("utf-8").startswith("<!-- Generated")]
WIDTH = 100
README_LINES = 80


def name(path: Path) -> str:
    return str(path.relative_to(REPOSITORY))


def prose(path: Path) -> list[tuple[int, str]]:
    """The numbered lines outside code blocks."""
    lines, code = [], False
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        if line.startswith("```"):
            code = not code
        elif not code:
            lines.append((number, line))
    return lines


def anchors(path: Path) -> set[str]:
    """As GitHub makes them of headings."""
    found: set[str] = set()
    for _, line in prose(path):
        if match := re.match(r"#+ (.*)", line):
            anchor = re.sub(r"[^\w\- ]", "", match[1].lower()).replace(" ", "-")
            copies = sum(1 for other in found if re.fullmatch(rf"{re.escape(anchor)}(-\d+)?", other))
            found.add(f"{anchor}-{copies}" if copies else anchor)
    return found


@pytest.mark.parametrize("path", DOCS, ids=name)
def test_links_lead_somewhere(path: Path) -> None:
    broken = []
    for number, line in prose(path):
        for link in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"`[^`]*`", "", line)):
            file, _, anchor = link.partition("#")
            target = (path.parent / file).resolve() if file else path
            if re.match(r"[a-z]+:", link):
                continue
            if not target.exists() or (anchor and anchor not in anchors(target)):
                broken.append(f"{name(path)}:{number}: {link}")
    assert broken == []


@pytest.mark.parametrize("path", HAND_WRITTEN, ids=name)
def test_lines_are_short(path: Path) -> None:
    """Tables excepted, which cannot be broken."""
    lines = [f"{number}: {line}" for number, line in prose(path) if len(line) > WIDTH and not line.startswith("|")]
    assert lines == []


def test_the_readme_is_one_page() -> None:
    assert len(README.read_text("utf-8").splitlines()) <= README_LINES


@pytest.mark.parametrize("path", HAND_WRITTEN, ids=name)
def test_commands_and_options_exist(path: Path) -> None:
    """As docs/COMMANDS.md has them, in code blocks and in the text."""
    sections = dict(re.findall(r"^## (\S+)\n(.*?)(?=^## |\Z)", COMMANDS.read_text("utf-8"), re.MULTILINE | re.DOTALL))
    text = path.read_text("utf-8").replace("\\\n", " ")
    unknown = []
    call = r"zbx-nvidia(?P<agent>-agent)?(?:\.pyz)? (?P<command>[a-z][a-z-]+)(?!\S)(?P<rest>[^|`#\n&;]*)"
    # In the text only what is marked as code.
    for block in re.findall(r"^```\w*\n(.*?)^```|`([^`\n]+)`", text, re.MULTILINE | re.DOTALL):
        for found in re.finditer(call, "".join(block)):
            command = found["command"]
            section = sections["zbx-nvidia-agent"] if found["agent"] else sections.get(command, "")
            known = set(re.findall(r"--[a-z-]+", section))
            if command not in section or set(re.findall(r" (--[a-z-]+)", found["rest"])) - known:
                unknown.append(found[0])
    assert unknown == []
