"""A server that means no good: whatever it answers, a command ends in one line, in time, without a secret."""

from __future__ import annotations

import gzip
import json
import re
import socket
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.conftest import PATIENCE
from zbx_nvidia.catalog.metrics import PRESENT
from zbx_nvidia.cli.main import main
from zbx_nvidia.errors import ServerError
from zbx_nvidia.server import transport
from zbx_nvidia.server.connection import Credentials, connect
from zbx_nvidia.server.shapes import checked

if TYPE_CHECKING:
    from collections.abc import Iterator

TOKEN = 'a"token\\with/marks<&>'  # noqa: S105  of no real account
JSON = {"Content-Type": "application/json"}
COMMANDS = {
    "install-template": ("install-template", "--dry-run"),
    "uninstall-template": ("uninstall-template", "--dry-run"),
    "add-host": ("add-host", "node", "--address", "192.0.2.1", "--dry-run"),
    "install-dashboard": ("install-dashboard", "--dry-run"),
    "report": ("report", "--format", "json"),
}


def rpc(value: object) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "result": value, "id": 1}).encode()


def refusing(data: object) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "error": {"code": -1, "message": "No.", "data": data}, "id": 1}).encode()


def echo(request: dict[str, Any], headers: dict[str, str]) -> Any:
    """The secret in each form in which a server may write it."""
    sent = headers.get("Authorization", "") + json.dumps(request)
    php = json.dumps(TOKEN).replace("/", "\\/")
    return 200, JSON, refusing(f"{sent} {TOKEN} {json.dumps(TOKEN)} {php} {TOKEN!r}")


ROW = {"hostid": "1", "templateid": "1", "groupid": "1", "name": "x", "host": "x", "uuid": "x"}
# What is answered to each call after the login.
BODIES: dict[str, Any] = {
    "nothing": b"",
    "null": b"null",
    "a number": b"7",
    "a text": b'"x"',
    "a list": b"[]",
    "no JSON": b"{",
    "other bytes": b"\xff\xfe\x00",
    "a page": b"<html><script>",
    "deep lists": b"[" * 200_000 + b"]" * 200_000,
    "deep objects": b'{"result":' * 100_000 + b"1" + b"}" * 100_000,
    "deep result": b'{"jsonrpc":"2.0","id":1,"result":' + b"[" * 900 + b"]" * 900 + b"}",
    "a number without end": b'{"result": ' + b"9" * 6000 + b"}",
    "not a number": b'{"jsonrpc":"2.0","id":1,"result": NaN}',
    "error is a text": b'{"jsonrpc":"2.0","error":"no","id":1}',
    "error is a list": b'{"jsonrpc":"2.0","error":[1],"id":1}',
    "error is null": b'{"jsonrpc":"2.0","error":null,"id":1}',
    "error is empty": b'{"jsonrpc":"2.0","error":{},"id":1}',
    "error without a message": b'{"jsonrpc":"2.0","error":{"code":1,"data":"x"},"id":1}',
    "error whose data is an object": refusing({"a": [TOKEN]}),
    "a terminal's commands": refusing("\x1b]0;owned\x07\x1b[2J\x1b[31mred\r\nsecond line\x9b1m\u202eback"),
    "a very long reason": refusing("x" * 1_000_000),
    "result null": rpc(None),
    "result true": rpc(True),
    "result a number": rpc(7),
    "result a text": rpc("x"),
    "result an object": rpc({"a": 1}),
    "rows are null": rpc([None]),
    "rows are texts": rpc(["x"]),
    "rows are lists": rpc([[1, 2]]),
    "rows are empty": rpc([{}]),
    "ids are lists": rpc([{**ROW, "hostid": ["1"], "templateid": ["1"], "groupid": {}}]),
    "ids are objects": rpc([{key: {"a": 1} for key in ROW}]),
    "names are null": rpc([dict.fromkeys(ROW)]),
    "names have commands": rpc([dict.fromkeys(ROW, "\x1b[2J\x1b]0;x\x07")]),
    "parts are texts": rpc([{**ROW, "interfaces": ["x"], "macros": "x", "tags": [1], "pages": [2]}]),
    "parts are empty": rpc([{**ROW, "interfaces": [{}], "macros": [{}], "tags": [{}], "pages": [{}], "groups": [{}]}]),
    "numbers are words": rpc([{**ROW, "status": "many", "flags": "x", "type": "y", "lastclock": "soon"}]),
    "many rows": rpc([ROW] * 20_000),
    "HTTP 500": (500, {}, b"x"),
    "HTTP 401": (401, {"WWW-Authenticate": "Basic realm=\x1b[2J"}, b""),
    "HTTP 999": (999, {}, b""),
    "a redirect with commands": (302, {"Location": "http://x/\x1b[2J?" + "s" * 5000}, b""),
    "a redirect to nowhere": (307, {"Location": "http://[::1"}, b""),
    "no gzip": (200, {**JSON, "Content-Encoding": "gzip"}, b"not gzip"),
    "another charset": (200, {"Content-Type": "application/json; charset=utf-7"}, rpc([])),
    "no charset": (200, {"Content-Type": "application/json; charset=\x1b[2J"}, rpc([])),
    "its own secret": echo,
}


