"""The pictures of docs/pictures: every page of the dashboards with hours of data, healthy and with faults.

usage: python -m scripts.pictures [SERIES ...]    (6.0 and 7.0 by default; run scripts/images.sh with them first)

The load of the simulated machines has a short period, and they are polled each 2 s. Zabbix accepts no values of the
past for dependent items, which the readings are: so what it stored in a period is stretched to an hour with a value a
minute, and repeated, in the database.
"""

from __future__ import annotations

import re
import subprocess
import sys
import time
from functools import partial

from tests.conftest import SIMULATOR
from tests.integration.browser import FrontEnd, front_end
from tests.integration.conftest import ALL_SERIES, HOSTS, PROFILE, ROOT, Stack, edited, running
from tests.integration.watched import QUICK, Client, as_options, wait_for_gpus
from zbx_nvidia.template import fleet

POLL = 2  # s
STRETCH = 30  # to a poll a minute
PERIOD = 120  # s of the machines' load, before it is stretched to an hour
HOURS = 6
HOUR = PERIOD * STRETCH
WINDOW = f"from=now-{HOURS}h&to=now"
FOLDER = ROOT / "docs" / "pictures"
MACROS = {
    **QUICK,
    "{$NVIDIA.INTERVAL}": f"{POLL}s",
    # What has happened stays until the picture is taken.
    "{$NVIDIA.ECC.PERIOD}": "1h",
    "{$NVIDIA.GROUP.USERS}": "1",
}
GPUS, SPLIT = 8, 7
WIDTH, HEIGHT = 1920, 3000
PHONE = "Phone"
PHONE_WIDTH, PHONE_HEIGHT = 390, 2000
# Which pages of which host; none: all.
PAGES: dict[str, tuple[str, ...]] = {"gpu-server": (), "workstation": ("Overview",)}
XID = {"xid.1": 119}
FAULTS: dict[str, dict[str, dict[str, object]]] = {
    "gpu-server": {
        "gpu 1": {"ecc_uncorrected_volatile": 3, "remapped_rows_pending": 1, "remapped_rows_uncorrected": 2},
        "gpu 2": {"margin_temperature": 1, "temperature": 86, "clocks_event_reasons": 0x20},
        "gpu 3": {"nvlink_state.4": 0},
        "gpu 5": {"state": "lost"},
    },
    "workstation": {"gpu 0": {"temperature": 97, "fan_speed": 0}},
}
ALERTS = {
    "gpu-server": ("GPU lost", "below the slowdown", "Uncorrected ECC", "17 of 18 NVLinks"),
    "workstation": ("below the slowdown", "fan is at"),
}
# Each poll of the period is a minute of an hour, and that of each hour. What is stored on change has the last value
# before it.
HISTORY = """
CREATE TEMP TABLE stored AS SELECT itemid, clock, value FROM {table} WHERE clock <= {end} AND itemid IN ({ids});
CREATE INDEX stored_index ON stored (itemid, clock);
DELETE FROM {table} WHERE clock <= {end} AND itemid IN ({ids});
INSERT INTO {table} (itemid, clock, value, ns)
    SELECT item.itemid, {end} - {stretch} * ago - {hour} * number, last.value, 0
    FROM (SELECT DISTINCT itemid FROM stored) AS item
    CROSS JOIN generate_series(0, {period} - 1, {poll}) AS ago
    CROSS JOIN LATERAL (
        SELECT value FROM stored WHERE stored.itemid = item.itemid AND clock <= {end} - ago ORDER BY clock DESC LIMIT 1
    ) AS last
    CROSS JOIN generate_series(0, {hours} - 1) AS number;
DROP TABLE stored;
"""


def say(text: str) -> None:
    """Prints the next step, unbuffered."""
    print(f"> {text}", flush=True)


def profile_of(text: str) -> str:
    """A profile with the load's period of the pictures, and its phases in proportion."""

    def shortened(match: re.Match[str]) -> str:
        factor = PERIOD / float(match[2])
        return f"{match[1]}{PERIOD}" + (f", ({match[3]}) * {factor:.6f}" if match[3] else "")

    text = re.sub(r"((?:wave|step|ramp)\([^,()]+, [^,()]+, )(\d+)(?:, ([^()]+))?(?=\))", shortened, text)
    return re.sub(r"(integral\([^,()]+, )\d+", rf"\g<1>{PERIOD}", text)


def machine_of(host: str, original: str) -> str:
    """The machine of a host: the server has the last of its cards split into MIG instances, and processes with users.

    Args:
        host: Its name.
        original: The profile that it starts with.
    """
    text = profile_of(original)
    if host != "gpu-server":
        return text
    split = profile_of((SIMULATOR / "profiles" / "h100-mig.profile").read_text("utf-8"))
    instances = re.findall(r"^\[(?:mig \*|gpu 0 mig \d+)\]\n(?:(?!\[).*\n)*", split, re.MULTILINE)
    text += "\n" + "".join(instances).replace("[gpu 0 mig", f"[gpu {SPLIT} mig")
    text = edited(text, f"gpu {SPLIT}", {"mig_mode_current": 1, "mig_mode_pending": 1})
    # It exists in the container, so that /proc names its user. A process on an instance has no utilization.
    for gpu in set(range(GPUS)) - {SPLIT}:
        text = edited(text, f"gpu {gpu} process 1", {})
    return text


