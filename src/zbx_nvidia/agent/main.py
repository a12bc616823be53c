"""Entry point of `zbx-nvidia-agent`: what the Zabbix agent runs.

No argparse and no click: their import costs as much as the reading.
"""

from __future__ import annotations

import contextlib
import gc
import os
import sys

from zbx_nvidia import __version__

USAGE = """\
usage: zbx-nvidia-agent get|links [--deadline SECONDS]
       zbx-nvidia-agent serve [--config FILE] [--check | --clean]
       zbx-nvidia-agent release [--for TIME] [--config FILE]

get         print the readings of all GPUs as one JSON document
links       print those of their NVLinks, one by one
--deadline  leave after so many seconds, counted from the start of the process, with what is known (default 2.5)

serve       stay, and keep that document ready in a file
--config    its configuration (default /etc/zbx-nvidia/agent.conf, which need not be there)
--check     say what is wrong with the configuration, and do nothing else
--clean     remove the file that a service has left that was killed, and do nothing else

release     have `serve` let go of the driver, for a reset of a GPU, a change of MIG or a new driver
--for       for how long (default 10m; 0 takes it up again)

Exit code 0, of `get` also when the driver is in trouble: the document says so. 2: wrong usage or configuration.
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
        _print(get(_deadline(arguments[1:]), links=arguments[0] == "links"))
    elif arguments[:1] in (["serve"], ["release"]):
        # In a module that `get` does not import.
        from zbx_nvidia.agent.resident.command import run  # noqa: PLC0415  see above

        sys.exit(run(arguments, _usage))
    else:
        _usage("one command is needed" if not arguments else f"unknown command: {arguments[0]}")


def get(deadline: float | None = None, *, links: bool = False) -> str:
    """Collect once and return the document, or that of the NVLinks, as text.

    Never raises: all trouble is in the document.
    """
    from zbx_nvidia.agent import document, oneshot  # noqa: PLC0415  --version and --help need neither

    build = document.build_links if links else document.build
    try:
        found = oneshot.run(oneshot.DEADLINE if deadline is None else deadline, links=links)
        return document.render(build(found))
    except Exception as error:  # noqa: BLE001  stderr would become part of the value in Zabbix
        from zbx_nvidia.catalog import status  # noqa: PLC0415

        found = document.failed(status.COLLECTOR_FAILED, f"{type(error).__name__}: {error}", oneshot.process_age())
        return document.render(build(found))


def _print(text: str) -> None:
    # Not sys.stdout, which is None when the caller has closed it. Nobody who listens is no reason to complain.
    data = text.encode("ascii") + b"\n"
    with contextlib.suppress(OSError):
        while data:
            data = data[os.write(1, data) :]
    # Whatever the interpreter would do on its way out, nobody waits for it.
    os._exit(0)


def _deadline(arguments: list[str]) -> float | None:
    if not arguments:
        return None
    if len(arguments) == 2 and arguments[0] == "--deadline":  # noqa: PLR2004  the option and its value
        try:
            seconds = float(arguments[1])
        except ValueError:
            seconds = 0.0
        if 0 < seconds <= 600:  # noqa: PLR2004  the longest timeout that any agent knows
            return seconds
        _usage(f"--deadline takes seconds above 0 and up to 600, not {arguments[1]}")
    _usage(f"unknown option: {arguments[0]}")
    return None


def _usage(complaint: str) -> None:
    sys.stderr.write(f"zbx-nvidia-agent: {complaint}; see zbx-nvidia-agent --help\n")
    sys.exit(2)


if __name__ == "__main__":
    main()
