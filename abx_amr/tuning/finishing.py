"""What is written when work on a study ends, whoever it is that ends it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from abx_amr.evaluation.collapse import advice
from abx_amr.host.atomic_files import jsonable
from abx_amr.studies.members import trial_episodes
from abx_amr.tuning.held_out import against_best_rule, describe_final
from abx_amr.tuning.limits import gap_of_point, limits_of_trial
from abx_amr.tuning.result import TuneResult
from abx_amr.tuning.seed_files import remove_checkpoints

if TYPE_CHECKING:
    from abx_amr.studies.final import FinalStanding
    from abx_amr.studies.finishing import StudySummary
    from abx_amr.tuning.study import TuningStudy


def write_summary(study: TuningStudy, *, is_whole: bool = False) -> StudySummary:
    """Write how far the study is, with the best trial's gap to the optimum, and return it.

    A complete study also gets its best_params.json and its row in the registry. Safe to call again
    and from many processes.

    Args:
        study: The study.
        is_whole: Also say of the best trial what takes some seconds: where its gap comes from, and
            whether it beats the best rule.
    """
    from abx_amr.studies.finishing import finish_study

    reference = study.points.reference  # before the storage is locked: it may take two seconds
    finals: list[FinalStanding] = []

    def describe(best: Mapping[str, Any]) -> Mapping[str, Any]:
        return reference.gap(best["mean_reward"])

    def describe_result(final: FinalStanding) -> dict[str, Any]:
        finals[:] = [final]
        result = describe_final(study, final)
        mean = result["held_out"]["selected"]["mean"]
        return result if mean is None else _with_held_out(result, reference.gap(mean))

    summary = finish_study(
        study.settings, study.storage, describe_best=describe, describe_final=describe_result
    )
    _remove_what_nobody_goes_on_with(study, summary)
    known = summary.content["best_trial"]
    if not is_whole or known is None or known["mean_reward"] is None:
        return summary
    said = limits_of_trial(study, known)
    of_final = _limits_of_final(study, finals[0], summary) if finals else {}

    def describe_wholly(best: Mapping[str, Any]) -> Mapping[str, Any]:
        same = best["number"] == known["number"]  # else another process has just found a better one
        more = said if same else limits_of_trial(study, best)
        return {**describe(best), **jsonable(more)}

    def describe_result_wholly(final: FinalStanding) -> Mapping[str, Any]:
        same = final.selected == finals[0].selected if finals else False
        result = describe_result(final)
        return _with_held_out(result, of_final) if same else result

    return finish_study(
        study.settings,
        study.storage,
        describe_best=describe_wholly,
        describe_final=describe_result_wholly,
    )


def _remove_what_nobody_goes_on_with(study: TuningStudy, summary: StudySummary) -> None:
    """Remove the checkpoints of short trainings once the race that may go on with them is over."""
    race = study.settings.race
    is_over = summary.n_finished >= summary.budget and not summary.content["states"]["RUNNING"]
    if race is not None and race.episodes is not None and is_over:
        remove_checkpoints(study.settings.folder)


def _with_held_out(result: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is said of a final with more of its held-out value."""
    return {**result, "held_out": {**result["held_out"], **jsonable(more)}}


def _limits_of_final(
    study: TuningStudy, final: FinalStanding, summary: StudySummary
) -> Mapping[str, Any]:
    """Return `gap` and `best_rule` of what the final has selected."""
    from abx_amr.planning.best_rule import RuleSearch

    mean = summary.content["final"]["held_out"]["selected"]["mean"]
    if mean is None or final.selected is None:
        return {}
    rules = RuleSearch(study.points.model)
    params = final.parameters(final.selected)
    return {
        "gap": gap_of_point(study, params, mean_return=mean, rules=rules),
        "best_rule": against_best_rule(study, final, rules),
    }


def finish(study: TuningStudy) -> TuneResult:
    """Write how far the study is, its trials and, once for every number of them, its figures."""
    from abx_amr.host.atomic_files import write_text
    from abx_amr.studies.finishing import is_first_to_draw
    from abx_amr.studies.stored import read_study
    from abx_amr.studies.tables import seeds_table, table_of
    from abx_amr.tuning.figures import draw_study

    settings = study.settings
    summary = write_summary(study, is_whole=True)
    record = read_study(study.storage, settings.study_name)
    trials = table_of(record)
    write_text(settings.files.trials_file, seeds_table(record).to_csv(index=False))
    if summary.n_finished and study.config["figures"] and is_first_to_draw(settings, study.storage):
        draw_study(settings.folder, trials, direction=settings.direction)
    best = summary.best_value
    return TuneResult(
        run_name=settings.run_name,
        folder=settings.folder,
        is_complete=summary.is_complete,
        n_finished=summary.n_finished,
        budget=summary.budget,
        unit=settings.unit,
        penalty_weight=settings.penalty_weight,
        best_value=best,
        best_params=summary.best_params,
        best_trial=summary.content["best_trial"],
        race=summary.content["race"],
        final=summary.content["final"],
        final_trainings=summary.content["final_trainings"],
        n_best=0 if best is None else int((trials["value"] == best).sum()),
        trials=trials,
        training_episodes=study.training_episodes_at(summary.best_params or {}),
        trial_episodes=trial_episodes(study.config["tuning"], summary.best_params or {}),
        collapse_advice=_collapse_advice(study, summary.content["best_trial"]),
        configuration=study.config,
    )


def _collapse_advice(study: TuningStudy, best: Mapping[str, Any] | None) -> str | None:
    """Return what helps where a seed of the best trial has collapsed."""
    kinds = list(((best or {}).get("collapsed_seeds") or {}).values())
    if not kinds:
        return None
    config = study.points.configured((best or {}).get("params") or {})
    return advice(kinds[0], explores="ent_coef" in config["agent_algorithm"], configured=config)
