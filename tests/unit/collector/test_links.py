"""NVLinks one by one: the second document."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.unit.collector.collector import CLOCK, Poll, collect

if TYPE_CHECKING:
    from tests.conftest import MachineFactory


def test_links_of_a_node(machine: MachineFactory) -> None:
    node = machine("h100x8", clock=CLOCK + 5000)
    node.set("gpu 2", {"nvlink_state.7": 0, "nvlink_crc_flit_errors.7": 3, "nvlink_crc_data_errors.7": 4})
    answer = collect(node.env, command="links")
    whole = collect(node.env).by_index
    assert answer.code == 0
    assert [len(links) for links in answer.document["links"].values()] == [18] * 8
    assert len(answer.document["discovery"]["links"]) == 144
    links = answer.document["links"][whole[2]["uuid"]]
    assert sum(link["up"] for link in links) == whole[2]["nvlink_up"] == 17
    assert links[7] | {"up": 0, "crc": 7} == links[7]
    assert links[0]["speed"] == 26_562_000_000
    for key, total in (("sent", "nvlink_sent"), ("received", "nvlink_received"), ("crc", "nvlink_crc")):
        assert sum(link[key] for link in links) == pytest.approx(whole[2][total], rel=1e-9)
    assert "gpus" not in answer.document
    assert "presence" not in answer.document


def test_nvlink_5_counts_for_each_link_alone(machine: MachineFactory) -> None:
    node = machine("b200x8", clock=CLOCK + 5000)
    node.set("gpu 0", {"field.219": "UNSIGNED_LONG_LONG 2 * scope", "field.214.3": "UNSIGNED_LONG_LONG 1"})
    whole = collect(node.env).by_index[0]
    assert whole["nvlink_effective_errors"] == 2 * sum(range(18))
    assert whole["nvlink_recoveries_failed"] == 1
    assert whole["nvlink_sent"] > 0
    answer = collect(node.env, command="links")
    links = answer.document["links"][whole["uuid"]]
    assert [link["effective_errors"] for link in links] == [2 * link for link in range(18)]
    assert sum(link["sent"] for link in links) == pytest.approx(whole["nvlink_sent"], rel=1e-9)
    assert "replays" in answer.document["discovery"]["links"][0]["{#LACKS}"]


@pytest.mark.parametrize("link", [0, 17])
def test_a_link_that_is_down_leaves_no_sum_that_would_jump(machine: MachineFactory, link: int) -> None:
    """And the card does not lack it: its items stay, without a value until all links count again."""
    node = machine("b200x8", clock=CLOCK + 5000)
    node.set("gpu 0", {"nvlink_state." + str(link): 0})
    down = {f"field.{field}.{link}": "!NOT_SUPPORTED" for field in (202, 204, 208, 214, 215, 219)}
    node.set("gpu 0", down)
    answer = collect(node.env)
    sums = {"nvlink_sent", "nvlink_received", "nvlink_receive_errors", "nvlink_effective_errors", "nvlink_recoveries"}
    assert not sums & answer.by_index[0].keys()
    assert not sums & answer.lacks(0)
    assert sums <= answer.by_index[1].keys()
    assert answer.by_index[0]["nvlink_up"] == 17
    assert answer.errors == []


def test_machines_without_links_or_without_a_driver(machine: MachineFactory) -> None:
    answer = collect(machine("t4").env, command="links")
    assert answer.document["links"] == {}
    assert answer.document["discovery"] == {"links": []}
    gone = machine("h100x8")
    gone.set("machine", state="no_driver")
    answer = collect(gone.env, command="links")
    assert answer.code == 9
    assert answer.document["discovery"] == {}


def test_a_lost_gpu_and_one_that_hangs(machine: MachineFactory) -> None:
    node = machine("h100x8")
    node.set("gpu 3", state="lost")
    answer = collect(node.env, command="links")
    assert len(answer.document["links"]) == 7
    assert len(answer.errors) == 1
    assert len(answer.document["discovery"]["links"]) == 7 * 18


def test_a_gpu_that_does_not_say_who_it_is_harms_no_other(machine: MachineFactory) -> None:
    node = machine("h100x8")
    node.set("gpu 3", uuid="!NOT_SUPPORTED")
    answer = collect(node.env, command="links")
    assert answer.code == 0
    assert len(answer.document["links"]) == 7


def test_both_documents_can_be_made_at_once(machine: MachineFactory) -> None:
    """Each has a lock of its own: an agent asks for both in the same second."""
    slow = machine("h100x8")
    slow.set("gpu *", name="!SLOW(0.2) NVIDIA H100")
    polls = [Poll(slow.env), Poll(slow.env, command="links")]
    assert [poll.answer().code for poll in polls] == [0, 0]
