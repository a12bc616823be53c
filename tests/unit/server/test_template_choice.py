"""Which template file a server gets: its best one, and an older one if it refuses that.

No server of 7.4 or 8.0 was available: what such a one refuses is made up here, and shows what the client does then.
"""

from __future__ import annotations

import json
from functools import partial
from typing import Any

import pytest
from click.testing import CliRunner, Result

from tests.unit.template.files import template_text
from zbx_nvidia.cli.main import main
from zbx_nvidia.errors import ServerError
from zbx_nvidia.server import templates, versions
from zbx_nvidia.server.connection import Credentials, connect
from zbx_nvidia.template import SERIES

TOKEN = "0f0e0d0c"  # noqa: S105  of no real account; nothing else contains it, so that nothing else is redacted
COMPARE, IMPORT = "configuration.importcompare", "configuration.import"
CONSTANT = 'Invalid tag "/zabbix_export/templates/template(1)/macros/macro(1)/config/type": unexpected constant "TEXT"'
DENIED = 'No permissions to call "configuration.importcompare".'


@pytest.mark.parametrize(
    ("version", "series"),
    [
        ((6, 0), ["6.0"]),
        ((6, 4), ["6.0"]),
        ((7, 0), ["7.0", "6.0"]),
        ((7, 2), ["7.0", "6.0"]),
        ((7, 4), ["7.4", "7.0", "6.0"]),
        ((8, 0), ["7.4", "7.0", "6.0"]),
        ((9, 0), ["7.4", "7.0", "6.0"]),
    ],
)
def test_a_server_gets_the_newest_file_that_it_reads(version: tuple[int, int], series: list[str]) -> None:
    assert list(versions.dialects(version)) == series
    assert versions.dialect(version) == series[0]
    assert set(series) <= set(SERIES)


class Zabbix:
    """A server without templates that refuses files of some versions, each where its methods say."""

    def __init__(self, front: Any, answers: Any, version: str, refusals: dict[tuple[str, str], str]) -> None:
        self.front = front
        self.sent: list[tuple[str, str]] = []  # method and version of each file
        added = {"templates": {"added": [{"after": {"template": "T"}}]}}

        def answer(method: str, request: dict[str, Any], _headers: object) -> Any:
            file = json.loads(request["params"]["source"])["zabbix_export"]
            self.sent.append((method, file["version"]))
            reason = refusals.get(self.sent[-1])
            return answers["error"](reason) if reason else answers["result"](added if method == COMPARE else True)

        front.answers |= {
            "apiinfo.version": answers["result"](f"{version}.1"),
            "templategroup.get": answers["result"]([]),
            "template.get": answers["result"]([]),
            COMPARE: partial(answer, COMPARE),
            IMPORT: partial(answer, IMPORT),
        }

    def run(self, *options: str) -> Result:
        environment = {"ZABBIX_URL": self.front.url, "ZABBIX_TOKEN": TOKEN}
        return CliRunner().invoke(main, ["install-template", *options], env=environment, prog_name="zbx-nvidia")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("version", "file"), [("6.4", "6.0"), ("7.0", "7.0"), ("7.2", "7.0"), ("7.4", "7.4"), ("8.0", "7.4")]
)
def test_the_file_of_the_server_is_imported_and_nothing_is_said(
    front: Any, answers: Any, version: str, file: str
) -> None:
    zabbix = Zabbix(front, answers, version, {})
    done = zabbix.run()
    assert (done.exit_code, done.stderr) == (0, "")
    assert zabbix.sent == [(COMPARE, file), (IMPORT, file)]


@pytest.mark.slow
def test_a_file_that_the_comparison_refuses_is_replaced(front: Any, answers: Any) -> None:
    zabbix = Zabbix(front, answers, "8.0", {(COMPARE, "7.4"): CONSTANT})
    done = zabbix.run()
    assert done.exit_code == 0
    assert "\nDone.\n" in done.stdout
    assert zabbix.sent == [(COMPARE, "7.4"), (COMPARE, "7.0"), (IMPORT, "7.0")]
    assert done.stderr == (
        f"warning: Zabbix at {front.url} refuses configuration.importcompare to user 'robot': {CONSTANT}: "
        "used the template file for 7.0, which has no fields for the Host Wizard\n"
    )


@pytest.mark.slow
def test_a_preview_replaces_it_too_and_its_json_stays_json(front: Any, answers: Any) -> None:
    zabbix = Zabbix(front, answers, "7.4", {(COMPARE, "7.4"): CONSTANT})
    done = zabbix.run("--dry-run", "--json")
    assert done.exit_code == 0
    assert json.loads(done.stdout)["applied"] is False
    assert done.stderr.count("warning: ") == 1
    assert zabbix.sent == [(COMPARE, "7.4"), (COMPARE, "7.0")]


