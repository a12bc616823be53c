#include "driver.h"

#include "expression.h"
#include "hang.h"
#include "reader.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define DEFAULT_PROFILE "/etc/nvml-simulator/profile"
#define LOOK_EVERY 0.05 /* seconds between two checks of the profile while a call waits for a change */

/* All mutable state. The lock is never held while a call waits or hangs: other threads must not stop. */
static struct {
    pthread_mutex_t lock;
    unsigned int references; /* nvmlInit less nvmlShutdown */
    int descriptor;          /* open between the two, so that /proc shows which processes use the driver */
    struct profile *profile;
    unsigned long generation; /* number of profiles so far */
    struct stat seen;         /* of the file that was read last, whether valid or not */
    char path[4096];
    pthread_cond_t changed; /* there is another profile, or no waiting thread checks for one */
    bool watched;           /* one of the waiting threads checks for all */
} driver = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER, .descriptor = -1};

static struct nvmlDevice_st devices[PROFILE_GPUS];
static struct nvmlDevice_st migs[1024]; /* all instances that were looked up */
static size_t mig_count;

void driver_lock(void) {
    pthread_mutex_lock(&driver.lock);
}

void driver_unlock(void) {
    pthread_mutex_unlock(&driver.lock);
}

/* A child of fork() has only the thread that forked: nobody there could release a lock of another thread. */
static void after_fork(void) {
    driver.watched = false;
    driver.changed = (pthread_cond_t)PTHREAD_COND_INITIALIZER;
    driver_unlock();
}

__attribute__((constructor)) static void prepare(void) {
    pthread_atfork(driver_lock, driver_unlock, after_fork);
    for (int gpu = 0; gpu < PROFILE_GPUS; gpu++)
        devices[gpu].gpu = gpu;
}

