"""What can be measured on a finished run beyond its standard metrics.

A measurement is a function of a model, its data set and one split that returns named columns:
equally long lists, small enough for a record. To add one: write it and add its line below.
"""

import torch
from torch import nn

from mcmi_core.data.split import Dataset, Split
from mcmi_core.registry import Registry


def temperature_sweep(
    *,
    model: nn.Module,
    dataset: Dataset,
    split: Split,
    device: torch.device,
    temperatures: tuple[float, ...],
) -> dict[str, list[float]]:
    """CMI, LL and entropy (nats) of softmax(logits / T) for every temperature T."""
    from mcmi_core.evaluation import evaluate  # seconds, which a replay should not wait

    rows = [evaluate(model, dataset, split, device, temperature=t) for t in temperatures]
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    return {"temperature": list(temperatures)} | columns


MEASUREMENTS = Registry(
    "measurement",
    {"temperature_sweep": temperature_sweep},
    context=("model", "dataset", "split", "device"),
)
