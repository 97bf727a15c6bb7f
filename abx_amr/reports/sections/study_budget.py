"""Settings and budget of a study."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup

from abx_amr.errors import counted
from abx_amr.reports.sections.run_settings import settings_of
from abx_amr.reports.subjects import StudySubject
from abx_amr.reports.templating import fill
from abx_amr.reports.wording import duration, is_known, value

NAME = "Budget and settings"
PAGES = ("study",)
ORDER = 50

_TOLD = (
    *("n_trials", "n_seeds_per_trial", "race", "truncated_episodes", "first_seed", "seeds"),
    *("stability_penalty_weight", "sampler", "sampler_seed", "direction", "min_successful_seeds"),
    *("max_retry", "n_workers", "parallel"),
)


def _of_final(seconds: Any) -> list[tuple[str, str]]:
    return [("time of the final's trainings", duration(seconds))] if is_known(seconds) else []


def render(subject: StudySubject) -> Markup | None:
    """Return budget and times as a list, and the whole configuration folded."""
    found = subject.summary
    facts = [(name, value(subject.tuning[name])) for name in _TOLD if name in subject.tuning]
    final = found.get("final") or {}
    if final.get("top") is not None and final.get("seeds") is not None:
        points = counted(int(final["top"]), "point")
        facts.append(("final", f"{points} and the default, {counted(int(final['seeds']), 'seed')}"))
    facts += [
        ("from the first trial to the end", duration(found.get("wall_time_seconds"))),
        ("time of all trials", duration(found.get("trial_time_seconds"))),
        *_of_final(found.get("final_time_seconds")),
        ("workers", str(len(found.get("workers") or []))),
    ]
    if found.get("fingerprint"):
        facts.append(("fingerprint of the settings", str(found["fingerprint"])[:16]))
    return fill(
        "study_budget.html",
        facts=facts,
        settings=settings_of(subject.config, subject.provenance.get("choices") or {}),
    )
