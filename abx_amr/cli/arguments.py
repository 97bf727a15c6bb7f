"""Translate the tutorial's flags before Hydra sees them.

Hydra owns `-p` (--package) and reads `-s` as `-sc`, so that `-p x=y` would be swallowed without a
word. Here: `-p a.b=v` -> `a.b=v`; `-s group=name` -> `group=name`; `-s group-subconfig=FILE` -> a
copy of the file, named by its content, on the search path, and the choice of that copy, so that
workers and a resumed study see the same bytes; a component file of the prior tool is translated.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from abx_amr.errors import InputError, nearest, unknown
from abx_amr.host.atomic_files import write_text
from abx_amr.host.locations import from_here, packaged

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
    "-r", "--multirun", "-m", "--shell-completion", "-sc", "--config-name", "-cn", "--config-dir",
    "-cd", "--experimental-rerun", "--info", "-i",
)  # fmt: skip
_FLAGS_WITH_VALUE = (
    "--cfg", "-c", "--package", "--config-name", "-cn", "--config-dir", "-cd",
    "--experimental-rerun", "--info", "-i",
)  # fmt: skip

#: Prefixes of the prior tool's parameter overrides.
_PRIOR_PREFIXES = {
    "ppo.": "agent_algorithm.",
    "a2c.": "agent_algorithm.",
    "recurrent_ppo.": "agent_algorithm.",
}


def translate(arguments: Sequence[str]) -> list[str]:
    """Return the arguments in Hydra's grammar, flags first, since Hydra refuses them elsewhere.

    >>> translate(["-p", "reward_calculator.lambda_weight=0.5", "-s", "antibiotics=single", "-m"])
    ['-m', 'reward_calculator.lambda_weight=0.5', 'antibiotics=single']

    Raises:
        InputError: a flag of the tutorial that has another form here, an unknown flag, or a flag
            without its value.
    """
    flags: list[str] = []
    settings: list[str] = []
    rest = list(arguments)
    while rest:
        argument = rest.pop(0)
        if re.fullmatch(r"-[ps](=?.*=.*)?", argument) and not argument.startswith("-sc"):
            value = argument[2:].removeprefix("=") or (rest.pop(0) if rest else "")
            if argument == "-p" and "=" not in value and rest and "=" not in rest[0]:
                raise InputError(f"-p {value} {rest[0]}: write -p {value}={rest[0]}")
            settings += _subconfig(value) if argument.startswith("-s") else [_parameter(value)]
            continue
        flag = argument.split("=", 1)[0]
        if not flag.startswith("-") or _is_number(flag):
            settings.append(argument)
            continue
        if flag not in _HYDRA_FLAGS:
            raise InputError(_no_flag(flag, argument))
        flags.append(argument)
        if flag in _FLAGS_WITH_VALUE and "=" not in argument and rest and "=" not in rest[0]:
            flags.append(rest.pop(0))
        elif argument in ("--info", "-i"):
            flags[-1] = "--info=all"
    return flags + settings


#: Keys that are written as flags elsewhere; groups are so, too.
_SETTINGS = ("resume_from", "best_params_from", "skip_if_exists")


def _no_flag(flag: str, argument: str) -> str:
    """Return the line about a flag that does not exist, with what to write instead."""
    usual = flag.lower().replace("_", "-")
    if usual in COUNTERPARTS:
        return f"{flag} is not a flag here: write {COUNTERPARTS[usual]}"
    if usual in ("--config-path", "-cp"):
        return f"{flag} is not used here: --config-dir FOLDER adds a folder of your own files"
    bare = argument.lstrip("-")
    if "=" in bare:
        return f"flag '{flag}' does not exist: settings have no dashes, write {bare}"
    key = usual.lstrip("-").replace("-", "_")
    if key in _SETTINGS or (packaged("conf") / key).is_dir():
        return f"flag '{flag}' does not exist: settings have no dashes, write {key}=VALUE"
    guess = nearest(usual, [f for f in (*_HYDRA_FLAGS, *COUNTERPARTS) if f.startswith("--")])
    if guess in COUNTERPARTS:
        return f"flag '{flag}' does not exist: write {COUNTERPARTS[guess]}"
    hint = f"; did you mean {guess}?" if guess else ""
    return f"flag '{flag}' does not exist{hint} (settings are written key=value)"


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


def _subconfig(value: str) -> list[str]:
    group, equals, choice = value.partition("=")
    if "-" in group:
        group, _, ending = group.partition("-")
        if ending != "subconfig":
            raise InputError(
                f"-s {value}: '{ending}' is not known: write -s {group}-subconfig={choice}"
            )
    if not equals or not group or not choice:
        raise InputError(
            "-s takes GROUP-subconfig=FILE or GROUP=NAME, for example "
            f"-s patient_generator=high_risk; got '{value}'"
        )
    if Path(choice).suffix in (".yaml", ".yml") or "/" in choice:
        return stage(group, Path(choice))
    return [f"{group}={choice}"]


#: Files of the prior tool that are a whole of several -> what makes a project of them.
_WHOLE = {
    "umbrella": "`abx-init DIR --from-umbrella {file} [--tuning T.yaml]` makes a project of it",
    "tuning": "`abx-init DIR --tuning {file}` makes a tuning file of it",
    "option_library": "`abx-init DIR --from-umbrella U.yaml` makes a project of the umbrella file "
    "that names it",
}


def _of_the_prior_tool(group: str, file: Path) -> str | None:
    """Return which component of the prior tool a file is, None where it is a file of ours.

    Raises:
        InputError: it is no component, or one of another group.
    """
    from abx_amr.migration.prior_files import kind_of, read_yaml

    flag = f"-s {group}-subconfig"
    kind = kind_of(read_yaml(file, said_by=flag))
    if kind in _WHOLE:
        raise InputError(
            f"{flag}: '{file}' is a file of the prior tool ({kind}): "
            f"{_WHOLE[kind].format(file=file)}"
        )
    if kind is not None and kind != group:
        raise InputError(
            f"{flag}: '{file}' is a file of the prior tool ({kind}): write "
            f"-s {kind}-subconfig={file}"
        )
    return kind


def stage(group: str, file: Path) -> list[str]:
    """Return the overrides that choose a copy of `file` in `group`.

    A component file of the prior tool is translated; what is not as it was is said.

    Raises:
        InputError: the file cannot be read.
    """
    from abx_amr.configuration.groups import groups

    if group not in groups():
        raise InputError(unknown("-s: group", group, groups()))
    file = file.expanduser()
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not a text file in UTF-8"
        raise InputError(f"-s {group}-subconfig: cannot read '{file}': {reason}") from error
    _check_content(text, file)
    digest = hashlib.sha256(text.encode()).hexdigest()[:12]
    name = f"{re.sub(r'[^A-Za-z0-9_]+', '_', file.stem)}-{digest}"
    kind = _of_the_prior_tool(group, file)
    if kind is None:
        _copy(group, name, text)
        return [f"{group}={name}"]
    from abx_amr.migration.importing import import_component
    from abx_amr.migration.prior_files import read_yaml

    content = read_yaml(file, said_by=f"-s {group}-subconfig")
    imported = import_component(kind, content, file, name=name)
    for member, translated in imported.members.items():
        _copy(member, name, translated)
    for line in imported.lines:
        print(f"-s {file}: {line.strip()}", file=sys.stderr)
    return list(imported.overrides)


def _copy(group: str, name: str, text: str) -> None:
    target = Path(from_here(str(_STAGED))) / group / f"{name}.yaml"
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        write_text(target, text)
        _made.append(target)


#: The copies made for this command line.
_made: list[Path] = []


def unstage() -> None:
    """Remove the copies made for this command line, and the folders that are empty then."""
    while _made:
        file = _made.pop()
        file.unlink(missing_ok=True)
        for folder in file.parents[:3]:
            with contextlib.suppress(OSError):
                folder.rmdir()


def _check_content(text: str, file: Path) -> None:
    """Refuse what is no YAML mapping before it is copied.

    Raises:
        InputError: it cannot be read, or it is empty or a list.
    """
    import yaml

    from abx_amr.configuration.mistakes import explain_yaml

    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise InputError(explain_yaml(error, file=file)) from error
    if not isinstance(content, dict):
        found = "is empty" if content is None else "holds no 'name: value' lines"
        raise InputError(f"-s: '{file}' {found}: it must be a YAML file such as those in conf/")
