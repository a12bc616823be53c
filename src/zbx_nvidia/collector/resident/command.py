"""`zbx-nvidia-agent serve` and `zbx-nvidia-agent release`: their arguments, and what release does."""

from __future__ import annotations

import socket
import sys
from typing import TYPE_CHECKING

from zbx_nvidia.collector import oneshot
from zbx_nvidia.collector.resident import config as configuration
from zbx_nvidia.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

RELEASE = "10m"
_OPTIONS = {
    "serve": {"--config": True, "--large": False, "--check": False, "--clean": False},
    "release": {"--config": True, "--for": True},
}
_ANSWER = 60.0  # s: longer than any call into a driver that is well


def run(arguments: list[str], complain: Callable[[str], None]) -> int:
    """Run one of the two.

    Args:
        arguments: The command and its options.
        complain: What ends the program with a complaint about its use.

    Returns:
        The exit code.
    """
    command, *rest = arguments
    options: dict[str, str] = {}
    while rest:
        option, *rest = rest
        takes = _OPTIONS[command].get(option)
        if takes is None or (takes and not rest):
            complain(f"unknown option: {option}" if takes is None else f"{option} takes a value")
        options[option], rest = (rest[0], rest[1:]) if takes else ("", rest)
    path = options.get("--config")
    try:
        if "--check" in options:
            configuration.load(path)
            sys.stdout.write("The configuration is valid.\n")
            return 0
        if command == "serve":
            from zbx_nvidia.collector.resident import supervisor  # noqa: PLC0415  release needs none of it

            if "--clean" in options:
                return supervisor.clean(path)
            return supervisor.serve(path, large="--large" in options)
        return _release(path, options.get("--for", RELEASE))
    except UsageError as error:
        sys.stderr.write(f"zbx-nvidia-agent: {error}\n")
        return error.exit_code


def _release(path: str | None, text: str) -> int:
    """Ask the service to release the driver, and wait until it has."""
    time = configuration.seconds(text)
    door = configuration.load(path).document + ".sock"
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as link:
            link.settimeout(_ANSWER)
            link.connect(door)
            link.sendall(f"release {time}\n".encode())
            answer = link.recv(256).decode("ascii", "replace").strip()
    except OSError as error:
        sys.stderr.write(f"zbx-nvidia-agent: {door}: {error.strerror or error}; is zbx-nvidia-agent serve running?\n")
        return 1
    if answer != ("released" if time else "resumed"):
        if answer == "resumed":
            answer = "error: the driver was resumed before it was released"
        sys.stderr.write(f"zbx-nvidia-agent: {answer or 'the service has ended'}\n")
        return 1
    # Polls that were under way; later ones do not use the driver.
    if time and not all(oneshot.ends(what, oneshot.DEADLINE) for what in ("links", "get")):
        sys.stderr.write("zbx-nvidia-agent: error: a poll hangs in the driver and still holds it\n")
        return 1
    sys.stdout.write(f"{answer}\n")
    return 0
