"""What is discovered besides the GPUs: parts of a GPU, and who uses it. One row each, with its metrics."""

from __future__ import annotations

from typing import NamedTuple

from zbx_nvidia.catalog.metrics import (
    CHAR,
    FLOAT,
    GPU_METRICS,
    GPU_RATES,
    HOST_METRICS,
    LIVE,
    PRESENT,
    SLOW,
    STATIC,
    UNSIGNED,
    Metric,
)
from zbx_nvidia.catalog.sampled import GPM_METRICS, SAMPLED_METRICS


class Entity(NamedTuple):
    """A kind of thing besides the GPU that is discovered, and has items of its own.

    Attributes:
        name: Its name in item keys.
        title: Its name for people.
        section: Where the document has its readings, by address, and its discovery rows.
        address: What addresses one in the document and, with commas, in item keys.
        path: The JSONPath of its readings.
        macros: The macros of its discovery rows besides those of the GPU that it is part of.
        prefix: What its names begin with, after those of the GPU.
        filters: What decides whether one is discovered: a macro of the row, and the middle of the user macros
            `{$NVIDIA.<NAME>.MATCHES}` and `{$NVIDIA.<NAME>.NOT_MATCHES}`.
        of_gpu: Whether it is part of a GPU.
        document: The item that it is discovered from.
        text: What it is.
        metrics: What is read of it.
    """

    name: str
    title: str
    section: str
    address: str
    path: str
    macros: tuple[str, ...]
    prefix: str
    filters: tuple[tuple[str, str], ...]
    of_gpu: bool
    document: str
    text: str
    metrics: tuple[Metric, ...]


GPU_FILTERS = (("{#NAME}", "GPU"), ("{#UUID}", "UUID"))
DOCUMENT = "nvidia.get"
LINKS_DOCUMENT = "nvidia.links.get"


def _part(entity: str, group: str, *rows: tuple[str, str, str, str, str, str, str, str, str]) -> tuple[Metric, ...]:
    metrics = []
    for key, name, kind, unit, reader, storage, valuemap, call, text in rows:
        method, _, field = reader.partition(".")
        metrics.append(Metric(entity, key, name, kind, unit, group, method, field, storage, valuemap, call, "", text))
    return tuple(metrics)


_OF_USER = (
    "What the user's processes used of the multiprocessors of all GPUs since the last reading: 100 % is one whole GPU. "
    "With the resident collector only, and not of a GPU in MIG mode."
)

