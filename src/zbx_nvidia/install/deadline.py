"""How long a poll may take: as long as the agent waits, if that is known."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zbx_nvidia.collector.oneshot import DEADLINE
from zbx_nvidia.zabbix_agent import find

if TYPE_CHECKING:
    from zbx_nvidia.zabbix_agent.config import Configuration
    from zbx_nvidia.zabbix_agent.find import Agent

_DEFAULT = 3.0  # s, of both agents
_MARGIN = _DEFAULT - DEADLINE  # s that a machine under load needs around a collection
_FROM_SERVER = 7  # from this series on, the server states with each request how long the agent may take


def of(agent: Agent, configuration: Configuration) -> float | None:
    """What `--deadline` this agent's line of a UserParameter needs, in s; None for none.

    A longer deadline than the agent's would cost every value: the agent ends the poll. So where a server states the
    time, or the version is not known, the usual deadline stays, which is below the default of both.

    Args:
        agent: The agent.
        configuration: What it reads.
    """
    text = configuration.last("Timeout").removesuffix("s")
    if not text.isdigit() or int(text) in {0, _DEFAULT}:
        return None
    series = find.major(agent)
    return int(text) - _MARGIN if series and series < _FROM_SERVER else None
