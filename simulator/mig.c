/*
 * MIG instances: [gpu 0 mig 2].
 */
#include "call.h"

EXPORT nvmlReturn_t nvmlDeviceIsMigDeviceHandle(nvmlDevice_t device, unsigned int *is_mig) {
    BEGIN_DEVICE(is_mig);
    *is_mig = call.unit != call.gpu;
    return call_end(&call, NVML_SUCCESS);
}

/* NOT_FOUND for a number without an instance, and for every number while MIG is off. */
static nvmlReturn_t find_mig(const struct call *call, unsigned int index, nvmlDevice_t *mig) {
    double most = 0;
    const nvmlReturn_t result = call_number(call, "max_mig_device_count", &most);
    if (result != NVML_SUCCESS)
        return result;
    if (index >= most)
        return NVML_ERROR_INVALID_ARGUMENT;
    const int unit = profile_part(call->profile, PART_MIG, call->gpu, index);
    if (unit == MACHINE || !mig_enabled(call, call->gpu))
        return NVML_ERROR_NOT_FOUND;
    *mig = mig_handle(call, unit);
    return *mig ? NVML_SUCCESS : NVML_ERROR_MEMORY;
}

EXPORT nvmlReturn_t nvmlDeviceGetMigDeviceHandleByIndex(nvmlDevice_t device, unsigned int index, nvmlDevice_t *mig) {
    BEGIN_DEVICE(mig && call.unit == call.gpu);
    return call_end(&call, find_mig(&call, index, mig));
}

nvmlReturn_t mig_by_uuid(const struct call *call, const char *uuid, nvmlDevice_t *device) {
    for (size_t i = 0; i < call->profile->part_count; i++) {
        const struct part *part = &call->profile->parts[i];
        const struct entry *entry = profile_find(call->profile, PROFILE_GPUS + (int)i, "uuid");
        if (part->kind != PART_MIG || part->gpu >= (int)gpu_count(call) || !entry || strcmp(entry->value, uuid) ||
            strcmp(gpu_state(call, part->gpu), "ok") || !mig_enabled(call, part->gpu))
            continue;
        *device = mig_handle(call, PROFILE_GPUS + (int)i);
        return *device ? NVML_SUCCESS : NVML_ERROR_MEMORY;
    }
    return NVML_ERROR_NOT_FOUND;
}

EXPORT nvmlReturn_t nvmlDeviceGetDeviceHandleFromMigDeviceHandle(nvmlDevice_t device, nvmlDevice_t *parent) {
    BEGIN_DEVICE(parent && call.unit != call.gpu);
    *parent = gpu_handle(call.gpu);
    return call_end(&call, NVML_SUCCESS);
}

EXPORT nvmlReturn_t nvmlDeviceGetAttributes_v2(nvmlDevice_t device, nvmlDeviceAttributes_t *attributes) {
    BEGIN_DEVICE(attributes);
    double n[9];
    const nvmlReturn_t result = GET_NUMBERS(&call, n, "multiprocessor_count", "copy_engine_count", "decoder_count",
                                            "encoder_count", "jpeg_count", "ofa_count", "gpu_instance_slice_count",
                                            "compute_instance_slice_count", "memory_size_mb");
    if (result == NVML_SUCCESS)
        *attributes = (nvmlDeviceAttributes_t){.multiprocessorCount = as_uint(n[0]),
                                               .sharedCopyEngineCount = as_uint(n[1]),
                                               .sharedDecoderCount = as_uint(n[2]),
                                               .sharedEncoderCount = as_uint(n[3]),
                                               .sharedJpegCount = as_uint(n[4]),
                                               .sharedOfaCount = as_uint(n[5]),
                                               .gpuInstanceSliceCount = as_uint(n[6]),
                                               .computeInstanceSliceCount = as_uint(n[7]),
                                               .memorySizeMB = as_ull(n[8])};
    return call_end(&call, result);
}
