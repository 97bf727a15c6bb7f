"""What training and evaluating hand back: paths, the summary's values, tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from abx_amr.errors import InputError, counted
from abx_amr.host.notebook import figure, result_as_html, with_interval
from abx_amr.planning.gap import gap_lines
from abx_amr.runs.folder import RunFolder

if TYPE_CHECKING:
    import pandas as pd

    from abx_amr.evaluation.episodes import Policy
    from abx_amr.evaluation.statistics import Summary


@dataclass(frozen=True, kw_only=True, repr=False)
class FinishedRun:
    """A finished run.

    Attributes:
        folder: The run folder.
        summary: What its summary.json holds; returns are of the last evaluation.
        is_skipped: It was complete before.
    """

    folder: Path
    summary: Mapping[str, Any] = field(compare=False)
    is_skipped: bool = False

    @classmethod
    def of(cls, folder: RunFolder, **facts: Any) -> FinishedRun:
        """Return a run folder that has come to its end; `facts` are further attributes."""
        return cls(folder=folder.path, summary=folder.read_summary(), **facts)

    def __repr__(self) -> str:
        text = f"run_name={self.run_name!r}, mean_return={self.mean_return:.3f}"
        return f"{type(self).__name__}({text}, folder={str(self.folder)!r})"

    def _repr_html_(self) -> str:
        """Return what a notebook shows of it."""
        return result_as_html(f"Run {self.run_name}", self._facts())

    def _facts(self) -> dict[str, object]:
        """Return name -> text of what is to be known of the run; None: of this one it is not."""
        weights = None if self.weights is None else f"{self.weights['checkpoint']} weights"
        episodes = ", ".join(filter(None, [counted(self.n_episodes, "episode"), weights]))
        lines = gap_lines(self.summary) if "optimality_gap" in self.summary else []
        tuned = (f"{path.rsplit('.', 1)[-1]}={value}" for path, value in self.tuned_values.items())
        return {
            "mean return": with_interval(self.mean_return, *self.mean_return_interval),
            "IQM": figure(self.iqm_return),
            "std over episodes": figure(self.std_return),
            "played": episodes,
            "against the limits": " ".join(line.strip() for line in lines),
            "collapsed": None if self.collapse is None else self.collapse["evidence"],
            "tuned": ", ".join(tuned),
            "folder": self.folder,
        }

    @property
    def run_name(self) -> str:
        """The run's name, which its folder has before its timestamp."""
        return str(self.summary["run_name"])

    @property
    def mean_return(self) -> float:
        """Mean undiscounted episode return."""
        return float(self.summary["mean_return"])

    @property
    def std_return(self) -> float | None:
        """Its standard deviation over episodes (ddof 1); None for a single episode."""
        return self._number("std_return")

    @property
    def iqm_return(self) -> float:
        """Mean of the middle half of the episode returns."""
        return float(self.summary["iqm_return"])

    @property
    def mean_return_interval(self) -> tuple[float | None, float | None]:
        """95 % bootstrap interval of the mean; None for a single episode."""
        low, high = self.summary["mean_return_interval_95"]
        return low, high

    @property
    def n_episodes(self) -> int:
        """Episodes of the evaluation."""
        return int(self.summary["evaluation_episodes"])

    @property
    def optimality_gap(self) -> float | None:
        """The optimum's return minus the mean; None where the optimum is not known."""
        return self._number("optimality_gap")

    @property
    def gap(self) -> Mapping[str, Any] | None:
        """Where the gap comes from, its parts adding up to it; None without an optimum."""
        return self.summary.get("gap")

    @property
    def agreement(self) -> Mapping[str, Any] | None:
        """Where it acts as the optimum does, and its regret by AMR level; None where not known."""
        return self.summary.get("agreement")

    @property
    def best_rule(self) -> Mapping[str, Any] | None:
        """The best fixed rule of the clinic, and whether it is beaten."""
        return self.summary.get("best_rule")

    @property
    def collapse(self) -> Mapping[str, str] | None:
        """What a trained policy has collapsed to: kind, evidence, advice; None where it has not."""
        found: Mapping[str, str] | None = self.summary.get("collapse")
        return found

    @property
    def weights(self) -> Mapping[str, Any] | None:
        """Whose returns these are: checkpoint (last or best), transitions; None for a rule."""
        found: Mapping[str, Any] | None = self.summary.get("weights")
        return found

    @property
    def best_return(self) -> float | None:
        """Mean return of the evaluation that chose the checkpoint best; None for a rule."""
        return self._number("best_return")

    @property
    def best_transitions(self) -> int | None:
        """Transitions seen by the checkpoint best; None where that is not known."""
        return self.summary.get("best_transitions")

    @property
    def tuned_values(self) -> Mapping[str, Any]:
        """Configuration path -> value that came from a study."""
        tuned: Mapping[str, Any] = self.summary["tuned_values"]
        return tuned

    @property
    def effective_values(self) -> Mapping[str, Any]:
        """Configuration path of a tuned value -> what was read back from the built agent."""
        effective: Mapping[str, Any] = self.summary["effective_values"]
        return effective

    @property
    def evaluations(self) -> pd.DataFrame:
        """One row per (transitions trained, episode), of every evaluation on the way."""
        return RunFolder(self.folder).read_evaluations()

    @property
    def episodes(self) -> pd.DataFrame:
        """One row per episode of the last evaluation."""
        table = self.evaluations
        last: pd.DataFrame = table[table["transitions"] == table["transitions"].max()]
        return last.reset_index(drop=True)

    def policy(self, *, checkpoint: str = "best") -> Policy:
        """Return what prescribed: the agent's checkpoint (best or last), or the rule."""
        from abx_amr.runs.loading import load_policy

        return load_policy(self.folder, checkpoint=checkpoint)

    def _number(self, name: str) -> float | None:
        value = self.summary.get(name)
        return None if value is None else float(value)


