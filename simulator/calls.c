/*
 * NVML's functions. Those of a common form are generated from calls.def, the others are here or, by family, in files of
 * their own. The functions of unsupported.def exist, as in a current driver, but no card supports them.
 */
#include "call.h"
#include "hang.h"

#include <stdio.h>
#include <string.h>

/* The functions of calls.def. */
#define SYSTEM_VALUE(function, type, key)                                                                              \
    EXPORT nvmlReturn_t function(type *value) {                                                                        \
        BEGIN_SYSTEM(value);                                                                                           \
        double number = 0;                                                                                             \
        const nvmlReturn_t result = call_number(&call, key, &number);                                                  \
        if (result == NVML_SUCCESS)                                                                                    \
            STORE(value, number);                                                                                      \
        return call_end(&call, result);                                                                                \
    }
#define SYSTEM_TEXT(function, key)                                                                                     \
    EXPORT nvmlReturn_t function(char *text, unsigned int length) {                                                    \
        BEGIN_SYSTEM(text);                                                                                            \
        return call_end(&call, get_text(&call, key, text, length));                                                    \
    }
#define VALUE(function, type, key)                                                                                     \
    EXPORT nvmlReturn_t function(nvmlDevice_t device, type *value) {                                                   \
        BEGIN_DEVICE(value);                                                                                           \
        double number = 0;                                                                                             \
        const nvmlReturn_t result = call_number(&call, key, &number);                                                  \
        if (result == NVML_SUCCESS)                                                                                    \
            STORE(value, number);                                                                                      \
        return call_end(&call, result);                                                                                \
    }
#define PAIR(function, type, first_key, second_key)                                                                    \
    EXPORT nvmlReturn_t function(nvmlDevice_t device, type *first, type *second) {                                     \
        BEGIN_DEVICE(first && second);                                                                                 \
        double numbers[2];                                                                                             \
        const nvmlReturn_t result = GET_NUMBERS(&call, numbers, first_key, second_key);                                \
        if (result == NVML_SUCCESS) {                                                                                  \
            STORE(first, numbers[0]);                                                                                  \
            STORE(second, numbers[1]);                                                                                 \
        }                                                                                                              \
        return call_end(&call, result);                                                                                \
    }
#define CHOICE(function, enumeration, type, ...)                                                                       \
    EXPORT nvmlReturn_t function(nvmlDevice_t device, enumeration choice, type *value) {                               \
        static const char *const keys[] = {__VA_ARGS__};                                                               \
        BEGIN_DEVICE(value && (unsigned int)choice < COUNT(keys));                                                     \
        double number = 0;                                                                                             \
        const nvmlReturn_t result = call_number(&call, keys[choice], &number);                                         \
        if (result == NVML_SUCCESS)                                                                                    \
            STORE(value, number);                                                                                      \
        return call_end(&call, result);                                                                                \
    }
#define TEXT(function, key)                                                                                            \
    EXPORT nvmlReturn_t function(nvmlDevice_t device, char *text, unsigned int length) {                               \
        BEGIN_DEVICE(text);                                                                                            \
        return call_end(&call, get_text(&call, key, text, length));                                                    \
    }
#include "calls.def"

/* Life cycle. */
EXPORT nvmlReturn_t nvmlInitWithFlags(unsigned int flags) {
    (void)flags; /* all three only matter without GPUs */
    return driver_init();
}

EXPORT nvmlReturn_t nvmlInit_v2(void) {
    return driver_init();
}

EXPORT nvmlReturn_t nvmlInit(void) {
    return driver_init();
}

EXPORT nvmlReturn_t nvmlShutdown(void) {
    return driver_shutdown();
}

