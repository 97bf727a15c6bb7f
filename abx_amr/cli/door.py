"""The way in that all commands share: help, translation, checks, Hydra, errors."""

from __future__ import annotations

import errno
import functools
import io
import logging
import os
import re
import select
import signal
import sys
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from abx_amr.cli.arguments import translate, unstage
from abx_amr.errors import InputError
from abx_amr.host.collecting import collecting_seldom
from abx_amr.host.exit_codes import USER_ERROR, of_signal
from abx_amr.host.locations import place_in_project
from abx_amr.host.signals import CommandInterruptError, Interrupts
from abx_amr.host.terminal import escaped_output, shown
from abx_amr.host.variables import check_variables

if TYPE_CHECKING:
    from argparse import Namespace

    from omegaconf import DictConfig

    from abx_amr.configuration.composing import Composition
    from abx_amr.configuration.compositions import Compositions

FULL_ERROR = "HYDRA_FULL_ERROR"
RUN_AGAIN = "run the same command again"


@dataclass(frozen=True, kw_only=True)
class Command:
    """One command: its name, its primary configuration, its help and what it does."""

    name: str
    config_name: str
    help: str
    task: Callable[[DictConfig], Any]
    #: Further overrides that follow from the composition (a default run_name, ...).
    complete: Callable[[Composition, Sequence[str]], list[str]] = lambda composition, overrides: []
    #: What to do after an interrupt, see `carried_out`.
    after_interrupt: str | None = RUN_AGAIN
    #: Whether choices of groups that are swept over are studies of their own.
    runs_each_choice: bool = False


def fail(command: str, message: str) -> NoReturn:
    """Say what is wrong, in one line, and end with status 2."""
    print(shown(f"{command}: error: {message}"), file=sys.stderr)
    raise SystemExit(USER_ERROR)


def task_of_command(command: str, task: Callable[..., Any]) -> Callable[..., Any]:
    """Return `task` with a user's mistake shown as one line and exit status 2."""

    @functools.wraps(task)
    def guard(*arguments: Any, **keywords: Any) -> Any:
        try:
            return task(*arguments, **keywords)
        except InputError as error:
            if _wants_traceback():
                raise
            unstage()
            fail(command, str(error))
        except BrokenPipeError:
            # Hydra says a line of its own of an exception that passes it.
            _end_if_nobody_reads()
            raise
        except OSError as error:
            reason = explain_os(error)
            if reason is None or _wants_traceback():
                raise
            unstage()
            fail(command, reason)
        except Exception as error:
            place = place_in_project(error)
            if not place or _wants_traceback():
                raise
            text = (str(error).strip() or "no reason given").splitlines()[0]
            fail(
                command,
                f"{place}{type(error).__name__}: {text} (abx-init --check tries every class; "
                f"{FULL_ERROR}=1 {command} ... shows the whole traceback)",
            )

    return guard


def run_command(
    command: str, task: Callable[..., Any], *arguments: Any, after_interrupt: str | None = None
) -> Any:
    """Return what the task of a whole command returns; it ends as a command line should.

    A user's mistake is one line and status 2. An interrupt, and an output that nobody reads any
    more (`... | head`), end it with the shell's statuses of their signals.

    Args:
        command: Its name.
        task: What it does.
        arguments: What the task is called with.
        after_interrupt: What the user is told to do after a SIGINT or SIGTERM, where the task does
            not say it by a CommandInterruptError; both end the command alike then. None: the task
            takes over signals itself.
    """
    _open_what_is_closed()
    os.environ["MPLBACKEND"] = "agg"  # a command draws into files, whatever a notebook wants
    try:
        with (
            collecting_seldom(),
            _ended_by_signals(after_interrupt is not None),
            escaped_output(),
        ):
            task_of_command(command, _check_surroundings)(command)
            value = task_of_command(command, task)(*arguments)
            sys.stdout.flush()
    except KeyboardInterrupt as interrupt:
        stopped = CommandInterruptError.of(interrupt, getattr(interrupt, "advice", ""))
        name = signal.Signals(stopped.number).name
        advice = stopped.advice or after_interrupt
        line = "interrupted" + (f" ({name}): {advice}" if advice else "")
        print(shown(f"{command}: {line}"), file=sys.stderr)
        raise SystemExit(of_signal(stopped.number)) from None
    except BrokenPipeError:
        _end_if_nobody_reads()
        raise
    return value


