"""What a user sees of a mistake: cause and cure in one line, status 2, nothing left behind."""

import errno
import importlib.util
import os
import shutil
import socket
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from abx_amr.cli import evaluate, gather, init, plan, postgres, study, train, tune
from tests import services
from tests.cli.conftest import SMALL, SMALL_STUDY, Call, Ended
from tests.services import Database

COMMANDS = {
    "abx-train": train.main,
    "abx-tune": tune.main,
    "abx-evaluate": evaluate.main,
    "abx-plan": plan.main,
    "abx-study": study.main,
    "abx-gather": gather.main,
    "abx-init": init.main,
    "abx-postgres": postgres.main,
}
TUNE = "abx-tune -m +tuning=ppo_default"
#: The study in `site`, asked for again.
AGAIN = ("abx-tune", *SMALL_STUDY, "run_name=done", "tuning.n_trials=3")
TINY = "mine/environment/tiny.yaml"
MINE = "mine/experiment/mine.yaml"
NOBODY = {"PG_HOST": "127.0.0.1", "PG_PORT": "1"}


@dataclass(frozen=True)
class Mistake:
    """What is typed, what the line must say of it, and what lies in the folder."""

    title: str
    typed: str | tuple[str, ...]
    says: tuple[str, ...]
    files: Mapping[str, str | bytes] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    damage: Callable[[Path], None] | None = None  #: done to a finished run `first`, study `done`
    at_site: bool = False  #: whether there is a finished run `first` and a finished study `done`

    @property
    def arguments(self) -> tuple[str, ...]:
        return tuple(self.typed.split()) if isinstance(self.typed, str) else self.typed


def a(title: str, typed: str | tuple[str, ...], *says: str, **more: object) -> Mistake:
    return Mistake(title, typed, says, **more)  # type: ignore[arg-type]


def truncate(pattern: str) -> Callable[[Path], None]:
    def damage(site: Path) -> None:
        (file,) = site.glob(pattern)
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])

    return damage


def overwrite(pattern: str, text: str) -> Callable[[Path], None]:
    def damage(site: Path) -> None:
        (file,) = site.glob(pattern)
        file.write_text(text)

    return damage


def own(base: str, method: str, does: str) -> str:
    """Return a module with a class Own that overrides a method in its lines 7 and 8."""
    return (
        "import numpy as np\n\n"
        "from abx_amr.hierarchy.options import Option\n"
        "from abx_amr.simulator import Patients\n"
        f"from abx_amr.{base.rpartition('.')[0]} import {base.rpartition('.')[2]} as Base\n"
        f"class Own(Base):\n    def {method}:\n        {does}\n"
    )


def own_population(does: str) -> str:
    return own("simulator.patients.PatientPopulation", "sample(self, draws, num_patients)", does)


def own_reward(does: str) -> str:
    return own("simulator.rewards.ClinicalReward", "score(self, cohort)", does)


def own_option(does: str) -> str:
    return own("hierarchy.options.Option", "decide(self, seen)", does)


#: A cohort of the right shapes, of two values.
COHORT = "return Patients(attributes=np.full({0}, {1}), observed=np.ones({0}), group=np.zeros({0}[:2], dtype=int))"
BRIEF = "environment.max_time_steps=16 training.num_eval_episodes=2 figures=false"
FEW = " ".join((*SMALL, "training.total_num_training_episodes=1"))
STUDY = f"abx-tune {' '.join(SMALL_STUDY)} tuning.n_trials=1"
WHOLE = "(draws.num_envs, num_patients, 6)"
MANAGER = "agent_algorithm=hrl_ppo option_library=own"


def own_library(module: str) -> dict[str, str]:
    """Return files of a project whose option library holds the class Own of a module."""
    return {
        "abx-project.yaml": "",
        "conf/option_library/own.yaml": "# Own.\noptions:\n"
        f"  mine: {{type: custom, _target_: {module}.Own, duration: 3}}\n",
    }