EXPORT const char *nvmlErrorString(nvmlReturn_t result) {
    static const char *const TEXTS[] = {
        [NVML_SUCCESS] = "Success",
        [NVML_ERROR_UNINITIALIZED] = "Uninitialized",
        [NVML_ERROR_INVALID_ARGUMENT] = "Invalid Argument",
        [NVML_ERROR_NOT_SUPPORTED] = "Not Supported",
        [NVML_ERROR_NO_PERMISSION] = "Insufficient Permissions",
        [NVML_ERROR_ALREADY_INITIALIZED] = "Already Initialized",
        [NVML_ERROR_NOT_FOUND] = "Not Found",
        [NVML_ERROR_INSUFFICIENT_SIZE] = "Insufficient Size",
        [NVML_ERROR_INSUFFICIENT_POWER] = "Insufficient External Power",
        [NVML_ERROR_DRIVER_NOT_LOADED] = "Driver Not Loaded",
        [NVML_ERROR_TIMEOUT] = "Timeout",
        [NVML_ERROR_IRQ_ISSUE] = "Interrupt Request Issue",
        [NVML_ERROR_LIBRARY_NOT_FOUND] = "NVML Shared Library Not Found",
        [NVML_ERROR_FUNCTION_NOT_FOUND] = "Function Not Found",
        [NVML_ERROR_CORRUPTED_INFOROM] = "Corrupted infoROM",
        [NVML_ERROR_GPU_IS_LOST] = "GPU is lost",
        [NVML_ERROR_RESET_REQUIRED] = "GPU requires restart",
        [NVML_ERROR_OPERATING_SYSTEM] = "The operating system has blocked the request",
        [NVML_ERROR_LIB_RM_VERSION_MISMATCH] = "RM has detected an NVML/RM version mismatch",
        [NVML_ERROR_IN_USE] = "In use by another client",
        [NVML_ERROR_MEMORY] = "Insufficient Memory",
        [NVML_ERROR_NO_DATA] = "No data",
        [NVML_ERROR_VGPU_ECC_NOT_SUPPORTED] = "vGPU ECC is not supported",
        [NVML_ERROR_INSUFFICIENT_RESOURCES] = "Insufficient resources",
        [NVML_ERROR_FREQ_NOT_SUPPORTED] = "Frequency not supported",
        [NVML_ERROR_ARGUMENT_VERSION_MISMATCH] = "Argument version mismatch",
        [NVML_ERROR_DEPRECATED] = "Requested functionality has been deprecated",
        [NVML_ERROR_NOT_READY] = "System is not ready",
        [NVML_ERROR_GPU_NOT_FOUND] = "No GPUs were found",
        [NVML_ERROR_INVALID_STATE] = "Invalid state",
        [NVML_ERROR_RESET_TYPE_NOT_SUPPORTED] = "Reset type not supported",
    };
    return (unsigned int)result < COUNT(TEXTS) ? TEXTS[result] : "Unknown Error";
}

/* The GPUs of the machine. */
static nvmlReturn_t count(const struct call *call, unsigned int *value) {
    const struct entry *entry = profile_find(call->profile, MACHINE, "gpu_count");
    const nvmlReturn_t ordered = entry ? call_obey(entry) : NVML_SUCCESS;
    if (ordered == NVML_SUCCESS)
        *value = gpu_count(call);
    return ordered;
}

EXPORT nvmlReturn_t nvmlDeviceGetCount_v2(unsigned int *value) {
    BEGIN_SYSTEM(value);
    return call_end(&call, count(&call, value));
}

EXPORT nvmlReturn_t nvmlDeviceGetCount(unsigned int *value) {
    BEGIN_SYSTEM(value);
    return call_end(&call, count(&call, value));
}

static nvmlReturn_t handle_of(const struct call *call, int gpu, nvmlDevice_t *device) {
    const nvmlReturn_t result = gpu_look_up(call, gpu);
    if (result == NVML_SUCCESS)
        *device = gpu_handle(gpu);
    return result;
}

/* A GPU's own section can name the function, as for every other call: its handle is refused. */
static nvmlReturn_t handle_at(const struct call *call, const char *function, unsigned int index, nvmlDevice_t *device) {
    const struct entry *const entry = profile_find(call->profile, (int)index, function);
    const nvmlReturn_t ordered = entry ? call_obey(entry) : NVML_SUCCESS;
    return ordered == NVML_SUCCESS ? handle_of(call, (int)index, device) : ordered;
}

EXPORT nvmlReturn_t nvmlDeviceGetHandleByIndex_v2(unsigned int index, nvmlDevice_t *device) {
    BEGIN_SYSTEM(device && index < gpu_count(&call));
    return call_end(&call, handle_at(&call, __func__, index, device));
}

EXPORT nvmlReturn_t nvmlDeviceGetHandleByIndex(unsigned int index, nvmlDevice_t *device) {
    BEGIN_SYSTEM(device && index < gpu_count(&call));
    return call_end(&call, handle_at(&call, __func__, index, device));
}

