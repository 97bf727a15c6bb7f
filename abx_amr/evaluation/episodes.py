"""Roll a policy through paired episodes -> a table.

Episode j of a seed is the same for every policy: the same patients and the same luck, whatever is
prescribed and however many episodes run beside it. Two evaluations can so be compared episode by
episode.

Shapes: N episodes, E of them in a batch, T steps, P patients, K antibiotics, D observation entries.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from abx_amr import checks
from abx_amr.errors import InputError
from abx_amr.evaluation.recording import (
    Columns,
    PlaysAlone,
    Recording,
    Steps,
    cohorts,
    described,
    joined,
    totals,
)
from abx_amr.evaluation.tally import Tally
from abx_amr.rng import stream_states_at
from abx_amr.simulator.clinic import Clinic
from abx_amr.simulator.description import COUNTS, PER_ANTIBIOTIC, SCORES
from abx_amr.simulator.model import ClinicModel, treatment_names
from abx_amr.simulator.patients import ATTRIBUTES

if TYPE_CHECKING:
    import pandas as pd

    from abx_amr.evaluation.statistics import PairedDifference

Floats = NDArray[np.float64]

_DESCRIBED_AT_ONCE = 8_192  # steps of environments that are recorded before they are described


class Policy(Protocol):
    """What prescribes: an agent of Stable-Baselines3, a rule, or anything with its `predict`."""

    def predict(
        self,
        observation: Any,
        state: Any = None,
        episode_start: Any = None,
        deterministic: bool = False,
    ) -> tuple[Any, Any]:
        """Return actions (E, P) and the memory to hand back at the next step.

        Args:
            observation: Shape (E, D).
            state: What the previous call returned; None at first.
            episode_start: Whether an episode begins here, shape (E,).
            deterministic: Whether the likeliest action is taken instead of a sampled one.
        """
        ...


@runtime_checkable
class RemembersEpisodes(Protocol):
    """A policy that is told which episodes it will play, to have draws of its own in each."""

    def initial_state(self, episodes: Sequence[int], seed: int) -> Any:
        """Return the memory with which the episodes (E,) of the evaluation `seed` begin."""
        ...


@runtime_checkable
class MakesDecisions(Protocol):
    """A policy whose prescriptions follow from decisions that last: a manager with its options."""

    @property
    def decision_names(self) -> tuple[str, ...]:
        """What can be decided, by index."""
        ...

    def decisions(self, state: Any) -> Columns:
        """Return the decisions of the E episodes whose memory this is, column -> (M,).

        Columns: environment, decision, start, duration, option_clipped, option, visible_amr (M, K).
        """
        ...


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What a policy did in N episodes.

    Attributes:
        seed: Names the episodes, together with their numbers.
        antibiotics: The K antibiotics.
        episodes: Column -> (N,): episode; episode_return (undiscounted), individual_return,
            community_return; the counts of COUNTS; and for each antibiotic X prescriptions_X (to
            infected or not), mean_true_amr_X, mean_visible_amr_X and final_true_amr_X.
        per_step: Name -> (T, N), or (T, N, K) for those of PER_ANTIBIOTIC; None unless asked for.
            Levels are those after the step.
        per_patient: Name -> (T, N, P) and more axes: the cohort that was treated, what was seen of
            it and what it was given; None unless asked for.
        decisions: Column -> (M,): episode, decision, start (steps made before it), duration,
            option_clipped, option (an index), visible_amr (M, K) at its start, and reward, the
            undiscounted sum of the steps it lasted; None for a policy that makes none.
        decision_names: What was decided, by index.
    """

    seed: int
    antibiotics: tuple[str, ...]
    episodes: Mapping[str, NDArray[Any]]
    per_step: Mapping[str, NDArray[Any]] | None = None
    per_patient: Mapping[str, NDArray[Any]] | None = None
    decisions: Mapping[str, NDArray[Any]] | None = None
    decision_names: tuple[str, ...] = ()

    @property
    def returns(self) -> Floats:
        """The undiscounted return of each episode, (N,)."""
        return self.episodes["episode_return"]

    @cached_property
    def mean_return(self) -> float:
        """The mean undiscounted return."""
        return float(self.returns.mean())

    def difference_from(self, other: Evaluation, *, confidence: float = 0.95) -> PairedDifference:
        """Return the paired difference of the returns, this evaluation minus the other.

        Raises:
            InputError: the two did not play the same episodes.
        """
        from abx_amr.evaluation.statistics import paired_difference

        if self.seed != other.seed:
            raise InputError(
                "evaluations must share their seed to be compared in pairs, "
                f"got {self.seed} and {other.seed}"
            )
        if not np.array_equal(self.episodes["episode"], other.episodes["episode"]):
            raise InputError(
                "evaluations must share their episodes to be compared in pairs, "
                f"got {len(self.returns)} and {len(other.returns)} episodes that are not the same"
            )
        return paired_difference(self.returns, other.returns, confidence=confidence)

    def to_frame(self) -> pd.DataFrame:
        """Return one row per episode, the columns of `episodes`."""
        import pandas as pd

        return pd.DataFrame(dict(self.episodes))

    def trajectories_frame(self) -> pd.DataFrame:
        """Return one row per (episode, step), steps counted from 1, levels after the step.

        Columns: episode, step, those of SCORES and COUNTS, and <name>_<antibiotic> for each of
        PER_ANTIBIOTIC.
        """
        import pandas as pd

        if self.per_step is None:
            raise InputError("steps were not recorded: evaluate with per_step=True")
        steps, count = self.per_step["reward"].shape
        columns: Columns = {
            "episode": np.repeat(self.episodes["episode"], steps),
            "step": np.tile(np.arange(1, steps + 1), count),
        }
        for name in (*SCORES, *COUNTS):
            columns[name] = self.per_step[name].T.ravel()
        for name in PER_ANTIBIOTIC:
            for k, antibiotic in enumerate(self.antibiotics):
                columns[f"{name}_{antibiotic}"] = self.per_step[name][:, :, k].T.ravel()
        return pd.DataFrame(columns)

    def decisions_frame(self) -> pd.DataFrame:
        """Return one row per decision: what was chosen, for how long, and what it earned.

        Columns: episode, decision, start, duration, option_clipped, option (its name), reward, and
        visible_amr_<antibiotic> at its start.
        """
        import pandas as pd

        if self.decisions is None:
            raise InputError("there are no decisions: the policy chooses no options")
        found = dict(self.decisions)
        levels = found.pop("visible_amr")
        frame = pd.DataFrame(found)
        frame["option"] = pd.Categorical.from_codes(
            np.asarray(found["option"], dtype=np.int64), pd.Index(self.decision_names)
        )
        for k, antibiotic in enumerate(self.antibiotics):
            frame[f"visible_amr_{antibiotic}"] = levels[:, k]
        return frame

    def patients_frame(self) -> pd.DataFrame:
        """Return one row per (episode, step, patient): who came, what was seen, what was given.

        Columns: episode, step, patient, treatment (an antibiotic or no_treatment), group,
        infected, sensitive_<antibiotic>, the six true attributes, observed_<attribute> for the
        visible ones, and the luck: uniform_infection, uniform_sensitivity_<antibiotic>,
        uniform_outcome, uniform_adverse_event, uniform_recovery.
        """
        import pandas as pd

        if self.per_patient is None:
            raise InputError("patients were not recorded: evaluate with trajectories=True")
        found = self.per_patient
        steps, count, patients = found["actions"].shape

        def column(values: NDArray[Any]) -> NDArray[Any]:
            return np.swapaxes(values, 0, 1).ravel()

        treatments = pd.Index(treatment_names(self.antibiotics))
        columns: Columns = {
            "episode": np.repeat(self.episodes["episode"], steps * patients),
            "step": np.tile(np.repeat(np.arange(1, steps + 1), patients), count),
            "patient": np.tile(np.arange(patients), steps * count),
        }
        frame = pd.DataFrame(columns)
        frame["treatment"] = pd.Categorical.from_codes(column(found["actions"]), treatments)
        frame["group"] = column(found["group"])
        frame["infected"] = column(found["infected"])
        for k, antibiotic in enumerate(self.antibiotics):
            frame[f"sensitive_{antibiotic}"] = column(found["sensitive"][..., k])
        for a, attribute in enumerate(ATTRIBUTES):
            frame[attribute] = column(found["attributes"][..., a])
        for name, values in found.items():
            if name.startswith("observed_"):
                frame[name] = column(values)
        sensitivities = [f"sensitivity_{antibiotic}" for antibiotic in self.antibiotics]
        luck = ["infection", *sensitivities, "outcome", "adverse_event", "recovery"]
        for u, name in enumerate(luck):
            frame[f"uniform_{name}"] = column(found["uniforms"][..., u])
        return frame


