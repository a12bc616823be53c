/*
 * nvmlDeviceGetFieldValues.
 */
#include "call.h"

#include <stdio.h>

static const struct {
    unsigned int id;
    int type;
    const char *key;
} FIELDS[] = {
#define FIELD(constant, type, key) {constant, NVML_VALUE_TYPE_##type, key},
#include "calls.def"
};

enum { MEMORY = 2 }; /* NVML_POWER_SCOPE_MEMORY */

/* The source of a field. */
struct source {
    const struct entry *entry;
    const char *key; /* of the table, if the profile does not list the field by its number */
    unsigned int scope;
    int type;
};

/* `field.ID` of the profile comes before the key that the table has for the field. */
static struct source find_field(const struct call *call, const nvmlFieldValue_t *field) {
    struct source source = {.scope = field->scopeId, .type = NVML_VALUE_TYPE_UNSIGNED_INT};
    for (size_t i = 0; i < COUNT(FIELDS); i++)
        if (FIELDS[i].id == field->fieldId) {
            source.type = FIELDS[i].type;
            source.key = FIELDS[i].key;
        }
    /* Power has scopes of its own: the GPU, its module, its memory. */
    if (field->scopeId && (field->fieldId == NVML_FI_DEV_POWER_AVERAGE || field->fieldId == NVML_FI_DEV_POWER_INSTANT))
        source.key = field->scopeId == MEMORY ? "power_memory" : NULL;
    char own[32];
    snprintf(own, sizeof own, "field.%u", field->fieldId);
    source.entry = call_find_scoped(call, own, field->scopeId);
    if (source.entry) {
        source.key = NULL;
    } else {
        if (nvlink_field(field->fieldId, &source.key, &source.scope))
            source.type = NVML_VALUE_TYPE_UNSIGNED_LONG_LONG;
        if (source.key)
            source.entry = call_find_scoped(call, source.key, source.scope);
    }
    if (source.entry && source.entry->value_type >= 0)
        source.type = source.entry->value_type;
    return source;
}

static nvmlReturn_t read_source(const struct call *call, const struct source *source, double *number) {
    if (source->scope == SUM && source->key && !strncmp(source->key, "nvlink_", strlen("nvlink_")) &&
        strcmp(source->key, "nvlink_count"))
        return nvlink_sum(call, source->key, number);
    return call_entry(call, source->entry, source->scope, number);
}

static void get_field(const struct call *call, nvmlFieldValue_t *field) {
    double number = 0;
    const struct source source = find_field(call, field);
    const int type = source.type;
    field->timestamp = (long long)(call->t * 1e6);
    field->latencyUsec = 0;
    field->valueType = (nvmlValueType_t)type;
    field->nvmlReturn = read_source(call, &source, &number);
    if (field->nvmlReturn != NVML_SUCCESS)
        return;
    memset(&field->value, 0, sizeof field->value);
    switch (type) {
    case NVML_VALUE_TYPE_DOUBLE:
        field->value.dVal = number;
        break;
    case NVML_VALUE_TYPE_SIGNED_INT:
        field->value.siVal = as_int(number);
        break;
    case NVML_VALUE_TYPE_UNSIGNED_LONG:
    case NVML_VALUE_TYPE_UNSIGNED_LONG_LONG:
        field->value.ullVal = as_ull(number);
        break;
    case NVML_VALUE_TYPE_SIGNED_LONG_LONG:
        field->value.sllVal = as_ll(number);
        break;
    case NVML_VALUE_TYPE_UNSIGNED_SHORT:
        field->value.usVal = (unsigned short)within(number, 0, USHRT_MAX);
        break;
    default:
        /* As nvmlDeviceGetTemperature: a number below 0 loses its sign. */
        field->value.uiVal = number < 0 ? (unsigned int)as_int(number) : as_uint(number);
    }
}

/* Success means that all fields were processed; nvmlReturn has the result of each. */
EXPORT nvmlReturn_t nvmlDeviceGetFieldValues(nvmlDevice_t device, int count, nvmlFieldValue_t *values) {
    BEGIN_DEVICE(values && count > 0);
    for (int i = 0; i < count; i++)
        get_field(&call, &values[i]);
    return call_end(&call, NVML_SUCCESS);
}
