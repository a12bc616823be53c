"""The walls between the parts: who imports whom, and what the agent's path must not load."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import zbx_nvidia

PACKAGE = Path(zbx_nvidia.__file__).parent

# A part may import the parts named here, and `errors` and the package itself always.
ALLOWED = {
    "errors": set(),
    "findings": set(),
    "catalog": set(),
    "driver": set(),
    "agent": {"catalog", "driver"},
    "template": {"catalog"},
    "server": {"findings"},
    "host": {"agent", "catalog", "findings"},
    "cli": {"agent", "template", "server", "host", "catalog", "findings"},
}
THIRD_PARTY = {
    "pynvml": {"driver"},
    "pyzabbix": {"server"},
    "requests": {"server"},
    "urllib3": {"server"},
    "click": {"cli"},
    "rich": {"cli", "server"},
    "yaml": {"template", "server"},
}


def part_of(path: Path) -> str:
    relative = path.relative_to(PACKAGE)
    return relative.parts[0] if len(relative.parts) > 1 else relative.stem


def imports() -> list[tuple[str, str, str]]:
    """(file, part, imported module) for every import, wherever in the file it stands."""
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{path}: relative import"
                names = [f"{node.module}.{alias.name}" for alias in node.names]
            else:
                continue
            found += [(str(path.relative_to(PACKAGE)), part_of(path), name) for name in names]
    return found


def test_every_part_is_in_the_table() -> None:
    parts = {part_of(path) for path in PACKAGE.rglob("*.py")} - {"__init__"}
    assert parts <= set(ALLOWED)
    assert {"catalog", "driver", "agent", "template", "server", "host", "cli"} <= parts


@pytest.mark.parametrize("part", ALLOWED)
def test_imports_run_downwards_only(part: str) -> None:
    for file, importer, module in imports():
        names = module.split(".")
        if importer != part or names[0] != "zbx_nvidia" or len(names) < 2:
            continue
        allowed = ALLOWED[part] | {part, "errors", "__version__"}
        assert names[1] in allowed, f"{file} imports {module}"


def test_third_parties_have_one_door() -> None:
    seen = set()
    for file, part, module in imports():
        top = module.split(".")[0]
        if top in THIRD_PARTY:
            assert part in THIRD_PARTY[top], f"{file} imports {module}"
            seen.add(top)
    assert {"pynvml", "pyzabbix", "click", "yaml"} <= seen


def test_what_is_tested_is_the_wheel() -> None:
    """With a checkout on the path, a file missing from the wheel would go unseen."""
    assert "site-packages" in PACKAGE.parts
