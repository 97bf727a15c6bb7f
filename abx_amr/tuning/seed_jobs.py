"""A trial's seeds as jobs of their own, for trials that take hours.

A job is told its trial and seed and finds the point in the trial's folder; it leaves its result
there. Nothing else is believed of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from abx_amr.errors import InputError
from abx_amr.studies.objective import SeedOutcome
from abx_amr.tuning.trials import outcome_in

if TYPE_CHECKING:
    from abx_amr.studies.worker import ClaimedTrial
    from abx_amr.tuning.contract import Launch
    from abx_amr.tuning.trials import TrialRunner

#: Number of a trial, seed -> what the seed gave.
Known = dict[tuple[int, int], SeedOutcome]


def run_batch(
    batch: Sequence[ClaimedTrial], launch: Launch, *, runner: TrialRunner
) -> list[list[SeedOutcome]]:
    """Return the outcomes of trials whose seeds `launch` runs as jobs, in the order of the seeds.

    A job that leaves no result (killed, out of memory) is launched again, `tuning.max_retry` times.
    A failure that an earlier start left does not count.
    """
    from abx_amr.tuning.seed_files import write_trial_parameters

    settings = runner.settings
    for trial in batch:
        write_trial_parameters(
            trial.folder,
            parameters=trial.parameters,
            fingerprint=settings.fingerprint.digest,
            part=trial.part,
        )
    known = {key: o for key, o in _ended(batch, runner).items() if o.failure is None}
    wanted = [(trial.number, seed) for trial in batch for seed in trial.seeds]
    for _ in range(1 + settings.max_retry):
        missing = [key for key in wanted if key not in known]
        if not missing:
            break
        launch([[f"++tuning.job={{number:{number},seed:{seed}}}"] for number, seed in missing])
        known |= _ended(batch, runner)
    reason = f"its job left no result, {1 + settings.max_retry} times (killed?)"
    for number, seed in wanted:
        lost = SeedOutcome(seed=seed, episode_return=None, failure=reason)
        known.setdefault((number, seed), lost)
    return [[known[trial.number, seed] for seed in trial.seeds] for trial in batch]


def run_job(runner: TrialRunner, *, number: int, seed: int) -> SeedOutcome:
    """Train one seed of trial `number`, leave its outcome in the trial's folder and return it.

    Raises:
        InputError: the trial was begun with other settings than this job has composed.
    """
    from abx_amr.tuning.seed_files import read_trial_parameters

    folder = runner.settings.files.trial(number).path
    point = read_trial_parameters(folder)
    if point["fingerprint"] != runner.settings.fingerprint.digest:
        raise InputError(
            f"Configuration Mismatch Detected: trial {number} was begun with other settings than "
            "this job has composed; run the same command again to go on with the study's own"
        )
    (outcome,) = runner.run(point["parameters"], [seed], folder, part=point["part"])
    return outcome


def _ended(batch: Sequence[ClaimedTrial], runner: TrialRunner) -> Known:
    found = {
        (trial.number, seed): outcome_in(trial.folder, seed, identity)
        for trial in batch
        for seed, identity in runner.identities(trial.parameters, trial.seeds, trial.part).items()
    }
    return {key: outcome for key, outcome in found.items() if outcome is not None}
