"""GPM: counters of Hopper and newer for the utilization of a GPU's parts, between two samples."""

from __future__ import annotations

from typing import Any

import pynvml

from zbx_nvidia.driver.calls import Absent, call

# Name -> number of the metric. All are shares of the time between the samples, in %.
METRICS = {
    "graphics": pynvml.NVML_GPM_METRIC_GRAPHICS_UTIL,
    "sm": pynvml.NVML_GPM_METRIC_SM_UTIL,
    "occupancy": pynvml.NVML_GPM_METRIC_SM_OCCUPANCY,
    "tensor": pynvml.NVML_GPM_METRIC_ANY_TENSOR_UTIL,
    "memory": pynvml.NVML_GPM_METRIC_DRAM_BW_UTIL,
}
HIGHEST = 101  # %; the driver rounds


class Gpm:
    """The counters of one GPU.

    Args:
        index: Its place in the driver's order.

    Raises:
        Absent: The card or the driver has none.
        Refused: No permission, or an error without a reason.
        Lost: The device is gone.
    """

    def __init__(self, index: int) -> None:
        self._handle = call(pynvml.nvmlDeviceGetHandleByIndex, index)
        if not call(pynvml.nvmlGpmQueryDeviceSupport, self._handle).isSupportedDevice:
            raise Absent(0, "no GPM")

    def take(self, instance: int | None = None) -> Any:  # noqa: ANN401  of pynvml
        """A sample of the GPU, or of one of its MIG GPU instances; release it with `free`. Raises like the class.

        nvmlGpmSampleGet, nvmlGpmMigSampleGet.
        """
        sample = call(pynvml.nvmlGpmSampleAlloc)
        try:
            if instance is None:
                call(pynvml.nvmlGpmSampleGet, self._handle, sample)
            else:
                call(pynvml.nvmlGpmMigSampleGet, self._handle, instance, sample)
        except BaseException:
            free(sample)
            raise
        return sample

    def between(self, first: Any, last: Any) -> dict[str, float]:  # noqa: ANN401  of pynvml
        """Values by name, in %, without those that the card does not have. nvmlGpmMetricsGet."""
        query = pynvml.c_nvmlGpmMetricsGet_t()
        query.version = pynvml.NVML_GPM_METRICS_GET_VERSION
        query.numMetrics = len(METRICS)
        query.sample1, query.sample2 = first, last
        for place, number in enumerate(METRICS.values()):
            query.metrics[place].metricId = number
        call(pynvml.nvmlGpmMetricsGet, query)
        named = zip(METRICS, query.metrics, strict=False)
        return {
            name: round(metric.value, 2)
            for name, metric in named
            # Neither NaN nor the result of counters that were reset between the samples is a share.
            if metric.nvmlReturn == pynvml.NVML_SUCCESS and 0 <= metric.value <= HIGHEST
        }


def free(sample: Any) -> None:  # noqa: ANN401  of pynvml
    """Free a sample. nvmlGpmSampleFree."""
    call(pynvml.nvmlGpmSampleFree, sample)
