/*
 * Shared by all calls: whether the library is initialized, the present profile, the state of the GPU.
 */
#ifndef SIMULATOR_DRIVER_H
#define SIMULATOR_DRIVER_H

#include "abi.h"
#include "profile.h"

/* Like the real ones, the handle of a GPU is valid as long as the process, that of a MIG instance as long as it exists. */
struct nvmlDevice_st {
    int gpu;
    unsigned int number; /* of the MIG instance that had this UUID when it was looked up */
    char uuid[96];       /* empty for a GPU */
};

/* A running call, with the profile at its beginning. */
struct call {
    struct profile *profile;
    unsigned long generation; /* of the profile */
    int gpu;                  /* or MACHINE */
    int unit;                 /* the unit with the keys: the GPU, one of its parts, or MACHINE */
    double t;
};

nvmlReturn_t driver_init(void);
nvmlReturn_t driver_shutdown(void);

/*
 * Begins a call of the machine (device NULL and `of_device` false) or of a device. Answers for the state of the library
 * and of the GPU, and for an entry `function = !ERROR`. After NVML_SUCCESS the call must be ended.
 */
nvmlReturn_t call_begin(struct call *call, const char *function, bool of_device, nvmlDevice_t device);
nvmlReturn_t call_end(struct call *call, nvmlReturn_t result);

/* The value of a key, or the error to return instead. May wait or hang, as the profile says. */
nvmlReturn_t call_number(const struct call *call, const char *key, double *value);
nvmlReturn_t call_text(const struct call *call, const char *key, const char **value);

/* The same for a key that may be listed for one link or fan: `key.SCOPE` comes before `key`. SUM is `key.sum`. */
#define SUM 0xFFFFFFFFU
nvmlReturn_t call_scoped(const struct call *call, const char *key, unsigned int scope, double *value);
nvmlReturn_t call_entry(const struct call *call, const struct entry *entry, unsigned int scope, double *value);
const struct entry *call_find_scoped(const struct call *call, const char *key, unsigned int scope);

/* Applies the entry's delay, hang or error; NVML_ERROR_NOT_SUPPORTED without an entry. */
nvmlReturn_t call_obey(const struct entry *entry);

unsigned int gpu_count(const struct call *call);
nvmlDevice_t gpu_handle(int gpu);
/* The handle of a MIG instance; NULL if there have been too many. */
nvmlDevice_t mig_handle(const struct call *call, int unit);
bool mig_enabled(const struct call *call, int gpu);

/* Protects the state of a function between calls. Never held while a call waits. */
void driver_lock(void);
void driver_unlock(void);
/*
 * Waits until there is a newer profile than that of `generation`, or until `end`, a time of `monotonic`. One thread
 * watches the file for all that wait: a real driver wakes the right thread, and to check the file twenty times a second
 * took a tenth of what the benchmark measures of the service.
 */
void driver_await(unsigned long generation, double end);
double monotonic(void);
/* The result of a look-up of this GPU: a lost one has no handle, and one that hangs never returns. */
nvmlReturn_t gpu_look_up(const struct call *call, int gpu);
/* The same for a call that waits, and so wakes no GPU. */
nvmlReturn_t gpu_is_there(const struct call *call, int gpu);
const char *gpu_state(const struct call *call, int gpu);

#endif