def evaluate(
    policy: Policy,
    model: ClinicModel,
    *,
    episodes: int | Sequence[int],
    seed: int,
    deterministic: bool = True,
    normalise: Callable[[NDArray[np.float32]], Any] | None = None,
    per_step: bool = False,
    trajectories: bool = False,
    max_batch: int = 64,
    progress: Callable[[int], None] | None = None,
) -> Evaluation:
    """Return what the policy does in the episodes of `seed`.

    An episode does not depend on which others run beside it, nor on `max_batch`, where the policy's
    actions do not: a rule's never do; a network's may in the last bit of a product, and those it
    samples (deterministic=False) come from the policy's own generator.

    Args:
        policy: An agent or a rule; memory and episode starts are handed to it.
        model: The clinic.
        episodes: How many, from number 0 on, or their numbers.
        seed: Names the episodes.
        deterministic: Whether the policy takes its likeliest action.
        normalise: Applied to the observations (E, D) before the policy sees them.
        per_step: Whether the steps are recorded.
        trajectories: Whether steps and patients are recorded.
        max_batch: Episodes played at once, at most.
        progress: Called with the number of episodes played so far, after each batch.

    Raises:
        InputError: An argument is out of range, or the policy's actions do not fit the clinic.
    """
    numbers = _episode_numbers(episodes)
    width = checks.whole_number("max_batch", max_batch, 1)
    keeps_steps = per_step or trajectories
    tables: list[Columns] = []
    recorded_steps: list[Columns] = []
    recorded_patients: list[Columns] = []
    made: list[Columns] = []
    for start in range(0, len(numbers), width):
        chunk = numbers[start : start + width]
        memory = (
            policy.initial_state(chunk, seed) if isinstance(policy, RemembersEpisodes) else None
        )
        streams = stream_states_at(seed, "evaluation", "clinic", indices=chunk)
        steps, patients, memory = _play(
            policy,
            Clinic(model, streams),
            memory=memory,
            deterministic=deterministic,
            normalise=normalise,
            records_patients=trajectories,
        )
        tables.append(totals(chunk, steps, model.antibiotics))
        if keeps_steps:
            recorded_steps.append(steps)
        if trajectories:
            recorded_patients.append(patients)
        if isinstance(policy, MakesDecisions):
            made.append(_credited(policy.decisions(memory), chunk, steps["reward"].T))
        if progress is not None:
            progress(start + len(chunk))
    return Evaluation(
        seed=seed,
        antibiotics=model.antibiotics,
        episodes=joined(tables, axis=0),
        per_step=Steps(model, joined(recorded_steps, axis=1)) if keeps_steps else None,
        per_patient=joined(recorded_patients, axis=1) if trajectories else None,
        decisions=joined(made, axis=0) if made else None,
        decision_names=policy.decision_names if isinstance(policy, MakesDecisions) else (),
    )


