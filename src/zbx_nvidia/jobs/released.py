"""Whether the service of this host says that nobody is to use the driver now."""

from __future__ import annotations

from pathlib import Path

from zbx_nvidia.collector.main import aside
from zbx_nvidia.collector.resident import config
from zbx_nvidia.errors import UsageError


class Released:
    """Asked at each reading: the document is read only if it is new.

    Attributes:
        why: Name of the status that says so; "" while the driver may be used.
    """

    def __init__(self) -> None:
        self.why = ""
        self._seen: tuple[int, int] | None = None
        try:
            self._path = config.load(None).document
        except (UsageError, OSError):
            self._path = ""

    def __call__(self) -> bool:
        """Whether the driver is to be left alone."""
        try:
            about = Path(self._path).stat()
        except OSError:
            self.why, self._seen = "", None  # no service runs
            return False
        seen = (about.st_mtime_ns, about.st_ino)
        if seen != self._seen:
            self._seen = seen
            status = aside(self._path)
            self.why = status.name if status else ""
        return bool(self.why)
