"""The connection to a Zabbix front end: address, credentials, TLS, time limits, retries.

Seen with pyzabbix 1.3.1, and handled here:

- Its DEBUG log contains the password and the session, its exceptions contain the server's whole answer, and exceptions
  of requests contain the request with both. So its DEBUG log is switched off, and an error is raised outside the
  `except` clause, not chained to the exception that it explains.
- It has no time limit, no limit for the size of an answer (see `transport`) and no retries. Only calls that read are
  retried: the server may have done a write although its answer was lost.
- `with ZabbixAPI(...)` swallows API errors, so it is not used here.
- A `.netrc` entry for the host replaces the session with Basic authentication. So `trust_env` is off, and the proxies
  and the CA file of the environment are read explicitly.
"""

from __future__ import annotations

import base64
import contextlib
import html
import ipaddress
import json
import logging
import os
import re
import ssl
import stat
import time
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, quote_plus, urlsplit, urlunsplit

import requests
import urllib3
from pyzabbix import ZabbixAPI, ZabbixAPIException

from zbx_nvidia.errors import RefusedError, ServerError, UsageError, printable
from zbx_nvidia.server import explain, shapes, transport, versions, wanted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from zbx_nvidia.server.versions import Version

logger = logging.getLogger(__name__)

CONNECT_TIMEOUT = 10.0
# These change every host that has the template: 4.5 s was seen with 100 hosts of eight GPUs. Zabbix itself requires
# PHP's limit to be 300 s.
LONG = {"configuration.import": 300.0, "template.delete": 300.0}
PAUSES = (0.5, 2.0)  # seconds before the second and the third attempt of a call that reads
# HTTP status with which a reverse proxy says that it allows no more requests, or that its backend does not answer.
BUSY = (429, 502, 503, 504)
LONGEST_TEXT = 1000  # characters of a server's reason: Zabbix's have up to 300
SUPER_ADMIN = "3"  # Zabbix's number for that type of user
LONGEST_PAUSE = 30.0  # s that a server may ask for between two attempts
READS = ("apiinfo.version", "configuration.export", "configuration.importcompare", "user.checkAuthentication")

logging.getLogger("pyzabbix.api").addFilter(lambda record: record.levelno > logging.DEBUG)


@dataclass(frozen=True)
class Credentials:
    """An API token, or a user and a password."""

    token: str = field(default="", repr=False)
    user: str = ""
    password: str = field(default="", repr=False)


@dataclass(frozen=True)
class Basic:
    """User and password of a Basic login in front of Zabbix; without a user there is none."""

    user: str = ""
    password: str = field(default="", repr=False)


def basic(environ: Mapping[str, str], *, user: str | None = None, password_file: Path | None = None) -> Basic:
    """Finds the user and password of a Basic login in front: the file before the environment."""
    given = secret(password_file, "--basic-password-file") if password_file else None
    password = given or environ.get("ZABBIX_BASIC_PASSWORD", "")
    if not user:
        if password:
            raise UsageError("a password for a Basic login without a user: set ZABBIX_BASIC_USER or give --basic-user")
        return Basic()
    if not password or ":" in user:
        raise UsageError(
            "--basic-user takes a name without a colon, and a password: "
            "set ZABBIX_BASIC_PASSWORD or give --basic-password-file"
        )
    return Basic(user, password)


def credentials(
    environ: Mapping[str, str],
    *,
    user: str | None = None,
    token_file: Path | None = None,
    password_file: Path | None = None,
) -> Credentials:
    """Finds the credentials: files named on the command line before the environment, a token before a password."""
    if token_file and password_file:
        raise UsageError("--token-file and --password-file exclude each other: give only one")
    if password_file:
        return _login(user, secret(password_file, "--password-file"), "--password-file")
    token = secret(token_file, "--token-file") if token_file else environ.get("ZABBIX_TOKEN", "")
    if token:
        # The token becomes an HTTP header: other characters would fail there, with the token in the exception's text.
        if not re.fullmatch(r"[!-~]+", token):
            source = f"--token-file {token_file}" if token_file else "ZABBIX_TOKEN"
            raise UsageError(f"{source}: not an API token: it must be one word of plain ASCII characters")
        return Credentials(token=token)
    if password := environ.get("ZABBIX_PASSWORD", ""):
        return _login(user, password, "ZABBIX_PASSWORD")
    raise UsageError(
        "no credentials: set ZABBIX_TOKEN or give --token-file, "
        "or set ZABBIX_USER with ZABBIX_PASSWORD or --password-file"
    )


