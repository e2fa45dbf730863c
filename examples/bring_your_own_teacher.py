"""Your own teacher on your own images: measure it, fine-tune it by MCMI, distil it, export.

python examples/bring_your_own_teacher.py FOLDER   # holds train/CLASS/* and test/CLASS/*
"""

import sys
from functools import partial
from pathlib import Path

import torch
from safetensors.torch import save_model
from torch import nn

from mcmi_core.data import load_dataset
from mcmi_core.data.loader import training_batches
from mcmi_core.distillers import KD
from mcmi_core.measures.evaluation import evaluate
from mcmi_core.objectives import MCMILoss, MLLLoss
from mcmi_core.training.loop import train
from mcmi_core.training.recipe import Recipe

SIZE = 8  # pixels per side
CPU = torch.device("cpu")
torch.set_num_threads(1)  # all that tensors this small can use


def network(width: int, classes: int) -> nn.Module:
    """Any module from images to logits will do; this one is small."""
    layers = (nn.Conv2d(3, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU())
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(width * SIZE**2, classes))


def main(folder: Path) -> None:
    """Print what every stage measures; write the student to ``FOLDER/student.*``."""
    torch.manual_seed(0)
    data = load_dataset("imagefolder", folder=str(folder.resolve()), image_size=SIZE)
    epoch = {"batch_size": 64, "epoch_length": len(data.train), "seed": 0, "device": CPU}
    learn = partial(
        train,
        epoch_batches=lambda e: training_batches(data, data.train, epoch=e, **epoch),
        recipe=Recipe(epochs=15, schedule="cosine"),
        seed=0,
        evaluate=lambda last: {},
    )
    teacher, student = network(32, data.num_classes), network(8, data.num_classes)
    learn(teacher, MLLLoss())  # leave this out for a teacher that is trained already
    print("MLL teacher: ", evaluate(teacher, data, data.train, CPU))
    learn(teacher, MCMILoss(lam=0.7, centroids="tracked", num_classes=data.num_classes))
    print("MCMI teacher:", evaluate(teacher, data, data.train, CPU))
    learn(student, KD(student, teacher))
    print("student:     ", evaluate(student, data, data.test, CPU))
    save_model(student, str(folder / "student.safetensors"))
    sample, sizes = data.normalise(data.test.inputs[:2]), ({0: torch.export.Dim("batch")},)
    program = torch.export.export(student.eval(), (sample,), dynamic_shapes=sizes)
    torch.export.save(program, folder / "student.pt2")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
