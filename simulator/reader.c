/*
 * Reads a profile and checks it.
 */
#include "reader.h"

#include "abi.h"
#include "expression.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILE_LIMIT (1 << 20)

static const char *const VALUE_TYPES[] = {
    [NVML_VALUE_TYPE_DOUBLE] = "DOUBLE",
    [NVML_VALUE_TYPE_UNSIGNED_INT] = "UNSIGNED_INT",
    [NVML_VALUE_TYPE_UNSIGNED_LONG] = "UNSIGNED_LONG",
    [NVML_VALUE_TYPE_UNSIGNED_LONG_LONG] = "UNSIGNED_LONG_LONG",
    [NVML_VALUE_TYPE_SIGNED_LONG_LONG] = "SIGNED_LONG_LONG",
    [NVML_VALUE_TYPE_SIGNED_INT] = "SIGNED_INT",
    [NVML_VALUE_TYPE_UNSIGNED_SHORT] = "UNSIGNED_SHORT",
};

struct reader {
    const char *path;
    unsigned int line;
    char *message;
    size_t size;
};

static bool complain(const struct reader *reader, const char *format, ...) {
    int used = snprintf(reader->message, reader->size, "%s:%u: ", reader->path, reader->line);
    if (used < 0 || (size_t)used >= reader->size)
        return false;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(reader->message + used, reader->size - (size_t)used, format, arguments);
    va_end(arguments);
    return false;
}

/* Removes blanks around a line, a key or a value. */
static char *trim(char *text) {
    text += strspn(text, " \t\r");
    for (size_t length = strlen(text); length > 0 && strchr(" \t\r", text[length - 1]); length--)
        text[length - 1] = '\0';
    return text;
}

/* Resolves \xHH and \\ in place. */
static bool unescape(char *text) {
    char *to = text;
    for (const char *from = text; *from; from++, to++) {
        *to = *from;
        if (*from != '\\')
            continue;
        from++;
        if (*from == '\\')
            continue;
        unsigned int code = 0;
        int length = 0;
        if (*from != 'x' || strspn(from + 1, "0123456789abcdefABCDEF") < 2 ||
            sscanf(from + 1, "%2x%n", &code, &length) != 1 || length != 2 || code == 0)
            return false;
        *to = (char)(unsigned char)code;
        from += 2;
    }
    *to = '\0';
    return true;
}

static bool read_slow(const struct reader *reader, struct entry *entry, char **value) {
    char *after = strchr(*value, ')');
    if (!after)
        return complain(reader, "!SLOW(seconds) is not closed");
    *after = '\0';
    const struct entry seconds = {.key = "var.slow", .value = *value + strlen("!SLOW(")};
    struct profile nothing = {0};
    const char *fault = NULL;
    if (expression_evaluate(&nothing, MACHINE, &seconds, EPOCH, 0, &entry->delay, &fault) != NVML_SUCCESS ||
        !(entry->delay >= 0 && entry->delay <= 86400))
        return complain(reader, "!SLOW(%s): a number of seconds is wanted", seconds.value);
    *value = trim(after + 1);
    return true;
}

static bool read_value(const struct reader *reader, struct entry *entry, char *value) {
    if (!strncmp(value, "!SLOW(", strlen("!SLOW(")) && !read_slow(reader, entry, &value))
        return false;
    if (*value == '!') {
        entry->hang = !strcmp(value, "!HANG");
        entry->error = entry->hang ? -1 : error_by_name(value + 1);
        if (!entry->hang && entry->error <= 0)
            return complain(reader, "%s is no NVML error; write !NOT_SUPPORTED, !999, !HANG or !SLOW(seconds) value", value);
        value = "";
    } else if (!*value) {
        return complain(reader, "%s has no value", entry->key);
    }
    if (!strncmp(entry->key, "field.", strlen("field.")))
        for (size_t i = 0; i < COUNT(VALUE_TYPES); i++) {
            const size_t length = strlen(VALUE_TYPES[i]);
            if (!strncmp(value, VALUE_TYPES[i], length) && (value[length] == ' ' || value[length] == '\t')) {
                entry->value_type = (int)i;
                value = trim(value + length);
                break;
            }
        }
    entry->value = strdup(value);
    if (!entry->value)
        return complain(reader, "out of memory");
    if (entry->kind == KEY_TEXT && !unescape(entry->value))
        return complain(reader, "%s: the escapes are \\\\ and \\x01 to \\xff", entry->key);
    return true;
}

