"""Catalog -> neutral template -> the dialect of a Zabbix series -> YAML."""

from zbx_nvidia.template.build import TEMPLATE_NAMES
from zbx_nvidia.template.dialect import SERIES
from zbx_nvidia.template.render import VARIANTS, render

__all__ = ["SERIES", "TEMPLATE_NAMES", "VARIANTS", "render"]
