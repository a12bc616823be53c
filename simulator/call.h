/*
 * Building blocks for the bodies of NVML's functions.
 */
#ifndef SIMULATOR_CALL_H
#define SIMULATOR_CALL_H

#include "abi.h"
#include "driver.h"

#include <limits.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))

/* The first lines of every function: an error of the profile for its name, a lost GPU, then wrong arguments. */
#define BEGIN(of_device, device, arguments_are_good)                                                                   \
    struct call call;                                                                                                  \
    const nvmlReturn_t begun = call_begin(&call, __func__, of_device, device);                                         \
    if (begun != NVML_SUCCESS)                                                                                         \
        return begun;                                                                                                  \
    if (!(arguments_are_good))                                                                                         \
    return call_end(&call, NVML_ERROR_INVALID_ARGUMENT)
#define BEGIN_DEVICE(arguments_are_good) BEGIN(true, device, arguments_are_good)
#define BEGIN_SYSTEM(arguments_are_good) BEGIN(false, NULL, arguments_are_good)

/* The nearest value of the type: "2^64" becomes ULLONG_MAX, a wave below zero becomes 0. */
static inline double within(double value, double low, double high) {
    return value >= low ? (value <= high ? value : high) : low; /* NaN becomes low */
}

static inline unsigned int as_uint(double value) {
    return (unsigned int)within(value, 0, UINT_MAX);
}

static inline int as_int(double value) {
    return (int)within(value, INT_MIN, INT_MAX);
}

static inline unsigned long long as_ull(double value) {
    return value >= 0x1p64 ? ULLONG_MAX : (unsigned long long)within(value, 0, 0x1p64);
}

static inline long long as_ll(double value) {
    return value >= 0x1p63 ? LLONG_MAX : (long long)within(value, -0x1p63, 0x1p63);
}

#define STORE(out, value)                                                                                              \
    (*(out) = _Generic(*(out), int: as_int, unsigned int: as_uint, unsigned long long: as_ull)(value))

static inline nvmlReturn_t get_text(const struct call *call, const char *key, char *out, size_t size) {
    const char *text = NULL;
    const nvmlReturn_t result = call_text(call, key, &text);
    if (result != NVML_SUCCESS)
        return result;
    if (strlen(text) >= size)
        return NVML_ERROR_INSUFFICIENT_SIZE;
    strcpy(out, text);
    return NVML_SUCCESS;
}

/* All keys, or none. */
static inline nvmlReturn_t get_numbers(const struct call *call, const char *const keys[], double values[], size_t count) {
    for (size_t i = 0; i < count; i++) {
        const nvmlReturn_t result = call_number(call, keys[i], &values[i]);
        if (result != NVML_SUCCESS)
            return result;
    }
    return NVML_SUCCESS;
}

#define GET_NUMBERS(call, values, ...)                                                                                 \
    get_numbers(call, (const char *const[]){__VA_ARGS__}, values, COUNT(((const char *const[]){__VA_ARGS__})))

/* Returns the error of a key that has no other value. */
static inline nvmlReturn_t switched_off(const struct call *call, const char *key) {
    const struct entry *entry = profile_find(call->profile, call->unit, key);
    return entry ? call_obey(entry) : NVML_SUCCESS;
}

/*
 * The protocol of lists: if `room` is too small or 0, the answer is the length of the list. With NVML_SUCCESS, `room` was
 * sufficient, and is now the length.
 */
static inline nvmlReturn_t fit(unsigned int length, unsigned int *room, const void *list) {
    const bool fits = length <= *room && (list || !length);
    *room = length;
    return fits ? NVML_SUCCESS : NVML_ERROR_INSUFFICIENT_SIZE;
}

/* The PCI address, without the ids of the device. */
nvmlReturn_t read_pci(const char *bus_id, nvmlPciInfo_t *pci);
nvmlReturn_t mig_by_uuid(const struct call *call, const char *uuid, nvmlDevice_t *device);
/* The key and the number of the link of a field, if it is one of the fields for one link each. */
bool nvlink_field(unsigned int id, const char **key, unsigned int *link);
/* The sum over a GPU's links, if the profile has no `key.sum`. */
nvmlReturn_t nvlink_sum(const struct call *call, const char *key, double *value);

#endif
