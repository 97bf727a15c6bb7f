"""Make docs/figures/ again: run commands as the pages show them, keep the figures that they show.

    make figures                          all of them, a quarter of an hour on two cores
    python docs/figures.py option-libraries    those of one part alone

The commands of a part run in an empty folder of their own, in full size. The results are real and
those of one processor: on another an agent learns other numbers.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

DOCS = Path(__file__).parent
MOST_BYTES = 150_000


@dataclass(frozen=True, kw_only=True)
class Part:
    """Commands, and name in docs/figures/ -> where they leave the figure (a pattern)."""

    page: str
    commands: str
    figures: dict[str, str]


PARTS = {
    "basic-training": Part(
        page="tutorials/01-basic-training.md",
        commands="""
            abx-train experiment=paper_two run_name=first
            abx-evaluate run=first against=greedy
        """,
        figures={
            "amr": "results/first_2*/figures/amr.png",
            "prescriptions": "results/first_2*/figures/prescriptions.png",
            "learning_curve": "results/first_2*/figures/learning_curve.png",
            "paired_difference": "results/first_evaluated_*/figures/paired_difference.png",
        },
    ),
    "hierarchy": Part(
        page="tutorials/05-hierarchy.md",
        commands="""
            abx-train experiment=paper_two agent_algorithm=hrl_ppo option_library=heuristic \\
                run_name=managed
            abx-evaluate run=managed run_name=managed_read
        """,
        figures={
            "option_usage": "results/managed_read_*/figures/option_usage.png",
            "option_by_amr": "results/managed_read_*/figures/option_by_amr.png",
        },
    ),
    "option-libraries": Part(
        page="tutorials/06-option-libraries.md",
        commands="""
            abx-train --config-dir mine experiment=paper_two agent_algorithm=hrl_ppo \\
                option_library=pauses run_name=pauses training.total_num_training_episodes=10
            abx-evaluate run=pauses evaluation.episodes=20 run_name=pauses_read
        """,
        figures={
            "pauses_usage": "results/pauses_read_*/figures/option_usage.png",
            "pauses_by_amr": "results/pauses_read_*/figures/option_by_amr.png",
            "pauses_transitions": "results/pauses_read_*/figures/option_transitions.png",
        },
    ),
    "optimum": Part(
        page="tutorials/09-optimum.md",
        commands="""
            abx-plan experiment=paper_two plan.audit=false
            abx-plan experiment=paper_single plan.front=true plan.information=true plan.audit=false
        """,
        figures={
            "optimal_policy": "results/paper_two_plan_*/figures/optimal_policy.png",
            "front_single": "results/paper_single_plan_*/figures/stewardship_front.png",
        },
    ),
    "how-far": Part(
        page="how-far-is-best.md",
        commands="python how_far.py",
        figures={"how_far": "how_far.png"},
    ),
    "large-sweeps": Part(
        page="tutorials/10-large-sweeps.md",
        commands="""
            short="training.total_num_training_episodes=25"
            abx-train -m experiment=paper_single,paper_two 'training.seed=range(1,7)' $short
            abx-train -m experiment=paper_two agent_algorithm.gamma=0.9 training.seed=1,2 $short
            abx-train -m experiment=paper_two agent_algorithm=greedy,never run_name=rules
            abx-gather
        """,
        figures={"returns": "gathered/returns.png"},
    ),
    "optimisation": Part(
        page="tutorials/04-optimisation.md",
        commands="""
            abx-tune -m --config-dir conf +tuning=our_search experiment=paper_two run_name=our_study
            abx-train best_params_from=our_study experiment=paper_two run_name=tuned \\
                training.total_num_training_episodes=50
        """,
        figures={
            "study_history": "optimization/our_study/figures/study_history.png",
            "seed_spread": "optimization/our_study/figures/seed_spread.png",
        },
    ),
    "front": Part(
        page="how-to/an-agent-that-beats-the-rules.md",
        commands="""
            clinic="experiment=paper_two environment.include_time_remaining=true"
            abx-train experiment=paper_two run_name=ppo
            abx-train $clinic run_name=policy_search agent_algorithm=policy_search
            abx-plan $clinic plan.front=true 'plan.runs=[ppo,policy_search]' plan.audit=false
        """,
        figures={
            "front": "results/paper_two_plan_*/figures/stewardship_front.png",
        },
    ),
}


def make(part: Part) -> None:
    """Write the files that the page gives, run the commands, keep their figures."""
    text = (DOCS / part.page).read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory(prefix="abx-figures-") as made:
        folder = Path(made)
        for name, content in re.findall(r"```\w+\n# file: (\S+)\n(.*?)```", text, flags=re.DOTALL):
            file = (folder / name).resolve()
            if file.is_relative_to(folder.resolve()):
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(content, encoding="utf-8")
        programs = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        subprocess.run(
            ["bash", "-exc", part.commands],
            cwd=folder,
            env={**os.environ, "PATH": programs},
            check=True,
        )
        for name, pattern in part.figures.items():
            (drawn,) = folder.glob(pattern)
            keep(drawn, DOCS / "figures" / f"{name}.png")


def keep(drawn: Path, file: Path) -> None:
    """Write a figure with a palette of 64 colours, a third of the size."""
    file.parent.mkdir(exist_ok=True)
    with Image.open(drawn) as image:
        colours = image.convert("RGB").quantize(64, dither=Image.Dither.NONE)
        colours.save(file, optimize=True)
    if file.stat().st_size > MOST_BYTES:
        raise ValueError(f"{file} must have at most {MOST_BYTES} bytes, got {file.stat().st_size}")


if __name__ == "__main__":
    for name in sys.argv[1:] or PARTS:
        make(PARTS[name])
