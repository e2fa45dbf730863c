"""Distillation losses as pure functions on tensors; each docstring spells its reduction out.

``logits``: of outputs; ``maps``: of stage maps; ``relations``: of samples to one another. The
direction of every KL divergence is teacher ‖ student. Every loss runs in at least float32, under
autocast too, and a zero vector has a zero direction and a finite gradient.
"""

from mcmi_core.losses._numerics import exact_products, full_precision
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
    "correlation_loss",
    "dist_loss",
    "dkd_loss",
    "exact_products",
    "fsp_loss",
    "full_precision",
    "hcl_loss",
    "hint_loss",
    "kd_loss",
    "nst_loss",
    "pkt_loss",
    "rkd_loss",
    "similarity_loss",
    "standardise_logits",
    "vid_loss",
]
