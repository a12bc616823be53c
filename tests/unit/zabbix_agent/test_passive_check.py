"""The small client, against sockets that answer as agents do, and as none should."""

from __future__ import annotations

import itertools
import os
import shutil
import socket
import ssl
import struct
import threading
import time
import zlib
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import pytest

from tests.conftest import PATIENCE
from zbx_nvidia.zabbix_agent import config, verify
from zbx_nvidia.zabbix_agent.find import Agent
from zbx_nvidia.zabbix_agent.passive_check import (
    CannotAskError,
    ClosedError,
    DroppedError,
    EncryptionError,
    Psk,
    UnreachableError,
    UnsupportedError,
    ask,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from zbx_nvidia.errors import HostError


@contextmanager
def agent(*parts: bytes, pause: float = 0.0) -> Iterator[tuple[int, list[bytes]]]:
    """An agent that reads a question, answers with these parts, and closes."""
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            wire, _ = server.accept()
            # Whoever has waited long enough leaves.
            with wire, suppress(ConnectionError):
                heard.append(wire.recv(1000))
                for part in parts:
                    wire.sendall(part)
                    time.sleep(pause)

        thread = threading.Thread(target=serve)
        thread.start()
        yield server.getsockname()[1], heard
        thread.join()


def framed(text: bytes, flags: int = 1) -> bytes:
    if flags & 2:
        packed = zlib.compress(text)
        return b"ZBXD" + bytes([flags]) + struct.pack("<II", len(packed), len(text)) + packed
    sizes = "<QQ" if flags & 4 else "<II"
    return b"ZBXD" + bytes([flags]) + struct.pack(sizes, len(text), 0) + text


def named_by_item(tmp_path: Path, *lines: str) -> str:
    main = tmp_path / "agent.conf"
    main.write_text("\n".join(lines) + "\n")
    return verify.host_name(Agent("agentd", tmp_path / "none", main, "", ""), config.read(main, "agentd"))


def test_the_agent_knows_its_name_if_an_item_gives_it(tmp_path: Path) -> None:
    item = "HostnameItem=system.run[hostname -f]"
    with agent(framed(b"gpu7.example.com,second")) as (port, heard):
        assert named_by_item(tmp_path, item, f"ListenPort={port}") == "gpu7.example.com"
    assert heard[0].endswith(b"agent.hostname")
    assert named_by_item(tmp_path, item, "Hostname=gpu8") == "gpu8", "Zabbix ignores the item then"
    assert named_by_item(tmp_path, item, "ListenPort=1") == socket.gethostname(), "nothing can be asked"


@pytest.mark.parametrize("flags", [1, 3, 5])
def test_a_value(flags: int) -> None:
    data = framed('{"a": "é"}'.encode(), flags)
    with agent(data[:3], data[3:14], data[14:], pause=0.02) as (port, heard):
        assert ask("127.0.0.1", port, "nvidia.get", timeout=PATIENCE) == '{"a": "é"}'
    assert heard == [b"ZBXD\x01\x0a\0\0\0\0\0\0\0nvidia.get"]


@pytest.mark.parametrize(
    ("answer", "error", "text"),
    [
        (framed(b"ZBX_NOTSUPPORTED\0Unknown\nmetric"), UnsupportedError, "does not support k: Unknown metric$"),
        (framed(b"ZBX_NOTSUPPORTED"), UnsupportedError, "does not support k: no reason given$"),
        (b"", DroppedError, "closes the connection without an answer: its Server= does not allow this machine, or its"),
        (framed(b"half")[:-2], DroppedError, "closes the connection"),
        (b"HTTP/1.1 400 Bad Request\r\n", UnreachableError, "does not speak Zabbix's protocol"),
        (b"ZBXD\x01" + struct.pack("<II", 1 << 31, 0), UnreachableError, "an answer of 2147483648 bytes"),
        (framed(b"x" * 99, 3)[:13] + b"y" * 99, UnreachableError, "an answer that cannot be decompressed"),
        (b"ZBXD\x03" + struct.pack("<II", 4, 1 << 31), UnreachableError, "an answer of 2147483648 bytes"),
    ],
)
def test_what_is_none(answer: bytes, error: type[HostError], text: str) -> None:
    with agent(answer) as (port, _), pytest.raises(error, match=text):
        ask("127.0.0.1", port, "k", timeout=PATIENCE)


def test_an_agent_that_takes_its_time() -> None:
    """The time is for the whole answer: each part of this one comes soon, and the last one never."""
    with (
        agent(b"ZBXD\x01", *itertools.repeat(b"\0", 8), *itertools.repeat(b"x", 10_000), pause=0.1) as (port, _),
        pytest.raises(UnreachableError, match=r"within 0.3 s$"),
    ):
        ask("127.0.0.1", port, "k", timeout=0.3)


def test_nobody_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(UnreachableError, match=f"127.0.0.1:{port} cannot be reached: Connection refused"):
        ask("127.0.0.1", port, "k", timeout=PATIENCE)


needs_psk = pytest.mark.skipif(not getattr(ssl, "HAS_PSK", False), reason="ssl of this Python knows no PSK")


def test_with_a_key_where_nothing_can_encrypt(tmp_path: Path) -> None:
    if getattr(ssl, "HAS_PSK", False) or shutil.which("zabbix_get"):
        pytest.skip("this machine can")
    with pytest.raises(CannotAskError, match=r"install the package zabbix-get, or use Python 3.13 or newer"):
        ask("127.0.0.1", 1, "k", timeout=PATIENCE, psk=Psk("me", tmp_path / "key"))


@needs_psk
def test_with_a_key_that_the_other_does_not_take(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("00" * 32)
    with agent(b"\x15\x03\x03\0\x02\x02\x14") as (port, _), pytest.raises(EncryptionError, match="of identity 'me'"):
        ask("127.0.0.1", port, "k", timeout=PATIENCE, psk=Psk("me", file))


@needs_psk
def test_with_a_key_and_the_connection_is_closed_at_once(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("00" * 32)
    words = "of identity 'me', or its Server= does not allow this machine"
    with agent() as (port, _), pytest.raises(ClosedError, match=words):
        ask("127.0.0.1", port, "k", timeout=PATIENCE, psk=Psk("me", file))


@pytest.mark.skipif(getattr(ssl, "HAS_PSK", False), reason="ssl of this Python does it by itself")
@pytest.mark.parametrize(
    ("said", "error"),
    [
        # Of 6.0 and 7.0 on Debian, each of agent 2 and of agentd; and with OpenSSL.
        ("gnutls_handshake() failed: -110 The TLS connection was non-properly terminated.", ClosedError),
        ("gnutls_handshake() failed: -54 Error in the pull function.", ClosedError),
        ("Check access restrictions in Zabbix agent configuration", DroppedError),
        ("SSL_connect() I/O error: [104] Connection reset by peer", ClosedError),
        ("SSL_connect() set result code to SSL_ERROR_SSL: sslv3 alert bad record mac", EncryptionError),
        ("gnutls_handshake() failed: -12 A TLS fatal alert has been received.", EncryptionError),
    ],
)
def test_what_zabbix_get_says(
    said: str, error: type[HostError], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program, file = tmp_path / "zabbix_get", tmp_path / "key"
    program.write_text(f"#!/bin/sh\necho 'zabbix_get [1]: {said}' >&2\nexit 1\n")
    program.chmod(0o755)
    file.write_text("00" * 32)
    monkeypatch.setattr("zbx_nvidia.host.system.PATH", f"{tmp_path}:{os.defpath}")
    with pytest.raises(error) as caught:
        ask("127.0.0.1", 1, "k", timeout=PATIENCE, psk=Psk("me", file))
    assert type(caught.value) is error


@pytest.mark.skipif(getattr(ssl, "HAS_PSK", False), reason="as above")
def test_what_zabbix_get_says_without_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program, file = tmp_path / "zabbix_get", tmp_path / "key"
    said = "ZBX_NOTSUPPORTED: Received empty response from Zabbix Agent at [127.0.0.1]. Assuming that agent dropped"
    program.write_text(f"#!/bin/sh\necho '{said} connection because of access permissions.'\n")
    program.chmod(0o755)
    file.write_text("00" * 32)
    monkeypatch.setattr("zbx_nvidia.host.system.PATH", f"{tmp_path}:{os.defpath}")
    with pytest.raises(DroppedError, match=r"its Server= does not allow this machine$"):
        ask("127.0.0.1", 1, "k", timeout=PATIENCE, psk=Psk("me", file))


def test_a_process_of_the_agent_may_not_have_read_its_files_again_yet() -> None:
    """After a reload, one serves the item already, and the next one asked does not."""
    unsupported = framed(b"ZBX_NOTSUPPORTED\0Unsupported item key.")
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            for answer in (unsupported, unsupported, framed(b"{}")):
                wire, _ = server.accept()
                with wire:
                    wire.recv(1000)
                    wire.sendall(answer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        place = server.getsockname()[:2]
        with pytest.raises(UnsupportedError):
            verify._patiently(place, None, 0)  # noqa: SLF001  a single look
        assert verify._patiently(place, None, PATIENCE) == "{}"  # noqa: SLF001
        thread.join()
