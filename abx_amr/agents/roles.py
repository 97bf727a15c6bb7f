"""An agent's part in the clinic: what it sees and decides, in training and in evaluation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from abx_amr.envs.staggered_vec_env import StaggeredVecEnv
from abx_amr.envs.vec_env import ClinicVecEnv, action_space, observation_space

if TYPE_CHECKING:
    from stable_baselines3.common.vec_env import VecEnv

    from abx_amr.envs.exploring_starts import ExploringStarts
    from abx_amr.simulator.model import ClinicModel


class Role(Protocol):
    """What an agent sees and decides, and how long what it decides lasts.

    Attributes:
        decisions_last: Whether a transition is a decision of several primitive steps, whose number
            nobody knows beforehand, and not one step.
    """

    decisions_last: ClassVar[bool]

    def build_env(
        self,
        model: ClinicModel,
        n_envs: int,
        *,
        seed: int,
        gamma: float,
        exploring_starts: ExploringStarts | None = None,
        staggered: bool = False,
    ) -> VecEnv:
        """Return the training environment; `gamma` is the agent's, per step.

        Args:
            model: The clinic.
            n_envs: How many of it.
            seed: Names their streams.
            gamma: The discount per step.
            exploring_starts: At which AMR episodes start; None: as the clinic says.
            staggered: Whether they begin at different steps of their first episodes.
        """
        ...

    def spaces(self, model: ClinicModel) -> tuple[Any, Any]:
        """Return the agent's observation and action space."""
        ...

    def prescriber(self, agent: Any, model: ClinicModel) -> Any:
        """Return the agent as a policy over the clinic's observations."""
        ...


class StepRole:
    """Sees the clinic's observation and prescribes for each patient at every step."""

    decisions_last: ClassVar[bool] = False

    def build_env(
        self,
        model: ClinicModel,
        n_envs: int,
        *,
        seed: int,
        gamma: float,
        exploring_starts: ExploringStarts | None = None,
        staggered: bool = False,
    ) -> VecEnv:
        """Return the batch of clinics, or clinics that begin at different steps."""
        if staggered:
            return StaggeredVecEnv(model, n_envs, seed=seed, exploring_starts=exploring_starts)
        return ClinicVecEnv(model, n_envs, seed=seed, exploring_starts=exploring_starts)

    def spaces(self, model: ClinicModel) -> tuple[Any, Any]:
        """Return the clinic's spaces."""
        return observation_space(model), action_space(model)

    def prescriber(self, agent: Any, model: ClinicModel) -> Any:
        """Return the agent itself."""
        return agent


def role_of(algorithm: object) -> type[Role]:
    """Return the part that an algorithm of SB3 plays (its class, or one that is built).

    One that says nothing of it in an attribute `role` prescribes at every step.
    """
    return getattr(algorithm, "role", StepRole)
