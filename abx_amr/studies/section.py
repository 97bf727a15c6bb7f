"""The tuning section of a configuration, read value by value within its limits.

The shipped tuning files own the defaults: a key that is missing is a mistake here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from abx_amr import checks
from abx_amr.errors import InputError, did_you_mean, hint
from abx_amr.studies.records import FinalSize, RaceRules


class TuningSection:
    """The values of `tuning`, by key; each reader raises an InputError of one line."""

    def __init__(self, values: Mapping[str, Any], *, known: Sequence[str]) -> None:
        """Take the plain values.

        Args:
            values: Key -> value.
            known: The keys there are.

        Raises:
            InputError: Another key is given.
        """
        for key in values:
            if key not in known:
                raise InputError(f"tuning.{key} does not exist{hint(key, known, label='known')}")
        self._values = values

    def given(self, key: str) -> Any:
        """Return the value as it is written."""
        if key not in self._values:
            raise InputError(
                f"tuning.{key} is missing: a tuning file of your own begins with 'defaults: [base]'"
            )
        return self._values[key]

    def mapping(self, key: str) -> Mapping[str, Any]:
        """Return a mapping; nothing written is an empty one."""
        value = self.given(key)
        if value is None:
            return {}
        if not isinstance(value, Mapping):
            raise InputError(f"tuning.{key} must be a section (NAME: VALUE), got {value!r}")
        return value

    def choice(self, key: str, known: Sequence[str], *, later: str | None = None) -> str:
        """Return one of the `known` words; `later` says what is not in this release."""
        value = self.given(key)
        text = "none" if value is None else value.lower() if isinstance(value, str) else ""
        if text not in known:
            why = f" ({later})" if later else ""
            raise InputError(
                f"tuning.{key} must be {' or '.join(known)}, got {value!r}"
                f"{did_you_mean(value, known)}{why}"
            )
        return text

    def flag(self, key: str) -> bool:
        """Return true or false."""
        return checks.flag(f"tuning.{key}", self.given(key))

    def whole(self, key: str, *, low: float = -math.inf, high: float = math.inf) -> int:
        """Return a whole number within [low, high]."""
        return checks.whole_number(f"tuning.{key}", self.given(key), low, high)

    def whole_or_none(self, key: str, *, low: int, high: float = math.inf) -> int | None:
        """Return a whole number within [low, high], None where null is written."""
        return None if self.given(key) is None else self.whole(key, low=low, high=high)

    def number(self, key: str, *, low: float = -math.inf, above: float | None = None) -> float:
        """Return a finite number of at least `low`, or above `above`."""
        limit = low if above is None else above
        return checks.number(f"tuning.{key}", self.given(key), limit, open_low=above is not None)

    def number_or_none(self, key: str, *, above: float) -> float | None:
        """Return a finite number above `above`, None where null is written."""
        return None if self.given(key) is None else self.number(key, above=above)

    def from_sweeper(self, key: str, *, unless_told: int) -> int:
        """Return a whole number of at least 1 that the sweeper adds; no file has its key."""
        return self.whole(key, low=1) if self._values.get(key) is not None else unless_told

    @property
    def is_final_told(self) -> bool:
        """Whether the size of the final is written."""
        return isinstance(self._values.get("final"), Mapping)

    def final(self, *, trainings: int) -> FinalSize | None:
        """Return how large the final is, None for none.

        Args:
            trainings: Those of the search, which the size follows where none is written.
        """
        value = self.given("final")
        if isinstance(value, bool):
            return FinalSize.of_search(trainings) if value else None
        known = ("top", "seeds")
        if not isinstance(value, Mapping) or not value:
            raise InputError(
                "tuning.final must be true (its size follows the search), false or {top: POINTS, "
                f"seeds: SEEDS}}, not {value!r}"
            )
        _check_names("tuning.final", value, known)
        sized = FinalSize.of_search(trainings)
        return FinalSize(
            top=checks.whole_number("tuning.final.top", value.get("top", sized.top), 1),
            seeds=checks.whole_number("tuning.final.seeds", value.get("seeds", sized.seeds), 2),
        )

    def race(self, *, trainings: int, episodes: Any) -> RaceRules | None:
        """Return how seeds are given out in a race, None for none.

        Args:
            trainings: Those of the search without a race: the budget where none is written.
            episodes: How long a whole training is.
        """
        value = self.given("race")
        if isinstance(value, bool):
            return RaceRules(trainings=trainings) if value else None
        known = ("trainings", "first_seeds", "reduction", "level", "episodes")
        if not isinstance(value, Mapping) or not value:
            raise InputError(
                "tuning.race must be true, false or a section of "
                f"{', '.join(known)} (as in tuning.race={{trainings: 150}}), not {value!r}"
            )
        _check_names("tuning.race", value, known)
        plain = RaceRules(trainings=trainings)
        given = {
            key: plain.as_record().get(key) if value.get(key) is None else value[key]
            for key in known
        }
        first = checks.whole_number("tuning.race.first_seeds", given["first_seeds"], 1)
        return RaceRules(
            trainings=checks.whole_number("tuning.race.trainings", given["trainings"], first),
            first_seeds=first,
            reduction=checks.whole_number("tuning.race.reduction", given["reduction"], 2),
            level=checks.number("tuning.race.level", given["level"], 0.0, 0.5),
            episodes=_lengths(given["episodes"], whole=episodes),
        )

    def job(self) -> dict[str, int] | None:
        """Return trial number and seed of a job that the sweeper has made, None for a worker."""
        value = self._values.get("job")
        if value is None:
            return None
        if not isinstance(value, Mapping) or set(value) != {"number", "seed"}:
            raise InputError(f"tuning.job must be {{number: ..., seed: ...}}, not {value!r}")
        return {
            str(key): checks.whole_number(f"tuning.job.{key}", number)
            for key, number in value.items()
        }


def _check_names(path: str, section: Mapping[str, Any], known: Sequence[str]) -> None:
    """Refuse a name that a section of this path does not know."""
    for key in section:
        if key not in known:
            raise InputError(f"{path}.{key} does not exist{hint(str(key), known, label='known')}")


def _lengths(value: Any, *, whole: Any) -> tuple[int, int] | None:
    """Return how long the short and the whole trainings of a race are, None for whole ones alone.

    Args:
        value: As it is written.
        whole: How long the trainings of the study are; of each agent where it chooses one.
    """
    key = "tuning.race.episodes"
    if value is None:
        return None
    if isinstance(whole, Mapping):
        raise InputError(
            f"{key} needs trainings of one length: those of {', '.join(map(str, whole))} differ "
            f"(tuning.truncated_episodes): give them one length, or leave it out ({key}=null)"
        )
    if isinstance(value, str | bytes) or not isinstance(value, Sequence) or len(value) != 2:
        raise InputError(
            f"{key} must be two lengths, [SHORT, WHOLE] as in [75, 300], or null, not {value!r}"
        )
    short, last = (checks.whole_number(f"{key}[{i}]", one, 1) for i, one in enumerate(value))
    if last != whole:
        raise InputError(
            f"{key} must end with the length of a trial's trainings, tuning.truncated_episodes="
            f"{whole}: not {[short, last]}; say tuning.truncated_episodes={last}"
        )
    if short >= last or last % short:
        parts = [last // parts for parts in (2, 3, 4, 5) if last % parts == 0]
        which = f", such as {parts[len(parts) // 2]}" if parts else ""
        raise InputError(
            f"{key} must begin with a length that goes into {last} several times{which}: "
            f"not {[short, last]}"
        )
    return short, last
