"""Optuna studies: spaces, samplers, storages, workers; no simulator, no torch, no Hydra."""
