"""Points of an audit that hold a study's records against one another: counts, seeds, values."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from abx_amr.errors import counted
from abx_amr.reports.audited import (
    AuditedStudy,
    Finding,
    best_of,
    is_same,
    named,
    return_of,
)
from abx_amr.reports.finals import Final, final_of
from abx_amr.reports.finals import named as point_named
from abx_amr.studies.attempts import identity
from abx_amr.studies.objective import robust_score
from abx_amr.studies.settings import FIRST_TUNING_SEED, LAST_TUNING_SEED


def budget_exact(study: AuditedStudy) -> Finding:
    """Whether as many trials are finished as the budget says, each point once."""
    budget, told = (study.summary.get(key) for key in ("budget", "n_finished"))
    if budget is None or told is None:
        return None, "study_summary.json does not say the budget: it is missing or damaged"
    if not study.trials:
        return None, f"the summary says {told} of {budget}; {study.source} to count them by"
    finished = study.finished
    points = {trial.lineage for trial in finished if trial.lineage is not None}
    without = sum(trial.lineage is None for trial in finished)
    if study.summary.get("race"):
        return _race_exact(study, budget=budget, told=told)
    said = f"{counted(len(finished), 'finished trial')} in {study.source}, budget {budget}"
    if len(finished) != told:
        return False, f"{said}, but the summary says {told}"
    if len(points) + without != len(finished):
        return False, f"{said}, of only {counted(len(points) + without, 'point')}: one counts twice"
    if len(finished) != budget:
        more = "more than the budget" if len(finished) > budget else "the study is unfinished"
        return False, f"{said}: {more}"
    failed = sum(trial.state == "FAIL" for trial in study.trials)
    retried = f"; {counted(failed, 'failed attempt')} besides, which do not count" if failed else ""
    return True, f"{said}, each point once{retried}"


def _race_exact(study: AuditedStudy, *, budget: int, told: int) -> Finding:
    """Whether the points of a race have as many trainings together as the budget says."""
    done = sum(seed.episodes or 1 for trial in study.trials for seed in trial.seeds)
    unit = "episode" if study.summary["race"].get("episodes") else "training"
    said = (
        f"{counted(done, unit)} of {counted(len(study.trials), 'point')} in {study.source}, "
        f"budget {budget}"
    )
    if done != told:
        return False, f"{said}, but the summary says {told}"
    if done != budget:
        more = "more than the budget" if done > budget else "the study is unfinished"
        return False, f"{said}: {more}"
    twice = [t.number for t in study.trials if len({s.seed for s in t.seeds}) != len(t.seeds)]
    if twice:
        return False, f"{said}, but trial {named(twice)} counts a seed twice"
    return True, f"{said}, each seed of a point once"


def seeds_disjoint(study: AuditedStudy) -> Finding:
    """Whether no seed of the search is one of the evaluation or of final training."""
    seeds = sorted({seed.seed for trial in study.trials for seed in trial.seeds})
    if not seeds:
        return None, f"no seeds are recorded: {study.source}"
    outside = [s for s in seeds if not FIRST_TUNING_SEED <= s <= LAST_TUNING_SEED]
    if outside:
        return False, (
            f"seeds {named(outside)} lie outside {FIRST_TUNING_SEED}..{LAST_TUNING_SEED}, which "
            "belong to tuning"
        )
    for trial in study.trials:
        own = [seed.seed for seed in trial.seeds]
        if len(set(own)) != len(own):
            return False, f"trial {trial.number} counts a seed twice: {named(own)}"
    training = study.config.get("training") or {}
    others = {
        "the evaluation": [training.get("evaluation_seed")],
        "a later training": [training.get("seed"), *(training.get("seeds") or ())],
    }
    final = final_of(study.summary)
    if final is not None:
        others["the final"] = [*final.fresh_seeds, *final.seeds]
        others["the held-out evaluation"] = [final.evaluation_seed]
    for what, given in others.items():
        common = sorted(set(seeds) & {seed for seed in given if seed is not None})
        if common:
            return False, f"seed {named(common)} of {what} is also a seed of the search"
    return True, (
        f"trials trained with {counted(len(seeds), 'seed')} from {seeds[0]} to {seeds[-1]}; the "
        f"seed of the evaluation is {training.get('evaluation_seed')}, that of a later training "
        f"with these settings {training.get('seeds') or training.get('seed')}{_of_final(final)}"
    )


def _of_final(final: Final | None) -> str:
    """Return which seeds a final had, nothing where there is none."""
    if final is None:
        return ""
    text = (
        f"; its final selected on {_span(final.fresh_seeds)} and was held out on "
        f"{_span(final.seeds)}"
    )
    if final.evaluation_seed is None:
        return f"{text}; the seed of its held-out evaluation was not kept"
    return f"{text}, evaluated with seed {final.evaluation_seed}"


def _span(seeds: Sequence[int]) -> str:
    known = sorted(seeds)
    if not known:
        return "no seed"
    return counted(len(known), "seed") + (
        f" from {known[0]} to {known[-1]}" if len(known) > 1 else f", {known[0]}"
    )


def evaluation_unseen(study: AuditedStudy) -> Finding:
    """Whether each seed was evaluated on the episodes that the configuration names."""
    if not study.results:
        return None, "no trials/<number>/seed_<seed>/result.json is here to look at"
    training = study.config.get("training") or {}
    episodes, seed = training.get("num_eval_episodes"), training.get("evaluation_seed")
    if seed is None or episodes is None:
        return None, "the configuration does not name the evaluation's episodes"
    for (trial, own), result in study.results.items():
        returns = result.get("evaluation_returns") or []
        if own == seed:
            return False, f"trial {trial} was trained with the evaluation's seed {seed}"
        if result.get("failure") is not None or result.get("episode_return") is None:
            continue
        if len(returns) != episodes:
            return False, (
                f"trial {trial}, seed {own} was evaluated on {counted(len(returns), 'episode')}, "
                f"not on {episodes}"
            )
        if not is_same(math.fsum(returns) / len(returns), result["episode_return"]):
            return False, (
                f"trial {trial}, seed {own}: its return {result['episode_return']:g} is not the "
                "mean of its evaluation episodes"
            )
    return True, (
        f"{counted(len(study.results), 'seed')} of trials evaluated on {episodes} episodes of seed "
        f"{seed}, drawn from streams of their own that no training draws from; each return is "
        "their mean"
    )


def values_follow(study: AuditedStudy) -> Finding:
    """Whether every trial's value follows from what its seeds gave."""
    weight = study.summary.get("stability_penalty_weight")
    direction = study.summary.get("direction")
    if weight is None or direction not in ("maximize", "minimize"):
        return None, "the summary does not say how trials were valued"
    checked = 0
    for trial in study.finished:
        returns = [r for seed in trial.seeds if (r := return_of(seed)) is not None]
        if trial.value is None or not math.isfinite(trial.value) or not returns:
            continue
        expected = robust_score(returns, penalty_weight=float(weight), direction=direction)
        if not is_same(expected, trial.value):
            return False, (
                f"trial {trial.number} is valued {trial.value:g}, its seeds give {expected:g}"
            )
        for seed in trial.seeds:
            result = study.results.get((trial.number, seed.seed))
            found = None if result is None else result.get("episode_return")
            if result is not None and not is_same(found, seed.episode_return):
                return False, (
                    f"trial {trial.number}, seed {seed.seed}: {seed.episode_return} is recorded, "
                    f"its result.json says {found}"
                )
        checked += 1
    if not checked:
        return None, f"no valued trial with its seeds: {study.source}"
    best = best_of(study, direction)
    if best is not None and not is_same(best.value, study.summary.get("best_value")):
        return False, (
            f"trial {best.number} is the best with {best.value:g}, the summary says "
            f"{study.summary.get('best_value')}"
        )
    return True, f"{counted(checked, 'trial')} revalued from their seeds: the same values"


