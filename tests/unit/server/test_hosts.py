"""What `add-host` does with a host that others have set up; `tests/integration` does so on real servers."""

from __future__ import annotations

from typing import Any

import pytest

from zbx_nvidia.cli import plans
from zbx_nvidia.errors import RefusedError, ServerError
from zbx_nvidia.server import dashboards, hosts
from zbx_nvidia.server.connection import Credentials, connect
from zbx_nvidia.server.host_changes import plain
from zbx_nvidia.server.plan import Change, Plan
from zbx_nvidia.server.wanted import Wanted

LOGIN = Credentials(token="t")  # noqa: S106  of no real account


def interface(number: str, ip: str, main: str, dns: str = "") -> dict[str, Any]:
    common = {"interfaceid": number, "type": "1", "useip": "1", "port": "10050", "details": []}
    return {**common, "ip": ip, "dns": dns, "main": main}


def existing(front: Any, answers: Any, **host: Any) -> list[dict[str, Any]]:
    """A host that has the template; returns what is written."""
    written: list[dict[str, Any]] = []

    def write(request: dict[str, Any], _headers: object) -> Any:
        written.append({request["method"]: request["params"]})
        return answers["result"]({"ids": ["1"]})

    row = {
        "hostid": "1",
        "host": "gpu01",
        "interfaces": [interface("7", "192.0.2.1", "1"), interface("8", "192.0.2.2", "0")],
        "macros": [],
        "tags": [],
        "hostgroups": [],
        "parentTemplates": [{"templateid": "5", "host": "T"}],
        "monitored_by": "0",
        "proxyid": "0",
        "tls_connect": "1",
        "tls_accept": "1",
        **host,
    }
    polled = {"itemid": "3", "key_": "nvidia.get", "interfaceid": "7", "templateid": "4"}
    front.answers |= {
        "template.get": lambda request, _: answers["result"](
            [{"templateid": "5", **({"parentTemplates": []} if "selectParentTemplates" in request["params"] else {})}]
        ),
        "host.get": answers["result"]([row]),
        "item.get": lambda request, _: answers["result"]([] if "inherited" in request["params"] else [polled]),
        "discoveryrule.get": answers["result"]([]),
        "proxy.get": answers["result"]([{"proxyid": "9", "name": "P"}]),
        "proxygroup.get": answers["result"]([]),
        "host.update": write,
        "item.update": write,
    }
    return written


def planned(front: Any, *, overwrite: bool = False, **wanted: Any) -> Plan:
    with connect(front.url, LOGIN) as zabbix:
        plan = hosts.plan_host(zabbix, Wanted("gpu01", "T", **wanted), overwrite=overwrite)
        if overwrite:
            plan.apply()
        return plan


def test_address_of_the_interface_that_the_items_do_not_use(front: Any, answers: Any) -> None:
    written = existing(front, answers)
    assert planned(front, address="192.0.2.1").changes == []
    assert "'192.0.2.2:10050, its other one': give --overwrite" in planned(front, address="192.0.2.2").refusal
    planned(front, address="192.0.2.2", overwrite=True)
    host, item = written
    mains = {one["interfaceid"]: one["main"] for one in host["host.update"]["interfaces"]}
    assert mains == {"7": "0", "8": "1"}
    assert item == {"item.update": {"itemid": "3", "interfaceid": "8"}}


def test_new_address_keeps_the_name(front: Any, answers: Any) -> None:
    written = existing(front, answers, interfaces=[interface("7", "192.0.2.1", "1", "gpu01.example.com")])
    planned(front, address="192.0.2.9", overwrite=True)
    (changed,) = written[0]["host.update"]["interfaces"]
    assert {**changed, "details": []} == interface("7", "192.0.2.9", "1", "gpu01.example.com")


def test_macros_keep_their_types(front: Any, answers: Any) -> None:
    macros = [
        {"hostmacroid": "1", "macro": "{$S}", "type": "1"},
        {"hostmacroid": "2", "macro": "{$V}", "type": "2", "value": "a:b"},
        {"hostmacroid": "3", "macro": '{$C:"x"}', "type": "0", "value": "1"},
    ]
    written = existing(front, answers, macros=macros)
    given = {"{$S}": "n3w", "{$V}": "a:b", "{$C:x}": "1"}
    plan = planned(front, macros=given)
    assert (plan.changes, plan.refusal) == ([], "")
    assert [kept.kind for kept in plan.kept] == ["macro {$S}, not compared: Zabbix does not return it"]
    plan = planned(front, macros={**given, "{$V}": "c:d"}, overwrite=True)
    assert [(change.field, change.old, change.new) for change in plan.changes] == [
        ("macro {$S}", "(secret)", "(the given value)"),
        ("vault macro {$V}", "a:b", "c:d"),
    ]
    sent = {macro["hostmacroid"]: macro.get("type") for macro in written[0]["host.update"]["macros"]}
    assert sent == {"1": "1", "2": "2", "3": None}


