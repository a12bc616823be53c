"""The document of each simulated machine at one moment, without what differs from run to run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.conftest import SIMULATOR

if TYPE_CHECKING:
    from collections.abc import Iterable

GOLDEN = Path(__file__).parent
PROFILES = sorted(path.stem for path in (SIMULATOR / "profiles").glob("*.profile"))
REWRITE = "python -m tests.golden.update"


def path_of(profile: str, *, links: bool = False) -> Path:
    """Where the document is kept; that of the links is kept only of a machine that has some."""
    return (GOLDEN / "links" if links else GOLDEN) / f"{profile}.json"


def orphans(profiles: Iterable[str] = PROFILES, folder: Path = GOLDEN) -> list[Path]:
    """Documents of machines that are no more."""
    return [path for path in sorted(folder.rglob("*.json")) if path.stem not in set(profiles)]


def frozen(document: dict[str, Any]) -> str:
    """The document, laid out for a person who reviews a difference."""
    fixed = json.loads(json.dumps(document))
    fixed["timestamp"] = 0
    fixed["collector"] |= {"version": "VERSION", "duration": 0, "driver_time": 0, "driver_cpu": 0}
    for kind in fixed["discovery"].values():
        if kind:
            assert kind[0]["{#VERSION}"] == document["collector"]["version"]
            kind[0]["{#VERSION}"] = "VERSION"
        for row in kind:
            row["{#LACKS}"] = row["{#LACKS}"].replace(",job,", ",")
    for gpu in fixed.get("gpus", {}).values():
        # A machine knows the processes of its GPUs. This one has no PID of a profile.
        gpu.pop("process_oldest", None)
        if "process_list" in gpu:
            gpu |= {"job": "", "job_since": 0}
    fixed.pop("users", None)
    fixed["discovery"].pop("users", None)
    return json.dumps(fixed, indent=2) + "\n"
