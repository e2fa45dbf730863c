"""The command line, ``mcmi``: thin over the functions that the notebooks use.

What needs torch or pandas is imported where it is used: ``--help`` and a replay should not wait
seconds for it.
"""

import math
import os
import time
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mcmi_core.base import processes
from mcmi_core.base.errors import CompanionError, Damaged, RunsFailed, StoreError
from mcmi_core.base.files import make_folder
from mcmi_core.base.messages import meant, quoted
from mcmi_core.base.paths import PROJECT, cluster_scheduler, records_root, require_clone, store_root
from mcmi_core.base.registry import Component, Registry
from mcmi_core.base.terminal import visible
from mcmi_core.components import DATASETS, DISTILLERS, MEASUREMENTS, MODELS, OBJECTIVES
from mcmi_core.endings import run_command
from mcmi_core.runs.config import BayesTeacher, Part, Run, Student, Teacher
from mcmi_core.runs.records import Record, read_record, read_records
from mcmi_core.runs.students import HEADS_RECIPE, student_run
from mcmi_core.training.recipe import Recipe, fine_tuning_rate, learning_rate

if TYPE_CHECKING:
    import torch

    from mcmi_core.experiments.experiment import Experiment
    from mcmi_core.profiles import Profile

app = typer.Typer(
    help="Teachers that estimate the Bayes conditional distribution, and their students.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
runs_app = typer.Typer(help="What the store holds.", no_args_is_help=True)
notebook_app = typer.Typer(help="Execute notebooks through Papermill.", no_args_is_help=True)
app.add_typer(runs_app, name="runs")
app.add_typer(notebook_app, name="notebook")

STORED = "stored"
"""Instead of a profile: that which a notebook shows as it is stored."""

REGISTRIES = {
    f"{registry.kind}s": registry
    for registry in (DATASETS, MODELS, OBJECTIVES, DISTILLERS, MEASUREMENTS)
}


SHARED = ("train-teacher", "fine-tune", "distill")
"""Commands that several processes can share: each trains one run."""


@app.callback()
def join_processes(context: typer.Context) -> None:
    """Let processes that torchrun started share one run."""
    command = context.invoked_subcommand
    if not processes.launched() or context.resilient_parsing:
        return
    if command not in SHARED:
        raise CompanionError(
            f"torchrun shares one run between processes, that of {', '.join(SHARED)}; start "
            f"`mcmi {command}` without it (--cluster distributes runs)"
        )
    processes.join()


def _names(known: Iterable[str]):
    return lambda incomplete: [name for name in known if name.startswith(incomplete)]


def _profiles(incomplete: str) -> list[str]:
    from mcmi_core.profiles import PROFILES

    return [name for name in PROFILES if name.startswith(incomplete)]


def _notebooks(incomplete: str) -> list[str]:
    found = sorted((PROJECT / "notebooks").glob(f"{incomplete}*.ipynb"))
    return [path.stem for path in found]


def _experiments(incomplete: str) -> list[str]:
    from mcmi_core.profiles import get_profile

    names = ["all", *(experiment.name for experiment in get_profile("smoke").experiments)]
    return [name for name in dict.fromkeys(names) if name.startswith(incomplete)]


def _recipe_fields(incomplete: str) -> list[str]:
    before, comma, last = incomplete.rpartition(",")
    return [f"{before}{comma}{name}=" for name in Recipe.model_fields if name.startswith(last)]


def _run_ids(incomplete: str) -> list[str]:
    return [path.parent.name for path in store_root().glob(f"{incomplete}*/record.json")]


def _path(text: str) -> Path:
    """Typer by itself takes an empty one for the folder that one is in."""
    if not text or "\0" in text:
        raise ValueError("no file or folder has such a name")
    return Path(text)


def _component(registry: Registry):
    text = "NAME[:option=value,...]; `mcmi list` shows the names and options"
    return Annotated[str, typer.Option(autocompletion=_names(registry), help=text)]


Data = _component(DATASETS)
Model = _component(MODELS)
Objective = _component(OBJECTIVES)
Distiller = _component(DISTILLERS)
RunId = Annotated[
    str, typer.Argument(autocompletion=_run_ids, help="a run's id, its key, or the start of either")
]
Seed = Annotated[int, typer.Option(help="of initial weights, order, augmentation and subset")]
Epochs = Annotated[int, typer.Option(help="milestones scale with it")]
CosineEpochs = Annotated[int, typer.Option(help="in which the learning rate falls to 0")]
RecipeOptions = Annotated[
    str,
    typer.Option(
        "--recipe",
        autocompletion=_recipe_fields,
        help="what differs from the paper's: batch_size=32,learning_rate=0.01,threads=4,...",
    ),
]
Fraction = Annotated[float, typer.Option(help="share of the training data, stratified")]
Omit = Annotated[list[int] | None, typer.Option(help="class to leave out; may be repeated")]
ProfileName = Annotated[
    str, typer.Option(autocompletion=_profiles, help="size of all runs: smoke, cpu, gpu or paper")
]
ExperimentNames = Annotated[
    list[str],
    typer.Argument(autocompletion=_experiments, help="such as 04_zero_shot; several, or `all`"),
]
Minutes = Annotated[
    float, typer.Option(min=0, help="of training, then stop; the same command goes on")
]
Cluster = Annotated[
    str,
    typer.Option(
        help="train on a Dask cluster: its scheduler's address, tcp://host:8786, or its scheduler "
        "file; by default the one that MCMI_CLUSTER names"
    ),
]


@app.command("list")
def list_components(
    kind: Annotated[
        str | None, typer.Argument(autocompletion=_names(REGISTRIES), help="only models, say")
    ] = None,
) -> None:
    """Names and options of components; models with parameters and multiply-adds."""
    if kind is not None and kind not in REGISTRIES:
        raise CompanionError(
            f"unknown kind {quoted(kind)}; choose from {', '.join(REGISTRIES)}"
            f"{meant(kind, REGISTRIES)}"
        )
    for title in REGISTRIES if kind is None else [kind]:
        registry = REGISTRIES[title]
        typer.echo(f"{title}:")
        if title == "models":
            typer.echo(_models())
        else:
            typer.echo("\n".join(f"  {registry.usage(name)}" for name in registry))


def _models() -> str:
    """A table of the models at 100 classes and 32x32 pixels, the literature's; default options."""
    import pandas as pd

    from mcmi_core.models import describe_models

    costs = describe_models()
    columns = {
        "parameters, M": [f"{cost.parameters / 1e6:.2f}" for cost in costs],
        "multiply-adds, M (100 classes, 32x32)": [f"{c.multiply_adds / 1e6:.1f}" for c in costs],
    }
    return pd.DataFrame(columns, [MODELS.usage(cost.name) for cost in costs]).to_string()


@app.command()
def train_teacher(
    data: Data,
    model: Model,
    objective: Objective = "mll",
    seed: Seed = 0,
    epochs: Epochs = 240,
    recipe: RecipeOptions = "",
    fraction: Fraction = 1.0,
    omit: Omit = None,
) -> None:
    """Train a network on labels alone: a teacher, or a baseline for students.

    At the paper's learning rate: 0.05, but 0.01 for MobileNetV2 and ShuffleNets.
    """
    _train(
        Teacher(
            data=data,
            model=model,
            objective=objective,
            part=Part(fraction=fraction, omit=tuple(omit or ()), seed=seed),
            recipe=_recipe(model, epochs, recipe),
            seed=seed,
        )
    )


@app.command()
def fine_tune(
    teacher: RunId,
    lam: Annotated[float, typer.Option(help="λ, the weight of CMI; the paper: 0.15 to 0.8")],
    centroids: Annotated[str, typer.Option(help="fixed (the paper) or tracked")] = "fixed",
    epochs: CosineEpochs = 20,
    recipe: RecipeOptions = "",
) -> None:
    """Fine-tune a trained network by MCMI: maximise log-likelihood + λ · CMI.

    From the paper's learning rate: 0.05, but 0.005 for MobileNetV2 and ShuffleNets.
    """
    start = _find_run(teacher)
    if not isinstance(start, Teacher | Student):
        raise CompanionError(
            f"{start.id} is no network to fine-tune; name a run of train-teacher or distill"
        )
    _train(
        Teacher(
            data=start.data,
            model=start.model,
            objective=Component(name="mcmi", lam=lam, centroids=centroids),
            start=start,
            recipe=Recipe(
                epochs=epochs,
                schedule="cosine",
                batch_size=start.recipe.batch_size,
                scale_rate=start.recipe.scale_rate,
                learning_rate=fine_tuning_rate(start.model.name),
                threads=start.recipe.threads,
            ).changed(recipe),
            part=start.part,
            seed=start.seed,
        )
    )


@app.command()
def distill(
    teacher: RunId,
    student: Model,
    distiller: Distiller = "kd",
    seed: Seed = 0,
    epochs: Epochs = 240,
    recipe: RecipeOptions = "",
    fraction: Fraction = 1.0,
    omit: Omit = None,
    heads_epochs: Annotated[
        int, typer.Option(help="of training the teacher's auxiliary heads, where hsakd asks")
    ] = 20,
) -> None:
    """Train a student to follow a teacher, on all or part of the training data.

    The teacher may have been a student itself. The learning rate is the paper's: 0.05, but 0.01 for
    MobileNetV2 and ShuffleNets.

    A distiller that learns from auxiliary heads (hsakd) has them trained first, on the teacher as
    it is, with the cosine schedule of fine-tuning. Warm-up and initial epochs that are not given
    scale with --epochs.
    """
    source = _find_run(teacher)
    if not isinstance(source, Teacher | BayesTeacher | Student):
        raise CompanionError(
            f"{source.id} is no network to learn from; name a run of train-teacher, fine-tune or "
            "distill"
        )
    _train(
        student_run(
            data=source.data,
            model=student,
            distiller=distiller,
            teacher=source,
            part=Part(fraction=fraction, omit=tuple(omit or ()), seed=seed),
            recipe=_recipe(student, epochs, recipe),
            heads_recipe=HEADS_RECIPE.model_copy(update={"epochs": heads_epochs}).changed(recipe),
            seed=seed,
        )
    )


@app.command()
def evaluate(
    run: RunId,
    temperature: Annotated[float, typer.Option(help="T of softmax(logits / T)")] = 1.0,
) -> None:
    """Measure accuracy, LL, CMI and entropy of a finished network on both splits."""
    from mcmi_core.base.device import default_device, own_arithmetic
    from mcmi_core.data import load_dataset
    from mcmi_core.measures.evaluation import evaluate as evaluate_model
    from mcmi_core.runs.store import Store
    from mcmi_core.runs.trainer import load_model

    found = _find_run(run)
    device = default_device()
    dataset = load_dataset(found.data)
    model = load_model(found, Store(store_root()), device)
    with own_arithmetic(found.threads):
        for name in ("train", "test"):
            split = getattr(dataset, name)
            typer.echo(_described(name, evaluate_model(model, dataset, split, device, temperature)))


@app.command()
def train(
    experiments: ExperimentNames,
    profile: ProfileName = "smoke",
    minutes: Minutes = math.inf,
    cluster: Cluster = "",
) -> None:
    """Train the runs of experiments that are missing, without their notebooks.

    Several experiments are trained at once, not one after the other. Out of time, it stops and
    exits with 75; the same command goes on.
    """
    from mcmi_core.profiles import get_profile

    deadline = time.time() + 60 * minutes
    settings = get_profile(profile)
    if not (cluster or cluster_scheduler()):
        _say_if_busy(settings.device())
    settings.train(_chosen(settings, experiments), deadline, say=typer.echo, cluster=cluster)


@app.command()
def plan(experiments: ExperimentNames, profile: ProfileName = "smoke") -> None:
    """Say what `mcmi train` would train: runs, epochs, what is done, and the time it would take.

    Times are those of finished runs of the same kind on this hardware, from the store and from the
    committed records.
    """
    from mcmi_core.profiles import get_profile
    from mcmi_core.runs.execute import default_workers
    from mcmi_core.runs.plan import plan as plan_runs
    from mcmi_core.runs.provenance import hardware
    from mcmi_core.runs.store import Store

    settings = get_profile(profile)
    chosen = _chosen(settings, experiments)
    runs = [run for experiment in chosen for run in experiment.runs()]
    store = Store(store_root())
    device = settings.device()
    machine = hardware(device)
    finished, damaged = store.records()
    committed, damaged_too = read_records(sorted(records_root().glob("*/*.json")))
    _say_skipped(damaged + damaged_too)
    table = plan_runs(runs, store, finished + committed, machine)
    unknown = (table.runs - table.done)[table.seconds_left.isna()].sum()
    usual = settings.workers or default_workers(device, runs)
    workers = min(experiment.workers or usual for experiment in chosen)
    left = _duration(table.seconds_left.sum() / workers)
    table["seconds_left"] = table.seconds_left.map(_duration, "ignore")
    columns = {"seconds_per_epoch": "s per epoch", "seconds_left": "time left"}
    table = table.rename(columns=columns).rename_axis(None)
    typer.echo(table.to_string(na_rep="?", float_format="%.2f"))
    untimed = f", and {unknown} runs of kinds that were never timed here" if unknown else ""
    typer.echo(
        f"{table.done.sum()} of {table.runs.sum()} runs done; {left} of training left with "
        f"{workers} at a time on {machine}{untimed}"
    )


@app.command()
def sprint(
    out: Annotated[
        Path, typer.Option(parser=_path, help="folder for what comes back: at most 7 files")
    ],
    minutes: Annotated[float, typer.Option(min=0, help="in all, packing up included")] = 12,
    resume: Annotated[
        Path | None, typer.Option(parser=_path, help="what an earlier sprint left, to go on from")
    ] = None,
    streams: Annotated[
        int, typer.Option(min=0, help="runs at a time; 0: measure first what is fastest")
    ] = 0,
) -> None:
    """Use a GPU that is there for minutes: check it, measure it, train, and pack up.

    Needs no network, no Jupyter, and the image folder cifar10-jpeg in MCMI_DATA. OUT is kept up to
    date, so that little is lost if it is killed.
    """
    from mcmi_core.base.device import default_device
    from mcmi_core.sprint.sprint import sprint as run_sprint

    run_sprint(out, minutes, default_device(), resume, streams, say=typer.echo)


@runs_app.command("list")
def list_runs() -> None:
    """One line per finished run: id, status, test accuracy and training CMI; then what failed."""
    import pandas as pd

    from mcmi_core.runs.store import Store

    store = Store(store_root())
    records, damaged = store.records()
    _say_skipped(damaged)
    columns = {
        "status": [record.status for record in records],
        "seed": [record.run.get("seed", "-") for record in records],
        "test accuracy, %": [r.metrics.get("test", {}).get("accuracy_percent") for r in records],
        "train CMI, nats": [r.metrics.get("train", {}).get("cmi_nats") for r in records],
    }
    table = pd.DataFrame(columns, [record.id for record in records])
    text = table.to_string(na_rep="-", float_format="%.4f")
    typer.echo(visible(text) if records else f"no finished run in {store.root} (MCMI_STORE)")
    failures, damaged = store.failures()
    _say_skipped(damaged)
    for failure in failures:
        about = f"{failure.run_id} ({failure.date}, {failure.host}): {failure.reason}"
        typer.echo(visible(f"failed: {about}"))


@runs_app.command("show")
def show_run(run: RunId) -> None:
    """The whole record of a run: configuration, history, metrics, provenance.

    Of a run that failed: why, and the last lines that it wrote.
    """
    from mcmi_core.runs.store import Store, names_run

    store = Store(store_root())
    failures, damaged = store.failures()
    _say_skipped(damaged)
    failed = [failure for failure in failures if run and names_run(run, failure.run_id)]
    for failure in failed:
        typer.echo(visible(f"{failure.run_id} failed: {failure.reason}"))
        typer.echo("".join(f"{visible(line)}\n" for line in failure.last_lines), nl=False)
    if not failed or store.find(run):
        typer.echo(_find_record(run).to_json(), nl=False)


@notebook_app.command("run")
def run_notebooks(
    names: Annotated[
        list[str], typer.Argument(autocompletion=_notebooks, help="such as 00b_quickstart")
    ],
    output: Annotated[
        Path, typer.Option(parser=_path, help="folder for notebooks, figures and records")
    ],
    profile: Annotated[
        str,
        typer.Option(
            autocompletion=_profiles,
            help=f"size of all runs; `{STORED}`: of each notebook, that of its stored outputs",
        ),
    ] = "smoke",
    train: Annotated[bool, typer.Option(help="train what is missing, not only replay")] = False,
    jobs: Annotated[int, typer.Option(min=1, help="notebooks at a time")] = 3,
    cluster: Cluster = "",
) -> None:
    """Execute notebooks into OUTPUT, their figures into OUTPUT/figures.

    With --train, all that is missing is trained first, and records lie in OUTPUT/records.
    """
    require_clone("`mcmi notebook run`")
    from mcmi_core.profiles import get_profile
    from mcmi_core.report.notebooks import execute_notebooks, notebook_path

    for name in names:
        notebook_path(name)
    if profile == STORED:
        if train:
            raise CompanionError(f"--train needs a --profile, not {STORED!r}")
        execute_notebooks(names, output, {}, jobs=jobs)
        return
    settings, failure = get_profile(profile), None
    records = output / "records" if train else None
    if os.path.lexists(output):
        make_folder(output)  # says so if it is no folder, before hours of training
    if train and (experiments := settings.experiments_of(names)):
        if not (cluster or cluster_scheduler()):
            _say_if_busy(settings.device())
        try:
            settings.train(experiments, records=records, cluster=cluster)
        except RunsFailed as error:  # notebooks that do not need those runs can still be executed
            failure = error
            typer.echo(visible(f"mcmi: {error}"), err=True)
    execute_notebooks(names, output, {"profile": profile, "train": False}, records, jobs)
    if failure:
        raise failure


@app.command()
def check(profile: ProfileName = "smoke") -> None:
    """Fail now if the GPU or a data set that a profile needs is missing; decode image folders."""
    from mcmi_core.profiles import get_profile

    settings = get_profile(profile)
    settings.check(settings.experiments)


@app.command()
def evidence(
    profile: ProfileName = "cpu",
    only: Annotated[
        list[str] | None,
        typer.Option(autocompletion=_notebooks, help="a notebook by its name; may be repeated"),
    ] = None,
    minutes: Minutes = math.inf,
) -> None:
    """Commit to a profile's results: update records, figures, notebooks and documents.

    Out of time, it changes nothing yet and exits with 75.
    """
    require_clone("`mcmi evidence`")
    from mcmi_core.profiles import get_profile
    from mcmi_core.report.evidence import update_evidence

    update_evidence(get_profile(profile), only or (), time.time() + 60 * minutes)


@app.command()
def import_weights(
    file: Annotated[
        Path, typer.Argument(parser=_path, help="of torch.save: a state dict, or a dict with one")
    ],
    model: Model,
    num_classes: Annotated[int, typer.Option(help="C, the number of logits")],
    out: Annotated[Path, typer.Option(parser=_path, help="NAME.safetensors")],
    in_channels: Annotated[int, typer.Option(help="of the images")] = 3,
    image_size: Annotated[int, typer.Option(help="pixels per side")] = 32,
) -> None:
    """Convert somebody's .pth, .pt or .bin file of weights, without running what is in it.

    In Python, `load_pretrained("NAME.safetensors")` then gives the network.
    """
    from mcmi_core.models.imported import import_weights as convert

    size = {"num_classes": num_classes, "in_channels": in_channels, "image_size": image_size}
    typer.echo(convert(file, out, model, **size))


@app.command()
def publish() -> None:
    """Write the `cpu` profile's photograph teachers of one seed into weights/, with a card."""
    require_clone("`mcmi publish`")
    from mcmi_core.experiments.small_pairs import PHOTOGRAPH_SEEDS, PHOTOGRAPHS
    from mcmi_core.models.pretrained import WEIGHTS
    from mcmi_core.report.published import publish_teachers
    from mcmi_core.runs.store import Store

    seed, store = PHOTOGRAPH_SEEDS[0], Store(store_root())
    for path in publish_teachers(PHOTOGRAPHS, seed, "cifar10_16px", store, WEIGHTS):
        typer.echo(path)


def _chosen(profile: "Profile", names: list[str]) -> "list[Experiment]":
    """Experiments of a profile by their names, on all their data sets; or all experiments."""
    asked = [profile.named(name) for name in dict.fromkeys(names) if name != "all"]
    if "all" in names:
        return list(profile.experiments)
    return [experiment for experiments in asked for experiment in experiments]


def _find_record(reference: str) -> Record:
    """The one record whose id or key starts with ``reference``."""
    from mcmi_core.runs.store import Store

    store = Store(store_root())
    matches = store.find(reference) if reference else []  # "" is no choice, though all begin so
    if len(matches) != 1:
        problem = "no run" if not matches else f"{len(matches)} runs"
        known = ", ".join((matches or store.find())[:10]) or "none"
        where = f"{store.root} (MCMI_STORE)"
        raise CompanionError(f"{problem} in {where} match {quoted(reference)}; candidates: {known}")
    try:
        return read_record(store.path(matches[0]))
    except Damaged as damage:
        raise Damaged(f"{damage}; the command that made this run makes it again") from None


def _find_run(reference: str) -> Run:
    return _find_record(reference).parsed_run


def _recipe(model: str, epochs: int, changes: str) -> Recipe:
    """The paper's for training a model from random weights, in so many epochs, with changes."""
    rate = learning_rate(Component.model_validate(model).name)
    return Recipe(learning_rate=rate).shortened(epochs).changed(changes)


def _say_skipped(errors: list[StoreError]) -> None:
    """Name what was left out of a table, a line each, on standard error."""
    for error in errors:
        typer.echo(visible(f"mcmi: skipped: {error}"), err=True)


def _train(run: Run) -> None:
    from mcmi_core.base.device import default_device
    from mcmi_core.base.progress import progress_bar
    from mcmi_core.runs.rehearsal import rehearse
    from mcmi_core.runs.store import Store
    from mcmi_core.runs.trainer import ensure

    store = Store(store_root())
    for link in run.chain():
        if store.finished(link) is None:
            rehearse(link)
    device = default_device()
    _say_if_busy(device)
    if run.threads > (os.cpu_count() or 1):
        wasted = f"{run.threads} threads on {os.cpu_count()} cores wait for each other"
        typer.echo(f"mcmi: {wasted}, so training takes longer", err=True)
    remaining = sum(store.epochs_left(link) for link in run.chain())
    with progress_bar(total=remaining, unit="epoch") as bar:
        record = ensure(run, store, device, on_epoch=bar.update)
    if record.status != "done":
        raise CompanionError(record.message)
    typer.echo(run.id)
    for split, metrics in record.metrics.items():
        typer.echo(_described(split, metrics))


def _say_if_busy(device: "torch.device") -> None:
    """Say so on standard error where other programs leave no core to training on the CPU."""
    if device.type != "cpu":
        return
    load, cores = os.getloadavg()[0], os.cpu_count() or 1
    if load >= cores and "MCMI_CORES" not in os.environ:
        typer.echo(
            f"mcmi: this machine is busy (load {load:.1f} on {cores} cores), so training takes "
            "longer; MCMI_CORES=1 leaves other programs their share",
            err=True,
        )


def _duration(seconds: float) -> str:
    """``1:02:03``."""
    return str(timedelta(seconds=round(seconds)))


def _described(split: str, metrics: dict[str, float]) -> str:
    values = "  ".join(f"{name} {value:.4f}" for name, value in metrics.items())
    return f"{split:5}  {values}"


def main() -> None:
    """Entry point: errors that a user can act on become one line and exit status 1."""
    run_command(app)


if __name__ == "__main__":
    main()
