# A workstation with one NVIDIA GeForce GTX 1070 and driver 580, the last branch that serves Pascal.
#
# No capture of this card exists. Taken from its data sheet and from captures of its neighbors (GTX 1070 Ti, GTX 1660 Ti,
# Quadro P400): 8 GiB, 151 W (75.5 W to 170 W), 99 degC slowdown, 102 degC shutdown, one fan, no ECC, no serial number, no
# energy counter, clocks of P8 and P2. Estimated: everything that moves, the reserved memory, and that Pascal answers
# POWER_INSTANT but not POWER_AVERAGE. UUID is invented.
#
# It plays a game every ten minutes: about six minutes of load, then quiet; the fan stops when the card is cool.

[machine]
driver_version = 580.95.05
nvml_version = 13.580.95.05
cuda_version = 13000

[gpu 0]
# How busy (0 to 1), and how warm: the heat follows the load half a minute later.
var.load = clamp(wave(0.35, 1.1, 600), 0, 1)
var.heat = clamp(wave(0.4, 0.62, 600, -30), 0, 1)

name = NVIDIA GeForce GTX 1070
uuid = GPU-3c1f7a52-90de-4b86-a2c4-5d07e8f1b963
vbios_version = 86.04.26.00.80
inforom_image_version = G001.0000.01.04
inforom_oem_version = 1.1
brand = 5                       # GeForce
architecture = 4                # Pascal
cuda_compute_capability_major = 6
cuda_compute_capability_minor = 1
minor_number = 0
board_id = 0x100
multi_gpu_board = 0
num_gpu_cores = 1920
memory_bus_width = 256
persistence_mode = 0
compute_mode = 0
accounting_mode = 0
virtualization_mode = 0
display_active = 1
display_mode = 1
pci_bus_id = 00000000:01:00.0
pci_device_id = 0x1b8110de
pci_subsystem_id = 0x119d10de
pci_base_class = 3
pci_sub_class = 0
pcie_link_generation = step(3, 1, 600)
pcie_link_width = 16
max_pcie_link_generation = 3
gpu_max_pcie_link_generation = 3
max_pcie_link_width = 16
pcie_replay_counter = 0

utilization_gpu = 3 + 93 * var.load
utilization_memory = 2 + 46 * var.load
encoder_utilization = 0
decoder_utilization = clamp(wave(-10, 30, 420), 0, 100)
sampling_period = 167000
encoder_sessions = 0
encoder_average_fps = 0
encoder_average_latency = 0
fbc_sessions = 0
fbc_average_fps = 0
fbc_average_latency = 0

memory_total = 8589934592
memory_reserved = 77594624
memory_used = 412090368 + 5368709120 * var.load

temperature = 38 + 39 * var.heat
temperature_threshold_shutdown = 102
temperature_threshold_slowdown = 99
temperature_threshold_acoustic_min = 60
temperature_threshold_acoustic_curr = 83
temperature_threshold_acoustic_max = 92

bar1_total = 268435456
bar1_used = 9437184

fan_count = 1
fan_speed = 62 * var.heat
fan_speed_target = 62 * var.heat
fan_speed_rpm = 1900 * var.heat
fan_speed_min = 0
fan_speed_max = 100

power_usage = 9000 + 137000 * var.load
power_instant = 9000 + 137000 * var.load
enforced_power_limit = 151000
power_limit = 151000
power_default_limit = 151000
power_min_limit = 75500
power_max_limit = 170000
power_management_mode = 1

performance_state = 8 - 6 * min(1, 1000 * var.load)
clock_graphics = 139 + 1754 * var.load
clock_sm = 139 + 1754 * var.load
clock_mem = 405 + 3397 * min(1, 1000 * var.load)
clock_video = 544 + 1156 * var.load
max_clock_graphics = 1911
max_clock_sm = 1911
max_clock_mem = 4004
max_clock_video = 1708
clocks_event_reasons = 1 - min(1, 1000 * var.load)   # GPU idle
supported_clocks_event_reasons = 0x1ff
throttled_sw_power_cap = 0
throttled_thermal = 0
supported_event_types = 0x9f            # without MIG; estimated

[gpu 0 process 5001843]
name = /usr/lib/xorg/Xorg
graphics = 1
used_memory = 143654912
sm_utilization = 2

[gpu 0 process 5004711]
name = ./game.x86_64
graphics = min(1, floor(1000 * var.load))            # it is there while it is played
used_memory = 5368709120 * var.load
sm_utilization = 90 * var.load
utilization_memory = 45 * var.load
