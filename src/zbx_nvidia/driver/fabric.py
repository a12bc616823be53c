"""The health of the NVLink fabric in words: NVML has it as fields of bits in one number."""

from __future__ import annotations

import pynvml

# Prefix of the constants of each field, and its values that are faults, in words; 0 is "not supported", and all
# others are well.
_FIELDS: dict[str, dict[int, str]] = {
    "DEGRADED_BW": {pynvml.NVML_GPU_FABRIC_HEALTH_MASK_DEGRADED_BW_TRUE: "bandwidth degraded"},
    "ROUTE_RECOVERY": {pynvml.NVML_GPU_FABRIC_HEALTH_MASK_ROUTE_RECOVERY_TRUE: "route recovery in progress"},
    "ROUTE_UNHEALTHY": {pynvml.NVML_GPU_FABRIC_HEALTH_MASK_ROUTE_UNHEALTHY_TRUE: "route unhealthy"},
    "ACCESS_TIMEOUT_RECOVERY": {
        pynvml.NVML_GPU_FABRIC_HEALTH_MASK_ACCESS_TIMEOUT_RECOVERY_TRUE: "access timeout recovery in progress"
    },
    "INCORRECT_CONFIGURATION": {
        pynvml.NVML_GPU_FABRIC_HEALTH_MASK_INCORRECT_CONFIGURATION_INCORRECT_SYSGUID: "wrong system GUID",
        pynvml.NVML_GPU_FABRIC_HEALTH_MASK_INCORRECT_CONFIGURATION_INCORRECT_CHASSIS_SN: "wrong chassis serial number",
        pynvml.NVML_GPU_FABRIC_HEALTH_MASK_INCORRECT_CONFIGURATION_NO_PARTITION: "no partition",
        pynvml.NVML_GPU_FABRIC_HEALTH_MASK_INCORRECT_CONFIGURATION_INSUFFICIENT_NVLINKS: "too few NVLinks",
        # In pynvml since the versions after r580.
        6: "incompatible GPU firmware",
        7: "invalid location",
        8: "invalid GPU state",
    },
    # In pynvml since then, too: numbers of nvml.h.
    "PARTITION_ASSIGNED": {2: "no partition assigned"},
    "GFM_STATE": {2: "global fabric manager disconnected"},
}
_PREFIX = "NVML_GPU_FABRIC_HEALTH_MASK"
_NEWER = {"PARTITION_ASSIGNED": (12, 0x3), "GFM_STATE": (14, 0x3)}
_SUMMARIES = {2: "unhealthy", 3: "limited capacity"}


def faults_of(mask: int, summary: int) -> str:
    """What is wrong with the fabric, in words; "" for nothing.

    Args:
        mask: NVML_GPU_FABRIC_HEALTH_MASK_*.
        summary: NVML_GPU_FABRIC_HEALTH_SUMMARY_*, which counts if no fault of the mask explains it.
    """
    faults = []
    for field, words in _FIELDS.items():
        shift, width = _NEWER.get(field, (0, 0))
        shift = getattr(pynvml, f"{_PREFIX}_SHIFT_{field}", shift)
        width = getattr(pynvml, f"{_PREFIX}_WIDTH_{field}", width)
        value = mask >> shift & width
        if value in words:
            faults.append(words[value])
    return ", ".join(faults) or _SUMMARIES.get(summary, "")
