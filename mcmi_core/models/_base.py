"""What every model shares: stage features and logits come out of one pass."""

from torch import Tensor, nn


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
