/*
 * A call that never returns. The parent of a vfork() waits for its child in the kernel, in state D: no handler runs, and
 * only SIGKILL ends it, like with a driver that hangs.
 */
#include "hang.h"

#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Runs in the child of vfork(), in the memory of its parent: system calls only. */
static _Noreturn void wait_in_child(pid_t parent) {
    /* The signal is sent when the thread that forked ends. It waits for this child, so it ends only with its process. */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(0);
    /* An inherited pipe would stay open as long as this child runs, and its reader would wait. */
    if (close_range(0, ~0U, 0) != 0)
        for (int descriptor = 0; descriptor < 65536; descriptor++)
            close(descriptor);
    for (;;)
        pause();
}

_Noreturn void hang_forever(void) {
    /* The child shares our memory, so signal handlers of the program must not run in it. It inherits this mask. */
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, NULL);
    const pid_t self = getpid();
    for (;;) {
        const pid_t child = vfork();
        if (child == 0)
            wait_in_child(self);
        if (child > 0)
            waitpid(child, NULL, 0); /* somebody killed the child: hang again */
        else
            sleep_seconds(1);
    }
}

void sleep_seconds(double seconds) {
    struct timespec rest = {.tv_sec = (time_t)seconds, .tv_nsec = (long)((seconds - (double)(time_t)seconds) * 1e9)};
    while (nanosleep(&rest, &rest) != 0 && errno == EINTR) {
    }
}
