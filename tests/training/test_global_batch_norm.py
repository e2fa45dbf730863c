"""Batch norm over several processes' samples is torch's over all of them, gradients included."""

import pytest
import torch
from several_processes import on_processes
from torch import nn

from mcmi_core.base import processes
from mcmi_core.training.global_batch_norm import GlobalBatchNorm, use_global_statistics

SHAPES = {"vectors": (nn.BatchNorm1d, (5, 3)), "maps": (nn.BatchNorm2d, (5, 3, 2, 4))}
SETTINGS = {
    "plain": {},
    "without weights": {"affine": False},
    "without memory": {"track_running_stats": False},
    "equal weights of batches": {"momentum": None},
}
CASES = [(shape, setting) for shape in SHAPES for setting in SETTINGS]
ROWS = {2: (slice(0, 1), slice(1, 5)), 3: (slice(0, 2), slice(2, 2), slice(2, 5))}
"""Of each of two and of three processes, of which one has none."""


def steps(shape, setting, rows=slice(None)):
    """Outputs, the inputs' and weights' gradients and the state of two steps, then an evaluation.

    The inputs' mean is large, and all weights differ.
    """
    kind, size = SHAPES[shape]
    generator = torch.Generator().manual_seed(0)
    norm = kind(size[1], dtype=torch.float64, **SETTINGS[setting])
    for parameter in norm.parameters():
        parameter.data.uniform_(1, 2, generator=generator)
    if processes.number() > 1:
        use_global_statistics(norm)
    seen = []
    for _ in range(2):
        inputs = 50 + torch.randn(size, generator=generator, dtype=torch.float64)
        factors = torch.randn(size, generator=generator, dtype=torch.float64)
        own = inputs[rows].clone().requires_grad_()
        outputs = norm(own)
        (outputs * factors[rows]).sum().backward()
        seen += [outputs.detach(), own.grad]
    if SETTINGS[setting].get("track_running_stats", True):
        seen.append(norm.eval()(inputs[rows]).detach())
    gradients = [parameter.grad for parameter in norm.parameters()]
    return seen, gradients, norm.state_dict()


def all_steps(number):
    return {case: steps(*case, ROWS[number][processes.rank()]) for case in CASES}


@pytest.fixture(scope="module", params=ROWS)
def answers(request):
    return on_processes(request.param, all_steps, request.param)


@pytest.mark.parametrize("case", CASES, ids=" ".join)
def test_outputs_gradients_and_memory_are_those_of_the_whole_batch(case, answers):
    seen, gradients, state = steps(*case)
    close = {"rtol": 0, "atol": 1e-9}
    for rows, answer in zip(ROWS[len(answers)], answers, strict=True):
        own, _, own_state = answer[case]
        for part, whole in zip(own, seen, strict=True):
            torch.testing.assert_close(part, whole[rows], **close)
        assert list(own_state) == list(state)
        torch.testing.assert_close(own_state, state, **close)
    for place, gradient in enumerate(gradients):
        total = sum(answer[case][1][place] for answer in answers)
        torch.testing.assert_close(total, gradient, **close)


def halved():
    """Outputs and memory for bf16 inputs, as autocast hands them on."""
    norm = nn.BatchNorm1d(3)
    use_global_statistics(norm)
    inputs = 50 + torch.randn(8, 3, generator=torch.Generator().manual_seed(0))
    outputs = norm(inputs.bfloat16()[processes.rank() :: processes.number()])
    return outputs.detach(), norm.running_var


def test_half_precision_is_for_inputs_and_outputs_alone():
    first, second = on_processes(2, halved)
    outputs, variance = halved()
    assert first[0].dtype == outputs.dtype == torch.bfloat16
    torch.testing.assert_close(torch.stack([first[0], second[0]], 1).flatten(0, 1), outputs)
    torch.testing.assert_close(first[1], variance)


def test_every_batch_norm_of_a_network_is_converted_in_place():
    shared = nn.BatchNorm2d(2)
    network = nn.Sequential(shared, nn.Sequential(nn.BatchNorm1d(2), nn.LayerNorm(2)), shared)
    tensors = network.state_dict(keep_vars=True)
    use_global_statistics(network)
    kinds = [type(module) for module in network.modules()]
    assert kinds.count(GlobalBatchNorm) == 2 and nn.LayerNorm in kinds
    after = network.state_dict(keep_vars=True)
    assert list(after) == list(tensors)
    assert all(after[name] is tensors[name] for name in tensors)


def test_a_process_that_is_alone_computes_what_torch_does():
    norm, inputs = nn.BatchNorm2d(3), torch.randn(4, 3, 2, 2)
    expected = norm(inputs)
    use_global_statistics(norm)
    assert torch.equal(norm(inputs), expected)
