"""Links to an unpacked program and its manual pages, where shells and `man` look.

`man` looks beside the directories of PATH, and /opt/zbx-nvidia/bin is none of them. Each page is linked by itself:
other programs have pages in the same directories.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

from zbx_nvidia.errors import HostError

PREFIX = Path("/usr/local")
PROGRAM = "bin/zbx-nvidia"  # an agent runs zbx-nvidia-agent by its whole path
RECORD = ".links"  # in the target: the created links and directories


def check(target: Path, names: list[str]) -> None:
    """Refuse to replace what somebody else has put there.

    Args:
        target: The directory of the program.
        names: The files in it that get a link: below PREFIX, under the same name.

    Raises:
        HostError: It names the file.
    """
    for name in names:
        link = PREFIX / name
        if _exists(link) and not _is_ours(link, target):
            raise HostError(f"{link} is not a link into {target}: remove it, or omit --link; nothing was replaced")


def create(target: Path, names: list[str], *, dry_run: bool) -> tuple[Path, ...]:
    """Create the missing links. Returns them."""
    missing = tuple(PREFIX / name for name in names if not _exists(PREFIX / name))
    if dry_run:
        return missing
    folders: list[Path] = []
    try:
        for link in missing:
            new = [folder for folder in link.parents if not folder.exists()]
            link.parent.mkdir(parents=True, exist_ok=True)
            folders += reversed(new)
            link.symlink_to(target / link.relative_to(PREFIX))
    finally:
        # Those of an earlier version too, and one that somebody has made by hand.
        links = [PREFIX / name for name in names if _is_ours(PREFIX / name, target)]
        known = dict.fromkeys([*recorded(target), *folders, *links])
        (target / RECORD).write_text("".join(f"{path}\n" for path in known), encoding="utf-8")
    return missing


def recorded(target: Path) -> list[Path]:
    """The links and directories that were created for this program."""
    try:
        return [Path(line) for line in (target / RECORD).read_text(encoding="utf-8").splitlines()]
    except FileNotFoundError:
        return []


def present(target: Path) -> list[Path]:
    """Those links that still lead to this program."""
    return [path for path in recorded(target) if _is_ours(path, target)]


def remove(target: Path) -> None:
    """Remove the links, and the directories that are empty then."""
    for link in present(target):
        link.unlink()
    for folder in reversed(recorded(target)):
        # Others may have put files there since.
        with contextlib.suppress(OSError):
            folder.rmdir()


def _exists(path: Path) -> bool:
    """Whether there is anything, even a link that leads nowhere."""
    return path.is_symlink() or path.exists()


def _is_ours(link: Path, target: Path) -> bool:
    return link.is_symlink() and target in link.resolve().parents
