/*
 * vGPUs on their host ([gpu 0 vgpu 3251634213]), the license in their guest, and confidential computing.
 */
#include "call.h"

#include <time.h>

EXPORT nvmlReturn_t nvmlDeviceGetActiveVgpus(nvmlDevice_t device, unsigned int *count, nvmlVgpuInstance_t *instances) {
    BEGIN_DEVICE(count);
    double host = 0;
    const nvmlReturn_t result = call_number(&call, "host_vgpu_mode", &host);
    if (result != NVML_SUCCESS)
        return call_end(&call, result);
    const unsigned int room = instances ? *count : 0;
    unsigned int found = 0;
    for (size_t i = 0; i < call.profile->part_count; i++) {
        const struct part *part = &call.profile->parts[i];
        if (part->kind == PART_VGPU && part->gpu == call.gpu && found++ < room)
            instances[found - 1] = part->number;
    }
    *count = found;
    return call_end(&call, found > room ? NVML_ERROR_INSUFFICIENT_SIZE : NVML_SUCCESS);
}

/* Turns a call of the machine into one of the vGPU. */
static nvmlReturn_t enter(struct call *call, nvmlVgpuInstance_t instance) {
    for (int gpu = 0; gpu < (int)gpu_count(call); gpu++) {
        const int unit = profile_part(call->profile, PART_VGPU, gpu, instance);
        if (unit == MACHINE)
            continue;
        call->gpu = gpu;
        call->unit = unit;
        return gpu_look_up(call, gpu);
    }
    return NVML_ERROR_NOT_FOUND;
}

#define VGPU_VALUE(function, type, key)                                                                                \
    EXPORT nvmlReturn_t function(nvmlVgpuInstance_t instance, type *value) {                                           \
        BEGIN_SYSTEM(value);                                                                                           \
        double number = 0;                                                                                             \
        nvmlReturn_t result = enter(&call, instance);                                                                  \
        if (result == NVML_SUCCESS)                                                                                    \
            result = call_number(&call, key, &number);                                                                 \
        if (result == NVML_SUCCESS)                                                                                    \
            STORE(value, number);                                                                                      \
        return call_end(&call, result);                                                                                \
    }
#define VGPU_TEXT(function, key)                                                                                       \
    EXPORT nvmlReturn_t function(nvmlVgpuInstance_t instance, char *text, unsigned int length) {                       \
        BEGIN_SYSTEM(text);                                                                                            \
        nvmlReturn_t result = enter(&call, instance);                                                                  \
        if (result == NVML_SUCCESS)                                                                                    \
            result = get_text(&call, key, text, length);                                                               \
        return call_end(&call, result);                                                                                \
    }
VGPU_VALUE(nvmlVgpuInstanceGetType, nvmlVgpuTypeId_t, "vgpu_type")
VGPU_VALUE(nvmlVgpuInstanceGetFbUsage, unsigned long long, "fb_usage")
VGPU_VALUE(nvmlVgpuInstanceGetLicenseStatus, unsigned int, "licensed")
VGPU_TEXT(nvmlVgpuInstanceGetUUID, "uuid")
VGPU_TEXT(nvmlVgpuInstanceGetVmDriverVersion, "vm_driver_version")

EXPORT nvmlReturn_t nvmlVgpuInstanceGetVmID(nvmlVgpuInstance_t instance, char *id, unsigned int size,
                                            nvmlVgpuVmIdType_t *type) {
    BEGIN_SYSTEM(id && type);
    nvmlReturn_t result = enter(&call, instance);
    if (result == NVML_SUCCESS)
        result = get_text(&call, "vm_id", id, size);
    if (result == NVML_SUCCESS)
        *type = NVML_VGPU_VM_ID_UUID;
    return call_end(&call, result);
}

/* `license_expiry` is only read if `license_expiry_status` is NVML_GRID_LICENSE_EXPIRY_VALID. */
static nvmlReturn_t get_expiry(const struct call *call, nvmlGridLicenseExpiry_t *expiry) {
    enum { VALID = 2 };
    double status = 0, seconds = 0;
    nvmlReturn_t result = call_number(call, "license_expiry_status", &status);
    if (result == NVML_SUCCESS && status == VALID)
        result = call_number(call, "license_expiry", &seconds);
    if (result != NVML_SUCCESS)
        return result;
    *expiry = (nvmlGridLicenseExpiry_t){.status = (unsigned char)as_uint(status)};
    const time_t time = (time_t)as_ull(within(seconds, 0, 1e11));
    struct tm utc;
    if (status == VALID && gmtime_r(&time, &utc))
        *expiry = (nvmlGridLicenseExpiry_t){.year = (unsigned int)utc.tm_year + 1900,
                                            .month = (unsigned short)(utc.tm_mon + 1),
                                            .day = (unsigned short)utc.tm_mday,
                                            .hour = (unsigned short)utc.tm_hour,
                                            .min = (unsigned short)utc.tm_min,
                                            .sec = (unsigned short)utc.tm_sec,
                                            .status = VALID};
    return NVML_SUCCESS;
}

