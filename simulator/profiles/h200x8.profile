# A training node with eight H200 (SXM: no fan) and driver 590.
#
# Limits, relative T.Limit thresholds, clocks, sizes and both ends of every curve (28 degC with a margin of 59 and 78
# W idle, 52 degC with 35 and 627 W under load) are those of a capture of one such card with driver 590.48.01.
# Estimated: that all eight go along, the energy and throttle counters, PCIe throughput, what NVLink carries, GPM,
# processes, the kinds of events. UUIDs, serial numbers and PCI addresses are invented.

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

[gpu *]
# How busy (0 to 1), whether at all, and how warm: the heat follows the load half a minute later.
var.load = clamp(wave(0.6, 0.9, 1500, 61 * index), 0, 1)
var.busy = min(1, floor(1000 * var.load))
var.heat = clamp(wave(0.6, 0.4, 1500, 61 * index - 30), 0, 1)
var.power = 77670 + 549650 * var.load

name = NVIDIA H200
vbios_version = 96.00.A5.00.03
board_part_number = 695-2G520-0280-001
inforom_image_version = G520.0280.02.02
inforom_oem_version = 2.1
inforom_ecc_version = 7.16
gsp_firmware_version = 590.48.01
gsp_firmware_mode = 1
gsp_firmware_default_mode = 1
brand = 14                      # NVIDIA
architecture = 9                # Hopper
cuda_compute_capability_major = 9
cuda_compute_capability_minor = 0
minor_number = index
board_id = 0x900 * (index + 1)
module_id = index + 1
multi_gpu_board = 0
num_gpu_cores = 16896
memory_bus_width = 6144
persistence_mode = 1
compute_mode = 0
accounting_mode = 0
virtualization_mode = 0
display_active = 0
display_mode = !DEPRECATED
mig_mode_current = 0
mig_mode_pending = 0
max_mig_device_count = 7
pci_device_id = 0x233510de
pci_subsystem_id = 0x18be10de
pci_base_class = 3
pci_sub_class = 2
pcie_link_generation = 5
pcie_link_width = 16
max_pcie_link_generation = 5
gpu_max_pcie_link_generation = 5
max_pcie_link_width = 16
pcie_replay_counter = 0
pcie_throughput_tx = 371 + 4000000 * var.load
pcie_throughput_rx = 337 + 9000000 * var.load

utilization_gpu = 100 * var.load
utilization_memory = 7 * var.load
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

memory_total = 150754820096
memory_reserved = 643825664
memory_used = 1048576 + 121000000000 * var.load
bar1_total = 274877906944
bar1_used = 1048576 + 33934016512 * var.load

temperature = 28 + 24 * var.heat + 0.4 * index
margin_temperature = 59 - 24 * var.heat - 0.4 * index
memory_temperature = 32 + 9 * var.heat + 0.4 * index
tlimit_shutdown = -8
tlimit_slowdown = -2
tlimit_mem_max = 0
tlimit_gpu_max = 0

fan_count = 0

power_usage = var.power
power_average = var.power
power_instant = 77880 + 547360 * var.load
enforced_power_limit = 700000
power_limit = 700000
power_default_limit = 700000
power_min_limit = 200000
power_max_limit = 700000
power_management_mode = !DEPRECATED
total_energy = 73000000000 + 1000000 * index + integral(var.power, 1500)

performance_state = 0
clock_graphics = 345 + 1635 * var.busy
clock_sm = 345 + 1635 * var.busy
clock_mem = 3201
clock_video = 765 + 780 * var.busy
max_clock_graphics = 1980
max_clock_sm = 1980
max_clock_mem = 3201
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
remapped_rows_corrected = 0
remapped_rows_uncorrected = 0
remapped_rows_pending = 0
remapped_rows_failure = 0
row_remapper_max = 3072
row_remapper_high = 0
row_remapper_partial = 0
row_remapper_low = 0
row_remapper_none = 0
unrepairable_memory = 0
gpu_recovery_action = 0
conf_compute_protected_size = 0
conf_compute_unprotected_size = 147221504
conf_compute_protected_total = 0
conf_compute_protected_used = 0

# Eighteen links to four NVSwitches; KiB since the driver was loaded. What a link carries is estimated.
var.link = 6000000 * var.load
nvlink_count = 18
nvlink_state = 1
nvlink_version = 6              # NVLink 4.0
nvlink_speed = 26562
nvlink_p2p_supported = 1
nvlink_sysmem_access = 1
nvlink_p2p_atomics = 1
nvlink_sysmem_atomics = 1
nvlink_sli_bridge = 0
nvlink_valid = 1
nvlink_replay_errors = 0
nvlink_recovery_errors = 0
nvlink_crc_flit_errors = 0
nvlink_crc_data_errors = 0
nvlink_remote_device_type = 2   # a switch
nvlink_remote_pci_bus_id = 00000000:07:00.0
nvlink_throughput_data_tx = integral(var.link, 1500)
nvlink_throughput_data_rx = integral(var.link, 1500)
nvlink_throughput_data_tx.sum = 18 * nvlink_throughput_data_tx
nvlink_throughput_data_rx.sum = 18 * nvlink_throughput_data_rx
nvlink_throughput_raw_tx = 1.12 * nvlink_throughput_data_tx
nvlink_throughput_raw_rx = 1.12 * nvlink_throughput_data_rx
nvlink_throughput_raw_tx.sum = 18 * nvlink_throughput_raw_tx
nvlink_throughput_raw_rx.sum = 18 * nvlink_throughput_raw_rx
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
gpm.60 = 18 * var.link / 1024   # NVLink
gpm.61 = 18 * var.link / 1024

# One process to a GPU, as a training job has them.
[process *]
name = python3 train.py
compute = 1
used_memory = 1048576 + 121000000000 * var.load
sm_utilization = 99 * var.load
utilization_memory = 7 * var.load

[gpu 0]
uuid = GPU-f38b2ffc-80a4-4f5a-91c9-bc701e7ea419
serial = 1654724014514
pci_bus_id = 00000000:1B:00.0

[gpu 1]
uuid = GPU-f3f49249-dc28-4f90-a5ae-c7978306d03b
serial = 1654724037649
pci_bus_id = 00000000:43:00.0

[gpu 2]
uuid = GPU-e5121482-3929-4d22-a255-accb1a466884
serial = 1654724012851
pci_bus_id = 00000000:52:00.0

[gpu 3]
uuid = GPU-6bad6be2-8e7a-46e9-9f19-950499dd251d
serial = 1654724058937
pci_bus_id = 00000000:61:00.0

[gpu 4]
uuid = GPU-d7a7a3cc-8c3d-4f16-9293-de8fc88b2875
serial = 1654724001505
pci_bus_id = 00000000:9D:00.0

[gpu 5]
uuid = GPU-7dabe929-c4a3-44bf-86cd-75e9bb049a79
serial = 1654724089807
pci_bus_id = 00000000:C3:00.0

[gpu 6]
uuid = GPU-70eb9a0a-9626-4ae6-85e8-18fac0433cbd
serial = 1654724064262
pci_bus_id = 00000000:D1:00.0

[gpu 7]
uuid = GPU-14aa4e71-9d3c-4dec-80a6-1f933d6c51e3
serial = 1654724089048
pci_bus_id = 00000000:DF:00.0

[gpu 0 process 5010309]
[gpu 1 process 5010310]
[gpu 2 process 5010311]
[gpu 3 process 5010312]
[gpu 4 process 5010313]
[gpu 5 process 5010314]
[gpu 6 process 5010315]
[gpu 7 process 5010316]
