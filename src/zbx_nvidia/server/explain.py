"""What went wrong between here and the front end, in one line: what, where, and what to do."""

from __future__ import annotations

import ssl

import requests

NO_TEMPLATE_GROUP = (
    "the template's group is not there, or not for this user, and only a Super admin may make it: "
    "have one run this once, or take a user of type Admin with write access to it"
)
# The method and what the API says, in small letters, and what to do about it. Its error codes tell nothing apart.
ADVICE = (
    ("incorrect user name or password", "check both; repeated failures block the account for half a minute"),
    ("api token expired", "make a new token, or move the date of this one, under Users > API tokens"),
    ("permissions to import template groups", NO_TEMPLATE_GROUP),
    ('configuration.import: no permissions to call "hostgroup.create"', NO_TEMPLATE_GROUP),  # 6.0
    (
        "hostgroup.create: no permissions",
        "only a Super admin may make a host group: name one with --group that this user may write",
    ),
    ("permission", "give the user's role that right and its user group write access, or use a Super admin"),
    (
        # 6.0 shows an Admin the dashboard of a template only through a host that has it, and would make it again.
        "entry with uuid",
        "this user does not see all of the template: link it to a host that the user may read, or use a Super admin",
    ),
    ("already exists", "rename one of the two, or take the other away"),
)


def cause(error: BaseException) -> BaseException:
    """The innermost exception that gives a reason: requests wraps urllib3, which wraps the system's."""
    found = error
    inner = error.__cause__ or error.__context__
    while inner:
        if isinstance(inner, OSError) and inner.strerror:
            found = inner
        inner = inner.__cause__ or inner.__context__
    return found


def not_a_front_end(url: str, observed: str) -> str:
    """Something answers that does not talk as Zabbix does."""
    return (
        f"{url} is not a Zabbix front end: {observed}: give as --url what a browser shows before index.php, "
        "such as https://zabbix.example.com/zabbix"
    )


def status(url: str, method: str, response: requests.Response) -> str:
    """The web server answers, with a status of its own."""
    if response.is_redirect:
        return f"{url} redirects to {response.headers['Location']}: give the address of the front end there as --url"
    said = f"HTTP {response.status_code} {response.reason}"
    if response.status_code in {requests.codes.not_found, requests.codes.method_not_allowed}:
        return not_a_front_end(url, said)
    return f"{url} answers {method} with {said}: see the web server's error log"


def no_answer(url: str, method: str, error: requests.RequestException, *, timeout: float, reads: bool) -> str:
    """Nothing came back at all."""
    reason = cause(error)
    if isinstance(reason, ssl.SSLCertVerificationError):
        return (
            f"{url} shows a certificate that cannot be trusted: {reason.verify_message}: "
            "name the authority that signed it with --ca-file"
        )
    if isinstance(reason, ssl.SSLError):
        return f"{url} does not speak TLS as expected: {reason.reason}: check scheme and port of --url"
    if isinstance(error, requests.ReadTimeout):
        done = "" if reads else " and may have done it all the same (the next run shows it)"
        return f"{url} did not answer {method} within {timeout:g} s{done}: raise --timeout, or see the server's load"
    said = "no answer in time" if isinstance(error, requests.Timeout) else getattr(reason, "strerror", None)
    said = said or type(reason).__name__
    if isinstance(error, requests.exceptions.ProxyError):
        return f"{url} cannot be reached through the proxy: {said}: check HTTP_PROXY, HTTPS_PROXY and NO_PROXY"
    return f"{url} cannot be reached: {said}: check --url, and that the web server runs"


def not_an_api(url: str, answer: str) -> str:
    """The answer cannot be read."""
    return not_a_front_end(url, "a web page comes back" if "<" in answer else "what comes back is not JSON")


def refusal(url: str, method: str, said: str, *, who: str, unauthorised: str) -> str:
    """The API answers with an error.

    Args:
        url: address of the front end.
        method: what was called.
        said: the answer.
        who: as whom it was called.
        unauthorised: what it means, at this point, that the call counts as one without a login.
    """
    said = said.rstrip(".")
    words = f"{method}: {said}".lower()
    if "not authori" in words or "session terminated" in words:
        advice = unauthorised
    else:
        advice = next((advice for mark, advice in ADVICE if mark in words), "")
    return f"Zabbix at {url} refuses {method} to {who}: {said}" + (f": {advice}" if advice else "")
