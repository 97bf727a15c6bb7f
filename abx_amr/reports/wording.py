"""Numbers as a page writes them: a true minus sign, thousands apart, a dash for what is missing."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any, TypeGuard

MISSING = "–"
MINUS = "−"
#: What a browser would not show, or would show in another order: controls, marks of direction.
_UNSEEN = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ufffe\uffff]")
#: Kind of a collapse -> in words, where its name does not say it.
_COLLAPSED = {
    "constant_action": "does one thing whatever it sees",
    "constant_antibiotic": "uses only one antibiotic",
    "entropy_vanished": "stopped exploring early",
}
_UNLIMITED = re.compile(r"(amr_threshold \()threshold 1(?:\.0)?(?=[,)])")
_AMR_THRESHOLD = re.compile(r"amr_threshold \(threshold ([\d.e-]+)(?:, risk ([\d.e-]+))?\)")
_THRESHOLD = re.compile(r"(threshold \(?)(\d+(?:\.\d+)?(?:e-?\d+)?)(?=[,)])")


def visible(text: str) -> str:
    r"""Return text with a mark in place of each character that cannot be seen.

    >>> visible("a\x00b\u202ec")
    'a\ufffdb\ufffdc'
    """
    return _UNSEEN.sub("\ufffd", text).encode("utf-8", "replace").decode()


def is_known(value: Any) -> TypeGuard[float]:
    """Return whether a value is a finite number."""
    return (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and math.isfinite(float(value))
    )


def number(value: Any, digits: int = 2) -> str:
    """Return a number with so many decimals, a dash for what is none.

    >>> number(-1234.567), number(None), number(float("nan")), number(12, 0)
    ('−1,234.57', '–', '–', '12')
    """
    if not is_known(value):
        return MISSING
    text = f"{float(value):,.{digits}f}"
    if float(text.replace(",", "")) == 0:
        text = text.lstrip("-")
    return text.replace("-", MINUS)


def signed(value: Any, digits: int = 2) -> str:
    """Return a difference: with its sign.

    >>> signed(1.5), signed(-1.5), signed(0.001)
    ('+1.50', '−1.50', '0.00')
    """
    text = number(value, digits)
    return text if not is_known(value) or text[0] == MINUS or not text.strip("0.") else f"+{text}"


def interval(ends: Sequence[Any] | None, digits: int = 2) -> str:
    """Return an interval, a dash where there is none.

    >>> interval((-2, 3.25)), interval((None, None)), interval(None)
    ('−2.00 to 3.25', '–', '–')
    """
    if ends is None or len(ends) != 2 or not all(map(is_known, ends)):
        return MISSING
    return f"{number(ends[0], digits)} to {number(ends[1], digits)}"


def over_episodes(ends: Sequence[Any] | None, digits: int = 2) -> str:
    """Return an interval over episodes; one without a width says why.

    >>> over_episodes((-2, 3.25)), over_episodes((2.0, 2.0)), over_episodes(None)
    ('−2.00 to 3.25', 'the same in every episode', '–')
    """
    return "the same in every episode" if has_no_width(ends) else interval(ends, digits)


def has_no_width(ends: Sequence[Any] | None) -> bool:
    """Return whether an interval is a single value."""
    known = ends is not None and len(ends) == 2 and all(map(is_known, ends))
    return known and ends is not None and math.isclose(*ends, rel_tol=1e-9, abs_tol=1e-12)


def percent(share: Any, digits: int = 1) -> str:
    """Return a share in percent.

    >>> percent(0.9893), percent(None)
    ('98.9 %', '–')
    """
    return f"{number(100 * share, digits)} %" if is_known(share) else MISSING


def amr(level: Any) -> str:
    """Return a level of resistance, a share of infections, in percent: two digits or whole.

    >>> amr(0.0042), amr(0.0075), amr(0.123), amr(0), amr(None)
    ('0.42 %', '0.75 %', '12 %', '0 %', '–')
    """
    if not is_known(level):
        return MISSING
    percents = 100.0 * float(level)
    return f"{percents:.2g} %" if 0.01 <= percents < 9.95 else f"{number(percents, 0)} %"


def rule(label: object) -> str:
    """Return a rule's name for people: its threshold is a level of resistance.

    >>> rule("amr_threshold (threshold 0.0075, risk 0.9)"), rule("cycling (period 5)")
    ('amr_threshold (threshold 0.75 %, risk 0.9)', 'cycling (period 5)')
    >>> rule("best constant threshold (0.125)"), rule("amr_threshold (threshold 1, risk 0.8)")
    ('best constant threshold (12 %)', 'amr_threshold (no limit of AMR, risk 0.8)')
    """
    text = _UNLIMITED.sub(r"\1no limit of AMR", str(label))
    return _THRESHOLD.sub(lambda found: f"{found[1]}{amr(float(found[2]))}", text)


def what_a_rule_does(label: object) -> str | None:
    """Return a threshold rule in plain words, None for another.

    >>> what_a_rule_does("amr_threshold (threshold 0.0075, risk 0.9)")
    'the least resisted antibiotic for patients above 90 % risk while its visible AMR is below 0.75 %'
    >>> what_a_rule_does("amr_threshold (threshold 1, risk 0.8)")
    'the least resisted antibiotic for patients above 80 % risk, whatever the resistance'
    >>> what_a_rule_does("greedy")
    """  # noqa: E501
    found = _AMR_THRESHOLD.fullmatch(str(label))
    if found is None:
        return None
    level, risk = float(found[1]), found[2]
    whom = "every patient" if risk is None else f"patients above {percent(float(risk), 0)} risk"
    limit = (
        ", whatever the resistance"
        if level >= 1
        else f" while its visible AMR is below {amr(level)}"
    )
    return f"the least resisted antibiotic for {whom}{limit}"


def reached(share: Any) -> str:
    """Return what a share of the range means, a dash where it is not known.

    >>> reached(0.668), reached(-0.1), reached(None)
    ('reaches 66.8 % of what can be gained over never treating', 'worse than never treating', '–')
    """
    if not is_known(share):
        return MISSING
    if share < 0:
        return "worse than never treating"
    return f"reaches {percent(share)} of what can be gained over never treating"


def value(found: Any) -> str:
    """Return a setting's value in few characters.

    >>> value(0.00031234567), value(None), value(True), value([1, 2]), value("tanh"), value(-1)
    ('0.000312346', 'null', 'true', '[1, 2]', 'tanh', '−1')
    """
    if found is None:
        return "null"
    if isinstance(found, bool):
        return str(found).lower()
    if isinstance(found, float):
        return f"{found:.6g}".replace("-", MINUS) if math.isfinite(found) else str(found)
    return str(found).replace("-", MINUS) if isinstance(found, int) else str(found)


def short(found: Any) -> str:
    """Return a setting's value for a table of many: four significant digits.

    >>> short(0.00031234567), short(128), short("tanh")
    ('0.0003123', '128', 'tanh')
    """
    if isinstance(found, float) and math.isfinite(found):
        return f"{found:.4g}".replace("-", MINUS)
    return value(found)


def duration(seconds: Any) -> str:
    """Return a time as people say it, a dash where it is not known.

    >>> duration(61), duration(None)
    ('1 min 1 s', '–')
    """
    from abx_amr.host.progress import duration as said

    return said(float(seconds)) if is_known(seconds) else MISSING


def collapse_in_words(kind: Any) -> str:
    """Return what a policy has collapsed to, nothing where it has not.

    >>> collapse_in_words("never_treats"), collapse_in_words("constant_antibiotic")
    ('never treats', 'uses only one antibiotic')
    >>> collapse_in_words(None)
    ''
    """
    return _COLLAPSED.get(kind, kind.replace("_", " ")) if isinstance(kind, str) else ""
