# A server with two A100-SXM4-80GB in MIG mode and driver 535: the first cut into four times 1g.20gb, the second into
# seven times 1g.10gb.
#
# Of the first card instances, sizes, thresholds and what is not answered (utilization, remapped rows) are those of a
# capture with driver 535.54.03, which was idle. Estimated: the second card, every load, the energy counter, slices,
# memory clock, the kinds of events, the names of the instances. UUIDs and serial numbers are invented.

[machine]
driver_version = 535.54.03
nvml_version = 12.535.54.03
cuda_version = 12020

[gpu *]
var.load = clamp(wave(0.5, 0.6, 1200, 200 * index), 0, 1)
var.heat = clamp(wave(0.5, 0.5, 1200, 200 * index - 40), 0, 1)
var.power = 67030 + 210000 * var.load

name = NVIDIA A100-SXM4-80GB
vbios_version = 92.00.36.00.02
board_part_number = 692-2G506-0212-002
inforom_image_version = G506.0212.00.01
inforom_oem_version = 2.0
inforom_ecc_version = 6.16
gsp_firmware_version = 535.54.03
gsp_firmware_mode = 1
gsp_firmware_default_mode = 1
brand = 14                      # NVIDIA
architecture = 7                # Ampere
cuda_compute_capability_major = 8
cuda_compute_capability_minor = 0
minor_number = 1 + index
board_id = 0x100 * (index + 1)
module_id = 4 - index
multi_gpu_board = 0
num_gpu_cores = 6912
memory_bus_width = 5120
persistence_mode = 0
compute_mode = 0
accounting_mode = 0
virtualization_mode = 0
display_active = 0
display_mode = 1
mig_mode_current = 1
mig_mode_pending = 1
max_mig_device_count = 7
pci_device_id = 0x20b210de
pci_subsystem_id = 0x147f10de
pcie_link_generation = 4
pcie_link_width = 16
max_pcie_link_generation = 4
gpu_max_pcie_link_generation = 4
max_pcie_link_width = 16
pcie_replay_counter = 0
pcie_throughput_tx = 4000
pcie_throughput_rx = 0
encoder_sessions = 0
encoder_average_fps = 0
encoder_average_latency = 0
fbc_sessions = 0
fbc_average_fps = 0
fbc_average_latency = 0

memory_total = 85899345920
memory_reserved = 911212544
memory_used = 52428800 + 60000000000 * var.load
bar1_total = 137438953472
bar1_used = 1048576

temperature = 27 + 30 * var.heat
memory_temperature = 44 + 20 * var.heat
temperature_threshold_shutdown = 92
temperature_threshold_slowdown = 89
temperature_threshold_mem_max = 95
temperature_threshold_gpu_max = 85

fan_count = 0

power_usage = var.power
power_instant = var.power
enforced_power_limit = 500000
power_limit = 500000
power_default_limit = 500000
power_min_limit = 100000
power_max_limit = 500000
power_management_mode = 1
total_energy = 9300000000 + integral(var.power, 1200)

performance_state = 0
clock_graphics = 1275 + 135 * var.load
clock_sm = 1275 + 135 * var.load
clock_mem = 1593
clock_video = 1275
max_clock_graphics = 1410
max_clock_sm = 1410
max_clock_mem = 1593
max_clock_video = 1290
clocks_event_reasons = 0
supported_clocks_event_reasons = 0x1ff
throttled_sw_power_cap = 0
throttled_thermal = 0
throttled_sync_boost = 0
throttled_board_limit = 0
throttled_low_utilization = 0
throttled_reliability = 0
supported_event_types = 0x19f

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

[mig *]
compute_instance_id = 0
multiprocessor_count = 14
copy_engine_count = 1
encoder_count = 0
jpeg_count = 0
ofa_count = 0
gpu_instance_slice_count = 1
compute_instance_slice_count = 1
memory_reserved = 0
bar1_used = 0
ecc_uncorrected_volatile = 0
ecc_uncorrected_volatile.7 = 0

[gpu 0]
uuid = GPU-6400148e-6b3f-4dbb-9d45-78f424099037
serial = 1650522003917
pci_bus_id = 00000000:01:00.0

[gpu 0 mig 0]
name = NVIDIA A100-SXM4-80GB MIG 1g.20gb
uuid = MIG-ac6e5d0a-961f-41cd-aed3-43dab11ed9e7
gpu_instance_id = 3
decoder_count = 1
memory_size_mb = 19968
memory_total = 20937965568
memory_used = 13107200 + 14656575897 * var.load
bar1_total = 34358689792

[gpu 0 mig 1]
name = NVIDIA A100-SXM4-80GB MIG 1g.20gb
uuid = MIG-d3660c56-1f60-44cf-a4ad-dab967840842
gpu_instance_id = 4
decoder_count = 1
memory_size_mb = 19968
memory_total = 20937965568
memory_used = 13107200 + 14656575897 * var.load
bar1_total = 34358689792

