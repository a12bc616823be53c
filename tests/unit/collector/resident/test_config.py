"""The configuration file: its keys, and what is refused, where and why."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from zbx_nvidia.collector.resident.config import KEYS, Config, example, load, parse, seconds
from zbx_nvidia.errors import UsageError

ROOT = Path(__file__).parents[4]


def test_every_key_is_a_field_and_every_field_a_key() -> None:
    assert tuple(key.name for key in KEYS) == Config._fields
    assert all(key.text.endswith(".") or key.text.endswith("never.") for key in KEYS)


def test_the_example_has_every_key_with_its_default() -> None:
    text = example()
    stated = re.findall(r"^#([a-z_]+) = (.*)$", text, re.MULTILINE)
    assert stated == [(key.name, key.default) for key in KEYS]
    assert parse(text) == parse("")
    assert parse(re.sub(r"^#(?=[a-z])", "", text, flags=re.MULTILINE)) == parse("")
    for key in KEYS:
        assert key.text in text


def test_the_docs_have_every_key() -> None:
    text = (ROOT / "docs" / "RESIDENT.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| `([a-z_]+)` \| `([^`]*)` \|", text, re.MULTILINE) == [
        (key.name, key.default) for key in KEYS
    ]


def test_values_are_taken() -> None:
    config = parse("# a comment\n\n interval=10\nwindow = 5m\n  samples =0\nxid = no\ndocument = /run/d.json\n")
    assert config == parse("")._replace(interval=10, window=300, samples=0, xid=False, document="/run/d.json")


@pytest.mark.parametrize(
    ("text", "line", "why"),
    [
        ("interval", 1, "not of the form key = value"),
        ("\n# x\nintervall = 1s", 3, "unknown key: intervall; there are document, interval,"),
        ("interval = 5s\ninterval = 6s", 2, "interval stands on line 1 already"),
        ("interval = 0", 1, "interval must be 1s to 3600s, not 0"),
        ("interval = 2h", 1, "interval must be 1s to 3600s, not 2h"),
        ("samples = 0.01", 1, "samples must be 0, or 0.05s to 60s, not 0.01"),
        ("stall = soon", 1, "not a time, such as"),
        ("stall = nan", 1, "not a time that can be meant"),
        ("stall = -1", 1, "not a time that can be meant"),
        ("stall = inf", 1, "not a time that can be meant"),
        ("stall =", 1, "not a time, such as"),
        ("xid = maybe", 1, "xid must be yes or no, not maybe"),
        ("document = run/document.json", 1, "document must be the absolute path of a file"),
        ("document = /run/zbx-nvidia/", 1, "document must be the absolute path of a file"),
        ("window = 10s\nsamples = 20s", 2, "window is shorter than samples"),
        ("xid_repeat = 5s\ninterval = 10s", 2, "xid_repeat is shorter than interval"),
        ("idle = 2s", 1, "idle is shorter than interval"),
        ("idle = 3m", 1, "idle must be 0, or 1s to 120s, not 3m"),
        ("kernel_log = yes", 1, "kernel_log must be the absolute path of a file"),
        ("job_map = /run/gpustat/", 1, "job_map must be the absolute path of a directory, without / at its end"),
        ("interval = 1h\nxid_repeat = 2h\nxid_memory = 10m", 3, "xid_memory is shorter than interval"),
    ],
)
def test_what_cannot_be_is_refused_with_its_line(text: str, line: int, why: str) -> None:
    with pytest.raises(UsageError) as refused:
        parse(text, "agent.conf")
    assert str(refused.value).startswith(f"agent.conf:{line}: {why}")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "option", "expected"),
    [("", False, False), ("", True, True), ("large = no", True, False), ("large = yes", False, True)],
)
def test_what_the_file_says_of_large_documents_wins(text: str, option: bool, expected: bool) -> None:  # noqa: FBT001
    assert parse(text, large=option).large is expected


def test_a_file_that_need_not_be_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no such file"):
        load(str(tmp_path / "none"))
    with pytest.raises(UsageError, match="Is a directory"):
        load(str(tmp_path))
    (tmp_path / "bytes").write_bytes(b"interval = \xff\n")
    with pytest.raises(UsageError, match=":1: not a time"):
        load(str(tmp_path / "bytes"))


@pytest.mark.parametrize(("text", "value"), [("0.5s", 0.5), ("90", 90), ("10m", 600), ("1h", 3600), ("1d", 86400)])
def test_times(text: str, value: float) -> None:
    assert seconds(text) == value
