"""What a run trains, how one step changes it, and all of its state."""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn

from mcmi_core.base.errors import StoreError
from mcmi_core.base.messages import without_breaks
from mcmi_core.criterion import Criterion
from mcmi_core.data.loader import Batch
from mcmi_core.training.recipe import Recipe


class Trainee:
    """A model and its criterion with their optimiser: one for the whole of a run.

    All that training changes are tensors that keep their place in memory, the learning rate
    included, so that a captured step stays valid.

    Args:
        model: trained in place.
        criterion: its parameters are trained too.
        recipe: of the optimiser, and the precision of forward passes.
    """

    def __init__(self, model: nn.Module, criterion: Criterion, recipe: Recipe) -> None:
        self.model = model
        self.criterion = criterion
        self.device = next(model.parameters()).device
        self.optimizer = _optimizer([*model.parameters(), *criterion.parameters()], recipe)
        self.autocast = autocast_of(recipe, self.device)

    def terms(self, batch: Batch) -> dict[str, Tensor]:
        """Weighted scalar terms of a batch by name."""
        with self.autocast:
            return self.criterion.terms(self.model, batch)

    def set_learning_rate(self, rate: float) -> None:
        """Of the steps from here on."""
        self.optimizer.param_groups[0]["lr"].fill_(rate)

    def snapshot(self) -> dict[str, Tensor]:
        """All state that training changes, by dotted names."""
        momentum = {
            f"optimizer.{index}.momentum_buffer": state["momentum_buffer"]
            for index, state in self.optimizer.state_dict()["state"].items()
            if state.get("momentum_buffer") is not None
        }
        return (
            {f"model.{name}": value for name, value in self.model.state_dict().items()}
            | {f"criterion.{name}": value for name, value in self.criterion.state_dict().items()}
            | momentum
        )

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Put a :meth:`snapshot` back.

        Raises:
            StoreError: it is one of another network or criterion, such as an earlier version.
        """
        parameters = self.optimizer.param_groups[0]["params"]
        try:
            self.model.load_state_dict(_under("model.", tensors))
            self.criterion.load_state_dict(_under("criterion.", tensors))
            for name, value in _under("optimizer.", tensors).items():
                parameter = parameters[int(name.split(".")[0])]
                # Copied, as the fused kernel needs buffers in the memory order of their parameters.
                self.optimizer.state[parameter]["momentum_buffer"].copy_(value)
        except (RuntimeError, KeyError, IndexError) as error:
            reason = without_breaks(error)
            raise StoreError(
                f"the checkpoint does not fit {type(self.model).__name__} and "
                f"{type(self.criterion).__name__} as they are now ({reason}); delete it to train "
                "from the start"
            ) from error


class TermSums:
    """Terms, summed over steps on their device, so that no step waits for it."""

    def __init__(self) -> None:
        self.names: tuple[str, ...] = ()
        self.total: Tensor | None = None
        """(T,), or (T, K) for K models; a captured step adds to it in place."""

    def minimise(
        self,
        terms_of: Callable[[Batch], dict[str, Tensor]],
        optimizer: torch.optim.Optimizer,
        batch: Batch,
    ) -> None:
        """Do one step of SGD on the sum of the terms of a batch, and add them up."""
        optimizer.zero_grad(set_to_none=True)
        terms = terms_of(batch)
        values = torch.stack(list(terms.values()))
        values.sum().backward()
        optimizer.step()
        if self.total is None:
            self.names, self.total = tuple(terms), torch.zeros_like(values)
        self.total.add_(values.detach())

    def read(self) -> dict[str, float | list[float]]:
        """The sum of each term, K numbers for K models; waits for the device."""
        if self.total is None:
            return {}
        return dict(zip(self.names, self.total.tolist(), strict=True))


def sum_terms(
    terms_of: Callable[[Batch], dict[str, Tensor]],
    optimizer: torch.optim.Optimizer,
    batches: Iterable[Batch],
) -> dict[str, float | list[float]]:
    """Minimise the terms of some batches, one step for each batch.

    Args:
        terms_of: named terms of a batch: scalars, or one value for each of several models.
        optimizer: of all that is trained.
        batches: one for each step.

    Returns:
        Each term summed over the steps.
    """
    sums = TermSums()
    for batch in batches:
        sums.minimise(terms_of, optimizer, batch)
    return sums.read()


def autocast_of(recipe: Recipe, device: torch.device) -> AbstractContextManager:
    """The context in which a forward pass has a recipe's precision; backward stays outside.

    In bf16, convolutions and linear layers round their float32 weights and inputs; losses compute
    in float32.
    """
    if recipe.precision == "bf16":
        # Rounded weights must not be kept: within a caller's autocast they would outlive the step.
        return torch.autocast(device.type, torch.bfloat16, cache_enabled=False)
    return nullcontext()


def _optimizer(parameters: list[nn.Parameter], recipe: Recipe) -> torch.optim.SGD:
    device = parameters[0].device
    # Of the type that the fused kernels read: on the CPU, as exact as a Python number.
    rate_type = torch.float32 if device.type == "cuda" else torch.float64
    optimizer = torch.optim.SGD(
        parameters,
        lr=torch.tensor(recipe.learning_rate, dtype=rate_type, device=device),
        momentum=recipe.momentum,
        weight_decay=recipe.weight_decay,
        fused=True,
    )
    if recipe.momentum:
        # The first step would make these zeros. But the fused kernel refuses to make them for some
        # parameters only, such as those whose first gradient comes in a later phase of a distiller.
        for parameter in parameters:
            if parameter.requires_grad:
                optimizer.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
    return optimizer


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {n.removeprefix(prefix): value for n, value in tensors.items() if n.startswith(prefix)}
