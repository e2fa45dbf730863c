"""Correlation congruence (Peng et al., 2019), as compared in the literature on CIFAR-100.

CE + 0.02 · mean over neighbours of ⟨d_i, d_{i+1}⟩,   d = |W_s s − W_t t| in 128 dimensions
"""

from torch import Tensor, nn

from mcmi_core.data.loader import Batch
from mcmi_core.distillers._base import Distiller, Output, feature_shapes
from mcmi_core.losses import correlation_loss


class CC(Distiller):
    """Correlated differences of two learnt embeddings of the pooled vectors.

    Options:
        weight: of the distillation term.
        embedding_size: dimensions of both embeddings.

    Raises:
        ValueError: an embedding size below 1.
    """

    uses_features = True

    weight: float = 0.02
    embedding_size: int = 128

    def set_up(self, student: nn.Module, teacher: nn.Module, sample: Tensor) -> None:
        """Build an embedding of each network's pooled vector."""
        size = self.embedding_size
        if size < 1:
            raise ValueError(f"embedding_size must be ≥ 1, got {size}")
        self.embed_student = nn.Linear(*feature_shapes(student, sample)[-1], size)
        self.embed_teacher = nn.Linear(*feature_shapes(teacher, sample)[-1], size)

    def forward(self, student: Output, teacher: Output, batch: Batch) -> dict[str, Tensor]:
        """``cc``: weight · mean product of neighbouring differences."""
        student_embedding = self.embed_student(student.features[-1])
        teacher_embedding = self.embed_teacher(teacher.features[-1])
        return {"cc": self.weight * correlation_loss(student_embedding, teacher_embedding)}
