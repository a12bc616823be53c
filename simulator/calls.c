/*
 * NVML's functions. Those of a common shape are made from calls.def, the others stand here, and what is in unsupported.def
 * exists, as in a current driver, but is supported by no card.
 */
#include "abi.h"
#include "driver.h"

#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#define EXPORT __attribute__((visibility("default")))

/* The first lines of every function: its name can be made to fail, the GPU can be lost, and then come the arguments. */
#define BEGIN(of_device, device, arguments_are_good)                                                                   \
    struct call call;                                                                                                  \
    const nvmlReturn_t begun = call_begin(&call, __func__, of_device, device);                                         \
    if (begun != NVML_SUCCESS)                                                                                         \
        return begun;                                                                                                  \
    if (!(arguments_are_good))                                                                                         \
    return call_end(&call, NVML_ERROR_INVALID_ARGUMENT)
#define BEGIN_DEVICE(arguments_are_good) BEGIN(true, device, arguments_are_good)
#define BEGIN_SYSTEM(arguments_are_good) BEGIN(false, NULL, arguments_are_good)

/* The nearest value of the type, so that "2^64" is the sentinel ULLONG_MAX and a wave below zero is 0. */
static double within(double value, double low, double high) {
    return value >= low ? (value <= high ? value : high) : low; /* NaN becomes low */
}

static unsigned int as_uint(double value) {
    return (unsigned int)within(value, 0, UINT_MAX);
}

static int as_int(double value) {
    return (int)within(value, INT_MIN, INT_MAX);
}

static unsigned long long as_ull(double value) {
    return value >= 0x1p64 ? ULLONG_MAX : (unsigned long long)within(value, 0, 0x1p64);
}

static long long as_ll(double value) {
    return value >= 0x1p63 ? LLONG_MAX : (long long)within(value, -0x1p63, 0x1p63);
}

#define STORE(out, value)                                                                                              \
    (*(out) = _Generic(*(out), int: as_int, unsigned int: as_uint, unsigned long long: as_ull)(value))

static nvmlReturn_t get_text(const struct call *call, const char *key, char *out, size_t size) {
    const char *text = NULL;
    const nvmlReturn_t result = call_text(call, key, &text);
    if (result != NVML_SUCCESS)
        return result;
    if (strlen(text) >= size)
        return NVML_ERROR_INSUFFICIENT_SIZE;
    strcpy(out, text);
    return NVML_SUCCESS;
}

/* All the keys or none; an empty one is not wanted. */
static nvmlReturn_t get_numbers(const struct call *call, const char *const keys[], double values[], size_t count) {
    for (size_t i = 0; i < count; i++) {
        const nvmlReturn_t result = call_number(call, keys[i], &values[i]);
        if (result != NVML_SUCCESS)
            return result;
    }
    return NVML_SUCCESS;
}

#define COUNT(array) (sizeof(array) / sizeof *(array))
#define GET_NUMBERS(call, values, ...)                                                                                 \
    get_numbers(call, (const char *const[]){__VA_ARGS__}, values, COUNT(((const char *const[]){__VA_ARGS__})))

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

/* The keys of calls.def, by the kind of value that they take. */
static const char *const NUMBER_KEYS[] = {
#define SYSTEM_VALUE(function, type, key) key,
#define VALUE(function, type, key) key,
#define PAIR(function, type, first, second) first, second,
#define CHOICE(function, enumeration, type, ...) __VA_ARGS__,
#define FIELD(constant, type, key) key,
#define KEYS(...) __VA_ARGS__,
#include "calls.def"
};

static const char *const TEXT_KEY_NAMES[] = {
#define SYSTEM_TEXT(function, key) key,
#define TEXT(function, key) key,
#define TEXT_KEYS(...) __VA_ARGS__,
#include "calls.def"
};

