"""What `zbx-nvidia doctor` checks, and in which order."""
