"""One collection, by a process that can always leave.

A call into the driver can hang in the kernel, and then no signal ends the process that made it. With such a call in
the agent's own child, three polls silence a whole zabbix_agentd: it waits for a pipe that never closes. So `run` forks;
the child gets its streams from /dev/null, reads the driver, and hands over what it has by a pipe of its own; the parent
waits until the deadline and leaves, whatever the child does. It never kills it: SIGKILL in the middle of a call has
frozen GPUs. A child that hangs holds a lock, so that there is never more than one.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import time
from typing import TYPE_CHECKING

from zbx_nvidia.catalog import status as states
from zbx_nvidia.collector.document import Collection, Problem, failed
from zbx_nvidia.collector.protocol import (
    CHUNK,
    AllAsked,
    Broken,
    Done,
    Failed,
    GpuRead,
    HostRead,
    Receiver,
    Sender,
    Stuck,
)
from zbx_nvidia.kernel import proc

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from zbx_nvidia.catalog.status import Status
    from zbx_nvidia.collector.protocol import Message

# zabbix_agentd gives a UserParameter 3 s (Timeout=3); half a second is left for a machine under load.
DEADLINE = 2.5
_STREAMS = 3  # standard input, output and error
_NEVER_THE_START = 3600.0
_AGENTS = {b"zabbix_agentd", b"zabbix_agent2"}
_PAUSE = 0.002  # s


def run(deadline: float = DEADLINE, *, links: bool = False, age: float | None = None) -> Collection:
    """Collect once.

    Args:
        deadline: In s, counted from the start of the process.
        links: Whether to read the NVLinks one by one, and nothing else.
        age: Of the process, in s, for one that collects again and again; None for what is true.

    Returns:
        What was found until the deadline. Never raises for anything that the driver does.
    """
    started = time.monotonic() - (process_age() if age is None else age)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        _child(writing, links=links)
    os.close(writing)
    try:
        return _listen(reading, started, deadline, child)
    finally:
        os.close(reading)
        if _first_process_is_an_agent():
            _wait_for(child, started + deadline)


def process_age() -> float:
    """Seconds since this process was started, from /proc; 0 where that cannot be had."""
    try:
        age = proc.age(proc.fields_of("/proc/self"))
    except (OSError, ValueError, IndexError):
        return 0.0
    # In a container whose clocks were shifted the two do not agree; then the deadline counts from here.
    return age if 0 <= age < _NEVER_THE_START else 0.0


# -- the parent ------------------------------------------------------------------------------------------------------


def _first_process_is_an_agent() -> bool:
    """Whether a process without a parent becomes a child of a Zabbix agent, as in a container without an init.

    Seen: zabbix_agentd 6.0 exits when such a child ends ("One child process died"), and others leave it a zombie.
    """
    try:
        return proc.name_of("/proc/1") in _AGENTS
    except OSError:  # no /proc, or hidden from us: an agent of such a container would be ours to see
        return False


def _wait_for(child: int, until: float) -> None:
    """Wait until the child has ended, or until a moment of the monotonic clock."""
    with contextlib.suppress(ChildProcessError):  # whoever started us has children of his reaped by the kernel
        while os.waitpid(child, os.WNOHANG) == (0, 0) and time.monotonic() < until:
            time.sleep(_PAUSE)


def _listen(pipe: int, started: float, deadline: float, child: int = 0) -> Collection:
    """Take messages until the child closes the pipe or the time is over."""
    receiver = Receiver()
    messages: list[Message] = []
    closed = False
    while not closed:
        # What has come in time counts, though a busy machine has let us run only after the deadline.
        left = max(0.0, started + deadline - time.monotonic())
        if not select.select([pipe], [], [], left)[0]:
            break
        chunk = os.read(pipe, CHUNK)
        closed = not chunk
        messages += receiver.feed(chunk)
        if _is_done(messages):
            break
    duration = time.monotonic() - started
    late = not closed and not _is_done(messages)
    return _result(messages, duration, deadline, closed=closed, busy=late and _was_busy(child, duration))


def _was_busy(child: int, duration: float) -> bool:
    """Whether the machine had no time for the child, or for us."""
    from zbx_nvidia.collector.scheduling import waited_for_processor  # noqa: PLC0415  few polls are late

    return waited_for_processor((os.getpid(), child), duration)


def _is_done(messages: list[Message]) -> bool:
    return bool(messages) and isinstance(messages[-1], Done)


def _result(
    messages: list[Message], duration: float, deadline: float, *, closed: bool, busy: bool = False
) -> Collection:
    if (failure := _failure(messages)) is not None:
        return failed(*failure, duration)
    host: HostRead | None = None
    users: dict[int, str] = {}
    for message in messages:
        if isinstance(message, HostRead):
            host = message
        elif isinstance(message, AllAsked):
            users = message.users
    gpus = [message.gpu for message in messages if isinstance(message, GpuRead)]
    done = _is_done(messages)
    status, detail = states.OK, ""
    if not done and closed:
        status, detail = states.COLLECTOR_FAILED, "The process that reads the driver died: no answer"
    elif not done:
        status, detail = states.HOST_BUSY if busy else states.DEADLINE_EXCEEDED, f"No answer in {deadline:g} s"
    if host is None:
        return failed(status, detail, duration)
    if status is not states.OK:
        silent = sorted(set(range(host.gpu_count)) - {gpu.position for gpu in gpus})
        detail += " from " + ", ".join(f"GPU {index}" for index in silent) if silent else ""
    return Collection(
        status=status,
        detail=detail,
        host=dict(host.versions),
        gpu_count=host.gpu_count,
        gpus=gpus,
        slots=host.slots,
        problems=host.problems,
        users=users,
        mode="oneshot",
        duration=duration,
        spent=host.spent,
    )


def _failure(messages: list[Message]) -> tuple[Status, str] | None:
    """Why nothing was read, as the child reports it."""
    for message in messages:
        if isinstance(message, Stuck):
            return states.STILL_STUCK, ""
        if isinstance(message, Failed):
            return states.of_error(message.code), f"NVML error {message.code}: {message.message}"
        if isinstance(message, Broken):
            return states.COLLECTOR_FAILED, message.message
    return None


# -- the child -------------------------------------------------------------------------------------------------------


def _child(pipe: int, *, links: bool) -> None:
    """Read the driver and leave without a trace of the parent's state. Never returns."""
    try:
        pipe = let_go(pipe)
        sender = Sender(pipe)
        try:
            # Here and not above: the parent must not pay for pynvml, and must not have it loaded. And before the lock,
            # which is to be held for a moment only: on a busy host the import takes longer than another would wait.
            from zbx_nvidia.collector import lock  # noqa: PLC0415
            from zbx_nvidia.collector.collect import collect, read_links, read_once  # noqa: PLC0415

            held = lock.take("links" if links else "get")
            if held is None:
                sender.send(Stuck())
            else:
                collect(_with(sender, held.remark), read_links if links else read_once)
        except BaseException as error:  # noqa: BLE001  a traceback would go nowhere: the streams are closed
            sender.send(Broken(f"{type(error).__name__}: {error}"))
        sender.send(Done())
    finally:
        # No nvmlShutdown: leaving closes every device, and it could hang with nobody left to report it.
        os._exit(0)


