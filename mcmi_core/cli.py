"""The command line, ``mcmi``: thin over the functions that the notebooks use."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError

from mcmi_core import notebooks, report
from mcmi_core.data import DATASETS, load_dataset
from mcmi_core.distillers import DISTILLERS
from mcmi_core.errors import CompanionError
from mcmi_core.evaluation import evaluate as evaluate_model
from mcmi_core.execute import default_device, ensure, load_model
from mcmi_core.models import MODELS
from mcmi_core.paths import store_root
from mcmi_core.profiles import PROFILES, get_profile
from mcmi_core.progress import progress_bar
from mcmi_core.registry import Component, Registry
from mcmi_core.runs import Part, Recipe, Run, Student, Teacher, parse_run
from mcmi_core.store import Record, Store

app = typer.Typer(
    help="Teachers that estimate the Bayes conditional distribution, and their students.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
runs_app = typer.Typer(help="What the store holds.", no_args_is_help=True)
notebook_app = typer.Typer(help="Execute notebooks through Papermill.", no_args_is_help=True)
app.add_typer(runs_app, name="runs")
app.add_typer(notebook_app, name="notebook")


def _names(registry: Registry):
    return lambda incomplete: [name for name in registry if name.startswith(incomplete)]


def _run_ids(incomplete: str) -> list[str]:
    return [path.parent.name for path in store_root().glob(f"{incomplete}*/record.json")]


def _described(registry: Registry, default: str | None = None) -> str:
    text = f"NAME[:option=value,...]; names: {', '.join(registry)}"
    return text if default is None else f"{text}; default {default}"


Data = Annotated[str, typer.Option(autocompletion=_names(DATASETS), help=_described(DATASETS))]
Model = Annotated[str, typer.Option(autocompletion=_names(MODELS), help=_described(MODELS))]
RunId = Annotated[
    str, typer.Argument(autocompletion=_run_ids, help="a run's id, its key, or the start of either")
]
Seed = Annotated[int, typer.Option(help="of initial weights, order, augmentation and subset")]
Epochs = Annotated[int, typer.Option(help="milestones scale with it")]
BatchSize = Annotated[int, typer.Option()]
LearningRate = Annotated[float, typer.Option(help="the paper: 0.01 for MobileNetV2, ShuffleNets")]
Fraction = Annotated[float, typer.Option(help="share of the training data, stratified")]
Omit = Annotated[list[int] | None, typer.Option(help="class to leave out; may be repeated")]
ProfileName = Annotated[
    str,
    typer.Option(autocompletion=lambda: list(PROFILES), help=f"one of {', '.join(PROFILES)}"),
]


@app.command()
def train_teacher(
    data: Data,
    model: Model,
    seed: Seed = 0,
    epochs: Epochs = 240,
    batch_size: BatchSize = 64,
    learning_rate: LearningRate = 0.05,
    fraction: Fraction = 1.0,
    omit: Omit = None,
) -> None:
    """Train a network on labels alone by maximum log-likelihood: a teacher, or a baseline."""
    recipe = Recipe(batch_size=batch_size, learning_rate=learning_rate).shortened(epochs)
    part = Part(fraction=fraction, omit=tuple(omit or ()), seed=seed)
    _train(Teacher(data=data, model=model, objective="mll", recipe=recipe, part=part, seed=seed))


@app.command()
def fine_tune(
    teacher: RunId,
    lam: Annotated[float, typer.Option(help="λ, the weight of CMI; the paper: 0.15 to 0.8")],
    centroids: Annotated[str, typer.Option(help="fixed (the paper) or tracked")] = "fixed",
    epochs: Epochs = 20,
    learning_rate: LearningRate = 0.05,
) -> None:
    """Fine-tune an MLL teacher by MCMI: maximise log-likelihood + λ · CMI."""
    start = _find_run(teacher)
    if not isinstance(start, Teacher):
        raise CompanionError(f"{start.id} is no teacher; fine-tune a run of train-teacher")
    _train(
        Teacher(
            data=start.data,
            model=start.model,
            objective=Component(name="mcmi", lam=lam, centroids=centroids),
            start=start,
            recipe=Recipe(
                epochs=epochs,
                batch_size=start.recipe.batch_size,
                learning_rate=learning_rate,
                schedule="cosine",
            ),
            part=start.part,
            seed=start.seed,
        )
    )


@app.command()
def distill(
    teacher: RunId,
    student: Model,
    distiller: Annotated[
        str, typer.Option(autocompletion=_names(DISTILLERS), help=_described(DISTILLERS))
    ] = "kd",
    seed: Seed = 0,
    epochs: Epochs = 240,
    batch_size: BatchSize = 64,
    learning_rate: LearningRate = 0.05,
    fraction: Fraction = 1.0,
    omit: Omit = None,
) -> None:
    """Train a student to follow a teacher, on all or part of the training data."""
    source = _find_run(teacher)
    _train(
        Student(
            data=source.data,
            model=student,
            distiller=distiller,
            teacher=source,
            part=Part(fraction=fraction, omit=tuple(omit or ()), seed=seed),
            recipe=Recipe(batch_size=batch_size, learning_rate=learning_rate).shortened(epochs),
            seed=seed,
        )
    )


@app.command()
def evaluate(
    run: RunId,
    temperature: Annotated[float, typer.Option(help="T of softmax(logits / T)")] = 1.0,
) -> None:
    """Measure accuracy, LL, CMI and entropy of a finished run on both splits."""
    found = _find_run(run)
    device = default_device()
    dataset = load_dataset(found.data)
    model = load_model(found, Store(store_root()), device)
    for name, split in (("train", dataset.train), ("test", dataset.test)):
        _print_metrics(name, evaluate_model(model, dataset, split.to(device), device, temperature))


@runs_app.command("list")
def list_runs() -> None:
    """One line per finished run: id, status, test accuracy and training CMI."""
    records = Store(store_root()).records()
    width = max((len(record.id) for record in records), default=2)
    typer.echo(f"{'id':{width}}  status     seed  test accuracy  train CMI")
    for record in records:
        accuracy = record.metrics.get("test", {}).get("accuracy_percent")
        cmi = record.metrics.get("train", {}).get("cmi_nats")
        accuracy = "-" if accuracy is None else f"{accuracy:.2f} %"
        cmi = "-" if cmi is None else f"{cmi:.4f} nats"
        seed = record.run.get("seed", "-")
        typer.echo(f"{record.id:{width}}  {record.status:9}  {seed!s:>4}  {accuracy:>13}  {cmi}")


@runs_app.command("show")
def show_run(run: RunId) -> None:
    """The whole record of a run: configuration, history, metrics, provenance."""
    typer.echo(_find_record(run).to_json(), nl=False)


@notebook_app.command("run")
def run_notebook(
    name: Annotated[
        str, typer.Argument(autocompletion=lambda: notebooks.list_notebooks(), help="its name")
    ],
    output: Annotated[Path, typer.Option(help="folder for the notebook, figures and records")],
    profile: ProfileName = "smoke",
    train: Annotated[bool, typer.Option(help="train what is missing, not only replay")] = False,
) -> None:
    """Execute one notebook; its figures land in OUTPUT/figures."""
    notebooks.execute_notebook(name, output, {"profile": profile, "train": train})


@notebook_app.command("summary")
def notebook_summary(
    output: Annotated[Path, typer.Option(help="folder that notebooks were executed into")],
) -> None:
    """Name every figure and table that was written."""
    typer.echo(notebooks.summary(output))


@app.command()
def check(profile: ProfileName = "smoke") -> None:
    """Fail now if the GPU or a data set that a profile needs is missing."""
    get_profile(profile).check()


@app.command()
def evidence(profile: ProfileName = "smoke") -> None:
    """Commit to the results of `make figures`: update records, figures, notebooks and README."""
    report.update_evidence(get_profile(profile).name)


def _find_record(reference: str) -> Record:
    """The one record whose id or key starts with ``reference``."""
    records = Store(store_root()).records()
    matches = [r for r in records if r.id.startswith(reference) or r.key.startswith(reference)]
    if len(matches) != 1:
        problem = "no run" if not matches else f"{len(matches)} runs"
        known = ", ".join(record.id for record in (matches or records)[:10]) or "none"
        raise CompanionError(
            f"{problem} in {store_root()} match {reference!r}; candidates: {known}"
        )
    return matches[0]


def _find_run(reference: str) -> Run:
    return parse_run(_find_record(reference).run)


def _train(run: Run) -> None:
    store = Store(store_root())
    remaining = sum(link.epochs for link in run.chain() if store.record(link) is None)
    with progress_bar(total=remaining, unit="epoch") as bar:
        record = ensure(run, store, on_epoch=bar.update)
    if record.status == "collapsed":
        raise CompanionError(record.message)
    typer.echo(run.id)
    for split, metrics in record.metrics.items():
        _print_metrics(split, metrics)


def _print_metrics(split: str, metrics: dict[str, float]) -> None:
    values = "  ".join(f"{name} {value:.4f}" for name, value in metrics.items())
    typer.echo(f"{split:5}  {values}")


def main() -> None:
    """Entry point: errors that a user can act on become one line and exit status 1."""
    try:
        app()
    except CompanionError as error:
        sys.exit(f"mcmi: {error}")
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        sys.exit(f"mcmi: {where}: {first['msg'].removeprefix('Value error, ')}")
    except KeyboardInterrupt:
        # Workers and libraries may still hold threads; the epoch's checkpoint is already written.
        print(
            "mcmi: interrupted; the same command goes on after the last whole epoch",
            file=sys.stderr,
        )
        os._exit(130)


if __name__ == "__main__":
    main()
