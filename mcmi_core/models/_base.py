"""What every model shares: stage features and logits come out of one pass."""

from collections.abc import Iterable

from torch import Tensor, nn
from torch.fx import Proxy

from mcmi_core.base.checks import check_floating
from mcmi_core.base.errors import IncompatibleNetworks


class Classifier(nn.Module):
    """A network for classification that shows its intermediate features.

    A family implements :meth:`features`; calling the model returns its logits alone.
    """

    def features(self, inputs: Tensor) -> tuple[list[Tensor], Tensor]:
        """The features after each stage, in order, and the logits (N, C).

        For images: maps (N, D, H, W) from the stem up; for vectors: hidden vectors (N, D).
        The last feature is always the vector (N, D) that the linear head reads.
        """
        raise NotImplementedError

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits (N, C)."""
        _, logits = self.features(inputs)
        return logits


def features_and_logits(network: nn.Module, inputs: Tensor) -> tuple[list[Tensor], Tensor]:
    """What a network's ``features`` returns for some inputs; see :meth:`Classifier.features`.

    Raises:
        IncompatibleNetworks: it has no such method. In torchvision, ``features`` is a module.
    """
    show = getattr(network, "features", None)
    if not callable(show) or isinstance(show, nn.Module):
        name = type(network).__name__
        there = f"is a module, {type(show).__name__}," if show is not None else "is missing"
        raise IncompatibleNetworks(
            f"{name} does not show its features: its attribute features {there} and has to be a "
            f"method that returns (maps from the stem up, then a vector), logits. Add one in a "
            f"subclass of {name}; distillers that look at logits alone (kd, dkd, dist, lskd) need "
            "none"
        )
    return show(inputs)


class MeanOverPositions(nn.Module):
    """Global average pooling: maps (N, D, H, W) of any size to vectors (N, D)."""

    def forward(self, maps: Tensor) -> Tensor:
        """The vectors (N, D)."""
        # A mean, as adaptive pooling has no deterministic gradient on CUDA.
        return maps.mean(dim=(2, 3))


class StagedClassifier(Classifier):
    """A convolutional network: stem → stages → neck → pooling → head.

    Each part reads the output of the one before and nothing else, so that copies of the later
    stages, of the neck and of the pooling, with a new linear layer, are an auxiliary classifier
    that starts from any stage's map.

    Args:
        stem: images (N, c, H, W) to the first map.
        stages: each a map to the next one.
        head: the pooled vector (N, D) to the logits (N, C).
        neck: what stands between the last stage's map and pooling; nothing by default.
    """

    halvings = 0
    """How often a network of the class halves its images."""

    def __init__(
        self,
        *,
        stem: nn.Module,
        stages: Iterable[nn.Module],
        head: nn.Linear,
        neck: nn.Module | None = None,
    ) -> None:
        super().__init__()
        first = next(stem.parameters(), None)
        self.in_channels = None if first is None else first.shape[1]
        self.stem = stem
        self.stages = nn.ModuleList(stages)
        self.neck = neck or nn.Identity()
        self.pool = MeanOverPositions()
        self.head = head

    def features(self, inputs: Tensor) -> tuple[list[Tensor], Tensor]:
        """[stem, stage 1, ..., last stage, pooled] and the logits (N, C), for images (N, c, H, W).

        All are maps (N, D, H, W), but the pooled vector, which is (N, D).

        Raises:
            ValueError: images of another shape, or of whole numbers.
        """
        if not isinstance(inputs, Proxy):  # which stands for images while a network is traced
            self._check_images(inputs)
        maps = [self.stem(inputs)]
        for stage in self.stages:
            maps.append(stage(maps[-1]))
        pooled = self.pool(self.neck(maps[-1]))  # (N, D)
        return [*maps, pooled], self.head(pooled)

    def _check_images(self, inputs: Tensor) -> None:
        check_floating(inputs, "inputs")
        if inputs.ndim != 4 or self.in_channels not in (None, inputs.shape[1]):
            raise ValueError(
                f"inputs must be images (N, {self.in_channels or 'C'}, H, W), got "
                f"{tuple(inputs.shape)}"
            )