static bool read_entry(const struct reader *reader, struct section *section, char *line) {
    char *equals = strchr(line, '=');
    if (!equals)
        return complain(reader, "neither [section] nor key = value");
    *equals = '\0';
    const char *const key = trim(line);
    if (!section)
        return complain(reader, "%s stands before the first [section]", key);
    const enum key_kind kind = key_kind(key);
    if (kind == KEY_UNKNOWN)
        return complain(reader, "%s is no key", key);
    const struct entry *const known = section_find(section, key);
    if (known)
        return complain(reader, "%s stands in line %u already", key, known->line);
    struct entry *const entry = section_add(section, key);
    if (!entry)
        return complain(reader, "out of memory");
    entry->kind = kind;
    entry->line = reader->line;
    return read_value(reader, entry, trim(equals + 1));
}

static const char *const PARTS[PART_KINDS] = {[PART_MIG] = "mig", [PART_PROCESS] = "process", [PART_VGPU] = "vgpu"};

/* [mig *] and [gpu 0 mig 2]; creates the part if it is new. NULL if it is neither, or there is no memory. */
static struct section *find_part(struct profile *profile, const char *line) {
    char word[8] = "", digits[11] = "";
    unsigned int gpu = 0;
    int length = 0, kind = 0;
    const bool defaults = sscanf(line, "[%7[a-z] *]%n", word, &length) == 1 && length > 0;
    if (!defaults && (sscanf(line, "[gpu %2u %7[a-z] %10[0-9]]%n", &gpu, word, digits, &length) != 3 || length == 0))
        return NULL;
    const unsigned long long number = strtoull(digits, NULL, 10);
    while (kind < PART_KINDS && strcmp(word, PARTS[kind]))
        kind++;
    if (line[length] || kind == PART_KINDS || gpu >= PROFILE_GPUS || number > UINT_MAX)
        return NULL;
    if (defaults)
        return &profile->part_defaults[kind];
    const int known = profile_part(profile, (enum part_kind)kind, (int)gpu, (unsigned int)number);
    if (known != MACHINE)
        return &profile->parts[known - PROFILE_GPUS].section;
    struct part *parts = realloc(profile->parts, (profile->part_count + 1) * sizeof *parts);
    if (!parts)
        return NULL;
    profile->parts = parts;
    struct part *const part = &parts[profile->part_count++];
    *part = (struct part){.kind = (enum part_kind)kind, .gpu = (int)gpu, .number = (unsigned int)number};
    return &part->section;
}

static struct section *read_section(const struct reader *reader, struct profile *profile, char *line) {
    struct section *section = NULL;
    unsigned int gpu = 0;
    int length = 0;
    if (!strcmp(line, "[machine]"))
        section = &profile->machine;
    else if (!strcmp(line, "[gpu *]"))
        section = &profile->defaults;
    else if (sscanf(line, "[gpu %2u]%n", &gpu, &length) == 1 && length > 0 && !line[length] && gpu < PROFILE_GPUS)
        section = &profile->gpus[gpu];
    else
        section = find_part(profile, line);
    if (!section) {
        complain(reader, "%s is none of [machine], [gpu *], [gpu 0] to [gpu %d], [gpu 0 mig 1], [gpu 0 process 1], "
                         "[gpu 0 vgpu 1], [mig *], [process *] and [vgpu *]", line, PROFILE_GPUS - 1);
        return NULL;
    }
    if (section->present) {
        complain(reader, "%s stands here a second time", line);
        return NULL;
    }
    section->present = true;
    if (section >= profile->gpus && section < profile->gpus + PROFILE_GPUS && gpu + 1 > profile->sections)
        profile->sections = gpu + 1;
    return section;
}

static bool read_lines(struct reader *reader, struct profile *profile, char *text) {
    struct section *section = NULL;
    for (char *rest = text; rest;) {
        char *line = rest;
        rest = strchr(line, '\n');
        if (rest)
            *rest++ = '\0';
        reader->line++;
        char *comment = line;
        while ((comment = strchr(comment, '#')) && comment > line && !strchr(" \t", comment[-1]))
            comment++;
        if (comment)
            *comment = '\0';
        line = trim(line);
        if (*line == '[') {
            section = read_section(reader, profile, line);
            if (!section)
                return false;
        } else if (*line && !read_entry(reader, section, line)) {
            return false;
        }
    }
    return true;
}

