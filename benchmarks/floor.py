"""The least time that distilling one student can take on a GPU: its arithmetic and its traffic.

    python benchmarks/floor.py --help

One step of the networks themselves, teacher forward, student forward and backward, is run on
torch's meta device, where tensors have shapes but no values, and every operation is counted:

- *Arithmetic*: of convolutions and matrix products, by torch's own counter; two operations per
  multiply-add.
- *Traffic, unfused*: every operation (convolution, batch norm, addition, ReLU, ...) reads its
  arguments from the card's memory and writes its results, and nothing stays in a cache: what eager
  PyTorch asks for.
- *Traffic, fused*: only convolutions and matrix products do so, everything else being fused into
  them: what a perfect compiler would ask for.

At the card's peak rates each implies a time, and no training is faster than the largest.
"""

from dataclasses import dataclass

import torch
import typer
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from mcmi_core.models import create_model

aten = torch.ops.aten
TFLOPS = 790.0
"""Of an H200, bf16 matrix work."""
TERABYTES_PER_SECOND = 4.3
"""Of an H200, to and from its memory."""
MATRIX_WORK = {aten.convolution, aten.convolution_backward, aten.addmm, aten.mm}


class Traffic(TorchDispatchMode):
    """Counts the bytes of all arguments and results of every operation that is no view."""

    def __init__(self) -> None:
        super().__init__()
        self.unfused = 0
        self.fused = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        """Run an operation and add what it moves."""
        results = function(*args, **(kwargs or {}))
        if not function.is_view:
            tensors = [v for v in tree_leaves((args, kwargs, results)) if isinstance(v, Tensor)]
            moved = sum(tensor.numel() * tensor.element_size() for tensor in tensors)
            self.unfused += moved
            self.fused += moved * (function.overloadpacket in MATRIX_WORK)
        return results


@dataclass(frozen=True)
class Cost:
    """Of one image: operations, and bytes moved without and with fusion."""

    operations: float
    unfused_bytes: float
    fused_bytes: float


def cost(model: nn.Module, image_size: int, batch_size: int, *, backward: bool) -> Cost:
    """What one image costs in a pass of ``model`` over a batch, in bf16.

    Args:
        model: a network for images of 3 channels; moved to the meta device.
        image_size: pixels per side.
        batch_size: weights are read once per batch.
        backward: train mode, and the backward pass too.
    """
    model.to("meta", torch.bfloat16).train(backward).requires_grad_(backward)
    shape = batch_size, 3, image_size, image_size
    images = torch.empty(shape, dtype=torch.bfloat16, device="meta")
    arithmetic, traffic = FlopCounterMode(display=False), Traffic()
    with arithmetic, traffic:
        logits = model(images)
        if backward:
            logits.sum().backward()
    counts = arithmetic.get_total_flops(), traffic.unfused, traffic.fused
    return Cost(*(count / batch_size for count in counts))


def floor(
    teacher: str = "resnet56",
    student: str = "resnet20",
    classes: int = 100,
    image_size: int = 32,
    batch_size: int = 64,
    images: int = 50_000,
    epochs: int = 240,
    tflops: float = TFLOPS,
    terabytes_per_second: float = TERABYTES_PER_SECOND,
) -> None:
    """Print the floor of one KD student as tables; the defaults are the paper's on an H200."""
    size = {"num_classes": classes, "in_channels": 3, "image_size": image_size}
    costs = {
        f"teacher {teacher}, forward": cost(
            create_model(teacher, **size), image_size, batch_size, backward=False
        ),
        f"student {student}, forward and backward": cost(
            create_model(student, **size), image_size, batch_size, backward=True
        ),
    }
    operations = sum(part.operations for part in costs.values())
    unfused = sum(part.unfused_bytes for part in costs.values())
    fused = sum(part.fused_bytes for part in costs.values())
    costs["together"] = Cost(operations, unfused, fused)

    total = images * epochs
    print(f"{total:,} images at {tflops:g} TFLOP/s and {terabytes_per_second:g} TB/s, bf16\n")
    print("| per image | MFLOP | MB unfused | MB fused |\n|---|---:|---:|---:|")
    for name, part in costs.items():
        megabytes = f"{part.unfused_bytes / 1e6:.2f} | {part.fused_bytes / 1e6:.2f}"
        print(f"| {name} | {part.operations / 1e6:.1f} | {megabytes} |")
    seconds = {
        "arithmetic": total * operations / (tflops * 1e12),
        "traffic, unfused": total * unfused / (terabytes_per_second * 1e12),
        "traffic, fused": total * fused / (terabytes_per_second * 1e12),
    }
    print("\n| bound | seconds | images/s |\n|---|---:|---:|")
    for name, value in seconds.items():
        print(f"| {name} | {value:.1f} | {total / value:,.0f} |")
    ratio = seconds["traffic, fused"] / seconds["arithmetic"]
    bound = "memory traffic" if ratio > 1 else "arithmetic"
    print(f"\nEven fused, traffic takes {ratio:.1f} times as long as arithmetic: {bound} bounds.")


if __name__ == "__main__":
    typer.run(floor)
