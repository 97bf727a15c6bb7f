"""Names that a folder can have and a shell leaves alone."""

from abx_amr.errors import InputError

_UNSAFE = frozenset(" /\\*?[]{}$:;|<>&!`#\"'")


def check_folder_name(key: str, name: str) -> str:
    """Return `name` when a folder can have it and a shell leaves it alone.

    Raises:
        InputError: it is empty, hidden, too long, or holds a blank or a character that means
            something else.

    >>> check_folder_name("run_name", "ppo_lambda_0.5")
    'ppo_lambda_0.5'
    """
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