/* Functions by name and switches: they take an error alone. */
static const char *const ERROR_KEYS[] = {
#define SYSTEM_VALUE(function, type, key) #function,
#define SYSTEM_TEXT(function, key) #function,
#define VALUE(function, type, key) #function,
#define PAIR(function, type, first, second) #function,
#define CHOICE(function, enumeration, type, ...) #function,
#define TEXT(function, key) #function,
#define SWITCHES(...) __VA_ARGS__,
#define WRITTEN(function) #function,
#include "calls.def"
#define DEVICE_FUNCTION(function) #function,
#define SYSTEM_FUNCTION(function) #function,
#include "unsupported.def"
#undef DEVICE_FUNCTION
#undef SYSTEM_FUNCTION
};

static bool is_one_of(const char *key, size_t length, const char *const names[], size_t count) {
    for (size_t i = 0; i < count; i++)
        if (!strncmp(names[i], key, length) && !names[i][length])
            return true;
    return false;
}

enum key_kind key_kind(const char *key) {
    const size_t length = strlen(key);
    if (!strncmp(key, "var.", 4) && length > 4)
        return key[4 + strspn(key + 4, "abcdefghijklmnopqrstuvwxyz0123456789_")] ? KEY_UNKNOWN : KEY_NUMBER;
    if (!strncmp(key, "field.", 6) && length > 6) {
        const char *scope = key + 6 + strspn(key + 6, "0123456789");
        if (scope == key + 6)
            return KEY_UNKNOWN;
        return !*scope || (*scope == '.' && scope[1] && !scope[1 + strspn(scope + 1, "0123456789")]) ? KEY_NUMBER
                                                                                                      : KEY_UNKNOWN;
    }
    if (is_one_of(key, length, TEXT_KEY_NAMES, COUNT(TEXT_KEY_NAMES)))
        return KEY_TEXT;
    if (is_one_of(key, length, ERROR_KEYS, COUNT(ERROR_KEYS)))
        return KEY_ERROR_ONLY;
    const char *dot = strchr(key, '.'); /* fan_speed.1 */
    if (dot && (!dot[1] || dot[1 + strspn(dot + 1, "0123456789")]))
        return KEY_UNKNOWN;
    return is_one_of(key, dot ? (size_t)(dot - key) : length, NUMBER_KEYS, COUNT(NUMBER_KEYS)) ? KEY_NUMBER
                                                                                               : KEY_UNKNOWN;
}

/* Life cycle. */
EXPORT nvmlReturn_t nvmlInitWithFlags(unsigned int flags) {
    (void)flags; /* all three only relax what an Init without GPUs does */
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

EXPORT nvmlReturn_t nvmlDeviceGetHandleByIndex_v2(unsigned int index, nvmlDevice_t *device) {
    BEGIN_SYSTEM(device && index < gpu_count(&call));
    return call_end(&call, handle_of(&call, (int)index, device));
}

EXPORT nvmlReturn_t nvmlDeviceGetHandleByIndex(unsigned int index, nvmlDevice_t *device) {
    BEGIN_SYSTEM(device && index < gpu_count(&call));
    return call_end(&call, handle_of(&call, (int)index, device));
}

/* The UUID or serial number of a GPU that is lost or sick cannot be asked for, so it is not found by it. */
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

EXPORT nvmlReturn_t nvmlDeviceGetHandleByUUID(const char *uuid, nvmlDevice_t *device) {
    BEGIN_SYSTEM(uuid && device);
    return call_end(&call, handle_by(&call, "uuid", uuid, device));
}

EXPORT nvmlReturn_t nvmlDeviceGetHandleBySerial(const char *serial, nvmlDevice_t *device) {
    BEGIN_SYSTEM(serial && device);
    return call_end(&call, handle_by(&call, "serial", serial, device));
}

struct pci_address {
    unsigned int domain, bus, device;
};

/* NVML takes a domain of four digits or eight, or none. */
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
    *index = (unsigned int)call.gpu;
    return call_end(&call, NVML_SUCCESS);
}

