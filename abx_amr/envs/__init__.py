"""The clinic as SB3 VecEnv and as gymnasium environment."""

from abx_amr.envs.single_env import ClinicEnv
from abx_amr.envs.vec_env import ClinicVecEnv

__all__ = ["ClinicEnv", "ClinicVecEnv"]
