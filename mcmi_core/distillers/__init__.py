"""Distillation frameworks, one file each, with what they share in ``_base``."""

from mcmi_core.components import DISTILLERS
from mcmi_core.distillers._base import Distiller, Output, feature_shapes
from mcmi_core.distillers.kd import KD

__all__ = ["DISTILLERS", "KD", "Distiller", "Output", "feature_shapes"]
