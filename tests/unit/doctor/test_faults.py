"""That a check declares every fault it can raise, and that each is raised with the names in its texts.

The source is read, because the tests provoke only some of the faults.
"""

from __future__ import annotations

import ast
import inspect
import pkgutil
import string
from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple

import pytest

from zbx_nvidia import doctor
from zbx_nvidia.doctor import run
from zbx_nvidia.doctor.checks import Check, Fault, State

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FunctionType, ModuleType

MODULES = [import_module(f"zbx_nvidia.doctor.{module.name}") for module in pkgutil.iter_modules(doctor.__path__)]
SERVICES = {"agent", "collector"}  # of which a fix names commands, whoever raises it


def faults_of(value: object) -> set[Fault]:
    """The faults in a global: one, or a table of them."""
    values = list(value.values()) if isinstance(value, dict) else [value]
    return {one for one in values if isinstance(one, Fault)}


def tree_of(function: FunctionType) -> ast.AST:
    return ast.parse(inspect.getsource(function))


def functions_of(function: FunctionType) -> Iterator[FunctionType]:
    """A function, and every one of the doctor that it calls, directly or not."""
    todo, seen = [function], set()
    while todo:
        one = todo.pop()
        if one in seen:
            continue
        seen.add(one)
        yield one
        names = {node.id for node in ast.walk(tree_of(one)) if isinstance(node, ast.Name)}
        todo += [
            value
            for name, value in one.__globals__.items()
            if name in names and inspect.isfunction(value) and value.__module__.startswith("zbx_nvidia.doctor.")
        ]


@pytest.mark.parametrize("check", run.CHECKS, ids=lambda check: str(check.id))
def test_a_check_declares_what_it_can_raise(check: Check[State]) -> None:
    used = {
        fault
        for function in functions_of(check.answer)  # type: ignore[arg-type]
        for node in ast.walk(body_of(function))
        if isinstance(node, ast.Name)
        for fault in faults_of(function.__globals__.get(node.id))
    }
    assert used == set(check.faults)


def body_of(function: FunctionType) -> ast.AST:
    """Without the decorator, which declares the faults."""
    (definition,) = tree_of(function).body  # type: ignore[attr-defined]
    return ast.Module(definition.body, [])


def test_every_check_and_every_fault_is_in_the_list() -> None:
    checks = {value.id for module in MODULES for value in vars(module).values() if isinstance(value, Check)}
    assert checks == {check.id for check in run.CHECKS}
    declared = {fault for check in run.CHECKS for fault in check.faults}
    for module in MODULES:
        for name, value in vars(module).items():
            assert faults_of(value) <= declared, f"{module.__name__}.{name}"


class Raised(NamedTuple):
    """A place that makes the exception of a fault.

    Attributes:
        where: Module and line.
        faults: Those that it may be.
        names: That it gives.
    """

    where: str
    faults: frozenset[Fault]
    names: frozenset[str]


def raised_in(module: ModuleType) -> Iterator[Raised]:
    for function in ast.walk(ast.parse(inspect.getsource(module))):
        if not isinstance(function, ast.FunctionDef):
            continue
        assigned: dict[str, list[ast.AST]] = {}
        for node in ast.walk(function):
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                assigned.setdefault(node.targets[0].id, []).append(node.value)
        for call in ast.walk(function):
            if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name):
                continue
            # Directly, or by a variable to which one of several was assigned.
            sources = [call.func, *assigned.get(call.func.id, [])]
            found = {
                fault
                for source in sources
                for node in ast.walk(source)
                if isinstance(node, ast.Name)
                for fault in faults_of(vars(module).get(node.id))
            }
            if found:
                names = {word.arg for word in call.keywords if word.arg}
                for word in call.keywords:
                    if not word.arg:
                        names |= spread(module, word.value, assigned)
                yield Raised(f"{module.__name__}:{call.lineno}", frozenset(found), frozenset(names))


def spread(module: ModuleType, value: ast.expr, assigned: dict[str, list[ast.AST]]) -> set[str]:
    """The keys of a dict that is given by **: what a function of that module returns."""
    (source,) = assigned[value.id] if isinstance(value, ast.Name) else [value]
    assert isinstance(source, ast.Call)
    assert isinstance(source.func, ast.Name)
    returned = tree_of(getattr(module, source.func.id))
    (keys,) = [
        node.value.keys
        for node in ast.walk(returned)
        if isinstance(node, ast.Return) and isinstance(node.value, ast.Dict)
    ]
    return {str(key.value) for key in keys if isinstance(key, ast.Constant)}


def names_in(fault: Fault) -> set[str]:
    fields = [name for text in (fault.cause, fault.fix) for _, name, _, _ in string.Formatter().parse(text) if name]
    return {name.partition(".")[0] for name in fields} - SERVICES


PLACES = [place for module in MODULES for place in raised_in(module)]


def test_every_fault_has_a_place_that_raises_it() -> None:
    raised = {fault for place in PLACES for fault in place.faults}
    assert raised == {fault for check in run.CHECKS for fault in check.faults}


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.where.removeprefix("zbx_nvidia.doctor."))
def test_the_names_given_are_those_in_the_texts(place: Raised) -> None:
    """One place may raise one of several faults: then it gives the names of all."""
    needed = {name for fault in place.faults for name in names_in(fault)}
    assert place.names == needed
