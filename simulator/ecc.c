/*
 * ECC errors, retired pages and remapped rows.
 */
#include "call.h"

#include <stdio.h>

static const char *const ECC_KEYS[2][2] = {
    [NVML_MEMORY_ERROR_TYPE_CORRECTED] = {"ecc_corrected_volatile", "ecc_corrected_aggregate"},
    [NVML_MEMORY_ERROR_TYPE_UNCORRECTED] = {"ecc_uncorrected_volatile", "ecc_uncorrected_aggregate"},
};

EXPORT nvmlReturn_t nvmlDeviceGetTotalEccErrors(nvmlDevice_t device, nvmlMemoryErrorType_t type,
                                                nvmlEccCounterType_t counter, unsigned long long *errors) {
    BEGIN_DEVICE(errors && (unsigned int)type < 2 && (unsigned int)counter < 2);
    double number = 0;
    const nvmlReturn_t result = call_number(&call, ECC_KEYS[type][counter], &number);
    if (result == NVML_SUCCESS)
        *errors = as_ull(number);
    return call_end(&call, result);
}

/* By location: `ecc_corrected_volatile.2` is that of DRAM, .7 that of SRAM. An unlisted location has no counter. */
EXPORT nvmlReturn_t nvmlDeviceGetMemoryErrorCounter(nvmlDevice_t device, nvmlMemoryErrorType_t type,
                                                    nvmlEccCounterType_t counter, nvmlMemoryLocation_t location,
                                                    unsigned long long *errors) {
    BEGIN_DEVICE(errors && (unsigned int)type < 2 && (unsigned int)counter < 2 &&
                 (unsigned int)location < NVML_MEMORY_LOCATION_COUNT);
    char key[64];
    snprintf(key, sizeof key, "%s.%u", ECC_KEYS[type][counter], (unsigned int)location);
    double number = 0;
    const nvmlReturn_t result = call_number(&call, key, &number);
    if (result == NVML_SUCCESS)
        *errors = as_ull(number);
    return call_end(&call, result);
}

static bool is_root(const struct call *call) {
    const struct call machine = {.profile = call->profile, .gpu = MACHINE, .unit = MACHINE, .t = call->t};
    double root = 0;
    return call_number(&machine, "root", &root) == NVML_SUCCESS && root >= 1;
}

EXPORT nvmlReturn_t nvmlDeviceGetSramEccErrorStatus(nvmlDevice_t device, nvmlEccSramErrorStatus_t *status) {
    BEGIN_DEVICE(status);
    if (status->version != NVML_STRUCT_VERSION(EccSramErrorStatus, 1))
        return call_end(&call, NVML_ERROR_ARGUMENT_VERSION_MISMATCH);
    double n[12];
    nvmlReturn_t result =
        GET_NUMBERS(&call, n, "sram_aggregate_unc_parity", "sram_aggregate_unc_sec_ded", "sram_aggregate_cor",
                    "sram_volatile_unc_parity", "sram_volatile_unc_sec_ded", "sram_volatile_cor",
                    "sram_aggregate_unc_l2", "sram_aggregate_unc_sm", "sram_aggregate_unc_pcie",
                    "sram_aggregate_unc_mcu", "sram_aggregate_unc_other", "sram_threshold_exceeded");
    if (result == NVML_SUCCESS && !is_root(&call))
        result = NVML_ERROR_NO_PERMISSION;
    if (result == NVML_SUCCESS)
        *status = (nvmlEccSramErrorStatus_t){.version = status->version,
                                             .aggregateUncParity = as_ull(n[0]),
                                             .aggregateUncSecDed = as_ull(n[1]),
                                             .aggregateCor = as_ull(n[2]),
                                             .volatileUncParity = as_ull(n[3]),
                                             .volatileUncSecDed = as_ull(n[4]),
                                             .volatileCor = as_ull(n[5]),
                                             .aggregateUncBucketL2 = as_ull(n[6]),
                                             .aggregateUncBucketSm = as_ull(n[7]),
                                             .aggregateUncBucketPcie = as_ull(n[8]),
                                             .aggregateUncBucketMcu = as_ull(n[9]),
                                             .aggregateUncBucketOther = as_ull(n[10]),
                                             .bThresholdExceeded = as_uint(n[11])};
    return call_end(&call, result);
}

