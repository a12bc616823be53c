"""How an answer of the front end is read: in a total time, up to a size, and without following it elsewhere.

The time limits of requests are for each read: seen with a server that sent a byte each half second, which `--timeout 3`
never ended. So each request has a thread of its own, and nobody waits for one that is late.
"""

from __future__ import annotations

import queue
import threading
from typing import Any

import requests

# Of an answer, unpacked. The largest that is asked for, the export of a template, has 3 MB.
LARGEST = 128 * 2**20
_PIECE = 2**16


class TooLargeError(requests.RequestException):
    """The answer has more than `LARGEST` bytes."""


class Session(requests.Session):
    """A session for answers that one waits for and keeps in memory."""

    def beside(self) -> Session:
        """Another session with the same settings, for another thread."""
        other = Session()
        for name in ("auth", "proxies", "trust_env", "verify"):
            setattr(other, name, getattr(self, name))
        # A balancer in front may have answered with the name of its backend.
        other.cookies.update(self.cookies)
        return other

    def request(self, *arguments: Any, **options: Any) -> requests.Response:  # noqa: ANN401  as in requests
        """Makes a request; the second number of `timeout` is the time for all of it, in s.

        Raises:
            requests.ReadTimeout: There was no whole answer in time.
            requests.TooManyRedirects: The answer is a redirect. requests would turn the POST into a GET, or send the
                password to another address.
            TooLargeError: The answer is too large.
        """
        if self.auth:
            # The login in front takes the header. Zabbix before 7.2 takes its session in the body too.
            headers = dict(options.get("headers") or {})
            session = headers.pop("Authorization", "").removeprefix("Bearer ")
            body = options.get("json")
            if session and isinstance(body, dict):
                options = {**options, "headers": headers, "json": {**body, "auth": session}}
        done: queue.SimpleQueue[requests.Response | BaseException] = queue.SimpleQueue()

        def ask() -> None:
            try:
                done.put(self._ask(*arguments, **options))
            except BaseException as error:  # noqa: BLE001  whoever waits raises it
                done.put(error)

        threading.Thread(target=ask, name="request", daemon=True).start()
        try:
            answer = done.get(timeout=options["timeout"][1])
        except queue.Empty:
            raise requests.ReadTimeout("no whole answer in time") from None
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def _ask(self, *arguments: Any, **options: Any) -> requests.Response:  # noqa: ANN401  as above
        response = super().request(*arguments, **{**options, "allow_redirects": False, "stream": True})
        with response:
            if response.is_redirect:
                raise requests.TooManyRedirects(response=response)
            pieces, size = [], 0
            for piece in response.iter_content(_PIECE):
                pieces.append(piece)
                size += len(piece)
                if size > LARGEST:
                    raise TooLargeError
        # What reading `response.content` would have set.
        response._content = b"".join(pieces)  # noqa: SLF001
        # JSON is UTF-8. Left to guess, requests takes minutes for some megabytes.
        response.encoding = "utf-8"
        return response
