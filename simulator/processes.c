/*
 * Processes of a GPU: [gpu 0 process 5004711].
 */
#include "call.h"

#define NOT_IN_MIG 0xFFFFFFFFU
#define NOT_AVAILABLE 0xFFFFFFFFFFFFFFFFULL /* NVML_VALUE_NOT_AVAILABLE */

/* A number of a process, or the default if the profile does not list it. */
static nvmlReturn_t get_or(const struct call *process, const char *key, double otherwise, double *value) {
    *value = otherwise;
    return profile_find(process->profile, process->unit, key) ? call_number(process, key, value) : NVML_SUCCESS;
}

/* The next process of the GPU or of the MIG instance; start with `i` = 0. */
static const struct part *next_process(const struct call *call, size_t *i, struct call *process) {
    double instance = NOT_IN_MIG;
    if (call->unit != call->gpu && call_number(call, "gpu_instance_id", &instance) != NVML_SUCCESS)
        return NULL;
    while (*i < call->profile->part_count) {
        const size_t at = (*i)++;
        const struct part *part = &call->profile->parts[at];
        *process = (struct call){
            .profile = call->profile, .gpu = call->gpu, .unit = PROFILE_GPUS + (int)at, .t = call->t};
        double own = NOT_IN_MIG;
        if (part->kind == PART_PROCESS && part->gpu == call->gpu &&
            (call->unit == call->gpu ||
             (get_or(process, "gpu_instance_id", NOT_IN_MIG, &own) == NVML_SUCCESS && own == instance)))
            return part;
    }
    return NULL;
}

/* Drivers 535.43 to 535.86 write one more member (protected memory), under the same version number. */
#ifdef NVML_SIMULATOR_R535
enum { STRIDE_V3 = sizeof(nvmlProcessInfo_t) + sizeof(unsigned long long) };
#else
enum { STRIDE_V3 = sizeof(nvmlProcessInfo_t) };
#endif

/* The processes whose `list` is not 0. */
static nvmlReturn_t get_processes(const struct call *call, const char *list, unsigned int *count,
                                  nvmlProcessInfo_t *infos, size_t stride) {
    nvmlReturn_t result = switched_off(call, "processes");
    const unsigned int room = infos ? *count : 0;
    unsigned int found = 0;
    struct call process;
    size_t i = 0;
    for (const struct part *part; result == NVML_SUCCESS && (part = next_process(call, &i, &process));) {
        double in_list, memory, instance, compute;
        result = get_or(&process, list, 0, &in_list);
        if (result != NVML_SUCCESS || in_list < 1)
            continue;
        if (found++ >= room)
            continue;
        result = get_or(&process, "used_memory", (double)NOT_AVAILABLE, &memory);
        if (result == NVML_SUCCESS)
            result = get_or(&process, "gpu_instance_id", NOT_IN_MIG, &instance);
        if (result == NVML_SUCCESS)
            result = get_or(&process, "compute_instance_id", NOT_IN_MIG, &compute);
        if (result == NVML_SUCCESS)
            *(nvmlProcessInfo_t *)((char *)infos + (found - 1) * stride) =
                (nvmlProcessInfo_t){.pid = part->number,
                                    .usedGpuMemory = as_ull(memory),
                                    .gpuInstanceId = as_uint(instance),
                                    .computeInstanceId = as_uint(compute)};
    }
    if (result != NVML_SUCCESS)
        return result;
    *count = found;
    double succeeds = 0;
    if (!infos && get_or(call, "processes_size_succeeds", 0, &succeeds) == NVML_SUCCESS && succeeds >= 1)
        return NVML_SUCCESS;
    return found > room ? NVML_ERROR_INSUFFICIENT_SIZE : NVML_SUCCESS;
}

#define RUNNING(function, list, stride)                                                                                \
    EXPORT nvmlReturn_t function(nvmlDevice_t device, unsigned int *count, nvmlProcessInfo_t *infos) {                 \
        BEGIN_DEVICE(count);                                                                                           \
        return call_end(&call, get_processes(&call, list, count, infos, stride));                                      \
    }
RUNNING(nvmlDeviceGetComputeRunningProcesses_v2, "compute", sizeof(nvmlProcessInfo_t))
RUNNING(nvmlDeviceGetComputeRunningProcesses_v3, "compute", STRIDE_V3)
RUNNING(nvmlDeviceGetGraphicsRunningProcesses_v2, "graphics", sizeof(nvmlProcessInfo_t))
RUNNING(nvmlDeviceGetGraphicsRunningProcesses_v3, "graphics", STRIDE_V3)
RUNNING(nvmlDeviceGetMPSComputeRunningProcesses_v2, "mps", sizeof(nvmlProcessInfo_t))
RUNNING(nvmlDeviceGetMPSComputeRunningProcesses_v3, "mps", STRIDE_V3)

