"""Reading a file that another user can write or replace: the service's document, a log, the key of an agent.

Such a user can make it a FIFO, which blocks whoever opens it, a link to a file of others or to a device without end, or
a file that fills the memory. Whoever reads it may be root.
"""

# Without `from __future__ import annotations`: typing would compile the text of each annotation at each poll.
import errno
import os
import stat

LARGEST = 16 << 20  # bytes, unless the caller gives another limit
_CHUNK = 1 << 20


def read(path: "str | os.PathLike[str]", limit: int = LARGEST, *, links: bool = False, tail: int = 0) -> bytes:
    """The contents of a regular file.

    Args:
        path: Of the file.
        limit: How many bytes it may have.
        links: Whether the last part of the path may be a link: what an administrator configures may be one.
        tail: How many bytes of its end are wanted; 0 for all. Then there is no limit to its size.

    Raises:
        OSError: It cannot be read, is not a regular file, or is too large.
    """
    return read_with(path, limit, links=links, tail=tail)[0]


def read_with(
    path: "str | os.PathLike[str]", limit: int = LARGEST, *, links: bool = False, tail: int = 0
) -> "tuple[bytes, os.stat_result]":
    """The same, with what the kernel knows of the file that was read: its owner, mode and times."""
    name = os.fspath(path)
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY | (0 if links else os.O_NOFOLLOW)
    descriptor = os.open(name, flags)
    try:
        about = os.fstat(descriptor)
        if stat.S_ISDIR(about.st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), name)
        if not stat.S_ISREG(about.st_mode):
            raise OSError(errno.EINVAL, "not a regular file", name)
        if tail:
            os.lseek(descriptor, max(0, about.st_size - tail), os.SEEK_SET)
        return _all(descriptor, tail or limit, name, cut=bool(tail)), about
    finally:
        os.close(descriptor)


def _all(descriptor: int, limit: int, name: str, *, cut: bool) -> bytes:
    data = bytearray()
    while len(data) <= limit:
        # Not by its size: it may grow meanwhile, and files of the kernel have none.
        chunk = os.read(descriptor, min(_CHUNK, limit + 1 - len(data)))
        if not chunk:
            return bytes(data)
        data += chunk
    if cut:
        return bytes(data[:limit])
    raise OSError(errno.EFBIG, f"larger than {limit} bytes", name)
