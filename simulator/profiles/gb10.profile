# A DGX Spark: one NVIDIA GB10, whose memory is the machine's own (so there is no memory of the GPU to report), and
# driver 580.
#
# No capture exists. Taken from public reports of nvidia-smi on this machine: name, CUDA 13.0, compute capability
# 12.1, memory usage "Not Supported", no fan, no power limit. Estimated: all values. UUID is invented.

[machine]
driver_version = 580.95.05
nvml_version = 13.580.95.05
cuda_version = 13000

[gpu 0]
var.load = clamp(wave(0.45, 0.7, 600), 0, 1)
var.busy = min(1, floor(1000 * var.load))
var.heat = clamp(wave(0.45, 0.55, 600, -40), 0, 1)
var.power = 4500 + 60000 * var.load

name = NVIDIA GB10
uuid = GPU-ee324679-ba7a-4319-89ff-20c7de8cf95a
vbios_version = 9A.0B.1C.00.00
brand = 14                      # NVIDIA
architecture = 10               # Blackwell
cuda_compute_capability_major = 12
cuda_compute_capability_minor = 1
minor_number = 0
board_id = 0x100
multi_gpu_board = 0
num_gpu_cores = 6144
numa_node_id = 0
persistence_mode = 1
compute_mode = 0
accounting_mode = 0
virtualization_mode = 0
display_active = 0
display_mode = !DEPRECATED
pci_bus_id = 0000000F:01:00.0
pci_device_id = 0x2e1210de
pci_subsystem_id = 0x000010de
pci_base_class = 3
pci_sub_class = 0
pcie_link_generation = 1
pcie_link_width = 1
max_pcie_link_generation = 1
max_pcie_link_width = 1

utilization_gpu = 96 * var.load
utilization_memory = 0
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

temperature = 38 + 36 * var.heat
margin_temperature = 52 - 36 * var.heat
tlimit_shutdown = -5
tlimit_slowdown = -2
tlimit_gpu_max = 0

fan_count = 0

power_usage = var.power
power_average = var.power
power_instant = var.power

performance_state = 8 - 8 * var.busy
clock_graphics = 208 + 2200 * var.load
clock_sm = 208 + 2200 * var.load
clock_video = 600
max_clock_graphics = 3003
max_clock_sm = 3003
max_clock_video = 3003
clocks_event_reasons = 1 - var.busy                  # GPU idle
supported_clocks_event_reasons = 0x1ff
throttled_sw_power_cap = 0
throttled_sync_boost = 0
throttled_sw_thermal = 0
throttled_hw_thermal = 0
throttled_hw_power_brake = 0
supported_event_types = 0x9f
gpu_recovery_action = 0

[gpu 0 process 5003391]
name = python3
compute = var.busy
used_memory = 40000000000 * var.load
sm_utilization = 95 * var.load
