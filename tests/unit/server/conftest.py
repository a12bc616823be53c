"""A small HTTP front for what a real Zabbix does not show on demand: broken, slow, strange and hostile answers."""

from __future__ import annotations

import json
import ssl
import subprocess
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

Headers = dict[str, str]
Answer = tuple[int, Headers, bytes]


def result(value: object) -> Answer:
    return 200, {"Content-Type": "application/json"}, json.dumps({"jsonrpc": "2.0", "result": value, "id": 1}).encode()


def error(data: str, code: int = -32602) -> Answer:
    body = {"jsonrpc": "2.0", "error": {"code": code, "message": "Invalid params.", "data": data}, "id": 1}
    return 200, {"Content-Type": "application/json"}, json.dumps(body).encode()


@dataclass
class Front:
    """The front: `answers` by method, or `answer` for all; what it was sent is in `requests`."""

    url: str
    answers: dict[str, Answer | Callable[[dict[str, Any], Headers], Answer]] = field(default_factory=dict)
    requests: list[tuple[dict[str, Any], Headers]] = field(default_factory=list)
    every: Answer | Callable[[dict[str, Any], Headers], Answer] | None = None

    def answer(self, request: dict[str, Any], headers: Headers) -> Answer:
        self.requests.append((request, headers))
        found = self.every or self.answers.get(request["method"], error(f'Incorrect method "{request["method"]}".'))
        return found(request, headers) if callable(found) else found

    def methods(self) -> list[str]:
        return [request["method"] for request, _ in self.requests]


def as_zabbix(version: str) -> dict[str, Answer | Callable[[dict[str, Any], Headers], Answer]]:
    """The calls every command makes first, answered as a Zabbix of that version does."""
    return {
        "apiinfo.version": result(version),
        "user.login": result("5e55" * 8),
        "user.checkAuthentication": result({"username": "robot"}),
        "user.logout": result(True),
        "host.get": result([{"hostid": "1"}]),
    }


@contextmanager
def serving(tls: ssl.SSLContext | None = None) -> Iterator[Front]:
    class Handler(BaseHTTPRequestHandler):
        wbufsize = -1  # one packet an answer: two would wait for each other, 40 ms each time

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            status, headers, content = served.answer(body, dict(self.headers.items()))
            self.send_response(status)
            for name, value in {"Content-Length": str(len(content)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_: object) -> None:
            """A client that leaves early, or refuses the certificate, is what the test is about."""

    server = Server(("127.0.0.1", 0), Handler)
    if tls:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    served = Front(f"http{'s' if tls else ''}://127.0.0.1:{server.server_port}/zabbix")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield served
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def front() -> Iterator[Front]:
    """A front that answers as Zabbix 7.0 until the test says otherwise."""
    with serving() as served:
        served.answers = as_zabbix("7.0.22")
        yield served


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate for 127.0.0.1, with its key in the same file."""
    path = tmp_path_factory.mktemp("tls") / "front.pem"
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=front -addext subjectAltName=IP:127.0.0.1"
    made = subprocess.run([*command.split(), "-keyout", "-"], capture_output=True, text=True, check=True)
    path.write_text(made.stdout)
    return path


@pytest.fixture
def tls_front(certificate: Path) -> Iterator[Front]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with serving(context) as served:
        served.answers = as_zabbix("7.0.22")
        yield served


@pytest.fixture
def answers() -> dict[str, Callable[..., Answer]]:
    """Builders of answers: `result`, `error`."""
    return {"result": result, "error": error}
