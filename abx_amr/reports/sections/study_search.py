"""How values and what trials are worth go together, and which values matter."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from abx_amr.reports.figures import inline_svg
from abx_amr.reports.search import ENOUGH, LEAST, drawn_trials, importance
from abx_amr.reports.subjects import StudySubject
from abx_amr.reports.templating import fill
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
    return fill(
        "study_search.html",
        importance=None if found is None else inline_svg("importance", {"importance": found}),
        caveat=_caveat(
            int(trials["value"].notna().sum()),
            [] if found is None else list(found["of"].unique()),
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


def _caveat(n_trials: int, sets: Sequence[str], *, at_times: Sequence[str]) -> str | None:
    """Return what a reader must know of importance, by the sets of trials that it is told of."""
    if not sets:
        return (
            f"Importance is not told for fewer than {LEAST} trials with a value: it would be noise."
        )
    lines = []
    if n_trials < ENOUGH:
        lines.append(
            f"Of {n_trials} trials importance is a rough guess: settings that a sampler tried "
            f"together are not told apart, and below {ENOUGH} trials ranks change by chance."
        )
    if len(sets) == 1:
        lines.append(f"Among the good trials alone it is not told: these are fewer than {LEAST}.")
    if at_times:
        named = ", ".join(dict.fromkeys(path.rsplit(".", 1)[-1] for path in at_times))
        lines.append(f"Settings that count in some trials only are not ranked: {named}.")
    return " ".join(lines) or None
