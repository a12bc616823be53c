"""What other products measure and alert on, row by row: what covers it here, or why nothing does.

The rows are the union of fifteen products (nvidia-smi based templates, exporters, DCGM, fleet scripts). A test compares
the references with the catalog, so nothing is dropped unnoticed. docs/COVERAGE.md shows it.
"""

from __future__ import annotations

from typing import NamedTuple


class Row(NamedTuple):
    """A metric or an alert of other products.

    Attributes:
        name: What it is.
        served: References of metrics, or keys of alerts, that cover it here.
        why: If nothing, or not everything, does: why.
    """

    name: str
    served: tuple[str, ...]
    why: str = ""


METRICS = (
    Row("GPU utilization", ("gpu.utilization",)),
    Row("Memory controller utilization", ("gpu.utilization_memory",)),
    Row("Memory used, total", ("gpu.memory_used", "gpu.memory_total", "gpu.memory_used_percent")),
    Row("Memory free", ("gpu.memory_free",)),
    Row("Memory reserved", ("gpu.memory_reserved",)),
    Row("BAR1", ("gpu.bar1_total", "gpu.bar1_used")),
    Row("GPU temperature", ("gpu.temperature",)),
    Row("Memory temperature (HBM)", ("gpu.temperature_memory",)),
    Row(
        "Absolute thresholds",
        ("gpu.temperature_slowdown", "gpu.temperature_shutdown", "gpu.temperature_max", "gpu.temperature_memory_max"),
    ),
    Row(
        "Margin to the limit (T.Limit)",
        (
            "gpu.temperature_margin",
            "gpu.temperature_slowdown_margin",
            "gpu.temperature_shutdown_margin",
            "gpu.temperature_max_margin",
            "gpu.temperature_memory_max_margin",
        ),
    ),
    Row("Fans", ("gpu.fan_speed", "gpu.fan_rpm", "fan.speed", "fan.rpm")),
    Row("Voltage", (), "NVML does not report it. nvidia-smi shows it on few boards, through a private call."),
    Row("Power draw", ("gpu.power", "gpu.power_instant", "gpu.power_average", "gpu.power_mean")),
    Row("Power limit", ("gpu.power_limit", "gpu.power_limit_requested")),
    Row("Enforced limit as its own value", ("gpu.power_limit",)),
    Row("Lowest, highest, default limit", ("gpu.power_limit_min", "gpu.power_limit_max", "gpu.power_limit_default")),
    Row("Energy counter", ("gpu.energy",)),
    Row("Clock SM, memory", ("gpu.clock_sm", "gpu.clock_memory")),
    Row("Clock graphics, video", ("gpu.clock_graphics", "gpu.clock_video")),
    Row(
        "Highest clocks",
        ("gpu.clock_sm_max", "gpu.clock_memory_max", "gpu.clock_graphics_max", "gpu.clock_video_max"),
    ),
    Row(
        "Clock-event (throttle) reasons, now",
        (
            "gpu.throttle_sw_power_cap",
            "gpu.throttle_hw_slowdown",
            "gpu.throttle_sync_boost",
            "gpu.throttle_sw_thermal",
            "gpu.throttle_hw_thermal",
            "gpu.throttle_power_brake",
        ),
        "Idle, display clock and application clocks are no throttling.",
    ),
    Row(
        "Throttle time counters",
        (
            "gpu.throttle_time_power",
            "gpu.throttle_time_sw_thermal",
            "gpu.throttle_time_hw_thermal",
            "gpu.throttle_time_power_brake",
        ),
    ),
    Row("Performance state", ("gpu.performance_state",)),
    Row("PCIe generation, width, now", ("gpu.pcie_generation", "gpu.pcie_width")),
    Row("PCIe generation, width, maximum", ("gpu.pcie_generation_max", "gpu.pcie_width_max")),
    Row(
        "PCIe throughput",
        ("gpu.sampled_pcie_sent", "gpu.sampled_pcie_received"),
        "Resident mode only: a reading takes 40 ms per GPU, and the byte counters wrap too soon.",
    ),
    Row("PCIe replay counter", ("gpu.pcie_replays", "gpu.pcie_replay_rate")),
    Row("ECC mode", ("gpu.ecc_mode",)),
    Row(
        "ECC corrected, uncorrected",
        (
            "gpu.ecc_corrected_volatile",
            "gpu.ecc_uncorrected_volatile",
            "gpu.ecc_sram_uncorrected_volatile",
            "gpu.ecc_dram_uncorrected_volatile",
        ),
        "Not the place in the SRAM and its threshold (nvmlDeviceGetSramEccErrorStatus): the driver reports them to "
        "root only, and the agent is not root.",
    ),
    Row("ECC volatile and aggregate", ("gpu.ecc_corrected_aggregate", "gpu.ecc_uncorrected_aggregate")),
    Row("Retired pages", ("gpu.retired_pages_single", "gpu.retired_pages_double", "gpu.retired_pages_pending")),
    Row("Remapped rows", ("gpu.remapped_corrected", "gpu.remapped_uncorrected")),
    Row("Row remap pending", ("gpu.remap_pending",)),
    Row("Row remap failure", ("gpu.remap_failure",)),
    Row(
        "NVLink state and speed",
        ("gpu.nvlink_up", "gpu.nvlink_links", "gpu.nvlink_speed", "link.up", "link.version", "link.speed"),
    ),
    Row(
        "NVLink error counters",
        (
            "gpu.nvlink_replays",
            "gpu.nvlink_recoveries",
            "gpu.nvlink_crc",
            "gpu.nvlink_receive_errors",
            "gpu.nvlink_effective_errors",
            "gpu.nvlink_recoveries_failed",
            "link.replays",
            "link.recoveries",
            "link.crc",
            "link.receive_errors",
            "link.effective_errors",
        ),
    ),
    Row(
        "NVLink throughput",
        ("gpu.nvlink_sent_rate", "gpu.nvlink_received_rate", "link.sent_rate", "link.received_rate"),
    ),
    Row("Encoder, decoder utilization", ("gpu.utilization_encoder", "gpu.utilization_decoder")),
    Row("JPEG, OFA utilization", ("gpu.utilization_jpeg", "gpu.utilization_ofa")),
    Row("Encoder sessions, rate, latency", ("gpu.encoder_sessions", "gpu.encoder_fps", "gpu.encoder_latency")),
    Row("Frame capture (FBC)", ("gpu.capture_sessions", "gpu.capture_fps", "gpu.capture_latency")),
    Row("Compute mode", ("gpu.compute_mode",)),
    Row("Persistence mode", ("gpu.persistence_mode",)),
    Row("MIG mode", ("gpu.mig_mode",)),
    Row("MIG instances listed", ("mig.profile", "mig.multiprocessors")),
    Row("MIG memory by instance", ("mig.memory_used", "mig.memory_total", "mig.memory_used_percent")),
    Row(
        "MIG utilization by instance",
        ("mig.gpm_sm", "mig.gpm_occupancy", "mig.gpm_tensor", "mig.gpm_memory", "mig.gpm_graphics"),
        "Resident mode only, Hopper and newer: NVML reports it through GPM only.",
    ),
    Row(
        "Processes",
        ("gpu.processes", "gpu.process_oldest", "gpu.process_list", "gpu.job", "user.memory", "user.gpus"),
        "Names without arguments by default: arguments can hold secrets.",
    ),
    Row(
        "Utilization by process",
        ("gpu.process_list", "user.utilization"),
        "Resident mode only: the driver reports what happened since a time. Not for GPUs in MIG mode.",
    ),
    Row("Accounting mode", ("gpu.accounting_mode",)),
    Row(
        "vGPU",
        ("gpu.virtualization_mode", "gpu.vgpus", "gpu.license_state", "vgpu.memory_used", "vgpu.utilization"),
    ),
    Row(
        "XID events",
        ("gpu.xid_last", "gpu.xid_last_time", "gpu.xid_recent", "gpu.xid_count", "gpu.xid_events"),
        "Resident mode only: the driver reports them only to a process that has asked for them before.",
    ),
    Row("Driver version", ("host.driver_version",)),
    Row("CUDA version", ("host.cuda_version",)),
    Row("VBIOS version", ("gpu.vbios",)),
    Row("Serial number", ("gpu.serial",)),
    Row("UUID as identity", ("gpu.uuid", "gpu.present")),
    Row("Board part number", ("gpu.board_part_number",)),
    Row(
        "SM activity and occupancy, tensor, DRAM (GPM)",
        ("gpu.gpm_sm", "gpu.gpm_occupancy", "gpu.gpm_tensor", "gpu.gpm_memory", "gpu.gpm_graphics"),
        "Resident mode only: NVML calculates them between two samples.",
    ),
    Row("Confidential computing", ("gpu.cc_feature", "gpu.cc_environment", "gpu.protected_used")),
    Row("Fabric state", ("gpu.fabric_state", "gpu.fabric_status")),
    Row("Fabric health", ("gpu.fabric_health", "gpu.fabric_faults")),
    Row(
        "Fabric clique, cluster",
        ("gpu.fabric_clique", "gpu.fabric_cluster"),
        "Of the first clique. nvmlDeviceGetGpuFabricInfo_v4 has all, but no card was available that has several.",
    ),
    Row("Repair status", ("gpu.repair_channel_pending", "gpu.repair_tpc_pending")),
    Row("Power of the memory", ("gpu.power_memory",)),
    Row("Power of the module (GPU and CPU)", (), "The host's own sensors have it, and it is no reading of a GPU."),
    Row("Chip identity (PDI)", ("gpu.pdi",)),
    Row(
        "PCIe errors by kind",
        (),
        "The kernel counts and reports them (AER). The alert on replays has the same causes.",
    ),
    Row("Chip-to-chip links (C2C)", (), "XID 121 and its alert report their errors."),
    Row(
        "Bit error rates, FEC history, telemetry of NVLink",
        (),
        "For NVIDIA's diagnostics. Effective errors and recoveries say whether a link harms jobs.",
    ),
    Row("NVLink encryption, firmware", (), "A setting of the site. It does not change while the driver is loaded."),
    Row("NVLink bandwidth mode, low power states", (), "Settings that the driver applies by itself."),
    Row("Power smoothing, EDPp, power balancing", (), "Settings. Their faults are XIDs 162 to 165."),
    Row(
        "Inactive row remappings, bank remapping",
        (),
        "No card was available that has them. Pending and failed remappings have alerts.",
    ),
    Row("Unique SRAM errors", (), "For root only, and the agent is not root."),
    Row("DRAM encryption, addressing mode, hostname", (), "Settings, and no state that an operator must watch."),
    Row("Memory clock switches, MMA stalls", (), "For a profiler. GPM has what an operator needs."),
    Row("vGPU scheduler, placement", (), "Settings of the vGPU host."),
    Row("Recovery action", ("gpu.recovery_action",)),
    Row("InfoROM", ("gpu.inforom",)),
    Row("GSP firmware", ("gpu.gsp_firmware",)),
    Row(
        "GPU count, GPU lost",
        (
            "host.gpu_count",
            "host.gpus_lost",
            "host.gpus_sick",
            "host.gpus_refused",
            "host.gpus_bound",
            "host.gpus_asleep",
            "gpu.asleep",
            "gpu.present",
        ),
    ),
    Row(
        "The collector's own health",
        (
            "status.code",
            "timestamp",
            "collector.duration",
            "collector.driver_time",
            "collector.driver_cpu",
            "collector.error_count",
            "collector.left_out",
            "collector.version",
        ),
    ),
)

