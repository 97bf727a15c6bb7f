"""Agents of Stable-Baselines3 and sb3-contrib that learn on-policy, in their own loop or faster."""
