# A workstation with one GeForce GTX 1070 Ti and driver 450, the oldest that is served: of what came later it has nothing, no
# list of processes among it.
#
# Limits and clocks are those of its data sheet, the rest is that of a Quadro P400 in a capture, its neighbor, or estimated. What the driver lacks is what its header lacks. UUID is invented.

[machine]
driver_version = 450.248.02
nvml_version = 11.450.248.02
cuda_version = 11000

[gpu 0]
var.load = clamp(wave(0.3, 0.6, 480), 0, 1)
var.busy = min(1, floor(1000 * var.load))
var.heat = clamp(wave(0.35, 0.5, 480, -30), 0, 1)

name = GeForce GTX 1070 Ti
uuid = GPU-6c1868f0-d431-472d-b951-cfa7f6ec15bd
vbios_version = 86.04.90.00.2C
inforom_image_version = G001.0000.01.04
inforom_oem_version = 1.1
brand = 5                       # GeForce
cuda_compute_capability_major = 6
cuda_compute_capability_minor = 1
minor_number = 0
board_id = 0x500
multi_gpu_board = 0
persistence_mode = 0
compute_mode = 0
accounting_mode = 0
virtualization_mode = 0
display_active = 0
display_mode = 0
pci_bus_id = 00000000:05:00.0
pci_device_id = 0x1b8210de
pci_subsystem_id = 0x375a1458
pcie_link_generation = 1 + 2 * var.busy
pcie_link_width = 16
max_pcie_link_generation = 3
max_pcie_link_width = 16
pcie_replay_counter = 0
pcie_throughput_tx = 90000 * var.load
pcie_throughput_rx = 120000 * var.load

utilization_gpu = 70 * var.load
utilization_memory = 3 + 30 * var.load
encoder_utilization = 0
decoder_utilization = 40 * var.load
sampling_period = 167000
encoder_sessions = 0
encoder_average_fps = 0
encoder_average_latency = 0
fbc_sessions = 0
fbc_average_fps = 0
fbc_average_latency = 0

memory_total = 8513978368
memory_used = 1200000000 * var.load
bar1_total = 268435456
bar1_used = 2097152

temperature = 33 + 25 * var.heat
temperature_threshold_shutdown = 99
temperature_threshold_slowdown = 96

fan_speed = 34 + 20 * var.heat
fan_count = 1

performance_state = 8 - 8 * var.busy
clock_graphics = 139 + 1100 * var.load
clock_sm = 139 + 1100 * var.load
clock_mem = 405 + 1600 * var.busy
clock_video = 544 + 580 * var.load
max_clock_graphics = 1911
max_clock_sm = 1911
max_clock_mem = 4004
max_clock_video = 1708
power_usage = 9000 + 150000 * var.load
enforced_power_limit = 180000
power_limit = 180000
power_default_limit = 180000
power_min_limit = 90000
power_max_limit = 217000
power_management_mode = 1
clocks_event_reasons = 1 - var.busy                  # GPU idle
supported_clocks_event_reasons = 0x1ff
supported_event_types = 0x9f
memory_v2 = !FUNCTION_NOT_FOUND
nvmlDeviceGetTemperatureV = !FUNCTION_NOT_FOUND
nvmlDeviceGetMarginTemperature = !FUNCTION_NOT_FOUND
nvmlDeviceGetNumFans = !FUNCTION_NOT_FOUND
nvmlDeviceGetFanSpeedRPM = !FUNCTION_NOT_FOUND
nvmlDeviceGetMinMaxFanSpeed = !FUNCTION_NOT_FOUND
nvmlDeviceGetTargetFanSpeed = !FUNCTION_NOT_FOUND
nvmlDeviceGetGpuMaxPcieLinkGeneration = !FUNCTION_NOT_FOUND
nvmlDeviceGetCurrentClocksEventReasons = !FUNCTION_NOT_FOUND
nvmlDeviceGetSupportedClocksEventReasons = !FUNCTION_NOT_FOUND
nvmlDeviceGetComputeRunningProcesses_v3 = !FUNCTION_NOT_FOUND
nvmlDeviceGetGraphicsRunningProcesses_v3 = !FUNCTION_NOT_FOUND
nvmlDeviceGetMPSComputeRunningProcesses_v3 = !FUNCTION_NOT_FOUND
nvmlDeviceGetProcessesUtilizationInfo = !FUNCTION_NOT_FOUND
nvmlDeviceGetJpgUtilization = !FUNCTION_NOT_FOUND
nvmlDeviceGetOfaUtilization = !FUNCTION_NOT_FOUND
nvmlDeviceGetModuleId = !FUNCTION_NOT_FOUND
nvmlDeviceGetGspFirmwareVersion = !FUNCTION_NOT_FOUND
nvmlDeviceGetComputeRunningProcesses_v2 = !FUNCTION_NOT_FOUND
nvmlDeviceGetGraphicsRunningProcesses_v2 = !FUNCTION_NOT_FOUND
nvmlDeviceGetMPSComputeRunningProcesses_v2 = !FUNCTION_NOT_FOUND
nvmlDeviceGetArchitecture = !FUNCTION_NOT_FOUND
nvmlDeviceGetRowRemapperHistogram = !FUNCTION_NOT_FOUND
nvmlDeviceGetBusType = !FUNCTION_NOT_FOUND
nvmlDeviceGetNumGpuCores = !FUNCTION_NOT_FOUND
nvmlDeviceGetMemoryBusWidth = !FUNCTION_NOT_FOUND
nvmlDeviceGetPowerSource = !FUNCTION_NOT_FOUND
nvmlDeviceGetGpuFabricInfo = !FUNCTION_NOT_FOUND
nvmlDeviceGetGpuFabricInfoV = !FUNCTION_NOT_FOUND
nvmlGpmQueryDeviceSupport = !FUNCTION_NOT_FOUND
nvmlDeviceGetSramEccErrorStatus = !FUNCTION_NOT_FOUND
nvmlDeviceGetNumaNodeId = !FUNCTION_NOT_FOUND
