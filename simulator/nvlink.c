/*
 * NVLink, the fabric behind it, and the place of the board in it.
 */
#include "call.h"

#include <stdio.h>

/* The fields for one link each: `count` of them from `first` on, for the links from `link` on. */
static const struct {
    unsigned int first, count, link;
    const char *key;
} LINK_FIELDS[] = {
    {NVML_FI_DEV_NVLINK_CRC_FLIT_ERROR_COUNT_L0, 6, 0, "nvlink_crc_flit_errors"},
    {NVML_FI_DEV_NVLINK_CRC_FLIT_ERROR_COUNT_L6, 6, 6, "nvlink_crc_flit_errors"},
    {NVML_FI_DEV_NVLINK_CRC_FLIT_ERROR_COUNT_TOTAL, 1, SUM, "nvlink_crc_flit_errors"},
    {NVML_FI_DEV_NVLINK_CRC_DATA_ERROR_COUNT_L0, 6, 0, "nvlink_crc_data_errors"},
    {NVML_FI_DEV_NVLINK_CRC_DATA_ERROR_COUNT_L6, 6, 6, "nvlink_crc_data_errors"},
    {NVML_FI_DEV_NVLINK_CRC_DATA_ERROR_COUNT_TOTAL, 1, SUM, "nvlink_crc_data_errors"},
    {NVML_FI_DEV_NVLINK_REPLAY_ERROR_COUNT_L0, 6, 0, "nvlink_replay_errors"},
    {NVML_FI_DEV_NVLINK_REPLAY_ERROR_COUNT_L6, 6, 6, "nvlink_replay_errors"},
    {NVML_FI_DEV_NVLINK_REPLAY_ERROR_COUNT_TOTAL, 1, SUM, "nvlink_replay_errors"},
    {NVML_FI_DEV_NVLINK_RECOVERY_ERROR_COUNT_L0, 6, 0, "nvlink_recovery_errors"},
    {NVML_FI_DEV_NVLINK_RECOVERY_ERROR_COUNT_L6, 6, 6, "nvlink_recovery_errors"},
    {NVML_FI_DEV_NVLINK_RECOVERY_ERROR_COUNT_TOTAL, 1, SUM, "nvlink_recovery_errors"},
    {NVML_FI_DEV_NVLINK_ECC_DATA_ERROR_COUNT_L0, 12, 0, "nvlink_ecc_data_errors"},
    {NVML_FI_DEV_NVLINK_ECC_DATA_ERROR_COUNT_TOTAL, 1, SUM, "nvlink_ecc_data_errors"},
    {NVML_FI_DEV_NVLINK_SPEED_MBPS_L0, 6, 0, "nvlink_speed"},
    {NVML_FI_DEV_NVLINK_SPEED_MBPS_L6, 6, 6, "nvlink_speed"},
    {NVML_FI_DEV_NVLINK_SPEED_MBPS_COMMON, 1, 0, "nvlink_speed"},
};

bool nvlink_field(unsigned int id, const char **key, unsigned int *link) {
    for (size_t i = 0; i < COUNT(LINK_FIELDS); i++)
        if (id >= LINK_FIELDS[i].first && id < LINK_FIELDS[i].first + LINK_FIELDS[i].count) {
            *key = LINK_FIELDS[i].key;
            *link = LINK_FIELDS[i].link + (id - LINK_FIELDS[i].first);
            return true;
        }
    return false;
}

nvmlReturn_t nvlink_sum(const struct call *call, const char *key, double *value) {
    char own[64];
    snprintf(own, sizeof own, "%s.sum", key);
    const struct entry *sum = profile_find(call->profile, call->unit, own);
    if (sum)
        return call_entry(call, sum, 0, value);
    double links = 0;
    nvmlReturn_t result = call_number(call, "nvlink_count", &links);
    *value = 0;
    for (unsigned int link = 0; result == NVML_SUCCESS && link < links; link++) {
        double own_value = 0;
        result = call_scoped(call, key, link, &own_value);
        *value += own_value;
    }
    return result;
}

/* A card without NVLink does not support the call; on others, a number beyond the last link is a wrong argument. */
static nvmlReturn_t check_link(const struct call *call, unsigned int link) {
    double links = 0;
    const nvmlReturn_t result = call_number(call, "nvlink_count", &links);
    return result == NVML_SUCCESS && link >= links ? NVML_ERROR_INVALID_ARGUMENT : result;
}

static nvmlReturn_t get_link(const struct call *call, const char *key, unsigned int link, double *value) {
    const nvmlReturn_t result = check_link(call, link);
    return result == NVML_SUCCESS ? call_scoped(call, key, link, value) : result;
}

EXPORT nvmlReturn_t nvmlDeviceGetNvLinkState(nvmlDevice_t device, unsigned int link, nvmlEnableState_t *state) {
    BEGIN_DEVICE(state);
    double number = 0;
    const nvmlReturn_t result = get_link(&call, "nvlink_state", link, &number);
    if (result == NVML_SUCCESS)
        STORE(state, number);
    return call_end(&call, result);
}

