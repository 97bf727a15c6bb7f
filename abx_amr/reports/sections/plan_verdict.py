"""How well a clinic can be treated at all, and which rule or agent comes nearest."""

from __future__ import annotations

from markupsafe import Markup

from abx_amr.reports.clinic import clinic_in_words
from abx_amr.reports.subjects import PlanSubject
from abx_amr.reports.tables import KeyFigure
from abx_amr.reports.templating import fill
from abx_amr.reports.wording import amr, is_known, number, percent, rule

NAME = "Verdict"
PAGES = ("plan",)
ORDER = 0


def render(subject: PlanSubject) -> Markup:
    """Return sentences and the figures they rest on."""
    clinic = clinic_in_words(subject.content.get("configuration") or {})
    sentences = [_optimum(subject), *_nearest(subject), *([clinic] if clinic else [])]
    return fill(
        "verdict.html",
        sentences=sentences,
        warning=(subject.content.get("audit") or {}).get("warning"),
        keys=_keys(subject),
    )


def _optimum(subject: PlanSubject) -> str:
    found = subject.optimum
    if not found:
        return f"The optimum of this clinic is not known: {subject.content.get('why_no_optimum')}."
    if found.get("is_exact"):
        text = (
            "The best that any policy can earn in this clinic is exactly "
            f"{number(found['upper'])} per episode"
        )
    else:
        sure = found.get("confidence")
        text = (
            "The best that any policy can earn in this clinic lies between "
            f"{number(found['lower'])} and {number(found['upper'])} per episode"
            f"{f' ({percent(sure, 0)} sure)' if is_known(sure) else ''}"
        )
    never = subject.content.get("never")
    return f"{text}; never treating earns {number(never)}." if is_known(never) else f"{text}."


def _nearest(subject: PlanSubject) -> list[str]:
    sentences = []
    name = subject.optimum_name
    below = f"the {name}: {'' if name == 'optimum' else 'at least '}"
    policies = subject.policies
    if policies.empty:
        return []
    for kind, word in (("rule", "The best rule"), ("agent", "The best agent")):
        some = policies[policies["kind"] == kind]
        if some.empty:
            continue
        row = some.iloc[0]
        error = row["standard_error"]
        sure = "exactly" if error == 0 else f"standard error {number(error)}"
        share = row["share_of_range"]
        reached = (
            f", {number(row['optimality_gap'])} below {below}{percent(share)} of what can be "
            "gained over never treating"
            if is_known(share)
            else ""
        )
        sentences.append(
            f"{word} is {rule(row['name'])} with {number(row['value'])} ({sure}){reached}."
        )
        if is_known(row.get("final_amr")):
            sentences[-1] += f" It leaves {amr(row['final_amr'])} AMR at the end of an episode."
    return sentences


def _keys(subject: PlanSubject) -> list[KeyFigure]:
    found, keys = subject.optimum, []
    if found.get("is_exact"):
        keys.append(KeyFigure("optimum", number(found["upper"]), "exact"))
    elif found:
        keys.append(
            KeyFigure("optimum", f"{number(found['lower'])} to {number(found['upper'])}", "bounds")
        )
    for kind in ("rule", "agent"):
        some = subject.policies
        some = some[some["kind"] == kind] if not some.empty else some
        if len(some):
            row = some.iloc[0]
            keys.append(KeyFigure(f"best {kind}", number(row["value"]), rule(row["name"])))
    if is_known(subject.content.get("never")):
        keys.append(KeyFigure("never treating", number(subject.content["never"])))
    return keys
