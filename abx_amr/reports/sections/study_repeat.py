"""How a study is repeated, and what can be done with what it found."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from abx_amr.errors import InputError
from abx_amr.reports.card import against_of
from abx_amr.reports.finals import DEFAULT, final_of
from abx_amr.reports.repeating import (
    Repeated,
    clinic_to_repeat,
    command_of,
    given_by,
    settings_to_repeat,
)
from abx_amr.reports.sources_of_gap import computing_command
from abx_amr.reports.subjects import StudySubject
from abx_amr.reports.templating import fill
from abx_amr.reports.wording import is_known
from abx_amr.studies.members import AGENT, members_in, trial_episodes, with_choices

NAME = "Repeat it, go on"
PAGES = ("study",)
ORDER = 80

_SEEDS = "training.seeds=[1,2,3,4,5]"
_EPISODES = "evaluation.episodes=500"


def render(subject: StudySubject) -> Markup:
    """Return the command, versions and commit, and commands to paste."""
    provenance = {"versions": subject.summary.get("versions") or {}, **subject.provenance}
    return fill("repeat.html", repeated=Repeated.of(provenance), steps=_next_steps(subject))


def _next_steps(subject: StudySubject) -> list[tuple[str, str]]:
    name = subject.path.resolve().name
    steps = []
    given = _given(subject)
    where = _where(subject)
    against = f"against={_rule(subject)}"
    command = command_of(subject.provenance)
    if subject.summary.get("status") == "unfinished" and command is not None:
        steps.append(("Go on with the study", command))
    if computing := computing_command(_gap(subject), plan_command(subject)):
        steps.append(
            (
                "Compute the missing parts of the gap, for the evaluation of an agent with these "
                "settings",
                computing,
            )
        )
    if subject.folder.best_params_file.is_file():
        final = final_of(subject.summary)
        if final is None:
            steps.append(
                (
                    "See what its winner is worth on seeds and episodes that chose nothing",
                    shlex.join(["abx-study", "confirm", name, *where]),
                )
            )
        said = lengths_in_words(subject)
        long = f" ({said})" if said else ""
        steps += [
            (
                "Train five agents with the best settings, on seeds that the search has not seen"
                f"{long}",
                train_command(subject),
            ),
            (
                "Evaluate one of them on unseen episodes, against a rule",
                shlex.join(["abx-evaluate", f"run={trained_run(subject)}", _EPISODES, against]),
            ),
        ]
        is_selected = final is not None and final.selected == DEFAULT
        if not is_selected and (default := _default(given, name, subject.tuning)):
            steps.append(("Train as many with the default settings", shlex.join(default)))
        steps.append(("Compare all of these runs, with paired tests", "abx-gather"))
    return steps


def _rule(subject: StudySubject) -> str:
    """Return the best rule as `against=` takes it; greedy where none is known."""
    final = final_of(subject.summary)
    found = (subject.best or {}).get("best_rule") if final is None else final.best_rule
    return against_of(found) if isinstance(found, Mapping) and found else "greedy"


def _gap(subject: StudySubject) -> Any:
    """Return the parts of the gap of what a study found: of its final, where there is one."""
    final = final_of(subject.summary)
    return (subject.best or {}).get("gap") if final is None else final.limits.get("gap")


def train_command(subject: StudySubject) -> str:
    """Return the command that trains agents with the best settings."""
    name = subject.path.resolve().name
    settings = settings_to_repeat(_given(subject))
    return shlex.join(
        ["abx-train", f"best_params_from={name}", *settings, *_where(subject), _SEEDS]
    )


def trained_run(subject: StudySubject) -> str:
    """Return the name of the first run that this command makes."""
    return f"{subject.path.resolve().name}_optimized_seed1"


def lengths_in_words(subject: StudySubject) -> str | None:
    """Return how long that command trains where the study's own trainings are shorter."""
    point = _selected(subject)
    own = trial_episodes(subject.tuning, point)
    try:
        config, _ = with_choices({**subject.config, "tuning": subject.tuning}, point)
    except InputError:  # a damaged folder
        config = subject.config
    later = (config.get("training") or {}).get("total_num_training_episodes")
    if not is_known(own) or not is_known(later) or later <= own:
        return None
    return (
        f"each for {later:g} episodes, while the trainings of the study"
        f"{' and its final' if subject.summary.get('final') else ''} are {own:g} long"
    )


def _selected(subject: StudySubject) -> Mapping[str, Any]:
    """Return the point that the study hands on: path -> value."""
    final = final_of(subject.summary)
    if final is not None and final.params:
        return final.params
    return (subject.best or {}).get("params") or {}


def _where(subject: StudySubject) -> list[str]:
    place = subject.config.get("optimization_dir")
    return [] if place in (None, "optimization") else [f"optimization_dir={place}"]


def _given(subject: StudySubject) -> dict[str, str]:
    return given_by(subject.provenance, searched=subject.space)


def plan_command(subject: StudySubject) -> str:
    """Return the command that computes the optimum of a study's clinic."""
    return shlex.join(["abx-plan", *clinic_to_repeat(_given(subject))])


def _default(given: Mapping[str, str], name: str, tuning: Mapping[str, Any]) -> list[str] | None:
    """Return the command that trains as the study's own does, with defaults instead of a search.

    None where the agent is not known by a name.
    """
    chosen = given.get("tuning", "")
    first = next(iter(members_in(tuning).get(AGENT, ())), None)
    agent = first or given.get("agent_algorithm") or chosen.removesuffix("_default")
    if not agent or agent == chosen:
        return None
    settings = settings_to_repeat({AGENT: agent, **given})
    return ["abx-train", *settings, f"run_name={name}_default", _SEEDS]
