"""Publishing teachers: their weights, and a card made from their records."""

from pathlib import Path

import pandas as pd

from mcmi_core.base.files import write_atomically
from mcmi_core.base.tensor_files import write_tensors
from mcmi_core.data import load_dataset
from mcmi_core.experiments.pair import Pair
from mcmi_core.models import create_model
from mcmi_core.runs.config import Teacher
from mcmi_core.runs.store import Store

CARD = """# Published teachers

Four teachers of one seed: the paper's method, our variant, and the two controls that they are
compared with. They are here to be looked at and distilled from, not to be used as classifiers.

{teachers}

Accuracy in percent; LL and CMI in nats, on the training images. All numbers are those of the
committed records that the last column names.

{facts}

```python
from mcmi_core.models.pretrained import load_pretrained

teacher = load_pretrained("{first}")
```

or from a clone in the folder `mcmi-companion`, without installing the package; torch, safetensors,
pydantic and numpy have to be there:

```python
teacher = torch.hub.load("mcmi-companion", "teacher", "{first}", source="local")
```
"""

LIMITS = (
    "Trained on {samples:,} small images until nearly every one is fitted, so overconfident on "
    "others: compare the accuracies. One seed; JPEG artefacts; nothing follows for other data."
)


def publish_teachers(pair: Pair, seed: int, title: str, store: Store, folder: Path) -> list[Path]:
    """Write the teachers of one seed as ``TITLE_MODEL_KIND.safetensors``, and ``README.md``.

    Args:
        pair: whose teachers: MLL, fine-tuned without CMI, MCMI ``fixed`` and ``tracked``.
        seed: theirs.
        title: the data in a word: ``cifar10_16px``.
        store: where they are finished.
        folder: for the files.

    Returns:
        The files of weights.

    Raises:
        StoreError: a teacher is not finished, or a file cannot be written.
        DataError: the data set is missing.
    """
    dataset, files, rows = load_dataset(pair.data), [], []
    size = {
        "num_classes": dataset.num_classes,
        "in_channels": dataset.in_channels,
        "image_size": dataset.image_size,
    }
    for kind, teacher in _kinds(pair, seed).items():
        weights = store.weights(teacher)
        about = {
            "model": str(teacher.model),
            **size,
            "classes": list(dataset.class_names),
            "mean": list(dataset.mean),
            "std": list(dataset.std),
            "run": teacher.id,
        }
        path = folder / f"{title}_{pair.teacher}_{kind}.safetensors"
        write_tensors(path, weights, about)
        files.append(path)
        train, test = (store.record(teacher).metrics[split] for split in ("train", "test"))
        rows.append(
            {
                "name": f"`{path.stem}`",
                "teacher": teacher.label,
                "train accuracy": f"{train['accuracy_percent']:.1f}",
                "test accuracy": f"{test['accuracy_percent']:.1f}",
                "LL": f"{train['ll_nats']:.3f}",
                "CMI": f"{train['cmi_nats']:.3f}",
                "record": f"`{teacher.id}`",
            }
        )
    parameters = sum(p.numel() for p in create_model(pair.teacher, **size).parameters())
    mean, std = (", ".join(f"{v:.4f}" for v in values) for values in (dataset.mean, dataset.std))
    pixels = f"{dataset.image_size}×{dataset.image_size} pixels"
    facts = {
        "data": f"`{pair.data}`: {dataset.num_classes} classes, {', '.join(dataset.class_names)}",
        "network": f"`{pair.teacher}`, {parameters:,} parameters",
        "recipe": f"{pair.recipe_text}; the rest is in the records",
        "seed": str(seed),
        "input": f"images of {pixels}, scaled to [0, 1], less ({mean}), divided by ({std})",
        "limits": LIMITS.format(samples=len(dataset.train)),
        "licence": "MIT, as the code; the images are not part of it",
    }
    card = CARD.format(
        teachers=_markdown(pd.DataFrame(rows)),
        facts=_markdown(pd.DataFrame(facts.items(), columns=["about", "what"])),
        first=files[0].stem,
    )
    write_atomically(folder / "README.md", card)
    return files


def _kinds(pair: Pair, seed: int) -> dict[str, Teacher]:
    return {
        "mll": pair.mll(seed),
        "fine_tuned": pair.untreated(seed),
        "mcmi_fixed": pair.mcmi(seed),
        "mcmi_tracked": pair.mcmi(seed, centroids="tracked"),
    }


def _markdown(table: pd.DataFrame) -> str:
    lines = [table.columns, ["---"] * len(table.columns), *table.to_numpy()]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
