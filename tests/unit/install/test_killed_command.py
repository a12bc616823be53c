"""The whole commands install-agent and uninstall-agent, killed wherever that leaves a host in another state.

Two agents and an uncompiled program, which are scripts: what they answer is all that the commands ask them for.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.conftest import PATIENCE
from tests.unit.install.calls import COUNTED
from zbx_nvidia import __version__

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="what is installed is root's")

AGENT = """\
#!/bin/sh
case "$1" in
--help) echo '(default: "{conf}")' ;;
-V) echo '{name} (Zabbix) 6.0.14' ;;
*)
    if [ "$4" = agent.ping ]; then echo 'agent.ping [u|1]'
    elif grep -qs '^UserParameter=nvidia.get,' {folder}/nvidia.conf; then
        echo 'nvidia.get [t|{{"status": {{"name": "Ok"}}, "gpus": {{}}, "collector": {collector}}}]'
    else echo 'nvidia.get [m|ZBX_NOTSUPPORTED] [Unknown metric]'
    fi ;;
esac
"""
PYTHON = """\
#!/bin/sh
case "$*" in
*--version) echo zbx-nvidia-agent VERSION ;;
*compileall*)
    shift 4
    for source; do
        mkdir -p "${source%/*}/__pycache__"
        name=${source##*/}
        echo compiled >"${source%/*}/__pycache__/${name%.py}.pyc"
        if [ -n "$FATAL_COMPILE" ]; then kill -9 $PPID; exit; fi
    done ;;
*'missing = []'*)
    list=
    for source in OPT/lib/zbx_nvidia/a.py OPT/lib/zbx_nvidia/b.py OPT/lib/pynvml.py; do
        name=${source##*/}
        cache=${source%/*}/__pycache__/${name%.py}.pyc
        [ -e "$cache" ] || list="$list, [\\"$source\\", \\"$cache\\"]"
    done
    echo "[${list#, }]" ;;
*) echo '["OPT/lib/zbx_nvidia", "OPT/lib/pynvml.py", []]' ;;
esac
"""
# Runs the commands in children of one process, since each start of Python takes as long as all of a command.
PROGRAM = (
    """
import contextlib, hashlib, json, os, shutil, signal, sys
from pathlib import Path

from zbx_nvidia.cli.main import main
from zbx_nvidia.host import system
from zbx_nvidia.install import install, record
from zbx_nvidia.zabbix_agent import config, processes

root, pristine = Path(sys.argv[1]), Path(sys.argv[2])
# Nothing of the host on which the test runs: neither its record nor its agents.
record.PATH = place = root / "var/lib/zbx-nvidia/install.json"
record.load.__defaults__ = record.locked.__wrapped__.__defaults__ = (place,)
record.save.__defaults__ = (place,)
processes.PROC = root / "proc"
system.RUNNING = root / "none"
os.environ["PATH"] = f"{root}/sbin:{os.environ['PATH']}"

INSTALL = ("install-agent", "--server", "192.0.2.1", "--psk", "--host-metadata", "gpus", "--command",
           f"{root}/opt/bin/zbx-nvidia-agent")
UNINSTALL = ("uninstall-agent",)
seen, fatal, states, looking = 0, 0, [], False


def tree():
    found = {}
    for folder, folders, files in os.walk(root):
        for name in (*folders, *files):
            path = os.path.join(folder, name)
            about = os.lstat(path)
            data = open(path, "rb").read() if name in files else b""
            found[os.path.relpath(path, root)] = [about.st_mode, about.st_uid, hashlib.sha256(data).hexdigest()]
    return found


def about_to_call():
    global seen, looking
    if looking:
        return
    seen += 1
    if seen == fatal:
        os.kill(os.getpid(), signal.SIGKILL)
    if states is not None:
        looking = True
        states.append(json.dumps(tree(), sort_keys=True))
        looking = False


"""
    + COUNTED
    + """
def run(command, at=0, record_states=False, **environment):
    # The exit code, or None if it was killed; and the numbers of the calls before which the host is in a new state.
    global fatal, states
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        os.environ.update(environment)
        out = os.open(root.parent / "out", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(out, 1)
        os.dup2(out, 2)
        fatal, states = at, [] if record_states else None
        count_calls()
        code = 0
        try:
            main(list(command))
        except SystemExit as ended:
            code = ended.code or 0
        fatal, found = 0, states or []
        states = None
        news = [number for number, state in enumerate(found, 1) if number < 2 or state != found[number - 2]]
        with open(writer, "w") as pipe:
            json.dump(news, pipe)
        sys.stdout.flush()
        os._exit(code)
    os.close(writer)
    with open(reader) as pipe:
        news = pipe.read()
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return None, []
    return os.WEXITSTATUS(status), json.loads(news)


def must(command):
    code, _ = run(command)
    assert code == 0, (root.parent / "out").read_text()


def broken():
    # Why an agent that is started now would end at once.
    for kind in config.KINDS:
        name = "zabbix_agentd" if kind == config.AGENTD else "zabbix_agent2"
        there = config.read(root / f"etc/zabbix/{name}.conf", kind)
        yield from there.problems
        if there.last("TLSPSKFile") and not Path(there.last("TLSPSKFile")).exists():
            yield "no key"


def fresh():
    shutil.rmtree(root, ignore_errors=True)
    shutil.copytree(pristine, root, symlinks=True)


def without_record():
    return {name: about for name, about in tree().items() if not name.endswith(("install.json", ".psk"))}


fresh()
before = tree()
code, installing = run(INSTALL, record_states=True)
assert code == 0, (root.parent / "out").read_text()
installed = without_record()
code, removing = run(UNINSTALL, record_states=True)
assert code == 0 and tree() == before, (root.parent / "out").read_text()
wrong = []

for kill in [*({"at": number} for number in installing), {"FATAL_COMPILE": "1"}]:
    fresh()
    code, _ = run(INSTALL, **kill)
    assert code is None, kill
    wrong += [["install", kill, why] for why in broken()]
    must(INSTALL)
    if without_record() != installed:
        wrong.append(["install, then again", kill])
    must(UNINSTALL)
    if tree() != before:
        wrong.append(["install, again, uninstall", kill, sorted({*tree()} ^ {*before})])
# The installation is the same for each.
fresh()
must(INSTALL)
kept = root.parent / "kept"
shutil.copytree(root, kept, symlinks=True)
for number in removing:
    shutil.rmtree(root)
    shutil.copytree(kept, root, symlinks=True)
    code, _ = run(UNINSTALL, at=number)
    assert code is None, number
    wrong += [["uninstall", number, why] for why in broken()]
    must(UNINSTALL)
    if tree() != before:
        wrong.append(["uninstall, then again", number, sorted({*tree()} ^ {*before})])
print(json.dumps({"install": len(installing), "uninstall": len(removing), "wrong": wrong}))
"""
)


def host(root: Path, place: Path) -> None:
    """A host with two agents, one of which reads no folder yet, and a program that is not compiled.

    Args:
        root: Where it is made.
        place: Where it is used: its files name that.
    """
    zabbix, opt = root / "etc/zabbix", root / "opt"
    for folder in (zabbix / "zabbix_agentd.d", root / "sbin", root / "var/lib", root / "proc", opt / "bin"):
        folder.mkdir(parents=True)
    (opt / "lib/zbx_nvidia").mkdir(parents=True)
    for name in ("zbx_nvidia/a.py", "zbx_nvidia/b.py", "pynvml.py"):
        (opt / "lib" / name).write_text("")
    (zabbix / "zabbix_agentd.conf").write_text(
        f"Server=127.0.0.1\nTimeout=10\nInclude={place}/etc/zabbix/zabbix_agentd.d/*.conf\n"
    )
    (zabbix / "zabbix_agent2.conf").write_bytes(b"Server=127.0.0.1\nServerActive=127.0.0.1")
    (zabbix / "zabbix_agent2.conf").chmod(0o640)
    (zabbix / "zabbix_agentd.d/nvidia.conf").write_text("UserParameter=nvidia.get,/opt/older get\n")
    collector = json.dumps({"version": __version__, "mode": "oneshot"})
    programs = {
        opt / "bin/python": PYTHON.replace("OPT", f"{place}/opt").replace("VERSION", __version__),
        opt / "bin/zbx-nvidia-agent": f"#!{place}/opt/bin/python\n",
    }
    for name in ("zabbix_agentd", "zabbix_agent2"):
        conf = f"{place}/etc/zabbix/{name}.conf"
        programs[root / "sbin" / name] = AGENT.format(
            conf=conf, name=name, folder=conf.replace(".conf", ".d"), collector=collector
        )
    for path, text in programs.items():
        path.write_text(text)
        path.chmod(0o755)


@pytest.mark.slow
def test_killed_wherever_it_matters() -> None:
    with tempfile.TemporaryDirectory() as name:
        # Where the user that runs the agent's program may come to, which is not so with tmp_path.
        Path(name).chmod(0o755)
        host(Path(name) / "pristine", Path(name) / "host")
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, Path(name) / "host", Path(name) / "pristine"],
            capture_output=True,
            text=True,
            check=False,
            timeout=2 * PATIENCE,
        )
    assert done.returncode == 0, done.stderr + done.stdout
    found = json.loads(done.stdout)
    assert found["wrong"] == []
    assert found["install"] > 20
    assert found["uninstall"] > 10
