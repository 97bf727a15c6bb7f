"""From a form to a command, word by word: what is started is what is shown."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from abx_amr.errors import InputError

#: command -> the keys that a form shows first, in their order on the command line.
FIRST: Mapping[str, tuple[str, ...]] = {
    "train": ("experiment", "agent_algorithm", "run_name"),
    "tune": ("tuning", "experiment", "run_name"),
    "evaluate": ("run", "agent_algorithm", "experiment", "against", "run_name"),
    "plan": ("experiment", "plan.runs"),
}
#: The text area of further settings, a line each.
MORE = "more"
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_KEY = re.compile(r"[\w@./+~-]+")


def words_of(command: str, form: Mapping[str, str]) -> list[str]:
    """Return the command of a form; what is left empty is not said.

    Raises:
        InputError: a value or a further setting is none.

    >>> words_of("train", {"experiment": "paper_two", "training.seed": "7", "run_name": ""})
    ['abx-train', 'experiment=paper_two', 'training.seed=7']
    >>> words_of("tune", {"tuning": "ppo_default", "tuning.n_trials": "4"})
    ['abx-tune', '-m', '+tuning=ppo_default', 'tuning.n_trials=4']

    A study is named after its clinic and what is searched, as a run is after clinic and agent.

    >>> words_of("tune", {"tuning": "ppo_default", "experiment": "ours"})[-1]
    'run_name=ours_ppo_default'
    """
    words = [f"abx-{command}", *(["-m"] if command == "tune" else [])]
    given = {key: value.strip() for key, value in form.items() if value.strip()}
    is_named = any(line.strip().startswith("run_name=") for line in form.get(MORE, "").splitlines())
    if command == "tune" and {"tuning", "experiment"} <= given.keys() and not is_named:
        given.setdefault("run_name", f"{given['experiment']}_{given['tuning']}")
    first = [key for key in FIRST[command] if key in given]
    rest = [key for key in given if key not in first and key != MORE]
    for key in (*first, *rest):
        _check(key, given[key])
        plus = "+" if key == "tuning" else ""
        words.append(f"{plus}{key}={given[key]}")
    return words + _further(given.get(MORE, ""))


def _check(key: str, value: str) -> None:
    if not _KEY.fullmatch(key) or key.startswith(("-", "hydra.")):
        raise InputError(f"{key!r} is no key of the configuration")
    if _CONTROL.search(value) or "\n" in value:
        raise InputError(f"{key} must be one line without control characters, got {value!r}")


def _further(text: str) -> list[str]:
    words = []
    for line in text.splitlines():
        setting = line.strip()
        if not setting:
            continue
        key, equals, _ = setting.partition("=")
        if setting.startswith("-") or not (equals or setting.startswith("~")):
            raise InputError(f"{MORE}: '{setting}' is no setting: write key=value, one a line")
        _check(key.lstrip("+~"), setting)
        words.append(setting)
    return words


def blamed(error: str, keys: Sequence[str]) -> str | None:
    """Return the key that an error's line names, None where it names none of a form.

    The whole path counts first, then its last part alone.

    >>> blamed("training.seed must be 1-999, got 0", ["run_name", "training.seed"])
    'training.seed'
    >>> blamed("leak of antibiotic A must be below 1", ["a.leak"]), blamed("no", ["a.b"])
    ('a.leak', None)
    """

    def place(text: str) -> int:
        found = re.search(rf"(?<![\w.]){re.escape(text)}(?!\w)", error)
        return -1 if found is None else found.start()

    whole = [(place(key), -len(key), key) for key in keys if place(key) >= 0]
    if whole:
        return min(whole)[2]
    lasts = [(key.rpartition(".")[2], key) for key in keys if "." in key]
    named = [(place(last), -len(last), key) for last, key in lasts if place(last) >= 0]
    return min(named)[2] if named else None
