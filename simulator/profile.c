#include "profile.h"

#include "abi.h"

#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name;
    int code;
} ERRORS[] = {
#define ERROR(name) {#name, NVML_ERROR_##name}
    ERROR(UNINITIALIZED),
    ERROR(INVALID_ARGUMENT),
    ERROR(NOT_SUPPORTED),
    ERROR(NO_PERMISSION),
    ERROR(ALREADY_INITIALIZED),
    ERROR(NOT_FOUND),
    ERROR(INSUFFICIENT_SIZE),
    ERROR(INSUFFICIENT_POWER),
    ERROR(DRIVER_NOT_LOADED),
    ERROR(TIMEOUT),
    ERROR(IRQ_ISSUE),
    ERROR(LIBRARY_NOT_FOUND),
    ERROR(FUNCTION_NOT_FOUND),
    ERROR(CORRUPTED_INFOROM),
    ERROR(GPU_IS_LOST),
    ERROR(RESET_REQUIRED),
    ERROR(OPERATING_SYSTEM),
    ERROR(LIB_RM_VERSION_MISMATCH),
    ERROR(IN_USE),
    ERROR(MEMORY),
    ERROR(NO_DATA),
    ERROR(VGPU_ECC_NOT_SUPPORTED),
    ERROR(INSUFFICIENT_RESOURCES),
    ERROR(FREQ_NOT_SUPPORTED),
    ERROR(ARGUMENT_VERSION_MISMATCH),
    ERROR(DEPRECATED),
    ERROR(NOT_READY),
    ERROR(GPU_NOT_FOUND),
    ERROR(INVALID_STATE),
    ERROR(RESET_TYPE_NOT_SUPPORTED),
    ERROR(UNKNOWN),
#undef ERROR
};

static bool all_digits(const char *text) {
    return *text && text[strspn(text, "0123456789")] == '\0';
}

int error_by_name(const char *name) {
    if (all_digits(name) && strlen(name) <= 4)
        return atoi(name);
    for (size_t i = 0; i < COUNT(ERRORS); i++)
        if (!strcmp(name, ERRORS[i].name))
            return ERRORS[i].code;
    return -1;
}

static void free_section(struct section *section) {
    for (size_t i = 0; i < section->count; i++) {
        free(section->entries[i].key);
        free(section->entries[i].value);
    }
    free(section->entries);
    free(section->slots);
}

void profile_release(struct profile *profile) {
    if (!profile || atomic_fetch_sub(&profile->references, 1) != 1)
        return;
    free_section(&profile->machine);
    free_section(&profile->defaults);
    for (size_t gpu = 0; gpu < PROFILE_GPUS; gpu++)
        free_section(&profile->gpus[gpu]);
    for (size_t kind = 0; kind < PART_KINDS; kind++)
        free_section(&profile->part_defaults[kind]);
    for (size_t i = 0; i < profile->part_count; i++)
        free_section(&profile->parts[i].section);
    free(profile->parts);
    for (size_t list = 0; list < INTEGRAL_LISTS; list++)
        for (struct integral *integral = profile->integrals[list], *next; integral; integral = next) {
            next = integral->next;
            free(integral);
        }
    free(profile);
}

/* FNV-1a */
static unsigned int hash(const char *key) {
    unsigned int value = 2166136261U;
    for (; *key; key++)
        value = (value ^ (unsigned char)*key) * 16777619U;
    return value;
}

/* The slot of a key, or the empty one where it belongs. */
static unsigned int *slot_of(const struct section *section, const char *key, unsigned int hash_of_key) {
    size_t place = hash_of_key & section->mask;
    while (section->slots[place] && strcmp(section->entries[section->slots[place] - 1].key, key))
        place = (place + 1) & section->mask;
    return &section->slots[place];
}

static const struct entry *find(const struct section *section, const char *key, unsigned int hash_of_key) {
    const unsigned int number = section->slots ? *slot_of(section, key, hash_of_key) : 0;
    return number ? &section->entries[number - 1] : NULL;
}

const struct entry *section_find(const struct section *section, const char *key) {
    return find(section, key, hash(key));
}

/* Twice the room. At least half of the slots are empty, so that a key that is not there is found out soon. */
static bool grow(struct section *section) {
    const size_t size = section->slots ? 4 * (section->mask + 1) : 16;
    struct entry *entries = realloc(section->entries, size / 2 * sizeof *entries);
    if (entries)
        section->entries = entries;
    unsigned int *slots = calloc(size, sizeof *slots);
    if (!entries || !slots) {
        free(slots);
        return false;
    }
    free(section->slots);
    section->slots = slots;
    section->mask = size - 1;
    for (size_t i = 0; i < section->count; i++)
        *slot_of(section, section->entries[i].key, hash(section->entries[i].key)) = (unsigned int)i + 1;
    return true;
}

struct entry *section_add(struct section *section, const char *key) {
    if (2 * section->count >= (section->slots ? section->mask + 1 : 0) && !grow(section))
        return NULL;
    unsigned int *slot = slot_of(section, key, hash(key));
    char *own = *slot ? NULL : strdup(key);
    if (!own)
        return NULL;
    struct entry *const entry = &section->entries[section->count++];
    *slot = (unsigned int)section->count;
    *entry = (struct entry){.key = own, .error = -1, .value_type = -1};
    return entry;
}

const struct part *profile_as_part(const struct profile *profile, int unit) {
    return unit >= PROFILE_GPUS ? &profile->parts[unit - PROFILE_GPUS] : NULL;
}

int profile_gpu(const struct profile *profile, int unit) {
    const struct part *part = profile_as_part(profile, unit);
    return part ? part->gpu : unit;
}

int profile_part(const struct profile *profile, enum part_kind kind, int gpu, unsigned int number) {
    for (size_t i = 0; i < profile->part_count; i++) {
        const struct part *part = &profile->parts[i];
        if (part->kind == kind && part->gpu == gpu && part->number == number)
            return PROFILE_GPUS + (int)i;
    }
    return MACHINE;
}

const struct entry *profile_find(const struct profile *profile, int unit, const char *key) {
    const unsigned int hash_of_key = hash(key);
    if (unit == MACHINE)
        return find(&profile->machine, key, hash_of_key);
    const struct part *part = profile_as_part(profile, unit);
    const struct entry *entry = find(part ? &part->section : &profile->gpus[unit], key, hash_of_key);
    if (!entry)
        entry = find(part ? &profile->part_defaults[part->kind] : &profile->defaults, key, hash_of_key);
    return !entry && part && !strncmp(key, "var.", 4) ? profile_find(profile, part->gpu, key) : entry;
}
