"""What the kernel shows of the GPUs in /sys and /proc, for processes that must not load NVML too."""
