"""How a race over seeds has given its trainings out: how many points came to how many seeds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from abx_amr.errors import counted
from abx_amr.reports.subjects import StudySubject
from abx_amr.reports.tables import Column
from abx_amr.reports.templating import fill
from abx_amr.studies.race_lengths import in_a_line

NAME = "The race over seeds"
PAGES = ("study",)
ORDER = 25


def render(subject: StudySubject) -> Markup | None:
    """Return a row for each number of seeds; None for a study without a race."""
    race = subject.summary.get("race")
    if not race or not race.get("rungs"):
        return None
    first, points = race["first_seeds"], race["points"]
    text = (
        f"{counted(race['trainings'], 'training')} were given out among {counted(points, 'point')}"
        f": each began with {counted(first, 'common seed')}; of those that came to a number of "
        f"seeds, the best 1 in {race['reduction']} had it doubled. {counted(race['out'], 'point')} "
        "got no further seed: on seeds that both have they were hardly ever better than the "
        f"leader (in less than {race['level']:.0%} of resamples), or had too few at the end to be "
        "compared with it."
    )
    if (line := in_a_line(race)) is not None:
        text = f"{text} {line[0].upper()}{line[1:]}."
    rows = [
        [_trained(rung), str(rung["points"]), f"{rung['points'] / points:.0%}"]
        for rung in race["rungs"]
    ]
    return fill(
        "study_race.html",
        text=text,
        columns=[
            Column("seeds", numeric=True),
            Column("points that came so far", numeric=True),
            Column("of all", numeric=True),
        ],
        rows=rows,
    )


def _trained(rung: Mapping[str, Any]) -> str:
    """Return the seeds of a rung, and how long they are trained where that differs."""
    episodes = rung.get("episodes")
    return str(rung["seeds"]) if episodes is None else f"{rung['seeds']} x {episodes} episodes"
