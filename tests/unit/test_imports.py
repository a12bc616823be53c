"""The walls between the packages: who imports whom, no circle, no file too long, and each third party's one door."""

from __future__ import annotations

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import zbx_nvidia

PACKAGE = Path(zbx_nvidia.__file__).parent

# A package may import those named here, and `errors` and the version always. CONTRIBUTING.md says what each is for.
ALLOWED = {
    "errors": set(),
    "catalog": set(),
    "kernel": set(),
    "driver": {"kernel"},
    "template": {"catalog"},
    "server": set(),
    "collector": {"catalog", "driver", "kernel"},
    "host": {"collector"},
    "report": {"catalog", "server"},
    "zabbix_agent": {"catalog", "host", "kernel"},
    "install": {"catalog", "collector", "host", "zabbix_agent"},
    "jobs": {"catalog", "collector", "host", "kernel"},
    "doctor": {"catalog", "collector", "host", "server", "template", "zabbix_agent"},
    "cli": {
        "catalog",
        "collector",
        "doctor",
        "host",
        "install",
        "jobs",
        "report",
        "server",
        "template",
        "zabbix_agent",
    },
}
THIRD_PARTY = {
    "pynvml": {"driver"},
    "pyzabbix": {"server"},
    "requests": {"server"},
    "urllib3": {"server"},
    "click": {"cli"},
    "rich": {"cli", "server"},
    "pygal": {"report"},
    "yaml": {"template", "server"},
}
LONGEST = 500  # lines of a file; the tables of the catalog grow with what there is to read
TABLES = {"catalog/alerts.py", "catalog/metrics.py"}


def module_of(path: Path) -> str:
    names = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(names[:-1] if names[-1] == "__init__" else names)


FILES = {module_of(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def part_of(module: str) -> str:
    return ".".join(module.split(".")[1:2])


def imports(module: str, *, at_start: bool = False) -> set[str]:
    """Every module that it imports, wherever that stands; at_start: what is needed before it is there itself."""
    found: set[str] = set()
    todo: list[ast.AST] = [ast.parse(FILES[module].read_text(encoding="utf-8"))]
    while todo:
        node = todo.pop()
        if at_start and isinstance(node, (ast.FunctionDef, ast.Lambda)):
            continue
        if isinstance(node, ast.If) and at_start and ast.unparse(node.test) == "TYPE_CHECKING":
            todo += node.orelse
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: relative import"
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                found.add(name if name in FILES or node.module not in FILES else str(node.module))
        todo += ast.iter_child_nodes(node)
    return found


def test_every_package_is_in_the_table() -> None:
    assert {part_of(module) for module in FILES} - {""} == set(ALLOWED)


@pytest.mark.parametrize("part", ALLOWED)
def test_imports_run_downwards_only(part: str) -> None:
    for module in FILES:
        if part_of(module) == part:
            ours = {name for name in imports(module) if name.startswith("zbx_nvidia.")}
            reached = {part_of(name) for name in ours}
            assert reached <= ALLOWED[part] | {part, "errors"}, module


def test_the_table_has_no_circle() -> None:
    TopologicalSorter(ALLOWED).prepare()


def test_no_module_needs_itself() -> None:
    """Not even through others: what a function or a type imports counts too."""
    graph = {module: {name for name in imports(module) if name in FILES} - {module} for module in FILES}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_third_parties_have_one_door() -> None:
    seen = set()
    for module in FILES:
        for name in imports(module):
            top = name.split(".")[0]
            if top in THIRD_PARTY:
                assert part_of(module) in THIRD_PARTY[top], f"{module} imports {name}"
                seen.add(top)
    assert {"pynvml", "pyzabbix", "click", "yaml"} <= seen


@pytest.mark.parametrize("module", FILES)
def test_no_file_is_too_long_to_read(module: str) -> None:
    path = FILES[module]
    if str(path.relative_to(PACKAGE)) not in TABLES:
        assert len(path.read_text(encoding="utf-8").splitlines()) <= LONGEST


def test_no_class_has_the_name_of_another() -> None:
    """Whoever reads the name of a class knows which it is, without a look at the imports."""
    named: dict[str, list[str]] = {}
    for module, path in FILES.items():
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                named.setdefault(node.name, []).append(module)
    assert {name: modules for name, modules in named.items() if len(modules) > 1} == {}


def test_what_is_tested_is_the_wheel() -> None:
    """With a checkout on the path, a file missing from the wheel would go unseen."""
    assert "site-packages" in PACKAGE.parts