[gpu 0 mig 2]
name = NVIDIA A100-SXM4-80GB MIG 1g.20gb
uuid = MIG-c5c70829-1ba7-4f01-a4b5-57e33b981190
gpu_instance_id = 5
decoder_count = 1
memory_size_mb = 19968
memory_total = 20937965568
memory_used = 13107200 + 14656575897 * var.load
bar1_total = 34358689792

[gpu 0 mig 3]
name = NVIDIA A100-SXM4-80GB MIG 1g.20gb
uuid = MIG-8df392d2-772a-49d5-a81a-3072d56c41ee
gpu_instance_id = 6
decoder_count = 1
memory_size_mb = 19968
memory_total = 20937965568
memory_used = 13107200 + 14656575897 * var.load
bar1_total = 34358689792

[gpu 1]
uuid = GPU-e227a0e0-2fc1-455a-a2f2-de5d9cc6b211
serial = 1650522004218
pci_bus_id = 00000000:41:00.0

[gpu 1 mig 0]
name = NVIDIA A100-SXM4-80GB MIG 1g.10gb
uuid = MIG-35ead7c3-eb30-4001-8756-57377f3fee3d
gpu_instance_id = 7
decoder_count = 0
memory_size_mb = 9728
memory_total = 10200547328
memory_used = 13107200 + 7140383129 * var.load
bar1_total = 17178820608

[gpu 1 mig 1]
name = NVIDIA A100-SXM4-80GB MIG 1g.10gb
uuid = MIG-c4329af3-b66c-4e57-86a9-ca53d44a775f
gpu_instance_id = 8
decoder_count = 0
memory_size_mb = 9728
memory_total = 10200547328
memory_used = 13107200 + 7140383129 * var.load
bar1_total = 17178820608

[gpu 1 mig 2]
name = NVIDIA A100-SXM4-80GB MIG 1g.10gb
uuid = MIG-7acb9c60-ea73-43b9-9c53-f44bd0020872
gpu_instance_id = 9
decoder_count = 0
memory_size_mb = 9728
memory_total = 10200547328
memory_used = 13107200 + 7140383129 * var.load
bar1_total = 17178820608

[gpu 1 mig 3]
name = NVIDIA A100-SXM4-80GB MIG 1g.10gb
uuid = MIG-a0114cf0-80f6-4970-bd13-979205307589
gpu_instance_id = 10
decoder_count = 0
memory_size_mb = 9728
memory_total = 10200547328
memory_used = 13107200 + 7140383129 * var.load
bar1_total = 17178820608

[gpu 1 mig 4]
name = NVIDIA A100-SXM4-80GB MIG 1g.10gb
uuid = MIG-cabd8142-a23c-4ead-b67a-fe8270fe4a18
gpu_instance_id = 11
decoder_count = 0
memory_size_mb = 9728
memory_total = 10200547328
memory_used = 13107200 + 7140383129 * var.load
bar1_total = 17178820608

[gpu 1 mig 5]
name = NVIDIA A100-SXM4-80GB MIG 1g.10gb
uuid = MIG-58620fba-cb21-4095-8d01-497a23243f41
gpu_instance_id = 12
decoder_count = 0
memory_size_mb = 9728
memory_total = 10200547328
memory_used = 13107200 + 7140383129 * var.load
bar1_total = 17178820608

[gpu 1 mig 6]
name = NVIDIA A100-SXM4-80GB MIG 1g.10gb
uuid = MIG-6d28695c-c7bb-40c0-be52-8dbeb62bf9b2
gpu_instance_id = 13
decoder_count = 0
memory_size_mb = 9728
memory_total = 10200547328
memory_used = 13107200 + 7140383129 * var.load
bar1_total = 17178820608

[process *]
compute = 1
compute_instance_id = 0

[gpu 0 process 5030100]
name = python3 serve.py
gpu_instance_id = 3
used_memory = 14000000000 * var.load

[gpu 0 process 5030101]
name = python3 serve.py
gpu_instance_id = 4
used_memory = 14000000000 * var.load

[gpu 0 process 5030102]
name = python3 serve.py
gpu_instance_id = 5
used_memory = 14000000000 * var.load

[gpu 0 process 5030103]
name = python3 serve.py
gpu_instance_id = 6
used_memory = 14000000000 * var.load

[gpu 1 process 5030104]
name = python3 serve.py
gpu_instance_id = 7
used_memory = 7000000000 * var.load

[gpu 1 process 5030105]
name = python3 serve.py
gpu_instance_id = 8
used_memory = 7000000000 * var.load

[gpu 1 process 5030106]
name = python3 serve.py
gpu_instance_id = 9
used_memory = 7000000000 * var.load

[gpu 1 process 5030107]
name = python3 serve.py
gpu_instance_id = 10
used_memory = 7000000000 * var.load

[gpu 1 process 5030108]
name = python3 serve.py
gpu_instance_id = 11
used_memory = 7000000000 * var.load

[gpu 1 process 5030109]
name = python3 serve.py
gpu_instance_id = 12
used_memory = 7000000000 * var.load

[gpu 1 process 5030110]
name = python3 serve.py
gpu_instance_id = 13
used_memory = 7000000000 * var.load
