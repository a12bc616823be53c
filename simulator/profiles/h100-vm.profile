# A virtual machine with one H100 80GB HBM3 that is passed through, and driver 580: no slot to be seen, no NVLink, no
# fabric, and both the absolute thresholds and the relative ones.
#
# Limits, sizes, modes, counters and both ends of every curve (35 degC with a margin of 52 and 74 W at rest, 63 degC with
# 20 and 697 W in matrix products, at the power limit with 1365 MHz) are those of such a card with driver 580.159.04, whose
# documents lie in tests/gpu/documents. It announces samples of the SM clock, but has none. Estimated: the kinds of
# events. UUID, serial number and PDI are invented.
#
# It computes for six of ten minutes.

[machine]
driver_version = 580.159.04
nvml_version = 13.580.159.04
cuda_version = 13000
conf_compute_environment = 0
conf_compute_feature = 0
conf_compute_dev_tools_mode = 0
conf_compute_multi_gpu_mode = 0
conf_compute_cpu_caps = 0
conf_compute_gpus_caps = 1
conf_compute_gpus_ready = 1

[gpu *]
# How busy (0 to 1), whether at all, and how warm: the heat follows the load half a minute later.
var.load = clamp(wave(0.6, 0.9, 600), 0, 1)
var.busy = min(1, floor(1000 * var.load))
var.heat = clamp(wave(0.5, 0.6, 600, -20), 0, 1)
var.power = 73934 + 622700 * var.load

name = NVIDIA H100 80GB HBM3
vbios_version = 96.00.DA.00.0C
board_part_number = 692-2G520-0200-000
inforom_image_version = G520.0200.00.05
inforom_oem_version = 2.1
inforom_ecc_version = 7.16
gsp_firmware_version = 580.159.04
gsp_firmware_mode = 1
gsp_firmware_default_mode = 1
brand = 14                      # NVIDIA
architecture = 9                # Hopper
cuda_compute_capability_major = 9
cuda_compute_capability_minor = 0
minor_number = 0
board_id = 6
module_id = 5
pdi = 0x314159265358
multi_gpu_board = 0
num_gpu_cores = 16896
memory_bus_width = 5120
persistence_mode = 1
compute_mode = 0
accounting_mode = 0
virtualization_mode = 1         # passed through
display_active = 0
display_mode = 1
mig_mode_current = 0
mig_mode_pending = 0
max_mig_device_count = 7
pci_device_id = 0x233010de
pci_subsystem_id = 0x16c110de
pci_base_class = 3
pci_sub_class = 2
pcie_link_generation = 5
pcie_link_width = 16
max_pcie_link_generation = 5
gpu_max_pcie_link_generation = 5
max_pcie_link_width = 16
pcie_replay_counter = 0
pcie_throughput_tx = 678 + 5600 * var.load
pcie_throughput_rx = 678 + 11900 * var.load

utilization_gpu = 99 * var.busy
utilization_memory = 33 * var.busy
encoder_utilization = 0
decoder_utilization = 0
jpg_utilization = 0
ofa_utilization = 0
sampling_period = 167000
encoder_sessions = 0
encoder_average_fps = 0
encoder_average_latency = 0
fbc_sessions = 0
fbc_average_fps = 0
fbc_average_latency = 0

memory_total = 85520809984
memory_reserved = 503316480
memory_used = 1194131456 * var.busy
bar1_total = 137438953472
bar1_used = 1703936 + 1194196992 * var.busy

temperature = 35 + 28 * var.heat
margin_temperature = 52 - 32 * var.heat
memory_temperature = 36 + 20 * var.heat
temperature_threshold_shutdown = 95
temperature_threshold_slowdown = 89
temperature_threshold_mem_max = 95
temperature_threshold_gpu_max = 87
tlimit_shutdown = -8
tlimit_slowdown = -2
tlimit_mem_max = 0
tlimit_gpu_max = 0

fan_count = 0

