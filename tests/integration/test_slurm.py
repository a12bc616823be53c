"""Slurm's own daemons as Debian has them, with the prolog and the epilog of docs/JOBS.md: what Zabbix gets to see."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import PATIENCE
from tests.integration.conftest import PROFILE, SERIES, missing_for
from tests.integration.machines import PRODUCT, machine

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.integration.machines import Machine

IMAGE = "7.0"  # there is one image with Slurm
pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(IMAGE not in SERIES, reason=f"the image with Slurm is one of Zabbix {IMAGE}"),
]

DOCS = (Path(__file__).parents[2] / "docs" / "JOBS.md").read_text(encoding="utf-8")
SCRIPTS = re.findall(r"^```\n(#!/bin/sh\n.*?)^```$", DOCS, re.MULTILINE | re.DOTALL)
CHECK, PROLOG, EPILOG = SCRIPTS
FILES = "/run/zbx-nvidia-jobs"
USER = "alice"
LONG = "exec sleep 1000"


class Cluster:
    """A controller, and a node with two GPUs, in one machine."""

    def __init__(self, there: Machine) -> None:
        self.there = there
        self._flags = ""
        self.shell = there.shell
        # Slurm looks whether the files exist, and numbers the GPUs.
        self.shell("for n in 0 1; do test -e /dev/nvidia$n || mknod /dev/nvidia$n c 195 $n; done")
        # Two GPUs on which nothing runs.
        self.shell(f"sed -i '/^.gpu 2.$/,$d' {PROFILE}; cp {PROFILE} /root/profile")
        self.scripts(PROLOG, EPILOG)
        self.start("munge", "slurmctld", "slurmd")
        self.until(lambda: self.node() == "idle", "an idle node")

    def scripts(self, prolog: str, epilog: str = EPILOG) -> None:
        for name, text in (("prolog", prolog), ("epilog", epilog)):
            self.there.write(f"/etc/slurm/{name}", text)
            self.shell(f"chmod 755 /etc/slurm/{name}")

    def flags(self, flags: str) -> None:
        """Start the daemons again with these PrologFlags."""
        self._flags = flags
        self.there.write("/etc/slurm/test.conf", f"PrologFlags={flags}\n" if flags else "")
        self.start("slurmctld", "slurmd")
        self.until(lambda: self.node() == "idle", "an idle node")

    def start(self, *daemons: str) -> None:
        """Start daemons again: also for the sixth time within ten seconds, which systemd would refuse."""
        self.shell(f"systemctl reset-failed; systemctl restart {' '.join(daemons)}")

    def node(self) -> str:
        return self.shell("sinfo --noheader --format %T").strip()

    def until(self, check: Callable[[], Any], what: str) -> Any:
        end = time.monotonic() + PATIENCE
        while not (found := check()):
            if time.monotonic() > end:
                pytest.fail(f"no {what} after {PATIENCE:g} s; {self.shell('tail -n 30 /var/log/slurm/slurm*.log')}")
            time.sleep(0.2)
        return found

    def submit(self, script: str = LONG, *options: str) -> str:
        """Start a batch job; its ID, once it runs or has ended."""
        options = ("--parsable", "--chdir=/tmp", "--output=/dev/null", "--job-name=train", *options)
        job = self.there.ok("sbatch", *options, user=USER, input=f"#!/bin/sh\n{script}\n").strip()
        self.until(lambda: self.state(job) not in {"PENDING", "CONFIGURING"}, f"start of job {job}")
        return job

    def allocate(self) -> str:
        """Allocate a GPU without running anything on the node; the ID."""
        done = self.there.run("salloc", "--no-shell", "--gres=gpu:1", "--job-name=shell", user=USER)
        assert done.code == 0, done
        found = re.search(r"job allocation (\d+)", done.err)
        assert found, done
        return found[1]

    def clean(self) -> None:
        """Take everything away that a test has left."""
        self.shell(f"cp /root/profile {PROFILE}; systemctl reset-failed; systemctl start slurmd")
        self.scripts(PROLOG)
        self.shell(f"scancel --user {USER}")
        self.end()
        if "drain" in self.node():
            self.shell("scontrol update nodename=slurm state=resume")
        if self._flags:
            self.flags("")
        self.until(lambda: self.node() == "idle", "an idle node")
        self.shell(f"rm -rf {FILES}")

    def state(self, job: str) -> str:
        found = re.search(r"JobState=(\w+)", self.shell(f"scontrol show job {job}"))
        assert found
        return found[1]

    def end(self, *jobs: str) -> None:
        """End jobs; until Slurm has nothing of them."""
        if jobs:
            self.shell(f"scancel {' '.join(jobs)}")
        self.until(lambda: not self.shell("squeue --noheader"), "end of the jobs")

    def files(self) -> list[str]:
        return self.shell(f"ls {FILES} 2>/dev/null || true").split()

    def age(self) -> None:
        """Let all jobs be older than the time in which a job need not have a process."""
        self.shell(f"""sed -i 's/"since": [0-9]*/"since": 1000000000/' {FILES}/*.json""")

    def document(self) -> dict[int, dict[str, Any]]:
        """The GPUs by index, as an agent reads them: not as root."""
        found = json.loads(self.there.ok(f"{PRODUCT}-agent", "get", user="zabbix"))
        return {gpu["index"]: gpu for gpu in found["gpus"].values()}

    def jobs(self) -> list[str]:
        """The job of each GPU."""
        gpus = self.document()
        return [gpus[index]["job"] for index in sorted(gpus)]

    def show(self, *jobs: str) -> None:
        """Wait until these are the jobs of the two GPUs: Slurm calls a job running before its prolog has run."""
        self.until(lambda: self.jobs() == [*jobs], f"{jobs}")

    def processes(self, job: str) -> list[str]:
        """Those that a user has started in a job."""
        return self.shell(f"pgrep -u {USER} sleep || true").split() if self.state(job) == "RUNNING" else []


@pytest.fixture(scope="module")
def there() -> Iterator[Cluster]:
    if complaint := missing_for(IMAGE, "slurm"):
        pytest.fail(complaint, pytrace=False)
    with machine(IMAGE, "slurm", image="slurm") as made:
        yield Cluster(made)


@pytest.fixture
def cluster(there: Cluster) -> Iterator[Cluster]:
    yield there
    there.clean()


def test_a_batch_job_has_its_gpu_from_its_start_to_its_end(cluster: Cluster) -> None:
    assert cluster.jobs() == ["", ""]
    before = int(cluster.shell("date +%s"))
    first = cluster.submit("while ! test -e /tmp/enough; do sleep 0.1; done", "--gres=gpu:1")
    cluster.show(f"{first} ({USER})", "")
    gpus = cluster.document()
    assert before <= gpus[0]["job_since"] <= int(cluster.shell("date +%s"))
    assert gpus[1]["job_since"] == 0
    second = cluster.submit(LONG, "--gres=gpu:1")
    cluster.show(f"{first} ({USER})", f"{second} ({USER})")
    cluster.shell("touch /tmp/enough")
    cluster.show("", f"{second} ({USER})")
    cluster.end(second)
    assert cluster.jobs() == ["", ""]
    assert [gpu["job_since"] for gpu in cluster.document().values()] == [0, 0]
    assert cluster.files() == []
    both = cluster.submit(LONG, "--gres=gpu:2")
    cluster.show(f"{both} ({USER})", f"{both} ({USER})")


def test_a_job_without_a_gpu_has_none(cluster: Cluster) -> None:
    job = cluster.submit("exit 0")
    cluster.until(lambda: cluster.state(job) == "COMPLETED", "end of the job")
    assert cluster.files() == []


def test_control_groups_name_the_job_without_a_prolog(cluster: Cluster) -> None:
    cluster.scripts("#!/bin/sh\n")
    job = cluster.submit(LONG, "--gres=gpu:1")
    pid = cluster.until(lambda: cluster.processes(job), "process of the job")[0]
    assert cluster.jobs() == ["", ""]
    cluster.there.set_profile(f"gpu 1 process {pid}", name="python3", compute=1, used_memory=1048576)
    assert cluster.jobs() == ["", f"{job} ({USER})"]


def test_a_run_names_the_job(cluster: Cluster) -> None:
    job = cluster.submit(f"exec {PRODUCT} run --name night -- sleep 1000", "--gres=gpu:1")
    pid = cluster.until(lambda: cluster.processes(job), "process of the job")[0]
    cluster.there.set_profile(f"gpu 0 process {pid}", name="sleep", compute=1, used_memory=1048576)
    assert cluster.jobs() == [f"{job} night ({USER})", ""]


def test_a_job_whose_epilog_never_ran_is_no_ghost(cluster: Cluster) -> None:
    """slurmd was killed, and then its job ended."""
    job = cluster.submit(LONG, "--gres=gpu:1")
    pid = cluster.until(lambda: cluster.processes(job), "process of the job")[0]
    cluster.shell("systemctl kill --kill-whom=main --signal=KILL slurmd")
    cluster.age()
    assert cluster.jobs() == [f"{job} ({USER})", ""], "it still runs"
    cluster.shell(f"kill -KILL {pid}")
    cluster.show("", "")
    assert cluster.files() == [f"{job}.json"]
    # Slurm catches up on it.
    cluster.start("slurmd")
    cluster.until(lambda: not cluster.files(), "epilog")


def test_not_even_a_control_group_that_was_left_is_a_ghost(cluster: Cluster) -> None:
    """All that Slurm had on the node was killed: nobody removes the control group."""
    job = cluster.submit(LONG, "--gres=gpu:1")
    cluster.until(lambda: cluster.processes(job), "process of the job")
    cluster.shell("systemctl kill --kill-whom=main --signal=KILL slurmd && pkill -KILL slurmstepd")
    cluster.shell(f"pkill -KILL --uid {USER} || true")
    cluster.age()
    cluster.show("", "")


@pytest.mark.parametrize("flags", ["", "Alloc", "Contain"])
def test_an_allocation_without_a_step(cluster: Cluster, flags: str) -> None:
    cluster.flags(flags)
    job = cluster.allocate()
    if not flags:
        assert cluster.jobs() == ["", ""], "Slurm runs the prolog with the first step"
        cluster.there.ok("srun", f"--jobid={job}", "true", user=USER)
    cluster.until(lambda: cluster.files() == [f"{job}.json"], "prolog")
    assert cluster.jobs() == [f"{job} ({USER})", ""]
    cluster.age()
    # Only a control group says now that the job goes on.
    for _ in range(2):
        assert cluster.jobs() == [f"{job} ({USER})" if flags == "Contain" else "", ""]
        cluster.start("slurmd")
    cluster.end(job)
    assert cluster.jobs() == ["", ""]
    assert cluster.files() == []


def test_the_prolog_that_checks_the_gpus(cluster: Cluster) -> None:
    cluster.scripts(CHECK)
    good = cluster.submit("exit 0", "--gres=gpu:2")
    cluster.until(lambda: cluster.state(good) == "COMPLETED", "end of the job")
    cluster.there.set_profile("gpu 1", gpu_recovery_action=1)
    without = cluster.submit("exit 0")
    cluster.until(lambda: cluster.state(without) == "COMPLETED", "end of the job")
    cluster.until(lambda: cluster.node() == "idle", "an idle node")
    cluster.there.ok("sbatch", "--gres=gpu:2", "--wrap", "true", user=USER)
    cluster.until(lambda: cluster.node() in {"drained", "draining"}, "drained node")
