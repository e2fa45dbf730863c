"""A multi-layer perceptron, for vectors and for images small enough to flatten."""

from torch import Tensor, nn

from mcmi_core.base.checks import check_floating
from mcmi_core.models._base import Classifier

DEEPEST = 1000
"""Hidden layers, at most: to build millions of them would take hours."""


class MLP(Classifier):
    """Hidden layers of Linear → BatchNorm → ReLU, then a linear head.

    A data set of vectors has ``image_size`` 1 and as many channels as dimensions.

    Args:
        num_classes: C.
        in_channels: channels of the images, or dimensions of the vectors.
        image_size: pixels per side; 1 for vectors.
        width: units of each hidden layer.
        depth: number of hidden layers.

    Raises:
        ValueError: a width below 1, or a depth out of range.
    """

    def __init__(
        self,
        *,
        num_classes: int,
        in_channels: int,
        image_size: int,
        width: int = 512,
        depth: int = 2,
    ) -> None:
        super().__init__()
        if width < 1 or not 1 <= depth <= DEEPEST:
            raise ValueError(
                f"mlp needs width ≥ 1 and depth in 1..{DEEPEST}, got width={width}, depth={depth}"
            )
        in_features = in_channels * image_size**2
        self.sample_shapes = ((in_channels, image_size, image_size), (in_features,))
        self.layers = nn.ModuleList(
            # No bias: batch norm subtracts it again and adds its own.
            nn.Sequential(nn.Linear(before, width, bias=False), nn.BatchNorm1d(width), nn.ReLU())
            for before in [in_features] + [width] * (depth - 1)
        )
        self.head = nn.Linear(width, num_classes)

    def features(self, inputs: Tensor) -> tuple[list[Tensor], Tensor]:
        """The hidden vectors (N, width), first to last layer, and the logits (N, C).

        Args:
            inputs: images (N, in_channels, H, W), or vectors (N, D).

        Raises:
            ValueError: samples of another shape than the model was made for.
        """
        check_floating(inputs, "inputs")
        if inputs.shape[1:] not in self.sample_shapes:
            expected = " or ".join(map(str, self.sample_shapes))
            raise ValueError(
                f"mlp expects samples of shape {expected}, got a batch of {tuple(inputs.shape)}"
            )
        hidden = inputs.flatten(start_dim=1)  # (N, D)
        hidden_vectors = []
        for layer in self.layers:
            hidden = layer(hidden)
            hidden_vectors.append(hidden)
        return hidden_vectors, self.head(hidden)
