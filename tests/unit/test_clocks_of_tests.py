"""The clocks that tests give to what they start."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.conftest import PATIENCE
from tests.unit.clocks import Clocks

if TYPE_CHECKING:
    from pathlib import Path

WAITS = """
import select, sys, time
due = time.monotonic() + 60
left = due - time.monotonic()
print("knows how long to wait", flush=True)
sys.stdin.readline()
select.epoll().poll(left)
print(f"{time.monotonic() - due:.0f} s late")
"""


@pytest.mark.parametrize("leap", [60, 61])
def test_what_leaps_before_a_wait_begins_was_waited_for(tmp_path: Path, clocks_library: Path, leap: int) -> None:
    """A service that had been about to wait slept for ever: 1 of 400 runs of a test beside 15 others."""
    clocks = Clocks(tmp_path / "clocks", clocks_library, speed=0)
    pipe = subprocess.PIPE
    with subprocess.Popen(
        [sys.executable, "-I", "-c", WAITS], env={**os.environ, **clocks.env}, stdin=pipe, stdout=pipe, text=True
    ) as waits:
        assert waits.stdout
        assert waits.stdout.readline() == "knows how long to wait\n"
        clocks.leap(leap)
        try:
            assert waits.communicate("\n", timeout=PATIENCE)[0] == f"{leap - 60} s late\n"
        finally:
            waits.kill()
