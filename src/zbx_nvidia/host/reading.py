"""Reading files that others can write, for the packages above `host`."""

from __future__ import annotations

from zbx_nvidia.collector.reading import LARGEST, read

__all__ = ("LARGEST", "read")