@pytest.fixture
def runner(monkeypatch: pytest.MonkeyPatch) -> CliRunner:
    monkeypatch.setattr("zbx_nvidia.server.connection.PAUSES", (0.01,))
    return CliRunner()


def ends_well(runner: CliRunner, url: str, *arguments: str, timeout: int = 20) -> None:
    """Exit code 0 to 2; an error is one line that a terminal can bear; no secret, no traceback."""
    environment = {"ZABBIX_URL": url, "ZABBIX_TOKEN": TOKEN}
    done = runner.invoke(main, [*arguments, "--timeout", str(timeout)], env=environment, prog_name="zbx-nvidia")
    assert done.exception is None or isinstance(done.exception, SystemExit), repr(done.exception)
    assert done.exit_code in {0, 1, 2}, done.output
    said = done.stdout + done.stderr
    assert "Traceback" not in said
    assert all(character.isprintable() or character == "\n" for character in said), ascii(said)
    for form in (TOKEN, json.dumps(TOKEN)[1:-1], json.dumps(TOKEN)[1:-1].replace("/", "\\/"), repr(TOKEN)[1:-1]):
        assert form not in said
    if done.exit_code:
        (line,) = [line for line in done.stderr.splitlines() if not line.startswith("warning: ")]
        assert re.match(r"Error: \S", line), line
        assert len(line) < 2000, len(line)


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("body", BODIES)
def test_whatever_is_answered_it_is_one_line(front: Any, runner: CliRunner, body: str, command: str) -> None:
    found = BODIES[body]
    answer = (200, JSON, found) if isinstance(found, bytes) else found
    first = {method: front.answers[method] for method in ("apiinfo.version", "user.checkAuthentication")}

    def hostile(request: dict[str, Any], headers: dict[str, str]) -> Any:
        if request["method"] in first:
            return first[request["method"]]
        return answer(request, headers) if callable(answer) else answer

    front.every = hostile
    ends_well(runner, front.url, *COMMANDS[command])


def test_an_item_of_a_host_that_nobody_asked_for(front: Any, answers: Any, runner: CliRunner) -> None:
    item = {"itemid": "1", "hostid": "2", "key_": f"{PRESENT.item_key}[x]", "name": "GPU 0"}
    front.answers["item.get"] = answers["result"]([item])
    front.answers["host.get"] = answers["result"]([{"hostid": "1", "name": "x", "hostgroups": []}])
    ends_well(runner, front.url, *COMMANDS["report"])


@pytest.mark.parametrize("method", ["apiinfo.version", "user.checkAuthentication"])
@pytest.mark.parametrize("body", BODIES)
def test_whatever_is_answered_at_the_login(front: Any, runner: CliRunner, body: str, method: str) -> None:
    found = BODIES[body]
    front.answers[method] = (200, JSON, found) if isinstance(found, bytes) else found
    ends_well(runner, front.url, *COMMANDS["add-host"])


@pytest.mark.parametrize(
    "version",
    [
        "",
        "7",
        "7.x",
        "-1.0",
        "7.0\x1b[2J",
        "9" * 5000 + ".0",
        "7.0" + "0" * 5000,
        "\u0667.\u0660",
        "7.0\n",
        "8.0.0alpha1",
        "999.9.9",
    ],
)
def test_a_version_that_cannot_be(front: Any, answers: Any, runner: CliRunner, version: str) -> None:
    front.answers["apiinfo.version"] = answers["result"](version)
    ends_well(runner, front.url, *COMMANDS["add-host"])


