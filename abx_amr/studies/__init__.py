"""Optuna studies: spaces, samplers, storages, workers, budgets; no simulator, no torch, no Hydra."""
