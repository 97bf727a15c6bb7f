"""How values and what trials are worth go together, and which values matter."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from abx_amr.errors import counted
from abx_amr.reports.figures import inline_svg
from abx_amr.reports.search import drawn_trials, importance, importance_table
from abx_amr.reports.subjects import StudySubject
from abx_amr.reports.templating import fill
from abx_amr.studies.importance import ENOUGH, LEAST, Importance
from abx_amr.studies.parameters import path_of

NAME = "What matters"
PAGES = ("study",)
ORDER = 30


def render(subject: StudySubject) -> Markup | None:
    """Return importance, parallel coordinates and slices; None without figures."""
    if not subject.has_figures:
        return None
    trials, space = drawn_trials(subject)
    direction = str(subject.summary.get("direction") or "maximize")
    if space.empty or trials.empty:
        return None
    tables = {"trials": trials, "space": space}
    found = importance(subject)
    table = importance_table(found, subject.space)
    return fill(
        "study_search.html",
        importance=inline_svg("importance", {"importance": table}) if found else None,
        caveat=_caveat(
            found,
            is_race=bool(subject.summary.get("race")),
            at_times=[path_of(name) for name in subject.space.conditions],
        ),
        drawn=[
            (
                inline_svg("parallel_coordinates", tables, direction=direction),
                "A line for each trial through its settings; the thick one is the best.",
            ),
            (
                inline_svg("parameter_slices", tables),
                "Value of each trial over each setting.",
            ),
        ],
    )


def _caveat(found: Sequence[Importance], *, is_race: bool, at_times: Sequence[str]) -> str:
    """Return what a reader must know of importance, by the sets of points that it is told of."""
    if not found:
        return (
            f"Importance is not told for fewer than {LEAST} trials with a value: it would be noise."
        )
    everything = found[0].n_points
    lines = [f"Over {counted(everything, 'point')}."]
    if everything < ENOUGH:
        lines = [
            f"Over {everything} points; below {ENOUGH} it is noise for the most part: settings "
            "that a sampler tried together are not told apart, and ranks change by chance."
        ]
    if len(found) == 1:
        lines.append(
            f"Among the survivors of the race it is not told: fewer than {LEAST} points got more "
            "seeds."
            if is_race
            else f"Among the best quarter it is not told: that is fewer than {LEAST} trials."
        )
    elif is_race and found[1].n_points < ENOUGH:
        lines.append(f"The survivors are {found[1].n_points}: noise for the most part.")
    if at_times:
        named = ", ".join(dict.fromkeys(path.rsplit(".", 1)[-1] for path in at_times))
        lines.append(
            f"Settings that count in some trials only ({named}) are ranked among these, by the "
            "share of the best trials in which they count."
        )
    return " ".join(lines)
