"""Which weights an evaluation is of, and whether the episodes that it plays have chosen them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from abx_amr.reports.wording import is_known, number


def weights_in_words(
    config: Mapping[str, Any],
    summary: Mapping[str, Any],
    provenance: Mapping[str, Any],
    *,
    evaluations: int | None = None,
) -> str | None:
    """Return which weights were evaluated, and what chose them; None for what has not learned.

    Args:
        config: Of the run, or of the evaluation of one.
        summary: Its summary.
        provenance: Its provenance.
        evaluations: How many evaluations a training made; None: not known.
    """
    if "evaluation" in config:
        if "trained_with_seed" not in provenance:
            return None
        return f"{_of_an_evaluation(config, summary)}{_settings(config, summary, provenance)}"
    if not summary.get("transitions"):
        return None
    chosen = _settings(config, summary, provenance)
    return f"{_of_a_training(summary, evaluations)}{chosen}"


def _settings(
    config: Mapping[str, Any], summary: Mapping[str, Any], provenance: Mapping[str, Any]
) -> str:
    """Return whether the episodes may have chosen its settings; nothing where they have not."""
    study = provenance.get("best_params_from") or config.get("best_params_from")
    seed = summary.get("evaluation_seed")
    if not study or (config.get("training") or {}).get("evaluation_seed") != seed:
        return ""
    return (
        f" But its settings were chosen by the study {study}, which scores its trials on the "
        f"episodes of training.evaluation_seed: unless it had another than {seed}, they are these, "
        "and their mean flatters the settings."
    )


def _of_a_training(summary: Mapping[str, Any], evaluations: int | None) -> str:
    last, best = summary.get("mean_return"), summary.get("best_return")
    text = "These are its last weights, as they were when training ended"
    if evaluations == 1:
        return f"{text}; no evaluation has chosen them."
    if not is_known(best) or not is_known(last):
        return f"{text}."
    if best == last:
        return (
            f"{text}: no evaluation has chosen them, though the last evaluation was the best of "
            "its training as well, so that abx-evaluate plays the same weights."
        )
    return (
        f"{text}; no evaluation has chosen them. Its best checkpoint, which abx-evaluate plays "
        f"unless it is told checkpoint=last, earned {number(best)}: it was chosen by these same "
        "episodes, so that this value flatters it. Unseen episodes do not (Repeat it, go on)."
    )


def _of_an_evaluation(config: Mapping[str, Any], summary: Mapping[str, Any]) -> str:
    seed = summary.get("evaluation_seed")
    if config.get("checkpoint") == "last":
        return "Played were the last weights of its training (checkpoint=last)."
    chosen_by = (config.get("training") or {}).get("evaluation_seed")
    text = "Played was the best checkpoint of its training"
    if chosen_by is None:
        return f"{text}; whether these episodes chose it is not known."
    if chosen_by == seed:
        return (
            f"{text}, which was chosen by these very episodes (evaluation seed {seed}): their mean "
            f"flatters it. Episodes of another seed do not: evaluation.seed={int(seed) + 1}."
        )
    return f"{text}, chosen by other episodes (evaluation seed {chosen_by}) than these."
