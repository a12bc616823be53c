"""While the service of the host has released the driver, or hangs in it, a job's figures do without it."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import pytest

from zbx_nvidia.catalog.status import OK, RELEASED, STALLED
from zbx_nvidia.collector.resident import config
from zbx_nvidia.jobs.released import Released

if TYPE_CHECKING:
    from pathlib import Path

    from zbx_nvidia.catalog.status import Status


@pytest.fixture
def document(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(config, "PATH", str(tmp_path / "agent.conf"))
    (tmp_path / "agent.conf").write_text(f"document = {tmp_path}/document.json\n")
    return tmp_path / "document.json"


def write(path: Path, status: Status, age: float = 0.0) -> None:
    (new := path.with_suffix(".new")).write_text(
        json.dumps({"timestamp": int(time.time() - age), "status": {"code": status.code}})
    )
    new.replace(path)


def test_the_newest_document_decides(document: Path) -> None:
    released = Released()
    assert not released()
    for status, expected in ((RELEASED, True), (OK, False), (STALLED, True)):
        write(document, status)
        assert released() == expected
    assert released.why == "Stalled"
    document.unlink()
    assert not released()


def test_an_old_document_says_nothing(document: Path) -> None:
    write(document, RELEASED, age=1000)
    assert not Released()()


def test_garbage_says_nothing(document: Path) -> None:
    document.write_text("[")
    assert not Released()()
    (document.parent / "agent.conf").write_text("nonsense\n")
    assert not Released()()
