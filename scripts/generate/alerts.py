"""docs/ALERTS.md."""

from __future__ import annotations

from scripts.generate.page import HEAD
from zbx_nvidia.catalog.alerts import ALERTS
from zbx_nvidia.catalog.macros import MACROS
from zbx_nvidia.template.expressions import for_gpu


def alerts() -> str:
    """docs/ALERTS.md."""
    parts = [HEAD, "# Alerts\n"]
    parts.append(
        "High utilization and power draw at the limit raise no alert: they are normal for a card at work. "
        "Periods and thresholds are macros; those of a GPU can be set for one card, with its UUID as context. "
        "Alerts of a GPU are raised only while the card is present; a missing card raises “Lost or missing”.\n"
    )
    for alert in ALERTS:
        name = for_gpu(alert.name) if alert.entity != "host" else alert.name
        after = ", ".join(f"“{other.name}”" for other in ALERTS if other.key in alert.depends)
        parts += [
            f"## {name}\n",
            f"{alert.why}\n",
            f"**What to do.** {alert.action}\n",
            f"- Severity: {alert.severity.lower()}",
            f"- Raised when: `{alert.expression}`",
            *([f"- Resolved when: `{alert.recovery}`"] if alert.recovery else []),
            *([f"- Not raised while there is: {after}"] if after else []),
            "",
        ]
    parts += ["## Macros\n", "| Macro | Default | Meaning |", "|---|---|---|"]
    parts += [f"| `{{{macro.name}}}` | `{macro.value}` | {macro.text} |" for macro in MACROS]
    return "\n".join(parts) + "\n"