def _end_if_nobody_reads() -> None:
    """End with the status of SIGPIPE where the other end of the output is closed."""
    if not _nobody_reads(sys.stdout.fileno()):
        return
    # Python flushes once more at its end.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    raise SystemExit(of_signal(signal.SIGPIPE)) from None


def _open_what_is_closed() -> None:
    """Let nothing stand for an output that the shell closed (`>&-`), so that no file takes it."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest that is free
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_WRONLY), "w"))


def _check_surroundings(command: str) -> None:
    """Refuse a working folder that is gone, and variables of the environment that say nothing."""
    for line in check_variables():
        print(shown(f"{command}: warning: {line}"), file=sys.stderr)
    try:
        os.getcwd()
    except FileNotFoundError:
        raise InputError("the working folder was removed: change to another one (cd)") from None


@contextmanager
def _ended_by_signals(is_wanted: bool) -> Iterator[None]:
    """Have SIGINT and SIGTERM end the block by a CommandInterruptError, unless they are ignored."""
    if not is_wanted or threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = (signal.SIGINT, signal.SIGTERM)
    interrupts = Interrupts(
        [number for number in numbers if signal.getsignal(number) is not signal.SIG_IGN],
        error=CommandInterruptError,
        after_imports=True,
    )
    with interrupts.watched(), interrupts.ending():
        yield


def enter_without_hydra(
    command: str,
    help_text: str,
    task: Callable[[list[str]], object],
    arguments: Sequence[str] | None = None,
    *,
    is_bare_help: bool = True,
    after_interrupt: str | None = None,
) -> None:
    """Run a command that is no Hydra application.

    Args:
        command: Its name.
        help_text: What --help shows.
        task: What it does with its arguments.
        arguments: Those of the command line (default: sys.argv).
        is_bare_help: Whether the command alone shows its help.
        after_interrupt: What to do after an interrupt, see `carried_out`.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    about = _about(given, help_text, is_bare_help=is_bare_help)
    if about is None:
        run_command(command, task, given, after_interrupt=after_interrupt)
    else:
        run_command(command, print, about)


def _about(given: Sequence[str], help_text: str, *, is_bare_help: bool = False) -> str | None:
    """Return the help or the version where it is asked for, None where something is to be done."""
    if (is_bare_help and not given) or any(a in ("--help", "-h") for a in given):
        return help_text.strip()
    if any(a in ("--version", "-V") for a in given):
        from importlib.metadata import version

        return f"abx-amr {version('abx-amr')}"
    return None


def _nobody_reads(descriptor: int) -> bool:
    """Say whether the other end of a pipe is closed."""
    poll = select.poll()
    poll.register(descriptor, 0)
    return any(event & select.POLLERR for _, event in poll.poll(0))


#: What the system says of a place that cannot be written -> cause and cure.
_PLACES = {
    errno.ENOSPC: "the disk is full: free some space, or choose a folder on another disk",
    errno.EDQUOT: "your quota is used up: free some space, or choose a folder on another disk",
    errno.EACCES: "it may not be written: choose a folder of your own",
    errno.EPERM: "it may not be written: choose a folder of your own",
    errno.EROFS: "it is read-only: choose a folder of your own",
    errno.EFBIG: "files may not grow so large here: raise the limit (ulimit -f)",
    errno.EEXIST: "a file, or a link that leads nowhere, has this name: choose another folder",
    errno.ELOOP: "this link leads to itself: choose another folder",
    errno.ENAMETOOLONG: "this name is too long: choose a shorter one",
    errno.ENOTDIR: "a part of this path is a file, not a folder: choose another folder",
}


