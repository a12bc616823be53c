"""The connection to a front end: every way it fails is one line that says what, where and what to do."""

from __future__ import annotations

import base64
import logging
import re
import socket
import time
from typing import TYPE_CHECKING, Any

import pytest
import requests

from zbx_nvidia.errors import ServerError, UsageError
from zbx_nvidia.server import connection
from zbx_nvidia.server.connection import Basic, Credentials, basic, connect, credentials, front_end

if TYPE_CHECKING:
    from pathlib import Path

TOKEN = Credentials(token="t0ken" * 12)
PASSWORD = Credentials(user="robot", password="c0rrect")  # noqa: S106  of no real account
PAGE = (200, {"Content-Type": "text/html"}, b"<!DOCTYPE html><html>Welcome to nginx!</html>")


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "PAUSES", (0.01, 0.01))
    for name in ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)


def failure(url: str, login: Credentials = TOKEN, method: str = "host.get", **options: Any) -> str:
    with pytest.raises(ServerError) as caught, connect(url, login, **options) as zabbix:
        zabbix.call(method)
    assert caught.value.__context__ is None
    assert caught.value.exit_code == 1
    line = str(caught.value)
    assert "\n" not in line
    return line


# Where the session travels


@pytest.mark.parametrize("login", [TOKEN, PASSWORD], ids=["token", "password"])
@pytest.mark.parametrize(("version", "bearer"), [("6.0.14", False), ("6.4.0", True), ("7.0.22", True), ("7.4.0", True)])
def test_session_travels_as_the_version_wants_it(
    front: Any, answers: Any, login: Credentials, version: str, *, bearer: bool
) -> None:
    front.answers["apiinfo.version"] = answers["result"](version)
    with connect(front.url, login) as zabbix:
        assert zabbix.version == tuple(int(part) for part in version.split(".")[:2])
        assert zabbix.call("host.get") == [{"hostid": "1"}]
    session = login.token or "5e55" * 8
    for request, headers in front.requests:
        anonymous = request["method"] in {"apiinfo.version", "user.login", "user.checkAuthentication"}
        assert headers.get("Authorization") == (f"Bearer {session}" if bearer and not anonymous else None)
        assert request.get("auth") == (session if not bearer and not anonymous else None)


def test_password_opens_a_session_and_ends_it(front: Any) -> None:
    with connect(front.url, PASSWORD):
        pass
    assert front.methods() == ["apiinfo.version", "apiinfo.version", "user.login", "user.logout"]


def test_session_ends_after_a_failure_too(front: Any) -> None:
    failure(front.url, PASSWORD, method="host.delete")
    assert front.methods()[-1] == "user.logout"


def test_token_is_checked_before_anything_is_done(front: Any) -> None:
    with connect(front.url, TOKEN):
        pass
    assert front.methods() == ["apiinfo.version", "apiinfo.version", "user.checkAuthentication"]


