"""abx doctor: check the installation, and print what belongs in a bug report."""

from __future__ import annotations

from collections.abc import Sequence

from abx_amr.errors import InputError

HELP = """
abx doctor: check the installation and its surroundings: versions, processors, GPU, folders, disks,
database, SLURM, Hydra's plugins, the project. Nothing is changed.

  abx doctor                     here
  abx doctor > doctor.txt        the end of it is what belongs in a bug report
  srun abx doctor                on a node of a cluster

Each line begins with ok, warn (works, but read it) or fail; exit status 1: something fails.
"""


def main(arguments: Sequence[str]) -> int:
    """Print every finding with its cure, then what to paste; return 1 when something fails.

    Raises:
        InputError: there are arguments, which it does not take.
    """
    if any(a in ("--help", "-h") for a in arguments):
        print(HELP.strip())
        return 0
    if arguments:
        raise InputError(f"abx doctor takes no arguments, got '{arguments[0]}' (abx doctor --help)")
    from abx_amr.host.doctor import examine, report

    findings = []
    for finding in examine():
        findings.append(finding)
        cure = f"\n                {finding.cure}" if finding.cure else ""
        print(f"{finding.state:<5} {finding.about:<9} {finding.message}{cure}", flush=True)
    counts = {state: sum(f.state == state for f in findings) for state in ("ok", "warn", "fail")}
    print(", ".join(f"{count} {state}" for state, count in counts.items()))
    print("\n--- paste from here into a bug report ---")
    print(report(findings))
    print("--- to here ---")
    return 1 if counts["fail"] else 0
