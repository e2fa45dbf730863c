"""Distillation losses as pure functions on tensors; each docstring spells its reduction out.

``logits``: of outputs; ``maps``: of stage maps; ``relations``: of samples to one another. The
direction of every KL divergence is teacher ‖ student. A zero vector has a zero direction and a
finite gradient.

They accept floating-point tensors of any precision, which may differ between student and teacher,
on one device, of N ≥ 1 samples. Every loss runs in the widest of their types, at least float32,
under autocast too. Labels are integers of any type, or bool. A logit of −inf is an excluded class,
of probability 0; NaN and +inf make a loss NaN. All else is refused, with what would do instead.
Nothing waits for a GPU, so labels out of range are refused on the CPU only.
"""

from mcmi_core.losses._numerics import (
    common_precision,
    exact_products,
    full_precision,
    no_less_than,
    times_log,
)
from mcmi_core.losses.logits import dist_loss, dkd_loss, kd_loss, standardise_logits
from mcmi_core.losses.maps import (
    attention_loss,
    average_pool,
    fsp_loss,
    hcl_loss,
    hint_loss,
    nst_loss,
    vid_loss,
)
from mcmi_core.losses.relations import correlation_loss, pkt_loss, rkd_loss, similarity_loss

__all__ = [
    "attention_loss",
    "average_pool",
    "common_precision",
    "correlation_loss",
    "dist_loss",
    "dkd_loss",
    "exact_products",
    "fsp_loss",
    "full_precision",
    "hcl_loss",
    "hint_loss",
    "kd_loss",
    "no_less_than",
    "nst_loss",
    "pkt_loss",
    "rkd_loss",
    "similarity_loss",
    "standardise_logits",
    "times_log",
    "vid_loss",
]
