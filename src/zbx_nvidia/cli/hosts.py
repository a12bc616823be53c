"""`zbx-nvidia add-host`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import click

from zbx_nvidia.cli.connection import FILE, connection_options
from zbx_nvidia.cli.plans import carry_out, plan_options
from zbx_nvidia.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from zbx_nvidia.cli.connection import Connect

GROUP = "NVIDIA GPUs"


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
    """Values by macro. A name without {$...} is taken too, for shells give those signs a meaning of their own."""
    macros = {}
    for text in values:
        found = re.fullmatch(
            r"(?:\{\$(?P<macro>[A-Z0-9_.]+(?::.+?)?)\}|(?P<name>[A-Z0-9_.]+))=(?P<value>.*)", text, re.DOTALL
        )
        if not found:
            raise click.BadParameter(f"{text!r} is not a macro and its value: write it as NVIDIA.NODATA=10m")
        macros[f"{{${found['macro'] or found['name']}}}"] = found["value"]
    return macros


@click.command()
@click.argument("name")
@click.option("--address", default="", help="IP address or DNS name of the host's agent; not needed if it is active.")
@click.option(
    "--port", type=click.IntRange(1, 65535), help="Port of the agent.  [default: 10050, or the one that is there]"
)
@click.option(
    "--group",
    "groups",
    multiple=True,
    help=f"Host group, which must exist; repeatable.  [default for a new host: {GROUP!r}, made if missing]",
)
@click.option(
    "--variant",
    type=click.Choice(["passive", "active"]),
    default="passive",
    show_default=True,
    help="Which template: the server asks the agent, or the agent calls the server.",
)
@click.option("--proxy", default="", help="Zabbix proxy that monitors the host.  [default: none, or the present one]")
@click.option("--proxy-group", default="", help="Proxy group in place of one proxy; from Zabbix 7.0 on.")
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
    "--psk-file", type=FILE, help="File that holds that key, as zbx-nvidia install-agent --psk made it on the host."
)
@click.option(
    "--overwrite", is_flag=True, help="Change the interface, macros, proxy and encryption that the host has already."
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
    proxy: str,
    proxy_group: str,
    tags: tuple[tuple[str, str], ...],
    macros: dict[str, str],
    psk_identity: str,
    psk_file: Path | None,
    overwrite: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    r"""Add a GPU host, or add to a host what it lacks.

    NAME is the host's technical name. An existing host keeps its templates, groups, tags and macros. Where its
    interface, its proxy, its encryption or a macro differs from what is asked, nothing is done unless --overwrite is
    given. A key that is there already cannot be read from Zabbix, and is taken for the right one.

    \b
    Example:
      export ZABBIX_URL=https://zabbix.example.com/zabbix
      zbx-nvidia add-host gpu01 --token-file ~/.zabbix-token \
        --address 192.0.2.10 --tag location=rack7 --macro NVIDIA.NODATA=10m
      zbx-nvidia add-host gpu01 --token-file ~/.zabbix-token \
        --address 192.0.2.10 --psk-identity zbx-nvidia-gpu01 --psk-file gpu01.psk
    """
    if variant == "passive" and not address:
        raise UsageError("--address is needed: the server asks the agent there (with --variant active it does not)")
    if port and not address:
        raise UsageError("--port without --address: give both")
    if proxy and proxy_group:
        raise UsageError("--proxy and --proxy-group exclude each other: give one of them")
    if bool(psk_identity) != bool(psk_file):
        raise UsageError("--psk-identity and --psk-file belong together: give both")
    from zbx_nvidia.server import hosts  # noqa: PLC0415  so that the help is quick
    from zbx_nvidia.template import TEMPLATE_NAMES  # noqa: PLC0415  so that the help is quick

    wanted = hosts.Wanted(
        name=name,
        template=TEMPLATE_NAMES[variant],
        excluded=tuple(template for other, template in TEMPLATE_NAMES.items() if other != variant),
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
        carry_out([hosts.plan_host(zabbix, wanted, overwrite=overwrite)], dry_run=dry_run, as_json=as_json)


def _key(file: Path) -> str:
    """The key in a file."""
    from zbx_nvidia.server.connection import secret  # noqa: PLC0415  so that the help is quick
    from zbx_nvidia.zabbix_agent.config import key_problem  # noqa: PLC0415  as above

    text = secret(file, "--psk-file").strip()
    if problem := key_problem(text):
        raise UsageError(f"--psk-file {file}: the key is {problem}")
    return text
