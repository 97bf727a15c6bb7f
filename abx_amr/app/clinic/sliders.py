"""The sliders of a clinic's form: what each sets, in which limits, and what more of it means."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from abx_amr import checks
from abx_amr.errors import InputError

ANY = checks.Range()


@dataclass(frozen=True, kw_only=True)
class Slider:
    """A number that a form sets.

    Attributes:
        key: Its name in the form.
        label: What it is.
        low: The slider's lower end.
        high: Its upper end.
        step: Its step.
        help: What a higher value means.
        path: Where it stands in the configuration, by which an error finds it.
        allowed: Which values there may be at all; a slider shows the usual ones.
    """

    key: str
    label: str
    low: float
    high: float
    step: float
    help: str = ""
    path: str = ""
    allowed: checks.Range = ANY

    @property
    def is_whole(self) -> bool:
        """Whether it counts."""
        return self.step == int(self.step)

    def read(self, form: Mapping[str, str], default: float) -> float:
        """Return the number in a form.

        Raises:
            InputError: it is none, or out of what is allowed.
        """
        text = form.get(self.key, "").strip()
        if not text:
            return default
        try:
            value = int(text) if self.is_whole else float(text)
        except ValueError:
            kind = "a whole number" if self.is_whole else "a number"
            raise InputError(f"{self.path or self.key} must be {kind}, got {text!r}") from None
        name, limits = self.path or self.key, self.allowed
        if self.is_whole:
            return checks.whole_number(name, value, limits.low, limits.high)
        return checks.number(
            name,
            value,
            limits.low,
            limits.high,
            open_low=limits.open_low,
            open_high=limits.open_high,
        )


_SHARE = checks.Range(low=0.0, high=1.0)
_INSIDE = checks.Range(low=0.0, high=1.0, open_low=True, open_high=True)
_POSITIVE = checks.Range(low=0.0, open_low=True)
_NOT_NEGATIVE = checks.Range(low=0.0)
_COUNT = checks.Range(low=1)

#: Of each drug: name in the configuration -> its slider, and the value of a new drug.
DRUG: Mapping[str, tuple[Slider, float]] = {
    "leak": (
        Slider(
            key="leak",
            label="Leak",
            low=0.01,
            high=0.99,
            step=0.01,
            allowed=_INSIDE,
            help="how fast resistance fades: doses forgotten in a step",
        ),
        0.2,
    ),
    "flatness_parameter": (
        Slider(
            key="flatness_parameter",
            label="Flatness",
            low=1,
            high=150,
            step=0.5,
            allowed=_POSITIVE,
            help="how slowly resistance rises with doses",
        ),
        40.0,
    ),
    "initial_amr_level": (
        Slider(
            key="initial_amr_level",
            label="Resistance at the start",
            low=0,
            high=1,
            step=0.01,
            allowed=_SHARE,
            help="share of infections that resist on the first day",
        ),
        0.0,
    ),
    "adverse_effect_probability": (
        Slider(
            key="adverse_effect_probability",
            label="Side effects: how often",
            low=0,
            high=1,
            step=0.01,
            allowed=_SHARE,
            help="probability for each treated patient",
        ),
        0.25,
    ),
    "adverse_effect_penalty": (
        Slider(
            key="adverse_effect_penalty",
            label="Side effects: how bad",
            low=-5,
            high=-0.01,
            step=0.01,
            help="reward of one; a cured infection is worth the clinical benefit",
        ),
        -0.5,
    ),
}
#: Of two drugs.
CROSS = Slider(key="cross", label="", low=0, high=1, step=0.01, allowed=_SHARE)
PATIENTS = Slider(
    key="patients",
    label="Patients per step",
    low=1,
    high=20,
    step=1,
    help="how many come in a step, each treated or not",
    allowed=_COUNT,
    path="environment.num_patients_per_time_step",
)
STEPS = Slider(
    key="steps",
    label="Steps of an episode",
    low=10,
    high=1000,
    step=10,
    help="how long an episode is: the horizon that counts",
    allowed=_COUNT,
    path="environment.max_time_steps",
)
DELAY = Slider(
    key="delay",
    label="Steps between two reports",
    low=1,
    high=120,
    step=1,
    allowed=_COUNT,
    help="the prescriber sees the resistance of the last report; 1: always the present one",
    path="environment.visible_amr.update_every_n_time_steps",
)
NOISE = Slider(
    key="noise",
    label="Noise of a report",
    low=0,
    high=0.5,
    step=0.01,
    allowed=_NOT_NEGATIVE,
    help="standard deviation of the reported level",
    path="environment.visible_amr.noise_std",
)
BIAS = Slider(
    key="bias",
    label="Bias of a report",
    low=-0.5,
    high=0.5,
    step=0.01,
    allowed=checks.Range(low=-1.0, high=1.0),
    help="below 0: resistance looks lower than it is",
    path="environment.visible_amr.bias",
)
WEIGHT = Slider(
    key="weight",
    label="Weight of resistance",
    low=0,
    high=1,
    step=0.01,
    allowed=_SHARE,
    help="0: the patients treated now count alone; 1: resistance alone",
    path="reward_calculator.lambda_weight",
)
HIGH_SHARE = Slider(
    key="high_share",
    label="Share of high-risk patients",
    low=0,
    high=1,
    step=0.05,
    help="of those who come",
    allowed=_SHARE,
    path="patient_generator.populations.high_risk.proportion",
)
HIGH_RISK = Slider(
    key="high_risk",
    label="Infected among high-risk patients",
    low=0,
    high=1,
    step=0.01,
    allowed=_SHARE,
    help="mean probability of an infection",
    path="patient_generator.populations.high_risk.prob_infected",
)
LOW_RISK = Slider(
    key="low_risk",
    label="Infected among low-risk patients",
    low=0,
    high=1,
    step=0.01,
    help="mean probability of an infection",
    allowed=_SHARE,
    path="patient_generator.populations.low_risk.prob_infected",
)
SPREAD = Slider(
    key="spread",
    label="Spread within a group",
    low=0,
    high=0.3,
    step=0.01,
    allowed=_NOT_NEGATIVE,
    help="standard deviation of that probability between patients",
)
RISK = (HIGH_SHARE, HIGH_RISK, LOW_RISK, SPREAD)
#: Those that are not of one drug, in the order of the form.
OF_THE_CLINIC = (PATIENTS, STEPS, DELAY, NOISE, BIAS, WEIGHT, *RISK)
