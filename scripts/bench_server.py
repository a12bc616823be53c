"""What a poll of eight GPUs costs the Zabbix server and its database, beside items that are polled one by one.

usage: python -m scripts.bench_server    (run scripts/images.sh 7.0 first)

The second host has the shape of Zabbix's own template “Nvidia by Zabbix agent 2”: for each GPU 18 items polled once a
minute, 7 of them the masters of 18 dependent ones, and 22 triggers. Its plugin needs a GPU, so the agent answers other
keys, which cost the server the same: a number that changes each time, or a small JSON text.
"""

from __future__ import annotations

import re
import sys
import time
from functools import partial
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from tests.integration.conftest import PROFILE, Stack, running
from tests.integration.watched import Client, as_options, document, filled, items

if TYPE_CHECKING:
    from collections.abc import Iterator

INTERVAL, SECONDS = 2, 60  # 30 polls
MINUTE = 60
GPUS = 8
OURS, THEIRS = "bench-document", "bench-items"
SERVICES = ("server", "postgres")
# Of one GPU of Zabbix's template: numbers, and JSON texts with the numbers that each holds.
NUMBERS, TEXTS = 11, (3, 2, 2, 3, 4, 2, 2)
TRIGGERS = 22
JSON = "/tmp/bench.json"  # noqa: S108  in a container
PASSIVE, DEPENDENT, UNSIGNED, TEXT, JSONPATH = 0, 18, 3, 4, 12
CPU = "cat /sys/fs/cgroup/cpu.stat 2>/dev/null || cat /sys/fs/cgroup/cpuacct/cpuacct.usage"


def cpu(stack: Stack) -> dict[str, float]:
    """CPU seconds of the containers since their start: by cgroup v2 in microseconds, by v1 in nanoseconds."""
    used = {}
    for service in SERVICES:
        text = stack.exec(service, "sh", "-c", CPU)
        match = re.search(r"^usage_usec (\d+)$", text, re.MULTILINE)
        used[service] = int(match[1]) / 1e6 if match else int(text) / 1e9
    return used


def spent(stack: Stack) -> dict[str, float]:
    """CPU seconds of the containers in the time of the measurement."""
    before = cpu(stack)
    time.sleep(SECONDS)
    return {service: used - before[service] for service, used in cpu(stack).items()}


def fast(profile: str) -> str:
    """A profile whose load changes as much from poll to poll as from minute to minute."""

    def shortened(match: re.Match[str]) -> str:
        return f"{match[1]}{int(match[2]) * INTERVAL / MINUTE:g}"

    return re.sub(r"((?:wave|step|ramp)\([^,()]+, [^,()]+, |integral\([^,()]+, )(\d+)", shortened, profile)


def blank(number: int) -> str:
    """Blanks before a parameter make another key of the same item."""
    return " " * number


def rows(hostid: str, interfaceid: str) -> Iterator[dict[str, Any]]:
    """The polled items of the second host, in the form of item.create."""
    common = {"hostid": hostid, "interfaceid": interfaceid, "type": PASSIVE, "delay": f"{INTERVAL}s"}
    for gpu in range(GPUS):
        for number in range(NUMBERS):
            key = f"system.localtime[{blank(NUMBERS * gpu + number)}utc]"
            yield {**common, "name": f"{gpu} number {number}", "key_": key, "value_type": UNSIGNED}
        for number in range(len(TEXTS)):
            key = f"vfs.file.contents[{blank(len(TEXTS) * gpu + number)}{JSON}]"
            yield {**common, "name": f"{gpu} text {number}", "key_": key, "value_type": TEXT, "history": "0"}


