"""The configuration file of the service: lines of `key = value`, `#` for comments.

`KEYS` is the whole of it; the example file and the table of docs/RESIDENT.md follow from it.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from zbx_nvidia.errors import UsageError

PATH = "/etc/zbx-nvidia/agent.conf"
DAY = 86_400.0
_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": DAY}
_WORDS = {"yes": True, "no": False}
_FOLDERS = {"job_map"}
_PATHS = {"document", "kernel_log", *_FOLDERS}
_NONE = "no"  # where there need be no path


class Key(NamedTuple):
    """A key of the file.

    Attributes:
        name: As it is written.
        default: Its value in a file that lacks it, as it is written.
        lowest: The smallest number of seconds; None for what is no time.
        highest: The largest.
        zero: Whether 0 is also possible, for never.
        text: What it is for.
    """

    name: str
    default: str
    lowest: float | None
    highest: float
    zero: bool
    text: str


KEYS = (
    Key(
        "document", "/run/zbx-nvidia/document.json", None, 0, False,
        "Absolute path of the document. The Alias line of the Zabbix agent must name the same file.",
    ),
    Key(
        "interval", "5s", 1, 3600, False,
        "How often everything is read and the document written. Never older than `interval` and `stall` together.",
    ),
    Key(
        "stall", "5s", 0.5, 600, False,
        "How long the driver may take for an answer. After that, the document reports a stall and its age.",
    ),
    Key(
        "idle", "0", 1, 120, True,
        "Replaces `interval` while all GPUs are idle. They are not sampled then, so that they can sleep. 0: off.",
    ),
    Key(
        "samples", "0.5s", 0.05, 60, True,
        "How often utilization, power, temperatures and clocks are sampled, for peaks and means. 0: never.",
    ),
    Key(
        "window", "60s", 1, 3600, False,
        "Period of peaks and means. Set it to the interval at which Zabbix polls, {$NVIDIA.INTERVAL}.",
    ),
    Key(
        "pcie", "5s", 1, 3600, True,
        "How often PCIe throughput is sampled. The driver takes 40 ms for it. 0: never.",
    ),
    Key(
        "gpm", "yes", None, 0, False,
        "Whether to read GPM metrics, such as SM and tensor core activity (Hopper and newer): yes or no.",
    ),
    Key(
        "xid", "yes", None, 0, False,
        "Whether to watch for XID errors: yes or no.",
    ),
    Key(
        "xid_repeat", "60s", 1, DAY, False,
        "Repetitions of an XID code within this time are one event. Each error is still counted.",
    ),
    Key(
        "xid_memory", "24h", 10, 7 * DAY, False,
        "How long an XID that calls for a restart, a reset or support keeps its alert raised; others: 10 minutes. A "
        "restart of the host ends it, and so does a restart of the service, unless it reads the kernel log.",
    ),
    Key(
        "kernel_log", _NONE, None, 0, False,
        "/dev/kmsg, to read the kernel log too: a second source of XID errors, the only one of SXid errors. no: off.",
    ),
    Key(
        "large", "no", None, 0, False,
        "Whether the document may have more than 64 KiB: yes or no. Zabbix agents before 7.0 read no larger file. If "
        "it is not set, `serve --large` in the unit counts, which install-agent writes for agents from 7.0 on.",
    ),
    Key(
        "arguments", "no", None, 0, False,
        "Whether the list of processes includes their arguments, which can hold secrets: yes or no.",
    ),
    Key(
        "job_map", "/run/gpustat", None, 0, False,
        "Directory in which another tool writes which job has which GPU: jobstats, or the prolog for dcgm-exporter. "
        "Only root may be able to write there.",
    ),
)  # fmt: skip


class Config(NamedTuple):
    """What the file says, in the order of `KEYS`; times in s."""

    document: str
    interval: float
    stall: float
    idle: float
    samples: float
    window: float
    pcie: float
    gpm: bool
    xid: bool
    xid_repeat: float
    xid_memory: float
    kernel_log: str
    large: bool
    arguments: bool
    job_map: str


def load(path: str | None, *, large: bool = False) -> Config:
    """Read a configuration file.

    Args:
        path: None for the usual place, where there need not be one.
        large: As of `parse`.

    Raises:
        UsageError: It cannot be read, or says what cannot be; with its name and the number of the line.
    """
    try:
        with open(path or PATH, "rb") as file:
            text = file.read().decode("utf-8", "replace")
    except FileNotFoundError:
        if path is not None:
            raise UsageError(f"{path}: there is no such file") from None
        text = ""
    except OSError as error:
        raise UsageError(f"{path or PATH}: {error.strerror}") from None
    return parse(text, path or PATH, large=large)


def parse(text: str, name: str = PATH, *, large: bool = False) -> Config:
    """Read the text of a configuration file.

    Args:
        text: The file.
        name: Its name, for complaints.
        large: Of the key `large`, where the file does not have it.

    Raises:
        UsageError: As of `load`.
    """
    keys = {key.name: key for key in KEYS}
    values = {key.name: _value(key, key.default) for key in KEYS}
    lines: dict[str, int] = {}
    for number, line in enumerate(text.splitlines(), 1):
        stated = line.strip()
        if not stated or stated.startswith("#"):
            continue
        try:
            word, value = _statement(stated, keys, lines)
            values[word] = _value(keys[word], value)
        except UsageError as error:
            raise UsageError(f"{name}:{number}: {error}") from None
        lines[word] = number
    if "large" not in lines:
        values["large"] = large
    config = Config(**values)
    for shorter, longer in (
        ("samples", "window"),
        ("pcie", "window"),
        ("interval", "xid_repeat"),
        ("interval", "xid_memory"),
        ("idle", "xid_memory"),
        ("interval", "idle"),
    ):
        if getattr(config, shorter) > getattr(config, longer) and (longer != "idle" or config.idle):
            number = max(lines.get(shorter, 0), lines.get(longer, 0))
            raise UsageError(f"{name}:{number}: {longer} is shorter than {shorter}")
    return config


def seconds(text: str) -> float:
    """A time as people write it: 0.5, 90s, 10m, 1h.

    Raises:
        UsageError: It is none.
    """
    number, unit = (text[:-1], text[-1]) if text[-1:] in _UNITS else (text, "s")
    try:
        value = float(number) * _UNITS[unit]
    except ValueError:
        raise UsageError(f"not a time, such as 0.5s, 90s, 10m or 1h: {text[:60]}") from None
    if not 0 <= value <= 366 * DAY:  # also what is not a number
        raise UsageError(f"not a time that can be meant: {text[:60]}")
    return value


def example() -> str:
    """The example file: every key with its default, commented out."""
    head = (
        "# zbx-nvidia-agent serve: what the service does. After a change: systemctl reload zbx-nvidia\n"
        "# (restart, after a change of document).\n"
        "# Check it with: zbx-nvidia-agent serve --check. Times: 0.5s, 90s, 10m, 1h.\n"
    )
    keys = [f"# {key.text}\n{_range(key)}#{key.name} = {key.default}\n" for key in KEYS]
    return "\n".join([head, *keys])


def _statement(stated: str, keys: dict[str, Key], lines: dict[str, int]) -> tuple[str, str]:
    """Key and value of a line."""
    word, equals, value = (part.strip() for part in stated.partition("="))
    if not equals:
        raise UsageError(f"not of the form key = value: {stated[:60]}")
    if word not in keys:
        raise UsageError(f"unknown key: {word[:60]}; there are {', '.join(keys)}")
    if word in lines:
        raise UsageError(f"{word} stands on line {lines[word]} already")
    return word, value


def _range(key: Key) -> str:
    return "" if key.lowest is None else f"# From {key.lowest:g}s to {key.highest:g}s.\n"


def _value(key: Key, text: str) -> Any:  # noqa: ANN401  as the key says
    if key.lowest is not None:
        value = seconds(text)
        if not (key.lowest <= value <= key.highest or (key.zero and value == 0)):
            zero = "0, or " if key.zero else ""
            raise UsageError(f"{key.name} must be {zero}{key.lowest:g}s to {key.highest:g}s, not {text}")
        return value
    if key.default == text == _NONE and key.name in _PATHS:
        return ""
    if key.default in _WORDS and key.name not in _PATHS:
        if text not in _WORDS:
            raise UsageError(f"{key.name} must be yes or no, not {text[:60]}")
        return _WORDS[text]
    if not text.startswith("/") or text.endswith("/") or not text.isprintable():
        kind = "directory, without / at its end" if key.name in _FOLDERS else "file"
        raise UsageError(f"{key.name} must be the absolute path of a {kind}, not {text[:60]}")
    return text


def worker_arguments(config: Config) -> tuple[str | float, ...]:
    """The arguments of the worker's `main`, in their order."""
    horizon = config.window + config.interval
    flags = (float(config.gpm), float(config.xid), float(config.arguments))
    return (config.job_map, config.samples, horizon, config.pcie, *flags)
