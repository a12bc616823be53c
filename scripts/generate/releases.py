"""What the template of this version ships, for the updates of later versions."""

from __future__ import annotations

import json

from zbx_nvidia.server import merge
from zbx_nvidia.template import SERIES, VARIANTS, document


def release() -> str:
    """The file of this version: all series of each variant, which differ in some objects only."""
    shipped = {}
    for variant in VARIANTS:
        of_series = [merge.shipped(document(series, variant)) for series in SERIES]
        shipped[variant] = {
            "macros": of_series[0].macros,
            "switches": {uuid: own for one in of_series for uuid, own in one.switches.items()},
            "tags": sorted({tag for one in of_series for tag in one.tags}),
            "objects": sorted({uuid for one in of_series for uuid in one.objects}),
        }
    return json.dumps(shipped, indent=1) + "\n"
