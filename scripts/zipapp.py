"""Write dist/zbx-nvidia.pyz: the wheel in dist/ and its dependencies in one file that Python runs directly.

python scripts/zipapp.py [FILE]

The dependencies are those of this environment, without compiled parts, so that the file works on every Python and
machine. The same wheel and the same environment give the same bytes.
"""

from __future__ import annotations

import sys
import zipfile
from email.parser import HeaderParser
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path, PurePosixPath

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
# The supported Pythons; only the oldest may need some dependency.
OLDEST, NEWEST = 10, 14
# rich needs these for source code and Markdown, which are never printed here; they are two thirds of the size and of
# the time for compiling.
LEFT_OUT = {"pygments", "markdown-it-py"}
# Not imported: compiled parts (all of these packages have a fallback in Python), scripts, files of pip.
COMPILED = (".so", ".pyd", ".pyc")
DISPENSABLE = {"RECORD", "INSTALLER", "REQUESTED", "WHEEL", "direct_url.json", "top_level.txt", "entry_points.txt"}
STRAY = {"example.py"}  # of nvidia-ml-py, beside its module
# License texts that must be distributed with a package which does not contain them.
LICENSES = {"pyzabbix": ROOT / "scripts/licenses/LGPL-2.1.txt"}
# The oldest time that a zip file can hold.
TIME = (1980, 1, 1, 0, 0, 0)
MAIN = '''\
"""zbx-nvidia, from one file."""

import sys

if sys.version_info < (3, {oldest}):
    sys.exit("zbx-nvidia needs Python 3.{oldest} or newer, and this is %d.%d" % sys.version_info[:2])

from zbx_nvidia.cli.main import main

main()
'''


def distributions(wheel: Path) -> dict[str, Distribution]:
    """The dependencies of a wheel on all supported Pythons, by name, without itself."""
    needed: dict[str, Distribution] = {}
    with zipfile.ZipFile(wheel) as ours:
        (path,) = (name for name in ours.namelist() if name.endswith(".dist-info/METADATA"))
        todo = [HeaderParser().parsestr(ours.read(path).decode()).get_all("Requires-Dist", [])]
    while todo:
        for text in todo.pop():
            requirement = Requirement(text)
            dependency = canonicalize_name(requirement.name)
            if dependency in needed or dependency in LEFT_OUT or not _needed(requirement):
                continue
            try:
                needed[dependency] = distribution(dependency)
            except PackageNotFoundError:
                sys.exit(f"error: {dependency} is missing here, and some Python needs it: add it to build and test")
            pythons = needed[dependency].metadata["Requires-Python"]
            if pythons and not Requirement(f"python{pythons}").specifier.contains(f"3.{OLDEST}"):
                sys.exit(f"error: {dependency} {needed[dependency].version} is for Python {pythons}")
            todo.append(needed[dependency].requires or [])
    return needed


def _needed(requirement: Requirement) -> bool:
    versions = [f"3.{minor}" for minor in range(OLDEST, NEWEST + 1)]
    return not requirement.marker or any(
        requirement.marker.evaluate({"python_version": version, "python_full_version": f"{version}.0", "extra": ""})
        for version in versions
    )


def contents(wheel: Path) -> dict[str, bytes]:
    """Path in the archive -> bytes."""
    files = {"__main__.py": MAIN.format(oldest=OLDEST).encode()}
    for name, package in distributions(wheel).items():
        for listed in package.files or ():
            path = PurePosixPath(listed)
            if _wanted(path):
                files[str(path)] = Path(str(package.locate_file(path))).read_bytes()
            if name in LICENSES and path.match("*.dist-info/METADATA"):
                files[str(path.with_name("LICENSE"))] = LICENSES[name].read_bytes()
    with zipfile.ZipFile(wheel) as ours:
        for name in ours.namelist():
            path = PurePosixPath(name)
            if path.parts[0].endswith(".data"):
                # share/man, which pip installs below the environment's root.
                files[str(PurePosixPath(*path.parts[2:]))] = ours.read(name)
            elif path.name == "entry_points.txt":
                files[path.name] = ours.read(name)
            elif _wanted(path):
                files[name] = ours.read(name)
    return files


def _wanted(path: PurePosixPath) -> bool:
    if path.is_absolute() or ".." in path.parts or str(path) in STRAY or path.name.endswith(COMPILED):
        return False
    return not (path.parts[0].endswith(".dist-info") and path.name in DISPENSABLE)


def write(target: Path, files: dict[str, bytes]) -> None:
    """Write the archive, without the time and place of its making."""
    with target.open("wb") as file:
        file.write(b"#!/usr/bin/env python3\n")
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as packed:
            for name, content in sorted(files.items()):
                member = zipfile.ZipInfo(name, TIME)
                member.compress_type = zipfile.ZIP_DEFLATED
                member.create_system = 3  # Unix, wherever this runs
                member.external_attr = 0o644 << 16
                packed.writestr(member, content)
    target.chmod(0o755)


def main() -> None:
    """Write the archive that the command line names."""
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "dist" / "zbx-nvidia.pyz"
    (wheel,) = (ROOT / "dist").glob("*.whl")
    files = contents(wheel)
    write(target, files)
    print(f"{target}: {len(files)} files, {target.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
