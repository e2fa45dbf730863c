"""Batch norm by the statistics of the whole batch, of which each process holds a share.

With statistics of shares alone, a result would depend on the number of processes.
"""

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from mcmi_core.base import processes
from mcmi_core.losses import full_precision


class GlobalBatchNorm(_BatchNorm):
    """Batch norm over the samples of all processes: (N, C, ...) → (N, C, ...), N ≥ 0 of its own.

        y = (x − μ) / √(σ² + ε) · γ + β,   μ and σ² over all samples and positions of a channel

    Parameters, buffers and their names are those of torch's. In eval mode, or in a process that is
    alone, it is torch's.
    """

    def _check_input_dim(self, input: Tensor) -> None:
        pass  # of whatever dimension

    def forward(self, inputs: Tensor) -> Tensor:
        """The normalised inputs, in their type; computed in at least float32."""
        if not self.training or processes.number() == 1:
            return super().forward(inputs)
        mean, variance, count = _statistics(full_precision(inputs))
        if self.track_running_stats:
            self._remember(mean.detach(), variance.detach(), count)
        scale = (variance + self.eps).rsqrt()
        if self.affine:
            scale = scale * self.weight
        shift = -mean * scale
        if self.affine:
            shift = shift + self.bias
        dtype = full_precision(inputs).dtype
        by_channel = (1, -1, *[1] * (inputs.ndim - 2))
        scale, shift = (value.to(dtype).view(by_channel) for value in (scale, shift))
        return torch.addcmul(shift, full_precision(inputs), scale).to(inputs.dtype)

    @torch.no_grad()
    def _remember(self, mean: Tensor, variance: Tensor, count: Tensor) -> None:
        """Move the running statistics towards a batch's; of the variance, the unbiased estimate."""
        self.num_batches_tracked.add_(1)
        share = 1 / self.num_batches_tracked if self.momentum is None else self.momentum
        unbiased = variance * count / (count - 1)
        for running, value in ((self.running_mean, mean), (self.running_var, unbiased)):
            running.lerp_(value.to(running.dtype), share)


def _statistics(inputs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Mean (C,), biased variance (C,) and number of values of each channel, over all processes.

    One sum serves all three. It is float64, as Σ x² / n − μ² cancels; what is summed over a
    process's own samples is not, since their variance is computed about their own mean.
    """
    axes = [0, *range(2, inputs.ndim)]
    count = inputs.numel() // inputs.shape[1]
    if count:
        variance, mean = (own.double() for own in torch.var_mean(inputs, axes, correction=0))
    else:
        variance = mean = inputs.sum(axes).double()  # zeros; others wait for their gradient too
    counts = torch.full_like(mean[:1], count)
    own = torch.cat([count * mean, count * (variance + mean.square()), counts])
    total = processes.sum_over_processes(own)
    sums, squares = total[:-1].view(2, -1)
    count = total[-1].detach()
    mean = sums / count
    return mean, (squares / count - mean.square()).clamp_min(0), count


def use_global_statistics(network: nn.Module) -> None:
    """Make every batch norm of a network a global one, in place; its tensors stay the same."""
    for module in network.modules():
        if isinstance(module, _BatchNorm):
            module.__class__ = GlobalBatchNorm
