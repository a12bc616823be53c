"""The pictures of the docs: one of each page of the dashboards, and none too large."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.conftest import REPOSITORY
from zbx_nvidia.template.dashboard import PAGES

if TYPE_CHECKING:
    from pathlib import Path

PAGE = REPOSITORY / "docs" / "DASHBOARDS.md"
PICTURES = sorted((REPOSITORY / "docs" / "pictures").glob("*.png"))
LARGEST = 150_000  # bytes


def test_every_page_is_shown_healthy_and_with_faults() -> None:
    text = PAGE.read_text("utf-8")
    assert set(re.findall(r"^## (.*)$", text, re.MULTILINE)) >= set(PAGES["7.0"])
    for page in PAGES["7.0"]:
        word = re.sub(r"[^a-z0-9]+", "-", page.lower())
        for state in ("healthy", "faults"):
            assert f"(pictures/7.0-gpu-server-{word}-{state}.png)" in text


def test_every_picture_is_shown() -> None:
    text = PAGE.read_text("utf-8")
    assert PICTURES
    assert [path.name for path in PICTURES if path.name not in text] == []


@pytest.mark.parametrize("path", PICTURES, ids=lambda path: path.name)
def test_a_picture_is_small(path: Path) -> None:
    assert path.stat().st_size < LARGEST
