"""What every learner must hold: trained, resumed to the bit, evaluated, tuned, read back.

A new learner is one line in MEMBERS.
"""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from abx_amr.agents.prescriber import Learner
from abx_amr.agents.read_back import effective_values, find_read_back
from abx_amr.agents.settings import TrainingSettings
from abx_amr.configuration.agent import build_learner, learns
from abx_amr.configuration.clinic import build_clinic
from abx_amr.configuration.composing import compose
from abx_amr.configuration.training import build_training
from abx_amr.configuration.values import with_values
from abx_amr.errors import InputError
from abx_amr.evaluation.episodes import evaluate
from abx_amr.runs.checkpoints import trained_policy
from abx_amr.runs.folder import RunFolder
from abx_amr.runs.run import Run
from abx_amr.runs.training import execute, resume, run_seeds
from abx_amr.simulator.model import ClinicModel
from abx_amr.tuning.saving import Saving
from abx_amr.tuning.scoring import SeedScore, train_and_score

SMALL = (
    "environment.max_time_steps=20",
    "training.n_envs=4",
    "training.num_eval_episodes=4",
    "training.total_num_training_episodes=24",
    "training.eval_freq_every_n_episodes=6",
    "training.save_freq_every_n_episodes=8",
)
NETWORK = ("agent_algorithm.n_steps=40", "agent_algorithm.policy_kwargs.net_arch=[8]")
MANAGER = ("agent_algorithm.n_steps=8", "agent_algorithm.policy_kwargs.net_arch=[8]")
QUICK = (
    "environment.num_patients_per_time_step=2",
    "agent_algorithm.learning_starts=40",
    "agent_algorithm.buffer_size=160",
    "agent_algorithm.batch_size=16",
    "agent_algorithm.target_update_interval=40",
    "agent_algorithm.policy_kwargs.net_arch=[8]",
)
#: Name -> what is said on the command line, and a searched value with two of its points.
MEMBERS: dict[str, tuple[tuple[str, ...], tuple[str, Any, Any]]] = {
    "ppo": (NETWORK, ("learning_rate", 1e-3, 1e-2)),
    "ppo, alone": (
        ("agent_algorithm=ppo", "training.seed_batched=false", *NETWORK),
        ("gamma", 0.9, 0.99),
    ),
    "ppo, normalised": (
        ("agent_algorithm=ppo", "training.vec_normalize.enabled=true", *NETWORK),
        ("clip_range", 0.1, 0.3),
    ),
    "ppo, for a cohort": (
        (
            "agent_algorithm=ppo",
            "agent_algorithm.patients_share_network=true",
            "agent_algorithm.normalize_value_targets=true",
            "agent_algorithm.staggered_starts=true",
            *NETWORK,
        ),
        ("sees_log_levels", True, False),
    ),
    "a2c": (("agent_algorithm=a2c", *NETWORK), ("ent_coef", 0.0, 0.1)),
    "recurrent_ppo": (("agent_algorithm=recurrent_ppo", *NETWORK), ("gae_lambda", 0.9, 1.0)),
    "hrl_ppo": (("agent_algorithm=hrl_ppo", *MANAGER), ("vf_coef", 0.1, 0.9)),
    "hrl_rppo": (("agent_algorithm=hrl_rppo", *MANAGER), ("n_epochs", 1, 2)),
    "policy_search": (
        (
            "agent_algorithm=policy_search",
            "agent_algorithm.population=4",
            "agent_algorithm.episodes_per_candidate=1",
        ),
        ("initial_step_size", 0.1, 0.9),
    ),
    "dqn": (("agent_algorithm=dqn", *QUICK), ("buffer_size", 200, 400)),
    "qr_dqn": (("agent_algorithm=qr_dqn", "agent_algorithm.n_steps=3", *QUICK), ("tau", 0.1, 0.9)),
    "hill_climbing": ((), ("step_size", 0.1, 0.9)),
}
ITSELF = {  # a learner that no file in conf/ names
    "hill_climbing": {
        "_target_": "tests.agents.hill_climbing.HillClimbing",
        "step_size": 0.5,
    }
}


