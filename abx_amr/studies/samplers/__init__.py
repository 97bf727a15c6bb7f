"""The samplers, one file each: a new file is a new `tuning.sampler`, by its name."""

from abx_amr.studies.samplers.choice import (
    SamplerChoice,
    check_can_be_built,
    choose_sampler,
    effective_budget,
    log_what_is_drawn_at_random,
    make_sampler,
)
from abx_amr.studies.samplers.members import sampler_name, sampler_names

__all__ = [
    "SamplerChoice",
    "check_can_be_built",
    "choose_sampler",
    "effective_budget",
    "log_what_is_drawn_at_random",
    "make_sampler",
    "sampler_name",
    "sampler_names",
]
