"""Whose a process is, by the control groups of Slurm, Kubernetes, Docker, Podman, LXC and systemd."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from zbx_nvidia.collector.owner import owner

if TYPE_CHECKING:
    from pathlib import Path

ID = "3f4b2c1d9e8a" + "0" * 52
SHORT = "3f4b2c1d9e8a"
UID = "1f5f1573-3e36-4a5b-9c3d-0123456789ab"
UNDER = UID.replace("-", "_")
STATIC = "0123456789abcdef0123456789abcdef"
POD = {"pod": UID, "container": SHORT}
STEP = "step_0/user/task_0"


@pytest.mark.parametrize(
    ("cgroup", "found"),
    [
        # Slurm: 22.05 (v1 and v2), 24.11 with the name of the node, 26.05 by SLUID
        ("9:memory:/slurm/uid_1000/job_815/step_batch\n", {"job": "815"}),
        ("9:memory:/slurm_node7/uid_1000/job_815/step_batch/task_0\n", {"job": "815"}),
        (f"0::/system.slice/slurmstepd.scope/job_4711/{STEP}\n", {"job": "4711"}),
        (f"0::/system.slice/node7_slurmstepd.scope/job_4711/{STEP}\n", {"job": "4711"}),
        (f"0::/system.slice/slurmstepd.scope/s0DQN5BKVAT3M0/{STEP}\n", {"job": "s0DQN5BKVAT3M0"}),
        (f"0::/system.slice/slurmstepd.scope/job_s0DQN5BKVAT3M0/{STEP}\n", {"job": "s0DQN5BKVAT3M0"}),
        (f"0::/../../system.slice/slurmstepd.scope/job_4711/{STEP}\n", {"job": "4711"}),
        # Kubernetes: v1 and v2, systemd and cgroupfs
        (f"0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{UNDER}.slice/crio-{ID}.scope\n", POD),
        (f"0::/kubepods.slice/kubepods-pod{UNDER}.slice/cri-containerd-{ID}.scope\n", POD),
        (f"4:devices:/kubepods/besteffort/pod{UID}/{ID}\n0::/kubepods/besteffort/pod{UID}/{ID}\n", POD),
        (f"4:devices:/kubepods/pod{UID}/{ID}\n", POD),
        (f"0::/system.slice/containerd.service/kubepods-burstable-pod{UNDER}.slice:cri-containerd:{ID}\n", POD),
        (f"0::/kubepods/burstable/pod{STATIC}/{ID}\n", {"pod": STATIC, "container": SHORT}),
        # Docker, Podman, LXC
        (f"0::/system.slice/docker-{ID}.scope\n", {"container": SHORT}),
        (f"12:memory:/docker/{ID}\n1:name=systemd:/docker/{ID}\n", {"container": SHORT}),
        (f"0::/machine.slice/libpod-{ID}.scope/container\n", {"container": SHORT}),
        (f"0::/libpod_parent/libpod-{ID}\n", {"container": SHORT}),
        ("0::/lxc.payload.worker7/system.slice/ollama.service\n", {"container": "worker7"}),
        ("4:devices:/lxc/worker7/ns\n", {"container": "worker7"}),
        # systemd
        ("0::/system.slice/ollama.service\n", {"unit": "ollama.service"}),
        ("0::/system.slice/system-jupyter.slice/jupyter@ada.service\n", {"unit": "jupyter@ada.service"}),
        ("0::/system.slice/text\\x2dgen.service\n", {"unit": "text-gen.service"}),
        ("0::/user.slice/user-1000.slice/session-3.scope\n", {}),
        ("0::/system.slice/job_4711.service\n", {"unit": "job_4711.service"}),
        ("0::/\n", {}),
        ("", {}),
    ],
)
def test_owner(cgroup: str, found: dict[str, str]) -> None:
    assert owner(cgroup, "/nowhere") == found


@pytest.mark.parametrize(
    "below",
    ["slurm/job_666", f"docker-{ID}.scope", "lxc/root", "lxc.payload.root", f"kubepods/pod{UID}/{ID}", f"job_1/{ID}"],
)
@pytest.mark.parametrize(
    ("above", "found"),
    [
        ("user.slice/user-1000.slice/user@1000.service/app.slice", {}),
        ("system.slice/jupyter.service", {"unit": "jupyter.service"}),
        (f"docker/{ID[::-1]}", {"container": ID[::-1][:12]}),
        ("system.slice/slurmstepd.scope/job_4711/step_0/user", {"job": "4711"}),
        ("lxc.payload.mine", {"container": "mine"}),
    ],
)
def test_names_that_a_user_has_made_are_not_believed(above: str, found: dict[str, str], below: str) -> None:
    assert owner(f"0::/{above}/{below}\n", "/nowhere") == found


def test_unprintable_characters_are_replaced() -> None:
    assert owner("0::/lxc.payload.a\x1b[31mb\u202ec\n", "/nowhere") == {"container": "a?[31mb?c"}
    assert len(owner(f"0::/lxc.payload.{'x' * 4000}\n", "/nowhere")["container"]) == 64


def test_a_pod_has_the_name_that_its_logs_have(tmp_path: Path) -> None:
    (tmp_path / f"research_trainer-0_{UID}").mkdir()
    (tmp_path / "kube-system_dns_0000").mkdir()
    (tmp_path / "odd").mkdir()
    cgroup = f"0::/kubepods/pod{UID}/{ID}\n"
    assert owner(cgroup, str(tmp_path)) == {"pod": "trainer-0", "namespace": "research", "container": SHORT}
    assert owner(cgroup.replace(UID, STATIC), str(tmp_path)) == {"pod": STATIC, "container": SHORT}
