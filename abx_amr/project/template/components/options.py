"""An option of your own: a rule that a manager (hrl_ppo, hrl_rppo) can choose for some steps.

Used by option_library=own_options.
Shapes: N clinics that are inside the option, P patients, K antibiotics.
"""

from abx_amr.hierarchy.options import Option


class WhileSensitive(Option):
    """Treats everybody with the antibiotic of the lowest visible AMR, until all are too high."""

    def __init__(self, model, *, name, duration, limit):
        """Take the longest duration in steps, and the visible AMR at which the option ends."""
        super().__init__(model, name=name, duration=duration)
        if not 0.0 < limit <= 1.0:
            raise ValueError(f"limit must be in (0, 1], got {limit}")
        self.limit = limit

    def decide(self, seen):
        """Return one prescription for each patient, (N, P).

        seen.attributes[name] is (N, P), seen.visible_amr (N, K), seen.step (N,).
        """
        return self.for_all(seen.visible_amr.argmin(axis=1))

    def should_terminate(self, seen):
        """Return where the option ends early, (N,)."""
        return seen.visible_amr.min(axis=1) >= self.limit
