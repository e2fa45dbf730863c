"""How training steps run their networks: in which precision, compiled or as they are.

Only training steps. Outside them networks are what they always were, so that evaluation,
checkpoints and stored weights know nothing of it.
"""

import os
import shlex
import shutil
from collections.abc import Iterable
from contextlib import nullcontext

import torch
from torch import nn

from mcmi_core.base.errors import CompanionError
from mcmi_core.training.recipe import Recipe


class Engine:
    """The context of a step's forward pass: within it, networks run as a recipe says.

    In bf16 that is under autocast: each layer takes its float32 weights and the maps in bf16, and
    losses, which leave autocast themselves, compute in float32. The backward pass belongs outside.

    Compiled are the networks, one by one, and not what criteria do with their outputs: a
    criterion's state may change from step to step. On a GPU each becomes a CUDA graph. Sizes are
    compiled in, so the smaller batch that ends an epoch is compiled once more.

    Args:
        recipe: says which precision and engine.
        device: of the networks.
        networks: all that the forward pass runs, in any mode; they are left as they are.

    Raises:
        CompanionError: compiled, and there is no C++ compiler.
    """

    def __init__(self, recipe: Recipe, device: torch.device, networks: Iterable[nn.Module]) -> None:
        bf16 = recipe.precision == "bf16"
        self.autocast = torch.autocast(device.type, torch.bfloat16) if bf16 else nullcontext()
        self._compiled = []
        if recipe.engine == "compiled":
            _check_compiler()
            torch.compiler.reset()  # of what an earlier run in this process compiled
            mode = "reduce-overhead" if device.type == "cuda" else "default"
            self._compiled = [
                (network, name, torch.compile(getattr(network, name), mode=mode, dynamic=False))
                for network in networks
                for name in ("forward", "features")
                if hasattr(network, name)
            ]

    def __enter__(self) -> None:
        if self._compiled:
            # Teacher's and student's outputs belong to one step: a CUDA graph keeps both.
            torch.compiler.cudagraph_mark_step_begin()
        for network, name, method in self._compiled:
            setattr(network, name, method)
        self.autocast.__enter__()

    def __exit__(self, *error: object) -> None:
        self.autocast.__exit__(*error)
        for network, name, _ in self._compiled:
            delattr(network, name)  # the class's own method is back


def _check_compiler() -> None:
    compiler = os.environ.get("CXX", "g++")
    if not shutil.which(shlex.split(compiler)[0]):
        raise CompanionError(
            f"engine 'compiled' needs a C++ compiler, and there is no {compiler!r}; install one, "
            "name it in CXX, or use engine 'eager'"
        )
