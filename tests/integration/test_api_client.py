"""Who may use the API client, and the front ends that it meets."""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

import pytest

from tests.integration.server import HOST, MARK, PASSWORD, TEMPLATE, Server, older
from tests.integration.watched import Client
from tests.unit.template.files import parse
from zbx_nvidia.server import templates

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.integration


def test_wrong_password(server: Server) -> None:
    client = server.user("typo", 3)
    client.environment["ZABBIX_PASSWORD"] = PASSWORD.lower()
    assert client.refused("install-template") == (
        f"Error: Zabbix at {server.url} refuses user.login to user '{MARK} typo': Incorrect user name or password or "
        "account is temporarily blocked: check both; repeated failures block the account for 30 s"
    )


def test_token(server: Server, tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text(server.token() + "\n")
    path.chmod(0o600)
    out = Client(server.url).ok("install-template", "--token-file", str(path))
    assert "Done.\n" in out
    out = Client(server.url, ZABBIX_TOKEN=path.read_text().strip()).ok("install-template")
    assert "  nothing changes\n" in out


@pytest.mark.parametrize(
    ("properties", "message"),
    [
        ({"expires_at": 1_000_000_000}, "API token expired: create a new token"),
        ({"status": 1}, "the token is unknown or disabled"),
    ],
    ids=["expired", "disabled"],
)
def test_token_that_is_not_valid(server: Server, properties: dict[str, Any], message: str) -> None:
    token = server.token(**properties)
    line = Client(server.url, ZABBIX_TOKEN=token).refused("install-template")
    assert message in line
    assert token not in line


def test_unknown_token(server: Server) -> None:
    line = Client(server.url, ZABBIX_TOKEN="0" * 64).refused("install-template")
    assert "the token is unknown or disabled: check ZABBIX_TOKEN or --token-file" in line


@pytest.mark.parametrize(("name", "role"), [("user", 1), ("admin", 2)])
def test_missing_permission(server: Server, name: str, role: int) -> None:
    line = server.user(name, role).refused("install-template")
    assert f"to user '{MARK} {name}': " in line
    assert "ermission" in line.partition("to user")[2]
    assert (
        "the template's group does not exist, or this user cannot see it, and only a Super admin can create it" in line
    )
    assert PASSWORD not in line


def test_an_admin_may_do_all_of_it_in_groups_that_are_there(server: Server) -> None:
    """Only to make a group takes a Super admin."""
    client = server.user("admin", 2, "Templates/Applications", "Linux servers")
    assert "Done.\n" in client.ok("install-template")
    host = ("add-host", HOST, "--address", "192.0.2.10")
    line = client.refused(*host)
    assert "hostgroup.create" in line
    assert "only a Super admin can create a host group: with --group, name one that this user may write" in line
    assert "Done.\n" in client.ok(*host, "--group", "Linux servers")
    assert client.ok(*host) == f"host {HOST}\n  nothing changes\n"
    server.install(older(server.text()))
    # What was set on hosts out of sight would be reset.
    line = client.refused("install-template")
    assert f"hosts that this user does not see may have the template {TEMPLATE!r} (it sees 1 with it)" in line
    assert "    = item NVIDIA: Gone\n" in client.ok("install-template", "--force")
    assert "  nothing changes\n" in client.ok("install-template")
    client.ok("uninstall-template", "--force")


def test_no_secret_is_printed(server: Server) -> None:
    client = server.user("marked", 3)
    runs = [
        client("install-template"),
        client("add-host", HOST, "--address", "192.0.2.11", "--group", "none"),
        client("uninstall-template", "--json"),
    ]
    assert [done.code for done in runs] == [0, 1, 0]
    assert not [done for done in runs if PASSWORD in done.out + done.err]


def test_an_admin_updates_a_template_that_no_host_has(server: Server) -> None:
    client = server.user("admin", 2, "Templates/Applications")
    server.install(older(server.text()))
    if server.version >= (7, 0):
        assert "(it sees none with it)" in client.refused("install-template")
        assert "\nDone.\n" in client.ok("install-template", "--force")
        return
    line = client.refused("install-template", "--force")
    assert (
        "already exists: this user does not see all of the template: link it to a host that the user may read" in line
    )


# Front ends that this repository has no server for


class Proxy(NamedTuple):
    """A web server before the real one."""

    url: str
    requests: list[tuple[dict[str, Any], str | None]]


@contextlib.contextmanager
def before(url: str, version: str | None = None, *, strip: bool = False) -> Iterator[Proxy]:
    """A web server that hands requests on to the real one.

    With a version it holds clients to the rules of 7.2 and newer, and says that it is of this version. With `strip` it
    loses the Authorization header, as Apache with PHP-FPM does.
    """
    target = urlsplit(url)
    seen: list[tuple[dict[str, Any], str | None]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            request = json.loads(body)
            seen.append((request, self.headers["Authorization"]))
            if version and "auth" in request:
                data = 'Invalid parameter "/": unexpected parameter "auth".'
                answer = {"error": {"code": -32600, "message": "Invalid request.", "data": data}}
                content = json.dumps({"jsonrpc": "2.0", "id": request["id"], **answer}).encode()
            elif version and request["method"] == "apiinfo.version":
                content = json.dumps({"jsonrpc": "2.0", "id": request["id"], "result": version}).encode()
            else:
                content = self.hand_on(body)
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def hand_on(self, body: bytes) -> bytes:
            headers = {"Content-Type": "application/json-rpc"}
            if self.headers["Authorization"] and not strip:
                headers["Authorization"] = self.headers["Authorization"]
            real = http.client.HTTPConnection(str(target.hostname), target.port or 80, timeout=60)
            with contextlib.closing(real):
                real.request("POST", f"{target.path}/api_jsonrpc.php", body, headers)
                return real.getresponse().read()

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http_server:
        thread = threading.Thread(target=http_server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield Proxy(f"http://127.0.0.1:{http_server.server_port}", seen)
        finally:
            http_server.shutdown()
            thread.join()


def test_session_travels_where_the_version_wants_it(server: Server) -> None:
    """In the body for 6.0, which looks nowhere else; never in the body for 7.2 and newer, which refuse it there."""
    token = server.token()
    with before(server.url, None if server.version < (7, 0) else "7.4.0") as front:
        client = Client(front.url, ZABBIX_TOKEN=token)
        assert client("install-template").code == 0  # on 7.0 with a warning: see the next test
        client.ok("add-host", HOST, "--address", "192.0.2.10")
        assert client.ok("add-host", HOST, "--address", "192.0.2.10") == f"host {HOST}\n  nothing changes\n"
        login = {"ZABBIX_USER": server.stack.user, "ZABBIX_PASSWORD": server.stack.password}
        Client(front.url, **login).ok("uninstall-template", "--force")
    in_body = [request for request, _ in front.requests if "auth" in request]
    in_header = [header for _, header in front.requests if header]
    assert len(in_body or in_header) > 10
    assert bool(in_body) == (server.version < (7, 0))
    assert bool(in_header) == (server.version >= (7, 0))
    assert server.version < (7, 0) or f"Bearer {token}" in in_header


def test_a_server_that_refuses_the_newest_template_gets_an_older_one(server: Server) -> None:
    """A 7.0 behind a front that says 7.4: it refuses the file for 7.4, in its own words."""
    if server.version < (7, 0):
        pytest.skip("6.0 knows no Bearer token, which the front requires")
    with before(server.url, "7.4.0") as front:
        client = Client(front.url, ZABBIX_TOKEN=server.token())
        outputs = []
        for options in (["--dry-run"], [], [], ["--variant", "both", "--dry-run"]):
            done = client("install-template", *options)
            assert done.code == 0, done
            (line,) = done.err.splitlines()
            assert line.startswith(
                f"warning: Zabbix at {front.url} refuses configuration.importcompare to user 'Admin': "
            )
            assert "unsupported version number" in line
            assert line.endswith(": used the template file for 7.0, which has no fields for the Host Wizard")
            outputs.append(done.out)
        client.ok("uninstall-template", "--dry-run")
    assert outputs[0].endswith("Dry run: nothing was changed.\n")
    assert "\nDone.\n" in outputs[1]
    assert outputs[2] == f"template {TEMPLATE}\n  nothing changes\n"
    assert server.zbx_nvidia.ok("install-template") == outputs[2], "what a 7.0 gets that says so"


def test_a_text_of_several_lines_is_no_change_the_second_time(server: Server) -> None:
    """The readme of the file for 7.4 is one; 7.0 has no readme, but a description."""
    if server.version < (7, 0):
        pytest.skip("the readme goes to newer servers only")
    block = r"\1description: |\n\1  ## One\n\n\1  Two."
    text = re.sub(r"^( +)description: .*$", block, server.text(), count=1, flags=re.MULTILINE)
    server.install(text)
    assert server.exported()["templates"][0]["description"].startswith("## One\n\nTwo.")
    with server.connect() as zabbix:
        assert templates.plan_install(zabbix, parse(text)).changes == []


def test_the_strict_front_is_strict(server: Server) -> None:
    with before(server.url, "7.4.0") as front:
        body = {"jsonrpc": "2.0", "method": "host.get", "params": {}, "id": 1, "auth": "x"}
        real = http.client.HTTPConnection("127.0.0.1", urlsplit(front.url).port or 80)
        with contextlib.closing(real):
            real.request("POST", "/api_jsonrpc.php", json.dumps(body))
            assert 'unexpected parameter "auth"' in json.loads(real.getresponse().read())["error"]["data"]


def test_authorization_header_that_the_web_server_strips(server: Server) -> None:
    with before(server.url, strip=True) as front:
        client = Client(front.url, ZABBIX_TOKEN=server.token())
        if server.version < (6, 4):
            client.ok("install-template")  # the session does not travel in the header
            return
        line = client.refused("install-template")
    assert "the web server strips the Authorization header: for Apache with PHP-FPM, set 'CGIPassAuth On'" in line
