"""The only importer of pynvml: NVML's calls, their fallbacks and error classes, behind the class `Device`.

Nothing else in this package knows pynvml, its structures or its error codes. Readings leave it in base units.
"""

import sys

if "ctypes.util" not in sys.modules:
    # pynvml imports `find_library` and does not use it. That module is a third of what the import of pynvml takes: it
    # brings subprocess, tempfile, shutil and bz2. Each poll imports pynvml.
    _util = type(sys)("ctypes.util")
    _util.__dict__["find_library"] = None
    sys.modules["ctypes.util"] = _util
    try:
        import pynvml  # noqa: F401
    finally:
        # Whoever needs it finds the real one.
        del sys.modules["ctypes.util"]
