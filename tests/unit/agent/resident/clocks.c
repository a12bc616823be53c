/*
 * Clocks under a test's control, for LD_PRELOAD: a wall clock that jumps, and a monotonic clock that runs faster, with all
 * waits as much shorter. No process may set the clocks of a machine on which others work, and a time namespace has no
 * wall clock of its own.
 *
 * $TEST_CLOCKS is a file of four doubles: how far ahead the wall clock is, how fast time goes, and the real monotonic and
 * wall times from which on it does. Whoever writes to the file changes the clocks of all processes that have it mapped.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

struct clocks {
    volatile double jump, speed, monotonic, wall;
};

static const struct clocks *clocks(void) {
    static const struct clocks *mapped;
    if (!mapped) { /* not in a constructor: others call us in theirs */
        const char *path = getenv("TEST_CLOCKS");
        const int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
        void *there = file < 0 ? MAP_FAILED : mmap(NULL, sizeof *mapped, PROT_READ, MAP_SHARED, file, 0);
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

int clock_gettime(clockid_t clock, struct timespec *time) {
    const int result = (int)syscall(SYS_clock_gettime, clock, time);
    if (result == 0 && clock == CLOCK_MONOTONIC)
        *time = timespec(clocks()->monotonic + (seconds(time) - clocks()->monotonic) * clocks()->speed);
    else if (result == 0 && clock == CLOCK_REALTIME)
        *time = timespec(clocks()->wall + (seconds(time) - clocks()->wall) * clocks()->speed + clocks()->jump);
    return result;
}

/* The real moment of one that was worked out by the clocks above. */
static struct timespec real(clockid_t clock, const struct timespec *time) {
    const double base = clock == CLOCK_REALTIME ? clocks()->wall : clocks()->monotonic;
    const double jump = clock == CLOCK_REALTIME ? clocks()->jump : 0;
    return timespec(base + (seconds(time) - jump - base) / clocks()->speed);
}

#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

int sem_clockwait(sem_t *semaphore, clockid_t clock, const struct timespec *until) {
    const struct timespec then = real(clock, until);
    return NEXT(sem_clockwait)(semaphore, clock, &then);
}

int sem_timedwait(sem_t *semaphore, const struct timespec *until) {
    const struct timespec then = real(CLOCK_REALTIME, until);
    return NEXT(sem_timedwait)(semaphore, &then);
}

/* Python's own, of the monotonic clock. */
int pthread_cond_timedwait(pthread_cond_t *condition, pthread_mutex_t *mutex, const struct timespec *until) {
    const struct timespec then = real(CLOCK_MONOTONIC, until);
    return NEXT(pthread_cond_timedwait)(condition, mutex, &then);
}

int epoll_wait(int set, struct epoll_event *events, int room, int milliseconds) {
    if (milliseconds > 0 && clocks()->speed != 1)
        milliseconds = 1 + (int)(milliseconds / clocks()->speed);
    return NEXT(epoll_wait)(set, events, room, milliseconds);
}

int nanosleep(const struct timespec *time, struct timespec *left) {
    const struct timespec shorter = timespec(seconds(time) / clocks()->speed);
    return NEXT(nanosleep)(&shorter, left);
}
