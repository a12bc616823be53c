"""The options of every command that talks to a Zabbix front end."""

from __future__ import annotations

import functools
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from zbx_nvidia.server.connection import Connection

    Connect = Callable[[], AbstractContextManager[Connection]]

FILE = click.Path(path_type=Path)


def _url(*, required: bool) -> Callable[[Callable[..., None]], Callable[..., None]]:
    return click.option(
        "--url",
        envvar="ZABBIX_URL",
        required=required,
        show_envvar=True,
        help="Address of the Zabbix front end, such as https://zabbix.example.com/zabbix.",
    )


OPTIONS = (
    click.option(
        "--token-file",
        type=FILE,
        help="File with an API token. Without it: the environment variable ZABBIX_TOKEN.",
    ),
    click.option("--user", envvar="ZABBIX_USER", show_envvar=True, help="User to log in as, if there is no token."),
    click.option(
        "--password-file",
        type=FILE,
        help="File with the user's password. Without it: the environment variable ZABBIX_PASSWORD.",
    ),
    click.option(
        "--basic-user",
        envvar="ZABBIX_BASIC_USER",
        show_envvar=True,
        help="User of a Basic login in front of Zabbix, before 7.2 only.",
    ),
    click.option(
        "--basic-password-file",
        type=FILE,
        help="File with its password. Without it: the environment variable ZABBIX_BASIC_PASSWORD.",
    ),
    click.option("--ca-file", type=FILE, help="Certificates (PEM) to trust, such as that of your own authority."),
    click.option(
        "--insecure", is_flag=True, help="Do not check the server's certificate, and send a password over http."
    ),
    click.option(
        "--timeout",
        type=click.FloatRange(min=0, min_open=True),
        default=30,
        show_default=True,
        help="Seconds to wait for each answer; for the import or removal of a template at least 300.",
    ),
)


def connection_options(command: Callable[..., None]) -> Callable[..., None]:
    """Gives a command the options above; its first argument is a function that opens the connection."""
    return _with_options(command, required=True)


def optional_connection_options(command: Callable[..., None]) -> Callable[..., None]:
    """The same for a command that works without a server too: without an address, its first argument is None."""
    return _with_options(command, required=False)


def _with_options(command: Callable[..., None], *, required: bool) -> Callable[..., None]:
    @functools.wraps(command)
    def connected(  # noqa: PLR0913  one for each option
        *,
        url: str | None,
        token_file: Path | None,
        user: str | None,
        password_file: Path | None,
        basic_user: str | None,
        basic_password_file: Path | None,
        ca_file: Path | None,
        insecure: bool,
        timeout: float,
        **arguments: Any,  # noqa: ANN401  the command's own
    ) -> None:
        def connect() -> AbstractContextManager[Connection]:
            from zbx_nvidia.server import connection  # noqa: PLC0415  pyzabbix and requests take a third of a second

            assert url is not None  # noqa: S101  without a URL the command gets None instead of this function
            login = connection.credentials(os.environ, user=user, token_file=token_file, password_file=password_file)
            front = connection.basic(os.environ, user=basic_user, password_file=basic_password_file)
            return connection.connect(url, login, front=front, ca_file=ca_file, insecure=insecure, timeout=timeout)

        command(connect if url else None, **arguments)

    for option in reversed((_url(required=required), *OPTIONS)):
        connected = option(connected)
    return connected