def explain_os(error: OSError) -> str | None:
    """Return what a user can do about a place that cannot be written, None for anything else."""
    where = error.filename2 or error.filename
    cure = _PLACES.get(error.errno or 0)
    if error.errno == errno.ENOENT and str(where).startswith(("/proc/", "/sys/")):
        cure = "no folder can be made here: choose a folder of your own"
    if cure is None:
        return None
    named = f"{os.fsdecode(where)}: " if isinstance(where, str | bytes) else ""
    return f"{named}{cure} (results_dir=FOLDER, optimization_dir=FOLDER)"


_user_wants_traceback: bool | None = None
#: The command line without what was added to it, such as a project's folders.
_typed: list[str] = []


def _wants_traceback() -> bool:
    if _user_wants_traceback is None:
        return os.environ.get(FULL_ERROR) == "1"
    return _user_wants_traceback


def enter(command: Command, arguments: Sequence[str] | None = None) -> None:
    """Run a command with the arguments of the command line (default: sys.argv)."""
    global _user_wants_traceback
    given = list(sys.argv[1:] if arguments is None else arguments)
    if (about := _about(given, command.help)) is not None:
        run_command(command.name, print, about)
        return
    logging.captureWarnings(True)
    logging.raiseExceptions = False  # an output that nobody reads any more ends the command
    _user_wants_traceback = os.environ.get(FULL_ERROR) == "1"
    # Hydra then hands exceptions through instead of printing its own shortened traceback.
    os.environ[FULL_ERROR] = "1"
    try:
        run_command(
            command.name, _enter_each, command, given, after_interrupt=command.after_interrupt
        )
    finally:
        if not _user_wants_traceback:
            os.environ.pop(FULL_ERROR, None)


def composed(config: DictConfig) -> tuple[dict[str, Any], dict[str, str], list[str]]:
    """Return what a task needs of a composition: resolved values, choices, overrides."""
    from hydra.core.hydra_config import HydraConfig

    from abx_amr.configuration.composing import resolved

    chosen = HydraConfig.get()
    choices = {group: str(choice) for group, choice in chosen.runtime.choices.items()}
    plain = resolved(config)
    for of_a_search in (plain, choices):  # what an experiment carries for abx-tune
        of_a_search.pop("tuning", None)
    return plain, choices, [str(o) for o in chosen.overrides.task]


def repeated(
    *sections: str, leaving_out: Collection[str] = (), overrides: Sequence[str] | None = None
) -> str:
    """Return the settings of these sections, to be pasted behind another command.

    Sweeps are left out (they are a search, not a setting), and so are the named keys.

    Args:
        sections: The first parts of the keys.
        leaving_out: Keys that are not repeated.
        overrides: Where the settings are taken from (default: the command line).
    """
    from abx_amr.configuration.overrides import settings_of

    given = (_typed or sys.argv[1:]) if overrides is None else overrides
    return settings_of(sections, given, leaving_out=leaving_out)


def _enter_each(command: Command, given: list[str]) -> None:
    """Enter once, or once for each study of a command line; all are read before one begins."""
    from abx_amr.cli.several_studies import run_each, studies_of
    from abx_amr.configuration.compositions import Compositions

    compositions = Compositions()
    studies = studies_of(given) if command.runs_each_choice else []
    for study in studies:
        _read(command, study.arguments, compositions)
    if studies:
        run_each(
            command.name, studies, lambda arguments: _enter_hydra(command, arguments, compositions)
        )
    else:
        _enter_hydra(command, given, compositions)


def _enter_hydra(command: Command, given: list[str], compositions: Compositions) -> None:
    from hydra.core.global_hydra import GlobalHydra

    from abx_amr.configuration.composing import places_in_project

    arguments, parsed, composition = _read(command, given, compositions)
    _typed[:] = arguments
    extra: list[str] = []
    if composition is not None:
        if not _shows_only(parsed):
            extra = command.complete(composition, parsed.overrides)
        extra += composition.home_folders
        extra += places_in_project(composition.config, parsed.overrides)
    GlobalHydra.instance().clear()
    saved = sys.argv
    sys.argv = [command.name, *arguments, *extra]
    try:
        if composition is None or parsed.info:
            _show_of_hydra(command, parsed)
        else:
            parsed.overrides = [*parsed.overrides, *extra]
            _run(command, parsed, composition, compositions)
    finally:
        sys.argv = saved


