"""The commands with which a fix starts, restarts and inspects what runs on this host.

An agent in a container, under another supervisor or built from source is not a systemd service. Its fix says what to
do in a sentence, since no command is known.
"""

from __future__ import annotations

from typing import NamedTuple


class Service(NamedTuple):
    """A program that runs all the time.

    Attributes:
        program: Its name.
        unit: Of systemd; "" if systemd does not run it.
    """

    program: str
    unit: str

    @property
    def start(self) -> str:
        """Starts it now and at each boot."""
        return self._line("systemctl enable --now {}", "start it the way you usually do.")

    @property
    def restart(self) -> str:
        """Restarts it."""
        return self._line("systemctl restart {}", "restart it the way you started it.")

    @property
    def enable(self) -> str:
        """Has it started at each boot."""
        return self._line("systemctl enable {}", "start it at each boot.")

    @property
    def edit(self) -> str:
        """Changes how it is started."""
        return self._line("systemctl edit {}", "change the way you start it.")

    @property
    def show(self) -> str:
        """Shows how it is started."""
        return self._line("systemctl cat {}", "look at what starts it.")

    @property
    def log(self) -> str:
        """Shows its last messages."""
        return self._line("journalctl -u {} -n 20", "read its log.")

    def _line(self, command: str, otherwise: str) -> str:
        if self.unit:
            return f"    {command.format(self.unit)}"
        return f"{self.program} is not a systemd service: {otherwise}"
