"""Unit tests start when the tests beside them have ended, however many processes are runnable."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from tests.conftest import BESIDE, REPOSITORY, wait_for

if TYPE_CHECKING:
    from pathlib import Path

GIVES_WAY = """
import faulthandler
import os
from pathlib import Path

from tests.conftest import BESIDE

began = []  # whether the tests beside this one still run when its time begins
faulthandler.dump_traceback_later = lambda *_, **__: began.append(Path(os.environ[BESIDE]).exists())
Path(__file__).with_name("collected").touch()

def test_its_time_begins_when_it_starts():
    assert began == [False]
"""


@pytest.mark.once
def test_the_wait_is_no_time_of_the_test(tmp_path: Path) -> None:
    """A wait of 20 minutes was ended by faulthandler_timeout, and the worker with it."""
    file, beside = tmp_path / "test_waits.py", tmp_path / "beside"
    file.write_text(GIVES_WAY)
    beside.touch()
    options = ["-q", "-p", "no:cacheprovider", "-p", "tests.conftest", "-o", "faulthandler_timeout=1200"]
    with subprocess.Popen(
        [sys.executable, "-m", "pytest", *options, "-c", "/dev/null", "--rootdir", tmp_path, file],
        cwd=REPOSITORY,
        env={**os.environ, BESIDE: str(beside), "PYTEST_XDIST_WORKER": "gw9"},  # the tenth gives way without any load
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as run:
        wait_for((tmp_path / "collected").exists, "collected tests")
        time.sleep(1)
        waits = run.poll() is None
        beside.unlink()
        output = run.communicate()[0]
    assert waits, output
    assert run.returncode == 0, output
