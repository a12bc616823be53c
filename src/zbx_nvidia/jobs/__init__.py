"""Jobs on this host: what one took, and whether the GPUs are fit for one."""
