"""A composed tuning configuration as objects: the plan, the storage, the points, the trials."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from abx_amr.errors import InputError
from abx_amr.host.processors import threads_for
from abx_amr.studies.first_release import as_begun
from abx_amr.studies.folder import StudyFolder
from abx_amr.studies.members import AGENT, members_in, trial_episodes, with_choices
from abx_amr.studies.settings import StudySettings
from abx_amr.tuning.points import Points
from abx_amr.tuning.trials import TrialRunner

if TYPE_CHECKING:
    from abx_amr.configuration.composing import Composition
    from abx_amr.studies.overview import StudyOverview
    from abx_amr.studies.storages import StudyStorage

#: Added to training.evaluation_seed: names episodes by which nothing is chosen.
HELD_OUT_EPISODES = 977_000
#: How many of them are played at least: they cost little beside a training.
LEAST_HELD_OUT = 100
#: What tells the workers of a study apart, and is no part of it.
_OF_A_WORKER = ("worker", "local_workers")


class TuningStudy:
    """A study of agents: checked once, its parts built when they are first used.

    Args:
        config: The plain, resolved configuration, complete but for the threads (see `settled`).
        points: Those of the same study, built before (default: none were).
        storage: Where the study lies (default: as the configuration says).

    Raises:
        InputError: there is nothing to tune, a value is missing or wrong.
    """

    def __init__(
        self,
        config: Mapping[str, Any],
        *,
        points: Points | None = None,
        storage: StudyStorage | None = None,
    ) -> None:
        from abx_amr.configuration.agent import learns
        from abx_amr.configuration.classes import own_code
        from abx_amr.configuration.tracker import build_tracker
        from abx_amr.tracking.tracker import NoTracker

        if not learns(config):
            raise InputError(
                "agent_algorithm is a fixed rule: there is nothing to tune; choose an agent that "
                "learns, such as agent_algorithm=ppo, or evaluate the rule with abx-evaluate"
            )
        for name, sections in members_in(config["tuning"]).get(AGENT, {}).items():
            if not learns(sections):
                raise InputError(
                    f"search_space.{AGENT}: {name} is a fixed rule, there is nothing to tune: "
                    "leave it out (a study compares with the best rule anyway)"
                )
        _check_complete(config["tuning"])
        # A project's own classes count as its values do: trials of changed code are others.
        code = own_code(config)
        whole = {**config, "code": code} if code else dict(config)
        self.config = {**whole, "tuning": _as_begun(whole)}
        self.settings = StudySettings.from_configuration(self.config)
        self.points = points or Points(
            config=self.config, space=self.settings.space, first_seed=self.settings.first_seed
        )
        tracker = build_tracker(self.config)
        self.runner = TrialRunner(
            settings=self.settings,
            points=self.points,
            tracker=None if isinstance(tracker, NoTracker) else tracker,
        )
        self._given_storage = storage

    @cached_property
    def storage(self) -> StudyStorage:
        """Where the study lies."""
        return self._new_storage()

    @cached_property
    def _watched_storage(self) -> StudyStorage:
        return self._new_storage()

    @property
    def held_out_evaluation_seed(self) -> int:
        """What names the episodes on which the final values what it has chosen."""
        return int(self.config["training"]["evaluation_seed"]) + HELD_OUT_EPISODES

    @cached_property
    def held_out_runner(self) -> TrialRunner:
        """What trains and scores held-out seeds."""
        return replace(
            self.runner,
            evaluation_seed=self.held_out_evaluation_seed,
            least_episodes=LEAST_HELD_OUT,
        )

    def training_episodes_at(self, point: Mapping[str, Any]) -> int:
        """Return how long an agent is trained with the values of a point, unless told otherwise."""
        from abx_amr.studies.best import episodes_with_best

        own, _ = with_choices(self.config, point)
        return episodes_with_best(own, trial_episodes(self.config["tuning"], point))

    def _new_storage(self) -> StudyStorage:
        from abx_amr.configuration.storage import build_storage

        if self._given_storage is not None:
            return self._given_storage
        return build_storage(self.config)

    def look(self) -> StudyOverview:
        """Return how far the study is, read through a connection of its own: for another thread."""
        from abx_amr.studies.overview import overview_of

        return overview_of(self.settings, self._watched_storage)

    def overview(self) -> StudyOverview:
        """Return how far the study is."""
        from abx_amr.studies.overview import overview_of

        return overview_of(self.settings, self.storage)

    def set_threads(self) -> None:
        """Give torch the threads of this study's agents."""
        import torch

        threads = self.config["training"]["torch_threads"]
        if type(threads) is int and threads > 0:  # anything else is refused where it is read
            torch.set_num_threads(threads)


def _as_begun(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the tuning section, that of a study of release 0.1 with the space it was begun in."""
    tuning, name = dict(config["tuning"]), config.get("run_name")
    space = tuning.get("search_space")
    if isinstance(space, Mapping) and name and not config.get("overwrite_existing_study"):
        folder = Path(str(config.get("optimization_dir") or "optimization")) / str(name)
        tuning["search_space"] = as_begun(space, StudyFolder(folder))
    return tuning


def settled(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a resolved configuration with its members and each worker's threads settled.

    Raises:
        InputError: no tuning configuration is chosen, or there is no section training.
    """
    from abx_amr.configuration.values import section_of

    if not isinstance(config.get("tuning"), Mapping):
        raise InputError(_no_tuning())
    training = section_of(config, "training")
    if training.get("torch_threads") is None:
        training["torch_threads"] = threads_for(config["tuning"].get("local_workers") or 1)
    tuning = dict(config["tuning"])
    if isinstance(tuning.get("members"), str):  # as `study_overrides` hands them on
        tuning["members"] = json.loads(tuning["members"])
    return {**config, "training": training, "tuning": tuning}


def what_is_shared(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return what two configurations have in common whose studies share their points.

    Relative paths belong to the folder they were read in.
    """
    tuning = {**config["tuning"], **dict.fromkeys(_OF_A_WORKER)}
    return {**config, "tuning": tuning, "folder": os.getcwd()}


def default_run_name(composition: Composition) -> list[str]:
    """Return the override that names a run without a name after its tuning choice, if it needs one.

    Raises:
        InputError: no tuning configuration is chosen.
    """
    from abx_amr.configuration.written import to_the_letter

    choice = composition.choices.get("tuning")
    if choice is None:
        raise InputError(_no_tuning())
    named = to_the_letter([f"run_name={choice}"])
    return named if composition.config.run_name is None else []


def _no_tuning() -> str:
    """Return the line about a command without a search."""
    from abx_amr.configuration.groups import available

    choices = [choice for choice in available("tuning") if choice != "base"]
    return f"no tuning configuration is chosen: add +tuning=NAME (available: {', '.join(choices)})"


def _check_complete(tuning: Mapping[str, Any]) -> None:
    """Refuse a tuning section that does not have all that conf/tuning/base.yaml has."""
    from abx_amr.configuration.groups import conf_dir

    text = (conf_dir() / "tuning" / "base.yaml").read_text(encoding="utf-8")
    for key in ("truncated_episodes", *yaml.safe_load(text)):
        if key not in tuning:
            raise InputError(
                f"tuning.{key} is missing: a tuning file of your own begins with 'defaults: [base]'"
            )
