"""The settings of a study: what is searched, how, and within which budget."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from abx_amr.checks import flag
from abx_amr.errors import InputError
from abx_amr.host.folder_names import check_folder_name
from abx_amr.studies.contexts import choices_of
from abx_amr.studies.fingerprint import Fingerprint, fingerprint
from abx_amr.studies.folder import StudyFolder
from abx_amr.studies.known_points import written_points
from abx_amr.studies.members import (
    AGENT,
    SEARCHED_GROUPS,
    check_trial_episodes,
    members_in,
)
from abx_amr.studies.objective import Direction, default_min_successful_seeds
from abx_amr.studies.paths import check_paths
from abx_amr.studies.records import BudgetUnit, FinalSize, RaceRules
from abx_amr.studies.samplers import (
    SamplerChoice,
    check_can_be_built,
    choose_sampler,
    effective_budget,
)
from abx_amr.studies.search_space import SearchSpace
from abx_amr.studies.section import TuningSection
from abx_amr.studies.space import parse_search_space

FIRST_TUNING_SEED, LAST_TUNING_SEED = 1000, 9999
#: From here on a final compares, and values what it has chosen.
FIRST_FINAL_SEED, FIRST_HELD_OUT_SEED = 9000, 10_000
TUNING_KEYS = (
    *("n_trials", "n_seeds_per_trial", "truncated_episodes", "direction", "pruner", "search_space"),
    *("sampler", "sampler_options", "sampler_seed", "stability_penalty_weight"),
    *("seeds", "first_seed", "min_successful_seeds", "race", "final"),
    *("enqueue", "enqueue_default"),
    *("n_workers", "n_trials_per_worker", "timeout", "wait", "parallel"),
    *("worker", "local_workers", "job", "members"),
    *("max_retry", "max_failures", "heartbeat_interval", "checkpoint_interval"),
)


@dataclass(frozen=True, kw_only=True)
class StudySettings:
    """What is to be searched, how, and within which budget: checked, plain values."""

    run_name: str
    study_name: str
    optimization_dir: Path
    space: SearchSpace
    sampler: SamplerChoice
    fingerprint: Fingerprint
    configuration: Mapping[str, Any] = field(repr=False)
    enqueued: Sequence[Mapping[str, Any]]  #: known good points, which a new study tries first
    is_default_first: bool  #: and after them the default
    n_trials: int
    direction: Direction
    n_seeds_per_trial: int
    per_trial_seeds: bool
    first_seed: int
    min_successful_seeds: int
    race: RaceRules | None  #: None: every trial has the same number of seeds
    penalty_weight: float
    n_workers: int
    has_jobs: bool
    wait: bool
    n_trials_per_worker: int | None
    timeout: float | None
    final: FinalSize | None  #: None: the study has none
    is_final_told: bool  #: whether its size was written, and does not follow the search
    max_retry: int
    max_failures: int
    heartbeat_interval: float
    checkpoint_interval: float
    worker: int | None
    local_workers: int
    job: Mapping[str, int] | None  #: number and seed, for a job that is one seed of one trial
    overwrite_existing_study: bool
    skip_if_exists: bool

    @property
    def folder(self) -> Path:
        """The study's folder: optimization/<run_name>."""
        return self.optimization_dir / self.run_name

    @property
    def files(self) -> StudyFolder:
        """What lies in the study's folder, by name."""
        return StudyFolder(self.folder)

    @property
    def budget(self) -> int:
        """How many finished trials complete the search: n_trials, for a grid at most its points.

        Of a race: how many trainings, of all points together, or episodes (see `unit`).
        """
        if self.race is not None:
            return self.race.budget
        return effective_budget(self.sampler, n_trials=self.n_trials, space=self.space)

    @property
    def unit(self) -> BudgetUnit:
        """What the budget counts."""
        return "trial" if self.race is None else self.race.unit

    @property
    def trainings(self) -> int:
        """How many agents the search trains to their end, or what that amounts to."""
        return self.budget * self.n_seeds_per_trial if self.race is None else self.race.trainings

    @property
    def n_points(self) -> int:
        """How many points are drawn, in a race roughly: start-up trials of samplers follow it."""
        return self.n_trials if self.race is None else self.race.expected_points

    @property
    def most_points(self) -> int | None:
        """How many points a race may draw: a grid has no more; None for any number."""
        plenty = self.budget + 1
        found = effective_budget(self.sampler, n_trials=plenty, space=self.space)
        return None if found == plenty else found

    @property
    def most_seeds(self) -> int:
        """How many seeds a point of a race may have, from the block of a search."""
        return FIRST_FINAL_SEED - self.first_seed

    def seeds(self, lineage: int) -> list[int]:
        """Return the seeds of a point: the same for all, or fresh ones within 1000..9999."""
        if not self.per_trial_seeds:
            return [self.first_seed + i for i in range(self.n_seeds_per_trial)]
        room = LAST_TUNING_SEED - FIRST_TUNING_SEED + 1
        start = self.first_seed - FIRST_TUNING_SEED + lineage * self.n_seeds_per_trial
        return [FIRST_TUNING_SEED + (start + i) % room for i in range(self.n_seeds_per_trial)]

    @classmethod
    def from_configuration(cls, configuration: Mapping[str, Any]) -> StudySettings:
        """Return the settings in a plain, resolved configuration.

        Raises:
            InputError: What is wrong, in one line.
        """
        if not isinstance(configuration.get("tuning"), Mapping):
            raise InputError("no tuning configuration is chosen: add +tuning=ppo_default")
        section = TuningSection(configuration["tuning"], known=TUNING_KEYS)
        direction = section.choice("direction", ("maximize", "minimize"))
        section.choice("pruner", ("none",), later="this release has no pruner: leave it out")
        n_seeds = section.whole("n_seeds_per_trial", low=1)
        n_trials = section.whole("n_trials", low=1)
        space = _space(section, configuration)
        options = section.mapping("sampler_options")
        sampler = choose_sampler(
            section.given("sampler"),
            {key: value for key, value in options.items() if value is not None},
            sampler_seed=section.whole("sampler_seed", low=0),
        )
        check_can_be_built(sampler, space=space, n_trials=n_trials)
        min_successful_seeds = section.whole_or_none("min_successful_seeds", low=1, high=n_seeds)
        run_name = _name(configuration, "run_name", None)
        budget = effective_budget(sampler, n_trials=n_trials, space=space)
        first_seed = _first_seed(section, n_seeds)
        per_trial_seeds = section.choice("seeds", ("common", "per_trial")) == "per_trial"
        race = section.race(
            trainings=budget * n_seeds, episodes=section.given("truncated_episodes")
        )
        if race is not None:
            _check_race(race, per_trial_seeds, min_successful_seeds, first_seed)
        final = section.final(trainings=budget * n_seeds if race is None else race.trainings)
        if final is not None and race is None:
            n_used = budget * n_seeds if per_trial_seeds else n_seeds
            _check_fresh(final, range(first_seed, first_seed + n_used))
        return cls(
            run_name=run_name,
            study_name=_name(configuration, "study_name", run_name),
            optimization_dir=Path(
                str(configuration.get("optimization_dir") or "optimization")
            ).absolute(),
            space=space,
            sampler=sampler,
            fingerprint=fingerprint(configuration, space=space),
            configuration=configuration,
            enqueued=written_points(
                section.given("enqueue"), space, are_whole=sampler.name == "grid"
            ),
            is_default_first=section.flag("enqueue_default"),
            n_trials=n_trials,
            direction="maximize" if direction == "maximize" else "minimize",
            n_seeds_per_trial=n_seeds,
            per_trial_seeds=per_trial_seeds,
            first_seed=first_seed,
            min_successful_seeds=min_successful_seeds or default_min_successful_seeds(n_seeds),
            race=race,
            penalty_weight=section.number("stability_penalty_weight", low=0.0),
            n_workers=section.whole("n_workers", low=1),
            has_jobs=_has_jobs(section),
            wait=section.flag("wait"),
            n_trials_per_worker=section.whole_or_none("n_trials_per_worker", low=1),
            timeout=section.number_or_none("timeout", above=0.0),
            final=final,
            is_final_told=section.is_final_told,
            max_retry=section.whole("max_retry", low=0),
            max_failures=section.whole_or_none("max_failures", low=1) or n_trials,
            heartbeat_interval=section.number("heartbeat_interval", above=0.0),
            checkpoint_interval=section.number("checkpoint_interval", above=0.0),
            worker=section.whole_or_none("worker", low=0),
            local_workers=section.from_sweeper("local_workers", unless_told=1),
            job=section.job(),
            overwrite_existing_study=_flag(configuration, "overwrite_existing_study"),
            skip_if_exists=_flag(configuration, "skip_if_exists"),
        )