/* The pages' addresses and times are invented. */
static nvmlReturn_t get_pages(const struct call *call, nvmlPageRetirementCause_t cause, unsigned int *count,
                              unsigned long long *addresses, unsigned long long *timestamps) {
    double number = 0;
    nvmlReturn_t result = call_number(call, cause ? "retired_pages_dbe" : "retired_pages_sbe", &number);
    if (result == NVML_SUCCESS)
        result = fit(as_uint(number), count, addresses);
    for (unsigned int page = 0; result == NVML_SUCCESS && page < *count; page++) {
        addresses[page] = 0x10000ULL * (page + 1);
        if (timestamps)
            timestamps[page] = 1700000000ULL + page;
    }
    return result;
}

EXPORT nvmlReturn_t nvmlDeviceGetRetiredPages(nvmlDevice_t device, nvmlPageRetirementCause_t cause, unsigned int *count,
                                              unsigned long long *addresses) {
    BEGIN_DEVICE(count && (unsigned int)cause < 2);
    return call_end(&call, get_pages(&call, cause, count, addresses, NULL));
}

EXPORT nvmlReturn_t nvmlDeviceGetRetiredPages_v2(nvmlDevice_t device, nvmlPageRetirementCause_t cause,
                                                 unsigned int *count, unsigned long long *addresses,
                                                 unsigned long long *timestamps) {
    BEGIN_DEVICE(count && (unsigned int)cause < 2 && (timestamps || !addresses));
    return call_end(&call, get_pages(&call, cause, count, addresses, timestamps));
}

EXPORT nvmlReturn_t nvmlDeviceGetRemappedRows(nvmlDevice_t device, unsigned int *corrected, unsigned int *uncorrected,
                                              unsigned int *pending, unsigned int *failure) {
    BEGIN_DEVICE(corrected && uncorrected && pending && failure);
    double rows[4];
    const nvmlReturn_t result = GET_NUMBERS(&call, rows, "remapped_rows_corrected", "remapped_rows_uncorrected",
                                            "remapped_rows_pending", "remapped_rows_failure");
    if (result == NVML_SUCCESS) {
        *corrected = as_uint(rows[0]);
        *uncorrected = as_uint(rows[1]);
        *pending = as_uint(rows[2]);
        *failure = as_uint(rows[3]);
    }
    return call_end(&call, result);
}

EXPORT nvmlReturn_t nvmlDeviceGetRowRemapperHistogram(nvmlDevice_t device, nvmlRowRemapperHistogramValues_t *values) {
    BEGIN_DEVICE(values);
    double banks[5];
    const nvmlReturn_t result = GET_NUMBERS(&call, banks, "row_remapper_max", "row_remapper_high",
                                            "row_remapper_partial", "row_remapper_low", "row_remapper_none");
    if (result == NVML_SUCCESS)
        *values = (nvmlRowRemapperHistogramValues_t){.max = as_uint(banks[0]),
                                                     .high = as_uint(banks[1]),
                                                     .partial = as_uint(banks[2]),
                                                     .low = as_uint(banks[3]),
                                                     .none = as_uint(banks[4])};
    return call_end(&call, result);
}

/* What the next reset repairs. */
EXPORT nvmlReturn_t nvmlDeviceGetRepairStatus(nvmlDevice_t device, nvmlRepairStatus_v1_t *status) {
    BEGIN_DEVICE(status);
    if (status->version != NVML_STRUCT_VERSION(RepairStatus, 1))
        return call_end(&call, NVML_ERROR_ARGUMENT_VERSION_MISMATCH);
    double n[2];
    const nvmlReturn_t result = GET_NUMBERS(&call, n, "repair_channel_pending", "repair_tpc_pending");
    if (result == NVML_SUCCESS) {
        status->bChannelRepairPending = as_uint(n[0]);
        status->bTpcRepairPending = as_uint(n[1]);
    }
    return call_end(&call, result);
}

EXPORT nvmlReturn_t nvmlDeviceGetUnrepairableMemoryFlag_v1(nvmlDevice_t device,
                                                           nvmlUnrepairableMemoryStatus_v1_t *status) {
    BEGIN_DEVICE(status);
    double number = 0;
    const nvmlReturn_t result = call_number(&call, "unrepairable_memory", &number);
    if (result == NVML_SUCCESS)
        status->bUnrepairableMemory = as_uint(number);
    return call_end(&call, result);
}