def _login(user: str | None, password: str, source: str) -> Credentials:
    if not user:
        raise UsageError(f"{source} without a user: set ZABBIX_USER or give --user")
    return Credentials(user=user, password=password)


def secret(path: Path, option: str) -> str:
    """The secret in a file, without the line end that editors add.

    Args:
        path: of the file.
        option: the option that named the file, for error messages.
    """
    try:
        mode = path.stat().st_mode
        text = path.read_text(encoding="utf-8").rstrip("\r\n")
    except OSError as error:
        raise UsageError(f"{option} {path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UsageError(f"{option} {path}: cannot be read: not UTF-8 text") from None
    if not text:
        raise UsageError(f"{option} {path}: the file is empty")
    # Only a warning: everybody can read the secrets that a container engine mounts.
    if mode & (stat.S_IRGRP | stat.S_IROTH):
        logger.warning("warning: %s %s: other users can read this file: run chmod 600 on it", option, path)
    return text


def front_end(url: str) -> str:
    """The address of the front end, from any address that a person may copy from the browser."""
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018  raises ValueError if the port is not a number
    except ValueError:
        raise UsageError("--url: not an address: write it as https://zabbix.example.com/zabbix") from None
    if parts.username is not None or parts.password is not None:
        raise UsageError("--url: no user or password in the address: use ZABBIX_USER and ZABBIX_PASSWORD")
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise UsageError(f"--url {url}: not an address: write it as https://zabbix.example.com/zabbix")
    path = re.sub(r"/[^/]*\.php$", "", parts.path).rstrip("/")
    return urlunsplit((parts.scheme, parts.netloc, path, "", ""))


@contextlib.contextmanager
def connect(  # noqa: PLR0913  one for each option
    url: str,
    login: Credentials,
    *,
    front: Basic | None = None,
    ca_file: Path | None = None,
    insecure: bool = False,
    timeout: float = 30.0,
) -> Iterator[Connection]:
    """Logs in, yields the connection, and logs out.

    Args:
        url: address of the front end.
        login: user to log in as.
        front: the Basic login in front of it, if there is one.
        ca_file: certificates to trust, PEM; without it REQUESTS_CA_BUNDLE, SSL_CERT_FILE, or the default of requests.
        insecure: do not check the server's certificate, and send a password over http.
        timeout: seconds to wait for each answer; `LONG` has the calls that may take longer.
    """
    url = front_end(url)
    front = front or Basic()
    if login.password or front.password:
        _protected(url, insecure=insecure)
    session = transport.Session()
    session.trust_env = False
    session.proxies = requests.utils.get_environ_proxies(url)
    session.verify = _trusted(ca_file, insecure=insecure)
    with session:
        api = ZabbixAPI(url, session=session)
        if front.user:
            # As bytes: requests would write other characters in Latin-1.
            session.auth = requests.auth.HTTPBasicAuth(front.user.encode(), front.password.encode())
        connection = Connection(api, url, login, timeout, front)
        session.hooks["response"].append(connection.note_clock)
        connection.log_in()
        try:
            yield connection
        finally:
            connection.log_out()


def _protected(url: str, *, insecure: bool) -> None:
    """Refuses to send a password that others can read on its way, unless that is what the user wants."""
    parts = urlsplit(url)
    if parts.scheme == "https" or _is_this_machine(parts.hostname or ""):
        return
    if not insecure:
        raise UsageError(
            f"--url {url}: over http, others on the network can read the password: use https, or an API token, "
            "which can be revoked, or give --insecure to send it all the same"
        )
    logger.warning("warning: --insecure: over http, others on the network can read the password")


def _is_this_machine(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:  # a name: 127.example.com is none of ours
        return host == "localhost"


def _trusted(ca_file: Path | None, *, insecure: bool) -> bool | str:
    """The `verify` of requests: what it checks certificates against."""
    if insecure:
        if ca_file:
            raise UsageError("--insecure and --ca-file exclude each other: give only one")
        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
        logger.warning("warning: --insecure: the server's certificate is not checked")
        return False
    source, path = next(
        (
            (source, path)
            for source, path in (
                ("--ca-file", str(ca_file) if ca_file else None),
                ("REQUESTS_CA_BUNDLE", os.environ.get("REQUESTS_CA_BUNDLE")),
                ("SSL_CERT_FILE", os.environ.get("SSL_CERT_FILE")),
            )
            if path
        ),
        ("", ""),
    )
    if not path:
        return True
    try:
        if not Path(path).is_dir():
            ssl.create_default_context(cafile=path)
    except ssl.SSLError:
        raise UsageError(f"{source} {path}: no certificate in this file: give one in PEM format") from None
    except OSError as error:
        raise UsageError(f"{source} {path}: cannot be read: {error.strerror}") from None
    return path


class Connection:
    """A session with a front end.

    Attributes:
        url: address of the front end.
        version: version of the front end, (7, 0).
        ahead: how far its clock is ahead of this machine's, in s; as exact as HTTP's Date header, to a second.
    """

    def __init__(self, api: ZabbixAPI, url: str, login: Credentials, timeout: float, front: Basic) -> None:
        self.url = url
        self.version: Version = (0, 0)
        self.ahead = 0.0
        self._api = api
        self._login = login
        self._timeout = timeout
        self._user = login.user
        self._front = front
        header = base64.b64encode(f"{front.user}:{front.password}".encode()).decode()
        self._sent = {front.password, header} if front.user else set()  # other secrets that were sent
        self._accepted = False  # whether the front end has accepted the credentials
        self._type = ""  # Zabbix's number for the user's type; empty until it is asked for

    def log_in(self) -> None:
        """Finds the version and checks the credentials."""
        text = str(self.call("apiinfo.version"))
        # With what a release may have after it, such as 8.0.0alpha1.
        numbers = re.fullmatch(r"(\d{1,3})\.(\d{1,3})[.0-9a-z]{0,20}", text)
        if not numbers:
            raise ServerError(explain.not_a_front_end(self.url, "its version is not a number"))
        self.version = (int(numbers[1]), int(numbers[2]))
        if self.version < versions.OLDEST:
            oldest = ".".join(map(str, versions.OLDEST))
            raise ServerError(f"Zabbix at {self.url} is version {text}: zbx-nvidia needs {oldest} or newer")
        if self._front.user and versions.needs_bearer(self.version):
            raise ServerError(explain.basic_and_bearer(self.url))
        if self._login.token:
            self._attempt("apiinfo.version", lambda: self._api.login(api_token=self._login.token))
            # The login above does not check the token. This call does, and returns its user.
            user = self.call("user.checkAuthentication", {"token": self._login.token})
            self._user, self._type = user["username"], str(user.get("type", ""))
        else:
            self._attempt("user.login", lambda: self._api.login(self._login.user, self._login.password))
        self._accepted = True
        logger.debug("logged in to Zabbix %s at %s", text, self.url)

    @property
    def sees_all(self) -> bool:
        """Whether the user sees every object. For anyone but a Super admin, what is not seen may be there."""
        if not self._type:
            user = self.call("user.checkAuthentication", {"sessionid": self._api.auth})
            self._type = str(user.get("type", "")) or "unknown"
        return self._type == SUPER_ADMIN

    def note_clock(self, response: requests.Response, **_: object) -> None:
        """Notes the web server's clock, since Zabbix's API does not return its own."""
        with contextlib.suppress(KeyError, TypeError, ValueError):
            date = parsedate_to_datetime(response.headers["Date"]).timestamp()
            # The header has whole seconds, cut off: half a second is the mean of what is missing.
            self.ahead = date + 0.5 - time.time()

    def beside(self) -> Connection:
        """Another connection of this login, for another thread: requests does not promise that two can share one."""
        api = ZabbixAPI(self.url, session=self._api.session.beside())
        api.auth, api.version = self._api.auth, self._api.version
        other = Connection(api, self.url, self._login, self._timeout, self._front)
        other.version = self.version
        other._user, other._type, other._accepted = self._user, self._type, self._accepted
        other._sent |= self._sent
        return other

    def close(self) -> None:
        """Closes what it has open to the front end. The login stays."""
        self._api.session.close()

    def log_out(self) -> None:
        """Ends the session that a password opened; a token opens none."""
        if not self._login.token:
            # The work is done, or its error is being raised: a session that ends by itself later does no harm.
            with contextlib.suppress(ServerError):
                self.call("user.logout")

    def call(self, method: str, params: Mapping[str, Any] | list[Any] | None = None) -> Any:  # noqa: ANN401  JSON
        """Calls a method of the API and returns its result; retries one that only reads."""
        if isinstance(params, dict):
            self._note_secrets(params)
        result = self._attempt(
            method,
            lambda: self._api.do_request(method, params)["result"],
            pauses=PAUSES if _reads(method) else (),
        )
        where = self.answers(method)
        with shapes.in_form(where):
            return shapes.checked(where, method, params, result)

    def _note_secrets(self, params: dict[str, Any]) -> None:
        """Remembers what a request sends, and no message may repeat."""
        secret = [macro.get("value") for macro in params.get("macros", []) if macro.get("type") == wanted.SECRET]
        self._sent |= {str(text) for text in (params.get("tls_psk"), *secret) if text}

    def answers(self, method: str) -> str:
        """How a line about an answer begins."""
        return f"Zabbix at {self.url} answers {method}"

    def _attempt(self, method: str, request: Callable[[], Any], pauses: tuple[float, ...] = ()) -> Any:  # noqa: ANN401
        """Makes a request, and raises any failure as one line, not chained to the exception that it explains."""
        limit = self._limit(method)
        self._api.timeout = (min(CONNECT_TIMEOUT, limit), limit)
        for pause in (*pauses, None):
            start = time.monotonic()
            try:
                result = request()
            except (requests.RequestException, ZabbixAPIException) as error:
                may_pass = _may_pass(error)
                response = getattr(error, "response", None)
                asked = 0.0 if response is None else explain.asked_pause(response)
                refused = isinstance(error, ZabbixAPIException) and error.error is not None
                problem = (RefusedError if refused else ServerError)(self._explain(method, error))
            except (KeyError, TypeError, AttributeError, ValueError, RecursionError):
                # JSON, but not JSON-RPC: pyzabbix does not check for that. Or a version that is none to it.
                may_pass, asked = False, 0.0
                problem = ServerError(explain.not_a_front_end(self.url, "its answer is JSON, but not JSON-RPC"))
            else:
                logger.debug("%s: answered in %.2f s", method, time.monotonic() - start)
                return result
            logger.debug("%s: failed after %.2f s", method, time.monotonic() - start)
            if pause is None or not may_pass or asked > LONGEST_PAUSE:
                break
            time.sleep(max(pause, asked))
        raise problem

    def _limit(self, method: str) -> float:
        """How long to wait for the answer, in s."""
        return max(self._timeout, LONG.get(method, 0.0))

    def _explain(self, method: str, error: requests.RequestException | ZabbixAPIException) -> str:
        """The error in one line. The server's text goes through `_redact`: it may contain a secret that was sent."""
        if isinstance(error, transport.TooLargeError):
            return explain.too_large(self.url, method, transport.LARGEST)
        if isinstance(error, requests.RequestException):
            if error.response is None:
                return explain.no_answer(self.url, method, error, timeout=self._limit(method), reads=_reads(method))
            return self._redact(explain.status(self.url, method, error.response, reads=_reads(method)))
        if error.error is None:  # pyzabbix could not read the answer, which is the exception's text
            return explain.not_an_api(self.url, str(error.args[0]))
        who = f"user {self._user!r}" if self._user else "the token"
        reason = self._redact(str(error.error["data"]))
        return explain.refusal(self.url, method, reason, who=who, unauthorized=self._unauthorized())

    def _redact(self, text: str) -> str:
        """A server's text in one line, without what a terminal would obey and without the secrets that were sent."""
        secrets = {self._login.token, self._login.password, str(self._api.auth), *self._sent} - {""}
        forms = {form for secret in secrets for form in _written(secret)}
        for form in sorted(forms, key=len, reverse=True):
            text = text.replace(form, "***")
        line = printable(" ".join(text.split()))
        return line if len(line) <= LONGEST_TEXT else f"{line[:LONGEST_TEXT]}..."

    def _unauthorized(self) -> str:
        """What the front end's "Not authorized" means at this point."""
        if not self._accepted:
            return "the token is unknown or disabled: check ZABBIX_TOKEN or --token-file"
        if versions.takes_bearer(self.version):
            # Seen with Apache and PHP-FPM: the login works, and every call after it is "Not authorized".
            return (
                "the login was accepted, so the web server strips the Authorization header: "
                "for Apache with PHP-FPM, set 'CGIPassAuth On'"
            )
        return "the session has ended: run the command again"


def _written(secret: str) -> set[str]:
    """A secret as a server may repeat it: as it is, in JSON, in JSON of PHP, in an address, and as Python shows it."""
    escaped = json.dumps(secret)[1:-1]
    return {
        secret,
        escaped,
        escaped.replace("/", "\\/"),
        json.dumps(secret, ensure_ascii=False)[1:-1],
        quote(secret),
        quote(secret, safe=""),
        quote_plus(secret),
        repr(secret)[1:-1],
        html.escape(secret),
    }


def _reads(method: str) -> bool:
    """Whether a method changes nothing on the server."""
    return method.endswith(".get") or method in READS


def _may_pass(error: Exception) -> bool:
    """Whether a retry may succeed: not after a bad certificate, nor after a time limit, which it would only repeat."""
    if isinstance(error, requests.HTTPError):
        return error.response.status_code in BUSY
    return isinstance(error, requests.ConnectionError) and not isinstance(
        error, requests.exceptions.SSLError | requests.Timeout
    )