@pytest.mark.slow
def test_a_file_that_only_the_import_refuses_is_replaced(front: Any, answers: Any) -> None:
    """The comparison checks the form, and the import also what an object may be."""
    zabbix = Zabbix(front, answers, "7.4", {(IMPORT, "7.4"): 'Invalid parameter "/1/macros/1/config": unexpected'})
    done = zabbix.run()
    assert done.exit_code == 0
    assert done.stderr.startswith(f"warning: Zabbix at {front.url} refuses configuration.import ")
    assert zabbix.sent == [(COMPARE, "7.4"), (IMPORT, "7.4"), (COMPARE, "7.0"), (IMPORT, "7.0")]


@pytest.mark.slow
def test_two_variants_warn_once(front: Any, answers: Any) -> None:
    done = Zabbix(front, answers, "7.4", {(COMPARE, "7.4"): CONSTANT}).run("--variant", "both", "--dry-run")
    assert done.stderr.count("\n") == 1


@pytest.mark.slow
def test_a_refusal_of_every_file_is_the_error_without_a_warning(front: Any, answers: Any) -> None:
    zabbix = Zabbix(front, answers, "7.4", {(COMPARE, "7.4"): DENIED, (COMPARE, "7.0"): DENIED})
    done = zabbix.run()
    assert done.exit_code == 1
    assert done.stderr.startswith(
        f"Error: Zabbix at {front.url} refuses configuration.importcompare to user 'robot': No"
    )
    assert "warning" not in done.stderr
    assert (IMPORT, "7.0") not in zabbix.sent


@pytest.mark.slow
def test_a_refusal_of_every_import_is_the_error_without_a_warning(front: Any, answers: Any) -> None:
    zabbix = Zabbix(front, answers, "7.4", {(IMPORT, "7.4"): "No permissions.", (IMPORT, "7.0"): "No permissions."})
    done = zabbix.run()
    assert done.exit_code == 1
    assert done.stderr.startswith(f"Error: Zabbix at {front.url} refuses configuration.import to user 'robot': No")
    assert "warning" not in done.stderr


@pytest.mark.slow
def test_a_server_of_7_0_gets_no_second_file(front: Any, answers: Any) -> None:
    zabbix = Zabbix(front, answers, "7.0", {(COMPARE, "7.0"): CONSTANT})
    assert zabbix.run().exit_code == 1
    assert zabbix.sent == [(COMPARE, "7.0")]


@pytest.mark.slow
def test_a_server_that_fails_is_no_refusal(front: Any, answers: Any) -> None:
    zabbix = Zabbix(front, answers, "7.4", {})
    front.answers[COMPARE] = (500, {}, b"")
    done = zabbix.run()
    assert done.exit_code == 1
    assert "HTTP 500" in done.stderr
    assert front.methods().count(COMPARE) == 1


# -- The server has the template from the file for 7.0 ---------------------------------------------------------------

OURS: dict[str, Any] = {
    "uuid": "9651b94d6eb3476d9bd3dc7669f8243f",
    "template": "T",
    "name": "T",
    "groups": [{"name": "Templates"}],
}
VENDOR: dict[str, Any] = {"name": "zbx-nvidia", "version": "1.2.3"}
MACRO = {"macro": "{$M}", "value": "1"}
FIELD: dict[str, dict[str, str]] = {"config": {"type": "TEXT", "priority": "1", "label": "M"}}
README = "## Overview\n\n## Setup\n"
GROUP = {"uuid": "7df96b18c230490a9a0a9e2307226338", "name": "Templates"}
PLAIN: dict[str, Any] = {**OURS, "vendor": VENDOR, "macros": [MACRO]}
NEW: dict[str, Any] = {
    **OURS,
    "wizard_ready": "YES",
    "readme": README,
    "vendor": VENDOR,
    "macros": [{**MACRO, **FIELD}],
}


def plan(  # noqa: PLR0913, PLR0917  fixtures, and a row of a table
    front: Any, answers: Any, server: dict[str, Any], file: dict[str, Any], version: str = "7.4", refuses: str = ""
) -> tuple[Any, Any]:
    """The plan for a server of 8.0 that has a template of its own form; and the document that was compared last."""
    sent: list[Any] = []

    def compare(request: dict[str, Any], _headers: object) -> Any:
        sent.append(json.loads(request["params"]["source"])["zabbix_export"])
        if sent[-1]["version"] == refuses:
            return answers["error"](CONSTANT)
        after = sent[-1]["templates"][0]
        fields = [key for key in {**server, **after} if server.get(key) != after.get(key)]
        before, after = (
            {"template": "T", **{key: one[key] for key in fields if key in one}} for one in (server, after)
        )
        return answers["result"]({"templates": {"updated": [{"before": before, "after": after}]}} if fields else [])

    export = {"version": "8.0", "template_groups": [GROUP], "templates": [server]}
    front.answers |= {
        "apiinfo.version": answers["result"]("8.0.1"),
        "templategroup.get": answers["result"]([]),
        "template.get": answers["result"](
            [{"templateid": "1", "host": "T", "name": "T", "hosts": [], "templates": []}]
        ),
        "configuration.export": answers["result"](json.dumps({"zabbix_export": export})),
        COMPARE: compare,
    }
    wanted = {"version": version, "template_groups": [GROUP], "templates": [file]}
    with connect(front.url, Credentials(token=TOKEN)) as zabbix:
        return templates.plan_install(zabbix, wanted), sent[-1]


