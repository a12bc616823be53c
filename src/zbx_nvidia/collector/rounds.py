"""A process that reads what a job's figures need, whenever it is asked, and sends each GPU as it is read.

A call can hang in the kernel for ever. So this process shares nothing with the job that is measured: no terminal, no
stream, no process group. Nobody waits for it longer than he wants, and nobody ends it: SIGKILL in the middle of a call
has frozen GPUs. It leaves by itself when the other end of its socket is closed.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from zbx_nvidia.collector.oneshot import let_go
from zbx_nvidia.collector.protocol import NUMBER, AllAsked, Broken, Failed, GpuRead, HostRead, Sender

if TYPE_CHECKING:
    import socket

READERS = ("uuid", "energy", "power", "name", "utilization", "memory", "temperature", "throttling", "process_list")
READ_AT = "read_at"  # added to a GPU's readings: when they were taken, by the monotonic clock


def start(ours: socket.socket, theirs: socket.socket) -> int:
    """Start it.

    Args:
        ours: Numbers of rounds, each of `NUMBER` bytes, are written here; messages come back: for each round
            `HostRead`, a `GpuRead` for each GPU, and `AllAsked`. `Failed` or `Broken` is the last one.
        theirs: The other end, which is closed here.

    Returns:
        The process.
    """
    child = os.fork()
    if child == 0:
        ours.detach()
        _serve(theirs.detach())
    theirs.close()
    return child


def _serve(pipe: int) -> None:
    """Answer until nobody asks any more. Never returns."""
    try:
        pipe = let_go(pipe)
        sender = Sender(pipe)
        try:
            _answer(pipe, sender)
        except BaseException as error:  # noqa: BLE001  a traceback would go nowhere: the streams are closed
            sender.send(Broken(f"{type(error).__name__}: {error}"))
    finally:
        # No nvmlShutdown: leaving closes every device.
        os._exit(0)


def _answer(pipe: int, sender: Sender) -> None:
    # Only here: the process that waits for the job has no pynvml loaded.
    from zbx_nvidia.collector import sleeping  # noqa: PLC0415
    from zbx_nvidia.collector.collect import read_gpu, told_apart  # noqa: PLC0415
    from zbx_nvidia.collector.resident.sampler import Consumers  # noqa: PLC0415
    from zbx_nvidia.driver import system  # noqa: PLC0415
    from zbx_nvidia.driver.calls import NvmlError, spent  # noqa: PLC0415

    consumers: dict[int, Consumers] = {}
    started = False
    try:
        while len(order := os.read(pipe, NUMBER)) == NUMBER:
            number = int.from_bytes(order, "big")
            if not started and (asleep := sleeping.everyone()):
                # To open NVML would wake them. A job that uses one does so itself.
                sender.send(HostRead(number, {}, len(asleep), [], [], (0.0, time.process_time())))
                sender.send(AllAsked(number, {}))
                continue
            if not started:
                system.start()
                started = True
            # Also how it is noticed that the driver has gone.
            count, awake, _ = told_apart(system.gpu_count())
            # Of the whole process: what it takes decides how often it is asked.
            sender.send(HostRead(number, {}, count, [], [], (spent()[0], time.process_time())))
            for index in awake:
                if index not in consumers:
                    # Without persistence mode, the first call wakes the card, which takes seconds.
                    read_gpu(index, READERS[:1], parts=False)
                # Before the reading, of which the energy is the first: late in a reading, a busy machine may pause it.
                now = time.monotonic()
                gpu = read_gpu(index, READERS, parts=False)
                used = consumers.setdefault(index, Consumers(index)).added(gpu, now)
                gpu = gpu._replace(readings={**gpu.readings, **used, READ_AT: now}, spent=spent())
                sender.send(GpuRead(number, gpu))
            sender.send(AllAsked(number, {}))
    except NvmlError as error:
        sender.send(Failed(error.code, error.message))
