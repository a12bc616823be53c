# A server with one Tesla T4 (passively cooled: no fan) and driver 580.
#
# Limits, thresholds, clocks, sizes and the idle values are those of a capture of driver 515.105.01; that the same card
# answers so under driver 580, the load, the energy counter, the retired pages and the NVML version are estimated. UUID and
# serial number are invented.
#
# It serves inference: a load that swells and fades every fifteen minutes and never quite ends.

[machine]
driver_version = 580.95.05
nvml_version = 13.580.95.05
cuda_version = 13000

[gpu 0]
# How busy (0 to 1), and how warm: the heat follows the load a minute later.
var.load = clamp(wave(0.5, 0.45, 900), 0, 1)
var.heat = clamp(wave(0.5, 0.4, 900, -60), 0, 1)
var.power = 26780 + 42000 * var.load

name = Tesla T4
uuid = GPU-51e0c8d9-7b3a-4a62-9f08-1d6ba47c25e3
serial = 1562120037915
vbios_version = 90.04.84.00.06
board_part_number = 900-2G183-0000-001
inforom_image_version = G183.0200.00.02
inforom_oem_version = 1.1
inforom_ecc_version = 5.0
gsp_firmware_version = 580.95.05
gsp_firmware_mode = 1
gsp_firmware_default_mode = 1
brand = 14                      # NVIDIA
architecture = 6                # Turing
cuda_compute_capability_major = 7
cuda_compute_capability_minor = 5
minor_number = 0
board_id = 0x1e
module_id = 0
multi_gpu_board = 0
num_gpu_cores = 2560
memory_bus_width = 256
persistence_mode = 1
compute_mode = 0
accounting_mode = 0
virtualization_mode = 1         # passed through to a virtual machine
display_active = 0
display_mode = 0
pci_bus_id = 00000000:00:1E.0
pci_device_id = 0x1eb810de
pci_subsystem_id = 0x12a210de
pci_base_class = 3
pci_sub_class = 2
pcie_link_generation = 3
pcie_link_width = 8
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

memory_total = 16106127360
memory_reserved = 406847488
memory_used = 1082130432 + 9663676416 * var.load
bar1_total = 268435456
bar1_used = 5242880

temperature = 40 + 36 * var.heat
temperature_threshold_shutdown = 96
temperature_threshold_slowdown = 93
temperature_threshold_gpu_max = 85

fan_count = 0

power_usage = var.power
power_instant = var.power
enforced_power_limit = 70000
power_limit = 70000
power_default_limit = 70000
power_min_limit = 60000
power_max_limit = 70000
power_management_mode = 1
total_energy = 882000000 + integral(var.power, 900)

performance_state = 0
clock_graphics = 585 + 1005 * var.load
clock_sm = 585 + 1005 * var.load
clock_mem = 5000
clock_video = 810 + 660 * var.load
max_clock_graphics = 1590
max_clock_sm = 1590
max_clock_mem = 5001
max_clock_video = 1470
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
retired_pages_sbe = 0
retired_pages_dbe = 0
retired_pages_pending = 0

[gpu 0 process 5000675]
name = /usr/lib/xorg/Xorg
graphics = 1
used_memory = 23068672

[gpu 0 process 5005762]
name = python
compute = 1
used_memory = 1053818880 + 9663676416 * var.load
sm_utilization = 94 * var.load
utilization_memory = 55 * var.load
decoder_utilization = 12 * var.load
