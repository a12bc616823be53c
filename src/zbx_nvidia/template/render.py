"""The template of a series: as a server takes it, and as text in the YAML style of Zabbix's own exports."""

from __future__ import annotations

import functools
from typing import Any

import yaml

from zbx_nvidia.errors import UsageError
from zbx_nvidia.template.build import TEMPLATE_NAMES, build
from zbx_nvidia.template.dialect import SERIES, form, speak

VARIANTS = tuple(TEMPLATE_NAMES)


def document(series: str, variant: str) -> dict[str, Any]:
    """The template with its group, each value as text.

    Args:
        series: `6.0` (for 6.0, 6.2 and 6.4; newer servers read it too), `7.0` (for 7.0 and newer) or `7.4` (for 7.4
            and 8.0).
        variant: `passive` or `active`.

    Returns:
        What stands below `zabbix_export` in the template file.

    Raises:
        UsageError: No such series or variant.
    """
    if series not in SERIES:
        raise UsageError(f"no template for Zabbix {series}: choose one of {', '.join(SERIES)}")
    if variant not in VARIANTS:
        raise UsageError(f"no variant {variant}: choose one of {', '.join(VARIANTS)}")
    tree: dict[str, Any] = speak(build(variant, form(series)), series)["zabbix_export"]
    return tree


@functools.cache  # takes a second: PyYAML's fast emitter cannot indent lists
def render(series: str, variant: str) -> str:
    """The template file: YAML for `configuration.import`. As `document`."""
    tree = {"zabbix_export": document(series, variant)}
    return yaml.dump(tree, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=10_000)


class _Dumper(yaml.SafeDumper):
    """PyYAML, indenting lists as Zabbix does and never using aliases."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: FBT001, FBT002, ARG002  PyYAML's own signature
        super().increase_indent(flow, False)

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ANN401, ARG002  PyYAML's own signature
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)
