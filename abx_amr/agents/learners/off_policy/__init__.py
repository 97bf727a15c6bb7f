"""Q-learning of Stable-Baselines3 and sb3-contrib: from a buffer of what was seen before."""
