"""Distillation frameworks, one file each. To add one: write its file and add its line here."""

from mcmi_core.base.registry import Registry
from mcmi_core.distillers._base import Distiller, Output, feature_shapes
from mcmi_core.distillers.ab import AB
from mcmi_core.distillers.at import AT
from mcmi_core.distillers.cc import CC
from mcmi_core.distillers.crd import CRD
from mcmi_core.distillers.dist import DIST
from mcmi_core.distillers.dkd import DKD
from mcmi_core.distillers.fitnet import FitNet
from mcmi_core.distillers.fsp import FSP
from mcmi_core.distillers.ft import FT
from mcmi_core.distillers.hsakd import HSAKD
from mcmi_core.distillers.kd import KD
from mcmi_core.distillers.lskd import LSKD
from mcmi_core.distillers.masked_kd import MaskedKD
from mcmi_core.distillers.nst import NST
from mcmi_core.distillers.pkt import PKT
from mcmi_core.distillers.review_kd import ReviewKD
from mcmi_core.distillers.rkd import RKD
from mcmi_core.distillers.semi_kd import SemiKD
from mcmi_core.distillers.sp import SP
from mcmi_core.distillers.vid import VID

# What a distiller may ask for: both networks, two normalised inputs to read feature shapes from,
# and the labels (N,) of the training split.
DISTILLERS = Registry(
    "distiller",
    {
        "kd": KD,
        "masked_kd": MaskedKD,
        "semi_kd": SemiKD,
        "lskd": LSKD,
        "dkd": DKD,
        "dist": DIST,
        "fitnet": FitNet,
        "at": AT,
        "nst": NST,
        "vid": VID,
        "sp": SP,
        "pkt": PKT,
        "rkd": RKD,
        "cc": CC,
        "crd": CRD,
        "reviewkd": ReviewKD,
        "hsakd": HSAKD,
        "ab": AB,
        "ft": FT,
        "fsp": FSP,
    },
    context=("student", "teacher", "sample", "labels"),
)

__all__ = ["DISTILLERS", "KD", "Distiller", "Output", "feature_shapes"]
