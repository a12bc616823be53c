/*
 * The driver's own measurements: ring buffers, and GPM, the counters of Hopper, whose metrics are from two samples.
 */
#include "call.h"
#include "expression.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define SAMPLE_RATE 6 /* per second, as in real buffers */
#define SAMPLES 120   /* 20 s of them */

/* The value of a sample. It is in the driver's memory, so the delay of a slow card is not applied. */
static nvmlReturn_t sampled(const struct call *call, const struct entry *entry, double *value) {
    const char *fault = NULL;
    if (!entry)
        return NVML_ERROR_NOT_SUPPORTED;
    if (entry->error >= 0)
        return (nvmlReturn_t)entry->error;
    const int outcome = expression_evaluate(call->profile, call->unit, entry, call->t, 0, value, &fault);
    return outcome == EXPRESSION_FAULT ? NVML_ERROR_UNKNOWN : (nvmlReturn_t)outcome;
}

/* The buffer has the value of the profile's expression every sixth of a second. Timestamps are in us. */
EXPORT nvmlReturn_t nvmlDeviceGetSamples(nvmlDevice_t device, nvmlSamplingType_t type, unsigned long long since,
                                         nvmlValueType_t *value_type, unsigned int *count, nvmlSample_t *samples) {
    static const char *const KEYS[] = {
        [NVML_TOTAL_POWER_SAMPLES] = "power_usage",
        [NVML_GPU_UTILIZATION_SAMPLES] = "utilization_gpu",
        [NVML_MEMORY_UTILIZATION_SAMPLES] = "utilization_memory",
        [NVML_ENC_UTILIZATION_SAMPLES] = "encoder_utilization",
        [NVML_DEC_UTILIZATION_SAMPLES] = "decoder_utilization",
        [NVML_PROCESSOR_CLK_SAMPLES] = "clock_sm",
        [NVML_MEMORY_CLK_SAMPLES] = "clock_mem",
        [NVML_JPG_UTILIZATION_SAMPLES] = "jpg_utilization",
        [NVML_OFA_UTILIZATION_SAMPLES] = "ofa_utilization",
    };
    BEGIN_DEVICE(value_type && count && (unsigned int)type < COUNT(KEYS));
    if (!KEYS[type])
        return call_end(&call, NVML_ERROR_NOT_SUPPORTED);
    double number = 0;
    const struct entry *entry = profile_find(call.profile, call.unit, KEYS[type]);
    nvmlReturn_t result = sampled(&call, entry, &number);
    if (result == NVML_SUCCESS && mig_enabled(&call, call.gpu) && type != NVML_TOTAL_POWER_SAMPLES &&
        type != NVML_PROCESSOR_CLK_SAMPLES && type != NVML_MEMORY_CLK_SAMPLES)
        result = NVML_ERROR_NOT_SUPPORTED; /* a GPU in MIG mode has no utilization */
    *value_type = NVML_VALUE_TYPE_UNSIGNED_INT;
    if (result == NVML_SUCCESS && !samples) {
        *count = SAMPLES;
        return call_end(&call, NVML_SUCCESS);
    }
    double kept = *count;
    if (type == NVML_PROCESSOR_CLK_SAMPLES && call_number(&call, "clock_sm_samples", &kept) == NVML_SUCCESS)
        kept = fmin(kept, *count);
    unsigned int found = 0;
    const double last = floor(call.t * SAMPLE_RATE);
    for (int age = SAMPLES - 1; age >= 0 && result == NVML_SUCCESS && found < kept; age--) {
        call.t = (last - age) / SAMPLE_RATE;
        const unsigned long long stamp = as_ull(call.t * 1e6);
        if (stamp <= since)
            continue;
        result = sampled(&call, entry, &number);
        samples[found++] = (nvmlSample_t){.timeStamp = stamp, .sampleValue.uiVal = as_uint(number)};
    }
    if (result == NVML_SUCCESS && found)
        *count = found;
    return call_end(&call, result == NVML_SUCCESS && !found ? NVML_ERROR_NOT_FOUND : result);
}

struct nvmlGpmSample_st {
    bool taken;
    enum { OF_GPU, OF_INSTANCE } kind;
    int gpu;
    unsigned int instance; /* GPU instance id */
    double t;
};

EXPORT nvmlReturn_t nvmlGpmQueryDeviceSupport(nvmlDevice_t device, nvmlGpmSupport_t *support) {
    BEGIN_DEVICE(support);
    if (support->version != NVML_GPM_SUPPORT_VERSION)
        return call_end(&call, NVML_ERROR_ARGUMENT_VERSION_MISMATCH);
    double has = 0;
    const struct entry *entry = profile_find(call.profile, call.gpu, "gpm");
    const nvmlReturn_t result = entry ? call_number(&call, "gpm", &has) : NVML_SUCCESS;
    if (result == NVML_SUCCESS)
        support->isSupportedDevice = has >= 1;
    return call_end(&call, result);
}

