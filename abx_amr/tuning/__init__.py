"""What a trial is, and the service that a study's sweeper, workers and notebooks call.

A searched value walks down: the sweeper hands overrides to `service`, a trial's point goes through
`trials` to `points`, which puts it into the configuration and builds the agent.
"""
