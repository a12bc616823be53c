"""Whether an answer of the API has the form that its method promises.

What does not is no Zabbix, or one that somebody has in hand. It is one error here, not an exception somewhere later.
"""

from __future__ import annotations

import contextlib
import json
import re
from typing import TYPE_CHECKING, Any

from zbx_nvidia.errors import ServerError

if TYPE_CHECKING:
    from collections.abc import Iterator

_NUMBERS = ("available", "clock", "flags", "lastaccess", "lastclock", "main", "state", "status", "useip")
_NUMBER = re.compile(r"-?\d{1,20}")
_NEVER_NULL = ("id", "host", "macro", "name", *_NUMBERS)
# Objects in objects, beside what was asked for with select...
_NESTED = {"config", "details", "fields", "pages", "widgets"}
# Rows of texts and numbers, millions for a report: as they are, since an `AnswerObject` for each takes twice the time
# of JSON.
_FLAT = ("trend.get", "history.get")
# A report converts each value of these to a number, which is a check. A second one took a tenth of its time.
_CONVERTED = "trend.get"
_NUMERIC = frozenset({str, int})  # numbers are in text, too
_WRITES = (".create", ".update", ".delete", ".massadd", ".massremove")


class AnswerObject(dict[str, Any]):
    """An object of an answer. A key that is not there is an error of the server, in one line."""

    where = ""

    def __missing__(self, key: str) -> Any:  # noqa: ANN401  it never returns
        raise ServerError(f"{self.where} without {key!r}: this is no answer of Zabbix: check --url")


def checked(where: str, method: str, params: object, result: object) -> Any:  # noqa: ANN401  JSON
    """The answer, with an `AnswerObject` for each object that is not a row of numbers.

    Args:
        where: "URL answers METHOD", for the error.
        method: What was called.
        params: With what.
        result: The answer.

    Raises:
        ServerError: It has not the form of such an answer.
    """
    if method in _FLAT:
        if not (isinstance(result, list) and {dict}.issuperset(map(type, result))):
            raise _other_form(where)
        if method != _CONVERTED and not all(map(_is_flat, result)):
            raise _other_form(where)
        return result
    answer = _rows(where, result)
    if method.endswith(".get"):
        asked = params if isinstance(params, dict) else {}
        # selectHostGroups is answered as "hostgroups", selectParentTemplates as "parentTemplates".
        selected = {
            key.removeprefix("select").lower()
            for key, fields in asked.items()
            if key.startswith("select") and fields != "count"
        }
        good = isinstance(answer, list) and all(
            _is_object(row, selected | _NESTED) and _has_objects(row, selected) for row in answer
        )
    elif method.endswith(_WRITES):
        good = isinstance(answer, dict) and all(_is_ids(ids) for ids in answer.values())
    elif method == "configuration.export":
        good = isinstance(answer, str)
    elif method == "configuration.importcompare":
        good = isinstance(answer, (dict, list))
    elif method == "user.checkAuthentication":
        good = isinstance(answer, dict) and isinstance(answer.get("username"), str)
    else:
        good = True
    if not good:
        raise _other_form(where)
    return answer


def parsed(where: str, text: str) -> Any:  # noqa: ANN401  JSON
    """The same for JSON in an answer.

    Raises:
        ServerError: It is not JSON.
    """
    with in_form(where):
        return _rows(where, json.loads(text))


@contextlib.contextmanager
def in_form(where: str) -> Iterator[None]:
    """For code that looks through a tree whose form is not checked before: another form is the server's error."""
    try:
        yield
    except (AttributeError, IndexError, KeyError, RecursionError, TypeError, ValueError):
        # Not chained: the text of the exception may be of the answer.
        wrong = _other_form(where)
    else:
        return
    raise wrong


def _other_form(where: str) -> ServerError:
    return ServerError(f"{where} in a form that Zabbix has not: check --url, and that its version is supported")


def _is_object(row: object, nested: set[str]) -> bool:
    return isinstance(row, dict) and all(
        all(_is_object(part, _NESTED) for part in (value if isinstance(value, list) else [value]))
        if key.lower() in nested and isinstance(value, (list, dict))
        else _is_value(key, value)
        for key, value in row.items()
    )


def _has_objects(row: dict[str, object], selected: set[str]) -> bool:
    return all(isinstance(value, (list, dict)) for key, value in row.items() if key.lower() in selected)


def _is_flat(row: dict[str, object]) -> bool:
    return _NUMERIC.issuperset(map(type, row.values()))


def _is_value(key: str, value: object) -> bool:
    if value is None:
        return not key.endswith(_NEVER_NULL)
    return isinstance(value, (str, int)) and (key not in _NUMBERS or bool(_NUMBER.fullmatch(str(value))))


def _is_ids(ids: object) -> bool:
    return isinstance(ids, list) and bool(ids) and all(isinstance(one, (str, int)) for one in ids)


def _rows(where: str, value: object) -> Any:  # noqa: ANN401  JSON
    if isinstance(value, dict):
        row = AnswerObject({key: _rows(where, part) for key, part in value.items()})
        row.where = where
        return row
    return [_rows(where, part) for part in value] if isinstance(value, list) else value
