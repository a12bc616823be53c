"""The only importer of pynvml: NVML's calls, their fallbacks and error classes, behind the class `Device`.

Nothing else in this package knows pynvml, its structures or its error codes. Readings leave it in base units.
"""

import sys


def _find_library(name: str) -> "str | None":
    """The real one, for a pynvml that uses it."""
    from ctypes.util import find_library  # noqa: PLC0415  see below

    return find_library(name)


if "ctypes.util" not in sys.modules:
    # pynvml imports `find_library` and was not seen to use it. That module is a third of what the import of pynvml
    # takes: it brings subprocess, tempfile, shutil and bz2. Each poll imports pynvml.
    _util = type(sys)("ctypes.util")
    _util.__dict__["find_library"] = _find_library
    sys.modules["ctypes.util"] = _util
    try:
        import pynvml  # noqa: F401
    finally:
        # Whoever needs it finds the real one.
        del sys.modules["ctypes.util"]
