"""Programs that tests start and forget are found: each would go on until the next start of the machine."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.conftest import REPOSITORY

if TYPE_CHECKING:
    from pathlib import Path

FORGETS = """
import subprocess
import tests.conftest
from tests.conftest import nothing_left

tests.conftest.PATIENCE = 0.2

def test_that_forgets() -> None:
    global forgotten
    forgotten = subprocess.Popen(["sleep", "1234"])
    {more}
"""


@pytest.mark.once
@pytest.mark.parametrize(("more", "code"), [("", 1), ("forgotten.kill()", 0)])
def test_what_a_test_forgets_is_an_error(tmp_path: Path, more: str, code: int) -> None:
    file = tmp_path / "test_forgets.py"
    file.write_text(FORGETS.format(more=more))
    plugins = ["-p", "no:cacheprovider", "-p", "no:unraisableexception"]
    options = ["-W", "ignore", "-q", *plugins, "-c", "/dev/null", "--rootdir"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, tmp_path, file],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stdout + done.stderr
    assert ("what they started goes on: ['sleep 1234']" in done.stdout) == bool(code)
