"""Overrides as text, `key=value`: which keys they give, which belong together, repeated."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Iterable, Sequence

from abx_amr.configuration.composing import is_search_override
from abx_amr.configuration.groups import groups
from abx_amr.errors import InputError


def key_of(override: str) -> str:
    """Return the key that an override sets, adds or removes.

    >>> key_of("++training.seed=3"), key_of("~tuning.search_space.gamma")
    ('training.seed', 'tuning.search_space.gamma')
    """
    return override.lstrip("+~").partition("=")[0]


def section_of_key(override: str) -> str:
    """Return the first part of an override's key.

    >>> section_of_key("training.seed=3")
    'training'
    """
    return key_of(override).split(".")[0]


def keys_of(overrides: Iterable[str]) -> set[str]:
    """Return the keys that overrides give."""
    return {key_of(override) for override in overrides}


def settings_of(
    sections: Collection[str], overrides: Iterable[str], *, leaving_out: Collection[str] = ()
) -> str:
    """Return the settings of these sections, to be pasted behind another command.

    Sweeps are left out (they are a search, not a setting), and so are the named keys.

    >>> settings_of(["training"], ["training.seed=3", "figures=false", "training.n_envs=1,2"])
    ' training.seed=3'
    """
    kept = [
        override
        for override in overrides
        if section_of_key(override) in sections
        and "=" in override
        and key_of(override) not in leaving_out
        and not is_search_override(override)
    ]
    return "".join(f" {shlex.quote(override)}" for override in kept)


def check_together(overrides: Sequence[str]) -> None:
    """Refuse settings that say different things of one value.

    Raises:
        InputError: a group is given a list of choices, or gamma is given twice over.
    """
    keys = {o.lstrip("+").partition("=")[0] for o in overrides}
    for override in overrides:
        key, _, value = override.lstrip("+").partition("=")
        if value.startswith("[") and key in groups():
            inside = value.strip("[]").replace(" ", "")
            raise InputError(
                f"'{override}': {key} takes one name; several runs are written -m {key}={inside}"
            )
    if {"agent_algorithm.gamma", "agent_algorithm.one_minus_gamma"} <= keys:
        raise InputError(
            "agent_algorithm.one_minus_gamma stands for agent_algorithm.gamma: give one of them"
        )
