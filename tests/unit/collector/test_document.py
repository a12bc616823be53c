"""The document's own rules, on collections made by hand: nothing here calls NVML."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.golden.documents import path_of
from tests.unit.collector.collector import checked
from zbx_nvidia.catalog import metrics, status
from zbx_nvidia.catalog.entities import DOCUMENT, ENTITIES, LINKS_DOCUMENT
from zbx_nvidia.catalog.macros import MACROS
from zbx_nvidia.catalog.metrics import GPU_METRICS, GPU_READERS, GROUPS
from zbx_nvidia.catalog.sampled import GPM_METRICS, SAMPLED_METRICS
from zbx_nvidia.collector import document, oneshot
from zbx_nvidia.collector.document import MAX_ERRORS, Collection, Gpu, Part, Problem
from zbx_nvidia.collector.protocol import Failed
from zbx_nvidia.collector.rendering import FILE_LIMIT, KEPT, PRINTED_LIMIT, render

READABLE = (*GPU_METRICS, *SAMPLED_METRICS)
UNSIGNED = st.integers(0, 2**62)
VALUES = {
    metrics.UNSIGNED: UNSIGNED,
    metrics.FLOAT: st.floats(-1e15, 1e15, allow_nan=False),
    metrics.CHAR: st.text(max_size=96),  # NVML's longest string
    metrics.TEXT: st.lists(
        st.fixed_dictionaries(
            {"pid": UNSIGNED, "type": st.sampled_from(["C", "G", "C+G"])},
            optional={"name": st.text(), "memory": UNSIGNED, "uid": st.integers(0, 70000), "age": UNSIGNED},
        ),
        max_size=30,
    ),
}
READINGS: dict[str, st.SearchStrategy[Any]] = {
    metric.key: VALUES[metric.kind] for metric in READABLE if metric.key not in {"uuid", "index"}
}
JOB = {"id": st.text(), "name": st.text(), "uid": st.integers(0, 70000)}
READINGS["job"] = st.lists(st.fixed_dictionaries({"since": UNSIGNED}, optional=JOB), max_size=16)
PROBLEMS = st.builds(Problem, st.text(), st.sampled_from(GPU_READERS), st.integers(0, 999), st.text())


@st.composite
def gpus(draw: st.DrawFn, position: int) -> Gpu:
    state = draw(st.sampled_from(["ok", "ok", "lost", "sick", "refused"]))
    keys = draw(st.sets(st.sampled_from(sorted(READINGS))))
    readings: dict[str, Any] = {key: draw(READINGS[key]) for key in sorted(keys)}
    if state == "ok" or draw(st.booleans()):
        readings |= {"uuid": f"GPU-{position:08x}", "index": position}
    lacks = tuple(draw(st.sets(st.sampled_from(GPU_READERS))))
    parts = {}
    if state == "ok":
        fans = draw(st.lists(st.integers(0, 120), min_size=2, max_size=4))
        parts = {
            "fan": tuple(Part({"{#FAN}": str(fan)}, {"speed": speed}, ("rpm",)) for fan, speed in enumerate(fans)),
            "mig": tuple(mig(position, number, draw(st.text())) for number in range(draw(st.integers(0, 7)))),
        }
    return Gpu(position, state, readings, parts, lacks, tuple(draw(st.lists(PROBLEMS, max_size=30))))


def mig(position: int, number: int, profile: str, **readings: object) -> Part:
    macros = {
        "{#MIG}": f"MIG-{position:018x}{number:018x}",
        "{#GI}": str(number),
        "{#CI}": "0",
        "{#PROFILE}": profile,
    }
    return Part(macros, {"profile": profile, **readings}, ())


@st.composite
def collections(draw: st.DrawFn) -> Collection:
    count = draw(st.one_of(st.none(), st.integers(0, 16)))
    answered = [draw(gpus(position)) for position in range(count or 0) if draw(st.integers(0, 9))]
    return Collection(
        draw(st.sampled_from(status.STATUSES)),
        draw(st.text()),
        {"driver_version": draw(st.text(max_size=80))},
        count,
        draw(st.permutations(answered)),
        draw(st.lists(st.text(max_size=16), max_size=20)),
        draw(st.lists(PROBLEMS, max_size=3)),
        draw(st.dictionaries(st.integers(0, 70000), st.text(min_size=1, max_size=32))),
        "oneshot",
        draw(st.floats(0, 600)),
    )


@pytest.mark.slow
@given(collections())
def test_whatever_is_found_the_document_is_valid(found: Collection) -> None:
    made = document.build(found)
    answer = checked((render(made) + "\n").encode("ascii"))
    assert len(answer.errors) <= MAX_ERRORS
    host = answer.document.get("host")
    if host and "presence" in answer.document:
        healthy = len(answer.document["gpus"])
        assert healthy + host["gpus_lost"] + host["gpus_sick"] + host["gpus_refused"] == host["gpu_count"]
        assert [row["{#INDEX}"] for row in answer.document["discovery"]["gpus"]] == [
            str(gpu.position) for gpu in sorted(found.gpus) if gpu.state == "ok"
        ]


def many(count: int) -> Collection:
    """So many well cards that can report everything."""
    number = {"B": 123456789012, "Hz": 2619000000, "J": 123456789012.345, "s": 1234567.123456789}
    process = {"pid": 4194304, "type": "C", "name": "python3", "memory": 10**10, "uid": 70000, "container": "c" * 12}
    full: dict[str, Any] = {
        metric.key: []
        if metric.kind == metrics.TEXT
        else "N" * 30
        if metric.kind == metrics.CHAR
        else number.get(metric.unit, 1234.56)
        for metric in READABLE
    }
    instance = {"memory_total": 10**10, "memory_used": 10**10, "memory_used_percent": 99.99, "multiprocessors": 16}
    instance |= {metric.key: 99.99 for metric in GPM_METRICS}
    every = [
        Gpu(
            position,
            "ok",
            {
                **{
                    metric.key: int(full[metric.key]) if metric.kind == metrics.UNSIGNED else full[metric.key]
                    for metric in READABLE
                },
                "uuid": f"GPU-{position:036x}",
                "index": position,
                "process_list": [dict(process) for _ in range(8)],
                "job": [{"id": "4711", "name": "N" * 20, "uid": 70000, "since": 0}],
            },
            {
                "fan": tuple(Part({"{#FAN}": str(fan)}, {"speed": 30, "rpm": 3000}, ()) for fan in range(3)),
                "mig": tuple(mig(position, number, "1g.10gb", **instance) for number in range(7)),
                "link": tuple(link(number) for number in range(18)),
            },
            (),
            (),
        )
        for position in range(count)
    ]
    return Collection(status.OK, "", {}, count, every, [], [], {70000: "somebody"}, "oneshot", 0.1)


def link(number: int) -> Part:
    counters = dict.fromkeys(("recoveries", "replays", "crc", "receive_errors", "effective_errors"), 123456)
    carried = dict.fromkeys(("sent", "received"), 10**16)  # four months of a link at 90 %
    return Part({"{#LINK}": str(number)}, {"up": 1, "version": 6, "speed": 26562000000, **carried, **counters}, ())


def present(made: dict[str, Any]) -> set[str]:
    """Groups of which the first GPU still has a reading."""
    keys = next(iter(made["gpus"].values())).keys()
    return {metric.group for metric in READABLE if metric.key in keys}


@pytest.mark.slow
def test_too_large_a_document_sheds_the_least_needed_groups_first() -> None:
    size = len(render(document.build(many(6)), limit=10**9))
    # By group: the sections that go with it.
    sections = {entity.metrics[0].group: entity.section for entity in ENTITIES if entity.document == DOCUMENT}
    there = {metric.group for metric in READABLE} | {"mig", "users"}
    order = [*KEPT, *(group.name for group in GROUPS if not group.on)]
    groups = [group for group in order if group in there]
    seen = []
    whole = many(6)
    known = ""
    for limit in range(size - 1, 5000, -150):
        text = render(document.build(whole), limit)
        if text == known and len(text) <= limit:
            continue  # nothing more had to go
        known = text
        if '"left out' not in text:
            assert len(text) <= limit, "it suffices to list fewer processes"
            continue
        made = checked(text.encode() + b"\n").document
        left = present(made) | {group for group, section in sections.items() if section in made}
        kept = [group for group in groups if group in left]
        shed = groups[len(kept) :]
        assert kept == groups[: len(kept)]
        assert shed
        assert {problem["metric"] for problem in made["collector"]["errors"]} == set(shed)
        # What is off by default hardly anybody misses: no reason to alarm.
        labels = {group.label for group in GROUPS if group.on and group.name in shed}
        said = made["collector"]["left_out"]
        assert said.endswith("...") or set(filter(None, said.split(", "))) == labels
        assert bool(said) == bool(labels)
        assert made["collector"]["error_count"] == 0
        assert all("too large" in problem["message"] for problem in made["collector"]["errors"])
        assert ("fans" in made) == ("fan" in kept)
        assert len(text) <= limit or not kept
        for group, section in sections.items():
            if group in {"mig", "users", "fan"}:
                assert (section in made) == (section in made["discovery"]) == (group in kept)
        assert len(made["presence"]) == len(made["discovery"]["gpus"]) == 6
        seen.append(len(kept))
    assert set(seen) == set(range(len(groups)))


@pytest.mark.parametrize("count", [16, 24])
def test_large_hosts_fit_whole_in_what_a_program_prints(count: int) -> None:
    """Of an agent before 7.0, with all groups on."""
    made = document.build(many(count))
    text = render(made)
    assert len(text) < PRINTED_LIMIT == 524_288
    assert (made["collector"]["errors"], made["collector"]["left_out"]) == ([], "")


@pytest.mark.parametrize("count", [24, 40])
def test_in_a_file_of_64_kib_the_most_needed_readings_stay(count: int) -> None:
    made = document.build(many(count))
    text = render(made, FILE_LIMIT - 1)
    assert len(text) < FILE_LIMIT
    assert len(made["presence"]) == count
    assert made["collector"]["left_out"].startswith("GPM, ")
    assert present(made) >= {"health", "xid", "ecc"}


def test_the_order_of_what_is_kept_names_each_group() -> None:
    assert sorted(KEPT) == sorted(group.name for group in GROUPS if group.on)
    assert KEPT[:3] == ("health", "xid", "ecc")


def test_eight_divided_gpus_fit_whole() -> None:
    """All that the service has of an H100 and of seven instances each, busy to the last."""
    said = json.loads(path_of("h100-mig").read_text())
    (told,), (row,) = said["gpus"].values(), said["discovery"]["gpus"]
    lacks = tuple(token for token in row["{#LACKS}"].strip(",").split(",") if token in GPU_READERS)
    high = {"%": 99.99, "W": 699.99, "°C": 88, "Hz": 1980000000, "Bps": 12345678901.23, "unixtime": 1700000000}
    sampled = {
        metric.key: ",13,31,43," if metric.kind == metrics.CHAR else kind(high.get(metric.unit, 12345))
        for metric in SAMPLED_METRICS
        if metric.reader != "sampled_utilization"  # a divided GPU does not say it
        for kind in (float if metric.kind == metrics.FLOAT else int,)
    }
    gpus = [
        gpu._replace(
            readings={
                **told,
                **sampled,
                **{key: gpu.readings[key] for key in ("uuid", "index", "process_list", "job", "job_since")},
            },
            parts={"mig": gpu.parts["mig"]},
            lacks=(*lacks, "sampled_utilization"),
        )
        for gpu in many(8).gpus
    ]
    made = document.build(many(8)._replace(gpus=gpus))
    assert len(render(made, FILE_LIMIT - 1)) <= FILE_LIMIT
    assert made["collector"]["errors"] == []
    assert len(made["mig"]) == 56
    assert sum(len(gpu["process_list"]) for gpu in made["gpus"].values()) == 16
    assert {gpu["job"] for gpu in made["gpus"].values()} == {f"4711 {'N' * 20} (somebody)"}


def test_each_link_of_the_largest_hosts_fits() -> None:
    made = document.build_links(many(8))
    text = render(made)
    assert len(text) <= PRINTED_LIMIT
    assert made["collector"]["errors"] == []
    (entity,) = (entity for entity in ENTITIES if entity.document == LINKS_DOCUMENT)
    assert len(made["discovery"][entity.section]) == sum(map(len, made[entity.section].values())) == 144


def test_what_a_user_uses_is_known_in_whole_or_not_at_all() -> None:
    """A divided GPU does not tell it of its processes."""
    whole = {"pid": 1, "type": "C", "uid": 1, "utilization": 60}
    divided = {"pid": 2, "type": "C", "uid": 2, "mig": 3}
    gpus = [
        Gpu(0, "ok", {"uuid": "GPU-0", "process_list": [whole, {**whole, "pid": 3, "uid": 2}]}, {}, (), ()),
        Gpu(1, "ok", {"uuid": "GPU-1", "process_list": [divided, {**whole, "pid": 4, "utilization": 50}]}, {}, (), ()),
    ]
    made = document.build(Collection(status.OK, "", {}, 2, gpus, [], [], {}, "resident", 0.1))
    assert made["users"]["1"] == {"memory": 0, "processes": 2, "gpus": 2, "utilization": 110}
    assert made["users"]["2"] == {"memory": 0, "processes": 2, "gpus": 2}
    lacks = {row["{#USER}"]: row["{#LACKS}"] for row in made["discovery"]["users"]}
    assert lacks == {"1": ",,", "2": ",utilization,"}


def test_gpus_are_in_the_drivers_order_whichever_answers_first() -> None:
    found = many(3)
    late = found._replace(gpus=found.gpus[::-1])
    for build in (document.build, document.build_links):
        assert render(build(late, lambda: 0)) == render(build(found, lambda: 0))


def test_only_the_largest_processes_are_listed_and_all_count_for_their_users() -> None:
    def gpu(position: int, *entries: dict[str, Any]) -> Gpu:
        return Gpu(position, "ok", {"uuid": f"GPU-{position}", "process_list": list(entries)}, {}, (), ())

    sizes = range(1, 31)
    mine = [{"pid": size, "type": "C", "memory": size, "uid": 1, "age": 5} for size in sizes]
    theirs = {"pid": 99, "type": "G", "memory": 100, "uid": 2}
    unknown = {"pid": 98, "type": "G"}
    names = {1: "DOMAIN\\me"}
    found = Collection(status.OK, "", {}, 2, [gpu(0, *mine), gpu(1, theirs, unknown)], [], [], names, "oneshot", 0.1)
    made = document.build(found)
    shown = [entry for gpu in made["gpus"].values() for entry in gpu["process_list"]]
    assert sorted(entry["pid"] for entry in shown) == [*range(16, 31), 99]
    assert shown[0] == {"pid": 16, "type": "C", "memory": 16, "user": "DOMAIN_me"}
    assert made["users"] == {
        "DOMAIN_me": {"memory": sum(sizes), "processes": 30, "gpus": 1},
        "2": {"memory": 100, "processes": 1, "gpus": 1},
    }
    assert [row["{#USER}"] for row in made["discovery"]["users"]] == ["DOMAIN_me", "2"]


def test_order_of_answers_does_not_matter() -> None:
    found = many(3)
    again = found._replace(gpus=found.gpus[::-1])
    assert document.build(found, clock=lambda: 1.9) == document.build(again, clock=lambda: 1.9)
    assert document.build(found, clock=lambda: 1.9)["timestamp"] == 1


def test_slots_that_nobody_answers_for_are_named_with_the_lost() -> None:
    here = Gpu(0, "ok", {"uuid": "GPU-0", "index": 0, "pci": "00000000:0a:00.0"}, {}, (), ())
    gone = Gpu(1, "lost", {}, {}, (), (Problem("", "", 15, "GPU is lost"),))
    slots = ["00000000:0A:00.0", "00000000:0B:00.0"]
    found = Collection(status.OK, "", {}, 2, [here, gone], slots, [], {}, "oneshot", 0.1)
    assert document.build(found)["host"]["lost"] == "GPU 1: GPU is lost; slot 00000000:0B:00.0"
    well = found._replace(gpu_count=1, gpus=[here])
    assert document.build(well)["host"]["lost"] == ""


def test_not_a_number_never_becomes_json() -> None:
    found = many(1)
    found.gpus[0].readings["power"] = float("nan")
    with pytest.raises(ValueError, match="JSON"):
        render(document.build(found))


def test_nonsense_from_a_call_that_succeeded_is_not_well() -> None:
    """An error without a code of NVML's, as of a GPU count of 0xFFFFFFFF."""
    found = oneshot._result([Failed(0, "not a value: 4294967295")], 0.1, 2.5, closed=False)  # noqa: SLF001  no driver here counts so
    assert found.status == status.UNKNOWN
    assert "4294967295" in found.detail


