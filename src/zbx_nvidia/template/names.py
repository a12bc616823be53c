"""Prefixes of the names of items, triggers and graphs. The names of the catalog, each unique, follow them."""

from zbx_nvidia.catalog.entities import ENTITIES

HOST_PREFIX = "NVIDIA: "
# The index alone is not enough: it changes if a card is removed, and two cards can carry the same one for a while.
GPU_PREFIX = "GPU {#INDEX} {#MODEL} [{#SHORT}]: "

PREFIXES = {
    "host": HOST_PREFIX,
    "gpu": GPU_PREFIX,
    **{
        entity.name: f"{GPU_PREFIX.removesuffix(': ')} {entity.prefix}: " if entity.of_gpu else f"{entity.prefix}: "
        for entity in ENTITIES
    },
}
