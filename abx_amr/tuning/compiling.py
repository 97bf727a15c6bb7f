"""See where the values of shipped searches arrive, so that nobody's first study waits for it."""

from __future__ import annotations

from collections.abc import Iterator

from abx_amr.configuration.composing import resolved
from abx_amr.configuration.groups import available
from abx_amr.tuning import kept_proofs
from abx_amr.tuning.in_process import composed_study
from abx_amr.tuning.study import TuningStudy, settled

#: The search that is prepared for every shipped experiment.
USUAL = "ppo_default"


def shipped_searches() -> Iterator[tuple[str, ...]]:
    """Yield the overrides of every shipped search, and of the usual one in every experiment."""
    for tuning in available("tuning"):
        if tuning != "base":  # what the others begin with, no search
            yield (f"+tuning={tuning}",)
    for experiment in available("experiment"):
        yield (f"+tuning={USUAL}", f"experiment={experiment}")


def see_through(*overrides: str) -> None:
    """Build a search's agents once, and keep for all accounts where its values arrive in them."""
    points = TuningStudy(settled(resolved(composed_study(*overrides)))).points
    names = points.read_back_names
    kept_proofs.keep(points.config, points.first_seed, names, folder=kept_proofs.INSTALLED)
