#ifndef SIMULATOR_HANG_H
#define SIMULATOR_HANG_H

/* Never returns; the calling thread is in uninterruptible sleep. Hold no lock. */
_Noreturn void hang_forever(void);

/* Returns after so many seconds, whatever signals arrive. */
void sleep_seconds(double seconds);

#endif
