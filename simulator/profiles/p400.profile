# An office machine with one Quadro P400, which measures no power and knows no limit of it, and driver 470.
#
# Thresholds, clocks, sizes and the idle values are those of a capture with driver 418.43; that the card answers so
# under driver 470 (the first one whose process lists pynvml reads), the load, the fan's curve and the kinds of events
# are estimated. UUID and serial number are invented.

[machine]
driver_version = 470.256.02
nvml_version = 11.470.256.02
cuda_version = 11040

[gpu 0]
var.load = clamp(wave(0.3, 0.6, 480), 0, 1)
var.busy = min(1, floor(1000 * var.load))
var.heat = clamp(wave(0.35, 0.5, 480, -30), 0, 1)

name = Quadro P400
uuid = GPU-b42e6477-fab1-4b18-8ebb-eec68c44c110
serial = 0424418061377
vbios_version = 86.07.3B.00.4A
board_part_number = 900-5G212-1701-000
inforom_image_version = G212.0500.00.01
inforom_oem_version = 1.1
brand = 1                       # Quadro
architecture = 4                # Pascal
cuda_compute_capability_major = 6
cuda_compute_capability_minor = 1
minor_number = 0
board_id = 0x4300
multi_gpu_board = 0
persistence_mode = 0
compute_mode = 0
accounting_mode = 0
virtualization_mode = 0
display_active = 0
display_mode = 0
pci_bus_id = 00000000:43:00.0
pci_device_id = 0x1cb310de
pci_subsystem_id = 0x11be10de
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

memory_total = 2095054848
memory_used = 1200000000 * var.load
bar1_total = 268435456
bar1_used = 2097152

temperature = 33 + 25 * var.heat
temperature_threshold_shutdown = 103
temperature_threshold_slowdown = 100

fan_speed = 34 + 20 * var.heat
fan_count = 1

performance_state = 8 - 8 * var.busy
clock_graphics = 139 + 1100 * var.load
clock_sm = 139 + 1100 * var.load
clock_mem = 405 + 1600 * var.busy
clock_video = 544 + 580 * var.load
max_clock_graphics = 1252
max_clock_sm = 1252
max_clock_mem = 2005
max_clock_video = 1126
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

[gpu 0 process 5001402]
name = /usr/lib/xorg/Xorg
graphics = 1
used_memory = 41943040

[gpu 0 process 5002077]
name = mpv
graphics = var.busy
used_memory = 1100000000 * var.load
