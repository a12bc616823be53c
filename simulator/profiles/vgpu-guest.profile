# A virtual desktop: a guest with one vGPU, GRID T4-8Q, and driver 580. The hypervisor keeps temperature, power, fan,
# clocks' limits and PCIe to itself.
#
# No capture exists. Taken from NVIDIA's vGPU documentation: what a guest can ask for, the license and its states.
# Estimated: all values. UUID is invented.

[machine]
driver_version = 580.95.05
nvml_version = 13.580.95.05
cuda_version = 13000

[gpu 0]
var.load = clamp(wave(0.35, 0.5, 600), 0, 1)
var.busy = min(1, floor(1000 * var.load))

name = GRID T4-8Q
uuid = GPU-6e57d705-5619-4d3d-b523-a18c060dee98
vbios_version = 00.00.00.00.00
brand = 10                      # NVIDIA RTX Virtual Workstation
architecture = 6                # Turing
cuda_compute_capability_major = 7
cuda_compute_capability_minor = 5
minor_number = 0
multi_gpu_board = 0
persistence_mode = 1
compute_mode = 0
accounting_mode = 0
virtualization_mode = 2         # vGPU
display_active = 1
display_mode = 1
ecc_mode_current = 0
ecc_mode_pending = 0
pci_bus_id = 00000000:02:00.0
pci_device_id = 0x1eb810de
pci_subsystem_id = 0x130f10de
pci_base_class = 3
pci_sub_class = 0

utilization_gpu = 90 * var.load
utilization_memory = 30 * var.load
encoder_utilization = 20 * var.load
decoder_utilization = 5 * var.load
sampling_period = 167000
encoder_sessions = var.busy
encoder_average_fps = 30 * var.busy
encoder_average_latency = 9000 * var.busy
fbc_sessions = var.busy
fbc_average_fps = 30 * var.busy
fbc_average_latency = 12000 * var.busy

memory_total = 8589934592
memory_reserved = 671088640
memory_used = 400000000 + 3000000000 * var.load
bar1_total = 268435456
bar1_used = 2097152

performance_state = 0
clock_graphics = 585 + 1005 * var.load
clock_sm = 585 + 1005 * var.load
clock_mem = 5000
clock_video = 810

license_feature_code = 2        # RTX Virtual Workstation
license_state = 5               # licensed
license_enabled = 1
license_info = Licensed
license_product = NVIDIA RTX Virtual Workstation
license_expiry_status = 2       # there is a date
license_expiry = 1893456000     # 2030-01-01

[gpu 0 process 5002950]
name = /usr/lib/xorg/Xorg
graphics = 1
used_memory = 104857600
sm_utilization = 40 * var.load