@pytest.mark.parametrize("size", ["as it is", "packed"])
def test_an_answer_without_end_is_not_kept(
    front: Any, runner: CliRunner, monkeypatch: pytest.MonkeyPatch, size: str
) -> None:
    monkeypatch.setattr(transport, "LARGEST", 2**20)
    body = b'"' + b"a" * 2**23
    packed = {"Content-Encoding": "gzip"} if size == "packed" else {}
    front.answers["host.get"] = (200, {**JSON, **packed}, gzip.compress(body) if packed else body)
    with pytest.raises(ServerError, match="more than 1 MiB"), connect(front.url, Credentials(token=TOKEN)) as zabbix:
        zabbix.call("host.get")
    ends_well(runner, front.url, *COMMANDS["add-host"])


@pytest.fixture
def dripping() -> Iterator[str]:
    """A server that sends a byte of its answer from time to time, for longer than a test is patient."""
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.05)

        def serve() -> None:
            found: list[socket.socket] = []
            # It ends for a client that waits too long, so that the test fails and does not hang.
            end = time.monotonic() + PATIENCE
            while not over.wait(0.1) and time.monotonic() < end:
                try:
                    found.append(server.accept()[0])
                    found[-1].sendall(b"HTTP/1.1 200 OK\r\nX: ")
                except TimeoutError:
                    pass
                for one in found:
                    try:
                        one.sendall(b"x")
                    except OSError:
                        continue
            for one in found:
                one.close()

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/zabbix"
        over.set()
        thread.join()


def test_an_answer_in_drops_ends_with_the_time_limit(dripping: str, runner: CliRunner) -> None:
    started = time.monotonic()
    ends_well(runner, dripping, *COMMANDS["add-host"], timeout=1)
    assert time.monotonic() - started < PATIENCE


def test_what_zabbix_calls_otherwise_than_it_is_asked_for_is_read() -> None:
    """selectHostGroups is answered as "hostgroups", as seen on 7.0."""
    asked = {"output": "extend", "selectHostGroups": ["groupid"], "selectParentTemplates": ["host"]}
    row = {"hostid": "1", "hostgroups": [{"groupid": "4"}], "parentTemplates": [{"host": "T"}]}
    assert checked("Zabbix answers", "host.get", asked, [row]) == [row]


def test_a_widget_has_a_type_in_words_and_an_interface_one_in_numbers() -> None:
    widget = {"widgetid": "1", "type": "tophosts", "fields": [{"type": "1", "name": "columns.0", "value": "x"}]}
    board = {"dashboardid": "1", "pages": [{"dashboard_pageid": "1", "widgets": [widget]}]}
    assert checked("Zabbix answers", "dashboard.get", {"selectPages": "extend"}, [board]) == [board]


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda part: (
        st.lists(part, max_size=3)
        | st.dictionaries(st.sampled_from([*ROW, "interfaces", "status", "pages", "widgets"]), part, max_size=4)
    ),
    max_leaves=12,
)


@pytest.mark.parametrize("instead", [True, "text", 1, None])
def test_what_was_selected_is_objects(instead: object) -> None:
    with pytest.raises(ServerError, match="in a form that Zabbix has not"):
        checked("Zabbix answers", "host.get", {"selectInterfaces": ["ip"]}, [{"hostid": "1", "interfaces": instead}])
    counted = [{"hostid": "1", "items": "3"}]
    assert checked("Zabbix answers", "host.get", {"selectItems": "count"}, counted) == counted


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(ANYTHING, st.sampled_from(["host.get", "host.create", "configuration.export", "configuration.importcompare"]))
def test_any_form_is_an_answer_or_an_error(value: Any, method: str) -> None:
    """What passes as rows can be read as rows."""
    try:
        found = checked("Zabbix answers", method, {"selectInterfaces": ["ip"]}, value)
    except ServerError:
        return
    if method == "host.get":
        for row in found:
            with pytest.raises(ServerError, match="without 'nothing'"):
                row["nothing"]
            for interface in row.get("interfaces", []):
                assert isinstance(interface, (dict, str)), interface
            assert not isinstance(row.get("name"), (dict, list))
