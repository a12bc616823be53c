"""The prefixes of the names of items, triggers and graphs. The catalog's names follow them; each is unique."""

from zbx_nvidia.catalog.entities import ENTITIES

HOST_PREFIX = "NVIDIA: "
# With the short UUID: indexes shift when a card is missing, and two cards can have the same one for a while.
GPU_PREFIX = "GPU {#INDEX} {#MODEL} [{#SHORT}]: "

PREFIXES = {
    "host": HOST_PREFIX,
    "gpu": GPU_PREFIX,
    **{
        entity.name: f"{GPU_PREFIX.removesuffix(': ')} {entity.prefix}: " if entity.of_gpu else f"{entity.prefix}: "
        for entity in ENTITIES
    },
}