def _credited(decisions: Columns, numbers: Sequence[int], reward: Floats) -> Columns:
    """Return decisions with their episode and their own reward, from the steps' reward (E, T)."""
    columns = dict(decisions)
    environment = columns.pop("environment")
    earned = np.concatenate([np.zeros((len(reward), 1)), reward.cumsum(axis=1)], axis=1)
    start, end = columns["start"], columns["start"] + columns["duration"]
    return {
        "episode": np.asarray(numbers, dtype=np.int64)[environment],
        **columns,
        "reward": earned[environment, end] - earned[environment, start],
    }


def episode_returns(
    policy: Policy,
    model: ClinicModel,
    *,
    episodes: int,
    seed: int,
    copies: int = 1,
    tally: Tally | None = None,
) -> Floats:
    """Return the undiscounted returns (copies, N) of N episodes, and nothing else of them.

    Those of `evaluate` to the bit, without its tables: what a trial of many needs.

    Args:
        policy: Plays the same episodes `copies` times side by side: block c of its observations
            (copies * N, D) is copy c's.
        model: The clinic.
        episodes: How many, N, from number 0 on.
        seed: Names the episodes.
        copies: How many agents the policy is made of.
        tally: Takes in who was given what, and the levels at the end, of `copies` agents.
    """
    streams = stream_states_at(seed, "evaluation", "clinic", indices=range(episodes))
    clinic = Clinic(model, np.tile(streams, (copies, 1)))
    observation = clinic.reset()
    rewards = np.empty((clinic.num_envs, model.max_time_steps))
    memory: Any = None
    for t in range(model.max_time_steps):
        episode_start = np.full(clinic.num_envs, t == 0)
        actions, memory = policy.predict(
            observation, state=memory, episode_start=episode_start, deterministic=True
        )
        if tally is not None:
            tally.add(clinic, np.asarray(actions))
        observation, reward, _ = clinic.step(actions)
        rewards[:, t] = reward
    if tally is not None:
        tally.end(clinic)
    returns: Floats = rewards.sum(axis=1)
    return returns.reshape(copies, episodes)


