"""Texts are plain, and spelled as in Zabbix and NVML."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.conftest import REPOSITORY

if TYPE_CHECKING:
    from pathlib import Path

# British spellings, and phrases that readers had to read twice. Each was in a message, the docs or a comment once.
WORDS = (
    "utilisation", "catalogue", "licence", "colour", "behaviour",
    "anew", "besides", "lest", "be it", "of late", "for it is", "makes it so",
    "let go", "lets go", "taken for", "takes for", "take it for",
    "is told", "are told", "was told", "be told", "tells of", "told of", "have it told",
    "put that right", "last words", "in silence", "stands still", "in peace",
)  # fmt: skip
PATTERN = re.compile(rf"\b({'|'.join(WORDS)})\b".replace(" ", r"\s+"), re.IGNORECASE)
FILES = [
    *sorted(path for path in (REPOSITORY / "src").rglob("*") if path.suffix in {".py", ".conf"}),
    *sorted((REPOSITORY / "docs").rglob("*.md")),
    *sorted((REPOSITORY / "templates").rglob("*.yaml")),
    *(REPOSITORY / name for name in ("README.md", "CONTRIBUTING.md", "simulator/README.md")),
]


def name(path: Path) -> str:
    return str(path.relative_to(REPOSITORY))


def found(text: str) -> list[tuple[int, str]]:
    """Line and word of each; a phrase may go over the end of a line."""
    return [(text.count("\n", 0, match.start()) + 1, " ".join(match[1].split())) for match in PATTERN.finditer(text)]


def test_a_word_is_found() -> None:
    assert found("Colourful, but a\nColour; it lets\n    go, and is Told.") == [
        (2, "Colour"),
        (2, "lets go"),
        (3, "is Told"),
    ]


@pytest.mark.parametrize("path", FILES, ids=name)
def test_words_that_must_not_come_back(path: Path) -> None:
    words = [f"{name(path)}:{line}: {word}" for line, word in found(path.read_text("utf-8"))]
    assert not words, "\n".join(words)
