"""The import of pynvml, which each poll pays for."""

from __future__ import annotations

import subprocess
import sys


def test_pynvml_brings_no_module_that_it_does_not_use() -> None:
    """It imports `find_library` and does not call it; with it would come subprocess, tempfile, shutil and bz2."""
    program = "import zbx_nvidia.driver.system, sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-I", "-c", program], capture_output=True, text=True, check=True)
    assert "pynvml" in done.stdout.split()
    assert not {"ctypes.util", "subprocess", "tempfile", "shutil", "bz2"} & set(done.stdout.split())


def test_whoever_needs_the_module_gets_the_real_one() -> None:
    program = "import zbx_nvidia.driver.system, ctypes.util; print(ctypes.util.find_library('c'))"
    done = subprocess.run([sys.executable, "-I", "-c", program], capture_output=True, text=True, check=True)
    assert "libc" in done.stdout
