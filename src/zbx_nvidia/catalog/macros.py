"""The template's user macros that alerts and items use, with their defaults. One row each.

The switches `{$NVIDIA.GROUP.*}` are not here: they follow from the groups of metrics.
"""

from __future__ import annotations

from typing import NamedTuple


class Macro(NamedTuple):
    """One user macro.

    Attributes:
        name: Without the braces.
        value: The default.
        text: What it is for, with its unit.
    """

    name: str
    value: str
    text: str


MACROS = (
    Macro("$NVIDIA.INTERVAL", "1m", "How often the host is asked for its document."),
    Macro("$NVIDIA.NODATA", "5m", "Silence of a host that raises an alarm."),
    Macro("$NVIDIA.STALE", "3m", "Age of a document, or difference of the clocks, that raises an alarm."),
    Macro("$NVIDIA.POLLS", "#2", "Polls in a row in which a driver or a GPU has to be gone for an alarm."),
    Macro("$NVIDIA.GPU.EXPECTED", "0", "Number of GPUs that the host should have; 0: not checked."),
    Macro("$NVIDIA.GPU.WATCH", "1", '0: this GPU may be missing. With context: {$NVIDIA.GPU.WATCH:"GPU-..."}.'),
    Macro("$NVIDIA.GPU.MATCHES", ".*", "Only GPUs whose model matches are discovered."),
    Macro("$NVIDIA.GPU.NOT_MATCHES", "CHANGE_IF_NEEDED", "GPUs whose model matches are not discovered."),
    Macro("$NVIDIA.UUID.MATCHES", ".*", "Only GPUs whose UUID matches are discovered."),
    Macro("$NVIDIA.UUID.NOT_MATCHES", "CHANGE_IF_NEEDED", "GPUs whose UUID matches are not discovered."),
    Macro("$NVIDIA.TEMP.PERIOD", "3m", "How long a GPU has to be near its limit for an alarm."),
    Macro("$NVIDIA.TEMP.MARGIN", "5", "Degrees below the card's own slowdown point from which a GPU is too hot."),
    Macro("$NVIDIA.TEMP.HYST", "3", "Degrees that a GPU has to cool down further for the alarm to end."),
    Macro("$NVIDIA.FAN.PERIOD", "5m", "How long the fan has to stand still while the GPU is hot for an alarm."),
    Macro("$NVIDIA.FAN.HOT", "70", "Temperature in °C above which a fan must turn; cards stop it when they are cool."),
)  # fmt: skip
