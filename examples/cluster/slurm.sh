#!/bin/bash
# One SLURM job that trains a profile on all its GPUs: a Dask worker for each, and one driver.
#
#     export MCMI_STORE=/shared/mcmi/store MCMI_DATA=/shared/mcmi/data
#     sbatch --partition=NAME examples/cluster/slurm.sh all --profile paper
#
# Submit it in the project's folder, on the shared file system and with its .venv. What follows the
# script's name is what `mcmi train` is asked for. Ended by SLURM, the same command goes on.

#SBATCH --job-name=mcmi
#SBATCH --nodes=8
#SBATCH --ntasks-per-node=8
#SBATCH --gpus-per-task=1
#SBATCH --cpus-per-task=4
#SBATCH --mem-per-cpu=8G
#SBATCH --time=24:00:00
#SBATCH --requeue
#SBATCH --no-kill
#SBATCH --output=mcmi-%j.log

set -euo pipefail
export MCMI_STORE="${MCMI_STORE:?must name a folder that all nodes see}"
export MCMI_DATA="${MCMI_DATA:?must name the folder of the data sets}"
. .venv/bin/activate
mkdir -p "$MCMI_STORE"

scheduler="$MCMI_STORE/scheduler-$SLURM_JOB_ID.json"
rm -f "$scheduler" # of an earlier start of the same job
trap 'rm -f "$scheduler"; kill $(jobs -p) 2>/dev/null || true' EXIT

dask scheduler --port 0 --no-dashboard --scheduler-file "$scheduler" &
until test -s "$scheduler"; do sleep 1; done

# SLURM shows each task its own GPU. Memory is SLURM's business: Dask would kill what it counts.
srun --no-kill --cpus-per-task="$SLURM_CPUS_PER_TASK" dask worker --scheduler-file "$scheduler" \
    --nworkers 1 --nthreads 1 --memory-limit 0 --resources GPU=1 --no-dashboard \
    --local-directory "${TMPDIR:-/tmp}" --death-timeout 300 &

mcmi train "$@" --cluster "$scheduler"
