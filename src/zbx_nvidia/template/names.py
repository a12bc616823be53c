"""Prefixes of the names of items, triggers and graphs. The names of the catalog, each unique, follow them."""

from __future__ import annotations

import re

from zbx_nvidia.catalog.entities import ENTITIES

HOST_PREFIX = "NVIDIA: "
# The index alone is not enough: it changes if a card is removed, and two cards can carry the same one for a while.
GPU_PREFIX = "GPU {#INDEX} [{#SHORT}]: "

# Of items and graphs: short, because legends cut what does not fit. The tag `model` says the model.
PREFIXES = {
    "host": HOST_PREFIX,
    "gpu": GPU_PREFIX,
    **{
        entity.name: f"{GPU_PREFIX.removesuffix(': ')} {entity.prefix}: " if entity.of_gpu else f"{entity.prefix}: "
        for entity in ENTITIES
    },
}
# Of triggers: whoever is woken by one reads nothing else.
TRIGGER_PREFIXES = {"host": HOST_PREFIX, "gpu": "GPU {#INDEX} {#MODEL} [{#SHORT}]: "}


def anchor(heading: str) -> str:
    """What leads to a heading of docs/*.md, as GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