/* A lost or sick GPU does not return its UUID or serial number, so it cannot be found by these. */
static nvmlReturn_t handle_by(const struct call *call, const char *key, const char *wanted, nvmlDevice_t *device) {
    for (unsigned int gpu = 0; gpu < gpu_count(call); gpu++) {
        const char *state = gpu_state(call, (int)gpu);
        const struct entry *entry = profile_find(call->profile, (int)gpu, key);
        if (!strcmp(state, "lost") || !strcmp(state, "sick") || !entry || !entry->value || strcmp(entry->value, wanted))
            continue;
        return handle_of(call, (int)gpu, device);
    }
    return NVML_ERROR_NOT_FOUND;
}

/* Of a GPU or, like the real call, of a MIG instance. */
EXPORT nvmlReturn_t nvmlDeviceGetHandleByUUID(const char *uuid, nvmlDevice_t *device) {
    BEGIN_SYSTEM(uuid && device);
    nvmlReturn_t result = handle_by(&call, "uuid", uuid, device);
    if (result == NVML_ERROR_NOT_FOUND)
        result = mig_by_uuid(&call, uuid, device);
    return call_end(&call, result);
}

EXPORT nvmlReturn_t nvmlDeviceGetHandleBySerial(const char *serial, nvmlDevice_t *device) {
    BEGIN_SYSTEM(serial && device);
    return call_end(&call, handle_by(&call, "serial", serial, device));
}

struct pci_address {
    unsigned int domain, bus, device;
};

/* NVML accepts a domain of four or eight digits, or none. */
static bool parse_pci(const char *text, struct pci_address *address) {
    int length = 0;
    *address = (struct pci_address){0};
    if (sscanf(text, "%8x:%2x:%2x.%*1x%n", &address->domain, &address->bus, &address->device, &length) == 3 && length)
        return !text[length];
    address->domain = 0;
    return sscanf(text, "%2x:%2x.%*1x%n", &address->bus, &address->device, &length) == 2 && length && !text[length];
}

static nvmlReturn_t handle_by_pci(const struct call *call, const char *wanted, nvmlDevice_t *device) {
    struct pci_address address, own;
    if (!parse_pci(wanted, &address))
        return NVML_ERROR_INVALID_ARGUMENT;
    for (unsigned int gpu = 0; gpu < gpu_count(call); gpu++) {
        const struct entry *entry = profile_find(call->profile, (int)gpu, "pci_bus_id");
        if (entry && entry->value && parse_pci(entry->value, &own) && address.domain == own.domain &&
            address.bus == own.bus && address.device == own.device)
            return handle_of(call, (int)gpu, device);
    }
    return NVML_ERROR_NOT_FOUND;
}

EXPORT nvmlReturn_t nvmlDeviceGetHandleByPciBusId_v2(const char *bus_id, nvmlDevice_t *device) {
    BEGIN_SYSTEM(bus_id && device);
    return call_end(&call, handle_by_pci(&call, bus_id, device));
}

EXPORT nvmlReturn_t nvmlDeviceGetHandleByPciBusId(const char *bus_id, nvmlDevice_t *device) {
    BEGIN_SYSTEM(bus_id && device);
    return call_end(&call, handle_by_pci(&call, bus_id, device));
}

EXPORT nvmlReturn_t nvmlDeviceGetIndex(nvmlDevice_t device, unsigned int *index) {
    BEGIN_DEVICE(index);
    const struct part *mig = profile_as_part(call.profile, call.unit);
    *index = mig ? mig->number : (unsigned int)call.gpu;
    return call_end(&call, NVML_SUCCESS);
}

nvmlReturn_t read_pci(const char *bus_id, nvmlPciInfo_t *pci) {
    struct pci_address address;
    if (!parse_pci(bus_id, &address))
        return NVML_ERROR_UNKNOWN;
    *pci = (nvmlPciInfo_t){.domain = address.domain, .bus = address.bus, .device = address.device};
    snprintf(pci->busIdLegacy, sizeof pci->busIdLegacy, "%04X:%02X:%02X.0", address.domain & 0xffff,
             address.bus & 0xff, address.device & 0xff);
    snprintf(pci->busId, sizeof pci->busId, "%08X:%02X:%02X.0", address.domain, address.bus & 0xff,
             address.device & 0xff);
    return NVML_SUCCESS;
}

