"""Names that a drug of a formulary can have: they become parts of keys, of lists and of columns."""

from __future__ import annotations

import re
from collections.abc import Sequence

from abx_amr.errors import InputError

#: Keys and lists of names are written with these, and nothing that cannot be seen belongs here.
_ODD = re.compile(r"[,.:=\[\]{}()'\"`$*|<>!?#&%@;\\\x00-\x1f\x7f-\x9f\u200b-\u202e\u2066-\u2069]")


def check_drug_names(names: Sequence[str]) -> None:
    """Refuse a name that a key, a list or a table would take apart, or for a number.

    Raises:
        InputError: with a name that can be.

    >>> check_drug_names(["amoxicillin", "piperacillin/tazobactam", "co trimoxazole"])
    >>> check_drug_names(["B, C"])
    Traceback (most recent call last):
        ...
    abx_amr.errors.InputError: antibiotics.drugs: 'B, C' cannot be the name of a drug (no commas, \
dots or signs of YAML, no dash or blank at its ends): write B_C
    """
    for name in names:
        right = re.sub(r"[^\w/]+", "_", name).strip("_")
        if _is_number(name):
            raise InputError(f"antibiotics.drugs: {name!r} is a number: name it drug_{right}")
        if not name or _ODD.search(name) or name[0] in "-+~" or name != name.strip():
            cure = f": write {right}" if right and not _is_number(right) else ""
            raise InputError(
                f"antibiotics.drugs: {name!r} cannot be the name of a drug (no commas, dots or "
                f"signs of YAML, no dash or blank at its ends){cure}"
            )


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
