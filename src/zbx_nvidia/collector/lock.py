"""The lock that one collection of a kind and of this installation holds at a time on this host.

It is the name of a socket: nothing needs to be writable, nothing stays behind, and the kernel gives it back when the
process is gone. A lock on a file would not do: where the program lies on a network file system, flock() fails (NFS asks
for a file open for writing) or holds for the whole cluster (Lustre), and one stuck GPU would silence all.

Such a name has no permissions: any user can take it first, and so can a container that shares the network of the host.
So the kernel is asked who holds it. If that is another user, a name that nobody could guess takes its place, and every
name of ours on this host is looked at.
"""

# Without `from __future__ import annotations`: typing would compile the text of each annotation at each poll.
import _socket  # socket.socket costs 3 ms more, for what the standard library builds around this
import contextlib
import errno
import os
import time

WAIT = 0.3  # s; a collection that is still running, but not stuck: two servers may ask at the same time
_PAUSE = 0.01
_CREDENTIALS = 12  # bytes: PID, UID and GID
_NAMES = "/proc/net/unix"
_LARGEST = 8 << 20  # bytes of that list: a host has some thousand sockets
_LISTENS = "00010000"  # flag of a socket in that list
_RIVALS = 256  # names that are looked at; more, and somebody means harm


class Lock:
    """A lock that is held, as long as the object lives.

    Attributes:
        remark: Who holds the usual name, if it is another user; "" otherwise.
    """

    def __init__(self, held: _socket.socket, remark: str) -> None:
        self._held = held
        self.remark = remark

    def close(self) -> None:
        """Give it back."""
        self._held.close()


def take(what: str, patience: float = WAIT, *, anybody: bool = False) -> Lock | None:
    """Take the lock.

    Args:
        what: `get` or `links`.
        patience: How long to wait for it, in s.
        anybody: Whether it also counts if another user holds it.

    Returns:
        None if another collection of this user, or of root, holds it.
    """
    # Run from zbx-nvidia.pyz, this file is no file, but the archive is.
    program = os.stat(getattr(__spec__.loader, "archive", __file__))
    name = f"\0zbx-nvidia-agent/{what}/{program.st_dev}/{program.st_ino}"
    until = time.monotonic() + patience
    while True:
        if (held := _bound(name)) is not None:
            return Lock(held, "")
        holder, over = _holder(name), time.monotonic() >= until
        foreign = holder is None or not _is_ours(holder[1])
        # Root waits for the agent's user as for itself. And ours always listen, but for a moment.
        waits = not over and (holder is None or os.geteuid() == 0)
        if foreign and not anybody and not waits and (held := _bound_beside(name)) is not None:
            return Lock(held, _remark(holder))
        if over:
            return None
        time.sleep(_PAUSE)


def _remark(holder: tuple[int, int] | None) -> str:
    who = "another program" if holder is None else f"{_user(holder[1])} (process {holder[0]})"
    return f"{who} holds the lock of collections, and was not waited for"


def _is_ours(uid: int) -> bool:
    return uid in {0, os.geteuid()}


def _bound(name: str) -> _socket.socket | None:
    """A socket of this name that tells who has it; None if it is taken."""
    held = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC)
    try:
        held.bind(name)
        held.listen(64)
    except OSError as error:
        held.close()
        if error.errno != errno.EADDRINUSE:
            raise
        return None
    return held


def _holder(name: str) -> tuple[int, int] | None:
    """PID and UID of who holds a name, by the kernel's word; None if nobody does, or nobody listens."""
    asking = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC)
    try:
        asking.setblocking(False)
        asking.connect(name)
        word = asking.getsockopt(_socket.SOL_SOCKET, _socket.SO_PEERCRED, _CREDENTIALS)
    except BlockingIOError:
        # Its queue is full: of one that hangs for hours after some polls, or of another's at once.
        return _holder_in_proc(name)
    except OSError:
        return None
    finally:
        asking.close()
    return int.from_bytes(word[:4], "little"), int.from_bytes(word[4:8], "little")


def _holder_in_proc(name: str) -> tuple[int, int] | None:
    """The same from /proc, which shows the sockets of our own processes, and to root those of all."""
    inodes = {line.split()[6] for line in _sockets() if line.endswith(f" @{name[1:]}") and line.split()[3] == _LISTENS}
    links = {f"socket:[{inode}]" for inode in inodes}
    for pid in filter(str.isdigit, os.listdir("/proc")) if links else ():
        with contextlib.suppress(OSError):
            folder = f"/proc/{pid}/fd"
            if any(os.readlink(f"{folder}/{number}") in links for number in os.listdir(folder)):
                return int(pid), os.stat(f"/proc/{pid}").st_uid
    return None


def _bound_beside(name: str) -> _socket.socket | None:
    """A socket of a name that nobody could guess; None if another collection of ours has one."""
    held = _bound(f"{name}/{os.urandom(16).hex()}")
    if held is None:
        return None
    own = held.getsockname()
    for other in _names(name)[:_RIVALS]:
        holder = _holder(other)
        if other.encode() != own and holder is not None and _is_ours(holder[1]):
            held.close()
            # Two that begin at the same time both give way: not for the same time.
            time.sleep(os.urandom(1)[0] / 10_000)
            return None
    return held


def _names(prefix: str) -> list[str]:
    """Names of sockets on this host that begin so, but for the usual one."""
    wanted = f"@{prefix[1:]}/"
    names = {line.rpartition(" ")[2] for line in _sockets()}
    return ["\0" + name[1:] for name in sorted(names) if name.startswith(wanted)]


def _sockets() -> list[str]:
    """Lines of the kernel's list of sockets with names."""
    try:
        with open(_NAMES, encoding="ascii", errors="replace") as file:
            return file.read(_LARGEST).splitlines()
    except OSError:
        return []


def _user(uid: int) -> str:
    import pwd  # noqa: PLC0415  hardly ever

    try:
        return f"user {pwd.getpwuid(uid).pw_name}"
    except KeyError:
        return f"user {uid}"
