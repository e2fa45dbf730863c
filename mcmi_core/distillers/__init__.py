"""Distillation frameworks, one file each. To add one: write its file and add its line here."""

from mcmi_core.distillers._base import Distiller, Output
from mcmi_core.distillers.kd import KD
from mcmi_core.registry import Registry

DISTILLERS = Registry("distiller", {"kd": KD}, context=("student", "teacher"))

__all__ = ["DISTILLERS", "KD", "Distiller", "Output"]
