# A virtual machine with one H100 80GB HBM3 that is cut into MIG instances of 3g.40gb, 2g.20gb and twice 1g.10gb;
# driver 590.
#
# Instances, sizes, limits, what the card no longer answers in MIG mode (utilization, NVLink, remapped rows) and both
# ends of every curve are those of a capture with driver 590.48.01. Estimated: slices, GPM, energy, the kinds of
# events, and that the load comes and goes every fifteen minutes. UUIDs, serial number and PCI address are invented.

[machine]
driver_version = 590.48.01
nvml_version = 13.590.48.01
cuda_version = 13010
conf_compute_environment = 0
conf_compute_feature = 0
conf_compute_dev_tools_mode = 0
conf_compute_multi_gpu_mode = 0
conf_compute_cpu_caps = 0
conf_compute_gpus_caps = 1
conf_compute_gpus_ready = 1

[gpu 0]
# How busy (0 to 1), whether at all, and how warm: the heat follows the load half a minute later.
var.load = clamp(wave(0.5, 0.7, 900), 0, 1)
var.busy = min(1, floor(1000 * var.load))
var.heat = clamp(wave(0.5, 0.5, 900, -30), 0, 1)
var.power = 71270 + 360940 * var.load

name = NVIDIA H100 80GB HBM3
vbios_version = 96.00.A5.00.01
board_part_number = 692-2G520-0200-000
inforom_image_version = G520.0200.00.05
inforom_oem_version = 2.1
inforom_ecc_version = 7.16
gsp_firmware_version = 590.48.01
gsp_firmware_mode = 1
gsp_firmware_default_mode = 1
brand = 14                      # NVIDIA
architecture = 9                # Hopper
cuda_compute_capability_major = 9
cuda_compute_capability_minor = 0
minor_number = 0
uuid = GPU-406329bc-65b0-4a2d-b5d1-48805071950e
serial = 1654723044107
pci_bus_id = 00000000:09:00.0
board_id = 0x900
module_id = 7
multi_gpu_board = 0
num_gpu_cores = 16896
memory_bus_width = 5120
persistence_mode = 1
compute_mode = 0
accounting_mode = 0
virtualization_mode = 1         # passed through to a virtual machine
display_active = 0
display_mode = !DEPRECATED
mig_mode_current = 1
mig_mode_pending = 1
max_mig_device_count = 7
pci_device_id = 0x233010de
pci_subsystem_id = 0x16c110de
pci_base_class = 3
pci_sub_class = 2
pcie_link_generation = 5
pcie_link_width = 16
max_pcie_link_generation = 5
gpu_max_pcie_link_generation = 5
max_pcie_link_width = 16
pcie_replay_counter = 9
pcie_throughput_tx = 352 + 8787 * var.load
pcie_throughput_rx = 329 + 18862 * var.load

encoder_sessions = 0
encoder_average_fps = 0
encoder_average_latency = 0
fbc_sessions = 0
fbc_average_fps = 0
fbc_average_latency = 0

memory_total = 85520809984
memory_reserved = 502267904
memory_used = 61865984 + 11603542016 * var.load
bar1_total = 137438953472
bar1_used = 85019590656

temperature = 42 + 11 * var.heat
margin_temperature = 45 - 21 * var.heat
memory_temperature = 48 + 10 * var.heat
tlimit_shutdown = -8
tlimit_slowdown = -2
tlimit_mem_max = 0
tlimit_gpu_max = 0

fan_count = 0

power_usage = var.power
power_average = var.power
power_instant = 72630 + 372090 * var.load
enforced_power_limit = 700000
power_limit = 700000
power_default_limit = 700000
power_min_limit = 200000
power_max_limit = 700000
power_management_mode = !DEPRECATED
total_energy = 51000000000 + integral(var.power, 900)

performance_state = 0
clock_graphics = 345 + 1635 * var.busy
clock_sm = 345 + 1635 * var.busy
clock_mem = 2619
clock_video = 765 + 780 * var.busy
max_clock_graphics = 1980
max_clock_sm = 1980
max_clock_mem = 2619
max_clock_video = 1545
clocks_event_reasons = 1 - var.busy                  # GPU idle
supported_clocks_event_reasons = 0x1ff
throttled_sw_power_cap = 0
throttled_sync_boost = 0
throttled_sw_thermal = 0
throttled_hw_thermal = 0
throttled_hw_power_brake = 0
throttled_thermal = 0
throttled_board_limit = 0
throttled_low_utilization = 0
throttled_reliability = 0
supported_event_types = 0x19f     # ECC errors, P-state, XID, clock, power source, MIG; estimated

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
sram_aggregate_unc_parity = 0
sram_aggregate_unc_sec_ded = 0
sram_aggregate_cor = 0
sram_volatile_unc_parity = 0
sram_volatile_unc_sec_ded = 0
sram_volatile_cor = 0
sram_aggregate_unc_l2 = 0
sram_aggregate_unc_sm = 0
sram_aggregate_unc_pcie = 0
sram_aggregate_unc_mcu = 0
sram_aggregate_unc_other = 0
sram_threshold_exceeded = 0
gpu_recovery_action = 0
conf_compute_protected_size = 0
conf_compute_unprotected_size = 83517392
conf_compute_protected_total = 0
conf_compute_protected_used = 0

