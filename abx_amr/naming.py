"""The nearest valid name for one the user misspelt."""

from collections.abc import Iterable
from difflib import get_close_matches


def nearest(name: object, known: Iterable[str]) -> str | None:
    """Return the known name most like `name`, or None when nothing is close.

    Dotted paths are compared whole, then by their last part.

    >>> nearest("hihg_risk", ["default", "high_risk"])
    'high_risk'
    >>> nearest("ppo.learning_rat", ["agent_algorithm.learning_rate"])
    'agent_algorithm.learning_rate'
    """
    names = list(known)
    if matches := get_close_matches(str(name), names, n=1):
        return matches[0]
    last = {path.rsplit(".", 1)[-1]: path for path in names}
    matches = get_close_matches(str(name).rsplit(".", 1)[-1], last, n=1)
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


def unknown(what: str, name: str, known: Iterable[str]) -> str:
    """Return the one line that says `name` does not exist and what does.

    >>> unknown("sampler", "tpi", ["grid", "tpe"])
    "sampler 'tpi' does not exist; did you mean 'tpe'? (available: grid, tpe)"
    """
    names = sorted(known)
    return (
        f"{what} '{name}' does not exist{did_you_mean(name, names)} (available: {', '.join(names)})"
    )
