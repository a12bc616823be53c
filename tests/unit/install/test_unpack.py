"""dist/zbx-nvidia.pyz: one file that any Python runs, and that unpacks itself on a host."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import zipfile
from typing import TYPE_CHECKING

import pytest

from tests.conftest import REPOSITORY
from tests.unit.clocks import SLOW
from tests.unit.collector.collector import AGENT
from zbx_nvidia.cli.main import COMMANDS

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import MachineFactory
    from tests.unit.conftest import ClocksFactory

SCRIPTS = ("zbx-nvidia", "zbx-nvidia-agent")


def build(target: Path) -> Path:
    subprocess.run([sys.executable, str(REPOSITORY / "scripts/zipapp.py"), str(target)], check=True)
    return target


@pytest.fixture(scope="module")
def pyz(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("pyz") / "zbx-nvidia.pyz")


@pytest.fixture(scope="module")
def small(pyz: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The archive without most of what others wrote, for how it unpacks: to compile all takes 5 s each time."""
    target = tmp_path_factory.mktemp("small") / "zbx-nvidia.pyz"
    with zipfile.ZipFile(pyz) as old, zipfile.ZipFile(target, "w") as new:
        for member in old.infolist():
            if member.filename.startswith(("zbx_nvidia/", "click/", "share/", "__main__", "entry_points")):
                new.writestr(member, old.read(member))
    return target


