"""A Dask cluster of processes of this machine."""

import pytest
from distributed import Client, LocalCluster
from small_cluster import LOCAL


@pytest.fixture(scope="module")
def cluster():
    with LocalCluster(n_workers=2, threads_per_worker=1, **LOCAL) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def client(cluster):
    with Client(cluster, set_as_default=False) as client:
        yield client