def test_a_netrc_entry_is_not_used(front: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password something\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    assert requests.utils.get_netrc_auth(front.url) == ("somebody", "something"), "the trap is not set"
    with connect(front.url, TOKEN) as zabbix:
        zabbix.call("host.get")
    assert front.requests[-1][1]["Authorization"] == f"Bearer {TOKEN.token}"


# What goes wrong


def test_nobody_listens() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/zabbix"
    assert failure(url) == f"{url} cannot be reached: Connection refused: check --url, and that the web server runs"


def test_unknown_name() -> None:
    assert "http://front.invalid cannot be reached: " in failure("http://front.invalid")


@pytest.mark.parametrize(
    ("answer", "observed"),
    [
        (PAGE, "its answer is a web page"),
        ((200, {}, b"pong"), "its answer is not JSON"),
        ((200, {}, b""), "its answer is not JSON"),
        ((200, {}, b"[1, 2]"), "its answer is JSON, but not JSON-RPC"),
        ((200, {}, b'{"error": "gone"}'), "its answer is JSON, but not JSON-RPC"),
        ((200, {}, b'{"result": {"a": 1}}'), "its version is not a number"),
        ((404, {}, b"<html>"), "HTTP 404 Not Found"),
    ],
    ids=["page", "text", "empty", "list", "other-error", "other-result", "404"],
)
def test_not_a_front_end(front: Any, answer: Any, observed: str) -> None:
    front.every = answer
    assert failure(front.url).startswith(f"{front.url} is not a Zabbix front end: {observed}: give as --url ")


def test_redirect_is_not_followed_and_its_target_named(front: Any) -> None:
    front.every = (301, {"Location": "https://zabbix.example.com/"}, b"")
    line = failure(front.url)
    assert (
        line
        == f"{front.url} redirects to https://zabbix.example.com/: give the address of the front end there as --url"
    )
    assert len(front.requests) == 1


def test_web_server_error(front: Any) -> None:
    front.every = (500, {}, b"<html>")
    assert failure(front.url) == (
        f"{front.url} answers apiinfo.version with HTTP 500 Internal Server Error: see the web server's error log"
    )


def test_version_below_the_oldest_is_refused_before_the_password_is_sent(front: Any, answers: Any) -> None:
    front.answers["apiinfo.version"] = answers["result"]("5.0.44")
    line = failure(front.url, PASSWORD)
    assert line == f"Zabbix at {front.url} is version 5.0.44: zbx-nvidia needs 6.0 or newer"
    assert front.methods() == ["apiinfo.version"]


def test_certificate_of_an_unknown_authority(tls_front: Any) -> None:
    line = failure(tls_front.url)
    assert line.startswith(f"{tls_front.url} presents a certificate that is not trusted: self-signed certificate: ")
    assert "--ca-file" in line
    assert tls_front.requests == []


def test_certificate_of_a_named_authority(tls_front: Any, certificate: Path) -> None:
    with connect(tls_front.url, TOKEN, ca_file=certificate) as zabbix:
        assert zabbix.version == (7, 0)


@pytest.mark.parametrize("name", ["REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"])
def test_authority_named_in_the_environment(
    tls_front: Any, certificate: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, str(certificate))
    with connect(tls_front.url, TOKEN) as zabbix:
        assert zabbix.version == (7, 0)


def test_certificate_for_another_name(tls_front: Any, certificate: Path) -> None:
    url = tls_front.url.replace("127.0.0.1", "localhost")
    line = failure(url, ca_file=certificate)
    assert "presents a certificate that is not trusted: Hostname mismatch" in line


def test_insecure_works_and_warns(tls_front: Any, caplog: pytest.LogCaptureFixture) -> None:
    with connect(tls_front.url, TOKEN, insecure=True) as zabbix:
        assert zabbix.version == (7, 0)
    assert "warning: --insecure: the server's certificate is not checked" in caplog.messages


def test_tls_to_a_port_without_it(front: Any) -> None:
    line = failure(front.url.replace("http:", "https:"))
    assert "the TLS handshake failed" in line
    assert "check scheme and port" in line


@pytest.mark.parametrize(
    ("text", "message"), [("no certificate", "no certificate in this file"), (None, "cannot be read")]
)
def test_unusable_ca_file(tmp_path: Path, text: str | None, message: str) -> None:
    path = tmp_path / "ca.pem"
    if text is not None:
        path.write_text(text)
    with pytest.raises(UsageError, match=message), connect("https://127.0.0.1", TOKEN, ca_file=path):
        pass


SHORT = 2  # s; what answers at all answers in a hundredth of it


def late(*_: object) -> Any:
    time.sleep(SHORT + 1)
    return PAGE


@pytest.mark.slow
def test_slow_answer_to_a_read(front: Any) -> None:
    front.answers["host.get"] = late
    assert failure(front.url, timeout=SHORT) == (
        f"{front.url} did not answer host.get within {SHORT} s: raise --timeout, or check the server's load"
    )
    assert front.methods().count("host.get") == 1


@pytest.mark.slow
def test_slow_answer_to_a_write_may_have_been_done(front: Any) -> None:
    front.answers["host.create"] = late
    line = failure(front.url, method="host.create", timeout=SHORT)
    assert f"did not answer host.create within {SHORT} s, but may have done it (run this again to see)" in line


@pytest.mark.slow
@pytest.mark.parametrize("method", ["configuration.import", "template.delete"])
def test_what_changes_every_host_may_take_longer(front: Any, answers: Any, method: str) -> None:
    done = {"templateids": ["1"]} if method.endswith("delete") else True

    def takes_longer(*_: object) -> Any:
        time.sleep(SHORT + 0.5)
        return answers["result"](done)

    front.answers |= {method: takes_longer, "host.get": late}
    with connect(front.url, TOKEN, timeout=SHORT) as zabbix:
        assert zabbix.call(method) == done
        with pytest.raises(ServerError, match=f"did not answer host.get within {SHORT} s"):
            zabbix.call("host.get")


def test_proxy_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://user:pr0xy-secret@127.0.0.1:1")
    line = failure("http://zabbix.example.com")
    assert line.startswith("http://zabbix.example.com cannot be reached through the proxy: Connection refused: ")
    assert "pr0xy-secret" not in line


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_read_is_tried_again(front: Any, answers: Any, status: int) -> None:
    busy = [(status, {}, b""), (status, {}, b""), answers["result"]([{"hostid": "7"}])]
    front.answers["host.get"] = lambda *_: busy.pop(0)
    with connect(front.url, TOKEN) as zabbix:
        assert zabbix.call("host.get") == [{"hostid": "7"}]


@pytest.mark.parametrize(("header", "pauses"), [("7", [7.0]), ("600", []), ("soon", [0.01])])
def test_a_limit_of_requests_is_waited_for(
    front: Any, answers: Any, monkeypatch: pytest.MonkeyPatch, header: str, pauses: list[float]
) -> None:
    """So long as the server says, unless that is longer than a person waits."""
    slept: list[float] = []
    monkeypatch.setattr("zbx_nvidia.server.connection.time.sleep", slept.append)
    busy = [(429, {"Retry-After": header}, b""), answers["result"]([])]
    front.answers["host.get"] = lambda *_: busy.pop(0)
    with connect(front.url, TOKEN) as zabbix:
        if pauses:
            assert zabbix.call("host.get") == []
        else:
            with pytest.raises(ServerError, match=r"HTTP 429 .*: it allows the next request in 600 s"):
                zabbix.call("host.get")
    assert slept == pauses


@pytest.mark.parametrize("status", [502, 504])
def test_a_write_whose_answer_a_proxy_lost_may_have_been_done(front: Any, status: int) -> None:
    front.answers["host.create"] = (status, {}, b"")
    assert ", but may have done it (run this again to see): " in failure(front.url, method="host.create")
    front.answers["host.get"] = (status, {}, b"")
    assert "may have done it" not in failure(front.url, method="host.get")


def test_a_login_in_front_is_named_as_that(front: Any) -> None:
    front.every = (401, {"WWW-Authenticate": "Basic"}, b"")
    assert failure(front.url) == (
        f"{front.url} answers apiinfo.version with HTTP 401 Unauthorized: a login stands in front of Zabbix: "
        "give --basic-user and --basic-password-file, or let POST requests to /zabbix/api_jsonrpc.php through: "
        "the API checks the token itself"
    )
    front.every = (401, {"WWW-Authenticate": "Negotiate"}, b"")
    assert failure(front.url).endswith(
        "a login stands in front of Zabbix: "
        "let POST requests to /zabbix/api_jsonrpc.php through: the API checks the token itself"
    )
    front.every = (302, {"Location": "https://login.example.com/authorize?state=s3cret"}, b"")
    line = failure(front.url)
    assert "redirects to https://login.example.com/authorize: " in line
    assert "if that is a login in front of Zabbix, let POST requests to /zabbix/api_jsonrpc.php through" in line
    assert "s3cret" not in line


@pytest.mark.parametrize("method", ["host.create", "configuration.import", "template.delete", "user.login"])
def test_write_is_never_tried_again(front: Any, method: str) -> None:
    front.answers[method] = (503, {}, b"")
    login = PASSWORD if method == "user.login" else TOKEN
    assert "HTTP 503" in failure(front.url, login, method=method)
    assert front.methods().count(method) == 1


def test_write_on_a_broken_connection_is_not_tried_again(front: Any) -> None:
    def leave(*_: object) -> Any:
        raise ConnectionResetError

    front.answers["host.create"] = leave
    line = failure(front.url, method="host.create")
    assert line == (
        f"{front.url} broke off its answer to host.create, but may have done it (run this again to see): "
        "check the web server's error log"
    )
    assert front.methods().count("host.create") == 1


@pytest.mark.parametrize(
    ("method", "said", "advice"),
    [
        ("user.login", "Incorrect user name or password or account is temporarily blocked.", "check both"),
        ("user.checkAuthentication", "API token expired.", "create a new token"),
        ("user.checkAuthentication", "Not authorized.", "the token is unknown or disabled"),
        ("host.get", 'No permissions to call "host.get".', "allow it in the user's role"),
        ("host.get", "Not authorized.", "the web server strips the Authorization header"),
        ("host.get", "Not authorised.", "the web server strips the Authorization header"),
    ],
)
def test_refusal_says_what_to_do(front: Any, answers: Any, method: str, said: str, advice: str) -> None:
    front.answers[method] = answers["error"](said)
    line = failure(front.url, PASSWORD if method == "user.login" else TOKEN)
    assert line.startswith(f"Zabbix at {front.url} refuses {method} to ")
    assert f": {said.rstrip('.')}: " in line
    assert advice in line


def test_refusal_names_the_user_of_the_token(front: Any, answers: Any) -> None:
    front.answers["host.get"] = answers["error"]("No permissions.")
    assert "refuses host.get to user 'robot'" in failure(front.url)


def test_session_that_ends_on_6_0_is_not_blamed_on_the_header(front: Any, answers: Any) -> None:
    front.answers["apiinfo.version"] = answers["result"]("6.0.14")
    front.answers["host.get"] = answers["error"]("Session terminated, re-login, please.")
    assert failure(front.url, PASSWORD).endswith(
        "Session terminated, re-login, please: the session has ended: run the command again"
    )


# Addresses


@pytest.mark.parametrize(
    "url",
    [
        "https://z.example.com/zabbix",
        "https://z.example.com/zabbix/",
        "https://z.example.com/zabbix/index.php",
        "https://z.example.com/zabbix/zabbix.php?action=dashboard.view",
        "https://z.example.com/zabbix/api_jsonrpc.php",
    ],
)
def test_address_from_the_browser(url: str) -> None:
    assert front_end(url) == "https://z.example.com/zabbix"


@pytest.mark.parametrize(
    "url", ["z.example.com/zabbix", "ftp://z.example.com", "https://", "http://z:port/", "http://[::1"]
)
def test_not_an_address(url: str) -> None:
    with pytest.raises(UsageError, match="not an address: write it as https://"):
        front_end(url)


def test_password_in_the_address_is_refused_and_not_repeated() -> None:
    with pytest.raises(UsageError) as caught:
        front_end("https://robot:s3cret@z.example.com")
    assert "s3cret" not in str(caught.value)


def test_a_password_over_http_to_another_host_is_refused(caplog: pytest.LogCaptureFixture) -> None:
    url = "http://zabbix.invalid/zabbix"
    for far in (url, "http://127.invalid/zabbix", "http://127.0.0.1.invalid", "http://[::2]"):
        with pytest.raises(UsageError, match="over http, others on the network can read the password: use https"):
            failure(far, PASSWORD)
    assert "cannot be reached" in failure(url, PASSWORD, insecure=True)
    assert "warning: --insecure: over http, others on the network can read the password" in caplog.messages
    assert "cannot be reached" in failure(url, TOKEN)
    for near in ("http://localhost:1", "http://[::1]:1", "http://127.0.0.2:1"):
        assert "cannot be reached" in failure(near, PASSWORD)


# Credentials


def secret_file(tmp_path: Path, text: str, mode: int = 0o600) -> Path:
    path = tmp_path / "secret"
    path.write_text(text)
    path.chmod(mode)
    return path


def test_files_come_before_the_environment(tmp_path: Path) -> None:
    path = secret_file(tmp_path, "fromfile\n")
    environ = {"ZABBIX_TOKEN": "fromenv", "ZABBIX_PASSWORD": "fromenv"}
    assert credentials(environ, token_file=path).token == "fromfile"  # noqa: S105
    assert credentials(environ, user="robot", password_file=path) == Credentials(user="robot", password="fromfile")  # noqa: S106


def test_a_token_comes_before_a_password() -> None:
    assert credentials({"ZABBIX_TOKEN": "t", "ZABBIX_PASSWORD": "p"}, user="robot") == Credentials(token="t")  # noqa: S106


def test_password_of_the_environment() -> None:
    assert credentials({"ZABBIX_PASSWORD": " p "}, user="robot") == Credentials(user="robot", password=" p ")  # noqa: S106


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({}, "no credentials: set ZABBIX_TOKEN or give --token-file, or set ZABBIX_USER with ZABBIX_PASSWORD"),
        ({"ZABBIX_PASSWORD": "p"}, "ZABBIX_PASSWORD without a user: set ZABBIX_USER or give --user"),
        ({"ZABBIX_TOKEN": "two words"}, "ZABBIX_TOKEN: not an API token: it must be one word"),
        ({"ZABBIX_TOKEN": "t\u00f6ken"}, "ZABBIX_TOKEN: not an API token: it must be one word"),
    ],
)
def test_credentials_that_cannot_be_used(environ: dict[str, str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        credentials(environ)


def test_both_files_are_one_too_many(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="exclude each other"):
        credentials({}, token_file=tmp_path, password_file=tmp_path)


def test_unreadable_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"--token-file .*/none: cannot be read: No such file or directory"):
        credentials({}, token_file=tmp_path / "none")
    with pytest.raises(UsageError, match="cannot be read: Is a directory"):
        credentials({}, token_file=tmp_path)
    (tmp_path / "latin").write_bytes(b"\xe9\xe8")
    with pytest.raises(UsageError, match="cannot be read: not UTF-8 text"):
        credentials({}, token_file=tmp_path / "latin")


def test_empty_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="the file is empty"):
        credentials({}, token_file=secret_file(tmp_path, "\n"))