static nvmlReturn_t get_pci(const struct call *call, nvmlPciInfo_t *pci) {
    const char *bus_id = NULL;
    double ids[2];
    nvmlReturn_t result = call_text(call, "pci_bus_id", &bus_id);
    if (result == NVML_SUCCESS)
        result = GET_NUMBERS(call, ids, "pci_device_id", "pci_subsystem_id");
    if (result == NVML_SUCCESS)
        result = read_pci(bus_id, pci);
    if (result == NVML_SUCCESS) {
        pci->pciDeviceId = as_uint(ids[0]);
        pci->pciSubSystemId = as_uint(ids[1]);
    }
    return result;
}

EXPORT nvmlReturn_t nvmlDeviceGetPciInfo_v3(nvmlDevice_t device, nvmlPciInfo_t *pci) {
    BEGIN_DEVICE(pci);
    return call_end(&call, get_pci(&call, pci));
}

EXPORT nvmlReturn_t nvmlDeviceGetPciInfoExt(nvmlDevice_t device, nvmlPciInfoExt_t *pci) {
    BEGIN_DEVICE(pci);
    if (pci->version != NVML_STRUCT_VERSION(PciInfoExt, 1))
        return call_end(&call, NVML_ERROR_ARGUMENT_VERSION_MISMATCH);
    nvmlPciInfo_t basic;
    double classes[2];
    nvmlReturn_t result = get_pci(&call, &basic);
    if (result == NVML_SUCCESS)
        result = GET_NUMBERS(&call, classes, "pci_base_class", "pci_sub_class");
    if (result == NVML_SUCCESS) {
        pci->domain = basic.domain;
        pci->bus = basic.bus;
        pci->device = basic.device;
        pci->pciDeviceId = basic.pciDeviceId;
        pci->pciSubSystemId = basic.pciSubSystemId;
        pci->baseClass = as_uint(classes[0]);
        pci->subClass = as_uint(classes[1]);
        memcpy(pci->busId, basic.busId, sizeof pci->busId);
    }
    return call_end(&call, result);
}

EXPORT nvmlReturn_t nvmlDeviceGetGspFirmwareVersion(nvmlDevice_t device, char *version) {
    BEGIN_DEVICE(version);
    return call_end(&call, get_text(&call, "gsp_firmware_version", version, NVML_GSP_FIRMWARE_VERSION_BUF_SIZE));
}

EXPORT nvmlReturn_t nvmlDeviceGetUtilizationRates(nvmlDevice_t device, nvmlUtilization_t *utilization) {
    BEGIN_DEVICE(utilization);
    double rates[2];
    const nvmlReturn_t result = GET_NUMBERS(&call, rates, "utilization_gpu", "utilization_memory");
    if (result == NVML_SUCCESS)
        *utilization = (nvmlUtilization_t){.gpu = as_uint(rates[0]), .memory = as_uint(rates[1])};
    return call_end(&call, result);
}

EXPORT nvmlReturn_t nvmlDeviceGetInforomVersion(nvmlDevice_t device, nvmlInforomObject_t object, char *version,
                                                unsigned int length) {
    static const char *const KEYS[] = {
        [NVML_INFOROM_OEM] = "inforom_oem_version",
        [NVML_INFOROM_ECC] = "inforom_ecc_version",
        [NVML_INFOROM_POWER] = "inforom_power_version",
        [NVML_INFOROM_DEN] = "inforom_den_version",
    };
    BEGIN_DEVICE(version && (unsigned int)object < COUNT(KEYS));
    return call_end(&call, get_text(&call, KEYS[object], version, length));
}

/* The real call counts the traffic for 20 ms. */
EXPORT nvmlReturn_t nvmlDeviceGetPcieThroughput(nvmlDevice_t device, nvmlPcieUtilCounter_t counter,
                                                unsigned int *throughput) {
    BEGIN_DEVICE(throughput && (unsigned int)counter < 2);
    double number = 0;
    const nvmlReturn_t result = call_number(
        &call, counter == NVML_PCIE_UTIL_TX_BYTES ? "pcie_throughput_tx" : "pcie_throughput_rx", &number);
    if (result == NVML_SUCCESS) {
        sleep_seconds(0.02);
        *throughput = as_uint(number);
    }
    return call_end(&call, result);
}

