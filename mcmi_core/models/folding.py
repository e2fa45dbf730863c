"""A finished network, its batch norms folded into its convolutions: the same function, faster.

In eval mode, batch norm is a factor and an offset per channel, γ (x − μ) / σ + β. Where it follows
a convolution, and nothing else reads what that returns, both are one convolution.
"""

import copy
from collections import Counter

from torch import fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval


def fold_batch_norms(network: nn.Module) -> nn.Module:
    """A copy that computes the same logits up to rounding, for a network that is not trained.

    Args:
        network: in eval mode; unchanged.

    Returns:
        A network without ``features``. The network itself, where it cannot be traced (its forward
        pass branches on values, or asks for a length) or has no batch norm.
    """
    if not any(isinstance(module, nn.BatchNorm2d) for module in network.modules()):
        return network
    try:
        traced = fx.symbolic_trace(copy.deepcopy(network))
    except (fx.proxy.TraceError, RuntimeError, TypeError):
        return network
    calls = Counter(node.target for node in traced.graph.nodes)
    for node in list(traced.graph.nodes):
        norm, convolution = _called(traced, node), _called(traced, node.prev)
        if (
            isinstance(norm, nn.BatchNorm2d)
            and isinstance(convolution, nn.Conv2d)
            and node.args == (node.prev,)
            and list(node.prev.users) == [node]
            and calls[node.target] == calls[node.prev.target] == 1
        ):
            traced.set_submodule(node.prev.target, fuse_conv_bn_eval(convolution, norm))
            node.replace_all_uses_with(node.prev)
            traced.graph.erase_node(node)
    traced.recompile()
    traced.delete_all_unused_submodules()
    return traced.eval()


def _called(traced: fx.GraphModule, node: fx.Node) -> nn.Module | None:
    return traced.get_submodule(node.target) if node.op == "call_module" else None
