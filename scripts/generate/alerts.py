"""docs/ALERTS.md."""

from __future__ import annotations

from scripts.generate.page import HEAD
from zbx_nvidia.catalog.alerts import ALERTS
from zbx_nvidia.catalog.macros import MACROS


def alerts() -> str:
    """docs/ALERTS.md."""
    parts = [HEAD, "# Alerts\n"]
    parts.append(
        "High utilization and a power draw at the limit raise no alert: such a card is at work.\n\n"
        "Periods and limits are [macros](#macros). To set one for a single GPU, add the UUID as context: "
        '`{$NVIDIA.TEMP.MARGIN:"GPU-..."}`.\n\n'
        "If a GPU is gone, its alerts are resolved, and “GPU lost or missing” is raised.\n\n"
        "While the condition of an alert is true, Zabbix raises it again with the next poll. So only alerts that can "
        "stay open longer than their condition “can be closed by hand”. For the others, acknowledge the problem or, "
        "from Zabbix 6.2 on, suppress it until a time.\n"
    )
    for alert in ALERTS:
        after = ", ".join(f"“{other.name}”" for other in ALERTS if other.key in alert.depends)
        parts += [
            f"## {alert.name}\n",
            f"{alert.why}\n",
            f"**What to do:** {alert.action}\n",
            f"- Severity: {alert.severity.lower()}",
            f"- Raised when: `{alert.expression}`",
            *([f"- Resolved when: `{alert.recovery}`"] if alert.recovery else []),
            *(["- Can be closed by hand"] if alert.closable else []),
            *([f"- Suppressed by: {after}"] if after else []),
            "",
        ]
    parts += [
        "## Macros\n",
        "“Host Wizard” is the section of the macro there, in Zabbix 7.4 and newer.\n",
        "| Macro | Default | Host Wizard | Meaning |",
        "|---|---|---|---|",
    ]
    for macro in MACROS:
        value = macro.value.replace("|", "\\|")
        default = f"`{value}`" if value else "empty"
        section = macro.field.section if macro.field else ""
        parts.append(f"| `{{{macro.name}}}` | {default} | {section} | {macro.text} |")
    return "\n".join(parts) + "\n"
