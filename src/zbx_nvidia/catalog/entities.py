"""What is discovered besides the GPUs: parts of a GPU, and who uses it. One row each, with its metrics."""

# Without `from __future__ import annotations`: typing would compile the text of each annotation at each poll.
from typing import NamedTuple

from zbx_nvidia.catalog.metrics import (
    CHAR,
    FLOAT,
    GPU_METRICS,
    GPU_RATES,
    HOST_METRICS,
    PRESENT,
    SLOW,
    STATIC,
    UNSIGNED,
    Metric,
)
from zbx_nvidia.catalog.sampled import GPM_METRICS, SAMPLED_METRICS

DOCUMENT = "nvidia.get"
LINKS_DOCUMENT = "nvidia.links.get"
GPU_FILTERS = (("{#NAME}", "GPU"), ("{#UUID}", "UUID"))


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
    text: str
    metrics: tuple[Metric, ...]
    filters: tuple[tuple[str, str], ...] = GPU_FILTERS
    of_gpu: bool = True
    document: str = DOCUMENT


def _part(entity: str, group: str, *rows: Metric) -> tuple[Metric, ...]:
    return tuple(row._replace(entity=entity, group=group) for row in rows)


_OF_USER = (
    "What the user's processes used of the multiprocessors of all GPUs since the last reading: 100 % is one whole GPU. "
    "With the resident collector only, and not of a GPU in MIG mode."
)

