"""The clinic of sliders: shown, tried at once, and saved."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from abx_amr.app.clinic.draft import (
    MOST_DRUGS,
    TWO_GROUPS,
    Draft,
    DraftError,
    Drug,
    draft_of,
    read_draft,
)
from abx_amr.app.clinic.files import experiment_name, save
from abx_amr.app.clinic.sliders import DRUG, OF_THE_CLINIC
from abx_amr.app.clinic.trying import configuration_of, try_fixed, try_rules, try_search
from abx_amr.app.curves import Line, drawn
from abx_amr.app.desk import Desk, desk_of, form_of
from abx_amr.app.templating import query
from abx_amr.app.workers import SupersededError
from abx_amr.configuration.values import CLINIC_SECTIONS
from abx_amr.errors import InputError, first_line
from abx_amr.host.locations import packaged

_PARTS = {"fixed": try_fixed, "rules": try_rules, "search": try_search}
_NAMES = "ABCDEFGH"


async def show(request: Request) -> Response:
    """Return the form: a first clinic, one of the project, or what was just changed in it."""
    desk = desk_of(request)
    saved = request.query_params.get("saved")
    error: str | None = None
    wrong: Mapping[str, str] = {}
    typed: Mapping[str, str] = {}
    if request.method == "POST":
        form = await form_of(request)
        try:
            draft = _changed(read_draft(form), form)
        except DraftError as problem:
            draft, wrong = problem.draft, problem.mistakes
            typed = form
        except InputError as problem:
            draft, error = Draft(), first_line(problem)
    elif name := request.query_params.get("from"):
        try:
            draft = await desk.clinic(experiment_draft, name)
        except InputError as problem:
            draft, error = Draft(), first_line(problem)
    else:
        draft = Draft()
    return await _page(desk, draft, error=error, wrong=wrong, typed=typed, saved=saved)


async def attempt(request: Request) -> Response:
    """Return what comes of the clinic in a form, as parts of the page."""
    desk, part = desk_of(request), request.path_params["part"]
    if part not in _PARTS:
        raise HTTPException(404)
    form = await form_of(request)
    try:
        draft = read_draft(form)
        found = await desk.clinic.newest(form.get("tab", "")[:40], _PARTS[part], draft)
    except SupersededError:
        return JSONResponse({"superseded": True})
    except InputError as problem:
        told = {"error": first_line(problem), "mistakes": _mistakes(problem, form)}
        return JSONResponse(told, 422)
    if part == "search":
        curve = drawn(
            [Line(name="search", points=[(float(i), y) for i, y in enumerate(found["curve"])])],
            across="generation",
            up="mean return",
            level=("the best rule", found["rule_return"]) if found["rule"] else None,
        )
        html = desk.part("clinic_search.html", found=found, curve=curve)
    else:
        about = await run_in_threadpool(rules_in_words)
        html = desk.part("clinic_rules.html", found=found, is_final=part == "rules", about=about)
    return JSONResponse({"html": html, "brief": _brief(found)})


async def keep(request: Request) -> Response:
    """Write the clinic's files; lead to what can be done with it."""
    desk = desk_of(request)
    form = await form_of(request)
    draft = Draft()
    try:
        draft = read_draft(form)
        experiment_name(draft.name)
        await desk.clinic(_check, draft)
        save(draft, desk.workplace)
    except InputError as problem:
        draft = problem.draft if isinstance(problem, DraftError) else draft
        wrong = _mistakes(problem, form)
        error = None if wrong else first_line(problem)
        return await _page(desk, draft, error=error, wrong=wrong, typed=form, status=422)
    if form.get("then") == "train":
        return desk.go(query("/start/train", **training_in(draft.name)))
    return desk.go(query("/clinic", **{"from": draft.name, "saved": draft.name}))


def training_in(name: str) -> dict[str, str]:
    """Return what a form begins with that trains an agent in a clinic: one that takes seconds."""
    return {"experiment": name, "agent_algorithm": "policy_search"}


def experiment_draft(name: str) -> Draft:
    """Return an experiment of the project as a form holds it; runs in a worker.

    Raises:
        InputError: there is none, or a form cannot hold it.
    """
    from abx_amr.configuration.composing import compose

    if not name.replace("_", "").replace("-", "").isalnum():
        raise InputError(f"experiment {name!r} does not exist")
    composition = compose("train", [f"experiment={name}"])
    config = composition.plain
    try:
        draft = draft_of(config, name=name, choices=composition.choices)
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"experiment {name} has parts that no slider sets: edit its files") from (
            error
        )
    held = configuration_of(draft)
    for section in CLINIC_SECTIONS:
        if held.get(section) != config.get(section):
            raise InputError(
                f"{section} of experiment {name} has values that no slider sets: edit its files, "
                f"or begin with another one (abx-train experiment={name} takes it as it is)"
            )
    return draft


