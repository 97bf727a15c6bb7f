"""Translate the tutorial's flags before Hydra sees them.

Hydra owns `-p` (--package) and reads `-s` as `-sc`, so that `-p x=y` would be swallowed without a
word. Here: `-p a.b=v` -> `a.b=v`; `-s group=name` -> `group=name`; `-s group-subconfig=FILE` -> a
copy of the file, named by its content, on the search path, and the choice of that copy, so that
workers and a resumed study see the same bytes.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path

from abx_amr.durable import write_text
from abx_amr.errors import InputError
from abx_amr.naming import nearest, unknown
from abx_amr.project import from_here

_STAGED = Path(".abx") / "conf"

#: The tutorial's long flags and what to write instead.
COUNTERPARTS = {
    "--umbrella-config": "experiment=NAME (a file conf/experiment/NAME.yaml of a project; "
    "`abx-init DIR --from-umbrella U.yaml` makes one of an umbrella file)",
    "--tuning-config": "+tuning=NAME (a file conf/tuning/NAME.yaml of a project; "
    "`abx-init DIR --from-umbrella U.yaml --tuning T.yaml` makes one of a tuning file)",
    "--run-name": "run_name=NAME",
    "--study-name": "study_name=NAME",
    "--optimization-dir": "optimization_dir=FOLDER",
    "--results-dir": "results_dir=FOLDER",
    "--use-postgres": "storage=postgres",
    "--overwrite-existing-study": "overwrite_existing_study=true",
    "--skip-if-exists": "skip_if_exists=true",
    "--load-best-params-by-experiment-name": "best_params_from=RUN_NAME",
    "--n-trials": "tuning.n_trials=N",
    "--seed": "training.seed=N",
    "--target-path": "abx-init DIR",
    "--param-override": "KEY=VALUE, or -p KEY=VALUE",
    "--subconfig-override": "GROUP=NAME, or -s GROUP-subconfig=FILE",
}

_HYDRA_FLAGS = (
    "--help", "-h", "--hydra-help", "--version", "--cfg", "-c", "--resolve", "--package", "--run",
    "-r", "--multirun", "-m", "--shell-completion", "-sc", "--config-path", "-cp", "--config-name",
    "-cn", "--config-dir", "-cd", "--experimental-rerun", "--info", "-i",
)  # fmt: skip

#: Prefixes of the prior tool's parameter overrides.
_PRIOR_PREFIXES = {
    "ppo.": "agent_algorithm.",
    "a2c.": "agent_algorithm.",
    "recurrent_ppo.": "agent_algorithm.",
}


def translate(arguments: Sequence[str]) -> list[str]:
    """Return the arguments in Hydra's grammar.

    >>> translate(["-m", "-p", "reward_calculator.lambda_weight=0.5", "-s", "antibiotics=single"])
    ['-m', 'reward_calculator.lambda_weight=0.5', 'antibiotics=single']

    Raises:
        InputError: a flag of the tutorial that has another form here, an unknown flag, or a flag
            without its value.
    """
    translated: list[str] = []
    rest = list(arguments)
    while rest:
        argument = rest.pop(0)
        if re.fullmatch(r"-[ps](=?.*=.*)?", argument) and not argument.startswith("-sc"):
            value = argument[2:].removeprefix("=") or (rest.pop(0) if rest else "")
            make = _parameter if argument.startswith("-p") else _subconfig
            translated.append(make(value))
            continue
        flag = argument.split("=", 1)[0]
        if flag in COUNTERPARTS:
            raise InputError(f"{flag} is not a flag here: write {COUNTERPARTS[flag]}")
        if flag.startswith("-") and flag not in _HYDRA_FLAGS and not _is_number(flag):
            guess = nearest(
                flag.lstrip("-").replace("-", "_"), [f.lstrip("-") for f in _HYDRA_FLAGS]
            )
            hint = f"; did you mean --{guess}?" if guess else ""
            raise InputError(f"flag '{flag}' does not exist{hint} (settings are written key=value)")
        translated.append(argument)
    return translated


def _is_number(text: str) -> bool:
    return re.fullmatch(r"-\d.*", text) is not None


def _parameter(value: str) -> str:
    key, equals, _ = value.partition("=")
    if not equals or not key:
        raise InputError(f"-p takes KEY=VALUE, for example -p training.n_envs=4; got '{value}'")
    for prior, ours in _PRIOR_PREFIXES.items():
        if value.startswith(prior):
            return ours + value.removeprefix(prior)
    return value


def _subconfig(value: str) -> str:
    group, equals, choice = value.partition("=")
    group = group.removesuffix("-subconfig")
    if not equals or not group or not choice:
        raise InputError(
            "-s takes GROUP-subconfig=FILE or GROUP=NAME, for example "
            f"-s patient_generator=high_risk; got '{value}'"
        )
    if Path(choice).suffix in (".yaml", ".yml") or "/" in choice:
        return f"{group}={stage(group, Path(choice))}"
    return f"{group}={choice}"


def _refuse_prior(group: str, file: Path, text: str) -> None:
    """Refuse a file of the prior tool, whose keys mean nothing here."""
    import yaml

    from abx_amr.scaffolding.prior_files import kind_of

    try:
        kind = kind_of(yaml.safe_load(text))
    except yaml.YAMLError:
        return  # it is said where it is composed
    if kind is not None:
        raise InputError(
            f"-s {group}-subconfig: '{file}' is a file of the prior tool ({kind}): "
            "`abx-init DIR --from-umbrella U.yaml [--tuning T.yaml]` makes a project of its "
            "umbrella file with all that it names"
        )


def stage(group: str, file: Path) -> str:
    """Return the name under which a copy of `file` can be chosen in `group`.

    Raises:
        InputError: the file cannot be read.
    """
    from abx_amr.configuration import groups

    if group not in groups():
        raise InputError(unknown("-s: group", group, groups()))
    try:
        text = file.expanduser().read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not a text file"
        raise InputError(f"-s {group}-subconfig: cannot read '{file}': {reason}") from error
    _refuse_prior(group, file, text)
    digest = hashlib.sha256(text.encode()).hexdigest()[:12]
    stem = re.sub(r"[^A-Za-z0-9_]+", "_", file.stem)
    name = f"{stem}-{digest}"
    target = Path(from_here(str(_STAGED))) / group / f"{name}.yaml"
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        write_text(target, text)
    return name
