"""A record for every run that an experiment may ask for: numbers drawn at random, but in range.

So that every claim can be decided, students with a teacher beat those without, and temperature
raises CMI.
"""

import re
from pathlib import Path
from random import Random
from typing import Any

from made_up import MadeUpRecords

from mcmi_core.profiles import Profile
from mcmi_core.runs.config import Run

PIXEL = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg=="
)
"""A picture of one black pixel, base64 of a png."""


def plausible(run: Run) -> dict[str, Any]:
    """Fields of its record; the same whenever it is asked for, another for each run."""
    random = Random(run.key)
    if run.stage == "measurement":
        return {"result": _result(run, random)}
    final = {split: _metrics(run, random) for split in ("train", "test")}
    if run.stage == "bayes":
        return {"metrics": final}
    epochs = range(1, run.recipe.epochs + 1)
    history = {"epoch": list(epochs)}
    for split in final:
        rows = [_metrics(run, random) for _ in epochs[:-1]] + [final[split]]
        for name in rows[0]:
            history[f"{split}_{name}"] = [row[name] for row in rows]
    return {"metrics": final, "history": history}


def save_plausible(profile: Profile, records: Path) -> None:
    """Records of all runs of a profile, and of those that they build on, as files to replay."""
    made_up, runs = MadeUpRecords(plausible), {}
    for experiment in profile.experiments:
        runs |= {link.id: link for run in experiment.runs() for link in run.chain()}
    folder = records / profile.name
    folder.mkdir(parents=True)
    for run_id, run in runs.items():
        (folder / f"{run_id}.json").write_text(made_up.record(run).to_json(), encoding="utf-8")


def _metrics(run: Run, random: Random) -> dict[str, float]:
    metrics = {
        "accuracy_percent": random.uniform(50, 60) + 10 * (run.stage == "student"),
        "top5_accuracy_percent": random.uniform(80, 90),
        "ll_nats": random.uniform(-2, -0.5),
        "cmi_nats": random.uniform(0.1, 0.5),
        "entropy_nats": random.uniform(0.1, 0.5),
    }
    if run.data.name == "oracle":
        metrics["bcpd_kl_nats"] = 0.0 if run.stage == "bayes" else random.uniform(0.5, 1.5)
    return metrics


def _result(run: Run, random: Random) -> dict[str, list]:
    name, options = run.what.name, run.what.options
    classes = range(run.data.options.get("classes", 10))
    if name == "unseen":
        return {metric: [value] for metric, value in _metrics(run, random).items()}
    if name == "network_size":
        size = re.sub(r"\D", "", run.of.model.name) or run.of.model.options["width"]
        return {"parameters": [int(size) * 1000]}
    if name == "temperature_sweep":
        rows = [_metrics(run, random) for _ in options["temperatures"]]
        columns = {metric: [row[metric] for row in rows] for metric in rows[0]}
        columns["cmi_nats"].sort()
        return {"temperature": list(options["temperatures"]), **columns}
    if name == "raised_share":
        shares = [random.uniform(0, 100) for _ in options["lambdas"]]
        return {"lam": list(options["lambdas"]), "raised_percent": shares}
    if name == "by_class":
        names = ("accuracy", "frequency", "probability", "calibration_error")
        columns = {f"{each}_percent": [random.uniform(1, 99) for _ in classes] for each in names}
        if run.of.stage == "teacher" or run.of.distiller.name == "masked_kd":
            for label in run.of.part.omit:  # of which nobody has told it
                columns["accuracy_percent"][label] = 0.0
        return {"class_index": list(classes), **columns}
    if name == "outputs":
        rows = [label for label in classes for _ in range(options.get("samples") or 2)]
        logits = [[random.gauss(0, 3) for _ in classes] for _ in rows]
        names = [[f"class {label}" for label in classes]] * len(rows)
        columns = {"class_index": rows, "logits": logits, "class_names": names}
        return columns if run.data.name == "oracle" else columns | {"picture": [PIXEL] * len(rows)}
    if name == "confusion_matrix":
        pairs = [(true, predicted) for true in classes for predicted in classes]
        samples = [random.randint(1, 99) for _ in pairs]
        true, predicted = map(list, zip(*pairs, strict=True))
        return {"true_class": true, "predicted_class": predicted, "samples": samples}
    if name == "eigen_cam_coverage":
        stages = range(4)
        columns = {"stage_index": list(stages), "positions": [64, 64, 16, 4]}
        for column, most in (("coverage_percent", 60), ("place_information_nats", 1)):
            columns[column] = [random.uniform(0.1, most) for _ in stages]
        return columns
    if name == "eigen_cam_maps":
        shown = [label for label in range(options["classes"]) for _ in range(options["samples"])]
        heat = [[[random.random()]] for _ in shown]
        return {"class_index": shown, "picture": [PIXEL] * len(shown), "heat": heat}
    assert name == "proposition_1", f"say what a measurement {name!r} gives"
    rows = [(layer, bits) for layer in (1, 2, 0) for bits in (*options["bits"], None)]
    output = [random.uniform(0.1, 0.3) for _ in rows]
    return {
        "layer": [layer for layer, _ in rows],
        "bits": [bits for _, bits in rows],
        "cells": [2**bits if bits else 4000 for _, bits in rows],
        "output_nats": output,
        "feature_nats": [value + 1 for value in output],
        "smallest_gap_nats": [random.uniform(0.1, 0.9) for _ in rows],
    }