EXPORT nvmlReturn_t nvmlDeviceGetViolationStatus(nvmlDevice_t device, nvmlPerfPolicyType_t policy,
                                                 nvmlViolationTime_t *violation) {
    static const char *const KEYS[] = {
        [NVML_PERF_POLICY_POWER] = "throttled_sw_power_cap",
        [NVML_PERF_POLICY_THERMAL] = "throttled_thermal",
        [NVML_PERF_POLICY_SYNC_BOOST] = "throttled_sync_boost",
        [NVML_PERF_POLICY_BOARD_LIMIT] = "throttled_board_limit",
        [NVML_PERF_POLICY_LOW_UTILIZATION] = "throttled_low_utilization",
        [NVML_PERF_POLICY_RELIABILITY] = "throttled_reliability",
        [NVML_PERF_POLICY_TOTAL_APP_CLOCKS] = "throttled_app_clocks",
        [NVML_PERF_POLICY_TOTAL_BASE_CLOCKS] = "throttled_base_clocks",
    };
    BEGIN_DEVICE(violation && (unsigned int)policy < COUNT(KEYS) && KEYS[policy]);
    double number = 0;
    const nvmlReturn_t result = call_number(&call, KEYS[policy], &number);
    if (result == NVML_SUCCESS)
        *violation = (nvmlViolationTime_t){.referenceTime = as_ull(call.t * 1e6), .violationTime = as_ull(number)};
    return call_end(&call, result);
}

/* Memory: a value that the profile does not list is calculated from the others. Without a key, `reserved` is 0. */
static nvmlReturn_t get_memory(const struct call *call, nvmlMemory_v2_t *memory) {
    double numbers[2];
    nvmlReturn_t result = GET_NUMBERS(call, numbers, "memory_total", "memory_used");
    if (result != NVML_SUCCESS)
        return result;
    memory->total = as_ull(numbers[0]);
    memory->used = as_ull(numbers[1]);
    double number = 0;
    result = call_number(call, "memory_reserved", &number);
    if (result != NVML_SUCCESS && result != NVML_ERROR_NOT_SUPPORTED)
        return result;
    memory->reserved = result == NVML_SUCCESS ? as_ull(number) : 0;
    result = call_number(call, "memory_free", &number);
    if (result != NVML_SUCCESS && result != NVML_ERROR_NOT_SUPPORTED)
        return result;
    memory->free = result == NVML_SUCCESS ? as_ull(number) : memory->total - memory->used - memory->reserved;
    return NVML_SUCCESS;
}

/* In version 1, `used` includes the reserved part. */
EXPORT nvmlReturn_t nvmlDeviceGetMemoryInfo(nvmlDevice_t device, nvmlMemory_t *memory) {
    BEGIN_DEVICE(memory);
    nvmlMemory_v2_t whole;
    const nvmlReturn_t result = get_memory(&call, &whole);
    if (result == NVML_SUCCESS)
        *memory = (nvmlMemory_t){.total = whole.total, .free = whole.free, .used = whole.used + whole.reserved};
    return call_end(&call, result);
}

EXPORT nvmlReturn_t nvmlDeviceGetMemoryInfo_v2(nvmlDevice_t device, nvmlMemory_v2_t *memory) {
    BEGIN_DEVICE(memory);
    nvmlReturn_t result = switched_off(&call, "memory_v2");
    if (result == NVML_SUCCESS && memory->version != NVML_STRUCT_VERSION(Memory, 2))
        result = NVML_ERROR_ARGUMENT_VERSION_MISMATCH;
    nvmlMemory_v2_t whole = {.version = memory->version};
    if (result == NVML_SUCCESS)
        result = get_memory(&call, &whole);
    if (result == NVML_SUCCESS)
        *memory = whole;
    return call_end(&call, result);
}

EXPORT nvmlReturn_t nvmlDeviceGetBAR1MemoryInfo(nvmlDevice_t device, nvmlBAR1Memory_t *memory) {
    BEGIN_DEVICE(memory);
    double numbers[2], rest = 0;
    nvmlReturn_t result = GET_NUMBERS(&call, numbers, "bar1_total", "bar1_used");
    if (result == NVML_SUCCESS) {
        const unsigned long long total = as_ull(numbers[0]), used = as_ull(numbers[1]);
        result = call_number(&call, "bar1_free", &rest);
        if (result == NVML_SUCCESS || result == NVML_ERROR_NOT_SUPPORTED) {
            const unsigned long long left = result == NVML_SUCCESS ? as_ull(rest) : total - used;
            *memory = (nvmlBAR1Memory_t){.bar1Total = total, .bar1Used = used, .bar1Free = left};
            result = NVML_SUCCESS;
        }
    }
    return call_end(&call, result);
}

