"""What a user can do wrong, as an exception: one line, shown without a traceback, exit status 2.

Also the words that such a line is made of: the nearest valid name, what there is, how many.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any


class InputError(ValueError):
    """A mistake in what the user gave: what it is, which value, what would be right."""

    def __init__(self, message: object = "") -> None:
        super().__init__(in_one_line(_LONG.sub(_beginning, str(message))))


#: A number of very many digits, and any other word that is longer than a path is.
_LONG = re.compile(r"\d{60,}|[^\s/]{400,}")


def _beginning(word: re.Match[str]) -> str:
    """Return what is shown of a very long word."""
    return f"{word[0][:20]}... ({len(word[0])} characters)"


#: What moves a cursor, changes colours, begins a line or turns the direction of writing.
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def in_one_line(text: str) -> str:
    r"""Return a text with its control characters, ends of lines and tabs included, as escapes.

    >>> in_one_line("failed\nagain"), in_one_line("\x1b[31mred\u202e")
    ('failed\\nagain', '\\x1b[31mred\\u202e')
    """
    return _CONTROLS.sub(lambda found: ascii(found[0])[1:-1], text)


def cure(value: Any, low: float = -math.inf, high: float = math.inf) -> str:
    """Return what was probably meant: a share for a percentage, a number for a text.

    >>> cure(35, 0, 1), cure("0.3", 0, 1), cure(-1, 0, 1)
    ('; 35 % is written 0.35', '; a number is written without quotes', '')
    >>> cure("1:30"), cure("1k"), cure("nan")
    ('; without a colon: 90 for 1:30 in minutes, 1.5 in hours', '; written out: 1000', '')
    >>> cure("0100"), cure("0,2"), cure("1/5")
    ('; a number has no leading zeros: 100', '; with a decimal point: 0.2', '; as a number: 0.2')
    """
    if isinstance(value, bool):
        return ""
    if isinstance(value, str):
        text = value.strip("'\" ")
        if re.fullmatch(r"[-+]?0\d+", text):
            return f"; a number has no leading zeros: {int(text)}"
        if percent := re.fullmatch(r"(\d+(?:\.\d+)?) ?%", text):
            return f"; {percent[1]} % is written {float(percent[1]) / 100:g}"
        if comma := re.fullmatch(r"([-+]?\d+),(\d+)", text):
            return f"; with a decimal point: {comma[1]}.{comma[2]}"
        if (ratio := re.fullmatch(r"(\d+)/(\d+)", text)) and float(ratio[2]):
            return f"; as a number: {float(ratio[1]) / float(ratio[2]):g}"
        if clock := re.fullmatch(r"(\d{1,6})((?::[0-5]?\d){1,2})", text):
            return f"; {_without_colons(text, int(clock[1]), clock[2].split(':')[1:])}"
        if thousands := re.fullmatch(r"(\d+(?:\.\d+)?) ?([kKmM])", text):
            factor = 1000 if thousands[2] in "kK" else 1_000_000
            return f"; written out: {float(thousands[1]) * factor:.15g}"
        if re.fullmatch(r"\d{1,3}(,\d{3}){2,}", text):
            return f"; without commas: {text.replace(',', '')}"
        try:
            is_finite = math.isfinite(float(text))
        except ValueError:
            return ""
        if not is_finite:
            return ""
        if not re.fullmatch(r"[-+]?[0-9.]+(?:[eE][-+]?[0-9]+)?", text):
            return f"; in plain digits: {float(text):.15g}"
        return "; a number is written without quotes"
    if isinstance(value, int | float) and high == 1 and low >= 0 and 2 <= value <= 100:
        return f"; {value:g} % is written {value / 100:g}"
    return ""


def _without_colons(text: str, first: int, rest: list[str]) -> str:
    """Return how a number of base 60 is written as a plain one, in its last unit and its first."""
    last = first
    for part in rest:
        last = 60 * last + int(part)
    units = ("minutes", "hours") if len(rest) == 1 else ("seconds", "hours")
    return (
        f"without a colon: {last} for {text} in {units[0]}, {last / 60 ** len(rest):.6g} in "
        f"{units[1]}"
    )


def first_line(error: BaseException) -> str:
    r"""Return the first line of what an exception says, its class where it says nothing.

    >>> first_line(ValueError("a: b\nc")), first_line(KeyError())
    ('a: b', 'KeyError')
    """
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def printable(name: object) -> str:
    r"""Return a name on one line, with what cannot be seen as its code.

    Control characters could move a terminal's cursor, those of writing direction turn a text round.

    >>> printable("amoxicillin\n\x1b[2J\u202e")
    'amoxicillin <U+001B>[2J<U+202E>'
    """
    text = re.sub(r"[\t\n\r ]+", " ", str(name)).strip()
    return "".join(
        f"<U+{ord(c):04X}>"
        if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp")
        else c
        for c in text
    )


#: What other libraries call a hyper-parameter.
SYNONYMS = {
    "lr": "learning_rate",
    "epochs": "n_epochs",
    "entropy_coef": "ent_coef",
    "value_coef": "vf_coef",
    "minibatch_size": "batch_size",
    "discount": "gamma",
    "episodes": "total_num_training_episodes",
    "lambda": "lambda_weight",
    "params": "best_params_from",
    "best_params": "best_params_from",
}


def counted(count: int, noun: str, plural: str | None = None) -> str:
    """Return a number with what it counts.

    >>> counted(1, "episode"), counted(0, "seed"), counted(2, "study", "studies")
    ('1 episode', '0 seeds', '2 studies')
    """
    return f"{count} {noun if count == 1 else plural or f'{noun}s'}"


#: A list of names that is longer is left out where a guess can be given.
MANY_NAMES = 12
#: A longer one is cut.
MOST_NAMES = 40


def nearest(name: object, known: Iterable[str]) -> str | None:
    """Return the known name most like `name`, or None when nothing is close.

    Dotted paths are compared whole, then by their last part; capitals do not count, the beginning
    of one name alone is enough, and so is what other libraries call the thing.

    >>> nearest("hihg_risk", ["default", "high_risk"])
    'high_risk'
    >>> nearest("ppo.learning_rat", ["agent_algorithm.learning_rate"])
    'agent_algorithm.learning_rate'
    >>> nearest("TPI", ["grid", "tpe"]), nearest("agent", ["agent_algorithm", "hrl"])
    ('tpe', 'agent_algorithm')
    >>> nearest("lr", ["gamma", "learning_rate"])
    'learning_rate'
    """
    names = list(known)
    text = str(name)
    by_small = {n.lower(): n for n in reversed(names)}
    small = text.lower()
    if SYNONYMS.get(small) in names:
        return SYNONYMS[small]
    if matches := get_close_matches(small, by_small, n=1):
        return by_small[matches[0]]
    if len(small) > 2 and len(begun := [n for n in names if n.lower().startswith(small)]) == 1:
        return begun[0]
    last = {path.rsplit(".", 1)[-1].lower(): path for path in reversed(names)}
    leaf = small.rsplit(".", 1)[-1]
    matches = get_close_matches(SYNONYMS.get(leaf, leaf), last, n=1)
    return last[matches[0]] if matches else None


def did_you_mean(name: object, known: Iterable[str]) -> str:
    """Return what to add to a message about an unknown name: the nearest one, if any.

    >>> did_you_mean("tpi", ["grid", "tpe"])
    "; did you mean 'tpe'?"
    >>> did_you_mean("banana", ["grid", "tpe"])
    ''
    """
    guess = nearest(name, known)
    return f"; did you mean '{guess}'?" if guess else ""


def hint(name: object, known: Iterable[str], *, label: str = "available") -> str:
    """Return the nearest name and those there are; of very many the nearest alone.

    >>> hint("tpi", ["grid", "tpe"])
    "; did you mean 'tpe'? (available: grid, tpe)"
    >>> hint("sed", ["seed", *map(str, range(20))])
    "; did you mean 'seed'?"
    """
    names = list(known)
    guess = did_you_mean(name, names)
    if guess and len(names) > MANY_NAMES:
        return guess
    return f"{guess} ({listed(names, label=label)})"


def listed(names: Iterable[str], *, label: str = "available") -> str:
    """Return the names as they stand behind a complaint; of hundreds, as of runs, the first.

    >>> listed(["grid", "tpe"])
    'available: grid, tpe'
    >>> listed(map(str, range(1000)))[-20:]
    '8, 39 and 960 others'
    """
    told = list(names)
    more = len(told) - MOST_NAMES
    others = f" and {counted(more, 'other')}" if more > 0 else ""
    return f"{label}: {', '.join(told[:MOST_NAMES]) or 'none'}{others}"


def unknown(what: str, name: str, known: Iterable[str]) -> str:
    """Return the one line that says `name` does not exist and what does.

    >>> unknown("sampler", "tpi", ["grid", "tpe"])
    "sampler 'tpi' does not exist; did you mean 'tpe'? (available: grid, tpe)"
    """
    return f"{what} '{name}' does not exist{hint(name, sorted(known))}"
