"""Trigger expressions: from the short form of the catalog to Zabbix's own."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from zbx_nvidia.catalog.entities import ENTITIES, METRICS

if TYPE_CHECKING:
    from zbx_nvidia.catalog.metrics import Metric

_PARAMETERS = {entity.name: entity.address.replace("/", ",") for entity in ENTITIES}
BY_REF = {metric.ref: metric for metric in METRICS}

_REF = re.compile(r"@([a-z0-9_.]+)")
# Not those that stand in quotes in expressions: a context is quoted too.
_MACRO = re.compile(r"\{(\$NVIDIA\.(?!EXPECTED\.VBIOS|FABRIC\.FAULTS|XID\.)[A-Z.]+)\}")
_PRESENT = "@gpu.present"


def key(metric: Metric) -> str:
    """The item key, with the parameters of a discovered entity."""
    if metric.entity == "gpu":
        return f"{metric.item_key}[{{#UUID}}]"
    if metric.entity in _PARAMETERS:
        return f"{metric.item_key}[{_PARAMETERS[metric.entity]}]"
    return metric.item_key


def metrics_in(expression: str) -> list[Metric]:
    """The metrics that an expression names, each once, in order.

    Raises:
        KeyError: It names one that the catalog lacks.
    """
    return [BY_REF[ref] for ref in dict.fromkeys(_REF.findall(expression))]


def expand(expression: str, template: str) -> str:
    """Replace the names of metrics with the template's items."""
    return _REF.sub(lambda match: f"/{template}/{key(BY_REF[match[1]])}", expression)


def expand_in_text(text: str) -> str:
    """The same inside event names, where an empty host means the trigger's own."""
    return _REF.sub(lambda match: f"//{key(BY_REF[match[1]])}", text)


def for_gpu(text: str) -> str:
    """Add the card's UUID to each user macro as context, so that it can be set for one card."""
    return _MACRO.sub(r'{\1:"{#UUID}"}', text)


def while_present(expression: str) -> str:
    """True only while the card is present: the values of one that is gone stay at the last reading."""
    return expression if _PRESENT in expression else f"{_group(expression)} and last({_PRESENT})=1"


def or_gone(recovery: str) -> str:
    """Also over if the card is gone: then the alert "missing" counts."""
    return recovery if _PRESENT in recovery else f"{_group(recovery)} or last({_PRESENT})=0"


def _group(expression: str) -> str:
    return f"({expression})" if " or " in expression else expression
