"""The demo: start the containers, set Zabbix up with the product's own commands, show the first values.

usage: demo.py SERIES    (run scripts/images.sh SERIES first)
"""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from zbx_nvidia.server.connection import Credentials, connect

if TYPE_CHECKING:
    from collections.abc import Callable

    from zbx_nvidia.server.connection import Connection

ROOT = Path(__file__).parents[1]
# Not Compose's own variable: a user who has set that means another project.
PROJECT = os.environ.get("ZBX_NVIDIA_DEMO_PROJECT", "zbx-nvidia-demo")
HOSTS = {"workstation": "oneshot", "gpu-server": "resident"}  # host -> mode of the collector
INSTALLED = "/opt/zbx-nvidia/bin/zbx-nvidia"
KEY = "/etc/zabbix/zbx-nvidia.psk"
USER, PASSWORD = "Admin", "zabbix"  # Zabbix's first login; the front end listens on loopback only
PATIENCE = 600  # seconds to wait for all values; with the default times, they take two or three minutes
RELOAD = 10  # seconds between two requests to read new items: by itself, Zabbix 6.0 does that once a minute
COLUMNS = {  # the catalog's key: heading, unit, divisor
    "temperature": ("Temperature", "°C", 1),
    "fan_speed": ("Fan", "%", 1),
    "utilization": ("Utilization", "%", 1),
    "memory_used": ("Memory used", "GiB", 1 << 30),
    "power": ("Power", "W", 1),
}


def say(text: str) -> None:
    """Prints the next step, unbuffered."""
    print(f"> {text}", flush=True)


