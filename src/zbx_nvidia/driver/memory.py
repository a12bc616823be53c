"""Readers of memory: use and health."""

from __future__ import annotations

from typing import Any

import pynvml

from zbx_nvidia.driver import fields, native
from zbx_nvidia.driver.calls import Absent, call, number
from zbx_nvidia.driver.card import Card
from zbx_nvidia.driver.parts import memory_info, memory_of
from zbx_nvidia.driver.readings import (
    Bar1,
    EccLocation,
    Memory,
    ProtectedMemory,
    RemappedRows,
    Repairs,
    RetiredPages,
    SpareRows,
)


class MemoryReaders(Card):
    """Memory of a GPU: use, ECC errors, pages and rows taken out of use."""

    def memory(self) -> Memory:
        """Frame buffer memory, in B. nvmlDeviceGetMemoryInfo. nvidia-smi: memory.total, memory.used, memory.free."""
        return memory_of(self._memory())

    def memory_reserved(self) -> int:
        """Memory that driver and firmware reserve, in B. nvmlDeviceGetMemoryInfo_v2. Since r510.

        nvidia-smi: memory.reserved.
        """
        info = self._memory()
        if not hasattr(info, "reserved"):
            raise Absent(pynvml.NVML_ERROR_FUNCTION_NOT_FOUND, "nvmlDeviceGetMemoryInfo_v2 is missing")
        return number(info.reserved)

    def bar1(self) -> Bar1:
        """The window through which the CPU sees the frame buffer, in B. nvmlDeviceGetBAR1MemoryInfo.

        nvidia-smi -q: BAR1 Memory Usage.
        """
        info = call(pynvml.nvmlDeviceGetBAR1MemoryInfo, self._handle)
        if info.bar1Total == 0:
            raise Absent(0, "no BAR1")
        return Bar1(number(info.bar1Total), number(info.bar1Used))

    def protected_memory(self) -> ProtectedMemory:
        """Memory that confidential computing protects, in B. nvmlDeviceGetConfComputeProtectedMemoryUsage.

        nvidia-smi -q: Conf Compute Protected Memory Usage.
        """
        memory = call(pynvml.nvmlDeviceGetConfComputeProtectedMemoryUsage, self._handle)
        return ProtectedMemory(number(memory.total), number(memory.used))

    def ecc_mode(self) -> int:
        """1 if errors are corrected. nvmlDeviceGetEccMode. nvidia-smi: ecc.mode.current."""
        return int(call(pynvml.nvmlDeviceGetEccMode, self._handle)[0])

    def ecc_corrected_volatile(self) -> int:
        """Corrected errors since the driver was loaded. nvmlDeviceGetTotalEccErrors.

        nvidia-smi: ecc.errors.corrected.volatile.total.
        """
        return self._ecc(pynvml.NVML_MEMORY_ERROR_TYPE_CORRECTED, pynvml.NVML_VOLATILE_ECC)

    def ecc_corrected_aggregate(self) -> int:
        """Corrected errors over the card's life. nvmlDeviceGetTotalEccErrors.

        nvidia-smi: ecc.errors.corrected.aggregate.total.
        """
        return self._ecc(pynvml.NVML_MEMORY_ERROR_TYPE_CORRECTED, pynvml.NVML_AGGREGATE_ECC)

    def ecc_uncorrected_volatile(self) -> int:
        """Uncorrected errors since the driver was loaded. nvmlDeviceGetTotalEccErrors.

        nvidia-smi: ecc.errors.uncorrected.volatile.total.
        """
        return self._ecc(pynvml.NVML_MEMORY_ERROR_TYPE_UNCORRECTED, pynvml.NVML_VOLATILE_ECC)

    def ecc_uncorrected_aggregate(self) -> int:
        """Uncorrected errors over the card's life. nvmlDeviceGetTotalEccErrors.

        nvidia-smi: ecc.errors.uncorrected.aggregate.total.
        """
        return self._ecc(pynvml.NVML_MEMORY_ERROR_TYPE_UNCORRECTED, pynvml.NVML_AGGREGATE_ECC)

    def ecc_sram(self) -> EccLocation:
        """Errors of caches and registers. nvmlDeviceGetMemoryErrorCounter.

        nvidia-smi -q: SRAM Correctable, SRAM Uncorrectable.
        """
        return self._ecc_of(pynvml.NVML_MEMORY_LOCATION_SRAM)

    def ecc_dram(self) -> EccLocation:
        """Errors of the device memory. nvmlDeviceGetMemoryErrorCounter.

        nvidia-smi -q: DRAM Correctable, DRAM Uncorrectable.
        """
        return self._ecc_of(pynvml.NVML_MEMORY_LOCATION_DRAM)

    def retired_pages(self) -> RetiredPages:
        """Number of pages taken out of use. nvmlDeviceGetRetiredPages. Before Ampere.

        nvidia-smi: retired_pages.single_bit_ecc.count, retired_pages.double_bit.count.
        """
        single = pynvml.NVML_PAGE_RETIREMENT_CAUSE_MULTIPLE_SINGLE_BIT_ECC_ERRORS
        double = pynvml.NVML_PAGE_RETIREMENT_CAUSE_DOUBLE_BIT_ECC_ERROR
        # Not the _v2 call: pynvml 13.615 leaves an argument of it out.
        counts = (len(call(pynvml.nvmlDeviceGetRetiredPages, self._handle, cause)) for cause in (single, double))
        return RetiredPages(*counts)

    def retired_pages_pending(self) -> int:
        """1 if pages wait until the driver is loaded again. nvmlDeviceGetRetiredPagesPendingStatus.

        nvidia-smi: retired_pages.pending.
        """
        return int(call(pynvml.nvmlDeviceGetRetiredPagesPendingStatus, self._handle))

    def remapped_rows(self) -> RemappedRows:
        """Number of rows replaced by spare ones. nvmlDeviceGetRemappedRows. Ampere and newer.

        nvidia-smi: remapped_rows.correctable, .uncorrectable, .pending, .failure.
        """
        rows = RemappedRows(*(number(part) for part in call(pynvml.nvmlDeviceGetRemappedRows, self._handle)))
        if not any(rows):
            try:
                self.spare_rows()
            except Absent as error:
                # An RTX 4080 SUPER and an RTX 4090 were seen to return zeros, but have no spare rows: nvidia-smi shows
                # N/A. Before r455, remapped rows are all that can be read.
                if error.code != pynvml.NVML_ERROR_FUNCTION_NOT_FOUND:
                    raise
        return rows

    def spare_rows(self) -> SpareRows:
        """Number of memory banks by spare rows left. nvmlDeviceGetRowRemapperHistogram.

        nvidia-smi: remapped_rows.histogram.max, .high, .partial, .low, .none.
        """
        rows = self._once("rows", lambda: call(pynvml.nvmlDeviceGetRowRemapperHistogram, self._handle))
        return SpareRows(rows.max, rows.high, rows.partial, rows.low, rows.none)

    def repairs(self) -> Repairs:
        """What the next reset repairs. nvmlDeviceGetRepairStatus. Blackwell and newer, since r575.

        nvidia-smi -q: Channel Repair Pending, TPC Repair Pending.
        """
        return Repairs(*(int(bool(part)) for part in call(pynvml.nvmlDeviceGetRepairStatus, self._handle)))

    def memory_unrepairable(self) -> int:
        """1 if the memory has an error that cannot be repaired. nvmlDeviceGetUnrepairableMemoryFlag_v1.

        Hopper and newer, since r590.
        """
        return native.unrepairable_memory(self._handle)

    def recovery_action(self) -> int:
        """What the driver says must be done, 0 for nothing. Field GET_GPU_RECOVERY_ACTION. Since r570.

        nvidia-smi: gpu_recovery_action.
        """
        return self._field(fields.RECOVERY_ACTION)

    def _memory(self) -> Any:  # noqa: ANN401  a structure of pynvml
        return self._once("memory", lambda: memory_info(self._handle))

    def _ecc(self, kind: int, span: int) -> int:
        return number(call(pynvml.nvmlDeviceGetTotalEccErrors, self._handle, kind, span))

    def _ecc_of(self, location: int) -> EccLocation:
        return EccLocation(
            *(
                number(call(pynvml.nvmlDeviceGetMemoryErrorCounter, self._handle, kind, span, location))
                for span in (pynvml.NVML_VOLATILE_ECC, pynvml.NVML_AGGREGATE_ECC)
                for kind in (pynvml.NVML_MEMORY_ERROR_TYPE_CORRECTED, pynvml.NVML_MEMORY_ERROR_TYPE_UNCORRECTED)
            )
        )
