"""What the other packages need of a Linux host: paths, this installation, permissions, commands and systemd."""