def read_back_equal(study: AuditedStudy) -> Finding:
    """Whether every agent had the values that were searched."""
    checked, unlike = 0, []
    for trial in study.finished:
        found = [
            study.results[key].get("effective_values") or {}
            for key in study.results
            if key[0] == trial.number and study.results[key].get("failure") is None
        ]
        found = found or ([trial.effective_values] if trial.effective_values else [])
        for built in found:
            for path, value in trial.params.items():
                is_same = reached(path, value, built.get(path))
                if is_same is False:
                    return False, (
                        f"trial {trial.number} searched {path} = {value}, its agent had "
                        f"{built.get(path)}"
                    )
                checked += is_same is True
                if is_same is None:
                    unlike.append(path)
    digest, best = study.summary.get("fingerprint"), study.best
    for seed in best.get("seeds") or ():
        result = study.results.get((int(best["number"]), int(seed["seed"]))) or {}
        known = result.get("identity")
        if known and digest and known != identity(digest, best["params"], int(seed["seed"])):
            return False, (
                f"the result of seed {seed['seed']} of trial {best['number']} follows from other "
                "settings or parameters than the summary says"
            )
    final = final_of(study.summary)
    whose, handed_on = "the best trial", best.get("params") or {}
    if final is not None and final.params:
        whose, handed_on = f"{point_named(final.selected)}, which was selected", final.params
    if study.best_params and handed_on and dict(study.best_params) != dict(handed_on):
        return False, f"best_params.json holds other values than {whose}"
    if not checked:
        return None, "no values that were read back from built agents are here"
    rest = f"; {named(sorted(set(unlike)))} are shown in another form" if unlike else ""
    return True, f"{counted(checked, 'value')} read back from built agents as searched{rest}"