EXPORT nvmlReturn_t nvmlGpmSampleAlloc(nvmlGpmSample_t *sample) {
    BEGIN_SYSTEM(sample);
    *sample = calloc(1, sizeof **sample);
    return call_end(&call, *sample ? NVML_SUCCESS : NVML_ERROR_MEMORY);
}

EXPORT nvmlReturn_t nvmlGpmSampleFree(nvmlGpmSample_t sample) {
    BEGIN_SYSTEM(sample);
    free(sample);
    return call_end(&call, NVML_SUCCESS);
}

static nvmlReturn_t check_gpm(const struct call *call) {
    double has = 0;
    const nvmlReturn_t result = call_number(call, "gpm", &has);
    return result == NVML_SUCCESS && has < 1 ? NVML_ERROR_NOT_SUPPORTED : result;
}

EXPORT nvmlReturn_t nvmlGpmSampleGet(nvmlDevice_t device, nvmlGpmSample_t sample) {
    BEGIN_DEVICE(sample && call.unit == call.gpu);
    const nvmlReturn_t result = check_gpm(&call);
    if (result == NVML_SUCCESS)
        *sample = (struct nvmlGpmSample_st){.taken = true, .kind = OF_GPU, .gpu = call.gpu, .t = call.t};
    return call_end(&call, result);
}

/* The MIG instance of a GPU instance id, with `gpm.METRIC` keys of its own; MACHINE if there is none. */
static int unit_of_instance(const struct call *call, int gpu, unsigned int instance) {
    for (size_t i = 0; i < call->profile->part_count; i++) {
        const struct part *part = &call->profile->parts[i];
        struct call mig = {.profile = call->profile, .gpu = gpu, .unit = PROFILE_GPUS + (int)i, .t = call->t};
        double id = 0;
        if (part->kind == PART_MIG && part->gpu == gpu && mig_enabled(call, gpu) &&
            call_number(&mig, "gpu_instance_id", &id) == NVML_SUCCESS && id == instance)
            return mig.unit;
    }
    return MACHINE;
}

EXPORT nvmlReturn_t nvmlGpmMigSampleGet(nvmlDevice_t device, unsigned int instance, nvmlGpmSample_t sample) {
    BEGIN_DEVICE(sample && call.unit == call.gpu);
    nvmlReturn_t result = check_gpm(&call);
    if (result == NVML_SUCCESS && unit_of_instance(&call, call.gpu, instance) == MACHINE)
        result = NVML_ERROR_NOT_FOUND;
    if (result == NVML_SUCCESS)
        *sample = (struct nvmlGpmSample_st){
            .taken = true, .kind = OF_INSTANCE, .gpu = call.gpu, .instance = instance, .t = call.t};
    return call_end(&call, result);
}

/* The mean of the metric's expression at the two samples. */
static nvmlReturn_t get_metric(const struct call *call, const nvmlGpmMetricsGet_t *get, unsigned int id,
                               double *value) {
    struct call at = *call;
    at.gpu = get->sample1->gpu;
    at.unit = get->sample1->kind == OF_GPU ? at.gpu : unit_of_instance(call, at.gpu, get->sample1->instance);
    if (at.unit == MACHINE)
        return NVML_ERROR_NOT_FOUND;
    char key[32];
    snprintf(key, sizeof key, "gpm.%u", id);
    double second = 0;
    at.t = get->sample1->t;
    nvmlReturn_t result = call_number(&at, key, value);
    at.t = get->sample2->t;
    if (result == NVML_SUCCESS)
        result = call_number(&at, key, &second);
    *value = (*value + second) / 2;
    return result;
}

EXPORT nvmlReturn_t nvmlGpmMetricsGet(nvmlGpmMetricsGet_t *get) {
    BEGIN_SYSTEM(get && get->numMetrics > 0 && get->numMetrics <= NVML_GPM_METRIC_MAX && get->sample1 && get->sample2);
    if (get->version != NVML_GPM_METRICS_GET_VERSION)
        return call_end(&call, NVML_ERROR_ARGUMENT_VERSION_MISMATCH);
    const struct nvmlGpmSample_st *first = get->sample1, *second = get->sample2;
    if (!first->taken || !second->taken || first->gpu != second->gpu || first->kind != second->kind ||
        first->instance != second->instance)
        return call_end(&call, NVML_ERROR_INVALID_ARGUMENT);
    const nvmlReturn_t found = gpu_look_up(&call, first->gpu);
    if (found != NVML_SUCCESS)
        return call_end(&call, found);
    for (unsigned int i = 0; i < get->numMetrics; i++) {
        nvmlGpmMetric_t *metric = &get->metrics[i];
        double value = 0;
        metric->nvmlReturn = get_metric(&call, get, metric->metricId, &value);
        metric->value = metric->nvmlReturn == NVML_SUCCESS ? value : 0;
        metric->metricInfo.shortName = metric->metricInfo.longName = metric->metricInfo.unit = "";
    }
    return call_end(&call, NVML_SUCCESS);
}
