"""The other side of beside_torchdistill.py: runs with torchdistill's interpreter, not with ours.

    python _torchdistill.py IMAGES.pt THREADS BATCH_SIZE WORKERS TEACHER STUDENT CLASSES

Then every line "STEPS" on its input is answered by the seconds that so many steps took. It imports
torchdistill and torch only, and uses them as torchdistill's own image-classification example does:
its models, its loss, its box with data loader and optimiser, a metric read in every step.
"""

import json
import sys
import time
from importlib.metadata import version
from itertools import cycle, islice

import torch
from PIL import Image
from torch.utils.data import Dataset, RandomSampler
from torchdistill.core.distillation import get_distillation_box
from torchdistill.models.registry import get_model
from torchvision import transforms


class Images(Dataset):
    """CIFAR as torchvision gives it: PIL images, transformed one by one."""

    def __init__(self, path: str) -> None:
        images, labels = torch.load(path)
        self.images = [Image.fromarray(image.permute(1, 2, 0).numpy()) for image in images]
        self.labels = labels.tolist()
        self.transform = transforms.Compose(
            [
                transforms.RandomCrop(32, padding=4),
                transforms.RandomHorizontalFlip(),
                transforms.ToTensor(),
                transforms.Normalize((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
            ]
        )

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        """An image and its label."""
        return self.transform(self.images[index]), self.labels[index]


def main(path, threads, batch_size, workers, teacher, student, classes) -> None:
    """Build the box, say what it is made of, and train when asked to."""
    torch.set_num_threads(int(threads))
    loader = {"batch_size": int(batch_size), "num_workers": int(workers), "drop_last": True}
    if int(workers):
        loader |= {"prefetch_factor": 1, "persistent_workers": True}
    kd = {"temperature": 4.0, "alpha": 0.1, "reduction": "batchmean"}  # 0.1 CE + 0.9 KD
    for network in ("student", "teacher"):
        kd |= {f"{network}_module_path": ".", f"{network}_module_io": "output"}
    terms = {"kd": {"criterion": {"key": "KDLoss", "kwargs": kd}, "weight": 1.0}}
    box = get_distillation_box(
        get_model(teacher, num_classes=int(classes)).eval(),
        get_model(student, num_classes=int(classes)),
        {"train": Images(path)},
        {
            "num_epochs": 1,
            "train_data_loader": {
                "dataset_id": "train",
                "sampler": {"class_or_func": RandomSampler},
                "kwargs": loader,
            },
            "teacher": {"forward_proc": "forward_batch_only", "requires_grad": False},
            "student": {"forward_proc": "forward_batch_only"},
            "optimizer": {
                "key": "SGD",
                "kwargs": {"lr": 1e-3, "momentum": 0.9, "weight_decay": 5e-4},
            },
            "criterion": {"key": "WeightedSumLoss", "kwargs": {"sub_terms": terms}},
        },
        device=torch.device("cpu"),
        device_ids=[],
        distributed=False,
        lr_factor=1,
    )
    box.pre_epoch_process(epoch=0)
    batches = (batch for loader in cycle([box.train_data_loader]) for batch in loader)

    def train(steps: int) -> None:
        for images, labels, supplement in islice(batches, steps):
            box.pre_forward_process()
            loss = box.forward_process(images, labels, supplement)
            box.post_forward_process(loss=loss)
            loss.item()  # for its log

    def measure(steps: int) -> float:
        train(int(workers))  # whose batches the workers had ready
        started = time.perf_counter()
        train(steps)
        return time.perf_counter() - started

    about = {name: version(name) for name in ("torchdistill", "torch", "torchvision")}
    parameters = sum(parameter.numel() for parameter in box.student_model.parameters())
    print(json.dumps(about | {"parameters": parameters}), flush=True)
    for line in sys.stdin:
        print(measure(int(line)), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
