"""A run is put together once before a folder is made for it: a mistake leaves nothing behind."""

from torch import nn

from mcmi_core.components import OBJECTIVES
from mcmi_core.data import load_dataset
from mcmi_core.data.split import Dataset, Split
from mcmi_core.runs.config import BayesTeacher, Measurement, Run, Student, Teacher
from mcmi_core.runs.trainer import create_distiller, create_untrained, exact_posterior


def rehearse(run: Run) -> None:
    """Build what a run trains, from random weights, and take no step.

    Args:
        run: what it builds on is taken as given.

    Raises:
        ValueError: an option that a component refuses, or classes to omit that are not there.
        IncompatibleNetworks: the distiller cannot compare these networks.
        DataError: the data set is missing, or knows no true posterior.
    """
    dataset = load_dataset(run.data)
    if isinstance(run, BayesTeacher | Measurement):
        return
    labels = dataset.train.labels
    seen, _ = run.part.select(Split(labels[:, None], labels))  # no copy of the images
    network = create_untrained(run, dataset)
    if isinstance(run, Teacher):
        OBJECTIVES.build(run.objective, num_classes=dataset.num_classes)
    elif isinstance(run, Student):
        create_distiller(
            run,
            dataset,
            student=network,
            teacher=_teacher(run, dataset),
            inputs=dataset.train.inputs[:2],
            labels=seen.labels,
        )


def _teacher(run: Student, dataset: Dataset) -> nn.Module:
    if isinstance(run.teacher, BayesTeacher):
        return exact_posterior(run.teacher, dataset)
    return create_untrained(run.teacher, dataset)
