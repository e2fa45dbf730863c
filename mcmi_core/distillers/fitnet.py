"""FitNet (Romero et al., 2015): a hint from the middle of the teacher.

CE + 100 · mean (r(s) − t)²,   r = ReLU(BN(conv(·))) to the teacher's shape
"""

from torch import Tensor, nn

from mcmi_core.base.errors import IncompatibleNetworks
from mcmi_core.data.loader import Batch
from mcmi_core.distillers._base import Distiller, Output
from mcmi_core.distillers._pairs import Shape, paired_map_shapes
from mcmi_core.losses import hint_loss


class FitNet(Distiller):
    """Squared error of one map, regressed from the student's.

    Options:
        weight: of the distillation term.
        layer: place ≥ 0 of the map among the features; 0 is the stem.

    Raises:
        ValueError: no map at that place, or maps whose sizes are neither equal nor 1 : 2.
    """

    shareable = True
    uses_features = True

    weight: float = 100.0
    layer: int = 2

    def set_up(self, student: nn.Module, teacher: nn.Module, sample: Tensor) -> None:
        """Build the regressor from the student's map to the shape of the teacher's."""
        layers = slice(self.layer, self.layer + 1)
        [(student_shape, teacher_shape)] = paired_map_shapes(student, teacher, sample, layers)
        convolution = _convolution(student_shape, teacher_shape)
        if convolution is None:
            raise IncompatibleNetworks(
                "fitnet needs maps (C, H, W) of equal size or one twice as large as the other, got "
                f"{student_shape} from student {type(student).__name__} and "
                f"{teacher_shape} from teacher {type(teacher).__name__}"
            )
        self.regressor = nn.Sequential(convolution, nn.BatchNorm2d(teacher_shape[0]), nn.ReLU())

    def forward(self, student: Output, teacher: Output, batch: Batch) -> dict[str, Tensor]:
        """``fitnet``: weight · mean squared error of the hint."""
        student_map = self.regressor(student.features[self.layer])
        return {"fitnet": self.weight * hint_loss(student_map, teacher.features[self.layer])}


def _convolution(student_shape: Shape, teacher_shape: Shape) -> nn.Module | None:
    """From the student's shape to the teacher's, if there is one."""
    channels = student_shape[0], teacher_shape[0]
    student_size, teacher_size = student_shape[1:], teacher_shape[1:]
    if student_size == teacher_size:
        return nn.Conv2d(*channels, 1)
    if student_size == tuple(2 * side for side in teacher_size):
        return nn.Conv2d(*channels, 3, stride=2, padding=1)
    if tuple(2 * side for side in student_size) == teacher_size:
        return nn.ConvTranspose2d(*channels, 4, stride=2, padding=1)
    return None
