"""The files of the simulator need each other in one direction only."""

from __future__ import annotations

import re
from graphlib import CycleError, TopologicalSorter

import pytest

from tests.conftest import SIMULATOR


def test_no_file_needs_itself_through_others() -> None:
    """A source and its header are one: a header that leads to another source's header needs that source."""
    graph: dict[str, set[str]] = {}
    for path in SIMULATOR.glob("*.[ch]"):
        headers = re.findall(r'^#include "(\w+)\.h"$', path.read_text(encoding="utf-8"), re.MULTILINE)
        graph.setdefault(path.stem, set()).update(set(headers) - {path.stem})
    assert len(graph) > 10
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))