EXPORT nvmlReturn_t nvmlVgpuInstanceGetLicenseInfo_v2(nvmlVgpuInstance_t instance, nvmlVgpuLicenseInfo_t *info) {
    BEGIN_SYSTEM(info);
    double n[2];
    nvmlGridLicenseExpiry_t expiry;
    nvmlReturn_t result = enter(&call, instance);
    if (result == NVML_SUCCESS)
        result = GET_NUMBERS(&call, n, "licensed", "license_state");
    if (result == NVML_SUCCESS)
        result = get_expiry(&call, &expiry);
    if (result == NVML_SUCCESS) {
        *info = (nvmlVgpuLicenseInfo_t){.isLicensed = n[0] >= 1, .currentState = as_uint(n[1])};
        _Static_assert(sizeof info->licenseExpiry == sizeof expiry, "the two dates have one layout");
        memcpy(&info->licenseExpiry, &expiry, sizeof expiry);
    }
    return call_end(&call, result);
}

/* Finds a type by its number, among the vGPUs of this type. */
static nvmlReturn_t get_type_text(struct call *call, nvmlVgpuTypeId_t type, const char *key, char *text,
                                  unsigned int *size) {
    for (size_t i = 0; i < call->profile->part_count; i++) {
        const struct part *part = &call->profile->parts[i];
        double own = 0;
        call->gpu = part->gpu;
        call->unit = PROFILE_GPUS + (int)i;
        if (part->kind == PART_VGPU && call_number(call, "vgpu_type", &own) == NVML_SUCCESS && own == type)
            return get_text(call, key, text, *size);
    }
    return NVML_ERROR_INVALID_ARGUMENT;
}

EXPORT nvmlReturn_t nvmlVgpuTypeGetName(nvmlVgpuTypeId_t type, char *name, unsigned int *size) {
    BEGIN_SYSTEM(name && size);
    return call_end(&call, get_type_text(&call, type, "vgpu_type_name", name, size));
}

EXPORT nvmlReturn_t nvmlVgpuTypeGetClass(nvmlVgpuTypeId_t type, char *name, unsigned int *size) {
    BEGIN_SYSTEM(name && size);
    return call_end(&call, get_type_text(&call, type, "vgpu_type_class", name, size));
}

/* One sample for each vGPU, taken at the last full second; a key that is not listed is 0. */
EXPORT nvmlReturn_t nvmlDeviceGetVgpuUtilization(nvmlDevice_t device, unsigned long long since,
                                                 nvmlValueType_t *value_type, unsigned int *count,
                                                 nvmlVgpuInstanceUtilizationSample_t *samples) {
    static const char *const KEYS[] = {"sm_utilization", "utilization_memory", "encoder_utilization",
                                       "decoder_utilization"};
    BEGIN_DEVICE(value_type && count);
    double host = 0;
    nvmlReturn_t result = call_number(&call, "host_vgpu_mode", &host);
    const unsigned long long now = as_ull((double)as_ull(call.t) * 1e6);
    const unsigned int room = samples ? *count : 0;
    unsigned int found = 0;
    *value_type = NVML_VALUE_TYPE_UNSIGNED_INT;
    for (size_t i = 0; result == NVML_SUCCESS && i < call.profile->part_count; i++) {
        const struct part *part = &call.profile->parts[i];
        if (part->kind != PART_VGPU || part->gpu != call.gpu || now <= since || found++ >= room)
            continue;
        const struct call vgpu = {
            .profile = call.profile, .gpu = call.gpu, .unit = PROFILE_GPUS + (int)i, .t = call.t};
        double n[COUNT(KEYS)] = {0};
        for (size_t k = 0; k < COUNT(KEYS) && result == NVML_SUCCESS; k++)
            if (profile_find(call.profile, vgpu.unit, KEYS[k]))
                result = call_number(&vgpu, KEYS[k], &n[k]);
        samples[found - 1] = (nvmlVgpuInstanceUtilizationSample_t){.vgpuInstance = part->number,
                                                                   .timeStamp = now,
                                                                   .smUtil.uiVal = as_uint(n[0]),
                                                                   .memUtil.uiVal = as_uint(n[1]),
                                                                   .encUtil.uiVal = as_uint(n[2]),
                                                                   .decUtil.uiVal = as_uint(n[3])};
    }
    if (result == NVML_SUCCESS) {
        *count = found;
        result = !found ? NVML_ERROR_NOT_FOUND : found > room ? NVML_ERROR_INSUFFICIENT_SIZE : NVML_SUCCESS;
    }
    return call_end(&call, result);
}

