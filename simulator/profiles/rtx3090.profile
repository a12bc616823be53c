# A virtual machine with one NVIDIA GeForce RTX 3090 passed through, its power limit lowered to 200 W, and driver 525.
#
# Limits, thresholds, clocks, sizes and the idle values are those of a capture with driver 525.147.05, ids of the PCI
# device those of the Founders Edition. Estimated: the load, the speeds of two fans, the energy counter, NVLink (four
# links, no bridge), the kinds of events. This driver has no field of recovery action, average power or time lost
# since r575, no JPEG and no OFA utilization. UUID is invented.

[machine]
driver_version = 525.147.05
nvml_version = 12.525.147.05
cuda_version = 12000

[gpu 0]
var.load = clamp(wave(0.4, 0.8, 900), 0, 1)
var.busy = min(1, floor(1000 * var.load))
var.heat = clamp(wave(0.4, 0.6, 900, -40), 0, 1)
var.power = 27230 + 170000 * var.load

name = NVIDIA GeForce RTX 3090
uuid = GPU-26f71627-2ee5-44c6-98e7-65cf54493dce
vbios_version = 94.02.71.40.72
inforom_image_version = G001.0000.03.03
inforom_oem_version = 2.0
brand = 5                       # GeForce
architecture = 7                # Ampere
cuda_compute_capability_major = 8
cuda_compute_capability_minor = 6
minor_number = 0
board_id = 0x10
multi_gpu_board = 0
num_gpu_cores = 10496
memory_bus_width = 384
persistence_mode = 1
compute_mode = 0
accounting_mode = 0
virtualization_mode = 1         # passed through
display_active = 0
display_mode = 0
pci_bus_id = 00000000:00:10.0
pci_device_id = 0x220410de
pci_subsystem_id = 0x147d10de
pcie_link_generation = 1 + 3 * var.busy
pcie_link_width = 16
max_pcie_link_generation = 4
gpu_max_pcie_link_generation = 4
max_pcie_link_width = 16
pcie_replay_counter = 0
pcie_throughput_tx = 400000 * var.load
pcie_throughput_rx = 900000 * var.load

utilization_gpu = 97 * var.load
utilization_memory = 50 * var.load
encoder_utilization = 0
decoder_utilization = 0
sampling_period = 167000
encoder_sessions = 0
encoder_average_fps = 0
encoder_average_latency = 0
fbc_sessions = 0
fbc_average_fps = 0
fbc_average_latency = 0

memory_total = 25769803776
memory_reserved = 331350016
memory_used = 2097152 + 20000000000 * var.load
bar1_total = 34359738368
bar1_used = 2097152

temperature = 37 + 33 * var.heat
temperature_threshold_shutdown = 98
temperature_threshold_slowdown = 95
temperature_threshold_gpu_max = 93
temperature_threshold_acoustic_min = 65
temperature_threshold_acoustic_curr = 83
temperature_threshold_acoustic_max = 91

fan_count = 2
fan_speed = max(0, 75 * var.heat - 8)
fan_speed_target = max(0, 75 * var.heat - 8)
fan_speed_min = 30
fan_speed_max = 100

power_usage = var.power
enforced_power_limit = 200000
power_limit = 200000
power_default_limit = 350000
power_min_limit = 100000
power_max_limit = 375000
power_management_mode = 1
total_energy = 230000000 + integral(var.power, 900)

performance_state = 8 - 6 * var.busy
clock_graphics = 210 + 1590 * var.load
clock_sm = 210 + 1590 * var.load
clock_mem = 405 + 9096 * var.busy
clock_video = 555 + 1000 * var.load
max_clock_graphics = 2100
max_clock_sm = 2100
max_clock_mem = 9751
max_clock_video = 1950
clocks_event_reasons = 1 - var.busy                  # GPU idle
supported_clocks_event_reasons = 0x1ff
throttled_sw_power_cap = integral(400000000 * var.load, 900)
throttled_thermal = 0
throttled_sync_boost = 0
supported_event_types = 0x9f
nvmlDeviceGetTemperatureV = !FUNCTION_NOT_FOUND
nvmlDeviceGetMarginTemperature = !FUNCTION_NOT_FOUND
nvmlDeviceGetFanSpeedRPM = !FUNCTION_NOT_FOUND
nvmlDeviceGetCurrentClocksEventReasons = !FUNCTION_NOT_FOUND
nvmlDeviceGetSupportedClocksEventReasons = !FUNCTION_NOT_FOUND
nvmlDeviceGetJpgUtilization = !FUNCTION_NOT_FOUND
nvmlDeviceGetOfaUtilization = !FUNCTION_NOT_FOUND
nvmlDeviceGetGpuFabricInfoV = !FUNCTION_NOT_FOUND
nvmlDeviceGetSramEccErrorStatus = !FUNCTION_NOT_FOUND
nvmlDeviceGetProcessesUtilizationInfo = !FUNCTION_NOT_FOUND
nvmlDeviceGetModuleId = !FUNCTION_NOT_FOUND

nvlink_count = 4
nvlink_state = 0
nvlink_version = 5

[gpu 0 process 5002231]
name = python3
compute = var.busy
used_memory = 20000000000 * var.load
sm_utilization = 96 * var.load
utilization_memory = 50 * var.load
