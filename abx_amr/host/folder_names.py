"""Names that a folder can have and a shell leaves alone."""

from __future__ import annotations

from abx_amr.errors import InputError

_UNSAFE = frozenset(" /\\*?[]{}$:;|<>&!`#\"'")


#: Keys whose value is a name; null: none is given.
NAMES = ("run_name", "study_name", "best_params_from", "to_study_name")

#: What says in some language that there is nothing: no name of a run or a study.
_NOTHING = ("none", "null", "nil", "~")


def check_is_text(key: str, value: object) -> str:
    """Return a name when it is text.

    Raises:
        InputError: it is a number, a truth value or a list, as which YAML reads some names.

    >>> check_is_text("run_name", "1.10")
    '1.10'
    """
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        cure = f": in a YAML file a name such as no, on or {str(value).lower()} is put in quotes"
    elif isinstance(value, int | float):
        cure = f": in a YAML file put it in quotes, such as {key}: '{value}'"
    else:
        cure = f": write {key}=NAME"
    raise InputError(f"{key} must be text, got {value!r}{cure}")


def check_folder_name(key: str, name: object) -> str:
    """Return `name` when a folder can have it and a shell leaves it alone.

    Raises:
        InputError: it is no text, empty, hidden, too long, means that there is none, or holds a
            blank or a character that means something else.

    >>> check_folder_name("run_name", "ppo_lambda_0.5")
    'ppo_lambda_0.5'
    """
    name = check_is_text(key, name)
    if name.lower() in _NOTHING:
        raise InputError(f"{key}={name} is no name: {key}=null (or none given) is the default one")
    odd = sorted({c for c in name if c in _UNSAFE or not c.isprintable()})
    if not name or name[0] in ".-" or odd or len(name.encode()) > 200:
        because = f" (not {' '.join(map(repr, odd))})" if odd else ""
        shown = repr(name) if len(name) <= 60 else f"one of {len(name)} characters"
        without = "_".join(name.split())
        is_right = not set(odd) - {" "} and without and without[0] not in ".-"
        example = without if is_right and len(without) <= 60 else "lambda_0.5"
        raise InputError(
            f"{key} must be a plain folder name{because}: letters, digits, _ and - inside, at most "
            f"200 characters, such as {example}; got {shown}"
        )
    return name