ENTITIES = (
    Entity(
        name="fan", title="Fan", section="fans", address="{#UUID}/{#FAN}", path="$.fans['{#UUID}/{#FAN}']",
        macros=("{#FAN}",), prefix="fan {#FAN}",
        text="Each fan of a card that has more than one; the only fan of a card is the GPU's own “Fan speed”.",
        metrics=_part(
            "fan", "fan",
            Metric(
                key="speed", name="Speed", kind=UNSIGNED, unit="%", reader="speed", call="nvmlDeviceGetFanSpeed_v2",
                text="Speed that the card asks of this fan; over 100 is possible.",
            ),
            Metric(
                key="rpm", name="Revolutions", kind=UNSIGNED, unit="!rpm", reader="rpm",
                call="nvmlDeviceGetFanSpeedRPM",
                text="Revolutions that the card asks of this fan, not measured ones. Driver branch r570 and newer.",
            ),
        ),
    ),
    Entity(
        name="mig", title="MIG instance", section="mig", address="{#MIG}", path="$.mig['{#MIG}']",
        macros=("{#MIG}", "{#PROFILE}", "{#GI}", "{#CI}"), prefix="MIG {#GI}/{#CI} {#PROFILE}",
        text="Each MIG instance, by its UUID. How busy it is, GPM alone says; of all else the GPU counts it as a "
        "whole.",
        metrics=_part(
            "mig", "mig",
            Metric(
                key="profile", name="Profile", kind=CHAR, storage=STATIC, reader="profile", call="nvmlDeviceGetName",
                text="Share of the GPU: compute slices and memory.",
            ),
            Metric(
                key="memory_total", name="Memory total", kind=UNSIGNED, unit="B", storage=SLOW, reader="memory",
                field="total", call="nvmlDeviceGetMemoryInfo_v2",
                text="Memory of the instance.",
            ),
            Metric(
                key="memory_used", name="Memory used", kind=UNSIGNED, unit="B", reader="memory", field="used",
                call="nvmlDeviceGetMemoryInfo_v2",
                text="Allocated memory of the instance.",
            ),
            Metric(
                key="memory_used_percent", name="Memory used in percent", kind=FLOAT, unit="%", reader="memory",
                field="used_percent", call="nvmlDeviceGetMemoryInfo_v2",
                text="Used memory as a share of the instance's total.",
            ),
            Metric(
                key="multiprocessors", name="Multiprocessors", kind=UNSIGNED, storage=STATIC, reader="multiprocessors",
                call="nvmlDeviceGetAttributes_v2",
                text="Streaming multiprocessors of the instance.",
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
        name="vgpu", title="vGPU", section="vgpus", address="{#VGPU}", path="$.vgpus['{#VGPU}']",
        macros=("{#VGPU}", "{#VM}", "{#PROFILE}"), prefix="vGPU {#VM}",
        text="Each vGPU that runs on a card, as its host sees it.",
        metrics=_part(
            "vgpu", "vgpu",
            Metric(
                key="profile", name="Profile", kind=CHAR, storage=STATIC, reader="profile", call="nvmlVgpuTypeGetName",
                text="Type of the vGPU: card, memory in GiB, and what it is for.",
            ),
            Metric(
                key="vm", name="Virtual machine", kind=CHAR, storage=STATIC, reader="vm",
                call="nvmlVgpuInstanceGetVmID",
                text="The virtual machine that has it.",
            ),
            Metric(
                key="driver", name="Guest driver version", kind=CHAR, storage=STATIC, reader="driver",
                call="nvmlVgpuInstanceGetVmDriverVersion",
                text="Version of the driver inside the virtual machine; absent while none is loaded.",
            ),
            Metric(
                key="license_state", name="License state", kind=UNSIGNED, valuemap="NVIDIA license state",
                reader="license_state", call="nvmlVgpuInstanceGetLicenseInfo_v2",
                text="Whether it has its license; without one it is slowed down.",
            ),
            Metric(
                key="memory_used", name="Memory used", kind=UNSIGNED, unit="B", reader="memory_used",
                call="nvmlVgpuInstanceGetFbUsage",
                text="Frame buffer that it uses.",
            ),
            *(
                Metric(
                    key=f"utilization_{field}" if field != "gpu" else "utilization", name=f"{word} utilization",
                    kind=UNSIGNED, unit="%", reader="utilization", field=field, call="nvmlDeviceGetVgpuUtilization",
                    text=f"Share of the card's {what} that it used in the newest sample.",
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
        name="user", title="User", section="users", address="{#USER}", path="$.users['{#USER}']", macros=("{#USER}",),
        prefix="User {#USER}", filters=(("{#USER}", "USER"),), of_gpu=False,
        text="Each user that has a process on a GPU.",
        metrics=_part(
            "user", "users",
            Metric(
                key="memory", name="GPU memory", kind=UNSIGNED, unit="B",
                call="nvmlDeviceGetComputeRunningProcesses_v3",
                text="Memory of all GPUs that the user's processes hold.",
            ),
            Metric(
                key="processes", name="GPU processes", kind=UNSIGNED, call="nvmlDeviceGetComputeRunningProcesses_v3",
                text="The user's processes on GPUs.",
            ),
            Metric(
                key="gpus", name="GPUs in use", kind=UNSIGNED, call="nvmlDeviceGetComputeRunningProcesses_v3",
                text="GPUs on which the user has processes.",
            ),
            Metric(
                key="utilization", name="GPU utilization", kind=UNSIGNED, unit="%", reader="utilization",
                call="nvmlDeviceGetProcessesUtilizationInfo, nvmlDeviceGetProcessUtilization",
                text=_OF_USER,
            ),
        ),
    ),
    Entity(
        name="link", title="NVLink", section="links", address="{#UUID}/{#LINK}", path="$.links['{#UUID}'][{#LINK}]",
        macros=("{#LINK}",), prefix="NVLink {#LINK}", document=LINKS_DOCUMENT,
        text="Each NVLink of each GPU, from a document of its own: 18 links of 8 GPUs are as much as all else "
        "together.",
        metrics=_part(
            "link", "nvlink",
            Metric(
                key="up", name="Link up", kind=UNSIGNED, valuemap="NVIDIA yes or no", reader="up",
                call="nvmlDeviceGetNvLinkState",
                text="1 while the link carries data.",
            ),
            Metric(
                key="version", name="Link version", kind=UNSIGNED, storage=STATIC, valuemap="NVIDIA NVLink version",
                reader="version", call="nvmlDeviceGetFieldValues",
                text="Generation of the link (NVML field 166).",
            ),
            Metric(
                key="speed", name="Link speed", kind=FLOAT, unit="Bps", storage=SLOW, reader="speed",
                call="nvmlDeviceGetFieldValues",
                text="What the link can carry one way (NVML field 164).",
            ),
            Metric(
                key="replays", name="Link replay errors", kind=UNSIGNED, reader="replays",
                call="nvmlDeviceGetNvLinkErrorCounter",
                text="Packets sent again: a counter. Before NVLink 5.",
            ),
            Metric(
                key="recoveries", name="Link recovery errors", kind=UNSIGNED, reader="recoveries",
                call="nvmlDeviceGetNvLinkErrorCounter",
                text="Times that the link was trained anew: a counter.",
            ),
            Metric(
                key="crc", name="Link CRC errors", kind=UNSIGNED, reader="crc", call="nvmlDeviceGetNvLinkErrorCounter",
                text="Packets with a wrong checksum, of data and of flow control: a counter. Before NVLink 5.",
            ),
            Metric(
                key="receive_errors", name="Link receive errors", kind=UNSIGNED, reader="receive_errors",
                call="nvmlDeviceGetFieldValues",
                text="Packets received with errors: a counter (NVML field 208). NVLink 5.",
            ),
            Metric(
                key="effective_errors", name="Link effective errors", kind=UNSIGNED, reader="effective_errors",
                call="nvmlDeviceGetFieldValues",
                text="What the error correction could not put right: a counter. NVLink 5.",
            ),
        )
        + tuple(
            Metric(
                entity="link", key=f"{key}_rate", name=f"Link data {word} per second", kind=FLOAT, unit="Bps",
                group="nvlink", reader=key, call="nvmlDeviceGetFieldValues", counter=key,
                text=f"Payload {word}, since the last poll (NVML field {field}).",
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
