"""The clinic as SB3 VecEnv and as environments of gymnasium."""

from abx_amr.envs.single_env import ClinicEnv
from abx_amr.envs.vec_env import ClinicVecEnv
from abx_amr.envs.vector_env import ClinicVectorEnv

__all__ = ["ClinicEnv", "ClinicVecEnv", "ClinicVectorEnv"]
