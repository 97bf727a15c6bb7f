"""How an on-policy agent is trained beyond what its library's constructor takes.

They stand beside the library's hyper-parameters in conf/agent_algorithm/ and are searched like
them. All are off unless they are given.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Annotated, Any

from abx_amr.agents.schedules import ComplementSchedule, LinearSchedule
from abx_amr.checks import Count, NotNegative, Range, Share, check_fields
from abx_amr.errors import InputError

if TYPE_CHECKING:
    from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm

_Discount = Annotated[float, Range(low=0.0, high=1.0, open_low=True, open_high=True)]


@dataclass(frozen=True, kw_only=True)
class Techniques:
    """The keys of conf/agent_algorithm/ppo.yaml that are not the library's.

    Attributes:
        normalize_reward: Whether rewards are divided by the running deviation of discounted
            returns, as SB3's VecNormalize does; observations stay as they are.
        exploring_starts: Share of the starts in training at which an antibiotic's AMR is as after
            a course of doses, each antibiotic by itself; evaluations start as the clinic says.
        exploring_doses: Longest such course; its length is exploring_doses * u^2, u uniform.
        final_gamma: gamma at the end of training, towards which 1 - gamma goes by the same factor
            in every equal share of it; None: gamma stays.
        final_ent_coef: ent_coef at the end of training, reached in a straight line; None: it stays.
        final_learning_rate: learning_rate at the end of training, likewise.
        clip_gradients_separately: Whether max_grad_norm is for the policy's gradient and for the
            value function's each, and not for both together.
        normalize_value_targets: Whether the value function learns targets of mean 0 and deviation
            1 (PopArt, arXiv 1602.07714).
        staggered_starts: Whether each environment begins at another step of its first episode.
        sees_log_levels: Whether each reported AMR level is followed by log(level + 1e-3).
        patients_share_network: Whether one network prescribes for each patient, from what is seen
            of the patient, the place in the cohort and the clinic, and not one for the cohort.
    """

    normalize_reward: bool = False
    exploring_starts: Share = 0.0
    exploring_doses: Count = 60
    final_gamma: _Discount | None = None
    final_ent_coef: NotNegative | None = None
    final_learning_rate: NotNegative | None = None
    clip_gradients_separately: bool = False
    normalize_value_targets: bool = False
    staggered_starts: bool = False
    sees_log_levels: bool = False
    patients_share_network: bool = False

    def __post_init__(self) -> None:
        check_fields(self, key="agent_algorithm")

    @property
    def of_the_seed_batched_trainer(self) -> list[str]:
        """The names of those asked for that the library's own trainer does not have."""
        names = ("clip_gradients_separately", "normalize_value_targets")
        return [name for name in names if getattr(self, name)]

    def apply(self, agent: OnPolicyAlgorithm, remaining: float) -> None:
        """Give an agent the discount and the entropy coefficient of the present share of training.

        Args:
            agent: Built by `begin`.
            remaining: Share of training that is left, 1 to 0.
        """
        first: Mapping[str, float] = agent.before_schedules  # type: ignore[attr-defined]
        if self.final_gamma is not None:
            schedule = ComplementSchedule(initial=first["gamma"], final=self.final_gamma)
            agent.gamma = agent.rollout_buffer.gamma = schedule(remaining)
        if self.final_ent_coef is not None:
            line = LinearSchedule(initial=first["ent_coef"], final=self.final_ent_coef)
            agent.ent_coef = line(remaining)

    def arguments(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return the arguments of the library's constructor with the learning rate as scheduled.

        Raises:
            InputError: the learning rate is a schedule already.
        """
        arguments = dict(given)
        if self.final_learning_rate is None:
            return arguments
        first: Any = arguments.get("learning_rate")
        if callable(first):
            raise InputError(
                "agent_algorithm.final_learning_rate goes with a learning_rate that is a number: "
                "set it to null where learning_rate is a schedule"
            )
        arguments["learning_rate"] = LinearSchedule(initial=first, final=self.final_learning_rate)
        return arguments

    def first_values(self, agent: OnPolicyAlgorithm) -> dict[str, float]:
        """Return what is scheduled here with the value at which it starts in this agent."""
        found: dict[str, float] = {}
        first: Mapping[str, float] = getattr(agent, "before_schedules", {})
        if self.final_gamma is not None:
            found["gamma"] = first["gamma"]
        if self.final_ent_coef is not None:
            found["ent_coef"] = first["ent_coef"]
        if self.final_learning_rate is not None:
            found["learning_rate"] = float(agent.lr_schedule(1.0))
        return found

    def begin(self, agent: OnPolicyAlgorithm, arguments: Mapping[str, Any]) -> None:
        """Let a built or restored agent be trained so.

        Args:
            agent: Of the library, made with
            arguments: of its constructor, where schedules begin.
        """
        told: Any = agent
        told.techniques = self
        told.before_schedules = {
            "gamma": float(arguments.get("gamma", agent.gamma)),
            "ent_coef": float(arguments.get("ent_coef", agent.ent_coef)),
        }


NAMES = tuple(field.name for field in fields(Techniques))


def techniques_of(agent: OnPolicyAlgorithm) -> Techniques:
    """Return how an agent is trained; one that was built by its library alone has none."""
    found: Techniques | None = getattr(agent, "techniques", None)
    return found or Techniques()


def apply_schedules(agent: OnPolicyAlgorithm, planned: int) -> None:
    """Give an agent the values of its schedules before it collects its next rollout.

    Args:
        agent: Has seen `agent.num_timesteps` transitions
        planned: of so many.
    """
    remaining = max(0.0, 1.0 - agent.num_timesteps / planned)
    if hasattr(agent, "techniques"):
        techniques_of(agent).apply(agent, remaining)