/* Sessions of the encoder and of frame capture. The details in the list are invented. */
EXPORT nvmlReturn_t nvmlDeviceGetEncoderStats(nvmlDevice_t device, unsigned int *sessions, unsigned int *fps,
                                              unsigned int *latency) {
    BEGIN_DEVICE(sessions && fps && latency);
    double n[3];
    const nvmlReturn_t result =
        GET_NUMBERS(&call, n, "encoder_sessions", "encoder_average_fps", "encoder_average_latency");
    if (result == NVML_SUCCESS) {
        *sessions = as_uint(n[0]);
        *fps = as_uint(n[1]);
        *latency = as_uint(n[2]);
    }
    return call_end(&call, result);
}

EXPORT nvmlReturn_t nvmlDeviceGetFBCStats(nvmlDevice_t device, nvmlFBCStats_t *stats) {
    BEGIN_DEVICE(stats);
    double n[3];
    const nvmlReturn_t result = GET_NUMBERS(&call, n, "fbc_sessions", "fbc_average_fps", "fbc_average_latency");
    if (result == NVML_SUCCESS)
        *stats = (nvmlFBCStats_t){
            .sessionsCount = as_uint(n[0]), .averageFPS = as_uint(n[1]), .averageLatency = as_uint(n[2])};
    return call_end(&call, result);
}

/* Unlike the lists of processes, these return NVML_SUCCESS and the count if there is no list to fill. */
EXPORT nvmlReturn_t nvmlDeviceGetEncoderSessions(nvmlDevice_t device, unsigned int *count,
                                                 nvmlEncoderSessionInfo_t *sessions) {
    BEGIN_DEVICE(count);
    double n[3];
    nvmlReturn_t result =
        GET_NUMBERS(&call, n, "encoder_sessions", "encoder_average_fps", "encoder_average_latency");
    if (result == NVML_SUCCESS && !sessions)
        *count = as_uint(n[0]);
    else if (result == NVML_SUCCESS)
        result = fit(as_uint(n[0]), count, sessions);
    for (unsigned int i = 0; result == NVML_SUCCESS && sessions && i < *count; i++)
        sessions[i] = (nvmlEncoderSessionInfo_t){.sessionId = i + 1,
                                                 .hResolution = 1920,
                                                 .vResolution = 1080,
                                                 .averageFps = as_uint(n[1]),
                                                 .averageLatency = as_uint(n[2])};
    return call_end(&call, result);
}

EXPORT nvmlReturn_t nvmlDeviceGetFBCSessions(nvmlDevice_t device, unsigned int *count,
                                             nvmlFBCSessionInfo_t *sessions) {
    BEGIN_DEVICE(count);
    double n[3];
    nvmlReturn_t result = GET_NUMBERS(&call, n, "fbc_sessions", "fbc_average_fps", "fbc_average_latency");
    if (result == NVML_SUCCESS && !sessions)
        *count = as_uint(n[0]);
    else if (result == NVML_SUCCESS)
        result = fit(as_uint(n[0]), count, sessions);
    for (unsigned int i = 0; result == NVML_SUCCESS && sessions && i < *count; i++)
        sessions[i] = (nvmlFBCSessionInfo_t){.sessionId = i + 1,
                                             .hMaxResolution = 1920,
                                             .vMaxResolution = 1080,
                                             .hResolution = 1920,
                                             .vResolution = 1080,
                                             .averageFPS = as_uint(n[1]),
                                             .averageLatency = as_uint(n[2])};
    return call_end(&call, result);
}

/* Temperature. NVML_TEMPERATURE_GPU is the only sensor. */
EXPORT nvmlReturn_t nvmlDeviceGetTemperature(nvmlDevice_t device, nvmlTemperatureSensors_t sensor,
                                             unsigned int *temperature) {
    BEGIN_DEVICE(temperature && sensor == NVML_TEMPERATURE_GPU);
    double number = 0;
    const nvmlReturn_t result = call_number(&call, "temperature", &number);
    if (result == NVML_SUCCESS)
        /* As the real call, which has no sign: -5 is 4294967291. */
        *temperature = number < 0 ? (unsigned int)as_int(number) : as_uint(number);
    return call_end(&call, result);
}

