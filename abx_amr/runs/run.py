"""A run as one object: what it is made of, the folder it opens, how that is finished."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from abx_amr.agents.prescriber import Learner
from abx_amr.agents.settings import TrainingSettings, transitions_of
from abx_amr.evaluation.episodes import Evaluation, Policy
from abx_amr.runs.folder import CheckpointName, RunFolder
from abx_amr.runs.optimality import prescribing_of
from abx_amr.runs.provenance import provenance
from abx_amr.runs.results import write_results
from abx_amr.runs.seen_patients import KEPT, MOST, risk_is_seen
from abx_amr.runs.trust import signed

if TYPE_CHECKING:
    from abx_amr.runs.tracking import Tracking
    from abx_amr.simulator.model import ClinicModel


@dataclass(frozen=True, kw_only=True)
class Run:
    """One run: what is trained or played, in which clinic, and where it is written.

    Args:
        run_name: names the folder.
        results_dir: where run folders stand.
        model: the clinic.
        prescriber: a learner to train, or a policy to play (a rule's, or a trained agent's).
        settings: how it is trained and evaluated.
        config: the resolved configuration, written as it is.
        overrides: what was said on the command line.
        trajectories: write every step of the final evaluation.
        figures: draw the figures.
        report: keep what a page of the run draws its figures from.
        deterministic: the policy's most probable actions, not sampled ones (only what is played).
        tuned: searched path -> value that came from a study.
        origin: what provenance.json says beside the usual (resumed_from, best_params_from).
        clinic_overrides: what the clinic was composed with, where that is not `overrides`.
        tracking: who follows the training; None: nobody.
        weights: which weights of a trained agent are played: checkpoint, transitions.
        opened: the run folders that were opened for it, filled while it runs.
    """

    run_name: str
    results_dir: str
    model: ClinicModel
    prescriber: Learner | Policy
    settings: TrainingSettings
    config: Mapping[str, Any]
    overrides: Sequence[str] = ()
    trajectories: bool = False
    figures: bool = True
    report: bool = True
    deterministic: bool = True
    tuned: Mapping[str, Any] = field(default_factory=dict)
    origin: Mapping[str, Any] = field(default_factory=dict)
    clinic_overrides: Sequence[str] | None = None
    weights: Mapping[str, Any] | None = None
    tracking: Tracking | None = None
    opened: list[RunFolder] = field(default_factory=list, compare=False)

    @property
    def planned_transitions(self) -> int:
        """The transitions at which its training ends."""
        settings = self.settings
        episodes = settings.total_num_training_episodes
        return transitions_of(episodes, self.model.max_time_steps, settings.n_envs)

    @property
    def records_patients(self) -> bool:
        """Whether patients are recorded: on demand, and where a page shows whom is treated."""
        if self.trajectories or not (self.report and self.figures):
            return self.trajectories
        model, episodes = self.model, self.settings.num_eval_episodes
        number = model.num_patients_per_time_step * model.max_time_steps * episodes
        return number <= MOST and risk_is_seen(self.config)


@contextmanager
def removed_where_in_vain(
    runs: Sequence[Run], useful: Sequence[CheckpointName] = ("last", "best")
) -> Iterator[None]:
    """Remove what these runs leave without a useful checkpoint or a summary where they are ended.

    By an interrupt, or by a disk that takes no more.
    """
    try:
        yield
    except (KeyboardInterrupt, OSError):
        for folder in (folder for run in runs for folder in run.opened):
            if not (folder.is_complete or any(folder.has_checkpoint(name) for name in useful)):
                folder.remove()
        raise


def open_folder(run: Run) -> RunFolder:
    """Return a new run folder that says what is run, and from what."""
    folder = RunFolder.create(run.results_dir, run.run_name)
    run.opened.append(folder)
    folder.write_config(run.config)
    folder.write_overrides(run.overrides)
    seeds = {"training": run.settings.seed, "evaluation": run.settings.evaluation_seed}
    folder.write_provenance({**provenance(seeds=seeds), **run.origin, **signed(folder)})
    return folder


def finish(run: Run, folder: RunFolder, final: Evaluation, facts: Mapping[str, Any]) -> RunFolder:
    """Write tables, figures and, last, the summary; return the folder.

    `facts` are what the summary says beside the scores.
    """
    if final.per_patient is not None and not run.trajectories:
        patients = final.patients_frame()
        folder.write_drawn("patients", patients[[name for name in KEPT if name in patients]])
    about = {
        "run_name": run.run_name,
        "algorithm": run.config.get("agent_algorithm", {}).get("_target_"),
        "seed": run.settings.seed,
        "evaluation_seed": run.settings.evaluation_seed,
    }
    write_results(
        folder,
        final,
        run.model,
        about=about,
        facts=facts,
        who=prescribing_of(run.config, run.model, run.prescriber),
        overrides=run.overrides if run.clinic_overrides is None else run.clinic_overrides,
        trajectories=run.trajectories,
        figures=run.figures,
        report=run.report,
    )
    return folder
