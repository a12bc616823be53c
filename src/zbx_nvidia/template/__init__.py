"""Catalog -> version-neutral template -> the dialect of a Zabbix version -> YAML; and the documentation tables."""

from zbx_nvidia.template.build import TEMPLATE_NAMES, TEMPLATE_UUIDS
from zbx_nvidia.template.dialect import SERIES
from zbx_nvidia.template.render import VARIANTS, document, render

__all__ = ["SERIES", "TEMPLATE_NAMES", "TEMPLATE_UUIDS", "VARIANTS", "document", "render"]
