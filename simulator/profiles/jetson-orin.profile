# A Jetson AGX Orin, whose GPU is part of the processor: driver 540 of JetPack 6.
#
# No capture exists. Taken from public reports of nvidia-smi on this board: the name, CUDA 12.2, and N/A or Not Supported
# for all else, memory, temperature, power and utilization among it. UUID is invented.

[machine]
driver_version = 540.3.0
nvml_version = 12.540.3.0
cuda_version = 12020

[gpu 0]
name = Orin (nvgpu)
uuid = GPU-7b0e64d1-3c5f-4f3a-8f42-a1d90c2be857
brand = 0                       # unknown
architecture = 7                # Ampere
cuda_compute_capability_major = 8
cuda_compute_capability_minor = 7
minor_number = 0
processes = !NOT_SUPPORTED
