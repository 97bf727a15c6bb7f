"""A resistance model of your own: how resistance answers to prescriptions.

Chosen with amr_dynamics=fading_memory; its parameters stand per antibiotic in antibiotics/.
Shapes: E clinics that are simulated side by side, K antibiotics.
"""

import numpy as np


class FadingMemory:
    """Resistance that fades by halves and grows with each dose; the state is the burden, (E, K)."""

    def __init__(self, *, antibiotics, half_life, growth):
        """Take the parameters, each a mapping from antibiotic to number.

        Args:
            antibiotics: Names, in order; every resistance model is given them.
            half_life: Steps in which the burden falls to a half, above 0.
            growth: Burden that one dose adds, at least 0.

        Raises:
            ValueError: A value is out of its range; the user reads it as one line.
        """
        self.antibiotics = tuple(antibiotics)
        for name in self.antibiotics:
            if half_life[name] <= 0:
                raise ValueError(f"half_life of {name} must be above 0, got {half_life[name]}")
            if growth[name] < 0:
                raise ValueError(f"growth of {name} must be at least 0, got {growth[name]}")
        self.keep = np.array([0.5 ** (1.0 / half_life[name]) for name in self.antibiotics])
        self.growth = np.array([growth[name] for name in self.antibiotics])

    def initial_state(self, num_envs):
        """Return the state at the start of an episode: no burden."""
        return np.zeros((num_envs, len(self.antibiotics)))

    def level(self, state):
        """Return the true AMR level, in [0, 1]."""
        return 1.0 - np.exp(-state)

    def step(self, state, doses):
        """Return the state after one step; `doses` counts the doses of all patients, (E, K)."""
        return self.keep * state + self.growth * doses

    def delta(self, visible_level, doses):
        """Return what the last dose did to the level; only a reward with epsilon > 0 reads it."""
        burden = -np.log1p(-np.clip(visible_level, 0.0, 1.0 - 1e-9))
        without_the_last = np.maximum(doses - 1.0, 0.0)
        return self.level(self.step(burden, doses)) - self.level(
            self.step(burden, without_the_last)
        )