EXPORT nvmlReturn_t nvmlDeviceGetNvLinkVersion(nvmlDevice_t device, unsigned int link, unsigned int *version) {
    BEGIN_DEVICE(version);
    double number = 0;
    const nvmlReturn_t result = get_link(&call, "nvlink_version", link, &number);
    if (result == NVML_SUCCESS)
        STORE(version, number);
    return call_end(&call, result);
}

EXPORT nvmlReturn_t nvmlDeviceGetNvLinkCapability(nvmlDevice_t device, unsigned int link,
                                                  nvmlNvLinkCapability_t capability, unsigned int *has) {
    static const char *const KEYS[] = {
        [NVML_NVLINK_CAP_P2P_SUPPORTED] = "nvlink_p2p_supported",
        [NVML_NVLINK_CAP_SYSMEM_ACCESS] = "nvlink_sysmem_access",
        [NVML_NVLINK_CAP_P2P_ATOMICS] = "nvlink_p2p_atomics",
        [NVML_NVLINK_CAP_SYSMEM_ATOMICS] = "nvlink_sysmem_atomics",
        [NVML_NVLINK_CAP_SLI_BRIDGE] = "nvlink_sli_bridge",
        [NVML_NVLINK_CAP_VALID] = "nvlink_valid",
    };
    BEGIN_DEVICE(has && (unsigned int)capability < COUNT(KEYS));
    double number = 0;
    const nvmlReturn_t result = get_link(&call, KEYS[capability], link, &number);
    if (result == NVML_SUCCESS)
        STORE(has, number);
    return call_end(&call, result);
}

EXPORT nvmlReturn_t nvmlDeviceGetNvLinkErrorCounter(nvmlDevice_t device, unsigned int link,
                                                    nvmlNvLinkErrorCounter_t counter, unsigned long long *errors) {
    static const char *const KEYS[] = {
        [NVML_NVLINK_ERROR_DL_REPLAY] = "nvlink_replay_errors",
        [NVML_NVLINK_ERROR_DL_RECOVERY] = "nvlink_recovery_errors",
        [NVML_NVLINK_ERROR_DL_CRC_FLIT] = "nvlink_crc_flit_errors",
        [NVML_NVLINK_ERROR_DL_CRC_DATA] = "nvlink_crc_data_errors",
        [NVML_NVLINK_ERROR_DL_ECC_DATA] = "nvlink_ecc_data_errors",
    };
    BEGIN_DEVICE(errors && (unsigned int)counter < COUNT(KEYS));
    double number = 0;
    const nvmlReturn_t result = get_link(&call, KEYS[counter], link, &number);
    if (result == NVML_SUCCESS)
        STORE(errors, number);
    return call_end(&call, result);
}

EXPORT nvmlReturn_t nvmlDeviceGetNvLinkRemoteDeviceType(nvmlDevice_t device, unsigned int link,
                                                        nvmlIntNvLinkDeviceType_t *type) {
    BEGIN_DEVICE(type);
    double number = 0;
    const nvmlReturn_t result = get_link(&call, "nvlink_remote_device_type", link, &number);
    if (result == NVML_SUCCESS)
        STORE(type, number);
    return call_end(&call, result);
}

/* Of the other end, only the PCI address is known. */
EXPORT nvmlReturn_t nvmlDeviceGetNvLinkRemotePciInfo_v2(nvmlDevice_t device, unsigned int link, nvmlPciInfo_t *pci) {
    BEGIN_DEVICE(pci);
    nvmlReturn_t result = check_link(&call, link);
    if (result == NVML_SUCCESS) {
        const struct entry *entry = call_find_scoped(&call, "nvlink_remote_pci_bus_id", link);
        result = call_obey(entry);
        if (result == NVML_SUCCESS)
            result = read_pci(entry->value, pci);
    }
    return call_end(&call, result);
}

/* 16 bytes in hexadecimal, with optional dashes. */
static bool read_uuid(const char *text, unsigned char uuid[NVML_GPU_FABRIC_UUID_LEN]) {
    for (size_t i = 0; i < NVML_GPU_FABRIC_UUID_LEN; i++) {
        unsigned int byte = 0;
        text += strspn(text, "-");
        if (strspn(text, "0123456789abcdefABCDEF") < 2 || sscanf(text, "%2x", &byte) != 1)
            return false;
        uuid[i] = (unsigned char)byte;
        text += 2;
    }
    return !*text;
}

