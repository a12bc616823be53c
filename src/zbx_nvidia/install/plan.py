"""The plan of an installation: its steps, and the record of them."""

from __future__ import annotations

import os
import pwd
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from zbx_nvidia.errors import HostError
from zbx_nvidia.install import files, record
from zbx_nvidia.install.files import FileState
from zbx_nvidia.install.record import Entry, Record
from zbx_nvidia.install.steps import Action, File, Folder, KeyRemoval, NewKey

if TYPE_CHECKING:
    from collections.abc import Callable

    from zbx_nvidia.install.steps import Compile, Step


class InstallPlan:
    """The steps to do, and the record of what was done.

    Attributes:
        steps: In order.
        record: As it is after the steps.
        notes: Further lines for the user.
    """

    def __init__(self, known: Record, *, gone: bool = False) -> None:
        """An empty plan.

        Args:
            known: The record of earlier runs.
            gone: Whether nothing is installed after the steps.
        """
        self.steps: list[Step] = []
        self.record = known
        self.notes: list[str] = []
        self._known, self._gone = known, gone
        self._was_there = record.load() is not None
        self._compile: Compile | None = None
        self._planned: dict[Path, FileState | None] = {}
        self._folders: set[Path] = set()  # that are created

    def state(self, path: Path) -> FileState | None:
        """A file as it will be after the steps so far."""
        return self._planned[path] if path in self._planned else files.state(path)

    def folder(self, path: Path, of: str) -> None:
        """Create a directory and its parents."""
        for place in [*reversed(path.parents), path]:
            # Also if the record has it: a run may have been killed before it made it.
            if not place.is_dir() and place not in self._folders:
                self._folders.add(place)
                self.steps.append(Folder(place, make=True))
                self.record = self.record.with_entry(Entry(str(place), of, "folder"))

    def whole(self, path: Path, data: bytes, of: str, *, takes_over: Callable[[bytes], bool]) -> bool:
        """Write a file that is entirely ours.

        Args:
            path: The file.
            data: Its content.
            of: What it is for, as in `Entry`.
            takes_over: Whether an existing file that is not in the record may be replaced.

        Returns:
            Whether it changes.

        Raises:
            HostError: Somebody else changed it or made it.
        """
        files.refuse_others(path)
        if path.is_symlink():
            raise HostError(f"{path} is a link, and zbx-nvidia writes through no link: remove it, then run this again")
        now = self.state(path)
        entry = self.record.entry(path)
        # After a killed run it may still be the original.
        expected = now is None or entry is None or now == entry.original or files.digest(now.data) == entry.digest
        if not expected:
            raise HostError(
                f"{path} was changed by hand since zbx-nvidia wrote it: move your lines to a file of your own, "
                "remove this one, then run this again"
            )
        if now is not None and entry is None and not takes_over(now.data):
            raise HostError(f"{path} already exists and is not from zbx-nvidia: move it away, then run this again")
        after = FileState(data) if now is None else now._replace(data=data, mode=files.READABLE, uid=0, gid=0)
        if now == after and entry is not None:
            return False
        original = entry.original if entry else now
        if now != after:
            # Before the file, so that the directory is removed after it.
            self.folder(path.parent, of)
        self.record = self.record.with_entry(Entry(str(path), of, "whole", original, files.digest(data)))
        if now == after:
            # From a manual installation: there is nothing to write, but it is in the record from now on.
            return False
        self._file(path, now, after, [], [f"| {line}" for line in data.decode().splitlines()])
        return True

    def lines(self, path: Path, of: str, edit: Callable[[bytes], tuple[bytes, files.Edit]]) -> None:
        """Change a line of somebody else's file."""
        path = path.resolve()
        files.refuse_others(path)
        now = self.state(path)
        if now is None:
            raise HostError(f"{path} no longer exists")
        data, change = edit(now.data)
        if data == now.data:
            # Another agent that reads the file has the same change.
            return
        entry = self.record.entry(path)
        edits = entry.edits if entry else ()
        same = next((number for number, known in enumerate(edits) if known.new == change.old), None)
        if same is None:
            edits = (*edits, change)
        else:
            # The line was changed before: on removal it gets back its first form.
            edits = (*edits[:same], change._replace(old=edits[same].old, glued=edits[same].glued), *edits[same + 1 :])
        self.record = self.record.with_entry(Entry(str(path), of, "lines", edits=edits))
        shown = [f"+ {change.new.strip()}"]
        self._file(
            path,
            now,
            now._replace(data=data),
            shown if change.old is None else [f"- {change.old.strip()}", *shown],
        )

    def key(self, path: Path, user: str, of: str, make: Callable[[], str]) -> None:
        """Create a key that only one user can read."""
        files.refuse_others(path)
        entry = pwd.getpwnam(user)
        self.folder(path.parent, of)
        self.steps.append(NewKey(path, entry.pw_uid, entry.pw_gid, make))
        self.record = self.record.with_entry(Entry(str(path), of, "key"))

    def compile(self, step: Compile) -> None:
        """Compile modules."""
        self._compile = step
        self.steps.append(step)

    @property
    def has_news(self) -> bool:
        """Whether the record changes."""
        return self._gone or self.record != self._known or any(step.lines() for step in self.steps)

    def before(self) -> Step:
        """Record all steps before the first one, so that even a killed run can be undone."""
        both = self.record
        for entry in self._known.entries:
            both = both if both.entry(Path(entry.path)) else both.with_entry(entry)
        for entry in self._to_compile():
            both = both if both.entry(Path(entry.path)) else both.with_entry(entry)
        both = replace(
            both,
            users=tuple({*self._known.users, *both.users}),
            enabled=both.enabled or self._known.enabled,
        )
        old = self._known if self._was_there else None
        return Action([], lambda: record.save(both), lambda: record.save(old))

    def _to_compile(self) -> list[Entry]:
        caches = [cache for _, cache in self._compile.missing] if self._compile else []
        folders = sorted({cache.parent for cache in caches if not cache.parent.is_dir()})
        return [
            *(Entry(str(path), "program", "folder") for path in folders),
            *(Entry(str(path), "program", "compiled") for path in caches),
        ]

    def after(self) -> Step:
        """Record what was done."""
        return Action([], lambda: record.save(None if self._gone else self._done()))

    def _done(self) -> Record:
        entries = []
        for entry in self.record.entries:
            # It may come from a run that was killed before it made the key.
            new = entry.kind == "key" and not entry.mark and os.path.lexists(entry.path)
            entries.append(replace(entry, mark=Path(entry.path).lstat().st_mtime_ns) if new else entry)
        if self._compile:
            compiled = [Entry(str(path), "program", "folder") for path in self._compile.folders]
            compiled += [Entry(str(path), "program", "compiled") for path in self._compile.compiled]
            # Those of a killed run are in the record already.
            entries += [entry for entry in compiled if self.record.entry(Path(entry.path)) is None]
        return replace(self.record, entries=tuple(entries))

    def remove(self, entries: list[Entry]) -> set[Path]:
        """Plan to undo entries of the record, except what was changed by hand.

        Returns:
            The files that change, and the configurations that they are for.
        """
        touched: set[Path] = set()
        for entry in reversed(entries):
            before = len(self.steps)
            self._remove(entry)
            if len(self.steps) > before and entry.kind != "folder":
                touched |= {Path(entry.path).resolve(), Path(entry.of).resolve()}
        self.record = self.record.without(*entries)
        return touched

    def _remove(self, entry: Entry) -> None:
        path = Path(entry.path)
        if entry.kind == "folder":
            if path.is_dir():
                self.steps.append(Folder(path, make=False))
        elif entry.kind == "key":
            self._remove_key(path, entry)
        elif entry.kind == "compiled":
            if (now := self.state(path)) is not None:
                self._file(path, now, None, [])
        elif entry.kind == "lines":
            self._remove_lines(path, entry)
        else:
            self._remove_file(path, entry)

    def _remove_lines(self, path: Path, entry: Entry) -> None:
        now = self.state(path)
        if now is None:
            return
        data, lost = files.reverted(now.data, entry.edits)
        for edit in lost:
            self.notes.append(f"{path}: kept, because it was changed by hand: the line that was {edit.new!r}")
        if data != now.data:
            shown = []
            for edit in (one for one in entry.edits if one not in lost):
                shown.append(f"- {edit.new.strip()}")
                shown += [] if edit.old is None else [f"+ {edit.old.strip()}"]
            self._file(path, now, now._replace(data=data), shown)

    def _remove_file(self, path: Path, entry: Entry) -> None:
        now = self.state(path)
        if now == entry.original:
            return
        if now is None:
            self.notes.append(f"{path}: not restored, because it was removed by hand")
        elif files.digest(now.data) != entry.digest:
            self.notes.append(f"{path}: kept, because it was changed by hand")
        else:
            self._file(path, now, entry.original, ["(as it was before)"] if entry.original else [])

    def _remove_key(self, path: Path, entry: Entry) -> None:
        try:
            about = path.lstat()
        except FileNotFoundError:
            return
        if entry.mark and about.st_mtime_ns != entry.mark:
            self.notes.append(f"{path}: kept, because it was changed by hand")
        else:
            self.steps.append(KeyRemoval(path))

    def _file(
        self,
        path: Path,
        before: FileState | None,
        after: FileState | None,
        changes: list[str],
        text: list[str] | None = None,
    ) -> None:
        merged = next((step for step in self.steps if isinstance(step, File) and step.path == path), None)
        if merged is not None:
            merged.after = after
            merged.changes += changes
        else:
            self.steps.append(File(path, before, after, changes, text or []))
        self._planned[path] = after


def readable_by(path: Path, user: str) -> bool:
    """Whether the permissions of a file let a user read it."""
    about, entry = path.stat(), pwd.getpwnam(user)
    groups = os.getgrouplist(user, entry.pw_gid)
    shift = 6 if about.st_uid == entry.pw_uid else 3 if about.st_gid in groups else 0
    return entry.pw_uid == 0 or bool(about.st_mode >> shift & 4)
