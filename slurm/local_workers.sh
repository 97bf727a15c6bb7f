#!/bin/bash
# Several workers on this machine: in a queue of task-spooler (tsp) where it is installed, else as
# plain processes. No SLURM is needed.
#
#   bash slurm/local_workers.sh +tuning=ppo_default run_name=big
#
# All workers join the same study; the same command again goes on with it.
# Environment, with defaults:
#   WORKERS   workers (2)
#   STORAGE   storage of the study (journal): sqlite, journal, postgres (after abx-postgres up)
#   LOGS      a folder for what the workers say (.abx/logs)
#   TSP       the command of task-spooler (tsp); TSP= for plain processes
set -uo pipefail

WORKERS=${WORKERS:-2} STORAGE=${STORAGE:-journal} LOGS=${LOGS:-.abx/logs} TSP=${TSP-tsp}
mkdir -p "$LOGS"
threads=$(($(nproc) / WORKERS))
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-$((threads > 0 ? threads : 1))}

run() { exec abx-tune -m "${@:2}" storage="$STORAGE" >"$LOGS/worker_$1.log" 2>&1; }
export -f run && export STORAGE LOGS

pids=() jobs=() status=0
if [[ -n $TSP ]] && command -v "$TSP" >/dev/null; then
    TS_SOCKET=$(mktemp -u "${TMPDIR:-/tmp}/abx-tsp-XXXXXX") && export TS_SOCKET
    "$TSP" -S "$WORKERS"
    for ((i = 0; i < WORKERS; i++)); do jobs+=("$("$TSP" -n bash -c 'run "$@"' run "$i" "$@")"); done
    for job in "${jobs[@]}"; do
        until pid=$("$TSP" -p "$job" 2>/dev/null) && ((pid > 0)); do sleep 0.1; done
        pids+=("$pid")
    done
    ending() { "$TSP" -w "$1" & wait $!; }
else
    for ((i = 0; i < WORKERS; i++)); do run "$i" "$@" & jobs+=($!) pids+=($!); done
    ending() { wait "$1"; }
fi
echo "$WORKERS workers (${pids[*]}), their output is in $LOGS"
trap 'kill -TERM "${pids[@]}" 2>/dev/null' TERM INT

for i in "${!jobs[@]}"; do
    # A signal ends the waiting, not the worker.
    while ending "${jobs[i]}"; ended=$?; kill -0 "${pids[i]}" 2>/dev/null; do :; done
    ((ended > status)) && status=$ended
    tail -n 1 "$LOGS/worker_$i.log"
done
[[ -n ${TS_SOCKET:-} ]] && "$TSP" -K
exit "$status"
