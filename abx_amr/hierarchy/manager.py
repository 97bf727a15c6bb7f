"""The manager's part in a run: how it meets the clinic, in training and in evaluation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from gymnasium import spaces

from abx_amr import checks
from abx_amr.envs.exploring_starts import ExploringStarts
from abx_amr.hierarchy.library import OptionEntry, OptionLibrary
from abx_amr.hierarchy.manager_env import ManagerVecEnv, manager_spaces
from abx_amr.hierarchy.policy import ChoosesOptions, HierarchicalPolicy
from abx_amr.simulator.model import ClinicModel


@dataclass(frozen=True, kw_only=True)
class ManagerSettings:
    """The keys of conf/hrl/default.yaml.

    Attributes:
        option_gamma: Discount per primitive step inside an option, in (0, 1]; None: the agent's.
        front_edge_use_full_vector: Whether the manager sees every waiting patient.
        exclude_clipped_decisions_from_training: Whether decisions cut by the end of the episode
            are masked out of the losses.
    """

    option_gamma: float | None = None
    front_edge_use_full_vector: bool = False
    exclude_clipped_decisions_from_training: bool = False

    def __post_init__(self) -> None:
        """Check the ranges."""
        if self.option_gamma is not None:
            checks.number("hrl.option_gamma", self.option_gamma, 0.0, 1.0, open_low=True)
        for name in ("front_edge_use_full_vector", "exclude_clipped_decisions_from_training"):
            checks.flag(f"hrl.{name}", getattr(self, name))


@dataclass(frozen=True, kw_only=True)
class ManagerRole:
    """Chooses options, which prescribe.

    Attributes:
        entries: The options of the library, as configured.
        for_each_antibiotic: Templates of options for each antibiotic of the formulary.
        settings: How the manager sees and learns.
    """

    decisions_last: ClassVar[bool] = True

    entries: tuple[OptionEntry, ...]
    for_each_antibiotic: tuple[OptionEntry, ...] = ()
    settings: ManagerSettings = ManagerSettings()

    def library(self, model: ClinicModel) -> OptionLibrary:
        """Return the options for a clinic.

        Raises:
            InputError: One does not fit; the message names it.
        """
        return OptionLibrary.build(model, self.entries, self.for_each_antibiotic)

    def build_env(
        self,
        model: ClinicModel,
        n_envs: int,
        *,
        seed: int,
        gamma: float,
        exploring_starts: ExploringStarts | None = None,
        staggered: bool = False,
    ) -> ManagerVecEnv:
        """Return the manager's training environment; `gamma` is the agent's, per step.

        Options end at different steps by themselves: it is not staggered.
        """
        assert not staggered, "refused by the configuration"
        settings = self.settings
        return ManagerVecEnv(
            self.library(model),
            n_envs,
            seed=seed,
            option_gamma=gamma if settings.option_gamma is None else settings.option_gamma,
            front_edge_use_full_vector=settings.front_edge_use_full_vector,
            exclude_clipped_decisions_from_training=(
                settings.exclude_clipped_decisions_from_training
            ),
            exploring_starts=exploring_starts,
        )

    def spaces(self, model: ClinicModel) -> tuple[spaces.Box, spaces.Discrete]:
        """Return what the manager sees and what it chooses among."""
        every = self.settings.front_edge_use_full_vector
        return manager_spaces(self.library(model), shows_every_patient=every)

    def prescriber(self, manager: ChoosesOptions, model: ClinicModel) -> HierarchicalPolicy:
        """Return the manager with its options as a policy over the clinic's observations."""
        return HierarchicalPolicy(
            manager=manager,
            library=self.library(model),
            shows_every_patient=self.settings.front_edge_use_full_vector,
        )
