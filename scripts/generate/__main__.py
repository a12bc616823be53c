"""Write every file that is generated from the catalog and the commands, or check that they are up to date.

python -m scripts.generate           writes them
python -m scripts.generate --check   exits 1 and names those that differ
"""

from __future__ import annotations

import argparse
import json
import sys

from scripts.generate import manual
from scripts.generate.alerts import alerts
from scripts.generate.costs import costs
from scripts.generate.coverage import covered
from scripts.generate.doctor import doctor
from scripts.generate.metrics import metrics
from scripts.generate.page import ROOT
from scripts.generate.releases import release
from scripts.generate.schema import links_schema, schema
from zbx_nvidia import __version__
from zbx_nvidia.collector.resident import config
from zbx_nvidia.template import SERIES, TEMPLATE_NAMES, VARIANTS, render, userparameters


def files() -> dict[str, str]:
    """Path below the root -> text, for every generated file."""
    wanted = {
        f"templates/zabbix/{series}/{template_file(variant)}": render(series, variant)
        for series in SERIES
        for variant in VARIANTS
    }
    wanted["userparameters/nvidia.conf"] = userparameters.render()
    wanted["userparameters/nvidia-resident.conf"] = userparameters.render_alias()
    wanted["systemd/agent.conf"] = config.example()
    wanted["docs/COMMANDS.md"] = manual.markdown()
    wanted |= {f"docs/man/{name}": text for name, text in manual.pages().items()}
    wanted[f"src/zbx_nvidia/template/releases/{__version__}.json"] = release()
    wanted["docs/METRICS.md"] = metrics()
    wanted["docs/ALERTS.md"] = alerts()
    wanted["docs/COSTS.md"] = costs()
    wanted["docs/COVERAGE.md"] = covered()
    wanted["docs/DOCTOR.md"] = doctor()
    for name, rules in (("document", schema()), ("links", links_schema())):
        wanted[f"docs/{name}.schema.json"] = json.dumps(rules, indent=2, ensure_ascii=False) + "\n"
    return wanted


def template_file(variant: str) -> str:
    """Zabbix's own way of naming template files."""
    return f"template_{TEMPLATE_NAMES[variant].lower().replace(' ', '_')}.yaml"


def main() -> int:
    """Write or check; 1 if --check finds a difference."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--check", action="store_true", help="write nothing, exit 1 if a file differs")
    check = parser.parse_args().check
    wanted = files()
    existing = {
        str(path.relative_to(ROOT))
        for folder in ("templates", "userparameters", "docs/man")
        for path in ROOT.glob(f"{folder}/**/*")
        if path.is_file()
    }
    wrong = sorted(existing - set(wanted))
    for name, text in wanted.items():
        path = ROOT / name
        if path.is_file() and path.read_text(encoding="utf-8") == text:
            continue
        wrong.append(name)
        if not check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    if not check:
        for name in existing - set(wanted):
            (ROOT / name).unlink()
    for name in wrong:
        print(f"{'differs' if check else 'written'}: {name}")
    if check and wrong:
        print("Run `make generate` and review the difference.", file=sys.stderr)
    return 1 if check and wrong else 0


if __name__ == "__main__":
    sys.exit(main())
