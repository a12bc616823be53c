/*
 * What nvidia-smi asks of the library beside the functions of nvml.h: a table of functions that no header names. The
 * first word is its size; nvidia-smi 535 and 550 refuse a library whose table has 0x288 bytes or fewer. Here each slot
 * answers NOT_SUPPORTED, so that nvidia-smi prints N/A for what it takes from there.
 */
#include "call.h"

#include <stdint.h>

enum { SLOTS = 512 };

static nvmlReturn_t not_supported(void) {
    return NVML_ERROR_NOT_SUPPORTED;
}

EXPORT nvmlReturn_t nvmlInternalGetExportTable(const void **table, const void *id);

EXPORT nvmlReturn_t nvmlInternalGetExportTable(const void **table, const void *id) {
    static struct {
        uintptr_t size;
        nvmlReturn_t (*slots[SLOTS])(void);
    } answer;

    if (!table || !id)
        return NVML_ERROR_INVALID_ARGUMENT;
    answer.size = sizeof answer;
    for (unsigned int slot = 0; slot < SLOTS; slot++)
        answer.slots[slot] = not_supported;
    *table = &answer;
    return NVML_SUCCESS;
}