@pytest.mark.parametrize(("mode", "warns"), [(0o600, False), (0o400, False), (0o640, True), (0o604, True)])
def test_file_that_others_can_read_is_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, mode: int, *, warns: bool
) -> None:
    with caplog.at_level(logging.WARNING):
        credentials({}, token_file=secret_file(tmp_path, "t", mode))
    assert [message.split(": ")[-1] for message in caplog.messages] == (["run chmod 600 on it"] if warns else [])


def test_credentials_do_not_show_in_their_repr() -> None:
    assert repr(Credentials(token="t0ken", user="robot", password="p4ss")) == "Credentials(user='robot')"  # noqa: S106


@pytest.mark.parametrize("login", [TOKEN, PASSWORD])
@pytest.mark.parametrize("version", ["6.0.30", "7.0.5"])
def test_basic_login_in_front(front: Any, answers: Any, version: str, login: Credentials) -> None:
    """Both would be in the Authorization header: the session goes into the body."""
    expected = "Basic " + base64.b64encode("web:pä55".encode()).decode()
    usual = {**front.answers, "apiinfo.version": answers["result"](version)}

    def guarded(request: dict[str, Any], headers: dict[str, str]) -> Any:
        if headers.get("Authorization") != expected:
            return 401, {"WWW-Authenticate": 'Basic realm="x"'}, b"<html>"
        found = usual[request["method"]]
        return found(request, headers) if callable(found) else found

    front.every = guarded
    with connect(front.url, login, front=Basic("web", "pä55")) as zabbix:
        assert zabbix.call("host.get", {}) == [{"hostid": "1"}]
    (asked,) = [request for request, _ in front.requests if request["method"] == "host.get"]
    assert asked["auth"] in {TOKEN.token, "5e55" * 8}
    for given, advice in (
        (None, "give --basic-user and --basic-password-file, or let POST requests to /zabbix/api_jsonrpc.php through"),
        (Basic("web", "wr0ng"), "it refuses --basic-user: check both"),
    ):
        with pytest.raises(ServerError, match=re.escape(advice)) as caught, connect(front.url, login, front=given):
            pass
        assert "wr0ng" not in str(caught.value)


def test_basic_login_in_front_of_a_version_that_needs_its_header(front: Any, answers: Any) -> None:
    front.answers["apiinfo.version"] = answers["result"]("7.2.1")
    given = Basic("web", "p")
    with (
        pytest.raises(ServerError, match="needs the header that the Basic login in front needs: let POST requests"),
        connect(front.url, TOKEN, front=given),
    ):
        pass


def test_basic_login_is_complete(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("s3cret\n")
    file.chmod(0o600)
    assert basic({}) == Basic()
    assert basic({"ZABBIX_BASIC_PASSWORD": "x"}, user="web", password_file=file) == Basic("web", "s3cret")
    assert "s3cret" not in repr(basic({}, user="web", password_file=file))
    for environ, user in (({}, "web"), ({"ZABBIX_BASIC_PASSWORD": "x"}, None), ({"ZABBIX_BASIC_PASSWORD": "x"}, "a:b")):
        with pytest.raises(UsageError, match=r"Basic|--basic-user"):
            basic(environ, user=user)
