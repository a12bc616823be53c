"""The JSON Schemas of the two documents."""

from __future__ import annotations

from typing import Any

from zbx_nvidia.catalog.entities import DOCUMENT, ENTITIES, LINKS_DOCUMENT, Entity
from zbx_nvidia.catalog.metrics import GPU_METRICS, HOST_METRICS, TIMESTAMP, Metric
from zbx_nvidia.catalog.sampled import SAMPLED_METRICS
from zbx_nvidia.collector.document import MAX_ERRORS, VERSION

TYPES: dict[str, dict[str, Any]] = {
    "UNSIGNED": {"type": "integer", "minimum": 0},
    "FLOAT": {"type": "number"},
    "CHAR": {"type": "string", "maxLength": 255},
    # The only one that is not a string in the document: Zabbix stores it as JSON.
    "TEXT": {"type": "array", "items": {"type": "object"}},
}
GPU_MACROS = ("{#UUID}", "{#SHORT}", "{#INDEX}", "{#NAME}", "{#ONE}")


def schema() -> dict[str, Any]:
    """docs/document.schema.json."""
    entities = [entity for entity in ENTITIES if entity.document == DOCUMENT]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"The document of {DOCUMENT}",
        "description": "Readings are in base units. A value that a card does not have is absent, never 0 or null.",
        **_object(
            {
                **_head(),
                "host": _object(_values(HOST_METRICS, "host"), optional=True),
                "presence": _map({"const": 1}, "Each GPU that answers. Absent if not every GPU could be asked."),
                "gpus": _map(
                    _object(_values((*GPU_METRICS, *SAMPLED_METRICS), "gpu"), optional=True), "Readings by UUID."
                ),
                **{
                    entity.section: _map(_object(_values(entity.metrics, entity.name), optional=True), entity.text)
                    for entity in entities
                },
                "discovery": _object(
                    {
                        "gpus": _rows(
                            *GPU_MACROS, "{#MODEL}", "{#PCI}", "{#SERIAL}", "{#SLOT}", "{#PLACE}", "{#LACKS}"
                        ),
                        **{entity.section: _rows_of(entity) for entity in entities},
                    },
                    optional=True,
                ),
            },
            required=("version", "timestamp", "collector", "status", "gpus", "discovery"),
        ),
    }


def links_schema() -> dict[str, Any]:
    """docs/links.schema.json."""
    (entity,) = (entity for entity in ENTITIES if entity.document == LINKS_DOCUMENT)
    link = _object(_values(entity.metrics, entity.name), optional=True)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"The document of {LINKS_DOCUMENT}",
        "description": entity.text,
        **_object(
            {
                **_head(),
                entity.section: _map({"type": "array", "items": link}, "The links of each GPU, in their order."),
                "discovery": _object({entity.section: _rows_of(entity)}, optional=True),
            }
        ),
    }


def _head() -> dict[str, Any]:
    """The first members of both documents."""
    return {
        "version": {"const": VERSION, "description": "Version of this format."},
        "timestamp": _value(TIMESTAMP),
        "collector": _object(
            {
                **_values(HOST_METRICS, "collector"),
                "errors": {
                    "type": "array",
                    "maxItems": MAX_ERRORS,
                    "description": "Readings without a value, and without a reason why there is none.",
                    "items": _object(
                        {
                            "gpu": {"type": "string", "description": "UUID; empty for the host."},
                            "metric": {"type": "string", "description": "The reading; empty for the whole card."},
                            "code": {"type": "integer", "description": "NVML's return code."},
                            "message": {"type": "string"},
                        }
                    ),
                },
            },
            required=("version", "mode", "duration", "error_count", "errors"),
        ),
        "status": _object({**_values(HOST_METRICS, "status"), "name": {"type": "string"}}),
    }


def _rows_of(entity: Entity) -> dict[str, Any]:
    own = GPU_MACROS if entity.of_gpu else ("{#ONE}",)
    return _rows(*own, "{#LACKS}", *entity.macros)


def _rows(*macros: str) -> dict[str, Any]:
    text = {"type": "string"}
    first = {"{#VERSION}": {**text, "description": "In the first row: that of the collector."}}
    return {"type": "array", "items": _object({**dict.fromkeys(macros, text), **first}, required=macros)}


def _values(rows: tuple[Metric, ...], entity: str) -> dict[str, Any]:
    return {metric.counter or metric.key: _value(metric) for metric in rows if metric.entity == entity}


def _value(metric: Metric) -> dict[str, Any]:
    unit = f" Unit: {metric.unit}." if metric.unit else ""
    return {**TYPES[metric.kind], "description": metric.text + unit}


def _object(
    properties: dict[str, Any], *, optional: bool = False, required: tuple[str, ...] | None = None
) -> dict[str, Any]:
    names = list(properties) if required is None else list(required)
    return {
        "type": "object",
        "properties": properties,
        **({} if optional else {"required": names}),
        "additionalProperties": False,
    }


def _map(values: dict[str, Any], description: str) -> dict[str, Any]:
    return {"type": "object", "description": description, "additionalProperties": values}
