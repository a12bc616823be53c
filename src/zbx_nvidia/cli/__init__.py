"""The command `zbx-nvidia`: arguments, calls, output and exit codes, nothing else."""
