/*
 * The contents of calls.def and unsupported.def, by key and by function.
 */
#include "table.h"

#include <string.h>

/* The keys of calls.def, by kind of value. */
static const char *const NUMBER_KEYS[] = {
#define SYSTEM_VALUE(function, type, key) key,
#define VALUE(function, type, key) key,
#define PAIR(function, type, first, second) first, second,
#define CHOICE(function, enumeration, type, ...) __VA_ARGS__,
#define FIELD(constant, type, key) key,
#define KEYS(...) __VA_ARGS__,
#include "calls.def"
};

static const char *const TEXT_KEY_NAMES[] = {
#define SYSTEM_TEXT(function, key) key,
#define TEXT(function, key) key,
#define TEXT_KEYS(...) __VA_ARGS__,
#include "calls.def"
};

/* Names of functions, and switches: their only value is an error. */
static const char *const ERROR_KEYS[] = {
#define SYSTEM_VALUE(function, type, key) #function,
#define SYSTEM_TEXT(function, key) #function,
#define VALUE(function, type, key) #function,
#define PAIR(function, type, first, second) #function,
#define CHOICE(function, enumeration, type, ...) #function,
#define TEXT(function, key) #function,
#define SWITCHES(...) __VA_ARGS__,
#define WRITTEN(function) #function,
#include "calls.def"
#define DEVICE_FUNCTION(function) #function,
#define SYSTEM_FUNCTION(function) #function,
#include "unsupported.def"
#undef DEVICE_FUNCTION
#undef SYSTEM_FUNCTION
};

static bool is_one_of(const char *key, size_t length, const char *const names[], size_t count) {
    for (size_t i = 0; i < count; i++)
        if (*names[i] == *key && !strncmp(names[i], key, length) && !names[i][length])
            return true;
    return false;
}

/* The part after the last dot of `fan_speed.1` or `field.138.sum`. */
static bool is_scope(const char *text) {
    return *text && (!text[strspn(text, "0123456789")] || !strcmp(text, "sum"));
}

/* 7-9 */
static bool is_range(const char *text) {
    const size_t first = strspn(text, "0123456789");
    const size_t last = text[first] == '-' ? strspn(text + first + 1, "0123456789") : 0;
    return first > 0 && last > 0 && !text[first + 1 + last];
}

enum key_kind key_kind(const char *key) {
    const size_t length = strlen(key);
    if (!strncmp(key, "var.", 4) && length > 4)
        return key[4 + strspn(key + 4, "abcdefghijklmnopqrstuvwxyz0123456789_")] ? KEY_UNKNOWN : KEY_NUMBER;
    if (!strncmp(key, "field.", 6) && length > 6) {
        const char *rest = key + 6 + strspn(key + 6, "0123456789");
        return rest > key + 6 && (!*rest || (*rest == '.' && is_scope(rest + 1))) ? KEY_NUMBER : KEY_UNKNOWN;
    }
    if (is_one_of(key, length, ERROR_KEYS, COUNT(ERROR_KEYS)))
        return KEY_ERROR_ONLY;
    if (!strncmp(key, "xid.", 4) && strchr(key, '-'))
        return is_range(key + 4) ? KEY_NUMBER : KEY_UNKNOWN;
    const char *dot = strchr(key, '.');
    if (dot && !is_scope(dot + 1))
        return KEY_UNKNOWN;
    const size_t stem = dot ? (size_t)(dot - key) : length;
    if (is_one_of(key, stem, TEXT_KEY_NAMES, COUNT(TEXT_KEY_NAMES)))
        return KEY_TEXT;
    return is_one_of(key, stem, NUMBER_KEYS, COUNT(NUMBER_KEYS)) ? KEY_NUMBER : KEY_UNKNOWN;
}

bool refused_in_mig_mode(const char *function) {
    static const char *const FUNCTIONS[] = {
#define NOT_WITH_MIG(function) #function,
#include "calls.def"
    };
    return is_one_of(function, strlen(function), FUNCTIONS, COUNT(FUNCTIONS));
}
