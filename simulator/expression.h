#ifndef SIMULATOR_EXPRESSION_H
#define SIMULATOR_EXPRESSION_H

#include "profile.h"

/* Counters start here: 2023-11-14 22:13:20 UTC, a round number of seconds. */
#define EPOCH 1700000000.0

#define EXPRESSION_FAULT (-1)

/*
 * Evaluates a numeric entry at the time t (seconds); `scope` is the value of that name: the number of the link or fan.
 * The result is an NVML error (that of a name it uses), NVML_SUCCESS, or EXPRESSION_FAULT with `fault` set to what is
 * wrong with the text.
 */
int expression_evaluate(const struct profile *profile, int unit, const struct entry *entry, double t, double scope,
                        double *result, const char **fault);

#endif
