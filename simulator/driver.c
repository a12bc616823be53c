#include "driver.h"

#include "expression.h"
#include "hang.h"
#include "reader.h"

#include <fcntl.h>
#include <libgen.h>
#include <math.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define DEFAULT_PROFILE "/etc/nvml-simulator/profile"
#define LOOK_EVERY 500 /* ms between two checks of the profile while calls wait for a change that the kernel reports */
#define AT_ONCE 0.0001  /* seconds in which nobody changes the profile and then calls */

/* All mutable state. The lock is never held while a call waits or hangs: other threads must not stop. */
static struct {
    pthread_mutex_t lock;
    unsigned int references; /* nvmlInit less nvmlShutdown */
    int descriptor;          /* open between the two, so that /proc shows which processes use the driver */
    struct profile *profile;
    unsigned long generation; /* number of profiles so far */
    double looked_at;         /* when the file was last compared with `seen` */
    struct stat seen;         /* of the file that was read last, whether valid or not */
    char path[4096];
    pthread_cond_t changed; /* there is another profile, or none any more */
    uintptr_t opened;       /* how often the library was initialized after it was not */
    bool watched;           /* a thread watches the file for the calls that wait */
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

/*
 * Reads the profile if it has changed. If the new one is invalid or missing, the old one stays valid. Calls that follow
 * one another at once look at the file once: for most of them that would take longer than everything else.
 */
static void refresh(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC_RAW, &time); /* that which tests do not stop */
    const double moment = (double)time.tv_sec + (double)time.tv_nsec / 1e9;
    if (driver.profile && moment - driver.looked_at < AT_ONCE)
        return;
    driver.looked_at = moment;
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
    driver.watched = false;
    pthread_cond_broadcast(&driver.changed);
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
        if (driver.references++ == 0) {
            driver.descriptor = open(driver.path, O_RDONLY | O_CLOEXEC);
            driver.opened++;
        }
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

/* Reports changes in the folder of the profile; -1 if the kernel has no more of these. */
static int watch_folder(void) {
    char folder[sizeof driver.path];
    snprintf(folder, sizeof folder, "%s", driver.path);
    const int changes = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (changes >= 0)
        inotify_add_watch(changes, dirname(folder), IN_CLOSE_WRITE | IN_MOVED_TO);
    return changes;
}

/* Reads the profile when it has changed, from the first call that waits until the library is let go. */
static void *watch(void *opened) {
    driver_lock();
    int changes = watch_folder();
    while (driver.references && driver.opened == (uintptr_t)opened) {
        refresh();
        driver_unlock();
        struct pollfd reported = {.fd = changes, .events = POLLIN};
        char unread[4096];
        poll(&reported, 1, changes >= 0 ? LOOK_EVERY : LOOK_EVERY / 10);
        while (changes >= 0 && read(changes, unread, sizeof unread) > 0)
            continue;
        driver_lock();
    }
    driver_unlock();
    if (changes >= 0)
        close(changes);
    return NULL;
}

/* In a thread of its own, without signals: those are for the program. */
static void start_watch(void) {
    sigset_t all, before;
    pthread_t thread;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    driver.watched = pthread_create(&thread, NULL, watch, (void *)driver.opened) == 0;
    if (driver.watched)
        pthread_detach(thread);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

void driver_await(unsigned long generation, double end) {
    driver_lock();
    while (driver.references && driver.generation == generation && monotonic() < end) {
        if (!driver.watched)
            start_watch();
        const double until = driver.watched ? end : fmin(end, monotonic() + LOOK_EVERY / 1e4);
        const struct timespec then = {.tv_sec = (time_t)until, .tv_nsec = (long)((until - floor(until)) * 1e9)};
        pthread_cond_clockwait(&driver.changed, &driver.lock, CLOCK_MONOTONIC, &then);
        if (!driver.watched && driver.references)
            refresh();
    }
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
