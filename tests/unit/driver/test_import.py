"""The import of pynvml, which each poll pays for."""

from __future__ import annotations

import subprocess
import sys

import pytest


def test_pynvml_brings_no_module_that_it_does_not_use() -> None:
    """It imports `find_library` and does not call it; with it would come subprocess, tempfile, shutil and bz2."""
    program = "import zbx_nvidia.driver.system, sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-I", "-c", program], capture_output=True, text=True, check=True)
    assert "pynvml" in done.stdout.split()
    assert not {"ctypes.util", "subprocess", "tempfile", "shutil", "bz2"} & set(done.stdout.split())


@pytest.mark.parametrize("call", ["__import__('ctypes.util').util.find_library('c')", "pynvml.find_library('c')"])
def test_whoever_needs_the_module_gets_the_real_one(call: str) -> None:
    program = f"import zbx_nvidia.driver.system, pynvml; print({call})"
    done = subprocess.run([sys.executable, "-I", "-c", program], capture_output=True, text=True, check=True)
    assert "libc" in done.stdout
