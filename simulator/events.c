/*
 * Events. An XID is a line `xid.SEQUENCE = CODE` in the profile. Each set that registered the GPU before the line was
 * written gets it once; like with the real driver, a later set never does. `xid.1-1000` is a thousand XIDs.
 */
#include "call.h"

#include <stdlib.h>

struct nvmlEventSet_st {
    struct nvmlEventSet_st *next;
    struct {
        unsigned long long types; /* 0: not registered */
        long long seen;           /* the highest sequence number that it got, or that was written before it registered */
    } gpus[PROFILE_GPUS];
};

static struct nvmlEventSet_st *sets;

static bool is_set(nvmlEventSet_t set) {
    for (nvmlEventSet_t known = sets; known; known = known->next)
        if (known == set)
            return true;
    return false;
}

EXPORT nvmlReturn_t nvmlEventSetCreate(nvmlEventSet_t *set) {
    BEGIN_SYSTEM(set);
    *set = calloc(1, sizeof **set);
    if (*set) {
        driver_lock();
        (*set)->next = sets;
        sets = *set;
        driver_unlock();
    }
    return call_end(&call, *set ? NVML_SUCCESS : NVML_ERROR_MEMORY);
}

EXPORT nvmlReturn_t nvmlEventSetFree(nvmlEventSet_t set) {
    BEGIN_SYSTEM(set);
    driver_lock();
    nvmlEventSet_t *link = &sets;
    while (*link && *link != set)
        link = &(*link)->next;
    const bool known = *link;
    if (known)
        *link = set->next;
    driver_unlock();
    if (known)
        free(set);
    return call_end(&call, known ? NVML_SUCCESS : NVML_ERROR_INVALID_ARGUMENT);
}

/* `xid` is number 0, `xid.7` is 7, `xid.7-9` is 7 to 9; false if the key is not that of an XID. */
static bool sequence_of(const char *key, long long *first, long long *last) {
    if (strncmp(key, "xid", 3) || (key[3] && key[3] != '.'))
        return false;
    const char *const dash = strchr(key, '-');
    *first = key[3] ? atoll(key + 4) : 0;
    *last = dash ? atoll(dash + 1) : *first;
    return true;
}

/*
 * The next XID of the GPU after `seen`, and its number; with `last`, the last of all. This passes all keys of the GPU for
 * each event, so a storm of XIDs is written as one key with a range of numbers.
 */
static const struct entry *find_xid(const struct call *call, int gpu, long long seen, bool last, long long *number) {
    const struct section *const sections[] = {&call->profile->gpus[gpu], &call->profile->defaults};
    const struct entry *found = NULL;
    for (size_t s = 0; s < COUNT(sections); s++)
        for (size_t i = 0; i < sections[s]->count; i++) {
            long long lowest, highest;
            if (!sequence_of(sections[s]->entries[i].key, &lowest, &highest) || highest <= seen)
                continue;
            const long long next = last ? highest : lowest > seen ? lowest : seen + 1;
            if (found && (next > *number) != last)
                continue;
            found = &sections[s]->entries[i];
            *number = next;
        }
    return found;
}

EXPORT nvmlReturn_t nvmlDeviceRegisterEvents(nvmlDevice_t device, unsigned long long types, nvmlEventSet_t set) {
    BEGIN_DEVICE(set && call.unit == call.gpu);
    double supported = 0;
    nvmlReturn_t result = call_number(&call, "supported_event_types", &supported);
    if (result == NVML_SUCCESS && types & ~as_ull(supported))
        result = NVML_ERROR_NOT_SUPPORTED;
    if (result != NVML_SUCCESS)
        return call_end(&call, result);
    long long old = -1;
    find_xid(&call, call.gpu, -1, true, &old);
    driver_lock();
    if (!is_set(set)) {
        result = NVML_ERROR_INVALID_ARGUMENT;
    } else {
        if (!set->gpus[call.gpu].types)
            set->gpus[call.gpu].seen = old;
        set->gpus[call.gpu].types |= types;
    }
    driver_unlock();
    return call_end(&call, result);
}

/* NVML_ERROR_TIMEOUT if there is none. With a lost GPU, the wait of the whole set fails, even if there are events. */
static nvmlReturn_t look(const struct call *call, nvmlEventSet_t set, nvmlEventData_t *data) {
    for (unsigned int gpu = 0; gpu < PROFILE_GPUS; gpu++) {
        if (!set->gpus[gpu].types)
            continue;
        const nvmlReturn_t there = gpu < gpu_count(call) ? gpu_is_there(call, (int)gpu) : NVML_ERROR_GPU_IS_LOST;
        if (there != NVML_SUCCESS)
            return there;
    }
    for (int gpu = 0; gpu < PROFILE_GPUS; gpu++) {
        if (!(set->gpus[gpu].types & nvmlEventTypeXidCriticalError))
            continue;
        long long number = 0;
        const struct entry *entry = find_xid(call, gpu, set->gpus[gpu].seen, false, &number);
        if (!entry)
            continue;
        const struct call of_gpu = {.profile = call->profile, .gpu = gpu, .unit = gpu, .t = call->t};
        double code = 0;
        set->gpus[gpu].seen = number;
        const nvmlReturn_t result = call_entry(&of_gpu, entry, (unsigned int)number, &code);
        if (result == NVML_SUCCESS)
            *data = (nvmlEventData_t){.device = gpu_handle(gpu),
                                      .eventType = nvmlEventTypeXidCriticalError,
                                      .eventData = as_ull(code),
                                      .gpuInstanceId = 0xFFFFFFFFU,
                                      .computeInstanceId = 0xFFFFFFFFU};
        return result;
    }
    return NVML_ERROR_TIMEOUT;
}

/* Checks once, and returns the generation of the profile too. */
static nvmlReturn_t look_once(const char *function, nvmlEventSet_t set, nvmlEventData_t *data, unsigned long *at) {
    struct call call;
    const nvmlReturn_t begun = call_begin(&call, function, false, NULL);
    if (begun != NVML_SUCCESS)
        return begun;
    *at = call.generation;
    driver_lock();
    const bool known = set && data && is_set(set);
    driver_unlock();
    return call_end(&call, known ? look(&call, set, data) : NVML_ERROR_INVALID_ARGUMENT);
}

static nvmlReturn_t wait_for(const char *function, nvmlEventSet_t set, nvmlEventData_t *data, unsigned int timeout) {
    const double end = monotonic() + timeout / 1e3;
    for (;;) {
        unsigned long generation = 0;
        const nvmlReturn_t result = look_once(function, set, data, &generation);
        if (result != NVML_ERROR_TIMEOUT || monotonic() >= end)
            return result;
        driver_await(generation, end);
    }
}

EXPORT nvmlReturn_t nvmlEventSetWait(nvmlEventSet_t set, nvmlEventData_t *data, unsigned int timeout) {
    return wait_for(__func__, set, data, timeout);
}

EXPORT nvmlReturn_t nvmlEventSetWait_v2(nvmlEventSet_t set, nvmlEventData_t *data, unsigned int timeout) {
    return wait_for(__func__, set, data, timeout);
}
