"""PPO for all seeds of a trial at once: what SB3 computes, compiled and without its overhead."""
