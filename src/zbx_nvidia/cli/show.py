"""`zbx-nvidia show`: the document for people."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from zbx_nvidia.errors import UsageError

if TYPE_CHECKING:
    from zbx_nvidia.cli.health import Seen
    from zbx_nvidia.cli.table import Look

# s after which a document says its age: a service that is alive writes at least once a minute, except with a long
# interval.
_AGED = 60
_LATEST = 10**11  # Unix time of which the clock of any machine can make a date
_EVERY = "2"  # s between two drawings of --watch


class Reading(NamedTuple):
    """A document, and where it is from.

    Attributes:
        document: The document.
        remark: What is to be said about where it is from; "" for nothing.
    """

    document: dict[str, Any]
    remark: str


@click.command()
@click.option("--processes", "-p", is_flag=True, help="Also print the processes of each GPU.")
@click.option("--wide", is_flag=True, help="Also print PCI address, serial number, UUID and VBIOS version.")
@click.option(
    "--watch",
    "every",
    is_flag=False,
    flag_value=_EVERY,
    type=click.FloatRange(min=0.1, max=86_400),
    metavar="[SECONDS]",
    help="Print again every so many seconds, 2 if no number is given, until Ctrl-C.",
)
@click.option(
    "--color",
    type=click.Choice(["auto", "always", "never"]),
    default="auto",
    show_default=True,
    help="Whether to use color; auto: on a terminal, unless NO_COLOR is set.",
)
@click.option(
    "--document",
    "path",
    type=click.Path(dir_okay=False, allow_dash=True),
    default="",
    metavar="FILE",
    help="Show this document instead, of any host; - for standard input.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the document that Zabbix gets.")
def show(  # noqa: PLR0913  one for each option
    *, processes: bool, wide: bool, every: float | None, color: str, path: str, as_json: bool
) -> None:
    r"""Show the GPUs of this host, as Zabbix sees them.

    If zbx-nvidia-agent runs as a service, this is what the service has read last, and the driver is not called. Only
    a service sees XID errors. Colors are by the limits of each card. Exit code 1 if the driver does not answer, or a
    GPU is lost or sick.

    \b
    Example:
      zbx-nvidia show
      zbx-nvidia show --watch --processes
      zbx-nvidia show --json | jq .gpus
    """
    from zbx_nvidia.cli import terminal  # noqa: PLC0415  --help needs none of it
    from zbx_nvidia.cli.health import Seen  # noqa: PLC0415  as above

    if every and path == "-":
        raise UsageError("--watch cannot read standard input again: give --document a file")
    seen = Seen()
    reading = None

    def draw(news: bool) -> list[str]:  # noqa: FBT001  terminal.watch calls it
        nonlocal reading
        if news or reading is None:
            reading = read(path)
        if as_json:
            return [_json(reading.document)]
        return _lines(reading, terminal.look(color), seen, wide=wide, processes=processes, every=every)

    if every:
        terminal.watch(draw, every)
        return
    lines = draw(True)
    # Whether there is to be color was decided above.
    click.echo("\n".join(lines), color=True)
    document = reading.document if reading else {}
    host = document.get("host", {})
    if document["status"]["code"] or host.get("gpus_lost") or host.get("gpus_sick"):
        raise click.exceptions.Exit(1)


def _lines(  # noqa: PLR0913  what there is to print, and how
    reading: Reading, look: Look, seen: Seen, *, wide: bool, processes: bool, every: float | None
) -> list[str]:
    from zbx_nvidia.cli import view  # noqa: PLC0415  as above

    lines = []
    if every:
        lines += [*look.wrap(_title(reading.document, every), "head")]
    if reading.remark:
        lines += look.wrap(look.clean(reading.remark), "warn")
    lines += view.lines(reading.document, look, wide=wide, processes=processes, seen=seen)
    return [look.paint(line) for line in lines]


def _title(document: dict[str, Any], every: float) -> str:
    """The first line of --watch."""
    import socket  # noqa: PLC0415  as above

    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(document["timestamp"]))
    return f"{socket.gethostname()}  {when}  every {every:g} s  Ctrl-C ends"


# -- where documents are from ------------------------------------------------------------------------------------------


def read(path: str) -> Reading:
    """The document of that file, of the service, or of the driver."""
    if path:
        document = _load(path)
        age = time.time() - document["timestamp"]
        return Reading(document, f"{_aged(age)}." if abs(age) > _AGED else "")
    return _of_service() or _of_driver()


def _of_driver(remark: str = "") -> Reading:
    from zbx_nvidia.collector.main import get  # noqa: PLC0415  as above

    # Not since this process was started: with --watch, that may be days ago.
    return Reading(json.loads(get(age=0.0)), remark)


def _of_service() -> Reading | None:
    """What the service of this host has read; None if none runs.

    The driver is left alone then: the service may have released it, may wait for a call that hangs, or may let the
    cards sleep.
    """
    from zbx_nvidia.collector.main import OLD  # noqa: PLC0415  as above
    from zbx_nvidia.collector.resident import config  # noqa: PLC0415  as above

    try:
        path = config.load(None).document
        document = _load(path)
    except UsageError:
        return None
    age = time.time() - document["timestamp"]
    if abs(age) > OLD:
        return _of_driver(
            f"{_aged(age)}: {path} is not shown, but the driver. Run `sudo systemctl restart zbx-nvidia`."
        )
    restart = "Run `systemctl status zbx-nvidia`."
    return Reading(document, f"{_aged(age)}. {restart}" if abs(age) > _AGED else "")


def _aged(age: float) -> str:
    from zbx_nvidia.host.durations import rough  # noqa: PLC0415  as above

    return f"The document is {rough(abs(age))} {'old' if age > 0 else 'ahead of the clock of this host'}"


def _load(path: str) -> dict[str, Any]:
    """A document from a file.

    Raises:
        UsageError: It cannot be read, or is no document.
    """
    try:
        parsed = json.loads(sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes())
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None
    except (ValueError, RecursionError):
        raise UsageError(f"{path}: this is not JSON. Give a document of zbx-nvidia-agent get") from None
    if not _is_document(parsed):
        raise UsageError(f"{path}: this is no document of zbx-nvidia-agent get or serve")
    document: dict[str, Any] = parsed
    return document


def _is_document(document: Any) -> bool:  # noqa: ANN401  anything that JSON can be
    """Whether it has what every document has."""
    try:
        return (
            0 <= document["timestamp"] < _LATEST
            and {"code", "name", "message"} <= set(document["status"])
            and all({"gpu", "metric", "code", "message"} <= set(error) for error in document["collector"]["errors"])
            and all(isinstance(gpu, dict) for gpu in document["gpus"].values())
        )
    except (LookupError, TypeError, AttributeError):
        return False


def _json(document: dict[str, Any]) -> str:
    """As zbx-nvidia-agent prints it: ASCII, so that no terminal obeys it."""
    return json.dumps(document, separators=(",", ":"))
