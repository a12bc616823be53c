"""Rewrites the documents in this folder from what the collector says now: `python -m tests.golden.update`.

The difference is what a reviewer reads.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from tests.conftest import REPOSITORY, SIMULATOR, Machine
from tests.golden.documents import GOLDEN, PROFILES, frozen, orphans, path_of
from tests.unit.collector.collector import CLOCK, get


def main() -> None:
    subprocess.run(["make", "-s", "-C", SIMULATOR], check=True)
    library = REPOSITORY / "build" / "simulator" / "libnvidia-ml.so.1"
    (GOLDEN / "links").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        for profile in PROFILES:
            copy = Path(folder) / f"{profile}.profile"
            copy.write_text((SIMULATOR / "profiles" / copy.name).read_text())
            env = Machine(copy, library, CLOCK).env
            path_of(profile).write_text(frozen(get(env).document))
            links = get(env, command="links").document
            if links["links"]:
                path_of(profile, links=True).write_text(frozen(links))
    for path in orphans():
        path.unlink()
    sys.stdout.write(f"{len(PROFILES)} documents written\n")


if __name__ == "__main__":
    main()
