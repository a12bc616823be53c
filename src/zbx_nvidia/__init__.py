"""Watch NVIDIA GPUs in Zabbix: agent-side collector, templates and API client."""

__version__ = "0.1.0"
