"""Read run folders into rows, and say which were left out and why."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from abx_amr.comparison.evaluations import LastEvaluation, last_evaluations
from abx_amr.comparison.settings import Settings
from abx_amr.errors import InputError, unknown
from abx_amr.host.alike_yaml import AlikeYaml
from abx_amr.runs.folder import RunFolder, check_holds_runs, find_run, run_folders_below
from abx_amr.runs.set_failures import read_failures

if TYPE_CHECKING:
    import pandas as pd

Kind = Literal["runs", "evaluations"]
KINDS: tuple[Kind, ...] = ("runs", "evaluations")
_CHOICES = ("experiment", "agent_algorithm")
_WILD = frozenset("*?")


@dataclass(frozen=True, kw_only=True)
class GatheredRun:
    """A complete run.

    Attributes:
        path: Its folder.
        config: The resolved configuration.
        choices: Group -> choice, as far as it is known.
        keys: What the command line named.
        seed: The training seed; None for what does not learn.
        facts: What the table says of the run, column -> value.
        settings: Path -> value, as text, of everything that could tell it from another.
        returns: The return of every episode of the final evaluation, by episode.
    """

    path: Path
    config: Mapping[str, Any]
    choices: Mapping[str, str]
    keys: frozenset[str]
    seed: int | None
    facts: Mapping[str, Any]
    settings: Mapping[str, str] = field(repr=False)
    returns: NDArray[np.float64] = field(repr=False)

    @property
    def learned(self) -> bool:
        """Whether it is an agent, not a fixed rule."""
        return self.seed is not None

    @property
    def value(self) -> float:
        """The mean return of its final evaluation: what a run counts for."""
        return float(self.facts["return"])


@dataclass(frozen=True, kw_only=True)
class LeftOut:
    """A folder or a name that is in no table, and why."""

    name: str
    reason: str


def chosen_folders(results_dir: Path | str, names: Sequence[str]) -> list[RunFolder]:
    """Return the run folders meant: all below `results_dir`, or those named.

    A name is a path, the name of a newest run, or a pattern with * and ? of names or folders.

    Raises:
        InputError: there are none, or a name fits none.
    """
    if not names:
        if not Path(results_dir).is_dir():
            raise InputError(
                f"results_dir={results_dir}: there is no such folder; train first, or name the "
                "folder that holds the runs"
            )
        check_holds_runs(results_dir)
        found = run_folders_below(results_dir)
        if not found:
            raise InputError(f"results_dir={results_dir} holds no runs: abx-train makes them")
        return found
    folders: dict[Path, RunFolder] = {}
    below: list[RunFolder] | None = None
    for name in names:
        if not _WILD & set(name):
            one = find_run(name, results_dir=results_dir)
            folders[one.path.resolve()] = one
            continue
        below = run_folders_below(results_dir) if below is None else below
        fitting = [
            f
            for f in below
            if fnmatch.fnmatchcase(f.run_name, name) or fnmatch.fnmatchcase(f.path.name, name)
        ]
        if not fitting:
            known = {f.run_name for f in below}
            raise InputError(f"runs: no {unknown('run', name, known)} in {results_dir}")
        folders |= {f.path.resolve(): f for f in fitting}
    return list(folders.values())


def read_runs(
    folders: Sequence[RunFolder], *, kind: Kind = "runs"
) -> tuple[list[GatheredRun], list[LeftOut]]:
    """Return the complete runs of a kind, ordered by path, and what was left out.

    Args:
        folders: Run folders.
        kind: "runs": what abx-train made; "evaluations": what abx-evaluate made.
    """
    if kind not in KINDS:
        raise InputError(unknown("what", str(kind), KINDS))
    ordered = sorted(folders, key=lambda folder: str(folder.path))
    complete = {folder.path for folder in ordered if folder.is_complete}
    completed = {folder.run_name for folder in ordered if folder.path in complete}
    alike, settings = AlikeYaml(), Settings()
    configs: dict[int, dict[str, Any]] = {}
    reasons: dict[int, str] = {}
    other_kind = 0
    for place, folder in enumerate(ordered):
        try:
            config = folder.read_config(alike)
        except InputError as error:
            reasons[place] = str(error)
            continue
        if ("evaluation" in config) != (kind == "evaluations"):
            other_kind += 1
        elif folder.path not in complete:
            again = folder.run_name in completed
            cure = "run again since" if again else f"abx-train resume_from={folder.path} goes on"
            reasons[place] = f"not complete, {cure}"
        else:
            configs[place] = config
    evaluations = last_evaluations(ordered[place].evaluations_file for place in configs)
    runs: list[GatheredRun] = []
    for place, config in configs.items():
        folder = ordered[place]
        final = evaluations.get(folder.evaluations_file)
        try:
            runs.append(_read(folder, config, alike=alike, settings=settings, final=final))
        except InputError as error:
            reasons[place] = str(error)
        except (KeyError, TypeError, ValueError) as error:
            reasons[place] = f"cannot be read ({error!r})"
    left_out = [LeftOut(name=str(ordered[i].path), reason=reasons[i]) for i in sorted(reasons)]
    if other_kind:
        is_training = kind == "evaluations"
        name, cure = ("abx-train", "runs") if is_training else ("abx-evaluate", "evaluations")
        left_out.append(
            LeftOut(name=f"{other_kind} of {name}", reason=f"what={cure} gathers these")
        )
    for parent in sorted({folder.path.parent for folder in folders}):
        for name, reason in read_failures(parent).items():
            if name not in completed:
                left_out.append(LeftOut(name=name, reason=f"failed: {reason}"))
    return runs, left_out


def _read(
    folder: RunFolder,
    config: dict[str, Any],
    *,
    alike: AlikeYaml,
    settings: Settings,
    final: LastEvaluation | None,
) -> GatheredRun:
    """Return a complete run.

    Args:
        folder: Its folder.
        config: Its configuration.
        alike: Reads the other files like it.
        settings: Writes out what configurations say.
        final: Its last evaluation where that is known.

    Raises:
        InputError: a file of it is missing or cannot be read.
        KeyError: a file lacks what it must hold.
    """
    summary, provenance = folder.read_summary(), folder.read_provenance()
    if final is None:
        final = LastEvaluation.in_table(folder.read_evaluations())
    columns = final.columns
    if len(final) != summary["evaluation_episodes"] or (
        final.transitions != summary["transitions"]
    ):
        raise InputError(f"{folder.evaluations_file} is damaged: its last evaluation is not whole")
    is_evaluation = "evaluation" in config
    learned = "trained_with_seed" in provenance if is_evaluation else summary["transitions"] > 0
    seed = int(provenance.get("trained_with_seed", summary["seed"])) if learned else None
    git = provenance.get("git") or {}
    versions = provenance.get("versions") or {}
    antibiotics = [
        str(c).removeprefix("mean_true_amr_")
        for c in columns
        if str(c).startswith("mean_true_amr_")
    ]
    amr = {a: float(columns[f"mean_true_amr_{a}"].mean()) for a in antibiotics}
    prescribed = {a: float(columns[f"prescriptions_{a}"].mean()) for a in antibiotics}
    overrides = folder.read_overrides(alike)
    origin = {"best_params_from": provenance.get("best_params_from")}
    low, high = summary.get("mean_return_interval_95") or (None, None)
    facts = {
        "run": folder.run_name,
        "path": str(folder.path),
        "seed": seed,
        "steps": int(summary["transitions"]),
        "return": float(summary["mean_return"]),
        "return_std": _number(summary.get("std_return")),
        "return_iqm": _number(summary.get("iqm_return")),
        "best_return": _number(summary.get("best_return")),
        "episodes": int(summary["evaluation_episodes"]),
        "evaluation_seed": int(summary["evaluation_seed"]),
        "mean_amr": float(np.mean(list(amr.values()))) if amr else None,
        "final_amr": _mean_of([columns.get(f"final_true_amr_{a}") for a in antibiotics]),
        "prescriptions": sum(prescribed.values()) if prescribed else None,
        "optimum": _number(summary.get("optimum")),
        "gap": _number(summary.get("optimality_gap")),
        "share_of_range": _number(summary.get("share_of_range")),
        "return_low": _number(low),
        "return_high": _number(high),
        "weights": (summary.get("weights") or {}).get("checkpoint"),
        **_judged(summary),
        "algorithm": str(summary["algorithm"]),
        **{f"mean_amr_{a}": level for a, level in amr.items()},
        **{f"prescriptions_{a}": count for a, count in prescribed.items()},
        "stopped_early": summary.get("stopped_early"),
        "collapse": (summary.get("collapse") or {}).get("kind"),
        "training_seconds": _number(summary.get("training_seconds")),
        "best_params_from": origin["best_params_from"],
        "version": versions.get("abx-amr"),
        "commit": git.get("commit"),
        "has_local_changes": git.get("has_local_changes"),
        "started": provenance.get("started"),
        "host": (provenance.get("host") or {}).get("name"),
    }
    config = {**config, **({k: v for k, v in origin.items() if v is not None})}
    return GatheredRun(
        path=folder.path,
        config=config,
        choices=provenance.get("choices") or _choices_said(overrides, config),
        keys=frozenset(o.lstrip("+~").partition("=")[0] for o in overrides),
        seed=seed,
        facts=facts,
        settings=settings.of(config, learned=seed is not None),
        returns=np.asarray(columns["episode_return"], dtype=np.float64),
    )


def _judged(summary: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a summary says of the optimum's choices and of the best rule."""
    agreement, rule = summary.get("agreement") or {}, summary.get("best_rule") or {}
    difference = rule.get("difference") or {}
    low, high = difference.get("interval_95") or (None, None)
    return {
        "acts_as_optimum": _number(agreement.get("share_of_states")),
        "expected_gap": _number(agreement.get("expected_gap")),
        "expected_return": _expected_return(summary),
        "best_rule": rule.get("name"),
        "best_rule_difference": _number(difference.get("mean")),
        "best_rule_low": _number(low),
        "best_rule_high": _number(high),
        "best_rule_final_amr": _mean_of(list((rule.get("final_amr") or {}).values())),
    }