def _with(sender: Sender, remark: str) -> Callable[[Message], None]:
    """Sends messages, with a remark among the problems of the host."""

    def send(message: Message) -> None:
        if remark and isinstance(message, HostRead):
            message = message._replace(problems=[*message.problems, Problem("", "lock", 0, remark)])
        sender.send(message)

    return send


def let_go(pipe: int) -> int:
    """Keep nothing of the agent's that would outlive a hanging call.

    A session of its own keeps the agent's kill of the process group on timeout away from a call in the kernel. The
    agent's listening socket, inherited through its shell, would keep its port taken after a restart.

    Returns:
        The pipe, which is not one of the standard streams: it was when the caller had closed some of them.
    """
    os.setsid()
    os.chdir("/")
    pipe = fcntl.fcntl(pipe, fcntl.F_DUPFD_CLOEXEC, _STREAMS)
    for stream, null in enumerate(_nowhere()):
        os.dup2(null, stream)
    for descriptor in _open_files():
        if descriptor >= _STREAMS and descriptor != pipe:
            # One of them was that of the listing itself.
            with contextlib.suppress(OSError):
                os.close(descriptor)
    return pipe


def _nowhere() -> tuple[int, ...]:
    """Descriptors for the standard streams: nothing to read, and nobody who reads."""
    try:
        null = os.open(os.devnull, os.O_RDWR)
    except OSError:
        # A chroot or container without /dev: a pipe without another end does as well.
        reading, writing = os.pipe()
        return (reading, writing, writing)
    return (null,) * _STREAMS


def _open_files() -> Iterable[int]:
    """What is open, and not all that could be: closing 65,536 descriptors one by one costs 5 ms.

    Python does that where glibc is older than 2.34 (RHEL 8).
    """
    try:
        return [int(name) for name in os.listdir("/proc/self/fd")]
    except OSError:  # no /proc
        return range(_STREAMS, os.sysconf("SC_OPEN_MAX"))


def ends(what: str, patience: float) -> bool:
    """Whether no collection of a kind and of this installation runs on this host, or is over in time.

    Args:
        what: `get` or `links`.
        patience: In s.
    """
    from zbx_nvidia.collector import lock  # noqa: PLC0415  the parent of a poll does without

    held = lock.take(what, patience, anybody=True)
    if held is None:
        return False
    held.close()
    return True