@pytest.fixture(scope="module")
def there(pyz: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All of it, unpacked by somebody who is careful, for tests that change nothing of it."""
    target = tmp_path_factory.mktemp("there") / "opt" / "zbx-nvidia"
    old = os.umask(0o077)
    try:
        assert unpacked(pyz, target).startswith("Unpacked ")
    finally:
        os.umask(old)
    return target


def run(*command: str | Path, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False, env=env)


def packed(pyz: Path, *arguments: str | Path, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run the archive where no other package can be found."""
    return run(sys.executable, "-I", "-S", pyz, *arguments, env=env)


def unpacked(pyz: Path, target: Path, *options: str) -> str:
    done = packed(pyz, "unpack", target, *options)
    assert done.returncode == 0, done.stderr
    return done.stdout


def changed(pyz: Path, target: Path, path: str, extra: bytes) -> Path:
    """Another archive: bytes added to one of its files."""
    with zipfile.ZipFile(pyz) as old, zipfile.ZipFile(target, "w") as new:
        for member in old.infolist():
            new.writestr(member, old.read(member) + (extra if member.filename == path else b""))
    return target


def versions(target: Path) -> set[str]:
    return {path.name for path in (target / "lib").iterdir()}


# -- the file ---------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_two_builds_give_the_same_bytes(pyz: Path, tmp_path: Path) -> None:
    again = build(tmp_path / "zbx-nvidia.pyz")
    assert again.read_bytes() == pyz.read_bytes()


def test_nothing_in_it_is_compiled_or_lacks_its_license(pyz: Path) -> None:
    with zipfile.ZipFile(pyz) as archive:
        names = archive.namelist()
        assert {member.date_time for member in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        # Not by its name alone: ELF.
        assert not [name for name in names if archive.read(name).startswith(b"\x7fELF")]
    assert not [name for name in names if name.endswith((".pyc", ".so", ".pyd"))]
    owners = {name.partition("/")[0] for name in names if ".dist-info/" in name}
    assert {owner.partition("-")[0] for owner in owners} >= {
        "zbx_nvidia",
        "click",
        "nvidia_ml_py",
        "pyyaml",
        "requests",
    }
    assert {"yaml/__init__.py", "charset_normalizer/md.py", "certifi/cacert.pem", "pynvml.py"} <= set(names)
    # nvidia-ml-py ships none.
    without = {owner for owner in owners if not any(re.search(f"^{owner}/.*LICEN[CS]E", name) for name in names)}
    assert {owner.partition("-")[0] for owner in without} <= {"nvidia_ml_py"}


def test_an_old_python_is_told_so(pyz: Path) -> None:
    with zipfile.ZipFile(pyz) as archive:
        code = archive.read("__main__.py").decode()
    done = run(sys.executable, "-c", f"import sys; sys.version_info = (3, 9, 1)\n{code}")
    assert (done.returncode, done.stderr) == (1, "zbx-nvidia needs Python 3.10 or newer, and this is 3.9\n")


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_starts_from_it(pyz: Path, command: str) -> None:
    done = packed(pyz, command, "--help")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"Usage: zbx-nvidia.pyz {command} ")


@pytest.mark.slow
def test_it_reads_the_driver_prints_yaml_and_speaks_http(
    pyz: Path, machine: MachineFactory, clocked: ClocksFactory
) -> None:
    node = machine("t4")
    env = dict(node.env)
    # Not by `show`, which leaves after 2.5 s. What one collection locks out others with is named after a file.
    code = f"import sys; sys.path.insert(0, {str(pyz)!r}); from zbx_nvidia.collector.main import main; main()"
    answer = run(sys.executable, "-I", "-S", "-c", code, "get", "--deadline", "600", env=env)
    assert json.loads(answer.stdout)["status"] == {"driver": 1, "code": 0, "name": "OK", "message": "All is well"}
    # rich draws the table without what was left out of it. `show` too leaves at a deadline: here of a slow clock.
    clocked(node, speed=SLOW)
    assert "Tesla T4" in packed(pyz, "show", env=node.env).stdout
    assert packed(pyz, "template", "--zabbix", "6.0").stdout.startswith("zabbix_export:")
    refused = packed(pyz, "install-template", "--url", "https://127.0.0.1:1", env={**env, "ZABBIX_TOKEN": "t"})
    assert refused.returncode == 1
    assert "https://127.0.0.1:1 cannot be reached: Connection refused" in refused.stderr


@pytest.mark.slow
def test_its_doctor_looks_at_what_was_unpacked(pyz: Path) -> None:
    done = packed(pyz, "doctor", "--json")
    (program,) = [check for check in json.loads(done.stdout)["checks"] if check["id"] == "program"]
    assert "/opt/zbx-nvidia/bin/zbx-nvidia-agent" in program["text"]
    if program["fault"]:
        assert program["fault"] == "missing"
        assert "zbx-nvidia.pyz unpack /opt/zbx-nvidia" in program["fix"]


def test_only_the_archive_unpacks() -> None:
    done = run(AGENT.with_name("zbx-nvidia"), "unpack", "/nowhere")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "Error: nothing to unpack: run this as python3 zbx-nvidia.pyz unpack\n"


def with_prefix(
    pyz: Path, prefix: Path, *arguments: str | Path, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the archive with another place than /usr/local for its links."""
    code = (
        f"import pathlib, sys; sys.path.insert(0, {str(pyz)!r}); sys.argv[0] = 'zbx-nvidia'; "
        f"from zbx_nvidia.install import links; links.PREFIX = pathlib.Path({str(prefix)!r}); "
        "from zbx_nvidia.cli.main import main; main()"
    )
    return run(sys.executable, "-I", "-S", "-c", code, *arguments, env=env)


def tree(folder: Path) -> dict[str, str]:
    """Everything below a folder: of a link where it leads, of a file what it holds."""
    return {
        str(path.relative_to(folder)): str(path.readlink())
        if path.is_symlink()
        else ("" if path.is_dir() else path.read_text())
        for path in folder.rglob("*")
    }


# -- on a host --------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_unpacked_it_runs_for_a_user_without_a_home(there: Path, tmp_path: Path, machine: MachineFactory) -> None:
    assert {path.name for path in (there / "bin").iterdir()} == set(SCRIPTS)
    for path in (there, *there.rglob("*")):
        mode = path.stat().st_mode & 0o7777
        assert mode == (0o755 if path.is_dir() or path.parent == there / "bin" else 0o644), path
    bare = {name: value for name, value in machine("t4").env.items() if name.startswith(("LD_", "NVML_"))}
    answer = run(there / "bin" / "zbx-nvidia-agent", "get", "--deadline", "600", env=bare)
    assert (answer.returncode, answer.stderr) == (0, "")
    assert json.loads(answer.stdout)["status"]["code"] == 0
    # Nothing of the environment is believed: the user zabbix runs it with what the agent was started with.
    (tmp_path / "json.py").write_text("raise SystemExit('not this one')")
    assert run(there / "bin" / "zbx-nvidia-agent", "get", env={**bare, "PYTHONPATH": str(tmp_path)}).stdout[0] == "{"


@pytest.mark.slow
def test_every_module_is_compiled(there: Path) -> None:
    modules = [path for path in (there / "lib").rglob("*.py") if path.name != "__main__.py"]
    tag = sys.implementation.cache_tag
    assert len(modules) > 200
    assert not [path for path in modules if not (path.parent / "__pycache__" / f"{path.stem}.{tag}.pyc").is_file()]


def test_the_second_time_there_is_nothing_to_do(pyz: Path, there: Path, tmp_path: Path) -> None:
    dry = unpacked(pyz, tmp_path / "none", "--dry-run")
    assert dry.startswith("Dry run: ")
    assert not (tmp_path / "none").exists()
    before = {path: (path.stat().st_mtime_ns, path.stat().st_ino) for path in there.rglob("*")}
    assert unpacked(pyz, there).endswith("already: nothing to do.\n")
    assert {path: (path.stat().st_mtime_ns, path.stat().st_ino) for path in there.rglob("*")} == before


@pytest.mark.slow
def test_what_was_lost_comes_back(small: Path, tmp_path: Path) -> None:
    """A script that was removed or edited; bytecode that another Python cannot use."""
    target = tmp_path / "there"
    unpacked(small, target)
    script = target / "bin" / "zbx-nvidia"
    for harm in (script.unlink, lambda: script.write_text("#!/bin/false\n")):
        harm()
        assert unpacked(small, target).startswith("Unpacked ")
        assert run(script, "--version").stdout.startswith("zbx-nvidia, version ")
    (library,) = (target / "lib").iterdir()
    for path in library.rglob("*.pyc"):
        path.unlink()
    assert unpacked(small, target).startswith("Unpacked ")
    assert list(library.rglob("*.pyc"))


@pytest.mark.slow
@pytest.mark.once
def test_a_new_version_leaves_the_last_one_to_what_still_runs(small: Path, tmp_path: Path) -> None:
    target = tmp_path / "there"
    archives = [small]
    archives += [
        changed(small, tmp_path / f"{name}.pyz", "zbx_nvidia/__init__.py", name.encode()) for name in ("#1", "#2")
    ]
    seen: list[str] = []
    for archive in archives:
        unpacked(archive, target)
        (new,) = versions(target) - set(seen)
        assert versions(target) == {new, *seen[-1:]}
        assert new in (target / "bin" / "zbx-nvidia-agent").read_text()
        seen.append(new)


@pytest.mark.slow
@pytest.mark.once
def test_a_version_that_does_not_start_changes_nothing(small: Path, tmp_path: Path) -> None:
    broken = changed(
        small, tmp_path / "broken.pyz", "zbx_nvidia/collector/main.py", b"\nraise RuntimeError('broken')\n"
    )
    target = tmp_path / "there"
    done = packed(broken, "unpack", target)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].endswith("fails: RuntimeError: broken; nothing was replaced")
    assert list(tmp_path.iterdir()) == [broken]
    unpacked(small, target)
    before = versions(target)
    assert packed(broken, "unpack", target).returncode == 1
    assert versions(target) == before
    assert run(target / "bin" / "zbx-nvidia-agent", "--version").returncode == 0


@pytest.mark.slow
@pytest.mark.parametrize("name", ["../outside", "share/man/../../../outside", "/{place}/outside"])
def test_a_file_for_another_place_is_refused(small: Path, tmp_path: Path, name: str) -> None:
    bad = changed(small, tmp_path / "bad.pyz", "", b"")
    with zipfile.ZipFile(bad, "a") as archive:
        archive.writestr(name.format(place=tmp_path), "x")
    done = packed(bad, "unpack", tmp_path / "there")
    assert done.returncode == 1
    assert "has a file for another place" in done.stderr
    assert list(tmp_path.iterdir()) == [bad]


@pytest.mark.slow
def test_what_is_not_its_own_it_does_not_touch_unasked(small: Path, tmp_path: Path) -> None:
    venv = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(venv)], check=True)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "file").write_text("precious")
    (tmp_path / "plain").write_text("precious")
    for name, words in (("venv", "holds a virtual environment"), ("other", "is not empty")):
        refused = packed(small, "unpack", tmp_path / name)
        assert refused.returncode == 2
        assert words in refused.stderr
    assert packed(small, "unpack", tmp_path / "plain").returncode == 2
    assert (venv / "pyvenv.cfg").is_file()
    assert (tmp_path / "other" / "file").read_text() == "precious"
    assert unpacked(small, venv, "--replace").startswith("Unpacked ")
    assert not (venv / "pyvenv.cfg").exists()
    assert {path.name for path in tmp_path.iterdir()} == {"venv", "other", "plain"}


# -- links ------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.once
def test_command_and_manual_are_found_and_removed_again(small: Path, tmp_path: Path) -> None:
    prefix, target = tmp_path / "local", tmp_path / "opt" / "there"
    pages = {f"share/man/{path.parent.name}/{path.name}" for path in (REPOSITORY / "docs/man").rglob("*.[18]")}
    # One of the directories is there, as on some distributions, and has a page of somebody else.
    (prefix / "share/man/man8").mkdir(parents=True)
    (prefix / "share/man/man8/other.8").write_text("precious")
    before = tree(prefix)
    dry = with_prefix(small, prefix, "unpack", target, "--link", "--dry-run")
    assert f"Would link {prefix}/bin/zbx-nvidia and {len(pages)} manual pages in {prefix}/share/man." in dry.stdout
    assert tree(prefix) == before
    done = with_prefix(small, prefix, "unpack", target, "--link", env={**os.environ, "PATH": f"{prefix}/bin:/bin"})
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("Next, as root: zbx-nvidia install-agent --server ADDRESS-OF-ZABBIX\n")
    made = tree(prefix)
    links = {name: where for name, where in made.items() if where and name not in before}
    assert links == {name: str(target / name) for name in {"bin/zbx-nvidia", *pages}}
    assert run(prefix / "bin/zbx-nvidia", "--version").stdout.startswith("zbx-nvidia, version ")
    assert (prefix / "share/man/man1/zbx-nvidia-install-agent.1").read_text().startswith(".TH ZBX")
    # A page that was lost comes back, with or without the option.
    (prefix / "share/man/man1/zbx-nvidia.1").unlink()
    assert f"Linked 1 manual page in {prefix}" in with_prefix(small, prefix, "unpack", target).stdout
    assert with_prefix(small, prefix, "unpack", target, "--link").stdout.endswith("already: nothing to do.\n")
    assert tree(prefix) == made
    # A dry run removes nothing. The installed program removes itself.
    assert "Would remove" in with_prefix(small, prefix, "unpack", target, "--remove", "--dry-run").stdout
    assert tree(prefix) == made
    done = run(target / "bin" / "zbx-nvidia", "unpack", target, "--remove")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith(f"Removed {target}\n")
    assert not target.exists()
    assert tree(prefix) == before
    assert with_prefix(small, prefix, "unpack", target, "--remove").stdout.endswith("nothing to do.\n")


def test_link_of_somebody_else_is_not_replaced(small: Path, tmp_path: Path) -> None:
    prefix, target = tmp_path / "local", tmp_path / "there"
    link = prefix / "bin" / "zbx-nvidia"
    link.parent.mkdir(parents=True)
    # Of pipx, say, and a link that leads nowhere.
    for where in ("/opt/pipx/venvs/zbx-nvidia/bin/zbx-nvidia", sys.executable):
        link.symlink_to(where)
        refused = with_prefix(small, prefix, "unpack", target, "--link")
        assert (refused.returncode, refused.stdout) == (1, "")
        assert refused.stderr == (
            f"Error: {link} is not a link into {target}: remove it, or omit --link; nothing was replaced\n"
        )
        assert not target.exists()
        assert str(link.readlink()) == where
        link.unlink()


@pytest.mark.slow
def test_link_that_somebody_has_replaced_since_stays(small: Path, tmp_path: Path) -> None:
    prefix, target = tmp_path / "local", tmp_path / "there"
    link = prefix / "bin" / "zbx-nvidia"
    link.parent.mkdir(parents=True)
    # Made by hand: it is taken over.
    link.symlink_to(target / "bin" / "zbx-nvidia")
    assert with_prefix(small, prefix, "unpack", target, "--link").returncode == 0
    link.unlink()
    link.write_text("precious")
    assert with_prefix(small, prefix, "unpack", target, "--remove").returncode == 0
    assert not target.exists()
    assert link.read_text() == "precious"


@pytest.mark.slow
def test_only_what_was_unpacked_is_removed(small: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("precious")
    refused = packed(small, "unpack", tmp_path, "--remove")
    assert refused.returncode == 2
    assert refused.stderr.endswith(f"{tmp_path} was not written by unpack: remove it yourself\n")
    assert (tmp_path / "file").read_text() == "precious"
    assert packed(small, "unpack", tmp_path, "--remove", "--link").returncode == 2


# -- other places -----------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_an_empty_folder_will_do(small: Path, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    assert unpacked(small, tmp_path / "there").startswith("Unpacked ")


@pytest.mark.slow
def test_a_folder_that_cannot_be_made(small: Path) -> None:
    done = packed(small, "unpack", "/proc/zbx-nvidia")
    assert done.returncode == 1
    assert re.fullmatch(
        r"Error: /proc.*: No such file or directory; nothing was replaced", done.stderr.splitlines()[-1]
    )


@pytest.mark.slow
def test_python_that_nobody_else_may_use_is_warned_of(small: Path, tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    # A whole one, for what is asked is where the interpreter itself lies.
    python = closed / "python3"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    done = packed(small, "unpack", tmp_path / "there", "--python", python)
    assert done.returncode == 0, done.stderr
    assert done.stderr.startswith(f"warning: other users, such as zabbix, cannot use {python}: ")
    assert (tmp_path / "there/bin/zbx-nvidia").read_text().startswith(f"#!{python} -IS\n")
    spaced = packed(small, "unpack", tmp_path / "other", "--python", tmp_path / "my python")
    assert spaced.returncode == 2
    assert "it is too long or has spaces in it" in spaced.stderr


@pytest.mark.slow
@pytest.mark.usefixtures("unmeasured")
def test_a_poll_loads_less_than_from_a_virtual_environment(there: Path) -> None:
    """Nothing of `site` and of what that looks for. Seen: 9.5 ms of a processor against 13.5."""
    venv, ours = loaded(AGENT), loaded(there / "bin" / "zbx-nvidia-agent")
    assert ours < venv
    assert "site" in venv - ours


def loaded(script: Path) -> set[str]:
    """Modules that Python loads, started as the script says, until it has said its version."""
    interpreter = script.read_text().partition("\n")[0].removeprefix("#!").split()
    done = run(*interpreter, "-X", "importtime", script, "--version")
    assert done.stdout.startswith("zbx-nvidia-agent")
    return {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