@dataclass(frozen=True, kw_only=True)
class TrainResult:
    """One training, or one for each of several seeds."""

    runs: tuple[FinishedRun, ...]

    def _repr_html_(self) -> str:
        """Return what a notebook shows of it: the run, or a row for each of several."""
        import pandas as pd

        if len(self.runs) == 1:
            return self.run._repr_html_()
        rows = [
            {
                "run": run.run_name,
                "mean return": run.mean_return,
                "IQM": run.iqm_return,
                "optimality gap": run.optimality_gap,
                "collapsed": None if run.collapse is None else run.collapse["kind"],
            }
            for run in self.runs
        ]
        over = self.over_seeds
        facts = {
            "mean over seeds": with_interval(over.mean, *over.mean_interval),
            "IQM": figure(over.iqm),
            "std over seeds": figure(over.std),
        }
        table = pd.DataFrame(rows).dropna(axis="columns", how="all")
        return result_as_html(f"{len(self.runs)} runs", facts, {"one for each seed": table})

    @property
    def run(self) -> FinishedRun:
        """The only run.

        Raises:
            InputError: there are several.
        """
        if len(self.runs) > 1:
            names = ", ".join(run.run_name for run in self.runs)
            raise InputError(f"there are {len(self.runs)} runs: take one of .runs ({names})")
        return self.runs[0]

    @property
    def mean_return(self) -> float:
        """Mean over the runs of their mean episode return."""
        return sum(run.mean_return for run in self.runs) / len(self.runs)

    @property
    def over_seeds(self) -> Summary:
        """The runs' mean returns as a sample: mean, std, IQM, bootstrap intervals."""
        from abx_amr.evaluation.statistics import summarise

        return summarise([run.mean_return for run in self.runs])


@dataclass(frozen=True, kw_only=True, repr=False)
class EvaluateResult(FinishedRun):
    """A policy that was played through paired episodes.

    Attributes:
        knows_the_parameters: The policy knows the clinic's parameters, which no agent does.
    """

    knows_the_parameters: bool = False

    @property
    def evaluation_seed(self) -> int:
        """Names the patients and the luck of the episodes."""
        return int(self.summary["evaluation_seed"])

    @property
    def against(self) -> Mapping[str, Any] | None:
        """The paired difference from another policy: name, mean, standard_error, ..."""
        compared: Mapping[str, Any] | None = self.summary.get("against")
        return compared

    def _facts(self) -> dict[str, object]:
        """Return the facts of a run, and how it compares with the other one."""
        compared = None
        if self.against is not None:
            difference = f"{self.against['mean']:.2f}"
            if (error := self.against["standard_error"]) is not None:
                difference += f" ± {error:.2f} (paired standard error)"
            compared = f"{difference}: {self.against['verdict']}"
        name = "" if self.against is None else f"minus {self.against['name']}"
        return {**super()._facts(), name: compared}