/* Only for a process in the profile; the real driver reads /proc. */
EXPORT nvmlReturn_t nvmlSystemGetProcessName(unsigned int pid, char *name, unsigned int length) {
    BEGIN_SYSTEM(name && length > 0);
    for (size_t i = 0; i < call.profile->part_count; i++) {
        const struct part *part = &call.profile->parts[i];
        if (part->kind != PART_PROCESS || part->number != pid)
            continue;
        const struct call process = {.profile = call.profile, .gpu = part->gpu, .unit = PROFILE_GPUS + (int)i};
        const char *text = NULL;
        const nvmlReturn_t result = call_text(&process, "name", &text);
        if (result == NVML_SUCCESS) { /* truncated to fit, like the real one */
            const size_t fits = strnlen(text, length - 1);
            memcpy(name, text, fits);
            name[fits] = '\0';
        }
        return call_end(&call, result);
    }
    return call_end(&call, NVML_ERROR_NOT_FOUND);
}

/* One sample for each process with the key `sm_utilization`, taken at the last full second. */
static nvmlReturn_t get_utilizations(const struct call *call, unsigned long long since, unsigned int *count,
                                     nvmlProcessUtilizationInfo_v1_t *infos) {
    static const char *const KEYS[] = {"sm_utilization",      "utilization_memory", "encoder_utilization",
                                       "decoder_utilization", "jpg_utilization",    "ofa_utilization"};
    nvmlReturn_t result = switched_off(call, "processes");
    const unsigned int room = infos ? *count : 0;
    const unsigned long long now = as_ull((double)as_ull(call->t) * 1e6);
    unsigned int found = 0;
    struct call process;
    size_t i = 0;
    for (const struct part *part; result == NVML_SUCCESS && (part = next_process(call, &i, &process));) {
        if (!profile_find(call->profile, process.unit, "sm_utilization") || now <= since || found++ >= room)
            continue;
        double n[COUNT(KEYS)] = {0};
        for (size_t k = 0; k < COUNT(KEYS) && result == NVML_SUCCESS; k++)
            result = get_or(&process, KEYS[k], 0, &n[k]);
        infos[found - 1] = (nvmlProcessUtilizationInfo_v1_t){.timeStamp = now,
                                                             .pid = part->number,
                                                             .smUtil = as_uint(n[0]),
                                                             .memUtil = as_uint(n[1]),
                                                             .encUtil = as_uint(n[2]),
                                                             .decUtil = as_uint(n[3]),
                                                             .jpgUtil = as_uint(n[4]),
                                                             .ofaUtil = as_uint(n[5])};
    }
    if (result != NVML_SUCCESS)
        return result;
    *count = found;
    if (!found)
        return NVML_ERROR_NOT_FOUND;
    return found > room ? NVML_ERROR_INSUFFICIENT_SIZE : NVML_SUCCESS;
}

EXPORT nvmlReturn_t nvmlDeviceGetProcessesUtilizationInfo(nvmlDevice_t device, nvmlProcessesUtilizationInfo_t *info) {
    BEGIN_DEVICE(info);
    if (info->version != NVML_STRUCT_VERSION(ProcessesUtilizationInfo, 1))
        return call_end(&call, NVML_ERROR_ARGUMENT_VERSION_MISMATCH);
    return call_end(
        &call, get_utilizations(&call, info->lastSeenTimeStamp, &info->processSamplesCount, info->procUtilArray));
}

EXPORT nvmlReturn_t nvmlDeviceGetProcessUtilization(nvmlDevice_t device, nvmlProcessUtilizationSample_t *samples,
                                                    unsigned int *count, unsigned long long since) {
    enum { PROCESSES = 256 };
    BEGIN_DEVICE(count);
    nvmlProcessUtilizationInfo_v1_t infos[PROCESSES];
    unsigned int found = PROCESSES;
    nvmlReturn_t result = get_utilizations(&call, since, &found, infos);
    if (result == NVML_SUCCESS)
        result = fit(found, count, samples);
    for (unsigned int i = 0; result == NVML_SUCCESS && i < found; i++)
        samples[i] = (nvmlProcessUtilizationSample_t){.pid = infos[i].pid,
                                                      .timeStamp = infos[i].timeStamp,
                                                      .smUtil = infos[i].smUtil,
                                                      .memUtil = infos[i].memUtil,
                                                      .encUtil = infos[i].encUtil,
                                                      .decUtil = infos[i].decUtil};
    return call_end(&call, result);
}
