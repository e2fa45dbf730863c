#!/bin/bash
# Train a profile on machines that only have SSH and a shared file system.
#
#     export MCMI_STORE=/shared/mcmi/store MCMI_DATA=/shared/mcmi/data
#     examples/cluster/ssh.sh machines.txt all --profile paper
#
# A line of machines.txt is a machine and its number of GPUs ("gpu1 8"). Run it in the project's
# folder, which all machines must see under the same path; `ssh MACHINE` must ask for no password.
# (`dask ssh` cannot announce GPUs.) Only in a network that you trust: see docs/scale.md.

set -euo pipefail
machines="${1:?must name a file of machines}"
shift
export MCMI_STORE="${MCMI_STORE:?must name a folder that all machines see}"
export MCMI_DATA="${MCMI_DATA:?must name the folder of the data sets}"
. .venv/bin/activate
mkdir -p "$MCMI_STORE"

scheduler="$MCMI_STORE/scheduler-$$.json"
dask scheduler --port 0 --no-dashboard --scheduler-file "$scheduler" &
trap 'rm -f "$scheduler"; kill $(jobs -p) 2>/dev/null || true' EXIT
until test -s "$scheduler"; do sleep 1; done

# Workers end by themselves once the scheduler has been gone for a minute.
while read -r machine cards; do
    for ((card = 0; card < cards; card++)); do
        command=(env "CUDA_VISIBLE_DEVICES=$card" "MCMI_STORE=$MCMI_STORE" "MCMI_DATA=$MCMI_DATA"
            ${MCMI_CACHE:+"MCMI_CACHE=$MCMI_CACHE"}
            "$PWD/.venv/bin/dask" worker --scheduler-file "$scheduler" --nworkers 1 --nthreads 1
            --memory-limit 0 --resources GPU=1 --no-dashboard --local-directory /tmp
            --death-timeout 60)
        ssh -n "$machine" "${command[@]@Q}" &
    done
done < "$machines"

mcmi train "$@" --cluster "$scheduler"