static bool same_file(const struct stat *a, const struct stat *b) {
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

/* To the file that NVML_SIMULATOR_DEBUG names by an absolute path, or to standard error if it has another value. */
static void report(const char *fault) {
    const char *where = getenv("NVML_SIMULATOR_DEBUG");
    if (!where)
        return;
    char folder[4096] = "";
    const bool relative = driver.path[0] != '/' && getcwd(folder, sizeof folder);
    FILE *file = where[0] == '/' ? fopen(where, "ae") : stderr;
    if (!file)
        return;
    if (relative)
        fprintf(file, "%s (a relative path, looked for in %s)\n", fault, folder);
    else
        fprintf(file, "%s\n", fault);
    if (file != stderr)
        fclose(file);
}

/* Reads the profile if it has changed. If the new one is invalid or missing, the old one stays valid. */
static void refresh(void) {
    struct stat now = {0};
    const bool exists = stat(driver.path, &now) == 0;
    if (driver.profile && (!exists || same_file(&now, &driver.seen)))
        return;
    driver.seen = now;
    char message[512] = "";
    struct profile *profile = profile_load(driver.path, message, sizeof message);
    if (profile) {
        profile_release(driver.profile);
        driver.profile = profile;
        driver.generation++;
        pthread_cond_broadcast(&driver.changed);
    } else {
        report(message);
    }
}

static double clock_of(const struct profile *profile) {
    const char *frozen = getenv("NVML_SIMULATOR_CLOCK");
    if (frozen && *frozen)
        return atof(frozen);
    const struct entry *entry = profile_find(profile, MACHINE, "clock");
    double value = 0;
    const char *fault = NULL;
    if (entry && expression_evaluate(profile, MACHINE, entry, EPOCH, 0, &value, &fault) == NVML_SUCCESS)
        return value;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static nvmlReturn_t init_answer(const char *state) {
    static const struct {
        const char *word;
        nvmlReturn_t code;
    } WORDS[] = {
        {"ok", NVML_SUCCESS},
        {"no_driver", NVML_ERROR_DRIVER_NOT_LOADED},
        {"mismatch", NVML_ERROR_LIB_RM_VERSION_MISMATCH},
        {"no_permission", NVML_ERROR_NO_PERMISSION},
    };
    for (size_t i = 0; i < sizeof WORDS / sizeof *WORDS; i++)
        if (!strcmp(state, WORDS[i].word))
            return WORDS[i].code;
    return (nvmlReturn_t)error_by_name(state);
}

static void let_go(void) {
    close(driver.descriptor);
    driver.descriptor = -1;
    profile_release(driver.profile);
    driver.profile = NULL;
}

/* A real driver resumes a card that the kernel has suspended; here, the file of NVML_SIMULATOR_WAKES gets a line. */
static bool is_suspended(const struct profile *profile, int gpu) {
    const struct entry *entry = profile_find(profile, gpu, "runtime_status");
    return entry && entry->value && !strcmp(entry->value, "suspended");
}

static void note_wake(const char *who, int gpu) {
    const char *path = getenv("NVML_SIMULATOR_WAKES");
    FILE *file = path && *path ? fopen(path, "ae") : NULL;
    if (!file)
        return;
    fprintf(file, "%s %d\n", who, gpu);
    fclose(file);
}

/* To open NVML wakes the cards if no other one holds the driver awake. */
static void note_start(const struct profile *profile) {
    for (unsigned int gpu = 0; gpu < profile->sections; gpu++)
        if (!is_suspended(profile, (int)gpu))
            return;
    if (profile->sections)
        note_wake("nvmlInit", 0);
}

nvmlReturn_t driver_init(void) {
    driver_lock();
    if (driver.references == 0) {
        const char *path = getenv("NVML_SIMULATOR_PROFILE");
        snprintf(driver.path, sizeof driver.path, "%s", path && *path ? path : DEFAULT_PROFILE);
    }
    refresh();
    if (!driver.profile) {
        driver_unlock();
        return NVML_ERROR_UNKNOWN;
    }
    note_start(driver.profile);
    const struct entry *entry = profile_find(driver.profile, MACHINE, "state");
    const bool hang = entry && !strcmp(entry->value, "hang");
    const double delay = entry ? entry->delay : 0;
    const nvmlReturn_t result = entry && !hang ? init_answer(entry->value) : NVML_SUCCESS;
    if (result == NVML_SUCCESS && !hang) {
        if (driver.references++ == 0)
            driver.descriptor = open(driver.path, O_RDONLY | O_CLOEXEC);
    } else if (driver.references == 0) {
        profile_release(driver.profile);
        driver.profile = NULL;
    }
    driver_unlock();
    if (hang)
        hang_forever();
    sleep_seconds(delay);
    return result;
}

nvmlReturn_t driver_shutdown(void) {
    driver_lock();
    const nvmlReturn_t result = driver.references ? NVML_SUCCESS : NVML_ERROR_UNINITIALIZED;
    if (driver.references && --driver.references == 0)
        let_go();
    driver_unlock();
    return result;
}

void driver_await(unsigned long generation, double end) {
    const struct timespec until = {.tv_sec = (time_t)end, .tv_nsec = (long)((end - (double)(time_t)end) * 1e9)};
    double left;
    driver_lock();
    while (driver.references && driver.generation == generation && (left = end - monotonic()) > 0) {
        if (driver.watched) {
            pthread_cond_clockwait(&driver.changed, &driver.lock, CLOCK_MONOTONIC, &until);
            continue;
        }
        driver.watched = true;
        driver_unlock();
        sleep_seconds(left < LOOK_EVERY ? left : LOOK_EVERY);
        driver_lock();
        driver.watched = false;
        if (driver.references)
            refresh();
    }
    if (!driver.watched)
        pthread_cond_signal(&driver.changed);
    driver_unlock();
}

double monotonic(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

const char *gpu_state(const struct call *call, int gpu) {
    const struct entry *entry = profile_find(call->profile, gpu, "state");
    return entry ? entry->value : "ok";
}

unsigned int gpu_count(const struct call *call) {
    const struct entry *entry = profile_find(call->profile, MACHINE, "gpu_count");
    double value = call->profile->sections;
    const char *fault = NULL;
    if (entry && entry->error < 0 && !entry->hang)
        expression_evaluate(call->profile, MACHINE, entry, call->t, 0, &value, &fault);
    return value >= 0 && value <= PROFILE_GPUS ? (unsigned int)value : PROFILE_GPUS;
}

nvmlDevice_t gpu_handle(int gpu) {
    return &devices[gpu];
}

nvmlReturn_t gpu_look_up(const struct call *call, int gpu) {
    if (is_suspended(call->profile, gpu))
        note_wake("GPU", gpu);
    return gpu_is_there(call, gpu);
}

nvmlReturn_t gpu_is_there(const struct call *call, int gpu) {
    const char *state = gpu_state(call, gpu);
    if (!strcmp(state, "hang"))
        hang_forever();
    return strcmp(state, "lost") ? NVML_SUCCESS : NVML_ERROR_GPU_IS_LOST;
}

bool mig_enabled(const struct call *call, int gpu) {
    const struct call parent = {.profile = call->profile, .gpu = gpu, .unit = gpu, .t = call->t};
    double mode = 0;
    return call_number(&parent, "mig_mode_current", &mode) == NVML_SUCCESS && mode >= 1;
}

static const char *uuid_of(const struct call *call, int unit) {
    const struct entry *entry = profile_find(call->profile, unit, "uuid");
    return entry && entry->error < 0 && !entry->hang ? entry->value : "";
}

nvmlDevice_t mig_handle(const struct call *call, int unit) {
    const struct part *part = profile_as_part(call->profile, unit);
    const char *uuid = uuid_of(call, unit);
    nvmlDevice_t handle = NULL;
    driver_lock();
    for (size_t i = 0; i < mig_count && !handle; i++)
        if (migs[i].gpu == part->gpu && migs[i].number == part->number && !strcmp(migs[i].uuid, uuid))
            handle = &migs[i];
    if (!handle && mig_count < sizeof migs / sizeof *migs && strlen(uuid) < sizeof migs->uuid) {
        handle = &migs[mig_count++];
        handle->gpu = part->gpu;
        handle->number = part->number;
        strcpy(handle->uuid, uuid);
    }
    driver_unlock();
    return handle;
}

/* The unit of a handle now. It is invalid if its MIG instance is gone, or was created again with another UUID. */
static bool resolve(struct call *call, nvmlDevice_t device) {
    if (device >= devices && device < devices + gpu_count(call)) {
        call->gpu = call->unit = device->gpu;
        return true;
    }
    driver_lock();
    const bool known = device >= migs && device < migs + mig_count;
    driver_unlock();
    if (!known || device->gpu >= (int)gpu_count(call))
        return false;
    call->gpu = device->gpu;
    call->unit = profile_part(call->profile, PART_MIG, device->gpu, device->number);
    return call->unit != MACHINE && !strcmp(uuid_of(call, call->unit), device->uuid) && mig_enabled(call, device->gpu);
}

nvmlReturn_t call_begin(struct call *call, const char *function, bool of_device, nvmlDevice_t device) {
    driver_lock();
    if (driver.references == 0) {
        driver_unlock();
        return NVML_ERROR_UNINITIALIZED;
    }
    refresh();
    *call = (struct call){
        .profile = driver.profile, .generation = driver.generation, .gpu = MACHINE, .unit = MACHINE};
    atomic_fetch_add(&driver.profile->references, 1);
    driver_unlock();

    call->t = clock_of(call->profile);
    if (of_device) {
        if (!resolve(call, device))
            return call_end(call, NVML_ERROR_INVALID_ARGUMENT);
        const nvmlReturn_t found = gpu_look_up(call, call->gpu);
        if (found != NVML_SUCCESS)
            return call_end(call, found);
        if (!strcmp(gpu_state(call, call->gpu), "sick"))
            return call_end(call, NVML_ERROR_UNKNOWN);
    }
    const struct entry *entry = profile_find(call->profile, call->unit, function);
    const nvmlReturn_t ordered = entry ? call_obey(entry) : NVML_SUCCESS;
    if (ordered != NVML_SUCCESS)
        return call_end(call, ordered);
    if (of_device && call->unit == call->gpu && refused_in_mig_mode(function) && mig_enabled(call, call->gpu))
        return call_end(call, NVML_ERROR_NOT_SUPPORTED);
    return NVML_SUCCESS;
}

nvmlReturn_t call_end(struct call *call, nvmlReturn_t result) {
    profile_release(call->profile);
    return result;
}

nvmlReturn_t call_obey(const struct entry *entry) {
    if (!entry)
        return NVML_ERROR_NOT_SUPPORTED;
    if (entry->delay > 0)
        sleep_seconds(entry->delay);
    if (entry->hang)
        hang_forever();
    return entry->error >= 0 ? (nvmlReturn_t)entry->error : NVML_SUCCESS;
}

nvmlReturn_t call_entry(const struct call *call, const struct entry *entry, unsigned int scope, double *value) {
    const nvmlReturn_t ordered = call_obey(entry);
    if (ordered != NVML_SUCCESS)
        return ordered;
    const char *fault = NULL;
    const int outcome = expression_evaluate(call->profile, call->unit, entry, call->t, scope, value, &fault);
    return outcome == EXPRESSION_FAULT ? NVML_ERROR_UNKNOWN : (nvmlReturn_t)outcome;
}

nvmlReturn_t call_number(const struct call *call, const char *key, double *value) {
    return call_entry(call, profile_find(call->profile, call->unit, key), 0, value);
}

const struct entry *call_find_scoped(const struct call *call, const char *key, unsigned int scope) {
    char own[64];
    if (scope == SUM) {
        snprintf(own, sizeof own, "%s.sum", key);
        const struct entry *sum = profile_find(call->profile, call->unit, own);
        if (sum)
            return sum;
    }
    snprintf(own, sizeof own, "%s.%u", key, scope);
    const struct entry *entry = profile_find(call->profile, call->unit, own);
    return entry ? entry : profile_find(call->profile, call->unit, key);
}

nvmlReturn_t call_scoped(const struct call *call, const char *key, unsigned int scope, double *value) {
    return call_entry(call, call_find_scoped(call, key, scope), scope, value);
}

nvmlReturn_t call_text(const struct call *call, const char *key, const char **value) {
    const struct entry *entry = profile_find(call->profile, call->unit, key);
    const nvmlReturn_t ordered = call_obey(entry);
    *value = ordered == NVML_SUCCESS ? entry->value : NULL;
    return ordered;
}