def test_what_is_new_in_the_format_is_no_edit_of_a_person(front: Any, answers: Any) -> None:
    """An upgrade of the server from 7.0: the version of the template is the same, and nobody has edited it."""
    planned, _ = plan(front, answers, PLAIN, NEW)
    assert {change.field for change in planned.changes} == {"wizard_ready", "readme", "config"}
    assert planned.refusal == ""


def test_an_edit_beside_it_is_refused(front: Any, answers: Any) -> None:
    planned, _ = plan(front, answers, {**PLAIN, "description": "Mine"}, NEW)
    assert "template 'T'" in planned.refusal
    assert "--overwrite reverts them" in planned.refusal


def test_what_people_set_for_the_wizard_stays(front: Any, answers: Any) -> None:
    edited = {**NEW, "macros": [{**MACRO, "config": {**FIELD["config"], "label": "Mine"}}]}
    del edited["wizard_ready"]
    planned, document = plan(front, answers, edited, NEW)
    assert (planned.refusal, planned.changes) == ("", [])
    assert [kept.name for kept in planned.kept] == ["wizard_ready", "{$M} config"]
    assert document["templates"][0]["macros"][0]["config"]["label"] == "Mine"
    assert "wizard_ready" not in document["templates"][0]


def test_a_macro_of_a_person_keeps_its_field_although_the_file_is_of_7_0(front: Any, answers: Any) -> None:
    """A file of 7.0 must not contain one, so the document is sent as of the server's version."""
    mine = {"macro": "{$MINE}", "value": "1", **FIELD}
    planned, document = plan(front, answers, {**PLAIN, "macros": [MACRO, mine]}, PLAIN, "7.0")
    assert [kept.name for kept in planned.kept] == ["{$MINE}"]
    assert mine in document["templates"][0]["macros"]
    assert document["version"] == "8.0"


MINE = {"macro": "{$MINE}", "value": "1", **FIELD}
WITH_MINE = {**NEW, "macros": [MINE, *NEW["macros"]]}


def test_an_older_file_keeps_what_the_server_has_for_the_wizard(front: Any, answers: Any) -> None:
    planned, document = plan(front, answers, WITH_MINE, PLAIN, "7.0")
    assert (planned.changes, planned.refusal, planned.notes) == ([], "", [])
    assert document["version"] == "8.0"
    assert document["templates"][0]["macros"] == WITH_MINE["macros"]
    assert document["templates"][0]["readme"] == README


def test_what_a_server_that_refuses_its_own_format_loses_is_named(front: Any, answers: Any) -> None:
    newer = {**PLAIN, "vendor": {**VENDOR, "version": "1.2.4"}}
    planned, document = plan(front, answers, WITH_MINE, newer, "7.0", refuses="8.0")
    assert document["version"] == "7.0"
    assert document["templates"][0]["macros"] == [{"macro": "{$MINE}", "value": "1"}, MACRO]
    (note,) = planned.notes
    assert note.endswith("what is set for the Host Wizard is lost, of wizard_ready, readme, {$MINE}, {$M}")
    # Of the same version, nothing but that would change: then it must be wanted.
    planned, _ = plan(front, answers, WITH_MINE, PLAIN, "7.0", refuses="8.0")
    assert "--overwrite reverts them" in planned.refusal


def test_an_older_file_that_would_revert_an_edit_is_not_imported(front: Any, answers: Any) -> None:
    """The import of the file for 7.4, of a new version, is refused; the file for 7.0 has the version of the server."""
    plan(front, answers, {**PLAIN, "description": "Mine"}, NEW)
    front.answers[IMPORT] = answers["error"](CONSTANT)
    files = {"7.4": {**NEW, "vendor": {**VENDOR, "version": "1.2.4"}}, "7.0": PLAIN}

    def made(series: str) -> dict[str, Any]:
        return {"version": series, "template_groups": [GROUP], "templates": [files[series]]}

    warnings: list[str] = []
    with connect(front.url, Credentials(token=TOKEN)) as zabbix:
        planned = templates.plan_newest(zabbix, made, warnings.append)
        with pytest.raises(ServerError, match="was edited"):
            planned.apply()
    assert warnings == []
    assert front.methods().count(IMPORT) == 1


@pytest.mark.parametrize("variant", ["passive", "active"])
def test_what_is_for_a_server_names_its_version(variant: str) -> None:
    for _, series in versions.DIALECTS:
        assert f"version: '{series}'" in template_text(series, variant)[:60]
