"""A sprint whose runs take a fraction of a second, each in a lane on the CPU."""

import math

import pandas as pd
import torch

from mcmi_core.experiments.pair import Pair
from mcmi_core.runs.on_card import execute_on_card
from mcmi_core.runs.queue import Queue
from mcmi_core.sprint import plan
from mcmi_core.sprint import sprint as module
from mcmi_core.training.recipe import Recipe

CPU = torch.device("cpu")
SEEDS = (0, 1)
PAIR = Pair(
    data="oracle:train_size=200,test_size=100,dimension=16,latent_dimension=4,classes=10",
    teacher="mlp:width=8",
    student="mlp:width=4",
    lam=0.25,
    tracked_lam=0.25,
    recipe=Recipe(epochs=4, batch_size=16, milestones=(3,), precision="bf16", evaluate_every=2),
    fine_tuning=Recipe(epochs=2, schedule="cosine", precision="bf16", learning_rate=0.01),
)


def wanted(pair=PAIR, seeds=SEEDS):
    """All runs of a sprint, each after what it builds on."""
    links = (link for run in plan.wanted(pair, seeds) for link in run.chain())
    return list({link.key: link for link in links}.values())


def in_lanes(runs, store, *, workers=3, device=CPU, engine="graph", deadline=math.inf):
    """What `execute` does on a GPU."""
    queue = Queue(runs, store)
    if queue.waiting:
        execute_on_card(queue, store, device, streams=workers, engine=engine, deadline=deadline)
    queue.check_failures()


def agreeing(**changes):
    """What a check says where all agree; or, by what is compared, not."""
    compared = ["eager − CPU", "graph − eager", "graph again", "graph, bf16"]
    agrees = [changes.get(name, True) for name in compared]
    columns = {"method": "kd", "compared": compared, "distance": 0.0, "tolerance": 1e-6}
    return pd.DataFrame(columns | {"agrees": agrees})


def skip_measuring(patch):
    """Nothing is checked, or measured, and runs are trained in lanes; ``patch``: as `setattr`."""
    patch(module, "check", lambda device: agreeing())
    patch(module, "_speed", None)  # not asked, as the number of streams is given
    patch(module, "execute", in_lanes)


def sprint(out, resume=None, pair=PAIR, seeds=SEEDS, say=lambda text: None, minutes=5):
    module.sprint(out, minutes, CPU, resume, 3, pair=pair, seeds=seeds, say=say)
