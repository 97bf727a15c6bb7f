"""One trial: the seeds of a point trained and scored, each seed's outcome kept in its folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from abx_amr.errors import InputError
from abx_amr.studies.attempts import Part, identity
from abx_amr.studies.objective import SeedOutcome

if TYPE_CHECKING:
    from abx_amr.runs.tracking import Tracks
    from abx_amr.studies.settings import StudySettings
    from abx_amr.tracking.tracker import Tracker
    from abx_amr.tuning.points import Points
    from abx_amr.tuning.scoring import SeedScore


@dataclass(frozen=True, kw_only=True)
class TrialRunner:
    """Trains and scores the seeds of points of one study.

    Args:
        settings: The study's.
        points: The study's.
        evaluation_seed: Names the evaluation episodes (None: as the configuration names them).
        least_episodes: How many evaluation episodes are played at least.
        tracker: Who follows trainings; None: nobody.
    """

    settings: StudySettings
    points: Points
    evaluation_seed: int | None = None
    least_episodes: int = 1
    tracker: Tracker | None = None

    def run(
        self,
        parameters: Mapping[str, Any],
        seeds: Sequence[int],
        folder: Path | None,
        on_progress: Callable[[int, int], None] | None = None,
        on_return: Callable[[float], None] | None = None,
        *,
        part: Part | None = None,
    ) -> list[SeedOutcome]:
        """Return every seed's outcome, which is why it failed where it did.

        Args:
            parameters: The point: configuration path -> value.
            seeds: The agents' seeds.
            folder: The trial's: each outcome is written to `seed_<s>/result.json` in it; seeds that
                have succeeded there are not trained again, seeds that were saved there go on.
                None: nothing is written.
            on_progress: Called with (transitions seen, planned) of all seeds.
            on_return: Called with what they have earned of late, on average.
            part: Which part of their training is to be done; None: all of it. Seeds go on from
                where they were saved when the last part ended, or begin again, to the same bits.
        """
        from abx_amr.tuning.saving import Saving
        from abx_amr.tuning.scoring import train_and_score

        part = part or Part()
        identities = self.identities(parameters, seeds, part)
        outcomes: dict[int, SeedOutcome] = {}
        if folder is not None:
            found = {seed: outcome_in(folder, seed, identities[seed]) for seed in seeds}
            outcomes = {s: o for s, o in found.items() if o is not None and o.failure is None}
        missing = [seed for seed in seeds if seed not in outcomes]

        def keep(seed: int, score: SeedScore | Exception) -> None:
            outcomes[seed] = _outcome_of(seed, score)
            if folder is not None:
                _write(folder, outcomes[seed], score, identity=identities[seed], part=part)

        try:
            learner, settings = self.points.agent(parameters, seeds[0])
        except InputError as error:
            for seed in missing:
                keep(seed, error)
            return [outcomes[seed] for seed in seeds]
        if self.evaluation_seed is not None:
            settings = replace(settings, evaluation_seed=self.evaluation_seed)
        episodes = max(settings.num_eval_episodes, self.least_episodes)
        settings = replace(settings, num_eval_episodes=episodes)
        saving = None
        if folder is not None:
            interval = self.settings.checkpoint_interval
            saving = Saving(
                folder=folder,
                interval=interval,
                identities=self.identities(parameters, seeds),
                is_expected=part.begin > 0,
            )
        with self._followed(parameters, missing, folder) as tracks:
            train_and_score(
                learner,
                self.points.model,
                settings,
                seeds=missing,
                searched=self.points.read_back_names_at(parameters),
                on_progress=on_progress,
                on_return=on_return,
                on_score=keep,
                saving=saving,
                episodes=part.end,
                tracks=tracks,
            )
            for seed, track in tracks.items():
                if (earned := outcomes[seed].episode_return) is not None:
                    track.end({"mean_return": earned}, status="finished")
        return [outcomes[seed] for seed in seeds]

    def _followed(
        self, parameters: Mapping[str, Any], seeds: Sequence[int], folder: Path | None
    ) -> AbstractContextManager[Tracks]:
        """Return tracks of the seeds of a point, in what its folder is called in the study's."""
        from abx_amr.runs.tracking import Tracking, followed

        if self.tracker is None:
            return followed(None, {})
        tracking = Tracking(
            tracker=self.tracker,
            study=self.settings.study_name,
            config=self.points.configured(parameters),
        )
        return followed(
            tracking,
            {seed: f"seed_{seed}" for seed in seeds},
            trial=None
            if folder is None
            else f"{folder.parent.name.removesuffix('s')}_{folder.name}",
        )

    def identities(
        self, parameters: Mapping[str, Any], seeds: Sequence[int], part: Part | None = None
    ) -> dict[int, str]:
        """Return seed -> what its result follows from, after a part of its training."""
        digest, episodes = self.settings.fingerprint.digest, None if part is None else part.end
        return {seed: identity(digest, parameters, seed, episodes=episodes) for seed in seeds}


def outcome_in(folder: Path, seed: int, identity: str) -> SeedOutcome | None:
    """Return what a seed has left in a trial's folder, None where it has not ended.

    What follows from something else than `identity` does not count.
    """
    from abx_amr.tuning.seed_files import read_seed_result

    found = read_seed_result(folder, seed, identity=identity)
    if found is None:
        return None
    return SeedOutcome(
        seed=seed,
        episode_return=found["episode_return"],
        failure=found["failure"],
        effective_values=found["effective_values"],
        seconds=found["seconds"],
        collapse=found.get("collapse"),  # not in a result of release 0.1
    )


def _outcome_of(seed: int, score: SeedScore | Exception) -> SeedOutcome:
    if isinstance(score, Exception):
        reason = f"{type(score).__name__}: {score}"
        return SeedOutcome(seed=seed, episode_return=None, failure=reason)
    return SeedOutcome(
        seed=seed,
        episode_return=score.episode_return,
        effective_values=score.effective_values,
        seconds=score.seconds,
        collapse=score.collapse,
    )


def _write(
    folder: Path,
    outcome: SeedOutcome,
    score: SeedScore | Exception,
    *,
    identity: str,
    part: Part,
) -> None:
    from abx_amr.tuning.seed_files import write_seed_result

    own = None if isinstance(score, Exception) else score
    write_seed_result(
        folder,
        outcome=asdict(outcome),
        evaluation_returns=() if own is None else own.returns,
        identity=identity,
        curve=() if own is None else own.curve,
        final_amr={} if own is None else own.final_amr,
        treatments={} if own is None else own.treatments,
        episodes=part.end,
    )
