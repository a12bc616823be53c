#ifndef SIMULATOR_HANG_H
#define SIMULATOR_HANG_H

/* Never returns; the calling thread is in uninterruptible sleep. Release all locks first. */
_Noreturn void hang_forever(void);

/* Returns after this number of seconds, even if signals arrive. */
void sleep_seconds(double seconds);

#endif