def nothing_hidden(study: AuditedStudy) -> Finding:
    """Whether every trial and seed that left something is on record."""
    if not study.trials:
        return None, f"{study.source}: nothing to compare the files with"
    known = {trial.number for trial in study.trials}
    gone = sorted(set(range(max(known) + 1)) - known)
    if gone:
        return False, f"no record of trial {named(gone)}, though later ones are there"
    strays = sorted({number for number, _ in study.results} - known)
    if strays:
        return False, f"trials/{named(strays)} hold results that no record knows"
    for trial in study.finished:
        recorded = {seed.seed for seed in trial.seeds}
        lost = sorted({s for n, s in study.results if n == trial.number} - recorded)
        if lost:
            return False, f"trial {trial.number} leaves out seed {named(lost)}, which has a result"
    return _counts_agree(study)


def _counts_agree(study: AuditedStudy) -> Finding:
    """Compare what the summary says of failures with what is recorded."""
    planned = None if study.summary.get("race") else study.tuning.get("n_seeds_per_trial")
    for trial in study.finished:
        if planned is not None and trial.state == "COMPLETE" and len(trial.seeds) != int(planned):
            return False, (
                f"trial {trial.number} has {counted(len(trial.seeds), 'seed')} on record, "
                f"{planned} were planned"
            )
    failed = sum(any(return_of(s) is None for s in t.seeds) for t in study.finished)
    told = study.summary.get("n_trials_with_failed_seeds")
    if told is not None and told != failed:
        return (
            False,
            f"{counted(failed, 'trial')} with failed seeds on record, the summary says {told}",
        )
    states = study.summary.get("states") or {}
    for state, count in states.items():
        found = sum(trial.state == state for trial in study.trials)
        if found != count:
            return False, f"{found} trials are {state} on record, the summary says {count}"
    lost = sum(trial.state == "FAIL" for trial in study.trials)
    return True, (
        f"{counted(len(study.trials), 'trial')} from 0 on without a gap; "
        f"{counted(failed, 'trial')} with failed seeds and {counted(lost, 'failed attempt')}, all "
        "on record"
    )


def reached(path: str, searched: Any, built: Any) -> bool | None:
    """Return whether a built agent has a searched value; None where it shows it in another form.

    >>> reached("agent_algorithm.gamma", 0.99, 0.99), reached("agent_algorithm.gamma", 0.99, 0.9)
    (True, False)
    >>> reached("agent_algorithm.one_minus_gamma", 0.25, 0.75)
    True
    >>> reached("policy_kwargs.activation_fn", "torch.nn.Tanh", "torch.nn.modules.activation.Tanh")
    True
    >>> reached("agent_algorithm.learning_rate", "linear_0.001", [0.001, 0.0005, 0.0]) is None
    True
    """
    if is_same(searched, built):
        return True
    if path.endswith(".one_minus_gamma") and isinstance(built, float):
        return is_same(1.0 - float(searched), built)
    if isinstance(searched, str) and isinstance(built, str) and "." in built:
        return searched.rsplit(".", 1)[-1] == built.rsplit(".", 1)[-1]
    numbers = (int, float)
    if isinstance(searched, numbers) and isinstance(built, numbers):
        return False
    if built is None or type(searched) is type(built):
        return False
    return None
