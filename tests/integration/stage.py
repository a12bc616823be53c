"""Makes a machine of the tests look like a GPU host to those who look at the kernel: a card on the bus, the module
that has it, its device files, and the library by its version's name.

The simulated driver needs none of that. Where a test breaks one of these, it has the driver answer as the real one
would then.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.integration.conftest import PROFILE

if TYPE_CHECKING:
    from tests.integration.machines import Machine

VERSION = "580.95.05"
SLOT = "0000:01:00.0"
DEVICES = "/sys/bus/pci/devices"
LIBRARY = "/usr/lib/nvml-simulator/libnvidia-ml.so"
MODULE = f"NVRM version: NVIDIA UNIX x86_64 Kernel Module  {VERSION}  Wed Sep 17 19:00:00 UTC 2025"
SCRIPT = f"""
mount -t tmpfs none /proc/driver
mount -t tmpfs none {DEVICES}
mkdir -p /proc/driver/nvidia {DEVICES}/{SLOT} {DEVICES}/0000:01:00.1
echo '{MODULE}' >/proc/driver/nvidia/version
cd {DEVICES}/{SLOT}
echo 0x10de >vendor; echo 0x1b81 >device; echo 0x030000 >class
ln -s ../../../bus/pci/drivers/nvidia driver
cd ../0000:01:00.1
echo 0x10de >vendor; echo 0x10f0 >device; echo 0x040300 >class
mknod -m 0666 /dev/nvidiactl c 195 255
mknod -m 0666 /dev/nvidia0 c 195 0
mv {LIBRARY}.1 {LIBRARY}.{VERSION}
ln -s libnvidia-ml.so.{VERSION} {LIBRARY}.1
ldconfig
"""


def stage(machine: Machine) -> None:
    """A healthy host with one card."""
    machine.shell(SCRIPT)
    machine.set_profile(persistence_mode=1)
    machine.ok("cp", PROFILE, "/root/profile")


def script(machine: Machine, text: str) -> str:
    """Run a script with the tools below; what it printed."""
    return machine.ok("bash", "-euc", TOOLS + text)


# What the scripts of the faults use: the driver's answer as a whole, and an agent that is up again.
TOOLS = f"""
profile=/etc/nvml-simulator/profile
slot={DEVICES}/{SLOT}
program=/opt/zbx-nvidia/bin/zbx-nvidia-agent
well() {{ cp /root/profile $profile.new; mv $profile.new $profile; }}
answers() {{ sed "s/^\\[machine\\]/[machine]\\nstate = $1/" /root/profile >$profile.new; mv $profile.new $profile; }}
up() {{ for _ in $(seq 1200); do (: </dev/tcp/127.0.0.1/10050) 2>/dev/null && return; sleep 0.1; done; return 1; }}
agentd() {{ systemctl reset-failed zabbix-agent || :; systemctl restart zabbix-agent || :; }}
agent2() {{ systemctl reset-failed zabbix-agent2 || :; systemctl restart zabbix-agent2 || :; }}
service() {{
    rm -f /run/zbx-nvidia/document.json
    systemctl restart zbx-nvidia
    for _ in $(seq 1200); do [ -s /run/zbx-nvidia/document.json ] && return; sleep 0.1; done
    return 1
}}
closed_to_the_server() {{
    cp -a /etc/zabbix /root/
    sed -i 's/^Server=.*/Server=127.0.0.1/' $(grep -rl ^Server= /etc/zabbix)
    agentd
    up
}}
open_to_the_server() {{ cp -a /root/zabbix /etc/; rm -r /root/zabbix; agentd; up; }}
agentd_d=/etc/zabbix/zabbix_agentd.conf.d
agent2_d=/etc/zabbix/zabbix_agent2.d
"""