@pytest.fixture(params=MEMBERS)
def member(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@cache
def composed(member: str) -> dict[str, Any]:
    return compose("train", [*SMALL, *MEMBERS[member][0]]).plain


def configuration(member: str) -> dict[str, Any]:
    plain = deepcopy(composed(member))
    if member in ITSELF:
        plain["agent_algorithm"] = deepcopy(ITSELF[member])
    return plain


Finished = tuple[Run, RunFolder]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Finished]:
    """Return the finished run of a member and a seed, and its plan; it is only read."""

    @cache
    def run(member: str, seed: int = 7) -> Finished:
        plan = planned(configuration(member), tmp_path_factory.mktemp("finished"), seed=seed)
        return plan, execute(plan)

    return run


def parts(config: dict[str, Any]) -> tuple[Learner, ClinicModel, TrainingSettings]:
    return build_learner(config), build_clinic(config), build_training(config)


def planned(config: dict[str, Any], folder: Path, *, seed: int = 7) -> Run:
    learner, model, settings = parts(with_values(config, {"training.seed": seed}))
    return Run(
        run_name=f"seed_{seed}",
        results_dir=str(folder),
        model=model,
        prescriber=learner,
        settings=settings,
        config=config,
        figures=False,
    )


def interrupted(plan: Run, *, at: int, source: RunFolder | None = None) -> RunFolder:
    """Return the folder of a run, or of one that goes on, interrupted after so many transitions."""

    def stop(seen: int, total: int) -> None:
        if seen >= at:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        if source is None:
            execute(plan, on_progress=stop)
        else:
            resume(plan, source, on_progress=stop)
    return plan.opened[-1]


def kept(folder: RunFolder) -> dict[str, np.ndarray]:
    return dict(folder.read_checkpoint("last").state)


def test_its_configuration_says_that_it_learns(member: str) -> None:
    assert learns(configuration(member))


def test_it_learns_what_was_planned_and_is_evaluated(
    member: str, finished: Callable[..., Finished]
) -> None:
    plan, folder = finished(member)
    table = folder.read_evaluations()
    summary = folder.read_summary()
    assert summary["transitions"] >= plan.planned_transitions
    assert summary["updates"] > 0
    assert len(table) >= 3 * 4
    assert table["transitions"].max() == summary["transitions"]
    last = table[table["transitions"] == summary["transitions"]]
    assert summary["mean_return"] == pytest.approx(last["episode_return"].mean())
    assert folder.has_checkpoint("best")


def test_interrupted_and_resumed_is_uninterrupted_to_the_bit(
    member: str, tmp_path: Path, finished: Callable[..., Finished]
) -> None:
    config = configuration(member)
    _, whole = finished(member)
    source = interrupted(planned(config, tmp_path / "part"), at=240)
    assert 0 < int(kept(source)["transitions"]) < int(kept(whole)["transitions"])
    resumed = resume(planned(config, tmp_path / "resumed"), source)
    assert resumed.evaluations_file.read_bytes() == whole.evaluations_file.read_bytes()
    expected, found = kept(whole), kept(resumed)
    assert expected.keys() == found.keys()
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value, err_msg=name)


def test_interrupted_again_and_again_is_uninterrupted_to_the_bit(tmp_path: Path) -> None:
    config = with_values(configuration("ppo"), {"training.save_freq_every_n_episodes": 4})
    whole = execute(planned(config, tmp_path / "whole"))
    source = None
    for at in (80, 160, 240, 320):
        source = interrupted(planned(config, tmp_path / f"until_{at}"), at=at, source=source)
        assert kept(source)["transitions"] == at
    assert source is not None
    resumed = resume(planned(config, tmp_path / "resumed"), source)
    assert resumed.evaluations_file.read_bytes() == whole.evaluations_file.read_bytes()
    expected, found = kept(whole), kept(resumed)
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value, err_msg=name)


def test_what_has_learned_all_is_not_resumed(
    member: str, tmp_path: Path, finished: Callable[..., Finished]
) -> None:
    _, done = finished(member)
    with pytest.raises(InputError, match="additional_episodes"):
        resume(planned(configuration(member), tmp_path / "again"), done)


def test_its_checkpoint_plays_what_was_evaluated(
    member: str, finished: Callable[..., Finished]
) -> None:
    plan, folder = finished(member)
    assert isinstance(plan.prescriber, Learner)
    policy = trained_policy(folder, plan.prescriber, plan.model, checkpoint="last")
    again = evaluate(policy, plan.model, episodes=4, seed=plan.settings.evaluation_seed)
    assert again.mean_return == folder.read_summary()["mean_return"]


@pytest.fixture(scope="module")
def single_clinic() -> ClinicModel:
    return build_clinic(compose("train", ["experiment=paper_single"]).plain)


