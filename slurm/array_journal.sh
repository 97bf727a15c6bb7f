#!/bin/bash
# An array of workers without a server: the study is one journal file that all nodes can see.
#
#   sbatch --array=0-7 slurm/array_journal.sh +tuning=ppo_default run_name=big
#
# All tasks join the same study; the same command again adds workers, or goes on with it.
# Environment, with defaults:
#   REQUEUE   1: queue a task again when its time limit comes before the end of the study
#SBATCH --job-name=abx-workers
#SBATCH --array=0-7
#SBATCH --cpus-per-task=1
#SBATCH --mem-per-cpu=2G
#SBATCH --time=08:00:00
#SBATCH --signal=B:USR2@120
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=%x_%A_%a.out
##SBATCH --account=CHANGE_ME
##SBATCH --partition=CHANGE_ME
# module load python/3.11
# source .venv/bin/activate
set -uo pipefail

abx-tune -m "$@" storage=journal &
tune=$!
trap 'kill -TERM "$tune"' TERM INT
trap 'kill -USR2 "$tune"' USR2
while wait "$tune"; status=$?; kill -0 "$tune" 2>/dev/null; do :; done

# 140: SLURM's signal before the limit; 75: it stopped by itself, the limit being near.
if [[ ${REQUEUE:-1} == 1 && ($status == 140 || $status == 75) ]]; then
    scontrol requeue "$SLURM_JOB_ID"
fi
exit "$status"
