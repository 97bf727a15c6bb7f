"""How well a clinic can be treated at all, and which rule or agent comes nearest."""

from __future__ import annotations

from markupsafe import Markup

from abx_amr.reports.clinic import clinic_in_words
from abx_amr.reports.subjects import PlanSubject
from abx_amr.reports.tables import KeyFigure
from abx_amr.reports.templating import fill, labelled
from abx_amr.reports.wording import amr, interval, is_known, number, percent, rule

NAME = "Verdict"
PAGES = ("plan",)
ORDER = 0


def render(subject: PlanSubject) -> Markup:
    """Return sentences and the figures they rest on."""
    clinic = clinic_in_words(subject.content.get("configuration") or {})
    optimum = labelled("The optimum", _optimum(subject))
    end = _of_the_end(subject)
    sentences = [
        optimum,
        *([end] if end else []),
        *_nearest(subject),
        *([clinic] if clinic else []),
    ]
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
    if not is_known(never):
        return f"{text}."
    return f"{text}. Treating nobody earns {number(never)}: what lies between is the range."


def _of_the_end(subject: PlanSubject) -> Markup | None:
    """Return what only a simulation's end gives the optimum; None where that was not asked for."""
    audit = subject.content.get("audit")
    gain = audit.get("spend_down") if isinstance(audit, dict) else None
    if not is_known(gain) or gain <= 0:
        return None
    most = "" if subject.optimum.get("is_exact") else "up to "
    upper = subject.optimum.get("upper")
    earned = (
        f": the best policy computed that does not see the end earns {number(upper - gain)}"
        if is_known(upper)
        else ""
    )
    return labelled(
        "What only a simulation has",
        f"Of this the optimum gains {most}{number(gain)} by using up the antibiotics before the "
        f"episode ends, which a real clinic does not{earned}.",
    )


def _nearest(subject: PlanSubject) -> list[Markup]:
    sentences: list[Markup | None] = []
    name = subject.optimum_name
    at_least = "" if name == "optimum" else "at least "
    policies = subject.policies
    if policies.empty:
        return []
    for kind, word in (("rule", "The best rule"), ("agent", "The best agent")):
        some = policies[policies["kind"] == kind]
        if some.empty:
            continue
        row = some.iloc[0]
        error = row["standard_error"]
        value = row["value"]
        ends = (value - 1.96 * error, value + 1.96 * error)
        sure = "exact" if error == 0 else f"95 % interval {interval(ends)}"
        share = row["share_of_range"]
        reached = (
            f" That is {number(row['optimality_gap'])} below the {name}, and {at_least}"
            f"{percent(share)} of what can be gained over never treating."
            if is_known(share)
            else ""
        )
        left = (
            f" At the end of an episode under it {amr(row['final_amr'])} of infections are "
            "resistant, in the mean over antibiotics."
            if is_known(row.get("final_amr"))
            else ""
        )
        sentences.append(
            labelled(
                word,
                f"{rule(row['name'])} earns {number(value)} per episode ({sure}).{reached}{left}",
            )
        )
    return [sentence for sentence in sentences if sentence]


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
