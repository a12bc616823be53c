"""Installs on a GPU host, and uninstalls."""