def _episode_numbers(episodes: int | Sequence[int]) -> tuple[int, ...]:
    if isinstance(episodes, Sequence):
        numbers = tuple(checks.whole_number("episodes", number, 0) for number in episodes)
        if not numbers or len(set(numbers)) != len(numbers):
            raise InputError(f"episodes must name each once and at least one, got {list(numbers)}")
        return numbers
    return tuple(range(checks.whole_number("episodes", episodes, 1)))


def _play(
    policy: Policy,
    clinic: Clinic,
    *,
    memory: Any,
    deterministic: bool,
    normalise: Callable[[NDArray[np.float32]], Any] | None,
    records_patients: bool,
) -> tuple[Columns, Columns, Any]:
    """Return the steps, name -> (T, E) or (T, E, K), the patients, name -> (T, E, P, ...), memory.

    The memory is what the policy last returned; none of one that plays alone.
    """
    every = max(1, _DESCRIBED_AT_ONCE // clinic.num_envs)
    clinic.reset()
    player = None
    if deterministic and normalise is None and isinstance(policy, PlaysAlone):
        player = policy.player(clinic)
    steps: list[Columns] = []
    patients: list[Columns] = []
    for start in range(0, clinic.model.max_time_steps, every):
        recording = Recording.of(clinic, min(every, clinic.model.max_time_steps - start))
        if player is not None:
            player.play(clinic, recording)
        else:
            memory = _ask(policy, clinic, recording, memory, deterministic, normalise)
        steps.append(described(clinic.model, recording))
        if records_patients:
            patients.append(cohorts(clinic.model, recording))
    return joined(steps, axis=0), joined(patients, axis=0) if patients else {}, memory


def _ask(
    policy: Policy,
    clinic: Clinic,
    recording: Recording,
    memory: Any,
    deterministic: bool,
    normalise: Callable[[NDArray[np.float32]], Any] | None,
) -> Any:
    """Make and record the next steps, asking the policy before each; return its memory."""
    for t in range(len(recording.state)):
        recording.observations[t] = clinic.observation
        seen = clinic.observation if normalise is None else normalise(clinic.observation)
        actions, memory = policy.predict(
            seen,
            state=memory,
            episode_start=np.full(clinic.num_envs, clinic.time == 0),
            deterministic=deterministic,
        )
        clinic.step(actions)
        clinic.record(recording.state[t], recording.patients[t])
    return memory
