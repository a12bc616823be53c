"""Connection of Ansible to a container of the tests, as root: the collection that has one is not in ansible-core."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible.plugins.connection import ConnectionBase

from tests.integration.engine import in_container

DOCUMENTATION = """
name: docker_exec
short_description: docker exec
description: Runs commands in a container by docker exec.
author: zbx-nvidia
options:
  remote_addr:
    description: The container.
    vars:
      - name: inventory_hostname
      - name: ansible_host
"""


class Connection(ConnectionBase):  # type: ignore[misc]  # untyped
    """One container."""

    transport = "docker_exec"
    has_pipelining = True

    def _connect(self) -> Connection:
        self._connected = True
        return self

    def close(self) -> None:
        self._connected = False

    def _docker(self, *command: str, data: bytes = b"") -> tuple[int, bytes, bytes]:
        done = in_container([str(self.get_option("remote_addr")), *command], data)
        return done.returncode, done.stdout, done.stderr

    def exec_command(self, cmd: str, in_data: bytes | None = None, sudoable: bool = True) -> Any:  # noqa: FBT001, FBT002, ARG002
        return self._docker("sh", "-c", cmd, data=in_data or b"")

    def put_file(self, in_path: str, out_path: str) -> None:
        self._docker("sh", "-c", 'cat >"$0"', out_path, data=Path(in_path).read_bytes())

    def fetch_file(self, in_path: str, out_path: str) -> None:
        Path(out_path).write_bytes(self._docker("cat", in_path)[1])
