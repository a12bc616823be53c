"""What is discovered in addition to the GPUs: parts of a GPU, and its users. One row each, with its metrics."""

# Without `from __future__ import annotations`: typing would compile the text of each annotation at each poll.
from typing import NamedTuple

from zbx_nvidia.catalog.metrics import (
    AVERAGED,
    CHAR,
    FLOAT,
    GPU_METRICS,
    GPU_RATES,
    HOST_METRICS,
    PRESENT,
    STATIC,
    UNSIGNED,
    Metric,
)
from zbx_nvidia.catalog.sampled import GPM_METRICS, SAMPLED_METRICS

DOCUMENT = "nvidia.get"
LINKS_DOCUMENT = "nvidia.links.get"
GPU_FILTERS = (("{#NAME}", "GPU"), ("{#UUID}", "UUID"))


class Entity(NamedTuple):
    """A kind of thing, other than a GPU, that is discovered and has items of its own.

    Attributes:
        name: Its name in item keys.
        title: Its name for people.
        section: Where the document has its readings, by address, and its discovery rows.
        address: What addresses one in the document and, with commas, in item keys.
        path: The JSONPath of its readings.
        macros: The macros of its discovery rows, without those of the GPU that it is part of.
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
    text: str
    metrics: tuple[Metric, ...]
    filters: tuple[tuple[str, str], ...] = GPU_FILTERS
    of_gpu: bool = True
    document: str = DOCUMENT


def _part(entity: str, group: str, *rows: Metric) -> tuple[Metric, ...]:
    return tuple(row._replace(entity=entity, group=group) for row in rows)


_OF_USER = (
    "Usage of the SMs of all GPUs by the user's processes since the last reading. 100 % is one whole GPU. Resident "
    "mode only, without GPUs in MIG mode."
)

ENTITIES = (
    Entity(
        name="fan", title="Fan", section="fans", address="{#UUID}/{#FAN}", path="$.fans['{#UUID}/{#FAN}']",
        macros=("{#FAN}",), prefix="fan {#FAN}",
        text="Fans of cards with more than one fan. For a single fan, see “Fan speed” of the GPU.",
        metrics=_part(
            "fan", "fan",
            Metric(
                key="speed", name="Speed", kind=UNSIGNED, unit="%", reader="speed", call="nvmlDeviceGetFanSpeed_v2",
                text="Speed that the card requests from this fan, not a measured one; can exceed 100 %.",
                limits=(0, 200),
            ),
            Metric(
                key="rpm", name="Speed, in rpm", kind=UNSIGNED, unit="!rpm", reader="rpm",
                call="nvmlDeviceGetFanSpeedRPM",
                text="Speed that the card requests from this fan, not a measured one. Driver branch r570 and newer.",
            ),
        ),
    ),
    Entity(
        name="mig", title="MIG instance", section="mig", address="{#MIG}", path="$.mig['{#MIG}']",
        macros=("{#MIG}", "{#PROFILE}", "{#GI}", "{#CI}"), prefix="MIG {#GI}/{#CI} {#PROFILE}",
        text="MIG instances, by UUID. Only GPM reports their activity; all else exists for the GPU as a whole only.",
        metrics=_part(
            "mig", "mig",
            Metric(
                key="profile", name="Profile", kind=CHAR, storage=STATIC, reader="profile", call="nvmlDeviceGetName",
                text="MIG profile: compute slices and memory.", component="inventory",
            ),
            Metric(
                key="memory_total", name="Memory total", kind=UNSIGNED, unit="B", reader="memory",
                field="total", call="nvmlDeviceGetMemoryInfo_v2",
                text="Memory of the instance.",
            ),
            Metric(
                key="memory_used", name="Memory used", kind=UNSIGNED, unit="B", reader="memory", field="used",
                storage=AVERAGED, call="nvmlDeviceGetMemoryInfo_v2",
                text="Allocated memory of the instance.",
            ),
            Metric(
                key="memory_used_percent", name="Memory used, in %", kind=FLOAT, unit="%", reader="memory",
                storage=AVERAGED, field="used_percent", call="nvmlDeviceGetMemoryInfo_v2",
                text="Used memory in percent of the total of the instance.",
            ),
            Metric(
                key="multiprocessors", name="Multiprocessor count", kind=UNSIGNED, storage=STATIC,
                reader="multiprocessors",
                call="nvmlDeviceGetAttributes_v2",
                text="Streaming multiprocessors (SMs) of the instance.", component="inventory",
            ),
        )
        + tuple(
            metric._replace(
                entity="mig", call="nvmlGpmMigSampleGet, nvmlGpmMetricsGet",
                text=f"{metric.text} For the GPU instance as a whole.",
            )
            for metric in GPM_METRICS
        ),
    ),
    Entity(
        name="vgpu", title="vGPU", section="vgpus", address="{#VGPU}", path="$.vgpus['{#VGPU}']",
        macros=("{#VGPU}", "{#VM}", "{#PROFILE}"), prefix="vGPU {#VM}",
        text="vGPUs that run on a card, as seen by the vGPU host.",
        metrics=_part(
            "vgpu", "vgpu",
            Metric(
                key="profile", name="Profile", kind=CHAR, storage=STATIC, reader="profile", call="nvmlVgpuTypeGetName",
                text="Type of the vGPU: card, memory in GiB, and purpose.", component="inventory",
            ),
            Metric(
                key="vm", name="Virtual machine", kind=CHAR, storage=STATIC, reader="vm",
                call="nvmlVgpuInstanceGetVmID",
                text="Virtual machine that uses the vGPU.", component="inventory",
            ),
            Metric(
                key="driver", name="Guest driver version", kind=CHAR, storage=STATIC, reader="driver",
                call="nvmlVgpuInstanceGetVmDriverVersion",
                text="Driver version in the virtual machine. Absent while none is loaded.", component="inventory",
            ),
            Metric(
                key="license_state", name="License state", kind=UNSIGNED, valuemap="NVIDIA license state",
                reader="license_state", call="nvmlVgpuInstanceGetLicenseInfo_v2",
                text="Whether the vGPU has its license; without one it is slowed down.", component="license",
            ),
            Metric(
                key="memory_used", name="Memory used", kind=UNSIGNED, storage=AVERAGED, unit="B", reader="memory_used",
                call="nvmlVgpuInstanceGetFbUsage",
                text="Frame buffer memory that the vGPU uses.", component="memory",
            ),
            *(
                Metric(
                    key=f"utilization_{field}" if field != "gpu" else "utilization", name=f"{word} utilization",
                    kind=FLOAT, storage=AVERAGED, unit="%", reader="utilization", field=field,
                    call="nvmlDeviceGetVgpuUtilization",
                    text=f"Usage of the {what} of the card by the vGPU, in the latest sample.", component=field,
                )
                for field, word, what in (
                    ("gpu", "GPU", "SMs"),
                    ("memory", "Memory controller", "memory controller"),
                    ("encoder", "Encoder", "video encoder"),
                    ("decoder", "Decoder", "video decoder"),
                )
            ),
        ),
    ),
    Entity(
        name="user", title="User", section="users", address="{#USER}", path="$.users['{#USER}']", macros=("{#USER}",),
        prefix="User {#USER}", filters=(("{#USER}", "USER"),), of_gpu=False,
        text="Users with processes on a GPU.",
        metrics=_part(
            "user", "users",
            Metric(
                key="memory", name="GPU memory used", kind=UNSIGNED, storage=AVERAGED, unit="B",
                call="nvmlDeviceGetComputeRunningProcesses_v3",
                text="Memory that the user's processes use on all GPUs.", component="memory",
            ),
            Metric(
                key="processes", name="GPU processes", kind=UNSIGNED, call="nvmlDeviceGetComputeRunningProcesses_v3",
                text="Number of the user's processes on GPUs.",
            ),
            Metric(
                key="gpus", name="GPUs in use", kind=FLOAT, call="nvmlDeviceGetComputeRunningProcesses_v3",
                storage=AVERAGED,
                text="Number of GPUs with processes of the user.",
            ),
            Metric(
                key="utilization", name="GPU utilization", kind=FLOAT, storage=AVERAGED, unit="%",
                reader="utilization",
                call="nvmlDeviceGetProcessesUtilizationInfo, nvmlDeviceGetProcessUtilization",
                text=_OF_USER, component="gpu", limits=(0, 1_000_000),
            ),
        ),
    ),
    Entity(
        name="link", title="NVLink", section="links", address="{#UUID}/{#LINK}", path="$.links['{#UUID}'][{#LINK}]",
        macros=("{#LINK}",), prefix="NVLink {#LINK}", document=LINKS_DOCUMENT,
        text="Single NVLinks of each GPU. They have a document of their own, because 18 links of 8 GPUs are as much "
        "data as all the rest.",
        metrics=_part(
            "link", "nvlink",
            Metric(
                key="up", name="Link up", kind=UNSIGNED, valuemap="NVIDIA yes or no", reader="up",
                call="nvmlDeviceGetNvLinkState",
                text="1 if the link carries data.",
            ),
            Metric(
                key="version", name="Link version", kind=UNSIGNED, storage=STATIC, valuemap="NVIDIA NVLink version",
                reader="version", call="nvmlDeviceGetFieldValues",
                text="Generation of the link (NVML field 166).",
            ),
            Metric(
                key="speed", name="Link speed", kind=FLOAT, unit="Bps", reader="speed",
                call="nvmlDeviceGetFieldValues",
                text="Maximum throughput in one direction (NVML field 164).",
            ),
            Metric(
                key="replays", name="Link replay errors", kind=UNSIGNED, reader="replays",
                call="nvmlDeviceGetNvLinkErrorCounter",
                text="Packets sent again. Before NVLink 5.",
            ),
            Metric(
                key="recoveries", name="Link recovery errors", kind=UNSIGNED, reader="recoveries",
                call="nvmlDeviceGetNvLinkErrorCounter",
                text="Recoveries of the link by new training.",
            ),
            Metric(
                key="crc", name="Link CRC errors", kind=UNSIGNED, reader="crc", call="nvmlDeviceGetNvLinkErrorCounter",
                text="Packets with a wrong checksum, data and flow control. Before NVLink 5.",
            ),
            Metric(
                key="receive_errors", name="Link receive errors", kind=UNSIGNED, reader="receive_errors",
                call="nvmlDeviceGetFieldValues",
                text="Packets received with errors (NVML field 208). NVLink 5.",
            ),
            Metric(
                key="effective_errors", name="Link effective errors", kind=UNSIGNED, reader="effective_errors",
                call="nvmlDeviceGetFieldValues",
                text="Errors left after error correction. NVLink 5.",
            ),
        )
        + tuple(
            Metric(
                entity="link", key=f"{key}_rate", name=f"Link throughput {word}", kind=FLOAT, unit="Bps",
                group="nvlink", reader=key, call="nvmlDeviceGetFieldValues", counter=key,
                text=f"Payload {word} per second, since the last poll (NVML field {field}).",
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
