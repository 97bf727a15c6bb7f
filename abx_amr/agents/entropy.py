"""How random the choices of an agent in training are: noted after every update.

Entropy is a share of a uniform choice's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from abx_amr.evaluation.collapse import VANISHED

if TYPE_CHECKING:
    from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm


@dataclass
class EntropyTrace:
    """What is kept of an agent's entropy.

    Attributes:
        fell_at: The transitions since which it has been below VANISHED; None: it is not.
        share: Of the last update; None where it has been answered.
        raised: How many times over the entropy coefficient is raised.
    """

    fell_at: int | None = None
    share: float | None = None
    raised: int = 0

    def to_array(self) -> NDArray[np.float64]:
        """Return the three as one array, nan for None."""
        found = (self.fell_at, self.share, self.raised)
        return np.array([np.nan if value is None else value for value in found])

    @classmethod
    def from_array(cls, values: NDArray[np.float64]) -> EntropyTrace:
        """Return what `to_array` gave."""
        fell_at, share, raised = (None if np.isnan(value) else float(value) for value in values)
        return cls(None if fell_at is None else int(fell_at), share, int(raised or 0))


def trace_of(agent: OnPolicyAlgorithm) -> EntropyTrace:
    """Return an agent's trace, begun where there is none."""
    told: Any = agent
    if not hasattr(told, "entropy_trace"):
        told.entropy_trace = EntropyTrace()
    trace: EntropyTrace = told.entropy_trace
    return trace


def keep_trace(agent: OnPolicyAlgorithm, trace: EntropyTrace) -> None:
    """Let an agent go on with a trace."""
    told: Any = agent
    told.entropy_trace = trace


def note_entropy(agent: OnPolicyAlgorithm, entropy: float) -> None:
    """Note the mean entropy (nats) of an update."""
    space: Any = agent.action_space
    uniform = float(np.log(np.ravel(getattr(space, "nvec", getattr(space, "n", 1)))).sum())
    trace = trace_of(agent)
    trace.share = entropy / uniform
    if trace.share >= VANISHED:
        trace.fell_at = None
    elif trace.fell_at is None:
        trace.fell_at = agent.num_timesteps