MISTAKES = [
    # --- misspelt ---
    a("a misspelt section", "abx-train trainng.seed=3", "'trainng'", "did you mean 'training'"),
    a("a misspelt key", "abx-train training.sed=3", "training.sed", "did you mean 'seed'"),
    a("a key without its section", "abx-train learning_rate=1e-4", "'agent_algorithm.learning_rate'"),
    a("a seed without its section", "abx-train seed=3", "did you mean 'training.seed'"),
    a("a number of trials without its section", f"{TUNE} n_trials=3", "'tuning.n_trials'"),
    a("another library's name", "abx-train agent_algorithm.lr=0.1", "did you mean 'learning_rate'"),
    a("a misspelt choice", "abx-train patient_generator=hihg_risk", "hihg_risk", "'high_risk'"),
    a("a choice in capitals", "abx-train agent_algorithm=PPO", "'PPO'", "did you mean 'ppo'"),
    a("a misspelt group", "abx-train patient_generators=paper", "did you mean 'patient_generator'"),
    a("half of a group's name", "abx-train agent=ppo", "did you mean 'agent_algorithm'"),
    a("half of a tuning choice", "abx-tune -m +tuning=ppo", "'ppo'", "ppo_default"),
    a("a misspelt group that is added", "abx-tune -m +tunning=ppo_default", "did you mean 'tuning'"),
    a("an unknown storage", f"{TUNE} storage=postgress", "'postgress'", "'postgres'"),
    a("an unknown sampler", f"{TUNE} tuning.sampler=TPI", "'TPI'", "did you mean 'tpe'"),
    a("an unknown option of a sampler", f"{TUNE} +tuning.sampler_options.n_startup=3",
      "n_startup", "did you mean 'n_startup_trials'"),
    a("a sampler's option in braces", f"{TUNE} tuning.sampler_options={{n_startup_trials:3}}",
      "add it with +tuning.sampler_options.n_startup_trials=VALUE"),
    a("a setting of another agent", "abx-train agent_algorithm=greedy agent_algorithm.gamma=0.9",
      "agent_algorithm.gamma does not exist", "takes no settings"),
    a("a setting beside an agent that lacks it",
      f"{TUNE} agent_algorithm=greedy agent_algorithm.n_steps=16", "agent_algorithm.n_steps"),
    a("a misspelt class", "abx-train amr_dynamics._target_=abx_amr.simulator.dynamics.LeakyBaloon",
      "LeakyBaloon", "cannot be imported"),
    # --- wrong type ---
    a("a word for a number", "abx-train training.seed=abc", "'abc'", "whole number"),
    a("a number in quotes", ("abx-train", "training.seed=\"'7'\""), "without quotes"),
    a("a fraction for a whole number", "abx-train environment.num_patients_per_time_step=2.5",
      "2.5", "whole number of at least 1"),
    a("a word for yes", "abx-train skip_if_exists=yes", "'yes'", "true or false"),
    a("a number for a list", "abx-train training.seeds=3", "such as [1,2,3]"),
    a("one number for a list of discounts", "abx-plan plan.gammas=0.9", "plan.gammas", "[0.9]"),
    a("a value for a section", "abx-train training.early_stopping=true", "section", "True"),
    a("a layer's size alone", "abx-train agent_algorithm.policy_kwargs.net_arch=64", "[64,64]"),
    a("two networks in one key", "abx-train agent_algorithm.policy_kwargs.net_arch={pi:[4]}",
      "net_arch", "value_net_arch=[...]"),
    a("an empty layer", "abx-train agent_algorithm.policy_kwargs.net_arch=[0]", "[64,64]", "[0]"),
    a("null where a number is needed", "abx-train agent_algorithm.gamma=null", "(0, 1]", "None"),
    a("a word for the workers", f"{TUNE} tuning.n_workers=two", "'two'", "of at least 1"),
    # --- out of range, wrong unit ---
    a("a discount above one", "abx-train agent_algorithm.gamma=1.2", "(0, 1]", "1.2"),
    a("a percentage for a share", "abx-train agent_algorithm.gae_lambda=95", "95 % is written 0.95"),
    a("a negative leak", "abx-train antibiotics.drugs.A.leak=-0.1", "leak", "(0, 1)", "-0.1"),
    a("a leak in per cent", "abx-train antibiotics.drugs.A.leak=20", "20 % is written 0.2"),
    a("a probability in per cent", "abx-train reward_calculator.clinical_benefit_probability=64",
      "[0, 1]", "64 % is written 0.64"),
    a("a probability above one", "abx-train patient_generator.prob_infected.distribution.value=1.4",
      "prob_infected", "[0, 1]", "1.4"),
    a("a penalty that rewards", "abx-train reward_calculator.clinical_failure_penalty=10", "below 0", "10"),
    a("no seeds", f"{TUNE} tuning.n_seeds_per_trial=0", "n_seeds_per_trial", "at least 1", "0"),
    a("no trials", f"{TUNE} tuning.n_trials=0", "tuning.n_trials", "at least 1"),
    a("no workers", f"{TUNE} tuning.n_workers=0", "tuning.n_workers", "at least 1"),
    a("the size of a final, key by key", f"{TUNE} tuning.final.top=1",
      "'tuning.final={top: 4, seeds: 10}'"),
    a("a time with its unit", f"{TUNE} tuning.timeout=10min", "tuning.timeout", "'10min'", "number"),
    a("a tuning seed in training", "abx-train training.seed=1000", "1000-9999 belong to tuning"),
    a("a training seed in tuning", f"{TUNE} tuning.first_seed=1", "1000..9999", "first_seed 1"),
    a("a rollout that the environments do not divide", "abx-train agent_algorithm.n_steps=100",
      "n_steps", "100", "the nearest is 96"),
    a("an episode without steps", "abx-evaluate agent_algorithm=never evaluation.episodes=0",
      "evaluation.episodes", "at least 1"),
    a("a discount audit at 1.5", "abx-plan plan.gammas=[1.5]", "plan.gammas", "(0, 1)", "1.5"),
    # --- the search space ---
    a("a space upside down", f"{TUNE} tuning.search_space.gamma.low=0.9999", "0.9999", "swap them"),
    a("a log scale from zero", f"{TUNE} tuning.search_space.learning_rate.low=0", "log", "above 0"),
    a("a step of nothing", f"{TUNE} tuning.search_space.n_steps.step=0", "step", "above 0"),
    a("a searched key that does not exist", f"{TUNE} agent_algorithm.gama=interval(0.9,0.99)",
      "agent_algorithm.gama", "did you mean 'agent_algorithm.gamma'"),
    a("a searched key that changes nothing",
      (*TUNE.split(), "agent_algorithm.n_steps=16", "~tuning.search_space.n_steps",
       *(f"~tuning.search_space.{key}" for key in ("learning_rate", "gamma", "gae_lambda")),
       *(f"~tuning.search_space.{key}" for key in ("ent_coef", "clip_range", "n_epochs"))),
      "agent_algorithm.batch_size", "changes nothing", "remove it"),
    a("a searched value that is refused", (*TUNE.split(), "agent_algorithm.gamma=interval(0.9,1.2)"),
      "agent_algorithm.gamma", "1.2", "(0, 1]"),
    a("a clinic that is searched", f"{TUNE} reward_calculator.lambda_weight=0.1,0.5",
      "reward_calculator.lambda_weight", "trials could not be compared"),
    a("a grid without end", f"{TUNE} tuning.sampler=grid", "learning_rate", "a step or choices"),
    a("a manager's key for a flat agent",
      f"{TUNE} +tuning.search_space.option_gamma={{type:float,low:0.9,high:0.99}}",
      "hrl.option_gamma", "+tuning=hrl_ppo_default"),
    a("a rule that is tuned", f"{TUNE} agent_algorithm=greedy", "fixed rule", "agent_algorithm=ppo"),
    # --- files ---
    a("a folder of configurations that is not there", "abx-train --config-dir nowhere", "'nowhere'"),
    a("a flag without its value", "abx-train --config-dir", "--config-dir", "expected one argument"),
    a("broken YAML", "abx-train --config-dir mine environment=tiny", "tiny.yaml", "line 2",
      files={TINY: "max_time_steps: [1\n b: 2"}),
    a("YAML with tabs", "abx-train --config-dir mine environment=tiny", "tiny.yaml line 3",
      "with spaces, not with tabs", files={TINY: "defaults: [default]\nvisible_amr:\n\tbias: 0.1\n"}),
    a("a key twice in YAML", "abx-train --config-dir mine environment=tiny", "max_time_steps",
      "remove one", files={TINY: "max_time_steps: 7\nmax_time_steps: 8\n"}),
    a("a file that is no text", "abx-train --config-dir mine environment=tiny", "UTF-8",
      files={TINY: b"\xff\xfe\x00bad"}),
    a("an empty file", "abx-train --config-dir mine environment=tiny", "defaults: [default]",
      files={TINY: ""}),
    a("a number given as text in a file", "abx-train --config-dir mine environment=tiny",
      "max_time_steps", "'7'", "without quotes",
      files={TINY: 'defaults: [default]\nmax_time_steps: "7"\n'}),
    a("a misspelt key in a file", "abx-train --config-dir mine environment=tiny",
      "did you mean 'max_time_steps'", files={TINY: "defaults: [default]\nmax_time_step: 7\n"}),
    a("a misspelt default in a file", "abx-train --config-dir mine environment=tiny",
      "environment/tiny.yaml", "'defualt'", "did you mean 'default'",
      files={TINY: "defaults: [defualt]\n"}),
    a("a reference to nothing", "abx-train --config-dir mine environment=tiny",
      "environment.max_time_steps", "training.max",
      files={TINY: "defaults: [default]\nmax_time_steps: ${training.max}\n"}),
    a("a folder that is no group", "abx-train --config-dir mine environment=tiny", "'tiny'",
      "available: default", files={"mine/environments/tiny.yaml": "max_time_steps: 7\n"}),
    a("an experiment without its first line", "abx-train --config-dir mine experiment=mine",
      "# @package _global_", files={MINE: "training: {seed: 3}\n"}),
    a("an experiment whose first line is another", "abx-train --config-dir mine experiment=mine",
      "experiment/mine.yaml", "# @package _global_",
      files={MINE: "# ours\n# @package _global_\ndefaults:\n  - override /antibiotics: two\n"}),
    a("a misspelt group in an experiment", "abx-train --config-dir mine experiment=mine",
      "experiment/mine.yaml", "'patient_genrator'", "did you mean 'patient_generator'",
      files={MINE: "# @package _global_\ndefaults:\n  - override /patient_genrator: paper\n"}),
    a("an experiment that does not say override", "abx-train --config-dir mine experiment=mine",
      "override /environment: NAME",
      files={MINE: "# @package _global_\ndefaults:\n  - /environment: paper\n"}),
    a("a misspelt section in an experiment", "abx-train --config-dir mine experiment=mine",
      "'trainng'", "did you mean 'training'",
      files={MINE: "# @package _global_\ntrainng: {seed: 3}\n"}),
    a("a file where a name belongs", "abx-train experiment=experiments/mine.yaml",
      "-s experiment-subconfig=experiments/mine.yaml"),
    a("a tuning file without its base", "abx-tune --config-dir mine -m +tuning=mine",
      "truncated_episodes", "defaults: [base]",
      files={"mine/tuning/mine.yaml":
             "search_space:\n  gamma: {type: float, low: 0.9, high: 0.99}\n"}),
    a("a file for results", "abx-train results_dir=taken", "results_dir", "'taken'", "a file",
      files={"taken": ""}),
    a("results nowhere", "abx-train results_dir=null", "results_dir=results", "None"),
    # --- the tutorial's flags ---
    a("-s without a file", "abx-train -s patient_generator", "GROUP-subconfig=FILE"),
    a("-s with a file that is not there", "abx-train -s patient_generator-subconfig=no.yaml",
      "'no.yaml'", "No such file"),
    a("-s with a folder", "abx-train -s patient_generator-subconfig=my/", "'my'", "directory",
      files={"my/x.yaml": "a: 1\n"}),
    a("-s with broken YAML", "abx-train -s patient_generator-subconfig=bad.yaml", "bad.yaml line 2",
      files={"bad.yaml": "a: [1\nb: {"}),
    a("-s with an empty file", "abx-train -s patient_generator-subconfig=e.yaml", "'e.yaml'", "empty",
      files={"e.yaml": ""}),
    a("-s with something else", "abx-train -s patient_generator-subconfig=e.yaml", "_target_",
      files={"e.yaml": "a: 1\n"}),
    a("-s with a misspelt ending", "abx-train -s patient_generator-subconfg=high_risk",
      "'subconfg'", "patient_generator-subconfig=high_risk"),
    a("-p without =", "abx-train -p reward_calculator.lambda_weight 0.5",
      "-p reward_calculator.lambda_weight=0.5"),
    a("the tutorial's umbrella", "abx-train --umbrella-config x.yaml", "experiment=NAME"),
    a("the tutorial's flag, misspelt", "abx-train --umbrela-config x.yaml", "experiment=NAME"),
    a("a setting with dashes", "abx-train --training.seed=3", "write training.seed=3"),
    a("a group as a flag", "abx-train --experiment paper_two", "write experiment=VALUE"),
    a("a name as a flag", "abx-train --resume-from x", "write resume_from=VALUE"),
    a("a search of another agent", f"{TUNE} agent_algorithm=a2c",
      "'agent_algorithm.clip_range' does not exist", "+tuning=ppo_default, a2c_default"),
    a("a flag with an underscore", "abx-train --run_name=x", "run_name=NAME"),
    a("a misspelt flag", "abx-train --multirum training.seed=1,2", "did you mean --multirun"),
    a("an unknown value of a flag", "abx-train --cfg jobs", "'jobs'", "'job'"),
    a("Hydra's --config-path", "abx-train --config-path conf", "--config-dir FOLDER"),
    # --- the command line's grammar ---
    a("spaces around =", "abx-train training.seed = 3", "training.seed=3 without spaces"),
    a("= missing", "abx-train experiment paper_two", "experiment=paper_two"),
    a("a colon for =", "abx-train training.seed:3", "write training.seed=3"),
    a("a value with spaces", "abx-train run_name=my run", "'run'", "run_name=my_run"),
    a("two =", "abx-train experiment==paper_two", "write experiment=paper_two"),
    a("a missing +", "abx-tune -m tuning=ppo_default", "write +tuning=ppo_default"),
    a("a superfluous + before a group", "abx-train +experiment=paper_two", "without the +"),
    a("a superfluous + before a key", "abx-train +training.seed=3", "without the +"),
    a("~ of something absent", "abx-train ~antibiotics.drugs.C", "antibiotics.drugs.C", "A, B"),
    a("a sweep without -m", ("abx-train", "training.seed=range(1,6)"), "range(1,6)", "add -m"),
    a("a search without -m", ("abx-tune", "+tuning=ppo_default",
      "agent_algorithm.gamma=interval(0.9,0.99)"), "add -m"),
    a("a list of choices", "abx-train experiment=[paper_two,paper_single]",
      "-m experiment=paper_two,paper_single"),
    a("a bracket that stays open", "abx-train -m training.seed=range(1,6", "range(FROM,BELOW)"),
    a("a misspelt function", "abx-train -m training.seed=rang(1,6)", "did you mean 'range'"),
    a("an interval with one end", (*TUNE.split(), "agent_algorithm.gamma=interval(0.9)"),
      "interval(LOW,HIGH)"),
    a("gamma twice over",
      "abx-train agent_algorithm.one_minus_gamma=0.01 agent_algorithm.gamma=0.9", "one of them"),
    # --- names ---
    a("a run's name with a slash", "abx-train run_name=a/b", "'a/b'", "plain folder name"),
    a("a study's name with a slash", f"{TUNE} study_name=a/b", "study_name", "'a/b'"),
    a("a run's name with a blank", ("abx-train", "run_name=my run"), "'my run'", "such as my_run"),
    a("a study's name with a blank", (*TUNE.split(), "run_name=my run"), "'my run'", "such as my_run"),
    a("names of a set with a blank", ("abx-train", "-m", "run_name=my run", "training.seed=1,2"), "'my run_seed1'", "such as my_run_seed1"),
    a("an evaluation's name with a blank", ("abx-evaluate", "agent_algorithm=greedy", "run_name=my run"), "'my run'", "such as my_run"),
    a("a run's name with a star", "abx-train run_name=a*b", "'a*b'", "plain folder name"),
    a("a run's name with a dash first", f"{TUNE} run_name=-x", "'-x'", "plain folder name"),
    a("a run's name that is too long", ("abx-train", f"run_name={'x' * 300}"), "300", "at most"),
    a("a run's name that is empty", f"{TUNE} run_name=", "run_name", "is empty"),
    # --- agents, options, antibiotics ---
    a("an unknown antibiotic in cross-resistance",
      "abx-train +antibiotics.cross_resistance.A.C=0.3", "'C'", "['A', 'B']"),
    a("an antibiotic that lacks its parameters", "abx-train +antibiotics.drugs.C.leak=0.1",
      "missing ['C']"),
    a("an unknown antibiotic in an option",
      "abx-train agent_algorithm=hrl_ppo option_library.options.A_5.antibiotic=C",
      "option 'A_5'", "'C'", "available: A, B, no_treatment"),
    a("an option library for other antibiotics",
      "abx-train agent_algorithm=hrl_ppo option_library=default_deterministic antibiotics=single",
      "option 'B_5'", "option_library=heuristic"),
    a("options for an agent that has none", "abx-train option_library=heuristic",
      "agent_algorithm=hrl_ppo or hrl_rppo"),
    a("an option's type that is not there",
      "abx-train agent_algorithm=hrl_ppo option_library.options.A_5.type=blok", "'block'"),
    a("the prior tool's option library",
      "abx-train agent_algorithm=hrl_ppo hrl.option_library=mine.yaml", "option_library=NAME"),
    a("memory for an agent without one",
      "abx-train +agent_algorithm.policy_kwargs.lstm_hidden_size=64",
      "lstm_hidden_size", "agent_algorithm=recurrent_ppo"),
    a("a recurrent policy for a flat agent", "abx-train agent_algorithm.policy=MlpLstmPolicy",
      "MlpLstmPolicy", "agent_algorithm=recurrent_ppo"),
    a("an algorithm that cannot prescribe",
      "abx-train agent_algorithm._target_=stable_baselines3.SAC", "SAC", "choose stable_baselines3"),
    a("a GPU that is not there", "abx-train agent_algorithm.device=cuda", "no GPU", "device=cpu"),
    a("a device that does not exist", "abx-train agent_algorithm.device=gpu", "'gpu'", "cpu, cuda"),
    a("a rule with training seeds", "abx-train agent_algorithm=greedy training.seeds=[1,2]",
      "rule", "no training seeds"),
    # --- the order of commands ---
    a("tuning without a choice", "abx-tune -m", "+tuning=NAME", "ppo_default"),
    a("tuning settings for abx-train", "abx-train tuning.n_trials=3", "belongs to abx-tune"),
    a("a tuning choice for abx-train", "abx-train +tuning=ppo_default", "best_params_from=RUN_NAME"),
    a("the best of a study that is not there", "abx-train best_params_from=nowhere", "'nowhere'",
      "optimization_dir"),
    a("the best of a misspelt study", "abx-train best_params_from=don", "did you mean 'done'",
      at_site=True),
    a("the best of a path", "abx-train best_params_from=optimization/done",
      "best_params_from=done", at_site=True),
    a("the best of an unfinished study", "abx-train best_params_from=done", "again",
      damage=lambda site: (site / "optimization/done/best_params.json").unlink()),
    a("the best of a damaged study", "abx-train best_params_from=done", "best_params.json",
      "damaged", damage=overwrite("optimization/done/best_params.json", "")),
    a("the best for another agent", "abx-train best_params_from=done agent_algorithm=a2c",
      "A2C", "PPO", "same agent_algorithm", at_site=True),
    a("going on with a run that is not there", "abx-train resume_from=nowhere", "'nowhere'"),
    a("going on with a complete run", "abx-train resume_from=first",
      "training.additional_episodes=N", at_site=True),
    a("going on with other settings", "abx-train resume_from=first agent_algorithm.gamma=0.9",
      "agent_algorithm.gamma=0.9", "leave it out", at_site=True),
    a("going on without a run", "abx-train training.additional_episodes=3", "resume_from"),
    a("evaluating nothing", "abx-evaluate", "abx-train", "run=RUN_NAME"),
    a("evaluating a misspelt run", "abx-evaluate run=frist", "did you mean 'first'", at_site=True),
    a("evaluating a path without run=", "abx-evaluate results", "run=results", at_site=True),
    a("evaluating a folder that is no run", "abx-evaluate run=results", "no run folder",
      at_site=True),
    a("evaluating a run as a rule", "abx-evaluate run=first agent_algorithm=greedy",
      "against=greedy", at_site=True),
    a("evaluating in a clinic that does not fit", "abx-evaluate run=first antibiotics=single",
      "those it was trained with", "that is named alone plays in its own clinic", at_site=True),
    a("comparing with an untrained agent", "abx-evaluate agent_algorithm=never against=ppo",
      "against=ppo", "against=RUN_NAME"),
    a("a checkpoint that does not exist", "abx-evaluate run=first checkpoint=lst",
      "did you mean 'last'", at_site=True),
    a("a truncated checkpoint", "abx-evaluate run=first", "best.zip", "damaged", "'last'",
      damage=truncate("results/first_*/checkpoints/best.zip")),
    a("going on from a truncated checkpoint",
      "abx-train resume_from=first training.additional_episodes=2", "last.zip", "damaged",
      damage=truncate("results/first_*/checkpoints/last.zip")),
    a("a run folder with an empty configuration", "abx-evaluate run=first", "config.yaml", "empty",
      damage=overwrite("results/first_*/config.yaml", "")),
    a("a study with other settings", (*AGAIN, "reward_calculator.lambda_weight=0.5"),
      "lambda_weight 0.0 -> 0.5", "another run_name", at_site=True),
    a("a damaged database", AGAIN, "optuna_study.db", "another run_name",
      damage=lambda site: [  # type: ignore[arg-type, return-value]
          f.unlink() if f.name.endswith(("-wal", "-shm")) else f.write_bytes(b"no database" * 99)
          for f in (site / "optimization/done").glob("optuna_study.db*") if f.suffix != ".lock"
      ]),
    a("showing an unknown study", "abx-study show nothing", "'nothing'", "abx-study list"),
    a("showing a misspelt study", "abx-study show don", "did you mean 'done'", at_site=True),
    a("a misspelt verb", "abx-study shwo done", "did you mean 'show'"),
    a("a verb without a name", "abx-study show", "abx-study show NAME"),
    a("a copy to nowhere", "abx-study copy done", "to=STORAGE"),
    # --- databases ---
    a("a server that does not answer", f"{TUNE} storage=postgres", "port 1", "abx-postgres up",
      env=NOBODY),
    a("studies of a server that does not answer", "abx-study list storage=postgres", "refused",
      "abx-postgres up", env=NOBODY),
    a("overwriting on a server", f"{TUNE} storage=postgres overwrite_existing_study=true",
      "abx-study delete ppo_default storage=postgres", env=NOBODY),
    a("a port that is no number", f"{TUNE} storage=postgres", "PG_PORT", "'abc'",
      env={"PG_PORT": "abc"}),
    a("a URL that is not there", f"{TUNE} storage=url", "export ABX_STORAGE_URL"),
    a("a URL of another kind", f"{TUNE} storage=url", "'mysql'", "postgresql",
      env={"ABX_STORAGE_URL": "mysql://x/y"}),
    a("a password on the command line",
      f"{TUNE} storage=url storage.url=postgresql://me:secret@host/db", "export ABX_STORAGE_URL"),
    a("a misspelt verb of the server", "abx-postgres upp", "did you mean 'up'"),
    a("a server's key that does not exist", "abx-postgres up prot=5433", "did you mean 'port'"),
    a("a port of root's", "abx-postgres up port=80", "1024", "'80'", "auto"),
    a("a server that was never started", "abx-postgres url data_dir=pg", "abx-postgres up"),
    # --- classes of one's own that fail when they are used ---
    a("a population that fails", f"abx-train {FEW} patient_generator._target_=own_a.Own", "own_a.py line 8: ValueError: no such season",
      files={"own_a.py": own_population("raise ValueError('no such season')")}),
    a("a population that fails in a study", f"{STUDY} patient_generator._target_=own_b.Own", "own_b.py line 8: ValueError: no such season",
      files={"own_b.py": own_population("raise ValueError('no such season')")}),
    a("a cohort of the wrong shape", f"abx-train {FEW} patient_generator._target_=own_c.Own", "own_c.py line 7: sample", "must return attributes of shape (2, ", ", 6)", ", 5)",
      files={"own_c.py": own_population(COHORT.format("(draws.num_envs, num_patients, 5)", 0.5))}),
    a("a cohort that is nan in a study", f"{STUDY} patient_generator._target_=own_d.Own", "own_d.py line 7: sample", "attributes that are finite numbers, got nan",
      files={"own_d.py": own_population(COHORT.format(WHOLE, "np.nan"))}),
    a("a reward that fails", f"abx-train {FEW} reward_calculator._target_=own_e.Own", "own_e.py line 8: ValueError: no score",
      files={"own_e.py": own_reward("raise ValueError('no score')")}),
    a("a reward that is nan", f"{STUDY} reward_calculator._target_=own_f.Own", "own_f.py line 7: score", "finite numbers, got nan",
      files={"own_f.py": own_reward("score = super().score(cohort); score.reward[:] = np.nan; return score")}),
    a("a rule in a clinic whose reward is nan", f"abx-train {BRIEF} agent_algorithm=greedy reward_calculator._target_=own_g.Own", "own_g.py line 7: score",
      files={"own_g.py": own_reward("score = super().score(cohort); score.reward[:] = np.nan; return score")}),
    a("evaluating where the reward fails", "abx-evaluate evaluation.episodes=2 environment.max_time_steps=16 agent_algorithm=greedy reward_calculator._target_=own_h.Own", "own_h.py line 8: KeyError",
      files={"own_h.py": own_reward("return {}['reward']")}),
    a("an option that fails", f"abx-train {FEW} {MANAGER}", "option 'mine' fails", "own_i.py line 8", "no rule",
      files={**own_library("own_i"), "own_i.py": own_option("raise RuntimeError('no rule')")}),
    a("an option of the wrong shape", f"{STUDY} {MANAGER}", "own_j.py line 7: option 'mine' must prescribe whole numbers of shape",
      files={**own_library("own_j"), "own_j.py": own_option("return np.zeros(3, dtype=int)")}),
    a("an option that prescribes out of range", f"abx-train {FEW} {MANAGER}", "own_k.py line 7: option 'mine' must prescribe in 0..2", "got 9..9",
      files={**own_library("own_k"), "own_k.py": own_option("return self.for_all(np.full(len(seen.step), 9))")}),
    # --- projects and many runs ---
    a("gathering before training", "abx-gather", "results_dir=results", "train first"),
    a("a misspelt key of abx-gather", "abx-gather resuls_dir=x", "did you mean 'results_dir'"),
    a("a misspelt flag of abx-init", "abx-init --chek", "did you mean '--check'"),
    a("importing a file that is not there", "abx-init mine --from-umbrella no.yaml", "no.yaml",
      "No such file"),
    # --- extras and launchers ---
    a("a launcher that does not exist", f"{TUNE} hydra/launcher=submitit_slurmm",
      "did you mean 'submitit_slurm'"),
    a("waiting for nobody", f"{TUNE} tuning.wait=false", "tuning.wait=false", "tuning.n_workers=2"),
]  # fmt: skip


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a finished run `first` and a finished study `done`."""
    folder = tmp_path_factory.mktemp("site")
    before = Path.cwd()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for main, arguments in (
            (
                train.main,
                (*SMALL, "training.total_num_training_episodes=4", "run_name=first"),
            ),
            (tune.main, (*SMALL_STUDY, "run_name=done", "tuning.n_trials=2")),
        ):
            patch.setattr("sys.argv", ["abx", *arguments])
            main()
    os.chdir(before)
    yield folder


def contents(folder: Path) -> dict[str, bytes | None]:
    """Return every file; SQLite moves pages between its own when they are merely opened."""
    return {
        str(p.relative_to(folder)): p.read_bytes() if p.is_file() and ".db" not in p.name else None
        for p in folder.rglob("*")
        if not p.name.endswith(("-wal", "-shm"))
    }


#: Variants of others, which take part in `make test-all` alone.
VARIANTS = """
overwriting on a server; a URL that is not there; a port that is no number; waiting for nobody;
one number for a list of discounts; a probability above one; an unknown storage;
a rollout that the environments do not divide; an unknown antibiotic in an option;
a time with its unit; a tuning seed in training; null where a number is needed; an empty layer;
a searched value that is refused; a manager's key for a flat agent;
the best of an unfinished study; going on with a run that is not there; a run's name with a star;
a study's name with a slash; an algorithm that cannot prescribe; a reference to nothing;
a number given as text in a file; a damaged database; no trials; a tuning file without its base;
a run folder with an empty configuration; a seed without its section; a word for yes;
another library's name; half of a group's name; half of a tuning choice; a choice in capitals;
a misspelt group that is added; a number of trials without its section; a misspelt class;
a setting beside an agent that lacks it; a sampler's option in braces; a number for a list;
an unknown option of a sampler; a value for a section; a layer's size alone; a word for the workers;
a fraction for a whole number; a percentage for a share; a probability in per cent; no workers;
a penalty that rewards; an episode without steps; a discount audit at 1.5; a step of nothing;
a training seed in tuning; a log scale from zero; a searched key that changes nothing;
a clinic that is searched; a grid without end; a key twice in YAML; a file that is no text;
a misspelt default in a file; a misspelt key in a file; a folder that is no group;
a misspelt section in an experiment; results nowhere; -s with a folder; -s with something else;
-s with a misspelt ending; a flag with an underscore; an unknown value of a flag; Hydra's --config-path;
a colon for =; two =; a superfluous + before a key; a search without -m; a misspelt function;
an interval with one end; a run's name with a dash first;
a run's name that is too long; a run's name that is empty; an antibiotic that lacks its parameters;
an option's type that is not there; the prior tool's option library; a device that does not exist;
a recurrent policy for a flat agent; a rule with training seeds; a tuning choice for abx-train;
the best of a path; the best of a damaged study; going on with other settings; going on without a run;
evaluating a folder that is no run; comparing with an untrained agent; a copy to nowhere;
a checkpoint that does not exist; going on from a truncated checkpoint; a misspelt verb;
studies of a server that does not answer; a URL of another kind; a misspelt verb of the server;
evaluating in a clinic that does not fit; an experiment that does not say override
"""


def _parameters() -> list[object]:
    variants = {title.strip() for title in VARIANTS.replace("\n", " ").split(";")}
    assert variants <= {m.title for m in MISTAKES}, variants - {m.title for m in MISTAKES}
    return [
        pytest.param(m, id=m.title, marks=[pytest.mark.slow] if m.title in variants else [])
        for m in MISTAKES
    ]


@pytest.mark.parametrize("mistake", _parameters())
def test_a_mistake_is_answered_with_its_cause_and_its_cure_in_one_line(
    mistake: Mistake,
    call: Call,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    for name in ("PG_HOST", "PG_PORT", "PG_USERNAME", "DB_NAME", "ABX_STORAGE_URL"):
        monkeypatch.delenv(name, raising=False)
    for name, value in mistake.env.items():
        monkeypatch.setenv(name, value)
    if mistake.at_site or mistake.damage:
        shutil.copytree(request.getfixturevalue("site"), tmp_path, dirs_exist_ok=True)
    for name, text in mistake.files.items():
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
    if mistake.damage:
        mistake.damage(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # of the modules among these files
    before = contents(tmp_path)
    command, *arguments = mistake.arguments
    ended = call(COMMANDS[command], *arguments)
    lines = ended.err.strip().splitlines()
    assert ended.status == 2, ended
    assert len(lines) == 1, ended.err
    assert lines[0].startswith(f"{command}: error: ")
    assert [message for message in mistake.says if message not in lines[0]] == [], lines[0]
    assert "Traceback" not in ended.out + ended.err
    assert len(lines[0]) < 400 or "path=" in lines[0], lines[0]
    assert contents(tmp_path) == before


def test_the_sweep_is_wide() -> None:
    titles = [m.title for m in MISTAKES]
    assert len(set(titles)) == len(titles) >= 160


def one_line(ended: Ended, command: str) -> str:
    """Return the only line of an error."""
    (line,) = ended.err.strip().splitlines()
    assert ended.status == 2
    assert line.startswith(f"{command}: error: ")
    assert "Traceback" not in ended.out
    return line


@pytest.mark.parametrize(
    ("number", "says"),
    [
        (errno.ENOSPC, "the disk is full: free some space"),
        pytest.param(errno.EDQUOT, "your quota is used up", marks=pytest.mark.slow),
        pytest.param(errno.EACCES, "it may not be written", marks=pytest.mark.slow),
        (errno.EROFS, "read-only: choose a folder of your own"),
    ],
)
def test_a_disk_that_takes_nothing_is_named_with_what_to_do(
    number: int, says: str, call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make = Path.mkdir

    def refuse(folder: Path, *options: Any, **more: Any) -> None:
        if "elsewhere" in folder.parts:
            raise OSError(number, os.strerror(number), str(folder))
        make(folder, *options, **more)

    monkeypatch.setattr(Path, "mkdir", refuse)
    ended = call(train.main, *SMALL, "results_dir=elsewhere/runs", "agent_algorithm.gamma=1.0")
    line = one_line(ended, "abx-train")
    assert "elsewhere" in line
    assert says in line
    assert "results_dir=FOLDER" in line
    assert list(tmp_path.iterdir()) == []


def test_a_sweeper_that_is_an_extra_is_named_with_its_installation(call: Call) -> None:
    if importlib.util.find_spec("hydra_plugins.hydra_optuna_sweeper") is not None:
        pytest.skip("the extra is installed here")
    ended = call(tune.main, "-m", "+tuning=ppo_default", "hydra/sweeper=optuna")
    assert "pip install 'abx-amr[optuna-sweeper]'" in one_line(ended, "abx-tune")


def test_an_occupied_port_is_answered_with_port_auto(call: Call) -> None:
    with services.server_folder() as folder, socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        port = busy.getsockname()[1]
        ended = call(postgres.main, "up", f"port={port}", f"data_dir={folder}/pg")
        line = one_line(ended, "abx-postgres")
        assert [f.name for f in folder.rglob("*") if f.is_file() and "lock" not in f.name] == []
    if "programs" in line and "found" in line:
        services.lacking(line)
    assert str(port) in line
    assert "port=auto" in line


def test_absent_programs_of_postgresql_are_answered_with_their_installation(call: Call) -> None:
    with services.server_folder() as folder:
        ended = call(postgres.main, "up", f"data_dir={folder}/pg", f"bin_dir={folder}/nowhere")
        assert [f.name for f in folder.rglob("*") if f.is_file() and "lock" not in f.name] == []
    line = one_line(ended, "abx-postgres")
    assert "nowhere" in line
    assert "bin_dir" in line


def test_a_wrong_password_is_answered_without_showing_it(
    call: Call, postgres: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PGPASSFILE", raising=False)
    monkeypatch.setenv("PG_PASSWORD", "not-this-one")
    line = one_line(call(study.main, "list", "storage=postgres"), "abx-study")
    assert "password" in line
    assert "PG_PASSWORD" in line
    assert "not-this-one" not in line
