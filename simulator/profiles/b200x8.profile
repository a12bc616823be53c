# A training node with eight B200 (SXM: no fan), eighteen links of NVLink 5 each, and driver 590.
#
# No capture exists. Taken from the data sheet and from a capture of an H200, its neighbor: 1000 W, 183359 MiB. The errors of
# its links are counted by other fields than before (206 to 221). Estimated: all else. UUIDs, serial numbers and PCI addresses
# are invented.

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
var.power = 140000 + 810000 * var.load

name = NVIDIA B200
vbios_version = 97.00.9A.00.0F
board_part_number = 692-2G525-0220-002
inforom_image_version = G525.0220.00.03
inforom_oem_version = 2.1
inforom_ecc_version = 7.16
gsp_firmware_version = 590.48.01
gsp_firmware_mode = 1
gsp_firmware_default_mode = 1
brand = 14                      # NVIDIA
architecture = 10               # Blackwell
cuda_compute_capability_major = 10
cuda_compute_capability_minor = 0
minor_number = index
board_id = 0x900 * (index + 1)
module_id = index + 1
# Invented: no capture of a board of Blackwell is at hand.
platform_chassis_serial = 1821225190127
platform_slot = 12
platform_tray = 3
platform_host_id = 1
platform_peer_type = 0
platform_module_id = index + 1
pdi = 0x5a3c91e07d24 + index
repair_channel_pending = 0
repair_tpc_pending = 0
multi_gpu_board = 0
num_gpu_cores = 18944
memory_bus_width = 8192
persistence_mode = 1
compute_mode = 0
accounting_mode = 0
virtualization_mode = 0
display_active = 0
display_mode = !DEPRECATED
mig_mode_current = 0
mig_mode_pending = 0
max_mig_device_count = 7
pci_device_id = 0x290110de
pci_subsystem_id = 0x199910de
pci_base_class = 3
pci_sub_class = 2
pcie_link_generation = 5
pcie_link_width = 16
max_pcie_link_generation = 5    # that of the host; the card alone has the next line's
gpu_max_pcie_link_generation = 6
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

memory_total = 192265846784
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
power_memory = 30000 + 90000 * var.load
power_instant = 140000 + 810000 * var.load
enforced_power_limit = 1000000
power_limit = 1000000
power_default_limit = 1000000
power_min_limit = 200000
power_max_limit = 1000000
power_management_mode = !DEPRECATED
total_energy = 73000000000 + 1000000 * index + integral(var.power, 1500)

performance_state = 0
clock_graphics = 345 + 1620 * var.busy
clock_sm = 345 + 1620 * var.busy
clock_mem = 3996
clock_video = 765 + 780 * var.busy
max_clock_graphics = 1965
max_clock_sm = 1965
max_clock_mem = 3996
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
row_remapper_max = 4096
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
nvlink_version = 7              # NVLink 5.0
nvlink_speed = 53125
nvlink_p2p_supported = 1
nvlink_sysmem_access = 1
nvlink_p2p_atomics = 1
nvlink_sysmem_atomics = 1
nvlink_sli_bridge = 0
nvlink_valid = 1
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
# The counters of NVLink 5, of each link.
field.202 = UNSIGNED_LONG_LONG 1024 * nvlink_throughput_data_tx
field.204 = UNSIGNED_LONG_LONG 1024 * nvlink_throughput_data_rx
field.206 = UNSIGNED_LONG_LONG 0
field.207 = UNSIGNED_LONG_LONG 0
field.208 = UNSIGNED_LONG_LONG 0
field.211 = UNSIGNED_LONG_LONG 0
field.213 = UNSIGNED_LONG_LONG 0
field.214 = UNSIGNED_LONG_LONG 0
field.215 = UNSIGNED_LONG_LONG 0
field.219 = UNSIGNED_LONG_LONG 0
field.221 = UNSIGNED_LONG_LONG 0
fabric_state = 3                # completed
fabric_status = 0
fabric_clique_id = 32766        # invented, like the cluster: a machine alone has zeros
fabric_health_mask = 0x1aa        # four faults that are none (2 each), and no incorrect configuration (1)
fabric_health_summary = 1        # healthy
fabric_cluster_uuid = 3f0d8c52-71e6-4b9a-a8d4-60c2f19b7e35

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
uuid = GPU-5bb7fb0f-d8d9-415b-8725-460b8ce504db
serial = 1650225024255
pci_bus_id = 00000000:1B:00.0

[gpu 1]
uuid = GPU-ce9c02e4-aafb-4062-97ff-bbaaeca05990
serial = 1650225057199
pci_bus_id = 00000000:43:00.0

[gpu 2]
uuid = GPU-0583542f-4cd5-413d-8c6e-3438c63be5a9
serial = 1650225081556
pci_bus_id = 00000000:52:00.0

[gpu 3]
uuid = GPU-e35fd989-b021-4ac8-8c31-76236de8809a
serial = 1650225013408
pci_bus_id = 00000000:61:00.0

[gpu 4]
uuid = GPU-dde53f64-b9a5-4b5f-b3c1-8c1b55270a2c
serial = 1650225029888
pci_bus_id = 00000000:9D:00.0

[gpu 5]
uuid = GPU-2e432cd4-4edb-4a59-89e3-2949b3995201
serial = 1650225036051
pci_bus_id = 00000000:C3:00.0

[gpu 6]
uuid = GPU-8a1e6f91-0951-4549-a823-213cb38eb51c
serial = 1650225002096
pci_bus_id = 00000000:D1:00.0

[gpu 7]
uuid = GPU-5fbd48da-8157-4056-9496-0b4de48e224b
serial = 1650225018022
pci_bus_id = 00000000:DF:00.0

[gpu 0 process 5010309]
[gpu 1 process 5010310]
[gpu 2 process 5010311]
[gpu 3 process 5010312]
[gpu 4 process 5010313]
[gpu 5 process 5010314]
[gpu 6 process 5010315]
[gpu 7 process 5010316]
