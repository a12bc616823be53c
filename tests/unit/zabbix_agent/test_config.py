"""The configuration of an agent, read as that agent reads it: what is expected here was seen on 6.0.14 and 7.0.22."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from zbx_nvidia.errors import HostError
from zbx_nvidia.zabbix_agent import config, find
from zbx_nvidia.zabbix_agent.find import Agent

if TYPE_CHECKING:
    from pathlib import Path

KINDS = config.KINDS


def write(path: Path, text: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def hosts(main: Path, kind: str) -> list[str]:
    return [statement.value for statement in config.read(main, kind).all("Hostname")]


@pytest.mark.parametrize("kind", KINDS)
def test_lines(tmp_path: Path, kind: str) -> None:
    main = write(tmp_path / "a.conf", "\n# Server=no\n  Server = a, b \r\n\tUserParameter=k[*],echo a=b # c\nEmpty=\n")
    found = config.read(main, kind)
    assert [(one.name, one.value, one.line) for one in found.statements] == [
        ("Server", "a, b", 3),
        ("UserParameter", "k[*],echo a=b # c", 4),
        ("Empty", "", 5),
    ]
    assert found.problems == ()
    assert (found.last("Server"), found.last("Empty", "x"), found.last("None", "x")) == ("a, b", "", "x")


@pytest.mark.parametrize("kind", KINDS)
def test_an_include_is_read_where_it_stands_and_the_last_statement_counts(tmp_path: Path, kind: str) -> None:
    write(tmp_path / "d" / "x.conf", "Hostname=drop-in")
    main = write(tmp_path / "a.conf", f"Hostname=before\nInclude={tmp_path}/d/*.conf\n")
    assert hosts(main, kind) == ["before", "drop-in"]
    write(main, f"Include={tmp_path}/d/*.conf\nHostname=after\n")
    assert config.read(main, kind).last("Hostname") == "after"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("value", ["d", "d/", "d/*.conf", "d/x*", "./d/*", "d/x.conf", "d/*x*c*f"])
def test_forms_of_an_include(tmp_path: Path, kind: str, value: str) -> None:
    write(tmp_path / "d" / "x.conf", "Hostname=x")
    write(tmp_path / "d" / "sub" / "y.conf", "Hostname=no")  # of a directory in it nothing is read
    main = write(tmp_path / "a.conf", f"Include={tmp_path}/{value}")
    assert hosts(main, kind) == ["x"]
    write(main, f"Include={value}")  # from the directory of the main file
    assert hosts(main, kind) == ["x"]


@pytest.mark.parametrize("kind", KINDS)
def test_hidden_files_are_read_too(tmp_path: Path, kind: str) -> None:
    write(tmp_path / "d" / ".x.conf", "Hostname=hidden")
    assert hosts(write(tmp_path / "a.conf", f"Include={tmp_path}/d/*.conf"), kind) == ["hidden"]


@pytest.mark.parametrize(("pattern", "agent2"), [("?.conf", True), ("[xy].conf", True), ("[^y].conf", True)])
def test_agentd_knows_no_sign_but_the_asterisk(tmp_path: Path, pattern: str, agent2: bool) -> None:  # noqa: FBT001
    write(tmp_path / "d" / "x.conf", "Hostname=x")
    main = write(tmp_path / "a.conf", f"Include={tmp_path}/d/{pattern}")
    assert bool(hosts(main, "agent2")) == agent2
    (problem,) = config.read(main, "agentd").problems
    assert problem == f"{main}:1: Include={tmp_path}/d/{pattern}: {tmp_path}/d/{pattern}: No such file or directory"


def test_agent_2_reads_a_directory_sorted(tmp_path: Path) -> None:
    for name in ("c", "a", "b"):
        write(tmp_path / "d" / f"{name}.conf", f"Hostname={name}")
    main = write(tmp_path / "a.conf", f"Include={tmp_path}/d")
    assert hosts(main, "agent2") == ["a", "b", "c"]
    listed = [path.stem for path in (tmp_path / "d").iterdir()]
    assert hosts(main, "agentd") == listed


@pytest.mark.parametrize("kind", KINDS)
def test_nested_includes_count_from_the_main_file(tmp_path: Path, kind: str) -> None:
    write(tmp_path / "d" / "x.conf", "Include=./e/y.conf")
    write(tmp_path / "e" / "y.conf", "Hostname=nested")
    assert hosts(write(tmp_path / "a.conf", "Include=d/x.conf"), kind) == ["nested"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_that_includes_itself(tmp_path: Path, kind: str) -> None:
    main = write(tmp_path / "a.conf", f"Hostname=x\nInclude={tmp_path}/a.conf")
    found = config.read(main, kind)
    assert len(found.all("Hostname")) == 10
    assert found.problems == (
        f"{main}:2: Include={main}: included 10 levels deep; perhaps a file includes itself",
    )  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("Include=/nowhere/*.conf", "Include=/nowhere/*.conf: /nowhere: No such file or directory"),
        ("Include=/nowhere.conf", "Include=/nowhere.conf: /nowhere.conf: No such file or directory"),
        ("Include=/etc/*/x.conf", "Include=/etc/*/x.conf: has a pattern before the last part"),
        ("Include=/etc/passwd/*.conf", "Include=/etc/passwd/*.conf: /etc/passwd is not a directory"),
        ("Include=", "Include=: names no file"),
        ("s3cret", "the line is not of the form Name=value"),
        (b"A=\xff", "the line is not UTF-8"),
        ("A=" + "x" * 2047, "the line is longer than 2048 bytes, the most that the agent takes"),
    ],
)
def test_what_keeps_an_agent_from_starting(tmp_path: Path, kind: str, line: str | bytes, complaint: str) -> None:
    text = line if isinstance(line, bytes) else line.encode()
    main = write(tmp_path / "a.conf", b"# one\n" + text + b"\nHostname=x\n")
    found = config.read(main, kind)
    (problem,) = found.problems
    assert problem.startswith(f"{main}:2: {complaint}")
    assert "s3cret" not in problem
    assert found.last("Hostname") == "x"  # what stands after it is read all the same


def test_no_main_file(tmp_path: Path) -> None:
    with pytest.raises(HostError, match=r"a\.conf: the configuration of the Zabbix agent cannot be read: No such file"):
        config.read(tmp_path / "a.conf", "agentd")


def drop_in(main: Path, kind: str) -> Path | None:
    return find.drop_in(Agent(kind, main, main, "", "zabbix"))


@pytest.mark.parametrize("kind", KINDS)
def test_where_a_further_file_is_read(tmp_path: Path, kind: str) -> None:
    for folder in ("plugins.d", "d", "e"):
        write(tmp_path / folder / "x.conf", "")
    main = write(tmp_path / "a.conf", "Include=plugins.d/*.conf\nInclude=d/*.userparams\nInclude=e/*.conf\nInclude=d\n")
    # That of the plugins may hold an nvidia.conf of Zabbix's own.
    assert drop_in(main, kind) == tmp_path / "e" / "nvidia.conf"
    write(main, "Include=plugins.d/*.conf\nInclude=d/x.conf\nInclude=d/n*.txt\n")
    assert drop_in(main, kind) is None
    nvidia = write(tmp_path / "d" / "nvidia.conf", "")
    write(main, "Include=d/nvidia.conf\n")
    assert drop_in(main, kind) == nvidia


def test_what_is_no_key() -> None:
    assert not config.key_problem("aB" * 256 + "\n")
    for text in ("", "g" * 32, "a" * 31, "a" * 33, "a" * 514, "a b"):
        assert config.key_problem(text)
        assert not text or text not in config.key_problem(text)