/* Evaluates every number once, so that an error is found when the file is read, not when a function is called. */
static bool check_section(struct reader *reader, const struct profile *profile, const struct section *section, int unit) {
    for (size_t i = 0; i < section->count; i++) {
        const struct entry *entry = &section->entries[i];
        if (entry->kind == KEY_TEXT || entry->error >= 0 || entry->hang)
            continue;
        reader->line = entry->line;
        if (entry->kind == KEY_ERROR_ONLY)
            return complain(reader, "%s takes an error, not a value", entry->key);
        double value = 0;
        const char *fault = NULL;
        if (expression_evaluate(profile, unit, entry, EPOCH, 0, &value, &fault) == EXPRESSION_FAULT)
            return complain(reader, "%s = %s: %s", entry->key, entry->value, fault);
    }
    return true;
}

static bool has_no_state(struct reader *reader, const struct section *section) {
    for (size_t i = 0; i < section->count; i++) {
        reader->line = section->entries[i].line;
        if (!strcmp(section->entries[i].key, "state"))
            return complain(reader, "state is of the machine or a GPU");
    }
    return true;
}

static bool check_states(struct reader *reader, const struct section *section, bool machine) {
    static const char *const STATES[] = {"ok", "lost", "sick", "hang"};
    for (size_t i = 0; i < section->count; i++) {
        const struct entry *entry = &section->entries[i];
        if (strcmp(entry->key, "state"))
            continue;
        reader->line = entry->line;
        if (entry->error >= 0 || entry->hang)
            return complain(reader, "state takes a word, not an error");
        if (machine) {
            static const char *const WORDS[] = {"ok", "no_driver", "mismatch", "no_permission", "hang"};
            bool known = error_by_name(entry->value) > 0;
            for (size_t w = 0; w < COUNT(WORDS); w++)
                known = known || !strcmp(entry->value, WORDS[w]);
            if (!known)
                return complain(reader, "state = %s is none of ok, no_driver, mismatch, no_permission, hang and the "
                                        "names of NVML's errors", entry->value);
            continue;
        }
        bool known = false;
        for (size_t s = 0; s < COUNT(STATES); s++)
            known = known || !strcmp(entry->value, STATES[s]);
        if (!known)
            return complain(reader, "state = %s is none of ok, lost, sick, hang", entry->value);
    }
    return true;
}

static bool check(struct reader *reader, const struct profile *profile) {
    if (!check_states(reader, &profile->machine, true) || !check_states(reader, &profile->defaults, false) ||
        !check_section(reader, profile, &profile->machine, MACHINE))
        return false;
    for (unsigned int gpu = 0; gpu < profile->sections; gpu++)
        if (!check_states(reader, &profile->gpus[gpu], false) ||
            !check_section(reader, profile, &profile->defaults, (int)gpu) ||
            !check_section(reader, profile, &profile->gpus[gpu], (int)gpu))
            return false;
    for (size_t i = 0; i < profile->part_count; i++) {
        const struct part *part = &profile->parts[i];
        const int unit = PROFILE_GPUS + (int)i;
        if (!has_no_state(reader, &profile->part_defaults[part->kind]) || !has_no_state(reader, &part->section) ||
            !check_section(reader, profile, &profile->part_defaults[part->kind], unit) ||
            !check_section(reader, profile, &part->section, unit))
            return false;
    }
    return true;
}

/* The whole file with a NUL after it, or NULL. */
static char *read_file(const struct reader *reader) {
    FILE *file = fopen(reader->path, "re");
    if (!file) {
        snprintf(reader->message, reader->size, "%s: %s", reader->path, strerror(errno));
        return NULL;
    }
    char *text = malloc(FILE_LIMIT + 1);
    const size_t length = text ? fread(text, 1, FILE_LIMIT, file) : 0;
    const bool whole = text && !ferror(file) && length < FILE_LIMIT;
    fclose(file);
    if (!whole || memchr(text, '\0', length)) {
        snprintf(reader->message, reader->size, "%s: not a text of less than 1 MiB", reader->path);
        free(text);
        return NULL;
    }
    text[length] = '\0';
    return text;
}

struct profile *profile_load(const char *path, char *message, size_t size) {
    struct reader reader = {.path = path, .message = message, .size = size};
    struct profile *profile = calloc(1, sizeof *profile);
    char *text = read_file(&reader);
    const bool usable = profile && text && read_lines(&reader, profile, text) && check(&reader, profile);
    free(text);
    if (profile)
        profile->references = 1;
    if (!usable) {
        profile_release(profile);
        return NULL;
    }
    return profile;
}
