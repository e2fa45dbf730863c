"""What can be measured on a finished run, beyond the metrics that every run has.

A measurement is a function of a model, its data set and one split that returns named columns:
equally long lists, small enough for a record. To add one: write its file and add its line here.
"""

from mcmi_core.base.registry import Registry
from mcmi_core.measures.eigen_cam import eigen_cam_coverage, eigen_cam_maps
from mcmi_core.measures.predictions import (
    by_class,
    confusion_matrix,
    network_size,
    temperature_sweep,
    unseen,
)
from mcmi_core.measures.proposition import proposition_1
from mcmi_core.measures.tsne import tsne

MEASUREMENTS = Registry(
    "measurement",
    {
        "temperature_sweep": temperature_sweep,
        "unseen": unseen,
        "confusion_matrix": confusion_matrix,
        "by_class": by_class,
        "tsne": tsne,
        "network_size": network_size,
        "eigen_cam_coverage": eigen_cam_coverage,
        "eigen_cam_maps": eigen_cam_maps,
        "proposition_1": proposition_1,
    },
    context=("model", "dataset", "split", "device"),
)

__all__ = ["MEASUREMENTS"]
