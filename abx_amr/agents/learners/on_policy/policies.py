"""Trained agents of SB3 as policies over the clinic's raw observations.

Shapes: E environments, P patients.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from abx_amr.agents.learners.on_policy.building import clinic_env
from abx_amr.agents.learners.seed_batched.playing import quick
from abx_amr.agents.torch_state import own_draws
from abx_amr.errors import InputError
from abx_amr.evaluation.episodes import Evaluation, Policy, evaluate

if TYPE_CHECKING:
    from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
    from stable_baselines3.common.vec_env import VecNormalize

    from abx_amr.agents.learners.on_policy.normalising import ObservationScale
    from abx_amr.agents.settings import TrainingSettings
    from abx_amr.simulator.model import ClinicModel

Floats = NDArray[np.float64]


class Scale(NamedTuple):
    """Observations less `mean` (D,), divided by `deviation` (D,) and clipped to -clip and clip."""

    mean: Floats
    deviation: Floats
    clip: float


@dataclass(frozen=True)
class TrainedPolicy:
    """An agent that sees raw observations: normalised, where it was trained on normalised ones."""

    agent: OnPolicyAlgorithm
    statistics: VecNormalize | ObservationScale | None = None

    def predict(
        self,
        observation: np.ndarray,
        state: Any = None,
        episode_start: np.ndarray | None = None,
        deterministic: bool = False,
    ) -> tuple[np.ndarray, Any]:
        """Return the prescriptions (E, P), or a manager's options (E,), and the recurrent state."""
        return self.agent.predict(self.normalised(observation), state, episode_start, deterministic)

    def normalised(self, observation: np.ndarray) -> np.ndarray:
        """Return observations (E, D) as the agent was trained on them."""
        if self.statistics is None:
            return observation
        return cast(np.ndarray, self.statistics.normalize_obs(observation))

    def scale(self) -> Scale | None:
        """Return by what observations are normalised now; None where they are not."""
        statistics = self.statistics
        if statistics is None or not getattr(statistics, "norm_obs", True):
            return None
        running = getattr(statistics, "obs_rms", statistics)
        deviation = np.sqrt(running.var + statistics.epsilon)
        return Scale(np.asarray(running.mean), deviation, float(statistics.clip_obs))


def policy_of(agent: OnPolicyAlgorithm) -> Policy:
    """Return the agent as a policy over the clinic's raw observations."""
    trained = TrainedPolicy(agent, agent.get_vec_normalize_env())
    return cast(Policy, clinic_env(agent).prescriber(quick(trained)))


def evaluate_agent(
    agent: OnPolicyAlgorithm,
    model: ClinicModel,
    settings: TrainingSettings,
    *,
    per_step: bool = False,
) -> Evaluation:
    """Return the agent's evaluation on the paired episodes of `settings.evaluation_seed`."""
    with own_draws(settings.evaluation_seed):
        return evaluate(
            policy_of(agent),
            model,
            episodes=settings.num_eval_episodes,
            seed=settings.evaluation_seed,
            per_step=per_step,
        )


def check_fits(
    expects: tuple[int, ...],
    acts: tuple[int, ...],
    observed: Any,
    acted: Any,
    *,
    name: str,
) -> None:
    """Refuse an agent whose spaces are not those of its role in the clinic, naming both sizes.

    Args:
        expects: The shape of the observations it was trained on.
        acts: How many choices each of its actions has.
        observed: The space of what the clinic gives.
        acted: The space of what it takes.
        name: What messages call the agent.

    Raises:
        InputError: naming the agent and both sizes.
    """
    if expects != observed.shape:
        raise InputError(
            f"the agent of {name} expects observations of shape {expects}, this clinic gives "
            f"{observed.shape}: patients, visible attributes, antibiotics and features must be "
            "those it was trained with (a run that is named alone plays in its own clinic)"
        )
    if acts != (takes := choices(acted)):
        raise InputError(f"the agent of {name} acts in {acts}, this clinic takes {takes}")


def choices(space: Any) -> tuple[int, ...]:
    """Return how many choices an action has, per patient or, for a manager, of options."""
    return tuple(int(n) for n in np.ravel(getattr(space, "nvec", getattr(space, "n", ()))))
