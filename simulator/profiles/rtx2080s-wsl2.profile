# An NVIDIA GeForce RTX 2080 SUPER as a Linux in WSL 2 sees it: the driver is Windows', 610.
#
# Values are those of the profile rtx2080s; names and versions of a capture of the same card under Windows with driver
# 610.62. That there is no ECC, accounting or persistence to ask for is NVIDIA's own word on NVML under WSL. Estimated: that
# processes are listed with neither memory nor utilization (N/A), and that the energy counter, the time lost to policies
# and the events are not there. UUID and processes are invented.

[machine]
driver_version = 610.62
nvml_version = 13.610.62
cuda_version = 13030

[gpu 0]
var.load = clamp(wave(0.4, 0.8, 540), 0, 1)
var.busy = min(1, floor(1000 * var.load))
var.heat = clamp(wave(0.4, 0.6, 540, -30), 0, 1)
var.power = 38890 + 190000 * var.load

name = NVIDIA GeForce RTX 2080 SUPER
uuid = GPU-5c7d31f0-2b4e-4c86-9a1d-0e63b8f2a794
vbios_version = 90.04.7A.40.73
inforom_image_version = G001.0000.02.04
inforom_oem_version = 1.1
gsp_firmware_mode = 1
gsp_firmware_default_mode = 1
brand = 5                       # GeForce
architecture = 6                # Turing
cuda_compute_capability_major = 7
cuda_compute_capability_minor = 5
minor_number = 0
board_id = 0xc00
module_id = 1
multi_gpu_board = 0
num_gpu_cores = 3072
memory_bus_width = 256
compute_mode = 0
virtualization_mode = 0
display_mode = !DEPRECATED
pci_bus_id = 00000000:0C:00.0
pci_device_id = 0x1e8110de
pci_subsystem_id = 0x40051458
pci_base_class = 3
pci_sub_class = 0
pcie_link_generation = 1 + 2 * var.busy
pcie_link_width = 16
max_pcie_link_generation = 3
gpu_max_pcie_link_generation = 3
max_pcie_link_width = 16
pcie_replay_counter = 0
pcie_throughput_tx = 439 + 110107 * var.load
pcie_throughput_rx = 292 + 1370264 * var.load

utilization_gpu = 80 * var.load
utilization_memory = 30 * var.load
encoder_utilization = 100 * var.load
decoder_utilization = 0
jpg_utilization = 0
ofa_utilization = 0
sampling_period = 167000
encoder_sessions = 2 * var.busy
encoder_average_fps = 108 * var.busy
encoder_average_latency = 96754 * var.busy
fbc_sessions = 0
fbc_average_fps = 0
fbc_average_latency = 0

memory_total = 8589934592
memory_reserved = 419430400
memory_used = 221249536 + 633339904 * var.busy
bar1_total = 268435456
bar1_used = 37748736 + 5242880 * var.load
conf_compute_protected_total = 0
conf_compute_protected_used = 0

temperature = 33 + 30 * var.heat
temperature_threshold_shutdown = 100
temperature_threshold_slowdown = 97
temperature_threshold_gpu_max = 89
temperature_threshold_acoustic_min = 65
temperature_threshold_acoustic_curr = 84
temperature_threshold_acoustic_max = 88

fan_count = 1
fan_speed = 38
fan_speed_target = 38
fan_speed_rpm = 1290
fan_speed_min = 38
fan_speed_max = 100

power_usage = var.power
power_instant = var.power
enforced_power_limit = 250000
power_limit = 250000
power_default_limit = 250000
power_min_limit = 105000
power_max_limit = 350000
power_management_mode = !DEPRECATED

performance_state = 8 - 6 * var.busy
clock_graphics = 300 + 1770 * var.load
clock_sm = 300 + 1770 * var.load
clock_mem = 405 + 7095 * var.busy
clock_video = 540 + 1380 * var.load
max_clock_graphics = 2145
max_clock_sm = 2145
max_clock_mem = 7751
max_clock_video = 1995
clocks_event_reasons = 1 - var.busy                  # GPU idle
supported_clocks_event_reasons = 0x1ff
gpu_recovery_action = 0

[gpu 0 process 5001720]
name = /python3.10
compute = 1

[gpu 0 process 5004556]
name = /Xwayland
graphics = 1
