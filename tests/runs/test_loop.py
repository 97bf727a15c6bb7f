"""The one training loop: who is acted on at which moment, who ends, who is left out."""

from collections.abc import Iterator
from typing import Any, cast

from abx_amr.agents.prescriber import Agent, Trainer
from abx_amr.errors import InputError
from abx_amr.runs.loop import Callback, Counters, Moment, Trainee, learn


class CountingTrainer(Trainer):
    """Ten transitions an update; keeps what it was told."""

    def __init__(self, failing: dict[Agent, int] | None = None) -> None:
        self.failing = failing or {}
        self.seen = 0
        self.published: list[int] = []
        self.left: list[Agent] = []

    def rollouts(self, transitions: int) -> Iterator[int]:
        while self.seen < transitions:
            self.seen += 10
            yield self.seen

    def publish(self) -> None:
        self.published.append(self.seen)

    def leave(self, agent: Agent) -> None:
        self.left.append(agent)

    def failure(self, agent: Agent) -> InputError | None:
        return InputError("diverged") if self.seen >= self.failing.get(agent, 10**9) else None


class Every(Callback):
    """Acts at some counts, may stop a seed there, and keeps what happened."""

    def __init__(self, *counts: int, stops: int | None = None) -> None:
        self.counts, self.stops = counts, stops
        self.acted: list[tuple[int, int]] = []
        self.updates: list[int] = []
        self.ended: list[int] = []

    def is_due(self, moment: Moment) -> bool:
        return moment.transitions in self.counts

    def act(self, trainee: Trainee, moment: Moment) -> None:
        self.acted.append((trainee.seed, moment.transitions))
        trainee.evaluation = cast(Any, "what it did")
        trainee.is_stopped = trainee.seed == self.stops

    def after_update(self, moment: Moment) -> None:
        self.updates.append(moment.transitions)

    def at_end(self, trainee: Trainee) -> None:
        self.ended.append(trainee.seed)


def trainees(*seeds: int) -> list[Trainee]:
    return [Trainee(cast(Agent, f"agent {seed}"), seed) for seed in seeds]


def test_agents_are_published_where_a_callback_is_due_and_at_the_end_alone() -> None:
    trainer, callback = CountingTrainer(), Every(20)
    learn(trainer, trainees(1, 2), planned=40, callbacks=[callback])
    assert trainer.published == [20, 40]
    assert callback.acted == [(1, 20), (2, 20)]
    assert callback.updates == [10, 20, 30, 40]
    assert callback.ended == [1, 2]
    assert trainer.left == []


def test_a_stopped_agent_leaves_and_the_others_go_on() -> None:
    trainer, callback = CountingTrainer(), Every(20, 30, stops=1)
    both = trainees(1, 2)
    learn(trainer, both, planned=40, callbacks=[callback])
    assert callback.acted == [(1, 20), (2, 20), (2, 30)]
    assert callback.ended == [1, 2]
    assert trainer.left == [both[0].agent]


def test_where_all_are_stopped_nothing_more_is_learned() -> None:
    trainer, callback = CountingTrainer(), Every(20, stops=1)
    learn(trainer, trainees(1), planned=1000, callbacks=[callback])
    assert trainer.seen == 20


def test_an_agent_that_cannot_go_on_is_left_out_without_an_evaluation() -> None:
    both = trainees(1, 2)
    trainer, callback = CountingTrainer({both[0].agent: 30}), Every(20, 30, 40)
    learn(trainer, both, planned=40, callbacks=[callback])
    assert callback.acted == [(1, 20), (2, 20), (2, 30), (2, 40)]
    assert callback.ended == [2]
    assert both[0].evaluation is None
    assert both[1].evaluation is not None


def test_counters_survive_a_checkpoint() -> None:
    counters = Counters(evaluations=3, saves=2, best_return=-1.5, without_improvement=4)
    assert Counters.from_array(counters.to_array()) == counters
    assert Counters.from_array(Counters().to_array()) == Counters()