def test_names_of_discovery() -> None:
    assert document.short("GPU-9bb1b5a4-5f6c-4965-adf0-ad165eee2b9b") == "9bb1b5a4"
    assert document.model("NVIDIA GeForce GTX 1070") == "GTX 1070"
    assert document.model("Tesla T4") == "Tesla T4"
    assert json.loads(render(document.build(many(1))))["discovery"]["gpus"][0]["{#LACKS}"] == ",,"


def test_the_rows_of_each_rule_differ_after_an_update(monkeypatch: pytest.MonkeyPatch) -> None:
    """By their first one. Zabbix discards rows that are as before, and the prototypes of the update would wait."""
    before = document.build(many(8))["discovery"]
    monkeypatch.setattr(document, "__version__", "99.0")
    after = document.build(many(8))["discovery"]
    assert {"gpus", "mig", "users"} <= {section for section, rows in after.items() if rows}
    for section, rows in after.items():
        assert [row.get("{#VERSION}") for row in rows] == [*["99.0"][: len(rows)], *[None] * (len(rows) - 1)]
        assert rows[1:] == before[section][1:]
        assert not rows or rows[0] != before[section][0]


def card(position: int, **readings: Any) -> Gpu:
    identity = {
        "uuid": f"GPU-{position:08x}",
        "index": position,
        "name": "NVIDIA X",
        "pci": f"00000000:0{position}:00.0",
    }
    return Gpu(position, "ok", {**identity, **readings}, {}, (), ())