def _space(section: TuningSection, configuration: Mapping[str, Any]) -> SearchSpace:
    space = parse_search_space(section.mapping("search_space"))
    if not space:
        raise InputError("tuning.search_space is empty: name at least one value to search")
    for group in SEARCHED_GROUPS:
        if group in space.paths and group not in members_in(configuration["tuning"]):
            raise InputError(
                f"search_space.{group} chooses between configurations, which are composed where a "
                "study is searched: add -m (abx-tune -m ...)"
            )
    check_paths(space, configuration)
    agents = [point[AGENT] for point in choices_of(space) if AGENT in point]
    check_trial_episodes(section.given("truncated_episodes"), list(dict.fromkeys(agents)))
    return space


def _first_seed(section: TuningSection, n_seeds: int) -> int:
    first_seed = section.whole("first_seed")
    last_seed = first_seed + n_seeds - 1
    if first_seed < FIRST_TUNING_SEED or last_seed > LAST_TUNING_SEED:
        raise InputError(
            f"tuning seeds must lie within {FIRST_TUNING_SEED}..{LAST_TUNING_SEED}: "
            f"first_seed {first_seed} with {n_seeds} seeds ends at {last_seed}"
        )
    return first_seed


def fresh_seeds(number: int, used: Collection[int]) -> list[int]:
    """Return the first seeds of the block of finals that a search has not used.

    >>> fresh_seeds(3, {1000, 9001})
    [9000, 9002, 9003]

    Raises:
        InputError: there are too few.
    """
    block = range(FIRST_FINAL_SEED, LAST_TUNING_SEED + 1)
    found = [seed for seed in block if seed not in used][:number]
    if len(found) < number:
        raise InputError(
            f"tuning.final needs {number} seeds within {FIRST_FINAL_SEED}..{LAST_TUNING_SEED} that "
            f"the search does not use, there are {len(found)}: ask for fewer "
            f"(tuning.final.seeds), or leave it out (tuning.final=false)"
        )
    return found


