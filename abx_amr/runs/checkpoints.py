"""What a run keeps of an agent in training, and what is read from it again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from abx_amr.agents.prescriber import Agent

if TYPE_CHECKING:
    from abx_amr.agents.prescriber import Learner
    from abx_amr.evaluation.episodes import Policy
    from abx_amr.runs.folder import CheckpointName, RunFolder
    from abx_amr.simulator.model import ClinicModel


def captured(agent: Agent, **more: np.ndarray) -> dict[str, Any]:
    """Return the arguments of `folder.write_checkpoint` for an agent that was published.

    `more` names further arrays to save with it.
    """
    saved = agent.save()
    kept = {"transitions": np.array(agent.transitions), **more}
    if taken := sorted(kept.keys() & saved.state.keys()):
        raise ValueError(f"an agent cannot save arrays named {taken}: the run's own are")
    return {
        "state": {**saved.state, **kept},
        "facts": saved.facts,
        "agent": saved.agent,
    }


def learned_episodes(source: RunFolder, model: ClinicModel) -> int:
    """Return how many whole episodes the run's last checkpoint has learned from."""
    return int(source.read_checkpoint("last").state["transitions"]) // model.max_time_steps


def trained_policy(
    folder: RunFolder,
    learner: Learner,
    model: ClinicModel,
    *,
    checkpoint: CheckpointName = "best",
    trust: bool = False,
) -> Policy:
    """Return the agent of a run's checkpoint as a policy over a clinic's observations.

    `trust` lets a learner's own library run what the checkpoint brings.

    Raises:
        InputError: the folder holds no such checkpoint, or its agent does not fit the clinic.
    """
    stored = folder.read_checkpoint(checkpoint, trust=trust)
    return learner.load(stored, model, name=str(folder.path))