def test_its_agent_is_refused_in_a_clinic_of_other_antibiotics(
    member: str, finished: Callable[..., Finished], single_clinic: ClinicModel
) -> None:
    plan, folder = finished(member)
    other = single_clinic
    assert len(other.antibiotics) != len(plan.model.antibiotics)
    assert isinstance(plan.prescriber, Learner)
    with pytest.raises(InputError, match=r"clinic|antibiotic"):
        trained_policy(folder, plan.prescriber, other)


def test_a_seed_learns_the_same_beside_others(
    member: str, tmp_path: Path, finished: Callable[..., Finished]
) -> None:
    config = configuration(member)
    together = run_seeds([planned(config, tmp_path, seed=s) for s in (7, 8)])
    _, alone = finished(member, 8)
    assert together[1].evaluations_file.read_bytes() == alone.evaluations_file.read_bytes()
    assert together[0].evaluations_file.read_bytes() != alone.evaluations_file.read_bytes()


def test_a_trials_seed_scores_what_its_run_evaluates_to(
    member: str, finished: Callable[..., Finished]
) -> None:
    learner, model, settings = parts(configuration(member))
    scores = train_and_score(learner, model, settings, seeds=[7, 8], searched={})
    summary = finished(member, 8)[1].read_summary()
    score = scores[8]
    assert isinstance(score, SeedScore), score
    assert score.episode_return == pytest.approx(summary["mean_return"], rel=1e-12)
    assert score.transitions == summary["transitions"]


def test_a_trials_seed_goes_on_from_its_checkpoint_to_the_bit(member: str, tmp_path: Path) -> None:
    learner, model, settings = parts(configuration(member))
    saving = Saving(folder=tmp_path, interval=1e-9, identities={7: "this study"})

    class KilledError(BaseException):
        """What no code catches, like a kill."""

    def kill(seen: int, total: int) -> None:
        if seen >= 240:
            raise KilledError

    whole = train_and_score(learner, model, settings, seeds=[7], searched={})[7]
    with pytest.raises(KilledError):
        train_and_score(
            learner, model, settings, seeds=[7], searched={}, on_progress=kill, saving=saving
        )
    begun = saving.begun(learner, model, settings_of(settings, 7))
    assert begun is not None
    assert begun[0].transitions > 0
    resumed = train_and_score(learner, model, settings, seeds=[7], searched={}, saving=saving)[7]
    assert isinstance(whole, SeedScore)
    assert isinstance(resumed, SeedScore)
    assert resumed.returns == whole.returns


def test_a_short_training_that_goes_on_is_a_whole_one_to_the_bit(
    member: str, tmp_path: Path
) -> None:
    """Schedules run to the end of what is planned from the start."""
    learner, model, settings = parts(configuration(member))
    saving = Saving(folder=tmp_path, interval=1e9, identities=dict.fromkeys([7, 8], "this study"))

    def scored(seeds: list[int], episodes: int | None, saved: Saving | None) -> Any:
        return train_and_score(
            learner, model, settings, seeds=seeds, searched={}, saving=saved, episodes=episodes
        )

    whole = scored([7, 8], None, None)
    short = scored([7, 8], 6, saving)
    alone = scored([8], 6, None)
    assert 6 * 20 <= short[8].transitions < whole[8].transitions
    assert (short[8].transitions, short[8].returns) == (alone[8].transitions, alone[8].returns)
    gone_on = scored([7, 8], None, saving)
    for seed in (7, 8):
        assert (gone_on[seed].returns, gone_on[seed].curve) == (
            whole[seed].returns,
            whole[seed].curve,
        )
        assert gone_on[seed].transitions == whole[seed].transitions


def settings_of(settings: TrainingSettings, seed: int) -> TrainingSettings:
    return replace(settings, seed=seed)


def test_a_searched_value_is_read_back_from_the_built_agent(member: str) -> None:
    config = configuration(member)
    name, first, second = MEMBERS[member][1]
    path = f"agent_algorithm.{name}"

    def build(values: Any) -> Any:
        learner, model, settings = parts(with_values(config, values))
        return learner.build(model, settings)

    names = find_read_back(build, {path: [first, second]})
    assert effective_values(build({path: second}), names) == {path: second}


def test_an_unknown_argument_is_refused_by_its_name(member: str) -> None:
    config = configuration(member)
    config["agent_algorithm"]["patience_of_a_saint"] = 1
    with pytest.raises(InputError, match=r"agent_algorithm\.patience_of_a_saint"):
        build_learner(config)
