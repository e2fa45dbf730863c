"""How training steps run their networks: in which precision, compiled or as they are.

An engine is in force within training steps only. Evaluation, checkpoints and stored weights use the
networks as they are, in float32.
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

    Precision bf16 means autocast: convolutions and linear layers round their float32 weights and
    their inputs to bf16. Losses compute in float32. The backward pass belongs outside the context.

    Engine ``compiled`` compiles each network by itself. What criteria do with the outputs is not
    compiled, since a criterion's state may change from step to step. On a GPU each network becomes
    a CUDA graph. Batch sizes are compiled in, so a smaller batch at the end of an epoch compiles
    the networks once more.

    Args:
        recipe: names the precision and the engine.
        device: of the networks.
        networks: all networks that the forward pass runs; outside the context they do not change.

    Raises:
        CompanionError: the recipe's engine is ``compiled``, and there is no C++ compiler.
    """

    def __init__(self, recipe: Recipe, device: torch.device, networks: Iterable[nn.Module]) -> None:
        bf16 = recipe.precision == "bf16"
        self.autocast = torch.autocast(device.type, torch.bfloat16) if bf16 else nullcontext()
        self._compiled = []
        if recipe.engine == "compiled":
            _check_compiler()
            torch.compiler.reset()  # forgets what an earlier run in this process compiled
            mode = "reduce-overhead" if device.type == "cuda" else "default"
            self._compiled = [
                (network, name, torch.compile(getattr(network, name), mode=mode, dynamic=False))
                for network in networks
                for name in ("forward", "features")
                if hasattr(network, name)
            ]

    def __enter__(self) -> None:
        if self._compiled:
            # A CUDA graph may overwrite the outputs of the step before, not those of this one: the
            # loss needs those of teacher and student.
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