def compose(series: str, port: int, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs docker compose on the demo's project."""
    return subprocess.run(
        ["docker", "compose", "--project-name", PROJECT, *arguments],
        cwd=ROOT,
        env={**os.environ, "ZABBIX_SERIES": series, "ZABBIX_WEB_PORT": str(port), "ZBX_NVIDIA_SETTINGS": ""},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def web_port(series: str) -> int:
    """The port of a running demo, else 8080, else the next free port."""
    wanted = int(os.environ.get("ZABBIX_WEB_PORT", "8080"))
    running = re.fullmatch(r"127\.0\.0\.1:(\d+)\n", compose(series, wanted, "port", "web", "8080").stdout)
    if running:
        return int(running[1])
    for port in range(wanted, wanted + 100):
        with socket.socket() as probe:
            # As servers do: a port with connections in TIME_WAIT counts as free.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        if port != wanted:
            say(f"Port {wanted} is taken: the front end gets {port}")
        return port
    sys.exit(f"error: no free port between {wanted} and {wanted + 99}: set ZABBIX_WEB_PORT")


def product(url: str, *arguments: str) -> None:
    """Runs the product's own command, as a user would, and shows it."""
    print(f"$ zbx-nvidia {' '.join(arguments)}", flush=True)
    done = subprocess.run(
        [str(Path(sys.executable).with_name("zbx-nvidia")), *arguments],
        env={**os.environ, "ZABBIX_URL": url, "ZABBIX_USER": USER, "ZABBIX_PASSWORD": PASSWORD},
        stdin=subprocess.DEVNULL,
        check=False,
    )
    if done.returncode:
        sys.exit(f"error: zbx-nvidia {arguments[0]} ended with {done.returncode}; its message is above")


def encrypt(series: str, port: int, folder: Path) -> None:
    """Creates a key on each host with the product's own command, and copies it to this machine."""
    for host, mode in HOSTS.items():
        command = [INSTALLED, "install-agent", "--psk", "--psk-identity", host, "--mode", mode]
        # The image's own file is a link, which the tests change at each start; install-agent does not follow links.
        find = ["find", "/etc/zabbix", "-name", "nvidia.conf", "-type", "l", "-delete"]
        compose(series, port, "exec", "--no-TTY", "--user", "root", host, *find)
        print(f"$ {host}: zbx-nvidia {' '.join(command[1:])}", flush=True)
        done = compose(series, port, "exec", "--no-TTY", "--user", "root", host, *command)
        key = compose(series, port, "exec", "--no-TTY", "--user", "root", host, "cat", KEY)
        if done.returncode or key.returncode:
            sys.exit(f"{done.stderr}{key.stderr}error: zbx-nvidia install-agent failed in {host}; its message is above")
        path = folder / host
        path.touch(0o600)
        path.write_text(key.stdout, encoding="ascii")
    # The agent is the main process of its container.
    done = compose(series, port, "restart", "--timeout", "5", *HOSTS)
    if done.returncode:
        sys.exit(f"{done.stderr}error: the hosts could not be restarted; see 'docker compose -p {PROJECT} logs'")


def values(zabbix: Connection, host: str) -> dict[str, str | None]:
    """Last values of a host by item key; None where there is an item but no value yet."""
    items: list[dict[str, Any]] = zabbix.call(
        "item.get",
        {
            "host": host,
            "search": {"key_": "nvidia."},
            "startSearch": True,
            "output": ["key_", "lastvalue", "lastclock"],
        },
    )
    return {item["key_"]: item["lastvalue"] if item["lastclock"] != "0" else None for item in items}


def uuids(items: dict[str, str | None]) -> list[str]:
    """The GPUs that have all values that are shown of them, in the driver's order."""
    shown = ("index", "name", *COLUMNS)
    gpus = [match[1] for key in items if (match := re.fullmatch(r"nvidia\.gpu\.temperature\[(.+)\]", key))]
    # One item has its value before another. Items exist only for what the card has.
    gpus = [uuid for uuid in gpus if all(items.get(f"nvidia.gpu.{key}[{uuid}]", "") is not None for key in shown)]
    return sorted(gpus, key=lambda uuid: int(items.get(f"nvidia.gpu.index[{uuid}]") or 0))


def wait_for_values(zabbix: Connection, reload: Callable[[], object]) -> dict[str, dict[str, str | None]]:
    """Waits until every GPU that a host counts has values."""
    start = reloaded = time.monotonic()
    reported = ""
    reload()
    while True:
        if time.monotonic() - reloaded > RELOAD:
            reload()
            reloaded = time.monotonic()
        items = {host: values(zabbix, host) for host in HOSTS}
        counted = {host: int(float(items[host].get("nvidia.host.gpu_count") or 0)) for host in HOSTS}
        progress = ", ".join(f"{host} {len(uuids(items[host]))} of {counted[host] or '?'}" for host in HOSTS)
        if progress != reported:
            say(f"GPUs with values: {progress} ({time.monotonic() - start:.0f} s)")
            reported = progress
        if all(counted[host] and len(uuids(items[host])) >= counted[host] for host in HOSTS):
            return items
        if time.monotonic() - start > PATIENCE:
            sys.exit(
                f"error: no complete values within {PATIENCE} s; see 'docker compose -p {PROJECT} logs', "
                f"and Monitoring > Latest data in the front end"
            )
        time.sleep(1)


def show(values_of: dict[str, dict[str, str | None]]) -> None:
    """Prints a line for each GPU."""
    table = Table("Host", "GPU", "Model")
    for heading, _, _ in COLUMNS.values():
        table.add_column(heading, justify="right")
    for host, items in values_of.items():
        for uuid in uuids(items):
            cells = []
            for key, (_, unit, divisor) in COLUMNS.items():
                value = items.get(f"nvidia.gpu.{key}[{uuid}]")
                # Items exist only for values that the card has: passively cooled cards have no fan.
                cells.append("-" if value is None else f"{float(value) / divisor:.0f} {unit}")
            index, name = (items.get(f"nvidia.gpu.{key}[{uuid}]", "?") for key in ("index", "name"))
            table.add_row(host, index, name, *cells)
    # A log or a pipe has no width of its own.
    Console(width=None if sys.stdout.isatty() else 110).print(table)


def main() -> None:
    """Brings the demo up and waits for its first values."""
    if len(sys.argv) != 2:  # noqa: PLR2004  the program and its argument
        sys.exit(__doc__)
    series = sys.argv[1]
    port = web_port(series)
    url = f"http://127.0.0.1:{port}"
    say(f"Starting Zabbix {series} and two hosts with simulated GPUs")
    started = compose(series, port, "up", "--no-build", "--pull", "never", "--wait", "--wait-timeout", "180")
    if started.returncode:
        sys.exit(f"{started.stderr}error: the containers did not start; see 'docker compose -p {PROJECT} logs'")
    say("Setting Zabbix up with zbx-nvidia itself")
    product(url, "install-template", "--variant", "passive")
    with tempfile.TemporaryDirectory() as folder:
        encrypt(series, port, Path(folder))
        for host in HOSTS:
            # A demo that already runs may have another key, hence --overwrite.
            product(
                url,
                "add-host",
                host,
                "--address",
                host,
                "--psk-identity",
                host,
                "--psk-file",
                str(Path(folder, host)),
                "--overwrite",
                "--no-wait",
            )
    say("Waiting for the first values")
    with connect(url, Credentials(user=USER, password=PASSWORD)) as zabbix:
        values_of = wait_for_values(
            zabbix,
            lambda: compose(series, port, "exec", "--no-TTY", "server", "zabbix_server", "-R", "config_cache_reload"),
        )
    show(values_of)
    print(f"\nThe front end: {url}   user {USER}, password {PASSWORD}   (Monitoring > Hosts)")
    print("The connections to both hosts are encrypted with a pre-shared key from zbx-nvidia install-agent --psk.")
    print("Stop and remove it all: make demo-down")


if __name__ == "__main__":
    main()
