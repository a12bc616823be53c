"""Entry point of `zbx-nvidia-agent`: what the Zabbix agent runs.

No argparse and no click: their import costs as much as the reading.
"""

from __future__ import annotations

import contextlib
import gc
import os
import sys
from typing import TYPE_CHECKING

from zbx_nvidia import __version__

if TYPE_CHECKING:
    from typing import NoReturn

    from zbx_nvidia.catalog.status import Status
    from zbx_nvidia.collector.document import Collection

# s after which a service's document is not believed: one that is alive writes while it waits at least once a minute.
OLD = 300
USAGE = """\
usage: zbx-nvidia-agent get|links [--deadline SECONDS] [--beside FILE]
       zbx-nvidia-agent serve [--config FILE] [--large] [--check | --clean]
       zbx-nvidia-agent release [--for TIME] [--config FILE]

get         print the readings of all GPUs as one JSON document
links       print the readings of each NVLink
--deadline  print what is known and exit after so many seconds from the start of the process (default 2.5)
--beside    do not use the driver while the service that writes this document has released it, or hangs in it

serve       run as a service that keeps that document ready in a file
--config    its configuration (default /etc/zbx-nvidia/agent.conf, which need not be there)
--large     allow a document of more than 64 KiB, if the configuration does not set large
--check     check the configuration, and do nothing else
--clean     remove the file of a service that was killed, and do nothing else

release     have `serve` close the driver, for a reset of a GPU, a change of MIG or a new driver
--for       for how long (default 10m; 0 opens it again)

Exit code 0, of get also if the driver fails. 1: serve or release failed. 2: wrong usage or configuration.
For people: zbx-nvidia show
"""


def main() -> None:
    """Run the command that was asked for."""
    arguments = sys.argv[1:]
    if arguments in (["-h"], ["--help"]):
        sys.stdout.write(USAGE)
    elif arguments == ["--version"]:
        sys.stdout.write(f"zbx-nvidia-agent {__version__}\n")
    elif arguments[:1] in (["get"], ["links"]):
        # It lives for a moment and leaves by os._exit: to look for cycles is a twentieth of all that it does.
        gc.disable()
        deadline, beside = _options(arguments[1:])
        _print(get(deadline, links=arguments[0] == "links", beside=beside))
    elif arguments[:1] in (["serve"], ["release"]):
        # In a module that `get` does not import.
        from zbx_nvidia.collector.resident.command import run  # noqa: PLC0415  see above

        sys.exit(run(arguments, _usage))
    else:
        _usage("one command is needed" if not arguments else f"unknown command: {arguments[0]}")


def get(deadline: float | None = None, *, links: bool = False, beside: str = "", age: float | None = None) -> str:
    """Collect once and return the document, or that of the NVLinks, as text.

    Never raises: all trouble is in the document.

    Args:
        deadline: In s, counted from the start of the process; None for the usual one.
        links: Whether to read the NVLinks one by one, and nothing else.
        beside: Document of a service on this host: while that has released the driver, nobody may take it up, and while
            a call of its own hangs, no other is to hang beside it.
        age: In s, how long ago the process counts as started; None for what is true.
    """
    from zbx_nvidia.collector import document  # noqa: PLC0415  --version and --help need it not
    from zbx_nvidia.collector.rendering import render  # noqa: PLC0415  as above

    build = document.build_links if links else document.build
    try:
        from zbx_nvidia.collector import oneshot  # noqa: PLC0415  as above
    except ImportError as error:
        # Windows has no fork, and nothing of what goes with it.
        return render(build(_failed(error, 0.0)))
    try:
        if beside and (status := aside(beside)) is not None:
            return render(build(document.failed(status, "", oneshot.process_age())))
        collection = oneshot.run(oneshot.DEADLINE if deadline is None else deadline, links=links, age=age)
        return render(build(collection))
    except Exception as error:  # noqa: BLE001  stderr would become part of the value in Zabbix
        return render(build(_failed(error, oneshot.process_age())))


def _failed(error: Exception, duration: float) -> Collection:
    from zbx_nvidia.catalog import status  # noqa: PLC0415  as above
    from zbx_nvidia.collector import document  # noqa: PLC0415  as above

    return document.failed(status.COLLECTOR_FAILED, f"{type(error).__name__}: {error}", duration)


def aside(path: str) -> Status | None:
    """Why to leave the driver alone, as the service's document says; None when nothing speaks against a reading."""
    import json  # noqa: PLC0415  as above
    import time  # noqa: PLC0415  as above

    from zbx_nvidia.catalog.status import RELEASED, STALLED, STILL_STUCK  # noqa: PLC0415  as above
    from zbx_nvidia.collector.reading import read  # noqa: PLC0415  as above

    try:
        # Also where a link leads: people choose this path, and the agent's user is not root.
        document = json.loads(read(path, links=True))
        # That of a service that was killed stays where no unit removes it.
        if abs(time.time() - document["timestamp"]) > OLD:
            return None
        code = document["status"]["code"]
    except (OSError, ValueError, LookupError, TypeError):
        return None  # no service runs, or it is no document
    return next((status for status in (RELEASED, STALLED, STILL_STUCK) if status.code == code), None)


def _print(text: str) -> None:
    # Not sys.stdout, which is None when the caller has closed it. Nobody who listens is no reason to complain.
    data = text.encode("ascii") + b"\n"
    with contextlib.suppress(OSError):
        while data:
            data = data[os.write(1, data) :]
    # Whatever the interpreter would do on its way out, nobody waits for it.
    os._exit(0)


def _options(arguments: list[str]) -> tuple[float | None, str]:
    """Deadline and document of a service, of `get` and `links`."""
    deadline, beside = None, ""
    while arguments:
        option, *values = arguments
        if option not in {"--deadline", "--beside"}:
            _usage(f"unknown option: {option}")
        if not values:
            _usage(f"{option} takes a value")
        if option == "--deadline":
            deadline = _seconds(values[0])
        else:
            beside = values[0]
        arguments = values[1:]
    return deadline, beside


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= 600:  # noqa: PLR2004  the longest timeout that any agent knows
        _usage(f"--deadline takes seconds above 0 and up to 600, not {text}")
    return seconds


def _usage(complaint: str) -> NoReturn:
    sys.stderr.write(f"zbx-nvidia-agent: {complaint}; see zbx-nvidia-agent --help\n")
    sys.exit(2)


if __name__ == "__main__":
    main()
