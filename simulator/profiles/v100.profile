# A server with one Tesla V100-SXM2-16GB (passively cooled: no fan), of whose memory three pages are retired; driver
# 580.
#
# No capture exists. Taken from its data sheet and from a capture of a Tesla T4, its neighbor: 300 W, six links of NVLink 2,
# retired pages instead of remapped rows. Estimated: all else. UUID and serial number are invented.

[machine]
driver_version = 580.95.05
nvml_version = 13.580.95.05
cuda_version = 13000

[gpu 0]
# How busy (0 to 1), and how warm: the heat follows the load a minute later.
var.load = clamp(wave(0.5, 0.45, 900), 0, 1)
var.heat = clamp(wave(0.5, 0.4, 900, -60), 0, 1)
var.power = 43000 + 240000 * var.load

name = Tesla V100-SXM2-16GB
uuid = GPU-b1cb1816-7d85-457c-9f32-2a1422d00e17
serial = 0322118046625
vbios_version = 88.00.4F.00.09
board_part_number = 900-2G503-0000-000
inforom_image_version = G503.0201.00.03
inforom_oem_version = 1.1
inforom_ecc_version = 5.0
brand = 2                       # Tesla
architecture = 5                # Volta
cuda_compute_capability_major = 7
cuda_compute_capability_minor = 0
minor_number = 0
board_id = 0x1e
module_id = 0
multi_gpu_board = 0
num_gpu_cores = 5120
memory_bus_width = 4096
persistence_mode = 1
compute_mode = 0
accounting_mode = 0
virtualization_mode = 0
display_active = 0
display_mode = 0
pci_bus_id = 00000000:15:00.0
pci_device_id = 0x1db110de
pci_subsystem_id = 0x121210de
pci_base_class = 3
pci_sub_class = 2
pcie_link_generation = 3
pcie_link_width = 16
max_pcie_link_generation = 3
gpu_max_pcie_link_generation = 3
max_pcie_link_width = 16
pcie_replay_counter = 0
pcie_throughput_tx = 600000 * var.load
pcie_throughput_rx = 850000 * var.load

utilization_gpu = 96 * var.load
utilization_memory = 55 * var.load
encoder_utilization = 0
decoder_utilization = 12 * var.load
sampling_period = 167000
encoder_sessions = 0
encoder_average_fps = 0
encoder_average_latency = 0
fbc_sessions = 0
fbc_average_fps = 0
fbc_average_latency = 0

memory_total = 17179869184
memory_reserved = 406847488
memory_used = 1082130432 + 9663676416 * var.load
bar1_total = 268435456
bar1_used = 5242880

temperature = 38 + 30 * var.heat
memory_temperature = 36 + 30 * var.heat
temperature_threshold_shutdown = 90
temperature_threshold_slowdown = 87
temperature_threshold_mem_max = 85
temperature_threshold_gpu_max = 83

fan_count = 0

power_usage = var.power
power_instant = var.power
enforced_power_limit = 300000
power_limit = 300000
power_default_limit = 300000
power_min_limit = 150000
power_max_limit = 300000
power_management_mode = 1
total_energy = 882000000 + integral(var.power, 900)

performance_state = 0
clock_graphics = 135 + 1395 * var.load
clock_sm = 135 + 1395 * var.load
clock_mem = 877
clock_video = 555 + 820 * var.load
max_clock_graphics = 1530
max_clock_sm = 1530
max_clock_mem = 877
max_clock_video = 1372
clocks_event_reasons = 4 * floor(var.load + 0.15)    # SW power cap, at the crest of the wave
supported_clocks_event_reasons = 0x1ff
throttled_sw_power_cap = 12000000000 + integral(150000000 * var.load, 900)
throttled_sync_boost = 0
throttled_thermal = 0
throttled_board_limit = 0
throttled_reliability = 0
supported_event_types = 0x9f            # without MIG; estimated

ecc_mode_current = 1
ecc_mode_pending = 1
ecc_mode_default = 1
ecc_corrected_volatile = 0
ecc_uncorrected_volatile = 0
ecc_corrected_aggregate = 14
ecc_uncorrected_aggregate = 1
ecc_corrected_volatile.2 = 0
ecc_corrected_volatile.7 = 0
ecc_uncorrected_volatile.2 = 0
ecc_uncorrected_volatile.7 = 0
ecc_corrected_aggregate.2 = 14
ecc_corrected_aggregate.7 = 0
ecc_uncorrected_aggregate.2 = 1
ecc_uncorrected_aggregate.7 = 0
retired_pages_sbe = 2
retired_pages_dbe = 1
retired_pages_pending = 0

nvlink_count = 6
nvlink_state = 1
nvlink_version = 2              # NVLink 2.0
nvlink_speed = 25781
nvlink_replay_errors = 0
nvlink_recovery_errors = 0
nvlink_crc_flit_errors = 0
nvlink_crc_data_errors = 0
nvlink_remote_device_type = 0   # another GPU
nvlink_remote_pci_bus_id = 00000000:16:00.0
nvlink_throughput_data_tx = integral(1000000 * var.load, 900)
nvlink_throughput_data_rx = integral(1000000 * var.load, 900)

[gpu 0 process 5005762]
name = python
compute = 1
used_memory = 1053818880 + 9663676416 * var.load
sm_utilization = 94 * var.load
utilization_memory = 55 * var.load