def _run(
    command: Command, parsed: Namespace, composition: Composition, compositions: Compositions
) -> None:
    """Show the composition, or run it: once, or as many jobs (-m)."""
    from abx_amr.configuration.groups import application
    from abx_amr.host.secrets import redacted_yaml

    config_name = parsed.config_name or command.config_name
    overrides = parsed.overrides
    with application(
        compositions, job_name=command.config_name, config_dir=parsed.config_dir
    ) as hydra:
        if parsed.cfg:
            shown_yaml = _printed_by(
                lambda: hydra.show_cfg(
                    config_name, overrides, parsed.cfg, parsed.package, parsed.resolve
                )
            )
            print(redacted_yaml(shown_yaml), end="")
        elif parsed.multirun or composition.is_multirun:
            hydra.multirun(config_name, command.task, [*overrides, "hydra.mode=MULTIRUN"])
        else:
            hydra.run(config_name, command.task, [*overrides, "hydra.mode=RUN"])


def _show_of_hydra(command: Command, parsed: Namespace) -> None:
    """Print what Hydra says of itself and of its composing, or what completes a word."""
    import hydra

    from abx_amr.configuration.groups import conf_dir, version_base
    from abx_amr.host.secrets import redacted_yaml

    run = hydra.main(
        config_path=str(conf_dir()), config_name=command.config_name, **version_base()
    )(command.task)
    if parsed.info:
        print(redacted_yaml(_printed_by(run)), end="")
    else:
        run()


def _read(
    command: Command, given: Sequence[str], compositions: Compositions
) -> tuple[list[str], Namespace, Composition | None]:
    """Return the arguments for Hydra, what its parser makes of them, and their composition.

    That is without what is swept over; None for Hydra's own help and completion.

    Raises:
        InputError: what is wrong with them, in one line.
    """
    from hydra._internal.utils import get_args_parser

    from abx_amr.configuration.composing import compose, is_search_override
    from abx_amr.configuration.overrides import check_together
    from abx_amr.configuration.search_space import without_sweeper_params
    from abx_amr.configuration.written import to_the_letter
    from abx_amr.host.secrets import refuse_secrets

    arguments = translate(list(given))
    parser = get_args_parser()
    parser.error = _refuse_flag  # type: ignore[method-assign]
    parsed = parser.parse_args(arguments)
    shows_only = _shows_only(parsed)
    if not parsed.shell_completion:
        refuse_secrets(parsed.overrides)  # sweeps too, which `compose` does not see
        for position, override in enumerate(parsed.overrides):
            if "=" not in override and not override.startswith("~"):
                raise InputError(no_setting(parsed.overrides, position))
        settings = to_the_letter(without_sweeper_params(parsed.overrides))
        flags = [a for a in arguments if a not in parsed.overrides]
        if shows_only:
            flags = [flag for flag in flags if flag not in ("-m", "--multirun")]
        arguments, parsed.overrides = [*flags, *settings], settings
        check_together(parsed.overrides)
        _check_flags(command, parsed)
    if parsed.shell_completion or parsed.hydra_help:
        return arguments, parsed, None
    fixed = [o for o in parsed.overrides if not is_search_override(o)]
    if len(fixed) < len(parsed.overrides) and (shows_only or not parsed.multirun):
        sweeping = next(o for o in parsed.overrides if o not in fixed)
        cure = "one configuration is shown: give one value" if shows_only else "add -m"
        example = "" if shows_only else f" ({command.name} -m ...)"
        key, _, value = sweeping.partition("=")
        if re.fullmatch(r"0,[0-9]+", value):
            example += f"; a number has a decimal point: {key}={value.replace(',', '.')}"
        raise InputError(f"'{sweeping}' sweeps over values: {cure}{example}")
    folders = [parsed.config_dir] if parsed.config_dir else []
    composition = compose(
        parsed.config_name or command.config_name,
        fixed,
        search_path=folders,
        compositions=compositions,
        job_name=command.config_name,
    )
    _check_is_whole(command, composition, parsed.config_name)
    return arguments, parsed, composition


def _shows_only(parsed: Namespace) -> bool:
    return bool(parsed.cfg or parsed.info or parsed.shell_completion or parsed.hydra_help)


