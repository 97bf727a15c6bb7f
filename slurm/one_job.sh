#!/bin/bash
# One job on one node: several local workers and a PostgreSQL server of their own.
#
#   sbatch slurm/one_job.sh +tuning=ppo_default run_name=big
#
# The same command again goes on where the study stood: at the end the database is kept in
# STATE/study.dump, from which it is put back where the node's disk no longer holds it.
# Environment, with defaults:
#   WORKERS   workers (the job's CPUs)
#   STATE     a folder for what is kept (.abx/one_job)
#   DATA_DIR  the database, on a disk of the node (in $TMPDIR, else /tmp)
#   REQUEUE   1: queue the job again when its time limit comes before the end of the study
#SBATCH --job-name=abx-study
#SBATCH --cpus-per-task=8
#SBATCH --mem-per-cpu=2G
#SBATCH --time=08:00:00
#SBATCH --signal=B:USR2@120
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=%x_%j.out
##SBATCH --account=CHANGE_ME
##SBATCH --partition=CHANGE_ME
# module load python/3.11
# source .venv/bin/activate
set -euo pipefail

WORKERS=${WORKERS:-${SLURM_CPUS_PER_TASK:-2}}
STATE=${STATE:-$PWD/.abx/one_job}
DATA_DIR=${DATA_DIR:-${TMPDIR:-/tmp}/abx-postgres-${SLURM_JOB_ID:-$UID}}
mkdir -p "$STATE"

[[ -d $DATA_DIR/data ]] && is_new=0 || is_new=1
exports=$(abx-postgres up data_dir="$DATA_DIR" port=auto workers="$WORKERS")
eval "$exports"
if [[ $is_new == 1 && -s $STATE/study.dump ]]; then
    pg_restore --clean --if-exists --no-owner --single-transaction --host="$PG_HOST" \
        --port="$PG_PORT" --username="$PG_USERNAME" --dbname="$DB_NAME" "$STATE/study.dump"
fi

limit=0
abx-tune -m "$@" storage=postgres tuning.n_workers="$WORKERS" &
tune=$!
trap 'kill -TERM "$tune"' TERM INT
trap 'limit=1; kill -TERM "$tune"' USR2
set +e
while wait "$tune"; status=$?; kill -0 "$tune" 2>/dev/null; do :; done

# The last worker has ended: keep what they wrote, then stop their server.
trap '' TERM INT USR2
abx-postgres backup data_dir="$DATA_DIR" file="$STATE/study.dump.new" &&
    mv "$STATE/study.dump.new" "$STATE/study.dump"
abx-postgres down data_dir="$DATA_DIR"
[[ $status == 75 ]] && limit=1 # it stopped by itself, the limit being near
[[ $limit == 1 && ${REQUEUE:-1} == 1 ]] && scontrol requeue "$SLURM_JOB_ID"
exit "$status"
