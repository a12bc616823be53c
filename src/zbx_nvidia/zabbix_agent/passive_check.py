"""Runs a passive check: asks a Zabbix agent for an item, as a server does.

The request is the item key in Zabbix's frame, which every agent accepts. The answer is the value, or
"ZBX_NOTSUPPORTED", a zero byte and the reason.
"""

from __future__ import annotations

import re
import shutil
import socket
import ssl
import struct
import time
import zlib
from typing import TYPE_CHECKING, NamedTuple

from zbx_nvidia.errors import HostError
from zbx_nvidia.host import system
from zbx_nvidia.zabbix_agent import config

if TYPE_CHECKING:
    from pathlib import Path

PORT = 10050
MAGIC = b"ZBXD"
COMPRESSED, LARGE = 0x02, 0x04
LONGEST = 64 << 20  # bytes; agents of 7.0 send up to 16 MiB
UNSUPPORTED = "ZBX_NOTSUPPORTED"
# How zabbix_get, with OpenSSL and with GnuTLS, reports that the connection was closed during the handshake.
CLOSED = re.compile(r"reset by peer|closed|I/O error|unexpected eof|non-properly terminated|-110 |-54 ", re.IGNORECASE)
CIPHERS = "PSK"  # of OpenSSL, for TLS 1.2, which every agent with encryption supports


class Psk(NamedTuple):
    """A pre-shared key.

    Attributes:
        identity: The name of the key.
        file: Holds the key as hexadecimal digits.
    """

    identity: str
    file: Path


class UnreachableError(HostError):
    """Nothing listens there, or nothing answers in time."""


class DroppedError(HostError):
    """The agent closes the connection without an answer."""


class EncryptionError(HostError):
    """The agent refuses the encryption."""


class ClosedError(EncryptionError):
    """The agent closes the connection during the TLS handshake.

    Agent 2 does so if its Server= does not name this machine: it checks that first. Both agents do so if their
    TLSAccept= does not allow a key.
    """


class CannotAskError(HostError):
    """This machine cannot connect with a key. That says nothing about the agent."""


class UnsupportedError(HostError):
    """The agent answers that it does not support the item."""


def ask(  # noqa: PLR0913  what a check consists of
    address: str,
    port: int,
    key: str,
    *,
    timeout: float,
    psk: Psk | None = None,
    source: str = "",
) -> str:
    """Ask an agent.

    Args:
        address: Of the agent.
        port: Of the agent.
        key: Of the item.
        timeout: Seconds for the whole check.
        psk: Encrypt with this key.
        source: Address of this machine to connect from.

    Returns:
        The value.

    Raises:
        HostError: One of the classes above.
    """
    where = f"the Zabbix agent at {address}:{port}"
    if psk is not None and not getattr(ssl, "HAS_PSK", False):
        return _by_zabbix_get(where, address, port, key, timeout, psk, source)
    end = time.monotonic() + timeout
    try:
        with socket.create_connection((address, port), timeout, (source, 0) if source else None) as plain:
            wire = _encrypted(plain, psk, where) if psk is not None else plain
            with wire:
                data = key.encode()
                wire.sendall(MAGIC + b"\x01" + struct.pack("<II", len(data), 0) + data)
                answer = _answer(wire, end, where)
    except TimeoutError:
        raise UnreachableError(f"{where} does not answer {key} within {timeout:g} s") from None
    except ssl.SSLError as error:
        raise EncryptionError(f"{where} refuses the encryption: {error.reason or error}") from None
    except (ConnectionResetError, BrokenPipeError):
        raise DroppedError(_dropped(where, encrypted=psk is not None)) from None
    except OSError as error:
        raise UnreachableError(f"{where} cannot be reached: {error.strerror or error}") from None
    return _value(answer, where, key)


def _encrypted(plain: socket.socket, psk: Psk, where: str) -> ssl.SSLSocket:
    key = _key(psk)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False  # the key authenticates the agent
    context.verify_mode = ssl.CERT_NONE
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(CIPHERS)
    # By name, because Python 3.10 to 3.12 do not have it.
    getattr(context, "set_psk_client_callback")(lambda _hint: (psk.identity, key))  # noqa: B009  as said
    try:
        return context.wrap_socket(plain)
    except (ssl.SSLEOFError, ssl.SSLZeroReturnError, ConnectionResetError, BrokenPipeError) as error:
        raise ClosedError(_refused(where, psk, error)) from None
    except ssl.SSLError as error:
        # Python 3.13 has a class for a closed connection, but does not always use it.
        kind = ClosedError if error.reason == "UNEXPECTED_EOF_WHILE_READING" else EncryptionError
        raise kind(_refused(where, psk, error)) from None