power_usage = var.power
power_average = var.power
power_instant = var.power
power_memory = 45030 + 83700 * var.load
enforced_power_limit = 700000
power_limit = 700000
power_default_limit = 700000
power_min_limit = 200000
power_max_limit = 700000
power_management_mode = !DEPRECATED
total_energy = 2581788 + integral(var.power, 600)

performance_state = 0
clock_graphics = 345 + 1020 * var.busy
clock_sm = 345 + 1020 * var.busy
clock_sm_samples = 0
clock_mem = 2619
clock_video = 765 + 600 * var.busy
max_clock_graphics = 1980
max_clock_sm = 1980
max_clock_mem = 2619
max_clock_video = 1545
clocks_event_reasons = 1 + 3 * var.busy         # GPU idle, or the power limit
supported_clocks_event_reasons = 0x1ff
throttled_sw_power_cap = 792000 * integral(var.busy, 600)
throttled_sync_boost = 0
throttled_sw_thermal = 0
throttled_hw_thermal = 0
throttled_hw_power_brake = 0
throttled_thermal = 0
throttled_board_limit = 0
throttled_low_utilization = 0
throttled_reliability = 0
supported_event_types = 0x19f     # ECC errors, P-state, XID, clock, power source, MIG; estimated

ecc_mode_current = 1
ecc_mode_pending = 1
ecc_mode_default = 1
ecc_corrected_volatile = 0
ecc_uncorrected_volatile = 0
ecc_corrected_aggregate = 0
ecc_uncorrected_aggregate = 0
ecc_corrected_volatile.2 = 0
ecc_corrected_volatile.7 = 0
ecc_uncorrected_volatile.2 = 0
ecc_uncorrected_volatile.7 = 0
ecc_corrected_aggregate.2 = 0
ecc_corrected_aggregate.7 = 0
ecc_uncorrected_aggregate.2 = 0
ecc_uncorrected_aggregate.7 = 0
sram_aggregate_unc_parity = 0
sram_aggregate_unc_sec_ded = 0
sram_aggregate_cor = 0
sram_volatile_unc_parity = 0
sram_volatile_unc_sec_ded = 0
sram_volatile_cor = 0
sram_aggregate_unc_l2 = 0
sram_aggregate_unc_sm = 0
sram_aggregate_unc_pcie = 0
sram_aggregate_unc_mcu = 0
sram_aggregate_unc_other = 0
sram_threshold_exceeded = 0
remapped_rows_corrected = 0
remapped_rows_uncorrected = 0
remapped_rows_pending = 0
remapped_rows_failure = 0
row_remapper_max = 2560
row_remapper_high = 0
row_remapper_partial = 0
row_remapper_low = 0
row_remapper_none = 0
unrepairable_memory = 0
repair_channel_pending = 0
repair_tpc_pending = 0
gpu_recovery_action = 0
conf_compute_protected_size = 0
conf_compute_unprotected_size = 83517392
conf_compute_protected_total = 0
conf_compute_protected_used = 0

# GPM, % and MiB/s; SM, occupancy, tensor and memory as measured, the others estimated
gpm = 1
gpm.1 = 100 * var.busy          # graphics engine
gpm.2 = 99 * var.busy           # SM
gpm.3 = 15 * var.busy           # SM occupancy
gpm.4 = 9 * var.load            # integer
gpm.5 = 97 * var.busy           # any tensor
gpm.6 = 0
gpm.7 = 97 * var.busy           # HMMA tensor
gpm.8 = 0
gpm.9 = 0
gpm.10 = 20 * var.busy          # DRAM bandwidth
gpm.11 = 0
gpm.12 = 11 * var.load          # FP32
gpm.13 = 2 * var.load           # FP16
gpm.20 = 0.35 + 3900 * var.load # PCIe
gpm.21 = 0.33 + 8800 * var.load

[process *]
name = python3
compute = 1
used_memory = 1184890880 * var.busy
sm_utilization = 98 * var.busy
utilization_memory = 32 * var.busy

[gpu 0]
uuid = GPU-0f4d2f19-7f0a-4b6e-8a37-51d7c3e0b8a2
serial = 1652724012345
pci_bus_id = 00000000:00:06.0

[gpu 0 process 5000569]
