/*
 * A profile: one machine as text, read once and never changed. README.md has the format.
 */
#ifndef SIMULATOR_PROFILE_H
#define SIMULATOR_PROFILE_H

#include "table.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#define PROFILE_GPUS 64 /* more than any machine has */

/*
 * Units with keys of their own, by number: MACHINE, a GPU's index, or from PROFILE_GPUS on a part of a GPU: a MIG
 * instance, a process, a vGPU.
 */
#define MACHINE (-1)
enum part_kind { PART_MIG, PART_PROCESS, PART_VGPU, PART_KINDS };

struct entry {
    char *key;
    enum key_kind kind;
    char *value;      /* without !SLOW(...); escapes of a text are resolved */
    int error;        /* the NVML error to return, or -1 */
    int value_type;   /* a field's NVML_VALUE_TYPE_..., or -1 */
    double delay;     /* seconds to wait before the call returns */
    bool hang;        /* the call never returns */
    unsigned line;
};

struct section {
    struct entry *entries;
    size_t count;
    bool present;
    unsigned int *slots; /* 1 + the place of an entry, by the hash of its key; 0: no entry */
    size_t mask;         /* their number, a power of two, less 1 */
};

/* [gpu 0 mig 2] */
struct part {
    enum part_kind kind;
    int gpu;
    unsigned int number;
    struct section section;
};

/* An integral over one period, by slices: the trapezoidal rule needs the argument at many times, but always the same. */
#define INTEGRAL_SLICES 60 /* to a period */
#define INTEGRAL_LISTS 64
struct integral {
    struct integral *next;
    const char *text; /* of the argument, in an entry of the profile */
    int unit;
    double scope, period;
    double values[INTEGRAL_SLICES + 1]; /* of the argument, at the start of each slice and at the end of the last */
    double sums[INTEGRAL_SLICES + 1];   /* of the whole slices before each of these */
    double whole;
};

struct profile {
    atomic_uint references;
    _Atomic(struct integral *) integrals[INTEGRAL_LISTS]; /* those evaluated so far; never changed, only added */
    struct section machine;
    struct section defaults;                  /* [gpu *] */
    struct section part_defaults[PART_KINDS]; /* [mig *] */
    struct part *parts;
    size_t part_count;
    struct section gpus[PROFILE_GPUS];
    unsigned int sections; /* of GPUS: 1 + the highest number */
};

void profile_release(struct profile *profile);

/* Appends an entry without a value. NULL if there is no memory, or if the section has the key. */
struct entry *section_add(struct section *section, const char *key);
/* The entry of a key in the section itself, or NULL. */
const struct entry *section_find(const struct section *section, const char *key);

/*
 * The entry of a key, in the unit itself or in its defaults ([gpu *], [mig *]); NULL if the profile does not list it. A
 * part also has the `var.` keys of its GPU.
 */
const struct entry *profile_find(const struct profile *profile, int unit, const char *key);

/* The GPU that a part belongs to; a GPU's own number. */
int profile_gpu(const struct profile *profile, int unit);
/* The unit of a part, or MACHINE if there is no such part. */
int profile_part(const struct profile *profile, enum part_kind kind, int gpu, unsigned int number);
/* The part of a unit, or NULL. */
const struct part *profile_as_part(const struct profile *profile, int unit);

/* The number of an NVML error by its name without NVML_ERROR_, or by digits; -1 if there is none. */
int error_by_name(const char *name);

#endif