def _expected_return(summary: Mapping[str, Any]) -> float | None:
    """Return the optimum less what the run's choices cost, where both are known exactly."""
    agreement, optimum = summary.get("agreement") or {}, _number(summary.get("optimum"))
    gap = _number(agreement.get("expected_gap"))
    if optimum is None or gap is None or summary.get("optimum_note") or agreement.get("note"):
        return None
    return optimum - gap


def _mean_of(values: Sequence[Any]) -> float | None:
    """Return the mean over antibiotics of levels, or of columns of them; None where one lacks."""
    if not values or any(value is None for value in values):
        return None
    return float(np.mean([np.mean(value) for value in values]))


def _choices_said(overrides: Sequence[str], config: Mapping[str, Any]) -> dict[str, str]:
    """Return the choices that the command line of an older run made."""
    groups = {"experiment", *(k for k, v in config.items() if isinstance(v, Mapping))}
    text = (override.lstrip("+").partition("=") for override in overrides)
    return {key: value for key, _, value in text if key in groups}


def _number(value: Any) -> float | None:
    return None if value is None or isinstance(value, str) else float(value)


def newest_of_each(
    runs: Sequence[GatheredRun], settings: Sequence[str]
) -> tuple[list[GatheredRun], list[LeftOut]]:
    """Return the runs without repetitions, and these: of equal settings and seed the newest counts.

    Args:
        runs: The runs.
        settings: What each was asked for but its seed, evaluation included, as text.
    """
    newest: dict[tuple[str, int | None], int] = {}
    for index, run in enumerate(runs):
        key = (settings[index], run.seed)
        if key not in newest or _moment(run) >= _moment(runs[newest[key]]):
            newest[key] = index
    kept = sorted(newest.values())
    is_kept = set(kept)
    left_out = [
        LeftOut(
            name=str(run.path),
            reason=f"the same settings and seed as {runs[newest[(settings[i], run.seed)]].path}",
        )
        for i, run in enumerate(runs)
        if i not in is_kept
    ]
    return [runs[i] for i in kept], left_out