def _check_race(
    race: RaceRules, per_trial_seeds: bool, min_successful_seeds: int | None, first_seed: int
) -> None:
    """Refuse what does not go with a race over seeds."""
    without = "or leave the race out (tuning.race=false)"
    if per_trial_seeds:
        raise InputError(
            f"tuning.race compares points on common seeds: tuning.seeds=common, {without}"
        )
    if min_successful_seeds is not None:
        raise InputError(
            "tuning.race asks for more than half of the seeds that a point has by then: "
            f"tuning.min_successful_seeds=null, {without}"
        )
    if first_seed + race.first_seeds > FIRST_FINAL_SEED:
        raise InputError(
            f"tuning.race takes seeds below {FIRST_FINAL_SEED}: tuning.first_seed={first_seed} "
            f"leaves too few, use tuning.first_seed={FIRST_TUNING_SEED}, {without}"
        )


def _check_fresh(final: FinalSize, used: Collection[int]) -> None:
    """Refuse a final whose fresh seeds a search of these seeds leaves too few of."""
    room = LAST_TUNING_SEED - FIRST_TUNING_SEED + 1
    fresh_seeds(final.seeds, {FIRST_TUNING_SEED + (s - FIRST_TUNING_SEED) % room for s in used})


def _has_jobs(section: TuningSection) -> bool:
    """Say whether each seed of a trial is a job of its own, which somebody has to wait for."""
    has_jobs = section.choice("parallel", ("workers", "jobs")) == "jobs"
    if has_jobs and not section.flag("wait"):
        raise InputError(
            "tuning.wait=false needs tuning.parallel=workers: with jobs, somebody has to ask "
            "for the next trials (submit the abx-tune command itself as a job)"
        )
    return has_jobs


def _name(configuration: Mapping[str, Any], key: str, default: str | None) -> str:
    name = configuration.get(key)
    if name is None:
        name = default
    if name is None or (isinstance(name, str) and not name.strip()):
        raise InputError(f"{key} must be given, such as {key}=first_study")
    return check_folder_name(key, name)


def _flag(configuration: Mapping[str, Any], key: str) -> bool:
    return flag(key, configuration.get(key, False))
