"""One action for a whole cohort, for learners that choose one of a list.

Shapes: E environments, P patients, K antibiotics, J = (K+1)**P joint actions.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper

from abx_amr.errors import InputError
from abx_amr.simulator import ClinicModel

#: More than these no network gives a value to each of.
MOST_JOINT_ACTIONS = 256


def joint_actions(model: ClinicModel) -> NDArray[np.int64]:
    """Return every way to treat a cohort, shape (J, P); the last patient's choice runs fastest.

    Raises:
        InputError: there are more than 256.
    """
    treatments, patients = model.num_treatments, model.num_patients_per_time_step
    count = treatments**patients
    if count > MOST_JOINT_ACTIONS:
        fits = patients
        while treatments**fits > MOST_JOINT_ACTIONS:
            fits -= 1
        raise InputError(
            f"an agent that learns a value for each joint action takes at most "
            f"{MOST_JOINT_ACTIONS} of them: {patients} patients with {treatments} choices each "
            f"have {count}; choose agent_algorithm=ppo, or "
            f"environment.num_patients_per_time_step={fits}"
        )
    return np.indices((treatments,) * patients).reshape(patients, count).T.copy()


def joint_action_space(model: ClinicModel) -> spaces.Discrete:
    """Return the choice of one joint action."""
    return spaces.Discrete(len(joint_actions(model)))


class JointActionVecEnv(VecEnvWrapper):
    """A batch of clinics whose action is the number of a row of `joint_actions`."""

    def __init__(self, venv: VecEnv, rows: NDArray[np.int64]) -> None:
        """Wrap a batch of clinics whose joint actions are `rows` (J, P)."""
        super().__init__(venv, action_space=spaces.Discrete(len(rows)))
        self.rows = rows

    def step_async(self, actions: NDArray[Any]) -> None:
        """Keep the numbers (E,) as what each patient gets."""
        self.venv.step_async(self.rows[actions])

    def step_wait(self) -> Any:
        """Make the step."""
        return self.venv.step_wait()

    def reset(self) -> Any:
        """Start an episode everywhere."""
        return self.venv.reset()