ALERTS = (
    Row("GPU temperature", ("temperature", "temperature_margin")),
    Row(
        "Memory temperature (HBM)",
        ("memory_temperature", "memory_hot"),
        "V100 and A100 report a limit. For Hopper and newer, set `{$NVIDIA.TEMP.MEMORY.MAX}`.",
    ),
    Row("Fewer GPUs than on the bus", ("bound",)),
    Row("Host too busy to read its GPUs", ("busy",)),
    Row("Hardware thermal slowdown", ("hw_thermal",)),
    Row("Software thermal slowdown", ("sw_thermal",)),
    Row("Power brake", ("power_brake",), "No alert at the power limit: a card at work is at its limit."),
    Row("High utilization, memory, encoder, decoder", (), "No fault: the card is at work."),
    Row("Fan", ("fan",)),
    Row("No data, collector fails", ("nodata", "stale", "clock", "driver", "slow", "errors", "left_out")),
    Row("GPU missing, lost", ("lost", "sick", "count", "missing")),
    Row("Recovery action", ("recovery", "recovery_imex")),
    Row(
        "XID",
        (
            "xid_reset",
            "xid_restart",
            "xid_support",
            "xid_fabric",
            "xid_repeated",
            "xid_hardware",
            "xid_application",
            "xid_info",
            "sxid",
        ),
        "Resident mode only.",
    ),
    Row("Uncorrectable ECC", ("ecc_uncorrected",)),
    Row("Corrected ECC rate", ("ecc_corrected",)),
    Row("Row remap failure", ("remap_failure",)),
    Row("Row remap pending", ("remap_pending",)),
    Row("Uncorrectable remapped rows", ("remap_many",)),
    Row("Retired pages", ("retired_pending", "retired_many")),
    Row("Memory unrepairable", ("memory_unrepairable",)),
    Row("PCIe replay rate", ("pcie_replays",)),
    Row("PCIe generation, width downgrade", ("pcie_width", "pcie_width_slot", "pcie_generation")),
    Row("NVLink errors", ("nvlink_errors", "nvlink_recoveries", "nvlink5_errors", "nvlink_crc")),
    Row("NVLink slower than its version", ("nvlink_slow",)),
    Row("Fabric health", ("fabric_health",)),
    Row("Repair pending", ("repair_pending",)),
    Row("NVLink inactive", ("nvlink_down",)),
    Row("InfoROM corrupt", (), "nvmlDeviceValidateInforom holds a lock for long, so a poll must not call it."),
    Row("Fabric manager, fabric state", ("fabric",)),
    Row("Persistence off", ("persistence_expected",)),
    Row("ECC disabled", ("ecc_expected",)),
    Row("Driver, VBIOS differs from the fleet", ("driver_version", "vbios", "mig_expected", "power_expected")),
    Row("Clocks below minimum", (), "An idle card is below any minimum. For a card at work, see `stall`."),
    Row("vGPU license", ("license",)),
    Row("Idle or stalled, old processes", ("idle", "job_idle", "stall", "abandoned", "old_process")),
)


def covered() -> str:
    """docs/COVERAGE.md."""
    parts = [
        "<!-- Generated by `make generate`: change scripts/generate/coverage.py, then run it again. -->\n",
        "# Coverage\n",
        "What fifteen other products measure and alert on, and what covers it here.\n",
    ]
    for title, rows in (("Metrics", METRICS), ("Alerts", ALERTS)):
        done = sum(bool(row.served) for row in rows)
        parts += [
            f"## {title}\n",
            f"{done} of {len(rows)} rows are covered.\n",
            "| What | Covered by | Remarks |",
            "|---|---|---|",
        ]
        parts += [f"| {row.name} | {', '.join(f'`{key}`' for key in row.served)} | {row.why} |" for row in rows]
        parts.append("")
    return "\n".join(parts)
