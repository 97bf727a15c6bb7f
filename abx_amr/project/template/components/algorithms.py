"""A learning algorithm of your own: any on-policy algorithm of Stable-Baselines3, or a subclass.

Chosen with agent_algorithm=fading_entropy_ppo.
"""

from stable_baselines3 import PPO


class FadingEntropyPPO(PPO):
    """PPO whose entropy bonus goes from `ent_coef` to `ent_coef_final` over the training."""

    def __init__(self, *arguments, ent_coef_final=0.0, **keywords):
        """Take what PPO takes, and the entropy bonus at the end."""
        super().__init__(*arguments, **keywords)
        self.ent_coef_start = self.ent_coef
        self.ent_coef_final = ent_coef_final

    def train(self):
        """Make one update with the entropy bonus of this moment."""
        left = self._current_progress_remaining  # from 1 to 0
        self.ent_coef = self.ent_coef_final + left * (self.ent_coef_start - self.ent_coef_final)
        super().train()
