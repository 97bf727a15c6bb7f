"""What Stable-Baselines3 lacks: fixed rules and schedules."""