def _refused(where: str, psk: Psk, why: object) -> str:
    return (
        f"{where} refuses the encryption with the key of identity {psk.identity!r}, or its Server= does "
        f"not allow this machine: {getattr(why, 'reason', '') or why}"
    )


def _key(psk: Psk) -> bytes:
    try:
        return bytes.fromhex(config.key_text(psk.file).strip())
    except OSError as error:
        raise HostError(f"{psk.file}: the key cannot be read: {error.strerror}") from None
    except ValueError:
        raise HostError(f"{psk.file}: the key is not hexadecimal") from None


def _answer(wire: socket.socket, end: float, where: str) -> bytes:
    """The text of an answer, without its frame."""
    head = _take(wire, 5, end, where)
    if head[:4] != MAGIC:
        raise UnreachableError(f"{where} does not speak Zabbix's protocol: does another program use that port?")
    sizes = "<QQ" if head[4] & LARGE else "<II"
    length, whole = struct.unpack(sizes, _take(wire, struct.calcsize(sizes), end, where))
    if max(length, whole) > LONGEST:
        raise UnreachableError(f"{where} announces an answer of {max(length, whole)} bytes, which is too large")
    data = _take(wire, length, end, where)
    if head[4] & COMPRESSED:
        try:
            data = zlib.decompressobj().decompress(data, LONGEST)
        except zlib.error as error:
            raise UnreachableError(f"{where} sends an answer that cannot be decompressed: {error}") from None
    return data


def _take(wire: socket.socket, length: int, end: float, where: str) -> bytes:
    data = b""
    while len(data) < length:
        left = end - time.monotonic()
        if left <= 0:
            raise TimeoutError
        wire.settimeout(left)
        more = wire.recv(min(length - len(data), 1 << 16))
        if not more:
            raise DroppedError(_dropped(where, encrypted=isinstance(wire, ssl.SSLSocket)))
        data += more
    return data


def _dropped(where: str, *, encrypted: bool) -> str:
    accept = "" if encrypted else ", or its TLSAccept= requires encryption"
    return f"{where} closes the connection without an answer: its Server= does not allow this machine{accept}"


def _value(answer: bytes, where: str, key: str) -> str:
    text = answer.decode("utf-8", "replace")
    if text.partition("\0")[0] == UNSUPPORTED:
        reason = text.partition("\0")[2] or "no reason given"
        raise UnsupportedError(f"{where} does not support {key}: {' '.join(reason.split())[:300]}")
    return text


def _by_zabbix_get(  # noqa: PLR0913, PLR0917  as of ask
    where: str, address: str, port: int, key: str, timeout: float, psk: Psk, source: str
) -> str:
    """The same with zabbix_get, for Python before 3.13."""
    program = shutil.which("zabbix_get", path=system.PATH)
    if not program:
        raise CannotAskError(
            f"{where} cannot be asked with a key: install the package zabbix-get, or use Python 3.13 or newer"
        )
    _key(psk)
    command = [program, "--host", address, "--port", str(port), "--key", key, "--tls-connect", "psk"]
    command += ["--tls-psk-identity", psk.identity, "--tls-psk-file", str(psk.file)]
    done = system.run(*command, *(["--source-address", source] if source else []), timeout=timeout)
    if done.code == 124:  # noqa: PLR2004  as of timeout(1)
        raise UnreachableError(f"{where} does not answer {key} within {timeout:g} s")
    text = done.out.rstrip("\n")
    if text.startswith(f"{UNSUPPORTED}: Received empty response"):
        # zabbix_get 7.0 reports it so, and exits with 0.
        raise DroppedError(_dropped(where, encrypted=True))
    if text.startswith(f"{UNSUPPORTED}:"):
        raise UnsupportedError(f"{where} does not support {key}: {text.partition(':')[2].strip()[:300]}")
    if done.code == 0:
        return text
    complaint = " ".join((done.err + done.out).split())
    if "TCP connection" in complaint or "Connection refused" in complaint or "cannot connect" in complaint:
        raise UnreachableError(f"{where} cannot be reached: {complaint[:200]}")
    if "access" in complaint.lower():
        raise DroppedError(_dropped(where, encrypted=True))
    kind = ClosedError if CLOSED.search(complaint) else EncryptionError
    raise kind(_refused(where, psk, complaint[:200]))
