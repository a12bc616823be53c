#ifndef SIMULATOR_TABLE_H
#define SIMULATOR_TABLE_H

#include <stdbool.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* The kind of value of a key in a profile. */
enum key_kind { KEY_UNKNOWN, KEY_TEXT, KEY_NUMBER, KEY_ERROR_ONLY };
enum key_kind key_kind(const char *key);

/* Whether a GPU in MIG mode refuses this function. */
bool refused_in_mig_mode(const char *function);

#endif
