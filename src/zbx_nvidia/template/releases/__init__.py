"""What the template of each release had: one file for each, which `make generate` writes for this version.

An update distinguishes by them what people changed from what an older release shipped. The file of a release stays as
it was.
"""

from __future__ import annotations

import json
from importlib import resources
from typing import Any


def releases(variant: str) -> dict[str, dict[str, Any]]:
    """What each release shipped in this variant of the template, by version.

    Returns:
        For each: `macros` (default by macro), `switches` (those that are not the default, by UUID), `tags` of the
        template, and `objects` (UUIDs).
    """
    return {
        file.name.removesuffix(".json"): json.loads(file.read_text(encoding="utf-8"))[variant]
        for file in resources.files(__name__).iterdir()
        if file.name.endswith(".json")
    }
