"""What a report of many GPUs takes: time, memory, and rows of Zabbix's hourly trends.

usage: python -m scripts.bench_report [HOSTS] [DAYS]    (run scripts/images.sh 7.0 first)

Each host has eight GPUs with the items that a report reads. Their trends are written into the database. The command is
a process of its own, as for a user. Time grows with the GPUs; memory must not.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from rich.console import Console
from rich.table import Table

from tests.integration.conftest import Stack, running
from zbx_nvidia.report.gather import KEYS, READ

if TYPE_CHECKING:
    from collections.abc import Iterator

HOUR = 3600
GPUS = 8
FLEET = 5000
# Attribute of an hour -> type of its items' values, and what they are: lowest, mean, highest. `h` is the hour. Power is
# not read where there is energy.
VALUES = {
    "present": (3, "1", "1", "1"),
    "utilization": (0, "70", "82.5", "99"),
    "processes": (0, "1", "1.5", "2"),
    "energy": (0, "h * 2205000.0", "(h + 0.5) * 2205000", "(h + 1) * 2205000"),
    "temperature": (0, "60", "64", "71"),
    "throttling": (0, "0", "0", "0"),
}
ITEMS = {KEYS[key]: VALUES[name] for name, keys in READ.items() if name != "power" for key in keys}
RUN = """
import resource, sys
from zbx_nvidia.cli.main import main
main(sys.argv[1:], standalone_mode=False)
used = resource.getrusage(resource.RUSAGE_SELF)
print(used.ru_maxrss / 1024, used.ru_utime + used.ru_stime, file=sys.stderr)
"""


def uuids(host: int) -> list[str]:
    """Of the GPUs of a host."""
    return [f"GPU-{host:08x}-0000-0000-0000-{gpu:012x}" for gpu in range(GPUS)]


def items(hostid: str, host: int) -> Iterator[dict[str, Any]]:
    """Those of a host that a report reads."""
    for number, uuid in enumerate(uuids(host)):
        for key, (kind, *_) in ITEMS.items():
            yield {
                "hostid": hostid,
                "name": f"GPU {number} [{uuid[4:12]}-{number}]: {key}",
                "key_": f"{key}[{uuid}]",
                "type": 2,
                "value_type": kind,
                "tags": [{"tag": "gpu", "value": f"{uuid[4:12]}-{number}"}, {"tag": "model", "value": "H100"}],
            }


def fill(stack: Stack, hosts: int, since: int, until: int) -> None:
    """Makes the hosts and their trends."""
    api = stack.api
    (group,) = api.hostgroup.create(name="Bench report")["groupids"]
    made = api.host.create(*({"host": f"bench-{host}", "groups": [{"groupid": group}]} for host in range(hosts)))
    for host, hostid in enumerate(made["hostids"]):
        api.item.create(*items(hostid, host))
    statements = [
        f"INSERT INTO {'trends' if kind == 0 else 'trends_uint'} (itemid, clock, num, value_min, value_avg, value_max) "  # noqa: S608
        f"SELECT i.itemid, h * 3600, 60, {least}, {mean}, {most} FROM items i, "
        f"generate_series({since // HOUR - 1}, {until // HOUR - 1}) AS h WHERE i.key_ LIKE '{key}[%'"
        for key, (kind, least, mean, most) in ITEMS.items()
    ]
    stack.sql(*statements, "ANALYZE")


class Taken(NamedTuple):
    """What a command took: seconds, those of a processor that were its own, and MB."""

    seconds: float
    processor: float
    memory: float


def report(stack: Stack, *arguments: str) -> tuple[dict[str, Any], Taken]:
    """What it says, and what it took."""
    environment = {**os.environ, "ZABBIX_URL": stack.url, "ZABBIX_USER": stack.user, "ZABBIX_PASSWORD": stack.password}
    command = [sys.executable, "-c", RUN, "report", "--format", "json", *arguments]
    start = time.monotonic()
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    seconds = time.monotonic() - start
    memory, processor = (float(word) for word in done.stderr.split()[-2:])
    return json.loads(done.stdout), Taken(seconds, processor, memory)


def main() -> None:
    """Measures, and prints the table."""
    given = [int(word) for word in sys.argv[1:]]
    hosts, days = (*given, *(25, 30)[len(given) :])
    with running("7.0") as stack:
        until = int(time.time()) // HOUR * HOUR
        fill(stack, hosts, until - days * 24 * HOUR, until)
        said, taken = report(stack, "--since", f"{days}d")
    gpus = said["total"]["gpus"]
    rows = gpus * len(ITEMS) * (days * 24 + 1)
    table = Table(title="A report on Zabbix 7.0", title_justify="left")
    headings = ("GPUs", "Days", "Trends", "Seconds", "Client's CPU", "Trends per second", "MB")
    for heading in (*headings, f"Seconds for {FLEET:,} GPUs"):
        table.add_column(heading, justify="right")
    cells = (f"{gpus}", f"{days}", f"{rows:,}", f"{taken.seconds:.1f}", f"{taken.processor:.1f}")
    more = (f"{rows / taken.seconds:,.0f}", f"{taken.memory:.0f}", f"{taken.seconds * FLEET / gpus:.0f}")
    table.add_row(*cells, *more)
    Console(width=None if sys.stdout.isatty() else 100).print(table)


if __name__ == "__main__":
    main()