static nvmlReturn_t get_pci(const struct call *call, nvmlPciInfo_t *pci) {
    const char *bus_id = NULL;
    double ids[2];
    struct pci_address address;
    nvmlReturn_t result = call_text(call, "pci_bus_id", &bus_id);
    if (result == NVML_SUCCESS)
        result = GET_NUMBERS(call, ids, "pci_device_id", "pci_subsystem_id");
    if (result != NVML_SUCCESS)
        return result;
    if (!parse_pci(bus_id, &address))
        return NVML_ERROR_UNKNOWN;
    *pci = (nvmlPciInfo_t){.domain = address.domain,
                           .bus = address.bus,
                           .device = address.device,
                           .pciDeviceId = as_uint(ids[0]),
                           .pciSubSystemId = as_uint(ids[1])};
    snprintf(pci->busIdLegacy, sizeof pci->busIdLegacy, "%04X:%02X:%02X.0", address.domain & 0xffff,
             address.bus & 0xff, address.device & 0xff);
    snprintf(pci->busId, sizeof pci->busId, "%08X:%02X:%02X.0", address.domain, address.bus & 0xff,
             address.device & 0xff);
    return NVML_SUCCESS;
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

/* Memory: what the profile leaves out follows from the rest. `reserved` is 0 where it is not listed. */
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

/* In version 1 `used` holds the reserved part. */
EXPORT nvmlReturn_t nvmlDeviceGetMemoryInfo(nvmlDevice_t device, nvmlMemory_t *memory) {
    BEGIN_DEVICE(memory);
    nvmlMemory_v2_t whole;
    const nvmlReturn_t result = get_memory(&call, &whole);
    if (result == NVML_SUCCESS)
        *memory = (nvmlMemory_t){.total = whole.total, .free = whole.free, .used = whole.used + whole.reserved};
    return call_end(&call, result);
}

static nvmlReturn_t switched_off(const struct call *call, const char *key) {
    const struct entry *entry = profile_find(call->profile, call->gpu, key);
    return entry ? call_obey(entry) : NVML_SUCCESS;
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

/* Temperature. The sensor NVML_TEMPERATURE_GPU is the only one there is. */
EXPORT nvmlReturn_t nvmlDeviceGetTemperature(nvmlDevice_t device, nvmlTemperatureSensors_t sensor,
                                             unsigned int *temperature) {
    BEGIN_DEVICE(temperature && sensor == NVML_TEMPERATURE_GPU);
    double number = 0;
    const nvmlReturn_t result = call_number(&call, "temperature", &number);
    if (result == NVML_SUCCESS)
        *temperature = as_uint(number);
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

/* Fans. A passively cooled card has none to ask for; of the others a fan beyond the last is a wrong argument. */
static nvmlReturn_t get_fan(const struct call *call, const char *key, unsigned int fan, unsigned int *value) {
    double fans = 0, number = 0;
    nvmlReturn_t result = call_number(call, "fan_count", &fans);
    if (result != NVML_SUCCESS || fans < 1)
        return result != NVML_SUCCESS ? result : NVML_ERROR_NOT_SUPPORTED;
    if (fan >= fans)
        return NVML_ERROR_INVALID_ARGUMENT;
    char own[64];
    snprintf(own, sizeof own, "%s.%u", key, fan);
    result = call_number(call, profile_find(call->profile, call->gpu, own) ? own : key, &number);
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

/* ECC, pages and rows. */
EXPORT nvmlReturn_t nvmlDeviceGetTotalEccErrors(nvmlDevice_t device, nvmlMemoryErrorType_t type,
                                                nvmlEccCounterType_t counter, unsigned long long *errors) {
    static const char *const keys[2][2] = {
        [NVML_MEMORY_ERROR_TYPE_CORRECTED] = {"ecc_corrected_volatile", "ecc_corrected_aggregate"},
        [NVML_MEMORY_ERROR_TYPE_UNCORRECTED] = {"ecc_uncorrected_volatile", "ecc_uncorrected_aggregate"},
    };
    BEGIN_DEVICE(errors && (unsigned int)type < 2 && (unsigned int)counter < 2);
    double number = 0;
    const nvmlReturn_t result = call_number(&call, keys[type][counter], &number);
    if (result == NVML_SUCCESS)
        *errors = as_ull(number);
    return call_end(&call, result);
}

/* The pages' addresses are made up. With too little room, or none, the count is told. */
EXPORT nvmlReturn_t nvmlDeviceGetRetiredPages(nvmlDevice_t device, nvmlPageRetirementCause_t cause, unsigned int *count,
                                              unsigned long long *addresses) {
    BEGIN_DEVICE(count && (unsigned int)cause < 2);
    double number = 0;
    nvmlReturn_t result = call_number(&call, cause ? "retired_pages_dbe" : "retired_pages_sbe", &number);
    if (result == NVML_SUCCESS) {
        const unsigned int pages = as_uint(number), room = *count;
        *count = pages;
        if (pages > room || (pages && !addresses))
            result = NVML_ERROR_INSUFFICIENT_SIZE;
        else
            for (unsigned int page = 0; page < pages; page++)
                addresses[page] = 0x10000ULL * (page + 1);
    }
    return call_end(&call, result);
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

/* Fields. */
static const struct {
    unsigned int id;
    int type;
    const char *key;
} FIELDS[] = {
#define FIELD(constant, type, key) {constant, NVML_VALUE_TYPE_##type, key},
#include "calls.def"
};

/* `field.ID.SCOPE` or `field.ID` of the profile before the key that the table has for the field. */
static const struct entry *find_field(const struct call *call, const nvmlFieldValue_t *field, int *type) {
    *type = NVML_VALUE_TYPE_UNSIGNED_INT;
    const char *key = NULL;
    for (size_t i = 0; i < COUNT(FIELDS); i++)
        if (FIELDS[i].id == field->fieldId) {
            *type = FIELDS[i].type;
            key = FIELDS[i].key;
        }
    char own[64];
    snprintf(own, sizeof own, "field.%u.%u", field->fieldId, field->scopeId);
    const struct entry *entry = profile_find(call->profile, call->gpu, own);
    if (!entry) {
        snprintf(own, sizeof own, "field.%u", field->fieldId);
        entry = profile_find(call->profile, call->gpu, own);
    }
    if (!entry && key)
        entry = profile_find(call->profile, call->gpu, key);
    if (entry && entry->value_type >= 0)
        *type = entry->value_type;
    return entry;
}

static void get_field(const struct call *call, nvmlFieldValue_t *field) {
    int type;
    double number = 0;
    const struct entry *entry = find_field(call, field, &type);
    field->timestamp = (long long)(call->t * 1e6);
    field->latencyUsec = 0;
    field->valueType = (nvmlValueType_t)type;
    field->nvmlReturn = entry ? call_number(call, entry->key, &number) : NVML_ERROR_NOT_SUPPORTED;
    if (field->nvmlReturn != NVML_SUCCESS)
        return;
    memset(&field->value, 0, sizeof field->value);
    switch (type) {
    case NVML_VALUE_TYPE_DOUBLE:
        field->value.dVal = number;
        break;
    case NVML_VALUE_TYPE_SIGNED_INT:
        field->value.siVal = as_int(number);
        break;
    case NVML_VALUE_TYPE_UNSIGNED_LONG:
    case NVML_VALUE_TYPE_UNSIGNED_LONG_LONG:
        field->value.ullVal = as_ull(number);
        break;
    case NVML_VALUE_TYPE_SIGNED_LONG_LONG:
        field->value.sllVal = as_ll(number);
        break;
    case NVML_VALUE_TYPE_UNSIGNED_SHORT:
        field->value.usVal = (unsigned short)within(number, 0, USHRT_MAX);
        break;
    default:
        field->value.uiVal = as_uint(number);
    }
}

/* Success says that the fields were looked at; each says in nvmlReturn how that went. */
EXPORT nvmlReturn_t nvmlDeviceGetFieldValues(nvmlDevice_t device, int count, nvmlFieldValue_t *values) {
    BEGIN_DEVICE(values && count > 0);
    for (int i = 0; i < count; i++)
        get_field(&call, &values[i]);
    return call_end(&call, NVML_SUCCESS);
}

/*
 * A current driver has these functions; here no card supports them. nvml.h has the true prototypes, and a caller's further
 * arguments do no harm in the C ABIs of Linux.
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