def made_of(*cards: Gpu) -> dict[str, Any]:
    return document.build(many(1)._replace(gpus=list(cards), gpu_count=len(cards)))


def test_what_the_gpus_of_a_host_are_together() -> None:
    busy = {"utilization": 50, "power": 100.25, "memory_used_percent": 60.0, "temperature_headroom": 20}
    held = {"utilization": 0, "power": 20.5, "memory_used_percent": 10.01, "temperature_headroom": 7}
    free = {"utilization": 0, "power": 10.0, "memory_used_percent": 10.0}
    host = made_of(card(0, **busy), card(1, **held), card(2, **free), card(3, memory_used_percent=99.0))["host"]
    totals = {key: host[key] for key in ("utilization", "power", "temperature_headroom", "gpus_held_idle")}
    assert totals == {"utilization": 16.67, "power": 130.75, "temperature_headroom": 7, "gpus_held_idle": 1}
    assert not {"utilization", "power", "temperature_headroom", "gpus_held_idle"} & made_of(card(0))["host"].keys()


def test_gpus_that_name_the_imex_domain_are_counted_for_the_host() -> None:
    host = made_of(card(0, recovery_action=5), card(1, recovery_action=0), card(2, recovery_action=5), card(3))["host"]
    assert host["gpus_imex"] == 2
    assert "gpus_imex" not in made_of(card(0))["host"]