EXPORT nvmlReturn_t nvmlDeviceGetTemperatureV(nvmlDevice_t device, nvmlTemperature_t *temperature) {
    BEGIN_DEVICE(temperature);
    nvmlReturn_t result = switched_off(&call, "temperature_v");
    if (result == NVML_SUCCESS && temperature->version != NVML_STRUCT_VERSION(Temperature, 1))
        result = NVML_ERROR_ARGUMENT_VERSION_MISMATCH;
    if (result == NVML_SUCCESS && temperature->sensorType != NVML_TEMPERATURE_GPU)
        result = NVML_ERROR_INVALID_ARGUMENT;
    double number = 0;
    if (result == NVML_SUCCESS)
        result = call_number(&call, "temperature", &number);
    if (result == NVML_SUCCESS)
        temperature->temperature = as_int(number);
    return call_end(&call, result);
}

EXPORT nvmlReturn_t nvmlDeviceGetMarginTemperature(nvmlDevice_t device, nvmlMarginTemperature_t *margin) {
    BEGIN_DEVICE(margin);
    double number = 0;
    nvmlReturn_t result = NVML_ERROR_ARGUMENT_VERSION_MISMATCH;
    if (margin->version == NVML_STRUCT_VERSION(MarginTemperature, 1))
        result = call_number(&call, "margin_temperature", &number);
    if (result == NVML_SUCCESS)
        margin->marginTemperature = as_int(number);
    return call_end(&call, result);
}

/* Fans. A passively cooled card does not support them; on others, a number beyond the last fan is a wrong argument. */
static nvmlReturn_t get_fan(const struct call *call, const char *key, unsigned int fan, unsigned int *value) {
    double fans = 0, number = 0;
    nvmlReturn_t result = call_number(call, "fan_count", &fans);
    if (result != NVML_SUCCESS || fans < 1)
        return result != NVML_SUCCESS ? result : NVML_ERROR_NOT_SUPPORTED;
    if (fan >= fans)
        return NVML_ERROR_INVALID_ARGUMENT;
    result = call_scoped(call, key, fan, &number);
    if (result == NVML_SUCCESS)
        *value = as_uint(number);
    return result;
}

EXPORT nvmlReturn_t nvmlDeviceGetFanSpeed(nvmlDevice_t device, unsigned int *speed) {
    BEGIN_DEVICE(speed);
    return call_end(&call, get_fan(&call, "fan_speed", 0, speed));
}

EXPORT nvmlReturn_t nvmlDeviceGetFanSpeed_v2(nvmlDevice_t device, unsigned int fan, unsigned int *speed) {
    BEGIN_DEVICE(speed);
    return call_end(&call, get_fan(&call, "fan_speed", fan, speed));
}

EXPORT nvmlReturn_t nvmlDeviceGetTargetFanSpeed(nvmlDevice_t device, unsigned int fan, unsigned int *speed) {
    BEGIN_DEVICE(speed);
    return call_end(&call, get_fan(&call, "fan_speed_target", fan, speed));
}

EXPORT nvmlReturn_t nvmlDeviceGetFanSpeedRPM(nvmlDevice_t device, nvmlFanSpeedInfo_t *fan) {
    BEGIN_DEVICE(fan);
    if (fan->version != NVML_STRUCT_VERSION(FanSpeedInfo, 1))
        return call_end(&call, NVML_ERROR_ARGUMENT_VERSION_MISMATCH);
    return call_end(&call, get_fan(&call, "fan_speed_rpm", fan->fan, &fan->speed));
}

/*
 * A current driver has these functions; here no card supports them. nvml.h has the real prototypes; in the C ABIs of
 * Linux, additional arguments of a caller do no harm.
 */
#ifndef NVML_HEADER
#define DEVICE_FUNCTION(function)                                                                                      \
    EXPORT nvmlReturn_t function(nvmlDevice_t device) {                                                                \
        BEGIN_DEVICE(true);                                                                                            \
        return call_end(&call, NVML_ERROR_NOT_SUPPORTED);                                                              \
    }
#define SYSTEM_FUNCTION(function)                                                                                      \
    EXPORT nvmlReturn_t function(void) {                                                                               \
        BEGIN_SYSTEM(true);                                                                                            \
        return call_end(&call, NVML_ERROR_NOT_SUPPORTED);                                                              \
    }
#include "unsupported.def"
#endif
