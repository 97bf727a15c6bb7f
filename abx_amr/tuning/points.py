"""From a point of the search space to the agent: its values in the configuration, then built."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from abx_amr.studies.contexts import choices_of, contexts, probe_points
from abx_amr.studies.members import trial_episodes, with_choices
from abx_amr.studies.parameters import path_of

if TYPE_CHECKING:
    from abx_amr.agents.prescriber import Agent, Learner
    from abx_amr.agents.settings import TrainingSettings
    from abx_amr.planning.cache import Reference
    from abx_amr.simulator.model import ClinicModel
    from abx_amr.studies.search_space import SearchSpace


@dataclass(frozen=True, kw_only=True)
class Points:
    """The clinic of a study, and the agent that each point of its search space means.

    Args:
        config: The study's plain, resolved configuration.
        space: What is searched.
        first_seed: Seed of the agents from which values are read back.
    """

    config: Mapping[str, Any]
    space: SearchSpace
    first_seed: int

    @cached_property
    def model(self) -> ClinicModel:
        """The clinic, the same for all points."""
        from abx_amr.configuration.clinic import build_clinic

        return build_clinic(self.config)

    @cached_property
    def reference(self) -> Reference:
        """What returns in the clinic are measured against."""
        from abx_amr.planning.cache import reference

        return reference(self.model)

    def agent(self, parameters: Mapping[str, Any], seed: int) -> tuple[Learner, TrainingSettings]:
        """Return the algorithm and the training plan of a point's seed.

        Raises:
            InputError: the algorithm rejects a value.
        """
        from abx_amr.configuration.agent import build_learner
        from abx_amr.configuration.training import build_training

        config = self.configured(parameters)
        settings = replace(
            build_training(config),
            seed=seed,
            total_num_training_episodes=trial_episodes(self.config["tuning"], parameters),
        )
        return build_learner(config), settings

    def configured(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Return the configuration of a point: that of its choices, with its values.

        Raises:
            InputError: it has no such value.
        """
        from abx_amr.configuration.values import with_values

        return with_values(*with_choices(self.config, parameters))

    @cached_property
    def read_back_names(self) -> list[tuple[Mapping[str, Any], dict[str, str]]]:
        """Choices of searched groups, and parameter -> where its value is read back in that agent.

        Agents are built to see it, unless it is kept.

        Raises:
            InputError: a searched value changes nothing in the agent, or it rejects all of them.
        """
        from abx_amr.tuning import kept_proofs

        if self._kept_names is not None:
            return self._kept_names
        found = [(choices, self._read_back_within(choices)) for choices in choices_of(self.space)]
        if any(names for _, names in found):
            kept_proofs.keep(self.config, self.first_seed, found)
        return found

    @cached_property
    def _kept_names(self) -> list[tuple[Mapping[str, Any], dict[str, str]]] | None:
        from abx_amr.tuning import kept_proofs

        return kept_proofs.read(self.config, self.first_seed)

    @property
    def needs_agents(self) -> bool:
        """Whether agents are built to see where searched values are read back."""
        return self._kept_names is None

    def _read_back_within(self, choices: Mapping[str, Any]) -> dict[str, str]:
        from abx_amr.agents.read_back import find_read_back

        found: dict[str, str] = {}
        for context in contexts(self.space, within=choices):
            where = {**choices, **context}

            def build(values: Mapping[str, Any], where: Mapping[str, Any] = where) -> Agent:
                learner, settings = self.agent({**where, **values}, self.first_seed)
                return learner.build(self.model, settings)

            probes = probe_points(self.space, where=context, within=choices)
            if not probes:
                continue
            with _only_errors_logged("abx_amr.agents"):
                names = find_read_back(build, probes)
            for path, name in names.items():
                drawn = next(n for n in self.space.names_of(path) if self.space.counts(n, where))
                found[drawn] = name
        return found

    def read_back_names_at(self, parameters: Mapping[str, Any]) -> dict[str, str]:
        """Return searched path -> where its value is read back, for what counts at a point."""
        own = next(
            names
            for choices, names in self.read_back_names
            if all(parameters.get(group, member) == member for group, member in choices.items())
        )
        return {
            path_of(drawn): name
            for drawn, name in own.items()
            if self.space.counts(drawn, parameters)
        }

    def check(self) -> None:
        """Refuse what is out of range around the points, before anything slow is loaded.

        Raises:
            InputError: naming the value, and what would be right.
        """
        from abx_amr.configuration.agent import check_quickly

        for choices in choices_of(self.space):
            check_quickly(self.configured(choices))

    def check_device(self) -> None:
        """Refuse a GPU that this machine lacks.

        Raises:
            InputError: the agent asks for one.
        """
        from abx_amr.configuration.agent import build_learner
        from abx_amr.configuration.values import section_of

        for choices in choices_of(self.space):
            config = self.configured(choices)
            is_on_processor = section_of(config, "agent_algorithm").get("device") == "cpu"
            if not is_on_processor or self.needs_agents:
                build_learner(config).check_device()


@contextmanager
def _only_errors_logged(name: str) -> Iterator[None]:
    """Keep a logger's warnings back during the block: of agents that nobody trains."""
    logger = logging.getLogger(name)
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
