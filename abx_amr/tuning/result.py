"""How far a study is and what it has found, as plain values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from abx_amr.errors import counted
from abx_amr.host.notebook import figure, result_as_html, with_interval
from abx_amr.planning.gap import gap_lines

if TYPE_CHECKING:
    import pandas as pd

    from abx_amr.studies.records import BudgetUnit
    from abx_amr.studies.search_space import ParameterValue


@dataclass(frozen=True, kw_only=True)
class TuneResult:
    """A study as it stood when it was last finished.

    Attributes:
        run_name: The study's run.
        folder: Its folder: best_params.json, study_summary.json, trials, figures.
        is_complete: Whether the budget is reached.
        n_finished: Finished trials (of a race: trainings, or their episodes), whoever ran them.
        budget: How many of them complete it.
        unit: What these are.
        penalty_weight: Lambda of mean - lambda * std.
        best_value: Value of the best trial; None where none has a finite one.
        best_params: Configuration path -> value of the best trial, or of what the final selected.
        best_trial: What study_summary.json says of it.
        race: What it says of a race.
        final: What study_summary.json says of the final; None where it has none, or is not over.
        final_trainings: How many of the final's trainings are done and planned, once it has begun.
        n_best: How many trials share the best value.
        trials: One row per trial: number, state, value, params.<path>, ...
        training_episodes: How long an agent is trained with its best parameters, unless told.
        trial_episodes: How long an agent with these was trained in a trial.
        collapse_advice: What helps where the best trial's policies have collapsed, else None.
        overrides: What the study's command said, where that is another than this one.
        configuration: What was searched in, and what the command asks for beside.
    """

    run_name: str
    folder: Path
    is_complete: bool
    n_finished: int
    budget: int
    penalty_weight: float
    best_value: float | None
    best_params: Mapping[str, ParameterValue] | None
    best_trial: Mapping[str, Any] | None = field(repr=False)
    race: Mapping[str, Any] | None = field(default=None, repr=False)
    final: Mapping[str, Any] | None = field(default=None, repr=False)
    final_trainings: Mapping[str, int] | None = None
    n_best: int
    trials: pd.DataFrame = field(repr=False, compare=False)
    training_episodes: int
    trial_episodes: int
    unit: BudgetUnit = "trial"
    collapse_advice: str | None = None
    overrides: Sequence[str] | None = None
    configuration: Mapping[str, Any] = field(repr=False, compare=False, default_factory=dict)

    def _repr_html_(self) -> str:
        """Return what a notebook shows of it: how far it is, its best point, its best trials."""
        import pandas as pd

        from abx_amr.agents.read_back import shown

        best = self.best_trial
        facts: dict[str, object] = {
            "finished": f"{counted(self.n_finished, self.unit)} of {self.budget}"
        }
        if best is not None:
            facts["best value"] = f"{figure(self.best_value)} (trial {best['number']})"
            lines = gap_lines(best) if "optimum" in best else []
            facts["best trial against the limits"] = " ".join(line.strip() for line in lines)
        facts |= {**self._facts_of_final(), "collapsed": self.collapse_advice}
        facts["folder"] = self.folder
        parameters = [
            {"parameter": path, "value": value, "the agent": shown(path, value, self.read_back)}
            for path, value in (self.best_params or {}).items()
        ]
        columns = [name for name in ("number", "state", "value") if name in self.trials]
        trials = self.trials[[*columns, *(n for n in self.trials if str(n).startswith("params."))]]
        tables = {
            "selected by the final" if self.final else "best parameters": pd.DataFrame(parameters),
            "trials": trials,
        }
        return result_as_html(f"Study {self.run_name}", facts, tables)

    def _facts_of_final(self) -> dict[str, object]:
        """Return name -> text of what the final says, nothing where it is not over."""
        if self.final is None:
            return {}
        held_out = self.final["held_out"]
        facts: dict[str, object] = {"selected by the final": self.final["selected"]}
        for name in ("selected", "default"):
            value = held_out[name]
            if value["mean"] is not None:
                low, high = value["interval_95"] or (None, None)
                facts[f"{name}, held out"] = with_interval(value["mean"], low, high)
        verdicts = {True: "beaten", False: "not beaten, it is better", None: "not distinguishable"}
        return {**facts, "the default is": verdicts[self.final["default_beaten"]]}

    @property
    def read_back(self) -> Mapping[str, Any]:
        """Configuration path -> value that the built agent had at the best parameters."""
        if self.final is not None:
            return self.final.get("effective_values") or {}
        return (self.best_trial or {}).get("effective_values") or {}

    @property
    def optimality_gap(self) -> float | None:
        """How far the best trial's mean return is below the clinic's optimum, where that is known.

        A mean over few evaluation episodes may lie above it.
        """
        return (self.best_trial or {}).get("optimality_gap")

    @property
    def gap(self) -> Mapping[str, Any] | None:
        """Where the best trial's gap comes from; None without an optimum."""
        return (self.best_trial or {}).get("gap")

    @property
    def best_rule(self) -> Mapping[str, Any] | None:
        """The clinic's best fixed rule, and whether the best trial's seeds beat it on average."""
        return (self.best_trial or {}).get("best_rule")