def _choices() -> dict[str, list[str]]:
    """Return what can be chosen in groups; runs in a worker."""
    from abx_amr.configuration.groups import available

    groups = ("experiment", "patient_generator", "reward_calculator")
    return {group: available(group) for group in groups}


@functools.cache
def rules_in_words() -> Mapping[str, str]:
    """Return name of a rule -> what it does, in a line."""
    from abx_amr.app.forms.fields import headline
    from abx_amr.planning.rule_values import RULES

    folder = packaged("conf") / "agent_algorithm"
    about = {name: headline(folder / f"{name}.yaml") for name in RULES}
    return {name: text.removeprefix("Fixed rule: ") for name, text in about.items()}


def _check(draft: Draft) -> None:
    from abx_amr.app.clinic.trying import built

    built(draft)


async def _page(
    desk: Desk,
    draft: Draft,
    *,
    error: str | None = None,
    wrong: Mapping[str, str] | None = None,
    typed: Mapping[str, str] | None = None,
    saved: str | None = None,
    status: int = 200,
) -> Response:
    """Return the form; what is wrong stays as it was typed."""
    choices = await desk.clinic(_choices)
    return desk.page(
        "clinic.html",
        status,
        title="Clinic",
        place="clinic",
        draft=draft,
        drug_sliders=[slider for slider, _ in DRUG.values()],
        sliders={slider.key: slider for slider in OF_THE_CLINIC},
        values={slider.key: getattr(draft, slider.key) for slider in OF_THE_CLINIC},
        choices=choices,
        two_groups=TWO_GROUPS,
        can_add=len(draft.drugs) < MOST_DRUGS,
        error=error,
        wrong=wrong or {},
        typed={key: (typed or {})[key] for key in wrong or {} if key in (typed or {})},
        saved=saved,
        training=training_in(saved or ""),
        files=_saved_files(desk, saved),
    )


def _saved_files(desk: Desk, name: str | None) -> list[str]:
    """Return the files of a clinic that was just saved."""
    try:
        name = experiment_name(name or "")
    except InputError:
        return []
    groups = ("experiment", "antibiotics", "patient_generator")
    files = [Path("conf") / group / f"{name}.yaml" for group in groups]
    return [str(file) for file in files if (desk.workplace.root / file).is_file()]


def _changed(draft: Draft, form: Mapping[str, str]) -> Draft:
    """Return a draft with a drug more or less, as a button of the form asks."""
    drugs = list(draft.drugs)
    if form.get("add"):
        taken = {drug.name for drug in drugs}
        name = next(letter for letter in _NAMES if letter not in taken)
        values = {key: default for key, (_, default) in DRUG.items()}
        return replace(draft, drugs=[*drugs, Drug(name=name, values=values)])
    removed = form.get("remove", "")
    if removed.isdigit() and int(removed) < len(drugs) and len(drugs) > 1:
        gone = int(removed)
        del drugs[gone]
        cross = {
            (i - (i > gone), j - (j > gone)): share
            for (i, j), share in draft.cross.items()
            if gone not in (i, j)
        }
        return replace(draft, drugs=drugs, cross=cross)
    return draft


def _mistakes(problem: InputError, form: Mapping[str, str]) -> Mapping[str, str]:
    """Return field of the form -> what is wrong there, as far as that can be told."""
    if isinstance(problem, DraftError):
        return problem.mistakes
    error = first_line(problem)
    field = _blamed(error, form)
    return {} if field is None else {field: error}


def _blamed(error: str, form: Mapping[str, str]) -> str | None:
    """Return the field of the form that an error is about."""
    if error.startswith("name"):
        return "name"
    for key, name in form.items():
        if key.startswith("drug.") and key.endswith(".name"):
            number = key.split(".")[1]
            for own in DRUG:
                if f"{own} of antibiotic {name.strip()}" in error or (
                    own in error and f"[{name.strip()}]" in error
                ):
                    return f"drug.{number}.{own}"
            if f"called {name.strip()}" in error or repr(name.strip()) in error:
                return key
    for slider in OF_THE_CLINIC:
        last = slider.path.rpartition(".")[2]
        if slider.path and (slider.path in error or last in error):
            return slider.key
    return None


def _brief(found: Mapping[str, Any]) -> dict[str, Any]:
    """Return the line of a result for a small screen."""
    if "rules" in found:
        best = found["rules"][0]
        return {"rule": f"{best['label']}: {best['value']:.1f}"}
    difference = found.get("difference")
    against = "" if difference is None else f" ({difference:+.1f} against it)"
    return {"agent": f"quick agent {found['mean_return']:.1f}{against}"}
