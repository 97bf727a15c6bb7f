"""What is wrong with a form, all of it at once, and how large the search is that it asks for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from abx_amr.app.forms.asking import SECTIONS
from abx_amr.app.forms.command import FIRST, blamed
from abx_amr.app.forms.fields import declared_in
from abx_amr.checks import fits
from abx_amr.errors import InputError, counted, first_line


@dataclass(frozen=True, kw_only=True)
class Looked:
    """What a look at a form has found.

    Attributes:
        mistakes: Key of the form -> what is wrong with its value, in one line.
        error: The first of them, or what is wrong with no key in particular; None: nothing is.
        budget: How much would be trained, in words; "" where that is not known.
    """

    mistakes: Mapping[str, str] = field(default_factory=dict)
    error: str | None = None
    budget: str = ""


def looked_at(command: str, words: Sequence[str], form: Mapping[str, str]) -> Looked:
    """Return what is wrong with the values of a form; what only building finds is not among it.

    Args:
        command: train, tune, evaluate, plan.
        words: The command that the form makes.
        form: Key -> what was typed.
    """
    from abx_amr.configuration.composing import compose, is_search_override

    settings = [word for word in words[1:] if word != "-m"]
    if command == "tune":
        settings = [word for word in settings if not is_search_override(word)]
    mistakes, error, plain = {}, None, None
    try:
        plain = compose(command, settings).plain
    except InputError as problem:
        error = first_line(problem)
        key = blamed(error, [*FIRST[command], *form])
        if key is not None:
            mistakes[key] = error
    known = plain if plain is not None else _of_choices(command, settings)
    mistakes |= _misfits(command, known, form)
    first = next((line for key, line in mistakes.items()), None)
    return Looked(
        mistakes=mistakes,
        error=error or first,
        budget="" if plain is None or mistakes else budget_in_words(command, plain),
    )


def budget_in_words(command: str, config: Mapping[str, Any]) -> str:
    """Return how much a configuration asks to be trained, "" where it does not say.

    >>> tuning = {"n_trials": 50, "n_seeds_per_trial": 3, "truncated_episodes": 200, "final": True}
    >>> budget_in_words("tune", {"tuning": tuning})
    '50 trials x 3 seeds x 200 episodes = 30,000 episodes in 150 trainings; then a final'
    >>> training = {"total_num_training_episodes": 1000, "num_eval_episodes": 10}
    >>> budget_in_words("train", {"training": training})
    '1,000 episodes of training; each evaluation plays 10'
    """
    if command == "train":
        training = config.get("training") or {}
        total, each = training.get("total_num_training_episodes"), training.get("num_eval_episodes")
        if not isinstance(total, int) or not isinstance(each, int):
            return ""
        return f"{total:,} episodes of training; each evaluation plays {each:,}"
    tuning = config.get("tuning") or {}
    trials, seeds = tuning.get("n_trials"), tuning.get("n_seeds_per_trial")
    episodes = tuning.get("truncated_episodes")
    if command != "tune" or not isinstance(trials, int) or not isinstance(seeds, int):
        return ""
    said = f"{counted(trials, 'trial')} x {counted(seeds, 'seed')}"
    trainings = counted(trials * seeds, "training")
    if isinstance(episodes, int):
        total = trials * seeds * episodes
        said += f" x {episodes:,} episodes = {total:,} episodes in {trainings}"
    else:
        said += f" = {trainings}"
    if tuning.get("race"):
        said += " at most: points race"
    return f"{said}; then a final" if tuning.get("final") else said


def _misfits(command: str, config: Mapping[str, Any], form: Mapping[str, str]) -> dict[str, str]:
    """Return key -> why its value does not fit the type that the key is declared with."""
    found = {}
    for section in SECTIONS[command]:
        content = config.get(section)
        declared = declared_in(section, content if isinstance(content, dict) else {})
        for key, text in form.items():
            at, _, name = key.partition(".")
            if at == section and text.strip() and name in declared:
                line = _misfit(key, text.strip(), declared[name])
                if line is not None:
                    found[key] = line
    return found


def _misfit(key: str, text: str, declared: Any) -> str | None:
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    try:
        parsed = OverridesParser.create().parse_override(f"{key}={text}")
        if parsed.is_sweep_override() or "${" in text:
            return None
        fits(key, parsed.value(), declared)
    except InputError as error:
        return first_line(error)
    except HydraException:
        return f"{key} cannot be read: put quotes around it, got {text!r}"
    return None


def _of_choices(command: str, settings: Sequence[str]) -> Mapping[str, Any]:
    """Return the configuration of a command's choices alone, {} where they do not go together."""
    from abx_amr.configuration.composing import compose
    from abx_amr.configuration.groups import groups

    known = set(groups())
    chosen = [word for word in settings if word.lstrip("+").partition("=")[0] in known]
    try:
        return compose(command, chosen).plain
    except InputError:
        return {}
