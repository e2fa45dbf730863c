"""Checks on what losses are given; each message quotes both shapes."""

from torch import Tensor

from mcmi_core.base.checks import (
    check_floating,
    check_outputs,
    check_same_device,
    check_same_shape,
)


def check_same_batch(student: Tensor, teacher: Tensor, names: str) -> None:
    """Require tensors (N, ...) with at least one value for each of the same N ≥ 1 samples.

    Raises:
        ValueError: no axis beside the batch, different batch sizes, or what
            :func:`check_comparable` refuses.
    """
    check_comparable(student, teacher, names)
    if min(student.ndim, teacher.ndim) < 2 or student.shape[:1] != teacher.shape[:1]:
        raise ValueError(
            f"{names} must have shapes (N, ...) with the same N, "
            f"got {tuple(student.shape)} and {tuple(teacher.shape)}"
        )


def check_logits(student_logits: Tensor, teacher_logits: Tensor) -> None:
    """Require two tensors of one shape (N, C), N ≥ 1, C ≥ 2.

    Raises:
        ValueError: shapes that differ or are not (N, C), or what :func:`check_comparable` refuses.
    """
    names = "student_logits and teacher_logits"
    check_comparable(student_logits, teacher_logits, names)
    check_same_shape(student_logits, teacher_logits, names)
    check_outputs(student_logits, "student_logits")


def check_maps(student_map: Tensor, teacher_map: Tensor, names: str) -> None:
    """Require maps (N, C, H, W) of the same N ≥ 1 samples.

    Raises:
        ValueError: other shapes, different batch sizes, or what :func:`check_comparable` refuses.
    """
    check_comparable(student_map, teacher_map, names)
    if not student_map.ndim == teacher_map.ndim == 4 or len(student_map) != len(teacher_map):
        raise ValueError(
            f"{names} must have shapes (N, C, H, W) with the same N, "
            f"got {tuple(student_map.shape)} and {tuple(teacher_map.shape)}"
        )


def check_map_lists(
    student_maps: list[Tensor], teacher_maps: list[Tensor], at_least: int = 1
) -> None:
    """Require as many student as teacher maps, each pair (N, C, H, W) of the same samples.

    Raises:
        ValueError: too few maps, lists of different lengths, or a pair that does not match.
    """
    for maps, name in ((student_maps, "student_maps"), (teacher_maps, "teacher_maps")):
        if not isinstance(maps, list | tuple):
            raise ValueError(f"{name} must be a list of tensors, got {type(maps).__name__}")
    if len(student_maps) != len(teacher_maps) or len(student_maps) < at_least:
        raise ValueError(
            f"student_maps and teacher_maps must be lists of one length ≥ {at_least}, "
            f"got {len(student_maps)} and {len(teacher_maps)} maps"
        )
    for layer, (student_map, teacher_map) in enumerate(
        zip(student_maps, teacher_maps, strict=True)
    ):
        check_maps(student_map, teacher_map, f"student_maps[{layer}] and teacher_maps[{layer}]")


def check_comparable(student: Tensor, teacher: Tensor, names: str) -> None:
    """Require floating-point tensors on one device that hold a sample; types may differ.

    Args:
        student: (N, ...).
        teacher: (N', ...).
        names: of both, joined by "and".

    Raises:
        ValueError: no tensors, integers, different devices, or an empty batch.
    """
    student_name, teacher_name = names.split(" and ")
    check_floating(student, student_name)
    check_floating(teacher, teacher_name)
    check_same_device(teacher, teacher_name, student, student_name)
    if student.shape[:1].numel() == 0:
        raise ValueError(f"{names} hold no sample, got shape {tuple(student.shape)}")
