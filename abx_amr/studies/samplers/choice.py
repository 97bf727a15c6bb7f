"""Which sampler a study has, and how each of its points is seeded.

A sampler is built anew for every ask and seeded from (sampler_seed, index of the new point), where
the index counts the points drawn so far and a retry is no new point. What a sampler has to remember
it reads from the study, so a resumed study goes on as if it had not stopped.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from abx_amr.errors import InputError, hint
from abx_amr.studies.parameters import path_of
from abx_amr.studies.samplers.member import Draw
from abx_amr.studies.samplers.members import sampler_called, sampler_name

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler

    from abx_amr.studies.search_space import SearchSpace

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SamplerChoice:
    """Which sampler, with which of its own options, from which seed."""

    name: str = "tpe"
    options: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0

    def __post_init__(self) -> None:
        """Bring the name into its one spelling and refuse what the sampler does not take."""
        object.__setattr__(self, "name", sampler_name(self.name))
        if isinstance(self.seed, bool) or not isinstance(self.seed, int) or self.seed < 0:
            raise InputError(f"tuning.sampler_seed must be a whole number >= 0, not {self.seed!r}")
        if self.options:
            self._check_options()

    def _check_options(self) -> None:
        known = sampler_called(self.name).option_names()
        for option in self.options:
            if known is not None and option not in known:
                raise InputError(
                    f"tuning.sampler_options.{option} is not an option of the sampler {self.name}"
                    f"{hint(option, known, label='known')}"
                )
        startup = self.options.get("n_startup_trials")
        if startup is not None and (isinstance(startup, bool) or not isinstance(startup, int)):
            raise InputError(
                f"tuning.sampler_options.n_startup_trials must be a whole number, not {startup!r}"
            )


def choose_sampler(
    written: object, options: Mapping[str, Any], *, sampler_seed: int
) -> SamplerChoice:
    """Return the choice in `tuning.sampler`: a name, or {_target_: a class, its options}.

    >>> choose_sampler("TPE", {}, sampler_seed=3)
    SamplerChoice(name='tpe', options={}, seed=3)
    """
    if isinstance(written, Mapping):
        own = {str(key): value for key, value in written.items()}
        target = own.pop("_target_", None)
        if not isinstance(target, str) or "." not in target:
            raise InputError(
                "tuning.sampler must be a name or {_target_: the path of a class, options}, "
                f"not {dict(written)!r}"
            )
        choice = SamplerChoice(name=target, options={**own, **options}, seed=sampler_seed)
        sampler_called(target).constructor()  # said before anything is stored
        return choice
    if not isinstance(written, str):
        raise InputError(f"tuning.sampler must be a name, such as tpe, got {written!r}")
    return SamplerChoice(name=written, options=options, seed=sampler_seed)


def effective_budget(choice: SamplerChoice, *, n_trials: int, space: SearchSpace) -> int:
    """Return how many trials complete the study: for grid at most its points."""
    return sampler_called(choice.name).budget(n_trials, space)


def check_can_be_built(choice: SamplerChoice, *, space: SearchSpace, n_trials: int) -> None:
    """Refuse a class of the user's own that does not take its options.

    Raises:
        InputError: naming the class, and why.
    """
    if "." in choice.name:
        make_sampler(choice, space=space, n_trials=n_trials, index=0)


def make_sampler(
    choice: SamplerChoice,
    *,
    space: SearchSpace,
    n_trials: int,
    index: int,
    first_points: Sequence[Mapping[str, Any]] = (),
) -> BaseSampler:
    """Return the sampler for drawing point number `index` (from 0) of a study.

    The `first_points` of the study are given to it; what they leave open is drawn.
    """
    from optuna.exceptions import ExperimentalWarning

    own_seed = int(np.random.SeedSequence([choice.seed, index]).generate_state(1)[0])
    draw = Draw(
        space=space,
        n_trials=n_trials,
        sampler_seed=choice.seed,
        index=index,
        seed=own_seed,
        first_points=first_points,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        return sampler_called(choice.name).build(draw, choice.options)


def log_what_is_drawn_at_random(choice: SamplerChoice, space: SearchSpace) -> None:
    """Say once which values the sampler cannot search."""
    names = sampler_called(choice.name).drawn_at_random(space)
    if conditional := [path_of(name) for name in names if name in space.conditions]:
        log.warning(
            "%s searches what counts in every trial; drawn at random: %s",
            choice.name,
            ", ".join(conditional),
        )
    if choices := [path_of(name) for name in names if name not in space.conditions]:
        log.warning(
            "%s searches numbers only; drawn at random: %s", choice.name, ", ".join(choices)
        )
