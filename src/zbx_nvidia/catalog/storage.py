"""How often a value is stored: the times of the classes of `metrics`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zbx_nvidia.catalog.graphs import GRAPHS
from zbx_nvidia.catalog.metrics import SLOW, STATIC

if TYPE_CHECKING:
    from zbx_nvidia.catalog.metrics import Metric

# The front end of 6.0 draws a line between two values that are less than four polls apart, and dots elsewhere. That of
# 7.0 knows what is stored on change. Dashed lines are limits: a dot of one is enough.
_DRAWN = frozenset(line.metric for graph in GRAPHS for line in graph.lines if line.drawn != "DASHED_LINE")
_HEARTBEATS = {SLOW: "1h", STATIC: "1d"}
_DRAWN_HEARTBEAT = "3m"
SECONDS = {"": 0, "3m": 180, "1h": 3600, "1d": 86_400}


def heartbeat(metric: Metric) -> str:
    """After what time a value is stored again that has not changed; "" for each poll."""
    if metric.storage == SLOW and metric.ref in _DRAWN:
        return _DRAWN_HEARTBEAT
    return _HEARTBEATS.get(metric.storage, "")