def test_gpus_with_errors_of_applications_are_counted_for_the_host() -> None:
    recent = (",", ",13,", ",48,31,", ",113,310,")
    host = made_of(*(card(place, xid_recent=codes) for place, codes in enumerate(recent)))["host"]
    assert host["xid_application_gpus"] == 2
    assert "xid_application_gpus" not in made_of(card(0))["host"]


def test_held_is_what_the_alert_on_idle_gpus_takes_for_held() -> None:
    """The collector imports no macros: each poll would pay for them."""
    (macro,) = (macro for macro in MACROS if macro.name == "$NVIDIA.IDLE.MEMORY")
    assert float(macro.value) == document._HELD  # noqa: SLF001  it is written a second time there


def test_the_place_of_a_card_is_said_as_far_as_it_is_known() -> None:
    """GeForce cards all report module 1 and have no serial number; a T4 reports module 0.

    A number that two cards have is no place.
    """
    geforce, t4 = {"module_id": 1}, {"module_id": 0, "serial": "17"}
    places = [
        (row["{#SLOT}"], row["{#PLACE}"])
        for cards in (
            (card(0, **geforce), card(1, **geforce)),
            (card(0, **t4),),
            (card(0, module_id=1, serial="17"), card(1, module_id=1, serial="18")),
            (card(0, module_id=3, serial="17"), card(1, module_id=4, serial="18", chassis_serial="C", tray=2)),
        )
        for row in made_of(*cards)["discovery"]["gpus"]
    ]
    assert places == [
        ("none", "00000000:00:00.0"),
        ("none", "00000000:01:00.0"),
        ("none", "00000000:00:00.0, serial number 17"),
        ("none", "00000000:00:00.0, serial number 17"),
        ("none", "00000000:01:00.0, serial number 18"),
        ("module 3", "00000000:00:00.0, module 3, serial number 17"),
        ("chassis C, tray 2, module 4", "00000000:01:00.0, chassis C, tray 2, module 4, serial number 18"),
    ]