static nvmlReturn_t get_fabric(const struct call *call, nvmlGpuFabricInfo_v3_t *info) {
    double n[3], mask = 0, summary = 0;
    const char *uuid = NULL;
    nvmlReturn_t result = GET_NUMBERS(call, n, "fabric_state", "fabric_status", "fabric_clique_id");
    if (result == NVML_SUCCESS)
        result = call_text(call, "fabric_cluster_uuid", &uuid);
    if (result != NVML_SUCCESS)
        return result;
    /* A driver without information on the fabric's health returns zeros. */
    if (call_number(call, "fabric_health_mask", &mask) != NVML_SUCCESS)
        mask = 0;
    if (call_number(call, "fabric_health_summary", &summary) != NVML_SUCCESS)
        summary = 0;
    info->state = (nvmlGpuFabricState_t)as_uint(n[0]);
    info->status = as_uint(n[1]);
    info->cliqueId = as_uint(n[2]);
    info->healthMask = as_uint(mask);
    info->healthSummary = (unsigned char)as_uint(summary);
    return read_uuid(uuid, info->clusterUuid) ? NVML_SUCCESS : NVML_ERROR_UNKNOWN;
}

/* Writes the members one by one: like with the real driver, the caller's padding between them is not changed. */
#define COPY_FABRIC(to, from)                                                                                          \
    do {                                                                                                               \
        memcpy((to)->clusterUuid, (from).clusterUuid, sizeof(from).clusterUuid);                                       \
        (to)->status = (from).status;                                                                                  \
        (to)->cliqueId = (from).cliqueId;                                                                              \
        (to)->state = (from).state;                                                                                    \
    } while (0)

EXPORT nvmlReturn_t nvmlDeviceGetGpuFabricInfo(nvmlDevice_t device, nvmlGpuFabricInfo_t *info) {
    BEGIN_DEVICE(info);
    nvmlGpuFabricInfo_v3_t whole;
    const nvmlReturn_t result = get_fabric(&call, &whole);
    if (result == NVML_SUCCESS)
        COPY_FABRIC(info, whole);
    return call_end(&call, result);
}

/* Versions 2 and 3, which have the same first members. */
EXPORT nvmlReturn_t nvmlDeviceGetGpuFabricInfoV(nvmlDevice_t device, nvmlGpuFabricInfoV_t *info) {
    BEGIN_DEVICE(info);
    const bool third = info->version == NVML_STRUCT_VERSION(GpuFabricInfo, 3);
    if (!third && info->version != NVML_STRUCT_VERSION(GpuFabricInfo, 2))
        return call_end(&call, NVML_ERROR_ARGUMENT_VERSION_MISMATCH);
    nvmlGpuFabricInfo_v3_t whole;
    const nvmlReturn_t result = get_fabric(&call, &whole);
    if (result == NVML_SUCCESS) {
        COPY_FABRIC(info, whole);
        info->healthMask = whole.healthMask;
        if (third)
            info->healthSummary = whole.healthSummary;
    }
    return call_end(&call, result);
}

/* Where the board sits in its rack. */
EXPORT nvmlReturn_t nvmlDeviceGetPlatformInfo(nvmlDevice_t device, nvmlPlatformInfo_t *info) {
    BEGIN_DEVICE(info);
    if (info->version != NVML_STRUCT_VERSION(PlatformInfo, 2))
        return call_end(&call, NVML_ERROR_ARGUMENT_VERSION_MISMATCH);
    double n[5];
    const char *serial = NULL;
    nvmlReturn_t result = GET_NUMBERS(&call, n, "platform_slot", "platform_tray", "platform_host_id",
                                      "platform_peer_type", "platform_module_id");
    if (result == NVML_SUCCESS)
        result = call_text(&call, "platform_chassis_serial", &serial);
    if (result == NVML_SUCCESS) {
        memset(info->ibGuid, 0, sizeof info->ibGuid);
        /* Like the real driver's: without a zero at the end if it fills its place. */
        memset(info->chassisSerialNumber, 0, sizeof info->chassisSerialNumber);
        memcpy(info->chassisSerialNumber, serial, strnlen(serial, sizeof info->chassisSerialNumber));
        info->slotNumber = (unsigned char)as_uint(n[0]);
        info->trayIndex = (unsigned char)as_uint(n[1]);
        info->hostId = (unsigned char)as_uint(n[2]);
        info->peerType = (unsigned char)as_uint(n[3]);
        info->moduleId = (unsigned char)as_uint(n[4]);
    }
    return call_end(&call, result);
}

/* The identity of the chip, which no other board has. */
EXPORT nvmlReturn_t nvmlDeviceGetPdi(nvmlDevice_t device, nvmlPdi_v1_t *pdi) {
    BEGIN_DEVICE(pdi);
    if (pdi->version != NVML_STRUCT_VERSION(Pdi, 1))
        return call_end(&call, NVML_ERROR_ARGUMENT_VERSION_MISMATCH);
    double number = 0;
    const nvmlReturn_t result = call_number(&call, "pdi", &number);
    if (result == NVML_SUCCESS)
        pdi->value = as_ull(number);
    return call_end(&call, result);
}
