"""The process of the job: started so that it notices nothing, and awaited so that whoever started us notices nothing.

It stays in our process group, as with time(1). So it has the terminal as it would have it without us, also in a
pipeline: what the terminal sends (Ctrl-C, Ctrl-Z, a new size) it gets from the kernel. What somebody sends to
us alone is passed on.
"""

from __future__ import annotations

import errno
import os
import signal
import time
from typing import TYPE_CHECKING, NamedTuple, NoReturn

from zbx_nvidia.errors import ZbxNvidiaError
from zbx_nvidia.jobs import tree

if TYPE_CHECKING:
    from collections.abc import Sequence

_SHELL = "/bin/sh"  # runs a script without a first line that names its interpreter
_NOT_FOUND, _NOT_ALLOWED = 127, 126  # exit codes of a shell
_BY_SIGNAL = 128  # and of a command that a signal has ended, less the signal's number
_ERRNO = 4  # bytes
_WAKE = 0.2  # s between two looks whether a stopped job runs again
# SIGKILL and SIGSTOP cannot be passed on. The others come from a fault of ours, or have no meaning for a job.
_OURS = frozenset({
    signal.SIGKILL, signal.SIGSTOP, signal.SIGCHLD, signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL,
    signal.SIGABRT, signal.SIGTRAP, signal.SIGSYS, signal.SIGPIPE, signal.SIGTTIN, signal.SIGTTOU,
})  # fmt: skip
_PASSED = frozenset(signal.valid_signals()) - _OURS
_HEARD = _PASSED | {signal.SIGCHLD}


