"""What the names of items, triggers and graphs begin with. Their ends are the names of the catalogue, each unique."""

from zbx_nvidia.catalog.entities import ENTITIES

HOST_PREFIX = "NVIDIA: "
# The index alone is not enough: it moves when a card goes, and two cards can carry the same one for a while.
GPU_PREFIX = "GPU {#INDEX} {#MODEL} [{#SHORT}]: "

PREFIXES = {
    "host": HOST_PREFIX,
    "gpu": GPU_PREFIX,
    **{
        entity.name: f"{GPU_PREFIX.removesuffix(': ')} {entity.prefix}: " if entity.of_gpu else f"{entity.prefix}: "
        for entity in ENTITIES
    },
}