def polled_one_by_one(stack: Stack) -> int:
    """Makes the second host; the number of its values."""
    api = stack.api
    stack.exec("gpu-server", "sh", "-c", f"cat >{JSON}", input='{"a": 1, "b": 22, "c": 333, "d": 4444}')
    (group,) = api.hostgroup.get(filter={"name": "NVIDIA GPUs"}, output=["groupid"])
    interface = {"type": 1, "main": 1, "useip": 0, "ip": "", "dns": "gpu-server", "port": "10050"}
    (hostid,) = api.host.create(host=THEIRS, groups=[group], interfaces=[interface])["hostids"]
    (there,) = api.hostinterface.get(hostids=[hostid], output=["interfaceid"])
    polled = list(rows(hostid, there["interfaceid"]))
    ids = api.item.create(*polled)["itemids"]
    dependent = [
        {
            "hostid": hostid,
            "type": DEPENDENT,
            "master_itemid": itemid,
            "name": f"{row['name']} {place}",
            "key_": f"bench[{itemid},{place}]",
            "value_type": UNSIGNED,
            "preprocessing": [
                {"type": JSONPATH, "params": f"$.{'abcd'[place]}", "error_handler": 0, "error_handler_params": ""}
            ],
        }
        for itemid, row in zip(ids, polled, strict=True)
        if row["value_type"] == TEXT
        for place in range(TEXTS[int(row["name"].rpartition(" ")[2])])
    ]
    api.item.create(*dependent)
    numbers = [row["key_"] for row in (*polled, *dependent) if row["value_type"] == UNSIGNED]
    api.trigger.create(
        *(
            {"description": f"{gpu} {number}", "expression": f"min(/{THEIRS}/{key},3m)>99999999999"}
            for gpu in range(GPUS)
            for number, key in enumerate(numbers[gpu::GPUS][:TRIGGERS])
        )
    )
    return len(numbers)


def with_the_document(stack: Stack) -> int:
    """Makes the first host; the number of its values."""
    profile = stack.exec("gpu-server", "cat", PROFILE)
    stack.exec("gpu-server", "sh", "-c", f"cat >{PROFILE}.new && mv {PROFILE}.new {PROFILE}", input=fast(profile))
    client = Client(stack.url, ZABBIX_USER=stack.user, ZABBIX_PASSWORD=stack.password)
    client.ok("install-template")
    macros = as_options({"{$NVIDIA.INTERVAL}": f"{INTERVAL}s"})
    client.ok("add-host", OURS, "--address", "gpu-server", "--wait", *macros)
    gpus = len(document(stack, "gpu-server")["gpus"])
    stack.wait(lambda: filled(stack, OURS, "nvidia.gpu.power[") == gpus, "values of all GPUs")
    return len(items(stack, OURS))


def switch(stack: Stack, *on: str) -> None:
    """Have only these hosts polled."""
    for host in (OURS, THEIRS):
        stack.api.host.update(hostid=stack.host_id(host), status=int(host not in on))
    time.sleep(2 * INTERVAL + 10)  # the server reads its configuration, and works off what it has


def main() -> None:
    """Measures both, and prints the table."""
    with running("7.0") as stack:
        values = {OURS: with_the_document(stack), THEIRS: polled_one_by_one(stack)}
        stack.wait(partial(filled, stack, THEIRS, "bench["), "values of the items that are polled one by one")
        switch(stack)
        idle = spent(stack)
        used = {}
        for host in values:
            switch(stack, host)
            used[host] = {service: seconds - idle[service] for service, seconds in spent(stack).items()}
    polls = SECONDS / INTERVAL
    table = Table(title=f"A poll of {GPUS} GPUs on Zabbix 7.0: CPU time in ms", title_justify="left")
    for heading in ("Shape", "Checks", "Items", "Server", "Database", "Sum", "Sum per item in µs"):
        table.add_column(heading, justify="left" if heading == "Shape" else "right")
    names = {
        OURS: ("This template: one document", 1),
        THEIRS: ("Items polled one by one", GPUS * (NUMBERS + len(TEXTS))),
    }
    for host, (name, checks) in names.items():
        server, database = (1000 * used[host][service] / polls for service in SERVICES)
        total = server + database
        cells = (f"{checks}", f"{values[host]}", f"{server:.1f}", f"{database:.1f}", f"{total:.1f}")
        table.add_row(name, *cells, f"{1000 * total / values[host]:.0f}")
    Console(width=None if sys.stdout.isatty() else 100).print(table)


if __name__ == "__main__":
    main()