ENTITIES = (
    Entity(
        "fan", "Fan", "fans", "{#UUID}/{#FAN}", "$.fans['{#UUID}/{#FAN}']", ("{#FAN}",), "fan {#FAN}",
        GPU_FILTERS, True, DOCUMENT,
        "Each fan of a card that has more than one; the only fan of a card is the GPU's own “Fan speed”.",
        _part(
            "fan", "fan",
            (
                "speed", "Speed", UNSIGNED, "%", "speed", LIVE, "", "nvmlDeviceGetFanSpeed_v2",
                "Speed that the card asks of this fan; over 100 is possible.",
            ),
            (
                "rpm", "Revolutions", UNSIGNED, "!rpm", "rpm", LIVE, "", "nvmlDeviceGetFanSpeedRPM",
                "Revolutions that the card asks of this fan, not measured ones. Driver branch r570 and newer.",
            ),
        ),
    ),
    Entity(
        "mig", "MIG instance", "mig", "{#MIG}", "$.mig['{#MIG}']", ("{#MIG}", "{#PROFILE}", "{#GI}", "{#CI}"),
        "MIG {#GI}/{#CI} {#PROFILE}",
        GPU_FILTERS, True, DOCUMENT,
        "Each MIG instance, by its UUID. How busy it is, GPM alone says; of all else the GPU counts it as a whole.",
        _part(
            "mig", "mig",
            (
                "profile", "Profile", CHAR, "", "profile", STATIC, "", "nvmlDeviceGetName",
                "Share of the GPU: compute slices and memory.",
            ),
            (
                "memory_total", "Memory total", UNSIGNED, "B", "memory.total", SLOW, "", "nvmlDeviceGetMemoryInfo_v2",
                "Memory of the instance.",
            ),
            (
                "memory_used", "Memory used", UNSIGNED, "B", "memory.used", LIVE, "", "nvmlDeviceGetMemoryInfo_v2",
                "Allocated memory of the instance.",
            ),
            (
                "memory_used_percent", "Memory used in percent", FLOAT, "%", "memory.used_percent", LIVE, "",
                "nvmlDeviceGetMemoryInfo_v2", "Used memory as a share of the instance's total.",
            ),
            (
                "multiprocessors", "Multiprocessors", UNSIGNED, "", "multiprocessors", STATIC, "",
                "nvmlDeviceGetAttributes_v2", "Streaming multiprocessors of the instance.",
            ),
        )
        + tuple(
            metric._replace(
                entity="mig", call="nvmlGpmMigSampleGet, nvmlGpmMetricsGet",
                text=f"{metric.text} Of the GPU instance as a whole.",
            )
            for metric in GPM_METRICS
        ),
    ),
    Entity(
        "vgpu", "vGPU", "vgpus", "{#VGPU}", "$.vgpus['{#VGPU}']", ("{#VGPU}", "{#VM}", "{#PROFILE}"), "vGPU {#VM}",
        GPU_FILTERS, True, DOCUMENT,
        "Each vGPU that runs on a card, as its host sees it.",
        _part(
            "vgpu", "vgpu",
            (
                "profile", "Profile", CHAR, "", "profile", STATIC, "", "nvmlVgpuTypeGetName",
                "Type of the vGPU: card, memory in GiB, and what it is for.",
            ),
            (
                "vm", "Virtual machine", CHAR, "", "vm", STATIC, "", "nvmlVgpuInstanceGetVmID",
                "The virtual machine that has it.",
            ),
            (
                "driver", "Guest driver version", CHAR, "", "driver", STATIC, "", "nvmlVgpuInstanceGetVmDriverVersion",
                "Version of the driver inside the virtual machine; absent while none is loaded.",
            ),
            (
                "license_state", "License state", UNSIGNED, "", "license_state", LIVE, "NVIDIA license state",
                "nvmlVgpuInstanceGetLicenseInfo_v2", "Whether it has its license; without one it is slowed down.",
            ),
            (
                "memory_used", "Memory used", UNSIGNED, "B", "memory_used", LIVE, "", "nvmlVgpuInstanceGetFbUsage",
                "Frame buffer that it uses.",
            ),
            *(
                (
                    f"utilization_{field}" if field != "gpu" else "utilization", f"{word} utilization", UNSIGNED, "%",
                    f"utilization.{field}", LIVE, "", "nvmlDeviceGetVgpuUtilization",
                    f"Share of the card's {what} that it used in the newest sample.",
                )
                for field, word, what in (
                    ("gpu", "GPU", "multiprocessors"),
                    ("memory", "Memory controller", "memory controller"),
                    ("encoder", "Encoder", "video encoder"),
                    ("decoder", "Decoder", "video decoder"),
                )
            ),
        ),
    ),
    Entity(
        "user", "User", "users", "{#USER}", "$.users['{#USER}']", ("{#USER}",), "User {#USER}",
        (("{#USER}", "USER"),), False, DOCUMENT,
        "Each user that has a process on a GPU.",
        _part(
            "user", "users",
            (
                "memory", "GPU memory", UNSIGNED, "B", "", LIVE, "", "nvmlDeviceGetComputeRunningProcesses_v3",
                "Memory of all GPUs that the user's processes hold.",
            ),
            (
                "processes", "GPU processes", UNSIGNED, "", "", LIVE, "", "nvmlDeviceGetComputeRunningProcesses_v3",
                "The user's processes on GPUs.",
            ),
            (
                "gpus", "GPUs in use", UNSIGNED, "", "", LIVE, "", "nvmlDeviceGetComputeRunningProcesses_v3",
                "GPUs on which the user has processes.",
            ),
            (
                "utilization", "GPU utilization", UNSIGNED, "%", "utilization", LIVE, "",
                "nvmlDeviceGetProcessesUtilizationInfo, nvmlDeviceGetProcessUtilization",
                _OF_USER,
            ),
        ),
    ),
    Entity(
        "link", "NVLink", "links", "{#UUID}/{#LINK}", "$.links['{#UUID}'][{#LINK}]", ("{#LINK}",), "NVLink {#LINK}",
        GPU_FILTERS, True, LINKS_DOCUMENT,
        "Each NVLink of each GPU, from a document of its own: 18 links of 8 GPUs are as much as all else together.",
        _part(
            "link", "nvlink",
            (
                "up", "Link up", UNSIGNED, "", "up", LIVE, "NVIDIA yes or no", "nvmlDeviceGetNvLinkState",
                "1 while the link carries data.",
            ),
            (
                "version", "Link version", UNSIGNED, "", "version", STATIC, "NVIDIA NVLink version",
                "nvmlDeviceGetFieldValues", "Generation of the link (NVML field 166).",
            ),
            (
                "speed", "Link speed", FLOAT, "Bps", "speed", SLOW, "", "nvmlDeviceGetFieldValues",
                "What the link can carry one way (NVML field 164).",
            ),
            (
                "replays", "Link replay errors", UNSIGNED, "", "replays", LIVE, "", "nvmlDeviceGetNvLinkErrorCounter",
                "Packets sent again: a counter. Before NVLink 5.",
            ),
            (
                "recoveries", "Link recovery errors", UNSIGNED, "", "recoveries", LIVE, "",
                "nvmlDeviceGetNvLinkErrorCounter", "Times that the link was trained anew: a counter.",
            ),
            (
                "crc", "Link CRC errors", UNSIGNED, "", "crc", LIVE, "", "nvmlDeviceGetNvLinkErrorCounter",
                "Packets with a wrong checksum, of data and of flow control: a counter. Before NVLink 5.",
            ),
            (
                "receive_errors", "Link receive errors", UNSIGNED, "", "receive_errors", LIVE, "",
                "nvmlDeviceGetFieldValues", "Packets received with errors: a counter (NVML field 208). NVLink 5.",
            ),
            (
                "effective_errors", "Link effective errors", UNSIGNED, "", "effective_errors", LIVE, "",
                "nvmlDeviceGetFieldValues", "What the error correction could not put right: a counter. NVLink 5.",
            ),
        )
        + tuple(
            Metric(
                "link", f"{key}_rate", f"Link data {word} per second", FLOAT, "Bps", "nvlink", key, "", LIVE, "",
                "nvmlDeviceGetFieldValues", "", f"Payload {word}, since the last poll (NVML field {field}).",
                counter=key,
            )
            for key, word, field in (("sent", "sent", 138), ("received", "received", 139))
        ),
    ),
)  # fmt: skip

METRICS = (
    *HOST_METRICS,
    PRESENT,
    *GPU_METRICS,
    *GPU_RATES,
    *SAMPLED_METRICS,
    *(metric for entity in ENTITIES for metric in entity.metrics),
)
