"""Distillation frameworks, one file each. To add one: write its file and add its line here."""

from mcmi_core.distillers._base import Distiller, Output, feature_shapes
from mcmi_core.distillers.kd import KD
from mcmi_core.registry import Registry

# What a distiller may ask for: both networks, two normalised inputs to read feature shapes from,
# and the labels (N,) of the training split.
DISTILLERS = Registry("distiller", {"kd": KD}, context=("student", "teacher", "sample", "labels"))

__all__ = ["DISTILLERS", "KD", "Distiller", "Output", "feature_shapes"]
