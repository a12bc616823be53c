"""A driver call that never returns, on a host with a real agent: the agent lives, and one process at most is stuck."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.integration.conftest import Stack

pytestmark = pytest.mark.integration

# agentd with as few listeners as it has by default in 6.0: three polls whose child hangs in the agent's pipe have been
# seen to silence it for good.
AGENTS = {
    "workstation": ("zabbix_agentd", "/usr/share/zbx-nvidia/oneshot.conf", "StartAgents=3\n"),
    "gpu-server": ("zabbix_agent2", "/usr/share/zbx-nvidia/oneshot.conf", "ControlSocket={}/control\n"),
}
PYTHON = "/opt/zbx-nvidia/bin/python"
PORT = 10059  # beside the container's own agent, so that this one can be ended and started again
# s: as long as an agent allows, so that only a listener that waits for a stuck child reaches it. That a document comes
# within an agent's default of 3 s is a matter of the machine too: `make bench` measures it.
TIMEOUT = 30
DEADLINE = 10  # s: seven GPUs have answered by then, on any machine

# Run in the container. Leaders of a session of their own; the simulated driver has a helper in it, which is not ours.
STUCK = """
import os, time
from pathlib import Path

def stuck():
    # One that merely waits for its turn, for a poll of the server's, goes by itself: soon, where nothing else runs.
    found = leaders()
    for _ in range(200):
        time.sleep(0.6)
        found = [pid for pid in leaders() if pid in found]
        if len(found) <= 1:
            break
    return found

def leaders():
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            session = int((path / "stat").read_text().rpartition(") ")[2].split()[3])
            if session == int(path.name) and b"zbx-nvidia-agent" in (path / "cmdline").read_bytes():
                found.append(session)
        except (OSError, IndexError):
            pass
    return found
"""
# The worker of the resident collector hangs in the same driver; a simulated hang ends with SIGKILL alone.
DRIVER_COMES_BACK = f"""{STUCK}
def kill(pid):
    try:
        os.kill(pid, 9)
    except ProcessLookupError:
        pass  # it has gone by itself

for path in Path("/proc").glob("[0-9]*"):
    try:
        command = (path / "cmdline").read_bytes()
    except OSError:
        continue
    if b"resident.worker" in command:
        kill(int(path.name))
for pid in leaders():
    kill(pid)
"""

# An agent of its own, ten polls of it, two at a time, and pings all the while.
INSIDE = (
    STUCK
    + """
import json, subprocess, sys, tempfile, threading

program, include, more, port, timeout, deadline = sys.argv[1:]
folder = tempfile.mkdtemp()
config = Path(folder, "agent.conf")
lines = ["Server=127.0.0.1", "ListenPort=" + port, "LogType=console", "Timeout=" + timeout]
lines += ["Hostname=hang", more.format(folder), f"PidFile={folder}/pid"]
parameters = Path(include).read_text().replace("agent get\\n", f"agent get --deadline {deadline}\\n")
assert deadline in parameters
config.write_text("\\n".join(lines) + "\\n" + parameters)

def ask(key):
    command = ["zabbix_get", "-s", "127.0.0.1", "-p", port, "-k", key]
    run = subprocess.run(command, capture_output=True, text=True)
    return run.stdout.strip() or run.stderr.strip()

def start():
    log = open(folder + "/log", "a")
    agent = subprocess.Popen([program, "-f", "-c", str(config)], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    until = time.monotonic() + 240
    while (answer := ask("agent.ping")) != "1":
        if agent.poll() is not None or time.monotonic() > until:
            sys.exit(answer + Path(folder, "log").read_text())
        time.sleep(0.1)
    return agent

def stop(agent):
    agent.terminate()
    try:
        agent.wait(240)
    except subprocess.TimeoutExpired:
        agent.kill()
        sys.exit("the agent does not end")

agent = start()
polls, pings, most, over = [], [], 0, threading.Event()

def ping():
    while not over.is_set():
        pings.append(ask("agent.ping"))
        time.sleep(0.05)

pinging = threading.Thread(target=ping)
pinging.start()
for _ in range(5):
    both = [threading.Thread(target=lambda: polls.append(ask("nvidia.get"))) for _ in range(2)]
    for thread in both: thread.start()
    for thread in both: thread.join()
    most = max(most, len(stuck()))
over.set()
pinging.join()
left = stuck()
stop(agent)
again = start()
after = stuck()
stop(again)
print(json.dumps({"polls": polls, "pings": pings, "most": most, "left": left, "after": after}))
"""
)


@pytest.mark.parametrize("service", AGENTS)
def test_agent_lives_while_a_gpu_hangs(stack: Stack, service: str) -> None:
    well = json.loads(stack.get(service, "nvidia.get"))
    stack.set_profile(service, "gpu 0", state="hang")
    try:
        run = stack.exec(service, PYTHON, "-", *AGENTS[service], str(PORT), str(TIMEOUT), str(DEADLINE), input=INSIDE)
        check(json.loads(run), well)
    finally:
        stack.reset_profile(service)
        stack.exec(service, PYTHON, "-", input=DRIVER_COMES_BACK)

    healed = stack.wait(lambda: answer(stack, service), "a healthy document after the hang")
    assert healed["presence"] == well["presence"]
    assert healed["discovery"] == well["discovery"]


def check(seen: dict[str, Any], well: dict[str, Any]) -> None:
    texts = seen["polls"]
    assert len(texts) == 10
    assert [text for text in texts if not text.startswith("{")] == []
    documents = [json.loads(text) for text in texts]
    # The server may be polling the same host, and its collection may be the one that is stuck.
    codes = [document["status"]["code"] for document in documents]
    assert set(codes) <= {1000, 1001, 1005}
    assert codes.count(1001) >= 9
    for document in documents:
        if document["status"]["code"] != 1001:
            assert "from GPU 0." in document["status"]["message"]
            assert len(document["gpus"]) == len(well["gpus"]) - 1
            assert "presence" not in document
    # A listener that waits for a stuck child would keep a ping until zabbix_get gives it up, after 30 s.
    assert len(seen["pings"]) > 10
    assert set(seen["pings"]) == {"1"}

    assert seen["most"] == 1
    assert len(seen["left"]) == 1
    # The agent was ended and started again meanwhile, on the port that it had.
    assert seen["after"] == seen["left"]


def answer(stack: Stack, service: str) -> dict[str, Any] | None:
    document: dict[str, Any] = json.loads(stack.get(service, "nvidia.get"))
    time.sleep(0.1)
    return None if document["status"]["code"] else document