class NotStartedError(ZbxNvidiaError):
    """The command could not be started."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class Ended(NamedTuple):
    """How the job ended.

    Attributes:
        code: Its exit code, as a shell has it.
        signal: Number of the signal that ended it; 0 for none.
        at: When, by the monotonic clock.
    """

    code: int
    signal: int
    at: float


class Job:
    """A started command. This process must have no other thread.

    Args:
        command: The program and its arguments.

    Attributes:
        pid: Of the command.
        started: When, by the monotonic clock.
        cpu: CPU time of what was waited for, in s.
        largest: Most memory of a single process that was waited for, in B; 0 if it was below `own`.
        own: Most memory of this process before it became the command, in B.
        helpers: Children of this process that do not belong to the job.

    Raises:
        NotStartedError: The command could not be started.
    """

    def __init__(self, command: Sequence[str]) -> None:
        self.helpers: frozenset[int] = frozenset()
        self.cpu = 0.0
        self.largest = 0
        self._ended: Ended | None = None
        self._interrupted = False  # by Ctrl-C
        before = signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, _HEARD)
        reading, writing = os.pipe()
        tree.adopt_orphans()
        self.started = time.monotonic()
        self.pid = os.fork()
        if self.pid == 0:
            _become(command, writing, mask, ignored=before == signal.SIG_IGN)
        os.close(writing)
        # The kernel counts as the largest memory of a process also what it had of us before it became the command.
        self.own = _peak_of_this_process()
        number = os.read(reading, _ERRNO)
        os.close(reading)
        if number:
            os.waitpid(self.pid, 0)
            raise _not_started(command[0], int.from_bytes(number, "big"))
        _leave_streams()

    def wait(self, seconds: float) -> Ended | None:
        """Wait at most so long, and do what signals ask for meanwhile.

        Returns:
            How the command has ended; None if it has not, or if this process was stopped with it meanwhile.
        """
        until = time.monotonic() + seconds
        while self._ended is None:
            came = signal.sigtimedwait(_HEARD, max(0.0, until - time.monotonic()))
            if came is None:
                return None
            if came.si_signo == signal.SIGCHLD:
                if self._look():
                    return self._ended
            elif came.si_signo == signal.SIGCONT:
                continue  # passed on where this process was stopped: later, it could undo the next Ctrl-Z
            elif came.si_signo == signal.SIGINT and not _is_sent(came.si_code):
                self._interrupted = True
            elif _is_sent(came.si_code) and not tree.descends(came.si_pid, os.getpid()):
                # One that the job has sent to the whole group has reached it already.
                os.kill(self.pid, came.si_signo)
        return self._ended

    def end_as_it(self) -> None:
        """End by the signal of Ctrl-C if the command did.

        The exit code is the same for a shell then. But a shell that runs a loop ends the loop only so.
        """
        if self._interrupted and self._ended is not None and self._ended.signal == signal.SIGINT:
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
            os.kill(os.getpid(), signal.SIGINT)

    def _look(self) -> bool:
        """Wait for children that have ended or were stopped; True if there is news for the caller."""
        news = False
        while True:
            try:
                pid, status, usage = os.wait4(-1, os.WNOHANG | os.WUNTRACED)
            except ChildProcessError:
                return news
            if not pid:
                return news
            if os.WIFSTOPPED(status):
                if pid == self.pid:
                    self._stop_too(os.WSTOPSIG(status))
                    news = True
                continue
            self._count(usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024, pid)
            if pid == self.pid:
                self._ended = _ended(status)
                news = True

    def _count(self, cpu: float, largest: int, pid: int) -> None:
        if pid in self.helpers:
            return
        self.cpu += cpu
        if largest > self.own:
            self.largest = max(self.largest, largest)

    def _stop_too(self, number: int) -> None:
        """Stop as the command has, so that the shell takes the terminal back; go on with it."""
        if not tree.is_stopped(self.pid):
            return  # it was continued meanwhile
        helper = _waker(self.pid)
        self.helpers |= {helper}
        os.kill(os.getpid(), number)
        if number in _PASSED:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {number})
            # Here it stops, and goes on after `fg`. Without a shell to go on by, the kernel drops the signal.
            signal.pthread_sigmask(signal.SIG_BLOCK, {number})
        # An old one would take the next stop for this one.
        os.kill(helper, signal.SIGKILL)
        # A shell continues the whole group, others perhaps this process alone. And it may be the next Ctrl-Z already.
        if tree.is_stopped(self.pid) and signal.SIGTSTP not in signal.sigpending():
            os.kill(self.pid, signal.SIGCONT)


def _become(command: Sequence[str], pipe: int, mask: set[int | signal.Signals], *, ignored: bool) -> NoReturn:
    """Be the command. Where that fails, the error's number goes into the pipe."""
    try:
        # Python ignores these two; the command would inherit it.
        for number in (signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(number, signal.SIG_DFL)
        if ignored:
            signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        try:
            os.execvp(command[0], list(command))  # noqa: S606  that is what the user wants
        except OSError as error:
            if error.errno != errno.ENOEXEC:
                raise
            os.execv(_SHELL, [_SHELL, _path_of(command[0]), *command[1:]])  # noqa: S606  as above
    except OSError as error:
        os.write(pipe, (error.errno or errno.EINVAL).to_bytes(_ERRNO, "big"))
    finally:
        os._exit(_NOT_FOUND)


def _path_of(name: str) -> str:
    import shutil  # noqa: PLC0415  hardly ever

    return shutil.which(name) or name


def _not_started(name: str, number: int) -> NotStartedError:
    if number in {errno.ENOENT, errno.ENOTDIR}:
        return NotStartedError(f"{name}: command not found", _NOT_FOUND)
    return NotStartedError(f"{name}: {os.strerror(number)}", _NOT_ALLOWED)


def _leave_streams() -> None:
    """Hold the command's input and output no longer: who is at the other end must notice when it closes them."""
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    for stream in (0, 1):
        os.dup2(null, stream)
    os.close(null)


def _ended(status: int) -> Ended:
    now = time.monotonic()
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        return Ended(_BY_SIGNAL + number, number, now)
    return Ended(os.WEXITSTATUS(status), 0, now)


def _is_sent(code: int) -> bool:
    """Whether a process has sent a signal, not the terminal: `si_code` is above 0 for what the kernel sends."""
    return code <= 0


def _waker(job: int) -> int:
    """A process that makes this one go on as soon as the job does, by whomever that was continued."""
    own = os.getpid()
    helper = os.fork()
    if helper:
        return helper
    try:
        os.setsid()
        while not tree.is_stopped(own):
            if not tree.is_stopped(job):
                os._exit(0)
            time.sleep(_WAKE / 20)
        while tree.is_stopped(own):
            if not tree.is_stopped(job):
                os.kill(own, signal.SIGCONT)
            time.sleep(_WAKE)
    finally:
        os._exit(0)


def _peak_of_this_process() -> int:
    import resource  # noqa: PLC0415  Windows has none

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
