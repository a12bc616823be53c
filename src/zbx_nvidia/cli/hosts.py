"""`zbx-nvidia add-host`."""

from __future__ import annotations

import re
import shlex
import sys
import time
from typing import TYPE_CHECKING

import click

from zbx_nvidia.cli.connection import FILE, connection_options
from zbx_nvidia.cli.plans import plan_options, show_and_apply
from zbx_nvidia.errors import ServerError, UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from zbx_nvidia.cli.connection import Connect
    from zbx_nvidia.server.connection import Connection

GROUP = "NVIDIA GPUs"
LONGEST_WAIT = 300.0  # s for the first value: a poll a minute, and the server's cache of new hosts another
LOOK = 2.0  # s between two looks


def parse_tags(_ctx: click.Context, _option: click.Parameter, values: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """Pairs of tag and value."""
    pairs = []
    for text in values:
        tag, _, value = text.partition("=")
        if not tag:
            raise click.BadParameter(f"{text!r} has no tag: write it as location=rack7")
        pairs.append((tag, value))
    return tuple(dict.fromkeys(pairs))


def parse_macros(_ctx: click.Context, _option: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    """Values by macro. A name without {$...} is accepted too, as these characters have a meaning in shells."""
    macros = {}
    for text in values:
        match = re.fullmatch(
            r"(?:\{\$(?P<macro>[A-Z0-9_.]+(?::.+?)?)\}|(?P<name>[A-Z0-9_.]+))=(?P<value>.*)", text, re.DOTALL
        )
        if not match:
            raise click.BadParameter(f"{text!r} is not a macro and its value: write it as NVIDIA.NODATA=10m")
        macros[f"{{${match['macro'] or match['name']}}}"] = match["value"]
    return macros


@click.command()
@click.argument("name")
@click.option("--address", default="", help="IP address or DNS name of the host's agent; not needed if active.")
@click.option("--port", type=click.IntRange(1, 65535), help="Port of the agent.  [default: the present one, or 10050]")
@click.option(
    "--group",
    "groups",
    multiple=True,
    help=f"Host group, which must exist; repeatable.  [default for a new host: {GROUP!r}, created if missing]",
)
@click.option(
    "--variant",
    type=click.Choice(["passive", "active"]),
    default="passive",
    show_default=True,
    help="Which template: the server polls the agent (passive), or the agent connects to the server (active).",
)
@click.option("--proxy", help="Zabbix proxy that monitors the host; '' for none.  [default: the present one, or none]")
@click.option("--proxy-group", default="", help="Proxy group instead of one proxy; Zabbix 7.0 or newer.")
@click.option("--tag", "tags", multiple=True, callback=parse_tags, metavar="TAG=VALUE", help="Host tag; repeatable.")
@click.option(
    "--macro",
    "macros",
    multiple=True,
    callback=parse_macros,
    metavar="MACRO=VALUE",
    help="Host macro, with or without {$}; repeatable.",
)
@click.option("--psk-identity", default="", metavar="NAME", help="Encrypt with the pre-shared key of this identity.")
@click.option(
    "--psk-file", type=FILE, help="File with that key, which zbx-nvidia install-agent --psk created on the host."
)
@click.option(
    "--wait/--no-wait",
    default=None,
    help="Wait for the first value, up to 5 minutes.  [default: wait if the output is a terminal]",
)
@click.option(
    "--overwrite", is_flag=True, help="Change the interface, macros, proxy and encryption of the host if they differ."
)
@plan_options
@connection_options
def add_host(  # noqa: PLR0913  one for each option
    connect: Connect,
    *,
    name: str,
    address: str,
    port: int | None,
    groups: tuple[str, ...],
    variant: str,
    proxy: str | None,
    proxy_group: str,
    tags: tuple[tuple[str, str], ...],
    macros: dict[str, str],
    psk_identity: str,
    psk_file: Path | None,
    wait: bool | None,
    overwrite: bool,
    dry_run: bool,
    verbose: bool,
    as_json: bool,
) -> None:
    r"""Add a GPU host, or add what an existing host lacks.

    NAME is the host's technical name. An existing host keeps its templates, groups, tags and macros. If its interface,
    proxy, encryption or a macro differs from the options, or it has items of its own with keys of the template, nothing
    is changed unless --overwrite is given. Zabbix does not return keys and secret macros: without --overwrite, they are
    assumed to be right. A macro keeps its type.

    \b
    Example:
      export ZABBIX_URL=https://zabbix.example.com/zabbix
      zbx-nvidia add-host gpu01 --token-file ~/.zabbix-token \
        --address 192.0.2.10 --tag location=rack7 --macro NVIDIA.NODATA=10m
      zbx-nvidia add-host gpu01 --token-file ~/.zabbix-token \
        --address 192.0.2.10 --psk-identity zbx-nvidia-gpu01 --psk-file gpu01.psk
    """
    if variant == "passive" and not address:
        raise UsageError("--address is missing: the server polls the agent there, unless --variant active is given")
    if port and not address:
        raise UsageError("--port without --address: give both")
    if proxy is not None and proxy_group:
        raise UsageError("--proxy and --proxy-group exclude each other: give only one")
    if bool(psk_identity) != bool(psk_file):
        raise UsageError("--psk-identity and --psk-file belong together: give both")
    from zbx_nvidia.host import installation  # noqa: PLC0415  so that the help is quick
    from zbx_nvidia.server import hosts  # noqa: PLC0415  so that the help is quick
    from zbx_nvidia.server.wanted import Wanted  # noqa: PLC0415  as above
    from zbx_nvidia.template import TEMPLATE_NAMES, TEMPLATE_UUIDS  # noqa: PLC0415  so that the help is quick

    wanted = Wanted(
        name=name,
        template=TEMPLATE_NAMES[variant],
        template_uuid=TEMPLATE_UUIDS[variant],
        excluded=tuple(
            template
            for templates in (TEMPLATE_NAMES, TEMPLATE_UUIDS)
            for other, template in templates.items()
            if other != variant
        ),
        address=address,
        port=str(port or ""),
        groups=tuple(dict.fromkeys(groups)),
        default_group=GROUP,
        proxy=proxy,
        proxy_group=proxy_group,
        tags=tags,
        macros=macros,
        psk_identity=psk_identity,
        psk=_key(psk_file) if psk_file else "",
    )
    with connect() as zabbix:
        plans = [hosts.plan_host(zabbix, wanted, overwrite=overwrite)]
        applied = show_and_apply(plans, dry_run=dry_run, verbose=verbose, as_json=as_json)
        new = applied and not as_json and ("add", "host") in [(one.action, one.kind) for one in plans[0].changes]
        if not (dry_run or as_json) and (sys.stdout.isatty() if wait is None else wait):
            _wait_for_value(zabbix, name)
            if new:
                click.echo("Next: choose who is notified of its alerts (docs/NOTIFICATIONS.md)")
        elif new:
            doctor = f"{installation.command()} doctor --server-only --host {shlex.quote(name)}"
            click.echo(f"Next, in a few minutes: {doctor} --url {zabbix.url} --token-file FILE")


def _wait_for_value(zabbix: Connection, name: str) -> None:
    """Wait until the first document has come, and say where to look then."""
    from zbx_nvidia.catalog.metrics import TIMESTAMP  # noqa: PLC0415  so that the help is quick
    from zbx_nvidia.host import installation  # noqa: PLC0415  as above
    from zbx_nvidia.server import hosts  # noqa: PLC0415  as above

    start = time.monotonic()
    while not hosts.has_value(zabbix, name, TIMESTAMP.item_key):
        passed = time.monotonic() - start
        if passed > LONGEST_WAIT:
            doctor = f"{installation.command()} doctor --server-only --host {shlex.quote(name)}"
            command = f"{doctor} --url {zabbix.url} --token-file FILE"
            raise ServerError(f"no value has come in {LONGEST_WAIT:.0f} s: run `{command}`, and the doctor on the host")
        if sys.stderr.isatty():
            click.echo(f"\rWaiting for the first value, for {passed:.0f} s ", nl=False, err=True)
        time.sleep(LOOK)
    if sys.stderr.isatty():
        click.echo("\r\033[K", nl=False, err=True)
    click.echo(f"Values arrive. Open {hosts.dashboards(zabbix, name)}")


def _key(file: Path) -> str:
    """The key in a file."""
    from zbx_nvidia.server.connection import secret  # noqa: PLC0415  so that the help is quick
    from zbx_nvidia.zabbix_agent.config import key_problem  # noqa: PLC0415  as above

    text = secret(file, "--psk-file").strip()
    if problem := key_problem(text):
        raise UsageError(f"--psk-file {file}: the key is {problem}")
    return text
