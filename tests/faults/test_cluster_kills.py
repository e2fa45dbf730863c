"""A short turn of the harness that kills a cluster's workers: `make test-faults` is longer."""

import cluster_harness


def test_killed_workers_lose_no_run_and_double_none(capsys):
    assert cluster_harness.main(rounds=2, seed=1) == 0
    assert "4 workers killed in 2 rounds; 0 rounds went wrong" in capsys.readouterr().out


def test_a_lost_run_and_a_second_training_are_seen(tmp_path, monkeypatch):
    """The harness can fail: it sees other results, missing ones, and a record written twice."""
    run, store = cluster_harness.mll_teacher(), cluster_harness.Store(tmp_path / "trained")
    monkeypatch.setattr(cluster_harness, "RUNS", [run])
    whole = cluster_harness.Store(tmp_path / "whole")
    cluster_harness.execute([run], whole, workers=1, device=cluster_harness.CPU)
    assert not cluster_harness.same_results(store, whole)
    cluster_harness.execute([run], store, workers=1, device=cluster_harness.CPU)
    assert cluster_harness.same_results(store, whole)
    watch = cluster_harness.Watch(store)
    watch.look()
    record, weights = store.record(run), store.weights(run)
    first = next(iter(weights))
    store.finish(run, record, weights | {first: weights[first] + 1e-6})
    watch.look()
    assert [len(files) for files in watch.written.values()] == [2]
    assert not cluster_harness.same_results(store, whole)
