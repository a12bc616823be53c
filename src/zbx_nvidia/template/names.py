"""What the names of items, triggers and graphs begin with. Their ends are the names of the catalogue, each unique."""

HOST_PREFIX = "NVIDIA: "
# The index alone is not enough: it moves when a card goes, and two cards can carry the same one for a while.
GPU_PREFIX = "GPU {#INDEX} {#MODEL} [{#SHORT}]: "
FAN_PREFIX = "GPU {#INDEX} {#MODEL} [{#SHORT}] fan {#FAN}: "
MIG_PREFIX = "GPU {#INDEX} {#MODEL} [{#SHORT}] MIG {#GI}/{#CI} {#PROFILE}: "

PREFIXES = {"host": HOST_PREFIX, "gpu": GPU_PREFIX, "fan": FAN_PREFIX, "mig": MIG_PREFIX}
