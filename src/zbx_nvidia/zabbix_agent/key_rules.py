"""Whether AllowKey and DenyKey lines of an agent allow an item key: the first rule that matches decides."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zbx_nvidia.zabbix_agent.config import alike

if TYPE_CHECKING:
    from zbx_nvidia.zabbix_agent.config import Configuration, Statement

RULES = frozenset({"AllowKey", "DenyKey"})


def denies(configuration: Configuration, key: str) -> Statement | None:
    """The line that denies a key; None if the key is allowed."""
    for statement in configuration.statements:
        if statement.name in RULES and fits(statement.value, key):
            return statement if statement.name == "DenyKey" else None
    return None


def fits(pattern: str, key: str) -> bool:
    """Whether a rule matches a key.

    `*` alone matches every key. Otherwise name and parameters are compared separately: a rule without brackets matches
    only keys without parameters, and an asterisk as last parameter stands for all that follow.
    """
    if pattern == "*":
        return True
    rule, rule_parameters = _split(pattern)
    name, parameters = _split(key)
    if not alike(rule, name) or (rule_parameters is None) != (parameters is None):
        return False
    if rule_parameters is None or parameters is None:
        return True
    if rule_parameters[-1] == "*":
        rule_parameters = rule_parameters[:-1]
        parameters = parameters[: len(rule_parameters)]
    return len(rule_parameters) == len(parameters) and all(map(alike, rule_parameters, parameters))


def _split(key: str) -> tuple[str, list[str] | None]:
    """Name and parameters; None for the parameters if there are no brackets."""
    name, bracket, rest = key.partition("[")
    if not bracket:
        return key, None
    parameters = [""]
    quoted = False
    for sign in rest.rstrip().removesuffix("]"):
        if sign == '"' and (quoted or not parameters[-1].strip()):
            quoted = not quoted
        elif sign == "," and not quoted:
            parameters.append("")
        else:
            parameters[-1] += sign
    return name, [parameter.strip() for parameter in parameters]
