"""Pairs of a student's and a teacher's stage maps, for distillers that compare layer by layer."""

from collections.abc import Callable

from torch import Tensor, nn

from mcmi_core.base.errors import IncompatibleNetworks
from mcmi_core.distillers._base import feature_shapes

Shape = tuple[int, int, int]
"""(C, H, W) of a map."""


def paired_map_shapes(
    student: nn.Module,
    teacher: nn.Module,
    sample: Tensor,
    layers: slice,
    *,
    same: str = "",
    key: Callable[[Shape], tuple[int, ...]] = lambda shape: (),
) -> list[tuple[Shape, Shape]]:
    """Shapes (student's, teacher's) of each pair of maps among ``features[layers]``.

    Args:
        student: a network with ``features``.
        teacher: another one.
        sample: normalised inputs for both.
        layers: which features are compared.
        same: what both maps of a pair must have in common, for the message.
        key: takes that from a shape.

    Raises:
        IncompatibleNetworks: different numbers of layers, a feature that is no map, or a pair that
            differs in ``key``; names both networks and all their shapes.
    """
    student_shapes = feature_shapes(student, sample)[layers]
    teacher_shapes = feature_shapes(teacher, sample)[layers]
    pairs = list(zip(student_shapes, teacher_shapes, strict=False))
    if (
        not len(student_shapes) == len(teacher_shapes) > 0
        or any(len(shape) != 3 for shape in (*student_shapes, *teacher_shapes))
        or any(key(s) != key(t) for s, t in pairs)
    ):
        raise IncompatibleNetworks(
            "the networks must have as many stage maps (C, H, W) as each other"
            + (f", of the same {same}" if same else "")
            + f", got {student_shapes} from student {type(student).__name__} and "
            f"{teacher_shapes} from teacher {type(teacher).__name__}"
        )
    return pairs
