"""`zbx-nvidia show`: the document for people."""

from __future__ import annotations

import json
from typing import Any

import click


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print the document that Zabbix gets.")
def show(*, as_json: bool) -> None:
    r"""Show the GPUs of this host, as Zabbix sees them.

    Exit code 1 if the driver does not answer, or a GPU is lost or sick.

    \b
    Example:
      zbx-nvidia show
      zbx-nvidia show --json | jq .gpus
    """
    from zbx_nvidia.collector.main import get  # noqa: PLC0415  --help needs none of it

    text = get()
    document = json.loads(text)
    if as_json:
        click.echo(text)
    else:
        _table(document)
    host = document.get("host", {})
    if document["status"]["code"] or host.get("gpus_lost") or host.get("gpus_sick"):
        raise click.exceptions.Exit(1)


def _table(document: dict[str, Any]) -> None:
    from rich.console import Console  # noqa: PLC0415  as above
    from rich.table import Table  # noqa: PLC0415  as above

    console = Console(highlight=False)
    status, host = document["status"], document.get("host", {})
    if status["code"]:
        console.print(f"{status['name']}: {status['message']}", style="red", soft_wrap=True, markup=False)
    if host:
        known = (
            ("Driver", "driver_version"),
            ("NVML", "nvml_version"),
            ("CUDA", "cuda_version"),
            ("GPUs", "gpu_count"),
        )
        console.print("  ".join(f"{word} {host[key]}" for word, key in known if key in host))
    for key, word in (("lost", "Lost"), ("sick", "Sick")):
        if host.get(key):
            console.print(f"{word}: {host[key]}", style="red", soft_wrap=True, markup=False)
    rows = [_cells(gpu) for gpu in document["gpus"].values()]
    # A column that no card of this host can fill is left out, such as the fan of passively cooled cards.
    columns = [heading for heading in (rows[0] if rows else {}) if any(row[heading] for row in rows)]
    table = Table(box=None, pad_edge=False, header_style="bold", show_header=bool(rows))
    for heading in columns:
        name = heading == "Model"
        table.add_column(heading, justify="left" if name else "right", no_wrap=not name, overflow="fold")
    for row in rows:
        table.add_row(*(row[heading] for heading in columns))
    if rows:
        console.print(table)
    for error in document["collector"]["errors"]:
        where = f"{error['gpu'] or 'host'} {error['metric']}".rstrip()
        console.print(f"{where}: {error['message']} ({error['code']})", style="yellow", soft_wrap=True, markup=False)


def _cells(gpu: dict[str, Any]) -> dict[str, str]:
    """One line of the table, by heading; empty where the card has no value."""
    from zbx_nvidia.collector.document import model  # noqa: PLC0415  as above

    power, limit = _number(gpu, "power", "W"), _number(gpu, "power_limit", "W")
    used, total = (_number(gpu, key, "", 2**30, 1) for key in ("memory_used", "memory_total"))
    return {
        "GPU": str(gpu.get("index", "")),
        "Model": model(str(gpu.get("name", ""))),
        "Temp": _number(gpu, "temperature", "°C"),
        "Fan": _number(gpu, "fan_speed", "%"),
        "Power": f"{power}/{limit}" if limit else power,
        "Memory": f"{used}/{total}GiB" if total else "",
        "Util": _number(gpu, "utilization", "%"),
        "Mem": _number(gpu, "utilization_memory", "%"),
        "SM clock": _number(gpu, "clock_sm", "MHz", 10**6),
        "P": f"P{gpu['performance_state']}" if "performance_state" in gpu else "",
    }


def _number(gpu: dict[str, Any], key: str, unit: str, divisor: int = 1, digits: int = 0) -> str:
    return f"{gpu[key] / divisor:.{digits}f}{unit}" if key in gpu else ""
