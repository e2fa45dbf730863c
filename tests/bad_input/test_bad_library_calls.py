"""Losses, objectives, metrics and CMI called with what they cannot take; see test_library_calls."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mcmi_core import losses
from mcmi_core.cmi import (
    ConditionalMutualInformation,
    LogLikelihood,
    OutputSums,
    bayes_divergence,
    class_centroids,
    conditional_mutual_information,
    log_likelihood,
)
from mcmi_core.objectives import EntropyBonusLoss, LabelSmoothingLoss, MCMILoss, MLLLoss

N, C = 4, 3
LOGITS = torch.arange(12.0).view(N, C)
PROBS = LOGITS.softmax(1)
LABELS = torch.tensor([0, 1, 2, 0])
MAPS = torch.arange(128.0).view(N, 2, 4, 4)
META = torch.zeros(N, C, device="meta")
NO_NUMBERS = [None, "1", [1.0], (1.0,), {}, 1j, np.ones(2), torch.ones(2), b"1", object]
NO_COUNTS = [None, "3", 3.0, math.nan, [3], 3j, True, torch.tensor(3), np.float32(3)]

WITH_NUMBERS = {
    "lam": lambda x: MCMILoss(x, "tracked", num_classes=C),
    "momentum": lambda x: MCMILoss(0.1, "tracked", x, C),
    "share": LabelSmoothingLoss,
    "weight": EntropyBonusLoss,
    "temperature of kd": lambda x: losses.kd_loss(LOGITS, LOGITS, x),
    "alpha of dkd": lambda x: losses.dkd_loss(LOGITS, LOGITS, LABELS, x, 8.0, 4.0),
    "beta of dkd": lambda x: losses.dkd_loss(LOGITS, LOGITS, LABELS, 1.0, x, 4.0),
    "temperature of dkd": lambda x: losses.dkd_loss(LOGITS, LOGITS, LABELS, 1.0, 8.0, x),
    "beta of dist": lambda x: losses.dist_loss(LOGITS, LOGITS, x),
    "gamma of dist": lambda x: losses.dist_loss(LOGITS, LOGITS, 1.0, x),
    "temperature of dist": lambda x: losses.dist_loss(LOGITS, LOGITS, 1.0, 1.0, x),
    "temperature of lskd": lambda x: losses.standardise_logits(LOGITS, x),
    "p of attention": lambda x: losses.attention_loss([MAPS], [MAPS], x),
    "distance_weight of rkd": lambda x: losses.rkd_loss(LOGITS, LOGITS, x),
    "angle_weight of rkd": lambda x: losses.rkd_loss(LOGITS, LOGITS, 25, x),
    "temperature of the divergence": lambda x: bayes_divergence(LOGITS, PROBS, x),
    "temperature of CMI": lambda x: ConditionalMutualInformation(C, x),
    "temperature of LL": lambda x: LogLikelihood(C, x),
    "temperature of sums": lambda x: OutputSums.zeros(C).update(LOGITS, LABELS, x),
}
WITH_COUNTS = {
    "centroids": lambda x: class_centroids(PROBS, LABELS, x),
    "fixed": lambda x: MCMILoss(0.1, "fixed", num_classes=x),
    "tracked": lambda x: MCMILoss(0.1, "tracked", num_classes=x),
    "CMI": ConditionalMutualInformation,
    "LL": LogLikelihood,
    "sums": OutputSums.zeros,
}
WITH_LOGITS = {
    "mll": lambda x: MLLLoss()(x, LABELS),
    "mcmi": lambda x: MCMILoss(0.1, "tracked", num_classes=C)(x, LABELS),
    "kd, student": lambda x: losses.kd_loss(x, LOGITS, 4.0),
    "kd, teacher": lambda x: losses.kd_loss(LOGITS, x, 4.0),
    "dkd": lambda x: losses.dkd_loss(x, x, LABELS, 1.0, 8.0, 4.0),
    "dist": lambda x: losses.dist_loss(x, x),
    "lskd": lambda x: losses.standardise_logits(x, 2.0),
    "pkt": lambda x: losses.pkt_loss(x, LOGITS),
    "rkd": lambda x: losses.rkd_loss(LOGITS, x),
    "similarity": lambda x: losses.similarity_loss(x, LOGITS),
    "correlation": lambda x: losses.correlation_loss(x, LOGITS),
    "hint": lambda x: losses.hint_loss(x, LOGITS),
    "cmi": lambda x: conditional_mutual_information(x, LABELS),
    "ll": lambda x: log_likelihood(x, LABELS),
    "centroids": lambda x: class_centroids(x, LABELS, C),
    "divergence": lambda x: bayes_divergence(x, PROBS),
    "posterior": lambda x: bayes_divergence(LOGITS, x),
    "metric": lambda x: ConditionalMutualInformation(C).update(x, LABELS),
    "sums": lambda x: OutputSums.zeros(C).update(x, LABELS),
}
NO_LOGITS = {
    "None": (None, "must be a tensor, got NoneType"),
    "a list": ([[0.0, 1.0, 2.0]] * N, "must be a tensor, got list"),
    "an array": (PROBS.numpy(), "must be a tensor, got ndarray"),
    "text": ("logits", "must be a tensor, got str"),
    "complex": (PROBS.to(torch.complex64), "floating-point tensor, got torch.complex64"),
    "bool": (PROBS > 0.5, "floating-point tensor, got torch.bool"),
    "sparse": (PROBS.to_sparse(), "must be a dense tensor, got torch.sparse_coo"),
}
MAP_LOSSES = {
    "attention": losses.attention_loss,
    "nst": losses.nst_loss,
    "hcl": losses.hcl_loss,
    "fsp": losses.fsp_loss,
}
NO_MAPS = {
    "None": (None, "must be a list of tensors, got NoneType"),
    "a tensor": (MAPS, "must be a list of tensors, got Tensor"),
    "text": ("ab", "must be a list of tensors, got str"),
    "no maps": ([], "got 0 and 2 maps"),
    "one map less": ([MAPS], "got 1 and 2 maps"),
    "None within": ([None, MAPS], "student_maps[0] must be a tensor, got NoneType"),
    "vectors": ([LOGITS, LOGITS], "must have shapes (N, C, H, W)"),
    "another batch": ([MAPS[:2], MAPS], "with the same N, got (2, 2, 4, 4) and (4, 2, 4, 4)"),
    "no sample": ([MAPS[:0], MAPS], "hold no sample"),
    "integers": ([MAPS.long(), MAPS], "floating-point tensor, got torch.int64"),
}


def refused(call, value, *words: str) -> None:
    with pytest.raises(ValueError) as error:
        call(value)
    for word in words:
        assert word in str(error.value)


@pytest.mark.parametrize("value", NO_NUMBERS, ids=lambda value: type(value).__name__)
@pytest.mark.parametrize(("name", "call"), WITH_NUMBERS.items(), ids=WITH_NUMBERS)
def test_what_is_no_number_is_quoted(name, call, value):
    refused(call, value, name.split()[0], f"got {value!r}")


@pytest.mark.parametrize("value", NO_COUNTS, ids=repr)
@pytest.mark.parametrize("call", WITH_COUNTS.values(), ids=WITH_COUNTS)
def test_classes_are_counted_in_whole_numbers(call, value):
    asked = "num_classes" if value is None else "num_classes must be a whole number of at least"
    refused(call, value, asked, "" if value is None else f"got {value!r}")


@pytest.mark.parametrize("value", [0, -1, -(2**70)])
@pytest.mark.parametrize("call", WITH_COUNTS.values(), ids=WITH_COUNTS)
def test_there_are_classes(call, value):
    refused(call, value, "num_classes must be at least", f"got {value}")


@pytest.mark.parametrize("call", list(WITH_COUNTS.values())[1:], ids=list(WITH_COUNTS)[1:])
def test_there_are_two_classes(call):
    refused(call, 1, "num_classes must be at least 2, got 1")


@pytest.mark.parametrize("value", [100_001, 10**13, 2**63, 10**30])
@pytest.mark.parametrize("call", WITH_COUNTS.values(), ids=WITH_COUNTS)
def test_there_are_no_more_classes_than_anybody_has(call, value):
    refused(call, value, f"num_classes must be at most 100,000, got {value}")


@pytest.mark.parametrize(("value", "words"), NO_LOGITS.values(), ids=NO_LOGITS)
@pytest.mark.parametrize("call", WITH_LOGITS.values(), ids=WITH_LOGITS)
def test_what_are_no_logits_is_said(call, value, words):
    refused(call, value, words)


@pytest.mark.parametrize(("value", "words"), NO_MAPS.values(), ids=NO_MAPS)
@pytest.mark.parametrize("loss", MAP_LOSSES.values(), ids=MAP_LOSSES)
def test_what_are_no_maps_is_said(loss, value, words):
    refused(lambda maps: loss(maps, [MAPS, MAPS]), value, words)


@pytest.mark.parametrize("name", ["cmi", "ll", "centroids"])
def test_probabilities_without_numbers_are_refused(name):
    labels = LABELS.to("meta")
    calls = {
        "cmi": lambda x: conditional_mutual_information(x, labels),
        "ll": lambda x: log_likelihood(x, labels),
        "centroids": lambda x: class_centroids(x, labels, C),
    }
    refused(calls[name], META, "probs must hold numbers, got a tensor on the device meta")


@pytest.mark.parametrize("value", [0, -1, math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("name", [name for name in WITH_NUMBERS if "temperature" in name])
def test_temperatures_are_positive_and_finite(name, value):
    refused(WITH_NUMBERS[name], value, "temperature must be positive", f"got {value}")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("lam", value) for value in (-1, math.nan, math.inf, -math.inf)),
        *(("momentum", value) for value in (-0.1, 1, 2, math.nan, math.inf)),
        *(("share", value) for value in (-0.1, 1, math.nan)),
        *(("weight", value) for value in (-0.1, math.nan, math.inf)),
        *(("p of attention", value) for value in (0.5, 0, -1, math.nan)),
    ],
)
def test_numbers_out_of_range_are_quoted(name, value):
    refused(WITH_NUMBERS[name], value, name.split()[0], f"got {value}")


@pytest.mark.parametrize(
    ("centroids", "words"),
    [
        (None, "'fixed' or 'tracked', got None"),
        ("Fixed", "'fixed' or 'tracked', got 'Fixed'"),
        ("", "'fixed' or 'tracked', got ''"),
        (3, "'fixed' or 'tracked', got 3"),
        (["fixed"], "'fixed' or 'tracked', got ['fixed']"),
        (np.eye(C), "'fixed' or 'tracked', got array"),
        (torch.eye(C).to_sparse(), "centroids must be a dense tensor"),
        (torch.eye(C).to(torch.complex64), "floating-point tensor, got torch.complex64"),
        (torch.eye(1), "centroids must be (C, C), got (1, 1)"),
        (torch.zeros(0, 0), "centroids must be (C, C), got (0, 0)"),
        (torch.zeros(C), "centroids must be (C, C), got (3,)"),
        (torch.full((C, C), math.nan), "centroids must hold probabilities, got nan"),
        (-torch.eye(C), "centroids must hold probabilities, got -1.0"),
    ],
    ids=lambda value: str(value)[:20].replace("\n", ""),
)
def test_centroids_that_cannot_be(centroids, words):
    refused(lambda x: MCMILoss(0.1, x, num_classes=C), centroids, words)


@pytest.mark.parametrize(
    ("scale", "words"),
    [
        (None, "log_scale must be a tensor, got NoneType"),
        (1.0, "log_scale must be a tensor, got float"),
        (torch.ones(2, dtype=torch.int64), "log_scale must be a floating-point tensor"),
        (torch.ones(3), "must have the same channels"),
        (torch.ones(()), "must have the same channels"),
    ],
    ids=repr,
)
def test_scales_of_vid_that_cannot_be(scale, words):
    refused(lambda x: losses.vid_loss(MAPS, MAPS, x), scale, words)


@pytest.mark.parametrize(
    "labels", [None, "012", [0, 1], LABELS.numpy(), LABELS * 1j, LABELS.to_sparse(), LABELS[:0]]
)
@pytest.mark.parametrize("name", ["mll", "cmi", "metric", "dkd"])
def test_what_are_no_labels_is_said(name, labels):
    calls = {
        "mll": lambda x: MLLLoss()(LOGITS, x),
        "cmi": lambda x: conditional_mutual_information(PROBS, x),
        "metric": lambda x: LogLikelihood(C).update(LOGITS, x),
        "dkd": lambda x: losses.dkd_loss(LOGITS, LOGITS, x, 1.0, 8.0, 4.0),
    }
    refused(calls[name], labels, "labels must be")


@given(lam=st.one_of(st.floats(), st.integers(), st.text(max_size=5), st.none()))
def test_every_lambda_is_taken_as_it_is_or_quoted(lam):
    try:
        loss = MCMILoss(lam, "tracked", num_classes=C)
    except ValueError as error:
        assert str(error).endswith(f"got {lam!r}")
    else:
        assert loss.lam == lam and 0 <= lam < math.inf