def _printed_by(task: Callable[[], object]) -> str:
    """Return what a task prints."""
    with redirect_stdout(io.StringIO()) as printed:
        task()
    return printed.getvalue()


def _check_flags(command: Command, parsed: Namespace) -> None:
    """Refuse flags of Hydra that mean nothing here, or nothing alone.

    Raises:
        InputError: naming what to write instead.
    """
    if parsed.resolve and not parsed.cfg:
        raise InputError("--resolve goes with --cfg: write --cfg job --resolve")
    if parsed.package and not parsed.cfg:
        raise InputError(f"--package goes with --cfg: write --cfg job --package {parsed.package}")
    if parsed.experimental_rerun:
        raise InputError(
            "--experimental-rerun is not used here: a run folder says what it was made with "
            "(overrides.yaml), resume_from=FOLDER goes on with it"
        )
    if parsed.config_dir and not os.path.isdir(parsed.config_dir):
        raise InputError(f"--config-dir: there is no folder '{parsed.config_dir}' in {os.getcwd()}")
    name = parsed.config_name
    if name in _PRIMARY and name != command.config_name:
        theirs = f"is that of abx-{name}" if name != "umbrella" else "is a part of the others"
        raise InputError(f"--config-name={name} {theirs}: leave the flag out")


#: The primary configurations.
_PRIMARY = ("umbrella", "train", "tune", "evaluate", "plan", "study", "gather")


def _check_is_whole(command: Command, composition: Composition, config_name: str | None) -> None:
    """Refuse a primary configuration of the user's own that lacks what the command reads.

    Raises:
        InputError: naming the key, and the cure.
    """
    from abx_amr.configuration.composing import compose

    if config_name in (None, command.config_name):
        return
    needed = compose(command.config_name).config
    missing = [str(key) for key in needed if key not in composition.config]
    if missing:
        raise InputError(
            f"--config-name={config_name}: {config_name}.yaml lacks {missing[0]}: begin it with "
            f"'defaults: [{command.config_name}, _self_]'"
        )


def _refuse_flag(message: str) -> NoReturn:
    """Say in one line what Hydra's parser would say in ten."""
    raise InputError(message.removeprefix("argument ").replace("(choose from", "(available:"))


#: Keys whose values name a folder, see `naming.check_folder_name`.
_NAMES = ("run_name", "study_name")


def no_setting(overrides: Sequence[str], position: int) -> str:
    """Return the line about a word that is no key=value, with what was probably meant.

    >>> no_setting(["training.seed", "=", "3"], 0)
    "'training.seed' is no setting: write training.seed=3 without spaces"
    >>> no_setting(["experiment", "paper_two"], 0)
    "'experiment' is no setting: write key=value, such as experiment=paper_two"
    >>> no_setting(["run_name=my", "run"], 1)
    "'run' is no setting: write run_name=my_run (a name has no spaces)"
    >>> no_setting(["runs=[a,", "b]"], 1)
    "'b]' is no setting: write key=value; a value with a space is quoted: 'runs=[a, b]'"
    """
    word = overrides[position]
    before = overrides[position - 1] if position else ""
    after = overrides[position + 1] if position + 1 < len(overrides) else ""
    start = f"'{word}' is no setting: write"
    if os.path.isdir(word):
        return f"{start} key=value, such as run={word}"
    if ":" in word.rstrip(":"):
        return f"{start} {word.replace(': ', '=').replace(':', '=', 1)}"
    if after.startswith("="):
        value = after[1:] or (overrides[position + 2] if position + 2 < len(overrides) else "VALUE")
        return f"{start} {word}={value} without spaces"
    if before.endswith("="):
        return f"{start} {before}{word} without spaces"
    if after and "=" not in after:
        return f"{start} key=value, such as {word.rstrip(':')}={after}"
    if before.partition("=")[0] in _NAMES and "=" in before:
        return f"{start} {before}_{word} (a name has no spaces)"
    if "=" in before:
        return f"{start} key=value; a value with a space is quoted: '{before} {word}'"
    return f"{start} key=value, such as training.seed=3"