@pytest.mark.parametrize(
    ("macro", "form"),
    [
        ("{$A}", "{$A}"),
        ("{$A:x}", "{$A:x}"),
        ('{$A: "x"}', "{$A:x}"),
        (r'{$A:"a\"b"}', '{$A:a"b}'),
        ('{$A:regex:"^x"}', "{$A:regex:^x}"),
    ],
)
def test_macros_are_compared_as_zabbix_does(macro: str, form: str) -> None:
    assert plain(macro) == form


def test_no_proxy_is_a_proxy_too(front: Any, answers: Any) -> None:
    written = existing(front, answers, monitored_by="1", proxyid="9")
    assert planned(front, proxy=None).changes == []
    assert "proxy is 'P', not '(none)'" in planned(front, proxy="").refusal
    planned(front, proxy="", overwrite=True)
    assert written[0]["host.update"]["monitored_by"] == "0"


@pytest.mark.parametrize(("kind", "linked"), [(2, False), (3, True)])
def test_items_through_a_template_out_of_sight(front: Any, answers: Any, kind: int, *, linked: bool) -> None:
    existing(front, answers, parentTemplates=[])
    front.answers["user.checkAuthentication"] = answers["result"]({"username": "robot", "type": kind})
    plan = planned(front)
    assert [change.kind for change in plan.changes] == (["template"] if linked else [])
    assert [kept.kind for kept in plan.kept] == (
        [] if linked else ["items of the template, through one that this user does not see"]
    )


def test_visible_name(front: Any, answers: Any) -> None:
    existing(front, answers)
    by_name = answers["result"]([{"hostid": "1", "host": "other"}])

    def find(request: dict[str, Any], _headers: object) -> Any:
        return answers["result"]([]) if "host" in request["params"]["filter"] else by_name

    front.answers["host.get"] = find
    with pytest.raises(ServerError, match="'gpu01' is the visible name of the host 'other': give that name"):
        planned(front)


def test_another_run_adds_the_host_between_two_questions(front: Any, answers: Any) -> None:
    """Asked by its name there is none yet, and asked by its visible name it is there: as seen on 6.0."""
    existing(front, answers)
    usual = front.answers["host.get"]
    asked: list[str] = []

    def late(request: dict[str, Any], headers: object) -> Any:
        (kind,) = request["params"]["filter"]
        asked.append(kind)
        if asked == ["host"]:
            return answers["result"]([])
        if kind == "name":
            return answers["result"]([{"hostid": "1", "host": "gpu01"}])
        return usual(request, headers) if callable(usual) else usual

    front.answers["host.get"] = late
    assert planned(front).changes == []
    assert asked == ["host", "name", "host"]


@pytest.mark.parametrize(
    ("method", "ask", "what"),
    [("host.get", hosts.dashboards, "the host 'h'"), ("dashboard.get", dashboards.address, "the dashboard 'h'")],
)
def test_what_is_removed_meanwhile_is_one_line(front: Any, answers: Any, method: str, ask: Any, what: str) -> None:
    front.answers[method] = answers["result"]([])
    with connect(front.url, LOGIN) as zabbix, pytest.raises(ServerError, match=f"{what} was removed while this ran"):
        ask(zabbix, "h")


class Runs:
    """A plan that another run makes before this one."""

    def __init__(self, *left: list[Change]) -> None:
        self.left = list(left)
        self.applied: list[list[Change]] = []

    def plan(self) -> Plan:
        changes = self.left.pop(0)

        def apply() -> None:
            self.applied.append(changes)
            if len(self.applied) == 1:
                raise RefusedError("already exists")

        return Plan("host", "h", changes, apply=apply, again=self.plan)


ONE, TWO = Change("add", "host", "h"), Change("add", "tag", "t")


@pytest.mark.parametrize(("then", "applied"), [([], 1), ([TWO], 2)])
def test_the_loser_of_two_runs_looks_again(then: list[Change], applied: int) -> None:
    runs = Runs([ONE], then)
    assert plans.show_and_apply([runs.plan()], dry_run=False, verbose=False, as_json=False)
    assert len(runs.applied) == applied


def test_a_refusal_that_nobody_has_caused_is_an_error() -> None:
    with pytest.raises(RefusedError):
        plans.show_and_apply([Runs([ONE], [ONE]).plan()], dry_run=False, verbose=False, as_json=False)
