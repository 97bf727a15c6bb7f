"""How a study is repeated, and what can be done with what it found."""

from __future__ import annotations

import shlex

from markupsafe import Markup

from abx_amr.reports.repeating import Repeated
from abx_amr.reports.subjects import StudySubject
from abx_amr.reports.templating import fill

NAME = "Repeat it, go on"
PAGES = ("study",)
ORDER = 80

_FAIRLY = ("evaluation.episodes=500", "against=greedy")


def render(subject: StudySubject) -> Markup:
    """Return the command, versions and commit, and commands to paste."""
    provenance = {"versions": subject.summary.get("versions") or {}, **subject.provenance}
    return fill("repeat.html", repeated=Repeated.of(provenance), steps=_next_steps(subject))


def _next_steps(subject: StudySubject) -> list[tuple[str, str]]:
    name = subject.path.resolve().name
    steps = []
    place = subject.config.get("optimization_dir")
    where = [] if place in (None, "optimization") else [f"optimization_dir={place}"]
    if subject.summary.get("status") == "unfinished" and subject.provenance.get("command"):
        steps.append(("Go on with the study", str(subject.provenance["command"])))
    if subject.folder.best_params_file.is_file():
        train = ["abx-train", f"best_params_from={name}", *where]
        steps += [
            (
                "Train five agents with the best settings, on seeds that the search has not seen",
                shlex.join([*train, "training.seeds=[1,2,3,4,5]"]),
            ),
            (
                "Evaluate one of them on unseen episodes, against a rule",
                shlex.join(["abx-evaluate", f"run={name}_optimized_seed1", *_FAIRLY]),
            ),
            ("Compare all runs", "abx-gather"),
        ]
    return steps
