"""Who except root can change or replace a file."""

from __future__ import annotations

import grp
import os
import pwd
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from zbx_nvidia.errors import HostError

if TYPE_CHECKING:
    from collections.abc import Iterator

LINKS = 40  # as many as the kernel follows
ACCESS_LIST = "system.posix_acl_access"


def changeable(path: Path) -> str:
    """Who except root can change or redirect a path, and the command against it; "" if nobody can.

    Parts of the path that do not exist are skipped. The user of this process counts as root.
    """
    try:
        target = path.resolve()
        for place in dict.fromkeys([*way(path), *reversed(target.parents), target]):
            if os.path.lexists(place) and (who_and_fix := writer(place, place.lstat(), os.geteuid())):
                who, fix = who_and_fix
                return f"{place} is writable by {who}: {fix}"
    except PermissionError:
        # Root can look anywhere. A user who cannot look here can run and change nothing here.
        return ""
    except (HostError, OSError, RuntimeError) as error:
        return f"{path}: {error}"
    return ""


def writer(path: Path, about: os.stat_result, me: int = 0) -> tuple[str, str] | None:
    """Who except root can write to one file or directory, and the command against it."""
    mode = about.st_mode
    # Only a user who can write to the directory of a link can redirect it.
    if stat.S_ISLNK(mode):
        return None
    # In a directory such as /tmp nobody can rename what root owns.
    sticky = stat.S_ISDIR(mode) and mode & stat.S_ISVTX
    if about.st_uid not in {0, me}:
        return f"its owner {owner(about.st_uid)}", f"chown root {path}"
    if mode & stat.S_IWOTH and not sticky:
        return "everybody", f"chmod o-w {path}"
    if mode & stat.S_IWGRP and not sticky and (members := _members(about.st_gid, me)):
        return f"{members[0]}, of its group {about.st_gid}", f"chmod g-w {path}"
    # With an access list, the group bits are the most that any of its users gets.
    if mode & stat.S_IWGRP and not sticky and _has_list(path):
        return "users of its access list", f"setfacl -b {path}"
    return None


def _has_list(path: Path) -> bool:
    """Whether a file has a POSIX access list."""
    try:
        return bool(os.getxattr(path, ACCESS_LIST, follow_symlinks=False))
    except OSError:  # none, or a file system without any
        return False


def way(path: Path) -> Iterator[Path]:
    """A path and its parents, from the top, through every link."""
    for number in range(LINKS):
        places = [*reversed(path.parents), path]
        link = next((place for place in places if place.is_symlink()), None)
        yield from places if link is None else places[: places.index(link) + 1]
        if link is None:
            return
        rest = path.relative_to(link)
        path = Path(os.path.normpath(link.parent / link.readlink() / rest))
        if number == LINKS - 1:
            raise HostError(f"{path}: too many links in a row")


def owner(uid: int) -> str:
    """The name of a user, or the number if it has no name."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _members(gid: int, me: int) -> list[str]:
    """Members of a group except root. Debian's `staff`, which can write to /usr/local, has none."""
    try:
        listed = grp.getgrgid(gid).gr_mem
    except KeyError:
        listed = []
    first = [entry.pw_name for entry in pwd.getpwall() if entry.pw_gid == gid]
    return sorted({*listed, *first} - {"root", owner(me)})
