# A hypervisor with one NVIDIA A10 (passively cooled: no fan) that is shared by two virtual desktops, one of them without its
# license; driver 580 of the vGPU software.
#
# No capture exists. Taken from the data sheet, from a capture of an A10G, its neighbor, and from the vGPU documentation.
# Estimated: all else. UUIDs and serial number are invented.

[machine]
driver_version = 580.95.02
nvml_version = 13.580.95.02
cuda_version = 13000

[gpu 0]
var.load = clamp(wave(0.45, 0.6, 900), 0, 1)
var.busy = min(1, floor(1000 * var.load))
var.heat = clamp(wave(0.45, 0.55, 900, -40), 0, 1)
var.power = 25580 + 110000 * var.load

name = NVIDIA A10
uuid = GPU-012e4e3f-a801-487e-9900-011f20c187c3
serial = 1323021077012
vbios_version = 94.02.75.00.01
board_part_number = 900-2G133-0020-000
inforom_image_version = G133.0210.00.04
inforom_oem_version = 2.0
inforom_ecc_version = 6.16
gsp_firmware_version = 580.95.02
gsp_firmware_mode = 1
gsp_firmware_default_mode = 1
brand = 14                      # NVIDIA
architecture = 7                # Ampere
cuda_compute_capability_major = 8
cuda_compute_capability_minor = 6
minor_number = 0
board_id = 0x1e
multi_gpu_board = 0
num_gpu_cores = 9216
memory_bus_width = 384
persistence_mode = 0
compute_mode = 0
accounting_mode = 0
virtualization_mode = 3         # host of vGPUs
host_vgpu_mode = 1              # SR-IOV
display_active = 0
display_mode = 0
pci_bus_id = 00000000:31:00.0
pci_device_id = 0x223610de
pci_subsystem_id = 0x148210de
pcie_link_generation = 1 + 3 * var.busy
pcie_link_width = 16
max_pcie_link_generation = 4
gpu_max_pcie_link_generation = 4
max_pcie_link_width = 16
pcie_replay_counter = 0
pcie_throughput_tx = 500000 * var.load
pcie_throughput_rx = 700000 * var.load

utilization_gpu = 95 * var.load
utilization_memory = 45 * var.load
encoder_utilization = 0
decoder_utilization = 0
sampling_period = 167000
encoder_sessions = 0
encoder_average_fps = 0
encoder_average_latency = 0
fbc_sessions = 0
fbc_average_fps = 0
fbc_average_latency = 0

memory_total = 24146608128
memory_reserved = 456130560
memory_used = 18253611008 + 400000000 * var.load
bar1_total = 34359738368
bar1_used = 1048576

temperature = 26 + 35 * var.heat
temperature_threshold_shutdown = 98
temperature_threshold_slowdown = 95
temperature_threshold_gpu_max = 88

fan_count = 0

power_usage = var.power
enforced_power_limit = 150000
power_limit = 150000
power_default_limit = 150000
power_min_limit = 100000
power_max_limit = 150000
power_management_mode = 1
total_energy = 640000000 + integral(var.power, 900)

performance_state = 8 - 8 * var.busy
clock_graphics = 210 + 1500 * var.load
clock_sm = 210 + 1500 * var.load
clock_mem = 405 + 5846 * var.busy
clock_video = 555 + 945 * var.load
max_clock_graphics = 1710
max_clock_sm = 1710
max_clock_mem = 6251
max_clock_video = 1500
clocks_event_reasons = 1 - var.busy                  # GPU idle
supported_clocks_event_reasons = 0x1ff
throttled_sw_power_cap = 0
throttled_thermal = 0
throttled_sync_boost = 0
throttled_board_limit = 0
throttled_low_utilization = 0
throttled_reliability = 0
supported_event_types = 0x9f

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
remapped_rows_corrected = 0
remapped_rows_uncorrected = 0
remapped_rows_pending = 0
remapped_rows_failure = 0
row_remapper_max = 192
row_remapper_high = 0
row_remapper_partial = 0
row_remapper_low = 0
row_remapper_none = 0

[vgpu *]
vgpu_type = 592
vgpu_type_name = NVIDIA A10-8Q
vgpu_type_class = NVIDIA RTX Virtual Workstation
fb_usage = 8589934592
vm_driver_version = 580.95.05
licensed = 1
license_state = 5               # licensed
license_expiry_status = 2       # there is a date
license_expiry = 1893456000     # 2030-01-01

[gpu 0 vgpu 3251634213]
uuid = 1f5f1573-3e36-43ab-81be-5112f6c70655
vm_id = desktop-01
sm_utilization = 60 * var.load
utilization_memory = 20 * var.load
encoder_utilization = 10 * var.load

[gpu 0 vgpu 3251634214]
uuid = 46c853e3-1ef2-4445-b91d-047126fb6a74
vm_id = desktop-02
sm_utilization = 30 * var.load
licensed = 0
license_state = 3               # unlicensed, restricted
license_expiry_status = 0
