"""Whether a process has waited for a processor, not for what it has called: the kernel counts both apart."""

# Without `from __future__ import annotations`: typing would compile the text of each annotation at each poll.
import os

_NANO = 1e9


def waited_for_processor(pids: tuple[int, ...], elapsed: float, proc: str = "/proc") -> bool:
    """Whether these processes have spent most of a time waiting for a processor.

    Args:
        pids: Of processes that work one after the other.
        elapsed: The time, in s.
        proc: /proc.

    Returns:
        False also if a thread hangs in the kernel, or if it is not known.
    """
    waited = 0.0
    for pid in pids:
        longest = 0.0
        try:
            for thread in os.listdir(f"{proc}/{pid}/task"):
                folder = f"{proc}/{pid}/task/{thread}"
                with open(f"{folder}/stat", "rb") as file:
                    if file.read().rpartition(b")")[2].split()[0] == b"D":
                        return False
                with open(f"{folder}/schedstat", encoding="ascii") as file:
                    longest = max(longest, int(file.read().split()[1]) / _NANO)
        except (OSError, ValueError, IndexError):
            continue  # it has ended, or the kernel does not count
        waited += longest
    return waited > elapsed / 2
