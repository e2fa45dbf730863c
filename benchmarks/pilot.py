"""How the photographs' recipe and λ were chosen: by teachers alone, before any student.

Two pilot seeds, which no result uses. First the recipe: the cheapest MLL training that fits its
images as closely as the paper's teachers do theirs. Then λ of our variant: the one that estimates
the labels of held-out training images best. Neither looks at a student or at a test image. The
rules are those of docs/protocol.md.

python benchmarks/pilot.py --help
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Annotated

import torch
import typer
from _measure import write_table

from mcmi_core.base.paths import store_root
from mcmi_core.data import load_dataset
from mcmi_core.data.split import Split
from mcmi_core.experiments.pair import Pair
from mcmi_core.experiments.small_pairs import PHOTOGRAPH_RECIPE, PHOTOGRAPHS
from mcmi_core.measures.evaluation import evaluate
from mcmi_core.runs.config import Measurement, Run, Teacher
from mcmi_core.runs.execute import execute
from mcmi_core.runs.store import Store
from mcmi_core.runs.trainer import load_model

CPU = torch.device("cpu")
SEEDS = (0, 1)
EPOCHS = (15, 20, 25, 30)
"""Of MLL training, cheapest first."""
LEAST_ACCURACY_PERCENT, MOST_CMI_NATS = 99.0, 0.05
"""Of an MLL teacher on its training images, for each pilot seed."""
LAMBDAS = (0.4, 0.7, 1.0)
"""Of ``tracked``."""
MOST_ACCURACY_LOST = 2.0
"""Points on held-out images, against λ = 0."""


def main(workers: Annotated[int, typer.Option(help="Trainings at a time.")] = 2) -> None:
    """Train the pilot's teachers into MCMI_STORE, and write pilot_recipe.md and pilot_lambda.md."""
    store = Store(store_root())

    def train(runs: list[Run]) -> None:
        execute(runs, store, workers=workers, device=CPU)

    pair = choose_recipe(store, train)
    choose_lambda(pair, store, train)


def choose_recipe(store: Store, train: Callable[[list[Run]], None]) -> Pair:
    """The pair with the cheapest MLL training that fits its images, and the table of those tried.

    Raises:
        SystemExit: none does.
    """
    rows = []
    for epochs in EPOCHS:
        pair = replace(PHOTOGRAPHS, recipe=PHOTOGRAPH_RECIPE.shortened(epochs))
        teachers = [pair.mll(seed) for seed in SEEDS]
        train(teachers)
        ends = [store.record(teacher).metrics["train"] for teacher in teachers]
        fits = all(
            end["accuracy_percent"] >= LEAST_ACCURACY_PERCENT and end["cmi_nats"] <= MOST_CMI_NATS
            for end in ends
        )
        accuracies = ", ".join(f"{end['accuracy_percent']:.2f}" for end in ends)
        cmis = ", ".join(f"{end['cmi_nats']:.4f}" for end in ends)
        rows.append((epochs, accuracies, cmis, "yes" if fits else "no"))
        if fits:
            break
    write_table(
        "pilot_recipe",
        "Pilot: the cheapest training that fits its images closely",
        ("MLL epochs", "training accuracy, %, by seed", "training CMI, nats, by seed", "fits"),
        rows,
        note=f"{pair.teacher} on {pair.data}; seeds {SEEDS}. Fits: at least "
        f"{LEAST_ACCURACY_PERCENT:g} % and at most {MOST_CMI_NATS:g} nats with every seed.",
    )
    if not fits:
        raise SystemExit("no recipe fits; try more epochs")
    return pair


def choose_lambda(pair: Pair, store: Store, train: Callable[[list[Run]], None]) -> None:
    """The table of what fine-tuned teachers make of held-out images, means over the pilot seeds."""
    makers = {"MLL": pair.mll, "fine-tuned λ=0": pair.untreated, f"fixed λ={pair.lam:g}": pair.mcmi}
    for lam in LAMBDAS:
        makers[f"tracked λ={lam:g}"] = partial(pair.mcmi, lam=lam, centroids="tracked")
    teachers = {name: [make(seed) for seed in SEEDS] for name, make in makers.items()}
    train([teacher for group in teachers.values() for teacher in group])
    data, held_out = load_dataset(pair.data), held_out_images(pair)
    raised = raised_shares(teachers, store, train)
    means = {}
    for name, group in teachers.items():
        numbers = []
        for teacher in group:
            seen = store.record(teacher).metrics["train"]
            unseen = evaluate(load_model(teacher, store, CPU), data, held_out, CPU)
            both = (seen["accuracy_percent"], seen["cmi_nats"])
            numbers.append((*both, unseen["accuracy_percent"], unseen["ll_nats"]))
        means[name] = torch.tensor(numbers).mean(dim=0).tolist()
    least = means["fine-tuned λ=0"][2] - MOST_ACCURACY_LOST
    allowed = {name: row[3] for name, row in means.items() if row[2] >= least}
    tracked = {name: ll for name, ll in allowed.items() if name.startswith("tracked")}
    chosen = max(tracked, key=tracked.get, default="none")
    write_table(
        "pilot_lambda",
        "Pilot: λ of our variant",
        (
            "teacher",
            "train accuracy, %",
            "train CMI",
            "held-out accuracy, %",
            "held-out LL",
            "raised at the start, %",
            "at the end, %",
        ),
        [(name, *(f"{v:.3f}" for v in row), *raised[name]) for name, row in means.items()],
        note=f"{pair.teacher} on {pair.data}, {pair.recipe_text}; nats, means of seeds {SEEDS}. "
        "Raised: training images on which MCMI, with that λ, raises a wrong class; by the outputs "
        f"and centroids of the MLL teacher, and of the teacher itself. Chosen: {chosen}.",
    )


def raised_shares(
    teachers: dict[str, list[Teacher]], store: Store, train: Callable[[list[Run]], None]
) -> dict[str, tuple[str, str]]:
    """Percent of training images on which λ has MCMI raise a wrong class, before and after."""
    shares = {}
    for name, group in teachers.items():
        lam = group[0].objective.options.get("lam", 0)
        if lam == 0:  # without CMI nothing is raised
            shares[name] = ("–", "–")
            continue
        ends = []
        for networks in ([teacher.start for teacher in group], group):
            measured = [
                Measurement(of=network, what=f"raised_share:lambdas={lam}") for network in networks
            ]
            train(measured)
            values = [store.record(each).result["raised_percent"][0] for each in measured]
            ends.append(f"{sum(values) / len(values):.2f}")
        shares[name] = tuple(ends)
    return shares


def held_out_images(pair: Pair) -> Split:
    """As many training images of each class again, which no teacher saw: the next ones by name."""
    seen = len(load_dataset(pair.data).train) // load_dataset(pair.data).num_classes
    doubled = pair.data.replace(f"images_per_class={seen}", f"images_per_class={2 * seen}")
    train = load_dataset(doubled).train
    place = torch.cat([torch.arange(int(number)) for number in train.labels.bincount()])
    # Images lie class by class, in the order of their names.
    return train.subset((place >= seen).nonzero().flatten())


if __name__ == "__main__":
    typer.run(main)
