"""Nothing that others build on changes unnoticed."""

from __future__ import annotations

import pytest

from tests.contracts.contracts import PATH, text


@pytest.mark.once
def test_contracts_are_those_that_were_agreed() -> None:
    """If this is meant: `python -m tests.contracts.contracts`, and a line in the change log."""
    assert text() == PATH.read_text(encoding="utf-8")
