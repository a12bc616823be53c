# A workstation with one NVIDIA GeForce RTX 4080 SUPER and driver 595.
#
# Limits, thresholds, clocks, sizes and what the card lacks (serial number, ECC, memory temperature, T.Limit) are those of
# a capture of driver 595.71.05. Estimated: a load above that of the capture (it had 86 W from two video encoders), the
# speeds of three fans (the capture shows the fan at 0 % at 45 degC), the energy counter. UUID is invented.
#
# It renders: twelve minutes to a turn, half of them busy; two fans follow the heat, the third runs lower.

[machine]
driver_version = 595.71.05
nvml_version = 13.595.71.05
cuda_version = 13020

[gpu 0]
# How busy (0 to 1), whether at all, and how warm: the heat follows the load some forty seconds later.
var.load = clamp(wave(0.42, 0.9, 720), 0, 1)
var.busy = min(1, floor(1000 * var.load))
var.heat = clamp(wave(0.4, 0.6, 720, -40), 0, 1)
var.power = 26000 + 279000 * var.load

name = NVIDIA GeForce RTX 4080 SUPER
uuid = GPU-8a64d0b7-2e19-4f3c-b51d-c7909e42a6f8
vbios_version = 95.03.44.00.B2
inforom_image_version = G002.0000.00.03
inforom_oem_version = 2.0
gsp_firmware_version = 595.71.05
gsp_firmware_mode = 1
gsp_firmware_default_mode = 1
brand = 5                       # GeForce
architecture = 8                # Ada
cuda_compute_capability_major = 8
cuda_compute_capability_minor = 9
minor_number = 0
board_id = 0x100
module_id = 1
multi_gpu_board = 0
num_gpu_cores = 10240
memory_bus_width = 256
persistence_mode = 0
compute_mode = 0
accounting_mode = 0
virtualization_mode = 0
display_active = 1
display_mode = !DEPRECATED
pci_bus_id = 00000000:01:00.0
pci_device_id = 0x270210de
pci_subsystem_id = 0x51101462
pci_base_class = 3
pci_sub_class = 0
pcie_link_generation = 1 + 3 * var.busy
pcie_link_width = 16
max_pcie_link_generation = 4
gpu_max_pcie_link_generation = 4
max_pcie_link_width = 16
pcie_replay_counter = 0
pcie_throughput_tx = 488 + 900000 * var.load
pcie_throughput_rx = 537 + 1200000 * var.load

utilization_gpu = 98 * var.load
utilization_memory = 23 + 40 * var.load
encoder_utilization = clamp(wave(20, 52, 540), 0, 100)
decoder_utilization = clamp(wave(5, 20, 380), 0, 100)
jpg_utilization = 0
ofa_utilization = 0
sampling_period = 167000
encoder_sessions = 2 * min(1, encoder_utilization)
encoder_average_fps = 184 * min(1, encoder_utilization)
encoder_average_latency = 62844 * min(1, encoder_utilization)
fbc_sessions = 0
fbc_average_fps = 0
fbc_average_latency = 0

memory_total = 17171480576
memory_reserved = 455344128
memory_used = 624951296 + 9663676416 * var.load
bar1_total = 17179869184
bar1_used = 31457280

temperature = 43 + 27 * var.heat
temperature_threshold_shutdown = 101
temperature_threshold_slowdown = 96
temperature_threshold_gpu_max = 90
temperature_threshold_acoustic_min = 65
temperature_threshold_acoustic_curr = 84
temperature_threshold_acoustic_max = 88

fan_count = 3
fan_speed = max(0, 70 * var.heat - 8)
fan_speed.2 = max(0, 60 * var.heat - 8)
fan_speed_target = max(0, 70 * var.heat - 8)
fan_speed_rpm = max(0, 2300 * var.heat - 260)
fan_speed_min = 30
fan_speed_max = 100

power_usage = var.power
power_average = var.power
power_instant = 27500 + 279000 * var.load
enforced_power_limit = 320000
power_limit = 320000
power_default_limit = 320000
power_min_limit = 150000
power_max_limit = 400000
power_management_mode = !DEPRECATED
total_energy = 41000000 + integral(var.power, 720)

performance_state = 8 - 6 * var.busy
clock_graphics = 210 + 2595 * var.load
clock_sm = 210 + 2595 * var.load
clock_mem = 405 + 10846 * var.busy
clock_video = 1185 + 960 * var.load
max_clock_graphics = 3165
max_clock_sm = 3165
max_clock_mem = 11501
max_clock_video = 2415
clocks_event_reasons = 1 - var.busy                  # GPU idle
supported_clocks_event_reasons = 0x1ff
throttled_sw_power_cap = 0
throttled_sync_boost = 0
throttled_sw_thermal = 0
throttled_hw_thermal = 0
throttled_hw_power_brake = 0
throttled_thermal = 0
supported_event_types = 0x9f            # without MIG; estimated

gpu_recovery_action = 0
conf_compute_protected_total = 0
conf_compute_protected_used = 0
remapped_rows_corrected = 0     # an answer that proves no support: nvidia-smi calls the card's remapped rows N/A
remapped_rows_uncorrected = 0
remapped_rows_pending = 0
remapped_rows_failure = 0

# A process may be of both kinds, as the first one was on the real card.
[gpu 0 process 5002165]
name = /usr/bin/kwin_wayland
compute = 1
graphics = 1
used_memory = 26214400
sm_utilization = 1

[gpu 0 process 5002620]
name = /usr/bin/Xwayland
graphics = 1
used_memory = 4194304

[gpu 0 process 5002954]
name = /usr/bin/plasmashell
graphics = 1
used_memory = 125829120

[gpu 0 process 5005021]
name = ffmpeg
compute = min(1, encoder_utilization)
used_memory = 377487360
encoder_utilization = clamp(wave(10, 26, 540), 0, 100)

[gpu 0 process 5006120]
name = blender
compute = var.busy
used_memory = 8589934592 * var.load
sm_utilization = 95 * var.load
utilization_memory = 40 * var.load