fabric_state = 3                # completed
fabric_status = 0
fabric_clique_id = 0
fabric_cluster_uuid = 00000000-0000-0000-0000-000000000000

# GPM, % and MiB/s; all estimated
gpm = 1
gpm.1 = 100 * var.load          # graphics engine
gpm.2 = 96 * var.load           # SM
gpm.3 = 38 * var.load           # SM occupancy
gpm.4 = 9 * var.load            # integer
gpm.5 = 62 * var.load           # any tensor
gpm.6 = 0
gpm.7 = 62 * var.load           # HMMA tensor
gpm.8 = 0
gpm.9 = 0
gpm.10 = 34 * var.load          # DRAM bandwidth
gpm.11 = 0
gpm.12 = 11 * var.load          # FP32
gpm.13 = 2 * var.load           # FP16
gpm.20 = 0.35 + 3900 * var.load # PCIe
gpm.21 = 0.33 + 8800 * var.load

# What every instance has. An instance's own sections follow; other numbers are holes.
[mig *]
compute_instance_id = 0
encoder_count = 0
ofa_count = 0
ecc_uncorrected_volatile = 0
ecc_uncorrected_volatile.7 = 0

[gpu 0 mig 0]
name = NVIDIA H100 80GB HBM3 MIG 3g.40gb
uuid = MIG-ede7bd0c-ffb8-4309-badb-890859001ac9
gpu_instance_id = 2
multiprocessor_count = 60
copy_engine_count = 3
decoder_count = 3
jpeg_count = 3
gpu_instance_slice_count = 3
compute_instance_slice_count = 3
memory_size_mb = 40448
memory_total = 42412802048
memory_reserved = 0
memory_used = 24117248 + 11602493440 * var.load
bar1_total = 25940721664
bar1_used = 0
gpm.1 = 100 * var.load
gpm.2 = 97 * var.load
gpm.3 = 40 * var.load
gpm.5 = 55 * var.load
gpm.10 = 45 * var.load

[gpu 0 mig 1]
name = NVIDIA H100 80GB HBM3 MIG 2g.20gb
uuid = MIG-ffe976ab-6058-4cca-8e1d-62e05b4c8012
gpu_instance_id = 3
multiprocessor_count = 32
copy_engine_count = 2
decoder_count = 2
jpeg_count = 2
gpu_instance_slice_count = 2
compute_instance_slice_count = 2
memory_size_mb = 20096
memory_total = 21072183296
memory_reserved = 0
memory_used = 17825792
bar1_total = 12969836544
bar1_used = 0
gpm.1 = 0
gpm.2 = 0
gpm.3 = 0
gpm.5 = 0
gpm.10 = 0

[gpu 0 mig 2]
name = NVIDIA H100 80GB HBM3 MIG 1g.10gb
uuid = MIG-1389b372-a341-438c-837a-7935bef7e268
gpu_instance_id = 9
multiprocessor_count = 16
copy_engine_count = 1
decoder_count = 1
jpeg_count = 1
gpu_instance_slice_count = 1
compute_instance_slice_count = 1
memory_size_mb = 9984
memory_total = 10468982784
memory_reserved = 0
memory_used = 9437184
bar1_total = 6484393984
bar1_used = 0
gpm.1 = 0
gpm.2 = 0
gpm.3 = 0
gpm.5 = 0
gpm.10 = 0

[gpu 0 mig 3]
name = NVIDIA H100 80GB HBM3 MIG 1g.10gb
uuid = MIG-8eb5140f-16f4-4881-9724-1955b91dddd9
gpu_instance_id = 10
multiprocessor_count = 16
copy_engine_count = 1
decoder_count = 1
jpeg_count = 1
gpu_instance_slice_count = 1
compute_instance_slice_count = 1
memory_size_mb = 9984
memory_total = 10468982784
memory_reserved = 0
memory_used = 9437184
bar1_total = 6484393984
bar1_used = 0
gpm.1 = 0
gpm.2 = 0
gpm.3 = 0
gpm.5 = 0
gpm.10 = 0

[process *]
compute = 1
gpu_instance_id = 2
compute_instance_id = 0

[gpu 0 process 5021180]
name = /root/tools/memhog
used_memory = 2407530496 * var.load

[gpu 0 process 5021181]
name = /root/tools/memhog
used_memory = 1333788672 * var.load

[gpu 0 process 5021198]
name = ./gpu_burn
used_memory = 7847542784 * var.load