def set_up(stack: Stack) -> None:
    """Template, hosts, and machines with the load of the pictures."""
    client = Client(stack.url, ZABBIX_USER=stack.user, ZABBIX_PASSWORD=stack.password)
    stack.api.settings.update(blink_period="0s")  # new problems have no color half of the time
    client.ok("install-template")
    for host in HOSTS:
        original = stack.exec(host, "sh", "-c", 'cat "/usr/share/nvml-simulator/profiles/$NVML_PROFILE.profile"')
        new = machine_of(host, original)
        stack.exec(host, "sh", "-c", f"cat >{PROFILE}.new && mv {PROFILE}.new {PROFILE}", input=new)
        client.ok("add-host", host, "--address", host, "--wait", *as_options(MACROS))
    client.ok("install-dashboard")
    for host in HOSTS:
        wait_for_gpus(stack, host)


def write_history(stack: Stack) -> None:
    """Stretch what was stored in the last period to an hour, and repeat it."""
    hostids = ",".join(stack.host_id(host) for host in HOSTS)
    ids = f"SELECT itemid FROM items WHERE hostid IN ({hostids})"  # noqa: S608  ids of Zabbix's own
    end = int(time.time())
    statements = [
        HISTORY.format(table=table, ids=ids, end=end, period=PERIOD, poll=POLL, stretch=STRETCH, hour=HOUR, hours=HOURS)
        for table in ("history", "history_uint")
    ]
    stack.sql(*statements)


def take(front: FrontEnd, stack: Stack, state: str) -> None:
    """Pages of the hosts' dashboard, and the fleet dashboard, in one state."""
    front.resize(WIDTH, HEIGHT)
    for host, pages in PAGES.items():
        address = f"zabbix.php?action=host.dashboard.view&hostid={stack.host_id(host)}&{WINDOW}"
        front.open(address)
        names = front.pages()
        for page in pages or names:
            if page == PHONE:
                continue
            front.turn_to(names.index(page))
            front.save(FOLDER / f"{stack.series}-{host}-{_word(page)}-{state}.png")
        if PHONE in names[-1:] and not pages:
            front.open(f"{address}&kiosk=1")
            front.turn_back_in_kiosk()
            front.resize(PHONE_WIDTH, PHONE_HEIGHT)
            front.save(FOLDER / f"{stack.series}-{host}-{_word(PHONE)}-{state}.png", kiosk=True)
            front.open(f"{address}&kiosk=0")
            front.resize(WIDTH, HEIGHT)
    (there,) = stack.api.dashboard.get(filter={"name": fleet.NAME}, output=["dashboardid"])
    front.open(f"zabbix.php?action=dashboard.view&dashboardid={there['dashboardid']}&{WINDOW}")
    front.save(FOLDER / f"{stack.series}-fleet-{state}.png")


def _word(page: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", page.lower())


def until_raised(stack: Stack) -> None:
    """Set the faults, and wait for their alerts. An XID comes last: with the settings of the tests it ends first."""
    for host, sections in FAULTS.items():
        stack.set_sections(host, sections)

    def lacking(alerts: dict[str, tuple[str, ...]]) -> list[str]:
        names = {
            host: " ".join(row["name"] for row in stack.api.problem.get(hostids=[stack.host_id(host)]))
            for host in HOSTS
        }
        return [text for host, texts in alerts.items() for text in texts if text not in names[host]]

    stack.until(partial(lacking, ALERTS))
    stack.set_profile("gpu-server", "gpu 6", **XID)
    stack.until(partial(lacking, {"gpu-server": ("XID error",)}))


def main() -> None:
    """Takes all pictures."""
    FOLDER.mkdir(exist_ok=True)
    for series in sys.argv[1:] or ALL_SERIES:
        pictures_of(series)
        compress(series)


def pictures_of(series: str) -> None:
    """Takes those of one Zabbix."""
    say(f"Starting Zabbix {series} and two hosts with simulated GPUs")
    with running(series) as stack:
        set_up(stack)
        say(f"Collecting for {PERIOD} s")
        time.sleep(PERIOD)
        write_history(stack)
        with front_end(stack) as front:
            say("Taking the pictures: healthy")
            take(front, stack, "healthy")
            say("Setting faults, and waiting for their alerts")
            until_raised(stack)
            say("Taking the pictures: with faults")
            take(front, stack, "faults")


def compress(series: str) -> None:
    """Few colors are enough for dashboards, and make the files a third as large."""
    pictures = sorted(map(str, FOLDER.glob(f"{series}-*.png")))
    subprocess.run(["pngquant", "--force", "--ext", ".png", "--nofs", "32", "--", *pictures], check=True)


if __name__ == "__main__":
    main()
