"""The end of `add-host`: the first value, and where to look at it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.unit.server.conftest import as_zabbix, result
from zbx_nvidia.cli import hosts
from zbx_nvidia.errors import ServerError
from zbx_nvidia.server.connection import Credentials, connect

if TYPE_CHECKING:
    from tests.unit.server.conftest import Front

LOGIN = Credentials(user="robot", password="secret")  # noqa: S106  of no real account


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hosts, "LOOK", 0.01)


def test_it_waits_and_names_the_page(front: Front, capsys: pytest.CaptureFixture[str]) -> None:
    front.answers = {**as_zabbix("7.0.22"), "item.get": lambda *_: result([{"lastclock": str(asked())}])}
    count = 0

    def asked() -> int:
        nonlocal count
        count += 1
        return 1_790_000_000 if count > 2 else 0

    with connect(front.url, LOGIN) as zabbix:
        hosts._wait_for_value(zabbix, "gpu01")  # noqa: SLF001  what follows a plan that a front cannot answer for
    assert count == 3
    out = capsys.readouterr().out
    assert out == f"Values arrive. Open {front.url}/zabbix.php?action=host.dashboard.view&hostid=1\n"


def test_where_none_comes_it_says_whom_to_ask(front: Front, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hosts, "LONGEST_WAIT", 0.05)
    front.answers = {**as_zabbix("7.0.22"), "item.get": result([{"lastclock": "0"}])}
    command = f"`zbx-nvidia doctor --server-only --host 'gpu 01' --url {front.url} --token-file FILE`"
    with connect(front.url, LOGIN) as zabbix, pytest.raises(ServerError, match="no value has come in 0 s") as refused:
        hosts._wait_for_value(zabbix, "gpu 01")  # noqa: SLF001  as above
    assert command in str(refused.value)