def _moment(run: GatheredRun) -> tuple[Any, ...]:
    return (*RunFolder(run.path).moment, str(run.path))


def runs_table(
    runs: Sequence[GatheredRun],
    clinics: Sequence[str],
    conditions: Sequence[str],
    settings: Sequence[Mapping[str, str]],
) -> pd.DataFrame:
    """Return one row per run: clinic, condition, facts, choices, and every setting that differs.

    Ordered by clinic, condition, seed and path, whatever the order of the runs.
    """
    import pandas as pd

    differing = [
        path
        for path in sorted({path for each in settings for path in each})
        if len({each.get(path) for each in settings}) > 1
    ]
    rows = [
        {
            "run": run.facts["run"],
            "clinic": clinic,
            "condition": condition,
            **run.facts,
            "experiment": run.choices.get("experiment"),
            "agent_algorithm": run.choices.get("agent_algorithm"),
            **{path: own.get(path) for path in differing},
        }
        for run, clinic, condition, own in zip(runs, clinics, conditions, settings, strict=True)
    ]
    table = pd.DataFrame(rows)
    texts = [
        "collapse",
        "best_params_from",
        "best_rule",
        "weights",
        "version",
        "commit",
        "started",
        "host",
        *_CHOICES,
        *differing,
    ]
    types = {"seed": "Int64", "has_local_changes": "boolean", "stopped_early": "boolean"}
    table = table.astype(types | dict.fromkeys(texts, "string"))
    order = ["clinic", "condition", "seed", "path"]
    return table.sort_values(order, kind="stable", ignore_index=True)
