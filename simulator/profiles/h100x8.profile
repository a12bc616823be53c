# A training node with eight H100 80GB HBM3 (SXM: no fan) and driver 590.
#
# Limits, relative T.Limit thresholds, clocks, sizes, the nine PCIe replays and both ends of every curve (41 degC with a
# margin of 46 and 69 W idle, 59 degC with 26 and 629 W under load) are those of a capture of one such card with driver
# 590.48.01. Estimated: that all eight go along, each at its own time and a little hotter than its neighbor, the energy
# and throttle counters, PCIe throughput, what NVLink carries, GPM, processes, the kinds of events. UUIDs, serial
# numbers and PCI addresses are invented.
#
# The node trains: thirty minutes to a turn, twelve of them at full load, six of them idle.

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
var.load = clamp(wave(0.75, 0.9, 1800, 47 * index), 0, 1)
var.busy = min(1, floor(1000 * var.load))
var.heat = clamp(wave(0.68, 0.42, 1800, 47 * index - 30), 0, 1)
var.power = 69850 + 559600 * var.load

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
minor_number = index
board_id = 0x900 * (index + 1)
module_id = index + 1
multi_gpu_board = 0
num_gpu_cores = 16896
memory_bus_width = 5120
persistence_mode = 1
compute_mode = 0
accounting_mode = 0
virtualization_mode = 0
display_active = 0
display_mode = !DEPRECATED
mig_mode_current = 0
mig_mode_pending = 0
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
pcie_throughput_tx = 352 + 4000000 * var.load
pcie_throughput_rx = 329 + 9000000 * var.load

utilization_gpu = 100 * var.load
utilization_memory = 11 * var.load
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

memory_total = 85520809984
memory_reserved = 502267904
memory_used = 1048576 + 67645734912 * var.load
bar1_total = 137438953472
bar1_used = 1048576 + 20780679168 * var.load

# The margin falls faster than the temperature rises: 41 degC has 46 left, 59 degC has 26.
temperature = 41 + 18 * var.heat + 0.4 * index
margin_temperature = 46 - 20 * var.heat - 0.4 * index
memory_temperature = 48 + 7 * var.heat + 0.4 * index
tlimit_shutdown = -8
tlimit_slowdown = -2
tlimit_mem_max = 0
tlimit_gpu_max = 0

fan_count = 0

power_usage = var.power
power_average = var.power
power_instant = 69620 + 548000 * var.load
enforced_power_limit = 700000
power_limit = 700000
power_default_limit = 700000
power_min_limit = 200000
power_max_limit = 700000
power_management_mode = !DEPRECATED
total_energy = 73000000000 + 1000000 * index + integral(var.power, 1800)

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
remapped_rows_corrected = 0
remapped_rows_uncorrected = 0
remapped_rows_pending = 0
remapped_rows_failure = 0
row_remapper_max = 2560
row_remapper_high = 0
row_remapper_partial = 0
row_remapper_low = 0
row_remapper_none = 0
unrepairable_memory = 0
gpu_recovery_action = 0
conf_compute_protected_size = 0
conf_compute_unprotected_size = 83517392
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
nvlink_throughput_data_tx = integral(var.link, 1800)
nvlink_throughput_data_rx = integral(var.link, 1800)
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
used_memory = 1048576 + 67645734912 * var.load
sm_utilization = 99 * var.load
utilization_memory = 11 * var.load

[gpu 0]
uuid = GPU-9bb1b5a4-5f6c-4965-adf0-ad165eee2b9b
serial = 1654723021444
pci_bus_id = 00000000:19:00.0

[gpu 1]
uuid = GPU-04c59b90-35db-46ba-a275-e2cbb5b62c55
serial = 1654723011803
pci_bus_id = 00000000:2D:00.0

[gpu 2]
uuid = GPU-a4cafa7b-a400-4418-a60d-bba34ee2e6ad
serial = 1654723071453
pci_bus_id = 00000000:3F:00.0

[gpu 3]
uuid = GPU-3c947964-b3be-4008-a0c4-c757a60a9ab3
serial = 1654723082102
pci_bus_id = 00000000:66:00.0

[gpu 4]
uuid = GPU-fa2607bc-d81b-4c41-acf1-3549ad83cf6c
serial = 1654723042591
pci_bus_id = 00000000:9B:00.0

[gpu 5]
uuid = GPU-3afdc8aa-accd-420c-af44-63354143a633
serial = 1654723013309
pci_bus_id = 00000000:AE:00.0

[gpu 6]
uuid = GPU-62c00016-7091-4ba0-a6c2-d84cf7c69858
serial = 1654723082810
pci_bus_id = 00000000:BF:00.0

[gpu 7]
uuid = GPU-e3efde27-99fd-4ced-a429-bca3c3dadbdc
serial = 1654723051328
pci_bus_id = 00000000:E4:00.0

[gpu 0 process 5011345]
[gpu 1 process 5011346]
[gpu 2 process 5011347]
[gpu 3 process 5011348]
[gpu 4 process 5011349]
[gpu 5 process 5011350]
[gpu 6 process 5011351]
[gpu 7 process 5011352]
