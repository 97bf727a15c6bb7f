"""What pairing is worth: the standard error of the difference of two similar rules."""

from __future__ import annotations

from abx_amr.configuration.agent import build_rule
from abx_amr.configuration.clinic import build_clinic
from abx_amr.configuration.composing import compose
from abx_amr.evaluation.episodes import evaluate

EPISODES = 200
PAIR = ("agent_algorithm.threshold=0.30", "agent_algorithm.threshold=0.322")
CLINICS = ("paper_two", "paper_two_cross_resistant", "paper_risk_accurate")


def main(arguments: list[str]) -> str:
    """Return the table."""
    rows = [
        f"`amr_threshold` at 0.30 minus at 0.322, {EPISODES} episodes each.",
        "",
        "| clinic | difference | standard error, paired | unpaired | ratio |",
        "|---|---|---|---|---|",
    ]
    for experiment in CLINICS:
        played = []
        for threshold in PAIR:
            chosen = [f"experiment={experiment}", "agent_algorithm=amr_threshold", threshold]
            config = compose("train", chosen).plain
            model = build_clinic(config)
            rule = build_rule(config, model)
            played.append(evaluate(rule, model, episodes=EPISODES, seed=0))
        found = played[0].difference_from(played[1])
        ratio = found.unpaired_standard_error / found.standard_error
        rows.append(
            f"| {experiment} | {found.mean:.2f} | {found.standard_error:.2f} | "
            f"{found.unpaired_standard_error:.2f} | {ratio:.1f} |"
        )
    return "\n".join(rows)
