#!/bin/bash
# An array of workers that share a PostgreSQL server, which is a job of its own.
#
#   bash slurm/array_postgres.sh +tuning=ppo_default run_name=big
#
# submits both. While the server runs, the same command adds workers. The server ends after the
# last worker and keeps the database in STATE/study.dump, with which the next one begins.
# Environment, with defaults:
#   WORKERS   tasks of the array (8)
#   STATE     a folder that all nodes see (.abx/array_postgres)
#   DATA_DIR  the database, on a disk of the server's node (in $TMPDIR, else /tmp)
#   LISTEN    the server's ADDRESS[/RANGE] (the first address of its node)
#   REQUEUE   1: queue a task again when its time limit comes before the end of the study
#   SERVER_OPTIONS, WORKER_OPTIONS   further options of sbatch, such as "--time=2-00:00:00"
#SBATCH --cpus-per-task=1
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
set -uo pipefail
export STATE=${STATE:-$PWD/.abx/array_postgres} WORKERS=${WORKERS:-8}

is_queued() { # a controller that does not answer may know the job
    local said
    said=$(squeue --noheader --job "$1" 2>&1)
    [[ -n $said && $said != *"Invalid job id"* ]]
}

serve() {
    local data=${DATA_DIR:-${TMPDIR:-/tmp}/abx-postgres-$SLURM_JOB_ID} exports array is_new=1
    [[ -d $data/data ]] && is_new=0
    exports=$(abx-postgres up data_dir="$data" port=auto workers=$((2 * WORKERS)) \
        passfile="$STATE/pgpass" --listen "${LISTEN:-$(hostname -I | cut -d' ' -f1)}") || exit
    eval "$exports"
    if [[ $is_new == 1 && -s $STATE/study.dump ]]; then
        pg_restore --clean --if-exists --no-owner --single-transaction --host="$PG_HOST" \
            --port="$PG_PORT" --username="$PG_USERNAME" --dbname="$DB_NAME" \
            "$STATE/study.dump" || exit
    fi
    printf '%s\n' "$exports" >"$STATE/exports.new" && mv "$STATE/exports.new" "$STATE/exports"
    # A signal for the server is one for its workers: it outlives them.
    trap 'xargs scancel <"$STATE/workers"' TERM INT USR2
    until [[ -s $STATE/workers ]]; do sleep 1; done
    while read -r array; do
        while is_queued "$array"; do sleep 2 & wait $!; done
    done <"$STATE/workers" # lines that are added meanwhile are read as well
    trap '' TERM INT USR2
    rm "$STATE/exports"
    abx-postgres backup data_dir="$data" file="$STATE/study.dump.new" &&
        mv "$STATE/study.dump.new" "$STATE/study.dump"
    abx-postgres down data_dir="$data"
}

work() {
    local tune status
    until [[ -s $STATE/exports ]]; do
        is_queued "$(<"$STATE/server")" || { echo "the server's job has ended" >&2 && exit 1; }
        sleep 1
    done
    # shellcheck source=/dev/null
    source "$STATE/exports"
    abx-tune -m "$@" storage=postgres &
    tune=$!
    trap 'kill -TERM "$tune"' TERM INT
    trap 'kill -USR2 "$tune"' USR2
    while wait "$tune"; status=$?; kill -0 "$tune" 2>/dev/null; do :; done
    # 140: SLURM's signal before the limit; 75: it stopped by itself, the limit being near.
    if [[ ${REQUEUE:-1} == 1 && ($status == 140 || $status == 75) ]]; then
        scontrol requeue "$SLURM_JOB_ID"
    fi
    return "$status"
}

submit() {
    local server array options
    mkdir -p "$STATE"
    server=$(cat "$STATE/server" 2>/dev/null)
    if [[ -z $server ]] || ! is_queued "$server"; then
        rm -f "$STATE/exports" "$STATE/workers"
        read -ra options <<<"${SERVER_OPTIONS:-}"
        server=$(sbatch --parsable --job-name=abx-server "${options[@]}" "$0" server) || exit
        echo "$server" >"$STATE/server"
    fi
    read -ra options <<<"${WORKER_OPTIONS:-}"
    array=$(sbatch --parsable --job-name=abx-workers --array="0-$((WORKERS - 1))" \
        --dependency="after:$server" "${options[@]}" "$0" worker "$@")
    [[ -n $array ]] || exit 1
    echo "$array" >>"$STATE/workers"
    echo "server $server, workers $array; watch: squeue --job $server,$array; stop: scancel $array"
}

case ${1:-} in
server) serve ;;
worker) shift && work "$@" ;;
*) submit "$@" ;;
esac
