/*
 * A profile: one machine as text, read once and never changed. README.md has the format.
 */
#ifndef SIMULATOR_PROFILE_H
#define SIMULATOR_PROFILE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#define PROFILE_GPUS 64 /* more than any machine has */
#define MACHINE (-1)    /* in place of a GPU's index: the section [machine] */

/* What kind of value a key takes, from calls.def. */
enum key_kind { KEY_UNKNOWN, KEY_TEXT, KEY_NUMBER, KEY_ERROR_ONLY };
enum key_kind key_kind(const char *key);

struct entry {
    char *key;
    enum key_kind kind;
    char *value;      /* without its !SLOW(...); a text has its escapes resolved */
    int error;        /* the NVML error to answer, or -1 */
    int value_type;   /* a field's NVML_VALUE_TYPE_..., or -1 */
    double delay;     /* seconds to wait before the answer */
    bool hang;        /* the call never returns */
    unsigned line;
};

struct section {
    struct entry *entries;
    size_t count;
    bool present;
};

struct profile {
    atomic_uint references;
    struct section machine;
    struct section defaults; /* [gpu *] */
    struct section gpus[PROFILE_GPUS];
    unsigned int sections; /* of GPUS: 1 + the highest number */
};

/* Reads and checks the file. NULL and a message "FILE:LINE: what is wrong" if it cannot be used. */
struct profile *profile_load(const char *path, char *message, size_t size);
void profile_release(struct profile *profile);

/* The entry of a key, of the GPU itself or of [gpu *]; NULL if the profile does not list it. */
const struct entry *profile_find(const struct profile *profile, int gpu, const char *key);

/* The number of an NVML error by its name without NVML_ERROR_, or by digits; -1 if there is none. */
int error_by_name(const char *name);

#endif
