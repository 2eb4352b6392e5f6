#!/usr/bin/env bash
# One rung on several GPUs, or several machines, of a Slurm cluster: from its first step, or from
# its last checkpoint.
#
#   sbatch recipes/slurm.sh                                      v_final on 2 x 4 GPUs
#   RUNG=v5 BUDGET="2 h" sbatch --nodes=1 recipes/slurm.sh
#   SETTINGS="train.shard=true train.recompute=true" sbatch …    a model that outgrows a GPU
#
# All machines see DATA and OUT under the same path, and have the same escada. A process or a machine
# that is lost ends the attempt within a minute, and the next one goes on from the last checkpoint.
# Two minutes before the end of the allocation the training is saved and the job queued again.
#SBATCH --job-name=escada
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=4
#SBATCH --cpus-per-task=32
#SBATCH --time=24:00:00
#SBATCH --signal=B:TERM@120
#SBATCH --requeue
#SBATCH --open-mode=append
set -euo pipefail

RUNG=${RUNG:-v_final}
PRESET=${PRESET:-full}
BUDGET=${BUDGET:-}     # such as "800M tokens"; empty: the rung's own
DATA=${DATA:-data/brwac} # made by `escada data prepare`, on one machine
OUT=${OUT:-runs}
SEED=${SEED:-0}
DEVICE=${DEVICE:-auto}
SETTINGS=${SETTINGS:-} # KEY=VALUE over the preset, separated by spaces
PER_NODE=${PER_NODE:-${SLURM_GPUS_ON_NODE:-1}} # processes on each machine: one for each GPU
ATTEMPTS=${ATTEMPTS:-3}
PORT=${PORT:-29500}

command=(train "$RUNG" --preset "$PRESET" --data "$DATA" --out "$OUT" --seed "$SEED")
command+=(--device "$DEVICE" --or-resume)
[ -z "$BUDGET" ] || command+=(--budget "$BUDGET")
for setting in $SETTINGS; do command+=(--set "$setting"); done

head=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
stopping=0
stop() {
  stopping=1
  # To the processes of the training, and not to srun, which would end them with SIGKILL.
  scancel --signal=TERM "$SLURM_JOB_ID" || true
}
trap stop TERM
requeue() {
  scontrol requeue "$SLURM_JOB_ID"
  exit 0
}

for attempt in $(seq "$ATTEMPTS"); do
  [ "$stopping" = 0 ] || requeue
  # Each attempt is a torchrun of its own: what is left of one that failed stays behind.
  srun --kill-on-bad-exit=1 torchrun --nnodes="$SLURM_NNODES" --nproc-per-node="$PER_NODE" \
    --rdzv-backend=c10d --rdzv-endpoint="$head:$PORT" --rdzv-id="$SLURM_JOB_ID-$attempt" \
    -m escada "${command[@]}" &
  attempt_pid=$!
  code=0
  wait "$attempt_pid" || code=$?
  if [ "$stopping" = 1 ]; then # the signal ended `wait`, not the training, which is saving
    wait "$attempt_pid" || true
    requeue
  fi
  [ "$code" != 0 ] || exit 0
  printf 'slurm.sh: attempt %s of %s ended with exit code %s\n' "$attempt" "$ATTEMPTS" "$code" >&2
done
exit "$code"
