"""Whether a learned policy has collapsed: it does one thing whatever it sees, or stopped exploring.

Judged on states that occur: by what it prescribes in its evaluation episodes.

Shapes: T steps, N episodes, K antibiotics, L ranges of the AMR level.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from abx_amr.errors import counted

if TYPE_CHECKING:
    from abx_amr.evaluation.episodes import Evaluation

Ints = NDArray[np.int64]

KINDS = (
    *("never_treats", "constant_action", "constant_antibiotic", "always_treats"),
    "entropy_vanished",
)
#: A policy is constant when it does one thing in so large a share of cases.
CONSTANT = 0.99
#: Entropy has vanished below this share of a uniform choice's, and early before this of training.
VANISHED, EARLY = 0.02, 0.5
#: Ends of the ranges of the visible AMR level in which actions are counted.
LEVELS = (0.0, 0.1, 0.3, 1.0)


@dataclass(frozen=True, kw_only=True)
class Collapse:
    """What a policy has come to.

    Attributes:
        kind: One of KINDS.
        evidence: One line, with figures.
        advice: One line: what has helped, as overrides to paste.
    """

    kind: str
    evidence: str
    advice: str

    def as_record(self) -> dict[str, Any]:
        """Return it as what a summary holds."""
        return asdict(self)


def kind_of_treatments(treatments: Ints) -> str | None:
    """Return how the counts of treatments (K + 1,), none last, have collapsed; None: not at all.

    >>> kind_of_treatments(np.array([40, 60, 900]))
    >>> kind_of_treatments(np.array([0, 2, 998]))
    'never_treats'
    >>> kind_of_treatments(np.array([300, 1, 700]))
    'constant_antibiotic'
    >>> kind_of_treatments(np.array([1000, 0, 0]))
    'constant_action'
    >>> kind_of_treatments(np.array([700, 300, 0]))
    'always_treats'
    """
    total, treated = int(treatments.sum()), int(treatments[:-1].sum())
    if treatments[-1] >= CONSTANT * total:
        return "never_treats"
    if treatments.max() >= CONSTANT * total:
        return "constant_action"
    if len(treatments) > 2 and treatments[:-1].max() >= CONSTANT * treated:
        return "constant_antibiotic"
    if treated >= CONSTANT * total:
        return "always_treats"
    return None


def kind_of_collapse(
    treatments: Ints, *, entropy_fell_at: int | None, planned: int, explores: bool
) -> str | None:
    """Return a policy's kind of collapse: by its treatments (K + 1,), else by its entropy.

    Args:
        treatments: How many patients of its evaluation got each antibiotic, and none.
        entropy_fell_at: Transitions after which its entropy stayed below VANISHED, if it did.
        planned: Transitions of its training.
        explores: Whether it chooses at random while it learns; else entropy says nothing.
    """
    found = kind_of_treatments(treatments)
    if found is None and explores and is_early(entropy_fell_at, planned):
        return "entropy_vanished"
    return found


def is_early(entropy_fell_at: int | None, planned: int) -> bool:
    """Return whether the entropy vanished before EARLY of training."""
    return entropy_fell_at is not None and entropy_fell_at < EARLY * planned


def collapse_of(
    evaluation: Evaluation,
    *,
    entropy_fell_at: int | None,
    planned: int,
    explores: bool,
    configured: Mapping[str, Any] | None = None,
) -> Collapse | None:
    """Return what a learned policy has collapsed to, with its evidence; None where it has not.

    Args:
        evaluation: Its last, with its steps.
        entropy_fell_at: See `kind_of_collapse`.
        planned: Transitions of its training.
        explores: Whether it chooses at random while it learns.
        configured: Its configuration: what it has already is not advised.
    """
    by_level = treatments_by_level(evaluation)
    treatments = by_level.sum(axis=0)
    kind = kind_of_collapse(
        treatments, entropy_fell_at=entropy_fell_at, planned=planned, explores=explores
    )
    if kind is None:
        return None
    if kind == "entropy_vanished":
        share = 100.0 * (entropy_fell_at or 0) / planned
        evidence = (
            f"the entropy of its choices fell below {100 * VANISHED:g} % of a uniform choice's "
            f"after {share:.0f} % of training and stayed there"
        )
    else:
        evidence = _evidence(kind, by_level, evaluation.antibiotics)
    said = advice(kind, explores=explores, configured=configured)
    return Collapse(kind=kind, evidence=evidence, advice=said)


def treatments_by_level(evaluation: Evaluation) -> Ints:
    """Return how many patients got each antibiotic, and none, by the level seen, (L, K + 1).

    The level is the highest visible one of the antibiotics after the step before; first steps are
    left out, unless an episode has no other.
    """
    assert evaluation.per_step is not None
    given = evaluation.per_step["prescriptions"]
    treated = sum(
        evaluation.per_step[name]
        for name in (
            "treated_infected_sensitive",
            "treated_infected_resistant",
            "treated_not_infected",
        )
    )
    untreated = (
        evaluation.per_step["untreated_infected"] + evaluation.per_step["untreated_not_infected"]
    )
    assert np.array_equal(given.sum(axis=2), treated)
    cases = np.concatenate([given, untreated[:, :, None]], axis=2)
    seen = evaluation.per_step["visible_amr"].max(axis=2)
    if len(seen) > 1:
        cases, seen = cases[1:], seen[:-1]
    ranges = np.clip(np.digitize(seen, LEVELS[1:-1]), 0, len(LEVELS) - 2)
    return np.stack(
        [cases[ranges == at].sum(axis=0, dtype=np.int64) for at in range(len(LEVELS) - 1)]
    )


def _evidence(kind: str, by_level: Ints, antibiotics: Sequence[str]) -> str:
    treatments = by_level.sum(axis=0)
    total = int(treatments.sum())
    often = int(treatments[:-1].argmax())
    if kind == "never_treats":
        what, column, cases = "treats nobody", len(antibiotics), by_level.sum(axis=1)
    elif kind == "always_treats":
        by_level = np.stack([by_level[:, :-1].sum(axis=1), by_level.sum(axis=1)], axis=1)
        what, column, cases = "treats everybody", 0, by_level[:, 1]
    elif kind == "constant_action":
        what, column, cases = f"gives everybody {antibiotics[often]}", often, by_level.sum(axis=1)
    else:
        what, column = f"gives no antibiotic but {antibiotics[often]}", often
        cases = by_level[:, :-1].sum(axis=1)
    shares = [
        f"{100 * by_level[at, column] / cases[at]:.1f} % at a visible AMR of {low:g} to {high:g}"
        for at, (low, high) in enumerate(pairwise(LEVELS))
        if cases[at] > 0
    ]
    return f"it {what} of {counted(total, 'patient')} in its evaluation: {', '.join(shares)}"


#: What has helped a learner that explores: configuration path -> value.
_HELPS = {
    "agent_algorithm.gamma": 0.996,
    "agent_algorithm.gae_lambda": 0.9,
    "agent_algorithm.ent_coef": 0.03,
    "agent_algorithm.final_ent_coef": 0.01,
    "agent_algorithm.normalize_reward": True,
    "agent_algorithm.exploring_starts": 0.7,
}
_KEEPS_EXPLORING = ("agent_algorithm.ent_coef", "agent_algorithm.final_ent_coef")
_LONG = 1000  # episodes, with which the shipped setting of PPO is measured


def advice(kind: str, *, explores: bool, configured: Mapping[str, Any] | None = None) -> str:
    """Return what has helped against a kind of collapse, as overrides to paste.

    Args:
        kind: One of KINDS.
        explores: Whether the learner chooses at random while it learns.
        configured: The configuration: what it has already is left out.

    >>> advice("never_treats", explores=True, configured={"agent_algorithm": {
    ...     "gamma": 0.996, "gae_lambda": 0.9, "ent_coef": 0.03, "final_ent_coef": 0.01,
    ...     "normalize_reward": True, "exploring_starts": 0.7}})
    'a longer training: training.total_num_training_episodes=1000; or agent_algorithm=policy_search'
    """
    if not explores:
        return "another start: training.seed=7, or a longer training"
    has = dict((configured or {}).get("agent_algorithm") or {})
    episodes = (configured or {}).get("training", {}).get("total_num_training_episodes", 0)
    wanted = {
        path: value
        for path, value in _HELPS.items()
        if (kind != "entropy_vanished" or path in _KEEPS_EXPLORING)
        and has.get(path.rpartition(".")[2]) != value
    }
    said = " ".join(f"{path}={str(value).lower()}" for path, value in wanted.items())
    if kind == "entropy_vanished" and said:
        return f"keep it exploring: {said}"
    longer = "" if episodes >= _LONG else f"training.total_num_training_episodes={_LONG}"
    ways = []
    if said:
        more = f" {longer}" if longer else ""
        ways.append(f"a shorter horizon, from all levels, and a longer training: {said}{more}")
    elif longer:
        ways.append(f"a longer training: {longer}")
    return "; or ".join([*ways, "agent_algorithm=policy_search"])