/* One feature: the license of the vGPU in its guest. */
EXPORT nvmlReturn_t nvmlDeviceGetGridLicensableFeatures_v4(nvmlDevice_t device,
                                                           nvmlGridLicensableFeatures_t *features) {
    BEGIN_DEVICE(features);
    nvmlGridLicensableFeature_t feature = {0};
    double n[3];
    nvmlReturn_t result = GET_NUMBERS(&call, n, "license_feature_code", "license_state", "license_enabled");
    if (result == NVML_SUCCESS)
        result = get_text(&call, "license_info", feature.licenseInfo, sizeof feature.licenseInfo);
    if (result == NVML_SUCCESS)
        result = get_text(&call, "license_product", feature.productName, sizeof feature.productName);
    if (result == NVML_SUCCESS)
        result = get_expiry(&call, &feature.licenseExpiry);
    if (result == NVML_SUCCESS) {
        feature.featureCode = as_uint(n[0]);
        feature.featureState = as_uint(n[1]);
        feature.featureEnabled = as_uint(n[2]);
        *features = (nvmlGridLicensableFeatures_t){.isGridLicenseSupported = 1, .licensableFeaturesCount = 1};
        features->gridLicensableFeatures[0] = feature;
    }
    return call_end(&call, result);
}

EXPORT nvmlReturn_t nvmlSystemGetConfComputeState(nvmlConfComputeSystemState_t *state) {
    BEGIN_SYSTEM(state);
    double n[3];
    const nvmlReturn_t result = GET_NUMBERS(&call, n, "conf_compute_environment", "conf_compute_feature",
                                            "conf_compute_dev_tools_mode");
    if (result == NVML_SUCCESS)
        *state = (nvmlConfComputeSystemState_t){
            .environment = as_uint(n[0]), .ccFeature = as_uint(n[1]), .devToolsMode = as_uint(n[2])};
    return call_end(&call, result);
}

EXPORT nvmlReturn_t nvmlSystemGetConfComputeSettings(nvmlSystemConfComputeSettings_t *settings) {
    BEGIN_SYSTEM(settings);
    if (settings->version != NVML_STRUCT_VERSION(SystemConfComputeSettings, 1))
        return call_end(&call, NVML_ERROR_ARGUMENT_VERSION_MISMATCH);
    double n[4];
    const nvmlReturn_t result = GET_NUMBERS(&call, n, "conf_compute_environment", "conf_compute_feature",
                                            "conf_compute_dev_tools_mode", "conf_compute_multi_gpu_mode");
    if (result == NVML_SUCCESS)
        *settings = (nvmlSystemConfComputeSettings_t){.version = settings->version,
                                                      .environment = as_uint(n[0]),
                                                      .ccFeature = as_uint(n[1]),
                                                      .devToolsMode = as_uint(n[2]),
                                                      .multiGpuMode = as_uint(n[3])};
    return call_end(&call, result);
}

EXPORT nvmlReturn_t nvmlSystemGetConfComputeCapabilities(nvmlConfComputeSystemCaps_t *capabilities) {
    BEGIN_SYSTEM(capabilities);
    double n[2];
    const nvmlReturn_t result = GET_NUMBERS(&call, n, "conf_compute_cpu_caps", "conf_compute_gpus_caps");
    if (result == NVML_SUCCESS)
        *capabilities = (nvmlConfComputeSystemCaps_t){.cpuCaps = as_uint(n[0]), .gpusCaps = as_uint(n[1])};
    return call_end(&call, result);
}

EXPORT nvmlReturn_t nvmlDeviceGetConfComputeMemSizeInfo(nvmlDevice_t device, nvmlConfComputeMemSizeInfo_t *info) {
    BEGIN_DEVICE(info);
    double n[2];
    const nvmlReturn_t result =
        GET_NUMBERS(&call, n, "conf_compute_protected_size", "conf_compute_unprotected_size");
    if (result == NVML_SUCCESS)
        *info = (nvmlConfComputeMemSizeInfo_t){.protectedMemSizeKib = as_ull(n[0]),
                                               .unprotectedMemSizeKib = as_ull(n[1])};
    return call_end(&call, result);
}

EXPORT nvmlReturn_t nvmlDeviceGetConfComputeProtectedMemoryUsage(nvmlDevice_t device, nvmlMemory_t *memory) {
    BEGIN_DEVICE(memory);
    double n[2];
    const nvmlReturn_t result = GET_NUMBERS(&call, n, "conf_compute_protected_total", "conf_compute_protected_used");
    if (result == NVML_SUCCESS) {
        const unsigned long long total = as_ull(n[0]), used = as_ull(n[1]);
        *memory = (nvmlMemory_t){.total = total, .used = used, .free = total - used};
    }
    return call_end(&call, result);
}
