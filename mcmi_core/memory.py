"""How much of a GPU's memory a run will take: an estimate, which needs no GPU.

    data set + remembered logits + what lasts + SPARE · (peak of a step + peak of an evaluation)

What lasts are weights, buffers and momentum of all networks and of the criterion. The peaks are
counted: a training step, backward pass included, runs on torch's meta device, whose tensors have
shapes but no values, and so does an evaluation, all its features kept. Both are added, since the
allocator keeps what either has taken, and everything is counted in float32, also for bf16.

Convolutions' workspaces and the gaps between blocks cannot be counted; SPARE stands for them, and
no card has confirmed it. What a process takes besides is ``device.CONTEXT_BYTES``.
"""

import copy
import math
import weakref

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from mcmi_core.criterion import Criterion
from mcmi_core.data import load_dataset
from mcmi_core.data.loader import Batch
from mcmi_core.data.split import Dataset
from mcmi_core.distillers import DISTILLERS
from mcmi_core.distillers.hsakd import HeadsLoss
from mcmi_core.evaluation import BATCH_SIZE
from mcmi_core.objectives import MLLLoss
from mcmi_core.runs import BayesTeacher, Measurement, Run, Student, Teacher, TeacherHeads
from mcmi_core.teacher_cache import remembered_shape
from mcmi_core.trainer import create_untrained

META = torch.device("meta")

SPARE = 1.5
"""Factor of the counted peaks; a guess on the safe side."""


class LiveBytes(TorchDispatchMode):
    """Counts the bytes of tensors made within it while they live: ``now``, and at the ``peak``."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0
        self.peak = 0
        self._seen = weakref.WeakSet()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        """Run an operation and count what it makes; tensors made elsewhere do not count."""
        self._seen.update(_storages((args, kwargs)))
        results = function(*args, **(kwargs or {}))
        for storage in _storages(results):
            if storage not in self._seen:
                self._seen.add(storage)
                self.now += storage.nbytes()
                weakref.finalize(storage, self._freed, storage.nbytes())
        self.peak = max(self.peak, self.now)
        return results

    def _freed(self, size: int) -> None:
        self.now -= size


def _storages(values: object) -> list[torch.UntypedStorage]:
    return [leaf.untyped_storage() for leaf in tree_leaves(values) if isinstance(leaf, Tensor)]


def bytes_needed(run: Run, free: float = math.inf) -> int:
    """Memory that a run will take on a GPU, beside what each process takes; see above.

    Args:
        run: what will be trained, evaluated or measured.
        free: bytes of the card that are free; a split that takes more than half stays off it, and
            so do the logits that a student remembers.

    Raises:
        DataError: the data set is missing.
        IncompatibleNetworks: the distiller cannot compare the networks.
        ValueError: an option that does not go with the data.
    """
    dataset = load_dataset(run.data)
    sizes = [split.inputs.nbytes for split in (dataset.train, dataset.test)]
    data = sum(size for size in sizes if 2 * size <= free)
    if isinstance(run, BayesTeacher | Measurement):
        model = _network(run.of if isinstance(run, Measurement) else run, dataset)
        return data + int(_lasting(model) + SPARE * evaluation_peak(model, dataset))
    if shape := remembered_shape(run, dataset, *run.part.select(dataset.train)):
        logits = torch.float32.itemsize * math.prod(shape)
        data += logits if 2 * logits <= free else 0
    model, criterion = _model_and_criterion(run, dataset)
    peaks = step_peak(model, criterion, dataset, run.recipe.batch_size)
    peaks += evaluation_peak(model, dataset)
    return data + int(_lasting(model, criterion, *criterion.networks()) + SPARE * peaks)


def _lasting(*modules: nn.Module) -> int:
    """Weights and buffers, and the momentum of what is trained."""
    parameters = [parameter for module in modules for parameter in module.parameters()]
    trained = [parameter for parameter in parameters if parameter.requires_grad]
    buffers = [buffer for module in modules for buffer in module.buffers()]
    return sum(tensor.nbytes for tensor in (*parameters, *trained, *buffers))


def step_peak(model: nn.Module, criterion: Criterion, dataset: Dataset, batch_size: int) -> int:
    """Bytes that a forward and backward pass has at its peak, gradients included.

    Args:
        model: on the meta device, as are the criterion and its networks.
        criterion: whose terms are computed.
        dataset: tells the shape of a sample.
        batch_size: samples in the step.
    """
    labels = torch.zeros(batch_size, dtype=torch.int64, device=META)
    with LiveBytes() as live:
        batch = Batch(_inputs(dataset, batch_size), labels, labels)
        sum(criterion.train().terms(model.train(), batch).values()).backward()
    return live.peak


@torch.no_grad()
def evaluation_peak(model: nn.Module, dataset: Dataset) -> int:
    """Bytes that showing the network an evaluation's batch has at its peak.

    Args:
        model: on the meta device.
        dataset: tells the shape of a sample.
    """
    look = getattr(model.eval(), "features", model)
    with LiveBytes() as live:
        look(_inputs(dataset, BATCH_SIZE))
    return live.peak


def _inputs(dataset: Dataset, number: int) -> Tensor:
    return (
        torch.empty_like(dataset.normalise(dataset.train.inputs[:1]), device=META)
        .expand(number, *[-1] * (dataset.train.inputs.ndim - 1))
        .clone()
    )


def _network(run: Teacher | TeacherHeads | Student | BayesTeacher, dataset: Dataset) -> nn.Module:
    if isinstance(run, BayesTeacher):
        return copy.deepcopy(dataset.bayes_classifier).to(META)
    return create_untrained(run, dataset).to(META)


def _model_and_criterion(
    run: Teacher | TeacherHeads | Student, dataset: Dataset
) -> tuple[nn.Module, Criterion]:
    model = _network(run, dataset)
    if isinstance(run, Teacher):
        return model, MLLLoss()  # what other objectives need more is no more than their logits
    if isinstance(run, TeacherHeads):
        return model, HeadsLoss()
    split, _ = run.part.select(dataset.train)
    criterion = DISTILLERS.build(
        run.distiller,
        student=model,
        teacher=_network(run.teacher, dataset),
        sample=_inputs(dataset, 2),
        labels=split.labels,
    )
    return model, criterion.to(META)
