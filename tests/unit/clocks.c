/*
 * Clocks under a test's control, for LD_PRELOAD: a wall clock that jumps, and time as a whole that goes faster, slower or
 * not at all, and leaps, with all waits to suit. No process may set the clocks of a machine on which others work, and a
 * time namespace has no wall clock of its own.
 *
 * $TEST_CLOCKS is a file that begins with a struct clocks. Whoever writes to it changes the clocks of all processes that
 * have it mapped.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

struct clocks {
    volatile double jump;            /* how far ahead the wall clock is */
    volatile double leap;            /* how much time was left out, of all clocks */
    volatile double speed;           /* how fast time goes; 0: not at all */
    volatile double monotonic, wall; /* the real times from which on it does */
    atomic_long asleep;              /* threads that sleep for LONG or more: the simulator's slow calls */
};

static const double LONG = 0.2;   /* s; the simulator looks for events more often */
static const double SLICE = 0.02; /* real s after which a wait looks whether time has leapt */

static struct clocks *clocks(void) {
    static struct clocks *mapped;
    if (!mapped) { /* not in a constructor: others call us in theirs */
        const char *path = getenv("TEST_CLOCKS");
        const int file = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
        void *there = file < 0 ? MAP_FAILED : mmap(NULL, sizeof *mapped, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
        if (there == MAP_FAILED)
            _exit(99); /* a test that would run on the real clocks proves nothing */
        close(file);
        mapped = there;
    }
    return mapped;
}

static double seconds(const struct timespec *time) {
    return (double)time->tv_sec + (double)time->tv_nsec / 1e9;
}

static struct timespec timespec(double time) {
    if (time < 0)
        time = 0;
    return (struct timespec){.tv_sec = (time_t)time, .tv_nsec = (long)((time - (double)(time_t)time) * 1e9)};
}

static double real(clockid_t clock) {
    struct timespec now;
    syscall(SYS_clock_gettime, clock, &now);
    return seconds(&now);
}

static double shown(clockid_t clock) {
    const struct clocks *c = clocks();
    const double now = real(clock);
    if (clock == CLOCK_MONOTONIC)
        return c->monotonic + (now - c->monotonic) * c->speed + c->leap;
    if (clock == CLOCK_REALTIME)
        return c->wall + (now - c->wall) * c->speed + c->leap + c->jump;
    if (clock == CLOCK_BOOTTIME) /* as far ahead as the monotonic one */
        return now + shown(CLOCK_MONOTONIC) - real(CLOCK_MONOTONIC);
    return now;
}

int clock_gettime(clockid_t clock, struct timespec *time) {
    const int result = (int)syscall(SYS_clock_gettime, clock, time);
    if (result == 0 && (clock == CLOCK_MONOTONIC || clock == CLOCK_REALTIME || clock == CLOCK_BOOTTIME))
        *time = timespec(shown(clock));
    return result;
}

/* Real seconds to wait before it is looked again whether the clock has come to this moment. */
static double slice(clockid_t clock, double until) {
    const double left = until - shown(clock);
    if (left <= 0)
        return 0;
    return left < SLICE * clocks()->speed ? left / clocks()->speed : SLICE;
}

static struct timespec soon(clockid_t clock, double until) {
    return timespec(real(clock) + slice(clock, until));
}

#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

int sem_clockwait(sem_t *semaphore, clockid_t clock, const struct timespec *until) {
    for (;;) {
        const struct timespec then = soon(clock, seconds(until));
        const int result = NEXT(sem_clockwait)(semaphore, clock, &then);
        if (result == 0 || errno != ETIMEDOUT || shown(clock) >= seconds(until))
            return result;
    }
}

int sem_timedwait(sem_t *semaphore, const struct timespec *until) {
    return sem_clockwait(semaphore, CLOCK_REALTIME, until);
}

int pthread_cond_clockwait(pthread_cond_t *condition, pthread_mutex_t *mutex, clockid_t clock,
                           const struct timespec *until) {
    for (;;) {
        const struct timespec then = soon(clock, seconds(until));
        const int result = NEXT(pthread_cond_clockwait)(condition, mutex, clock, &then);
        if (result != ETIMEDOUT || shown(clock) >= seconds(until))
            return result;
    }
}

/* Python's own, of the monotonic clock. */
int pthread_cond_timedwait(pthread_cond_t *condition, pthread_mutex_t *mutex, const struct timespec *until) {
    return pthread_cond_clockwait(condition, mutex, CLOCK_MONOTONIC, until);
}

/*
 * A caller reads the clock, works out how long to wait, and calls us; if time leaps in between, it has waited for that. On
 * a clock that stands, a service that waited for it once more would do so for ever. So all that has leapt since this
 * thread came from its last wait counts: at worst it comes too early, looks at the clock again and waits for the rest.
 */
int epoll_wait(int set, struct epoll_event *events, int room, int milliseconds) {
    static _Thread_local double known_leap;
    if (milliseconds <= 0)
        return NEXT(epoll_wait)(set, events, room, milliseconds);
    const double until = shown(CLOCK_MONOTONIC) - (clocks()->leap - known_leap) + milliseconds / 1e3;
    for (;;) {
        const double wait = slice(CLOCK_MONOTONIC, until);
        const int result = NEXT(epoll_wait)(set, events, room, wait > 0 ? 1 + (int)(wait * 1e3) : 0);
        if (result != 0 || shown(CLOCK_MONOTONIC) >= until) {
            known_leap = clocks()->leap;
            return result;
        }
    }
}

int select(int count, fd_set *reading, fd_set *writing, fd_set *failing, struct timeval *timeout) {
    if (!timeout || (timeout->tv_sec == 0 && timeout->tv_usec == 0))
        return NEXT(select)(count, reading, writing, failing, timeout);
    const double until = shown(CLOCK_MONOTONIC) + (double)timeout->tv_sec + (double)timeout->tv_usec / 1e6;
    fd_set asked[3];
    fd_set *sets[] = {reading, writing, failing};
    for (int i = 0; i < 3; i++)
        if (sets[i])
            asked[i] = *sets[i];
    for (;;) {
        struct timeval wait = {.tv_usec = (long)(slice(CLOCK_MONOTONIC, until) * 1e6)};
        const int result = NEXT(select)(count, reading, writing, failing, &wait);
        if (result != 0 || shown(CLOCK_MONOTONIC) >= until)
            return result;
        for (int i = 0; i < 3; i++)
            if (sets[i])
                *sets[i] = asked[i];
    }
}

static int sleep_until(clockid_t clock, double until, struct timespec *left) {
    const bool is_long = until - shown(clock) >= LONG;
    int result = 0;
    if (is_long)
        atomic_fetch_add(&clocks()->asleep, 1);
    while (result == 0 && shown(clock) < until) {
        const struct timespec wait = timespec(slice(clock, until));
        result = NEXT(nanosleep)(&wait, NULL);
    }
    if (is_long)
        atomic_fetch_sub(&clocks()->asleep, 1);
    if (result != 0 && left)
        *left = timespec(until - shown(clock));
    return result;
}

int nanosleep(const struct timespec *time, struct timespec *left) {
    return sleep_until(CLOCK_MONOTONIC, shown(CLOCK_MONOTONIC) + seconds(time), left);
}

int clock_nanosleep(clockid_t clock, int flags, const struct timespec *time, struct timespec *left) {
    const double until = seconds(time) + (flags & TIMER_ABSTIME ? 0 : shown(clock));
    return sleep_until(clock, until, left) == 0 ? 0 : errno;
}
