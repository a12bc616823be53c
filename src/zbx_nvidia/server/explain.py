"""Failures between this machine and the front end, each in one line: what, where, and what to do."""

from __future__ import annotations

import re
import ssl
from urllib.parse import urlsplit, urlunsplit

import requests
import urllib3

API = "api_jsonrpc.php"
# HTTP status of a reverse proxy whose backend may be at work, or has just been.
PASSED_ON = (requests.codes.bad_gateway, requests.codes.gateway_timeout)
MAY_BE_DONE = ", but may have done it (run this again to see)"
NO_TEMPLATE_GROUP = (
    "the template's group does not exist, or this user cannot see it, and only a Super admin can create it: "
    "run this once as a Super admin, or use an Admin with write access to the group"
)
UNSEEN = (
    "this user does not see it: give its user group access to the group that it is in, or use a Super admin; "
    "if another run has just added it, run this again"
)
# A part of "METHOD: ERROR" in lower case -> what to do. Zabbix uses the same error code for different errors.
ADVICE = (
    ("incorrect user name or password", "check both; repeated failures block the account for 30 s"),
    ("api token expired", "create a new token, or extend this one, under Users > API tokens"),
    ("permissions to import template groups", NO_TEMPLATE_GROUP),
    ('configuration.import: no permissions to call "hostgroup.create"', NO_TEMPLATE_GROUP),  # 6.0
    (
        "hostgroup.create: no permissions",
        "only a Super admin can create a host group: with --group, name one that this user may write",
    ),
    ("permission", "allow it in the user's role and give its user group write access, or use a Super admin"),
    (
        # 6.0 shows an Admin the dashboard of a template only through a host that has it, and would create it again.
        "entry with uuid",
        "this user does not see all of the template: link it to a host that the user may read, or use a Super admin",
    ),
    (
        "same visible name",
        "a host that this user does not see shows this name: choose another technical name, or use a Super admin",
    ),
    ("already exists", UNSEEN),
)


def cause(error: BaseException) -> BaseException:
    """The innermost exception with a reason: requests wraps urllib3's exception, which wraps the system's."""
    innermost = error
    inner = error.__cause__ or error.__context__
    while inner:
        if isinstance(inner, OSError) and inner.strerror:
            innermost = inner
        inner = inner.__cause__ or inner.__context__
    return innermost


def not_a_front_end(url: str, observed: str) -> str:
    """Something answers that is not Zabbix."""
    return (
        f"{url} is not a Zabbix front end: {observed}: give as --url what a browser shows before index.php, "
        "such as https://zabbix.example.com/zabbix"
    )


def status(url: str, method: str, response: requests.Response, *, reads: bool) -> str:
    """The web server answers with an HTTP status."""
    if response.is_redirect:
        return _redirect(url, response.headers["Location"])
    line = f"HTTP {response.status_code} {response.reason}"
    if response.status_code in {requests.codes.not_found, requests.codes.method_not_allowed}:
        return not_a_front_end(url, line)
    if response.status_code == requests.codes.unauthorized:
        return f"{url} answers {method} with {line}: a login stands in front of Zabbix: {_past_login(url, response)}"
    if response.status_code == requests.codes.too_many_requests:
        pause = asked_pause(response)
        allowed = f"it allows the next request in {pause:g} s" if pause else "it allows few requests"
        return f"{url} answers {method} with {line}: {allowed}: wait, or raise the limit of the proxy for this host"
    done = "" if reads or response.status_code not in PASSED_ON else MAY_BE_DONE
    return f"{url} answers {method} with {line}{done}: see the web server's error log"


def asked_pause(response: requests.Response) -> float:
    """The seconds after which the server wants to be asked again; 0 if it says nothing of it."""
    text = response.headers.get("Retry-After", "")
    return float(text) if re.fullmatch(r"[0-9]{1,9}", text) else 0.0


def _redirect(url: str, location: str) -> str:
    """An answer that names another address, without its query, which may hold what only this session may know."""
    there = urlsplit(location)
    bare = urlunsplit((there.scheme, there.netloc, there.path, "", ""))
    if there.path.endswith("/" + API) or there.path.rstrip("/") in {"", urlsplit(url).path}:
        return f"{url} redirects to {bare}: give the address of the front end there as --url"
    return (
        f"{url} redirects to {bare}: give the address of the front end there as --url, "
        f"or if that is a login in front of Zabbix, {_let_through(url)}"
    )


def _past_login(url: str, response: requests.Response) -> str:
    if str(response.request.headers.get("Authorization", "")).startswith("Basic "):
        return f"it refuses --basic-user: check both, or {_let_through(url)}"
    if "basic" in response.headers.get("WWW-Authenticate", "").lower():
        return f"give --basic-user and --basic-password-file, or {_let_through(url)}"
    return _let_through(url)


def basic_and_bearer(url: str) -> str:
    """A Basic login is in front of a Zabbix that needs the same header."""
    return f"{url}: this version of Zabbix needs the header that the Basic login in front needs: {_let_through(url)}"


def _let_through(url: str) -> str:
    return f"let POST requests to {urlsplit(url).path}/{API} through: the API checks the token itself"


def too_large(url: str, method: str, largest: int) -> str:
    """The answer has no end, or is larger than any answer of Zabbix."""
    return f"{url} answers {method} with more than {largest // 2**20} MiB: this is no answer of Zabbix: check --url"


def no_answer(url: str, method: str, error: requests.RequestException, *, timeout: float, reads: bool) -> str:
    """No answer was received."""
    reason = cause(error)
    if isinstance(reason, ssl.SSLCertVerificationError):
        return (
            f"{url} presents a certificate that is not trusted: {reason.verify_message}: "
            "give the certificate of its authority with --ca-file"
        )
    if isinstance(reason, ssl.SSLError):
        return f"{url}: the TLS handshake failed: {reason.reason}: check scheme and port of --url"
    if isinstance(error, requests.ReadTimeout):
        done = "" if reads else MAY_BE_DONE
        return f"{url} did not answer {method} within {timeout:g} s{done}: raise --timeout, or check the server's load"
    if isinstance(next(iter(error.args), None), urllib3.exceptions.ProtocolError):  # it had been reached
        done = "" if reads else MAY_BE_DONE
        return f"{url} broke off its answer to {method}{done}: check the web server's error log"
    text = "no answer in time" if isinstance(error, requests.Timeout) else getattr(reason, "strerror", None)
    text = text or type(reason).__name__
    if isinstance(error, requests.exceptions.ProxyError):
        return f"{url} cannot be reached through the proxy: {text}: check HTTP_PROXY, HTTPS_PROXY and NO_PROXY"
    return f"{url} cannot be reached: {text}: check --url, and that the web server runs"


def not_an_api(url: str, answer: str) -> str:
    """The answer cannot be read."""
    return not_a_front_end(url, "its answer is a web page" if "<" in answer else "its answer is not JSON")


def refusal(url: str, method: str, reason: str, *, who: str, unauthorized: str) -> str:
    """The API answers with an error.

    Args:
        url: address of the front end.
        method: what was called.
        reason: the API's text.
        who: the user or token that called it.
        unauthorized: what to do if the front end says that the call was not authorized.
    """
    reason = reason.rstrip(".")
    error = f"{method}: {reason}".lower()
    if "not authori" in error or "session terminated" in error:  # spelled -ised or -ized, by version
        advice = unauthorized
    else:
        advice = next((advice for part, advice in ADVICE if part in error), "")
    return f"Zabbix at {url} refuses {method} to {who}: {reason}" + (f": {advice}" if advice else "")
