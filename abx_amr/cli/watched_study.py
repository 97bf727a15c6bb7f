"""A study shown while others work on it: in other processes, on other machines."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from abx_amr.errors import counted
from abx_amr.host.progress import duration, is_on_a_terminal
from abx_amr.studies.overview import StudyOverview, overview_of_stored
from abx_amr.tuning import display

if TYPE_CHECKING:
    from abx_amr.studies.storages import StudyStorage


#: A look may hold up the workers: the pause after it is at least so many times as long.
LOOK_SHARE = 5.0


def watch_study(storage: StudyStorage, name: str, *, is_alone: bool) -> None:
    """Show how far a study is until it is complete: on a terminal, or a line for each change.

    Args:
        storage: Where it lies.
        name: Its name there.
        is_alone: Whether no worker was heard of, which is said.

    Raises:
        InputError: it does not exist (any more), or abx-tune has not made it.
    """
    now = overview_of_stored(storage, name)
    if is_alone and not now.is_complete:
        print(
            f"nobody is heard of who works on {name}: its abx-tune command goes on with it",
            flush=True,
        )
    own = copy.deepcopy(storage)  # the display reads from a thread of its own
    with display.study_display(lambda: overview_of_stored(own, name), "transitions"):
        _until_complete(lambda: overview_of_stored(storage, name), now)
    print(f"study {name} is complete: abx-study show {name} says what came of it")


def _until_complete(look: Callable[[], StudyOverview], now: StudyOverview) -> None:
    """Look again and again; print a line for each change where no terminal shows the study."""
    said, pause = "", display.LOOK_SECONDS
    while True:
        if not is_on_a_terminal() and (line := _line(now)) != said:
            rest = "" if not now.remaining_seconds else f", {duration(now.remaining_seconds)} left"
            print(f"{line}{rest}", flush=True)
            said = line
        if now.is_complete:
            return
        time.sleep(pause)
        began = time.monotonic()
        now = look()
        pause = max(display.LOOK_SECONDS, LOOK_SHARE * (time.monotonic() - began))


def _line(study: StudyOverview) -> str:
    """Return how far a study is, in one line that stays the same while nothing ends."""
    parts = [f"[{study.n_finished}/{study.budget}]"]
    if study.best_value is not None:
        parts.append(f"best {study.best_value:.3f} (trial {study.best_trial})")
    if study.final_planned is not None:
        parts.append(f"final: {study.final_done} of at most {study.final_planned} trainings")
    if study.n_failed:
        parts.append(f"{counted(study.n_failed, 'attempt')} failed")
    return "  ".join(parts)
