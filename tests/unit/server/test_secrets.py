"""No secret reaches a person: not by an exception, not by a log at any level, not by standard output or error."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import PATIENCE
from zbx_nvidia.errors import ServerError
from zbx_nvidia.server import connection
from zbx_nvidia.server.connection import Credentials, connect

if TYPE_CHECKING:
    from collections.abc import Iterator

PASSWORD = "marker-password-7c1f"  # noqa: S105  what this test searches for
TOKEN = "marker-token-93ab"  # noqa: S105
PSK = "9f2c" * 16
SESSION = "5e55" * 8  # what the front in conftest.py gives
LOGINS = {"token": Credentials(token=TOKEN), "password": Credentials(user="robot", password=PASSWORD)}


def echo(request: dict[str, Any], headers: dict[str, str]) -> str:
    """What a careless server sends back: everything it was sent."""
    return f"{request} {headers}"


def late(*_: object) -> Any:
    time.sleep(1.5)
    return 200, {}, b"{}"


def leave(*_: object) -> Any:
    raise ConnectionResetError


SITUATIONS: dict[str, Any] = {
    "all goes well": None,
    "the API's error": lambda request, headers: ("error", echo(request, headers)),
    "a page": lambda request, headers: (200, {}, f"<html>{echo(request, headers)}</html>".encode()),
    "JSON of another kind": lambda request, headers: (200, {}, b'["%s"]' % echo(request, headers).encode()),
    "an HTTP error": lambda request, headers: (500, {}, echo(request, headers).encode()),
    "a redirect": lambda request, headers: (302, {"Location": f"http://127.0.0.1/?{echo(request, headers)}"}, b""),
    "no answer": late,
    "a broken connection": leave,
}


class Everything(logging.Handler):
    """Keeps every record, as text and as it is."""

    def __init__(self) -> None:
        super().__init__(logging.NOTSET)
        self.seen: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.seen += [self.format(record), repr(record.args), repr(vars(record))]


@pytest.fixture
def log() -> Iterator[Everything]:
    """All loggers at DEBUG, those of the libraries too."""
    handler = Everything()
    root = logging.getLogger()
    level = root.level
    loggers = [
        root,
        *(logging.getLogger(name) for name in ("pyzabbix", "pyzabbix.api", "urllib3", "requests", "zbx_nvidia")),
    ]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.DEBUG)
    root.addHandler(handler)
    yield handler
    root.removeHandler(handler)
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)


def told(error: BaseException | None) -> Iterator[str]:
    """Everything an exception and those it is chained to could tell, their attributes one level deep included."""
    while error:
        yield from (str(error), repr(error), repr(error.args), *getattr(error, "__notes__", []))
        for value in vars(error).values():
            yield repr(value)
            yield repr(getattr(value, "__dict__", ""))
        error = error.__cause__ or error.__context__


def test_a_marker_in_a_chain_would_be_found() -> None:
    error = ServerError("a line without it")
    error.__context__ = ValueError({"auth": TOKEN})
    assert any(TOKEN in text for text in told(error))


@pytest.mark.slow
@pytest.mark.parametrize("version", ["6.0.14", "7.0.22"])
@pytest.mark.parametrize(
    "method", ["apiinfo.version", "user.login", "user.checkAuthentication", "host.get", "host.create"]
)
@pytest.mark.parametrize("situation", SITUATIONS)
def test_no_secret_is_told(
    request: pytest.FixtureRequest, situation: str, method: str, version: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    front, answers, log = (request.getfixturevalue(name) for name in ("front", "answers", "log"))
    capture = request.getfixturevalue("capfd")
    monkeypatch.setattr(connection, "PAUSES", (0.01,))
    front.answers["apiinfo.version"] = answers["result"](version)
    front.answers["host.create"] = answers["result"]({"hostids": ["1"]})
    answer = SITUATIONS[situation]
    if answer:

        def answering(sent: dict[str, Any], headers: dict[str, str]) -> Any:
            given = answer(sent, headers)
            return answers["error"](given[1]) if given[0] == "error" else given

        front.answers[method] = answering
    texts: list[str] = []
    for login in LOGINS.values():
        try:
            with connect(front.url, login, timeout=1 if answer is late else PATIENCE) as zabbix:
                zabbix.call("host.get", {"output": ["hostid"]})
                zabbix.call("host.create", {"host": "h", "tls_psk": PSK})
        except ServerError as error:
            texts += told(error)
    texts += [*log.seen, *capture.readouterr()]
    sent = [repr(one) for one in front.requests]
    if method != "apiinfo.version" and answer is not late:
        assert any(PASSWORD in one for one in sent), "the password was never sent"
    if method == "host.create":
        assert any(PSK in one for one in sent), "the key was never sent"
    assert any("urllib3" in one for one in log.seen), "the libraries' log was not turned on"
    for secret in (PASSWORD, TOKEN, SESSION, PSK):
        assert not [text for text in texts if secret in text]


def test_pyzabbix_itself_would_log_the_password(log: Everything) -> None:
    """The trap that the filter is for: without it, this is what stands in the log."""
    logger = logging.getLogger("pyzabbix.api")
    filters, logger.filters = logger.filters, []
    try:
        logger.debug("Sending: %s", {"params": {"password": PASSWORD}})
        assert any(PASSWORD in text for text in log.seen)
    finally:
        logger.filters = filters
    log.seen.clear()
    logger.debug("Sending: %s", {"params": {"password": PASSWORD}})
    assert not log.seen
