"""Auxiliary classifiers on every stage of a network, which learn to tell rotations as well.

Each image is seen in four rotations, and a head tells its class and rotation at once: 4C joint
classes, 4y + k for class y turned k times.

Source: Yang, An, Cai and Xu, "Hierarchical self-supervised augmented knowledge distillation",
IJCAI 2021.
"""

from copy import deepcopy

import torch
from torch import Tensor, nn

from mcmi_core.base.errors import IncompatibleNetworks
from mcmi_core.models._base import Classifier, StagedClassifier
from mcmi_core.models._blocks import he_initialise

ROTATIONS = 4


def rotations(images: Tensor) -> Tensor:
    """Images (N, C, S, S) in four rotations, (4N, C, S, S): row 4i + k is image i, k · 90° on.

    Turned counter-clockwise, as seen with row 0 on top.

    Raises:
        ValueError: inputs that are not square images.
    """
    if images.ndim != 4 or images.shape[2] != images.shape[3]:
        raise ValueError(f"rotations need images (N, C, S, S), got shape {tuple(images.shape)}")
    turned = [images.rot90(k, dims=(2, 3)) for k in range(ROTATIONS)]
    return torch.stack(turned, dim=1).flatten(0, 1)


def joint_labels(labels: Tensor) -> Tensor:
    """Joint classes (4N,) of the rows of :func:`rotations` for labels y (N,): 4y + k."""
    turns = torch.arange(ROTATIONS, device=labels.device)
    return (ROTATIONS * labels[:, None] + turns).flatten()


class AuxiliaryHeads(nn.ModuleList):
    """One classifier into joint classes per stage of a network, with weights of its own.

    The head of a stage is the rest of the network over again: copies of the later stages, of the
    neck and of the pooling, all newly initialised, and a linear layer to 4C. In the authors' code
    the last stage's head has one more copy of that stage.

    Args:
        network: whose architecture is copied; it is left as it is.

    Raises:
        ValueError: a network that is not a sequence of stages.
    """

    def __init__(self, network: nn.Module) -> None:
        if not isinstance(network, StagedClassifier):
            raise IncompatibleNetworks(
                f"auxiliary heads need a network of stages, got {type(network).__name__}"
            )
        joint_classes = ROTATIONS * network.head.out_features
        super().__init__(
            nn.Sequential(
                *deepcopy([*network.stages[stage:], network.neck, network.pool]),
                nn.Linear(network.head.in_features, joint_classes),
            )
            for stage in range(1, len(network.stages) + 1)
        )
        for module in self.modules():
            if hasattr(module, "reset_parameters"):
                module.reset_parameters()
        he_initialise(self)
        self.requires_grad_(True).train()

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """Joint logits (N, 4C) of every head, for a network's features from the stem up."""
        return [head(stage) for head, stage in zip(self, features[1:-1], strict=True)]


class HeadedNetwork(Classifier):
    """A trained network that stays as it is, and auxiliary heads on top of it.

    Features and logits are the network's own; ``heads`` turns its features into joint logits.

    Args:
        backbone: the network, from now on frozen and in eval mode.

    Raises:
        ValueError: a network that is not a sequence of stages.
    """

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self.heads = AuxiliaryHeads(backbone)
        self.backbone = backbone.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> "HeadedNetwork":
        """Set the mode of the heads; the backbone's batch statistics are never touched."""
        super().train(mode)
        self.backbone.eval()
        return self

    def features(self, inputs: Tensor) -> tuple[list[Tensor], Tensor]:
        """The backbone's features and logits."""
        return self.backbone.features(inputs)
