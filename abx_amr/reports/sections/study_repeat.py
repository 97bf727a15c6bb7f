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
            (
                "Train as many with the default settings, to compare them with",
                shlex.join(_default(subject, name)),
            ),
            ("Compare all of these runs, with paired tests", "abx-gather"),
        ]
    return steps


def _default(subject: StudySubject, name: str) -> list[str]:
    """Return the command that trains with what the study's own command says, without a search."""
    command = str(subject.provenance.get("command") or "")
    try:
        words = shlex.split(command)[1:]
    except ValueError:
        words = []
    dropped = ("tuning", "+tuning", "run_name", "study_name", "storage", "hydra")
    kept = [
        w for w in words if "=" in w and w.split("=")[0].split(".")[0].split("/")[0] not in dropped
    ]
    chosen = (subject.provenance.get("choices") or {}).get("agent_algorithm")
    if chosen and not any(w.startswith("agent_algorithm=") for w in kept):
        kept.append(f"agent_algorithm={chosen}")
    return ["abx-train", *kept, f"run_name={name}_default", "training.seeds=[1,2,3,4,5]"]
