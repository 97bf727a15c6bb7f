"""The nearest valid name for one the user misspelt."""

from collections.abc import Iterable
from difflib import get_close_matches


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name most like `name`, or None when nothing is close.

    >>> nearest("hihg_risk", ["default", "high_risk"])
    'high_risk'
    """
    matches = get_close_matches(name, list(known), n=1, cutoff=0.6)
    return matches[0] if matches else None


def unknown(what: str, name: str, known: Iterable[str]) -> str:
    """Return the one line that says `name` does not exist and what does.

    >>> unknown("sampler", "tpi", ["grid", "tpe"])
    "sampler 'tpi' does not exist; did you mean 'tpe'? (available: grid, tpe)"
    """
    names = sorted(known)
    guess = nearest(name, names)
    hint = f"; did you mean '{guess}'?" if guess else ""
    return f"{what} '{name}' does not exist{hint} (available: {', '.join(names)})"
