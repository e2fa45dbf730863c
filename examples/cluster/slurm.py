"""One SLURM job for each GPU, by dask-jobqueue: workers come and go as the cluster has room.

    export MCMI_STORE=/shared/mcmi/store MCMI_DATA=/shared/mcmi/data
    python examples/cluster/slurm.py 64 PARTITION all --profile paper

Run it where `sbatch` works, in the project's folder on the shared file system: this process is the
driver, and stays. Arguments: GPUs, partition, then what `mcmi train` is asked for.
"""

import os
import shlex
import subprocess
import sys
from pathlib import Path

from dask_jobqueue import SLURMCluster

MCMI = Path(sys.executable).with_name("mcmi")
VARIABLES = ("MCMI_STORE", "MCMI_DATA", "MCMI_CACHE")
"""That a worker must have as the driver has them."""


def cluster_on(partition: str) -> SLURMCluster:
    """Dask's scheduler in this process, whose workers will be jobs of one GPU each."""
    settings = [f"{name}={os.environ[name]}" for name in VARIABLES if name in os.environ]
    return SLURMCluster(
        queue=partition,
        job_name="mcmi",
        cores=1,  # threads of a worker: one run at a time
        processes=1,
        memory="32GB",
        job_cpu=4,
        walltime="24:00:00",
        job_extra_directives=["--gpus-per-task=1", "--ntasks=1"],
        job_directives_skip=["-n 1"],
        job_script_prologue=[f"export {shlex.quote(setting)}" for setting in settings],
        worker_extra_args=["--resources", "GPU=1", "--no-dashboard"],
        local_directory="/tmp",
        death_timeout="300",
        python=sys.executable,
        scheduler_options={"dashboard_address": ":0"},
    )


def main() -> None:
    """Ask for the workers, and train with as many as there are."""
    workers, partition, *wanted = sys.argv[1:]
    with cluster_on(partition) as cluster:
        # Each starts when SLURM has room for it, and is asked for again when its time is over.
        cluster.adapt(minimum_jobs=int(workers), maximum_jobs=int(workers))
        command = [MCMI, "train", *wanted, "--cluster", cluster.scheduler_address]
        sys.exit(subprocess.run(command).returncode)


if __name__ == "__main__":
    main()
