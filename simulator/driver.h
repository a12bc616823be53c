/*
 * What every call shares: is the library initialised, what does the profile say now, in which state is the GPU.
 */
#ifndef SIMULATOR_DRIVER_H
#define SIMULATOR_DRIVER_H

#include "abi.h"
#include "profile.h"

/* A GPU's handle stays valid for the life of the process, as the real one does; a MIG instance's as long as that lives. */
struct nvmlDevice_st {
    int gpu;
    unsigned int number; /* of the MIG instance that had this UUID when it was looked up */
    char uuid[96];       /* empty for a GPU */
};

/* One call that runs: the profile as it was when the call began. */
struct call {
    struct profile *profile;
    unsigned long generation; /* of the profile */
    int gpu;                  /* or MACHINE */
    int unit;                 /* whose keys answer: the GPU, one of its parts, or MACHINE */
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

/* The value of a key, or what the call must answer instead. May wait or hang, as the profile says. */
nvmlReturn_t call_number(const struct call *call, const char *key, double *value);
nvmlReturn_t call_text(const struct call *call, const char *key, const char **value);

/* The same for a key that may be listed apart for a link or a fan: `key.SCOPE` before `key`. SUM is `key.sum`. */
#define SUM 0xFFFFFFFFU
nvmlReturn_t call_scoped(const struct call *call, const char *key, unsigned int scope, double *value);
nvmlReturn_t call_entry(const struct call *call, const struct entry *entry, unsigned int scope, double *value);
const struct entry *call_find_scoped(const struct call *call, const char *key, unsigned int scope);

/* Carries out the entry's delay, hang or error; NVML_ERROR_NOT_SUPPORTED without an entry. */
nvmlReturn_t call_obey(const struct entry *entry);

unsigned int gpu_count(const struct call *call);
nvmlDevice_t gpu_handle(int gpu);
/* The handle of a MIG instance; NULL if there have been too many. */
nvmlDevice_t mig_handle(const struct call *call, int unit);
bool mig_enabled(const struct call *call, int gpu);

/* Guards what a function keeps between calls. Never held while a call waits. */
void driver_lock(void);
void driver_unlock(void);
/*
 * Waits until there is another profile than that of `generation`, until `end` at most, a time of `monotonic`. One of
 * those who wait looks at the file for all of them: a real driver wakes whom an event concerns, and eight that look
 * twenty times a second would cost more than all that is measured on top of them.
 */
void driver_await(unsigned long generation, double end);
double monotonic(void);
/* What a look-up of this GPU answers: a lost one has no handle, and one that hangs keeps its caller. */
nvmlReturn_t gpu_look_up(const struct call *call, int gpu);
const char *gpu_state(const struct call *call, int gpu);

#endif
