"""Run benchmarks and write their tables into benchmarks/README.md.

python -m benchmarks                     the quick ones
python -m benchmarks learning            one of them, also the long ones
"""

from __future__ import annotations

import importlib
import os
import platform
import re
import sys
from pathlib import Path

QUICK = ("environment", "training", "seeds", "trial", "startup", "pairing")
LONG = (
    "learning",
    "ppo_ablation",
    "tuning",
    "study",
    "equivalence",
    "budgets",
    "bookkeeping",
    "large",
    "hierarchy",
    "policy_search",
    "optimum",
    "leaderboard",
    "final",
    "racing",
    "race_budgets",
    "racing_simulated",
    "intervals",
)
README = Path(__file__).with_name("README.md")


def machine() -> str:
    """Return what the figures were measured on."""
    import torch

    return (
        f"{os.cpu_count()} cores ({platform.machine()}), Python {platform.python_version()}, "
        f"torch {torch.__version__}"
    )


def write(name: str, command: str, table: str, *, file: Path = README) -> None:
    """Replace the section of a benchmark between its markers in a file."""
    text = file.read_text(encoding="utf-8")
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    body = f"{begin}\n`{command}` on {machine()}:\n\n{table}\n{end}"
    pattern = re.compile(re.escape(begin) + ".*?" + re.escape(end), re.DOTALL)
    if not pattern.search(text):
        raise SystemExit(f"{file} has no section for {name}")
    file.write_text(pattern.sub(lambda _: body, text), encoding="utf-8")


def main() -> None:
    """Run what was asked for."""
    name, *arguments = sys.argv[1:] or [""]
    if name and name not in (*QUICK, *LONG):
        raise SystemExit(f"there is no benchmark '{name}' ({', '.join((*QUICK, *LONG))})")
    for one in [name] if name else QUICK:
        table = importlib.import_module(f"benchmarks.{one}").main(arguments)
        print(f"\n## {one}\n\n{table}\n", flush=True)
        write(one, " ".join(["python -m benchmarks", one, *arguments]), table)


if __name__ == "__main__":
    main()
