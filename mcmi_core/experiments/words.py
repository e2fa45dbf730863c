"""Networks, data, frameworks and teachers in words, for titles, labels and headings.

What a component is called in code (``mlp:width=512``) says how to train it again; what it is
called here (``MLP, 512 wide``) is what a reader calls it. One that is not known here, as one that
a user added, keeps its name.
"""

import re
from collections.abc import Iterable

from mcmi_core.base.registry import Component

_FAMILIES = {
    "resnet": "ResNet",
    "wrn": "WRN",
    "vgg": "VGG",
    "mobilenetv": "MobileNetV",
    "shufflenetv": "ShuffleNetV",
}
_FRAMEWORKS = {
    "masked_kd": "masked KD",
    "semi_kd": "KD on unlabelled images",
    "fitnet": "FitNet",
    "reviewkd": "ReviewKD",
}
_IMAGES = {
    "cifar10-jpeg": "CIFAR-10 photographs",
    "tinyimagenet100-32": "photographs of 100 classes of Tiny-ImageNet",
    "cifar10": "CIFAR-10",
    "cifar100": "CIFAR-100",
    "digits": "scikit-learn's digits",
}
_SIZES = {"cifar10-jpeg": 32}
"""Pixels of a folder's own images, where other sizes are in use as well."""
_CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer")
_CIFAR10 += ("dog", "frog", "horse", "ship", "truck")
_CLASSES = {"cifar10": _CIFAR10, "cifar10-jpeg": _CIFAR10, "digits": tuple(map(str, range(10)))}
_NUMBERS = {2: "two", 3: "three", 10: "ten", 20: "twenty"}
_SETTINGS = {"epoch=": ", epoch ", " share=": " ", " weight=": " ", " T=": " "}


def network_in_words(network: str) -> str:
    """``MLP, 512 wide`` for ``mlp:width=512``, ``ResNet-56`` for ``resnet56``."""
    component = Component.model_validate(network)
    if component.name == "mlp" and set(component.options) == {"width"}:
        return f"MLP, {component.options['width']} wide"
    match = re.fullmatch(r"(?:imagenet_)?([a-z]+?)_?(\d[\dx_]*)", component.name)
    if component.options or match is None or match[1] not in _FAMILIES:
        return network
    family, size = _FAMILIES[match[1]], match[2].replace("_", "-")
    return family + size if family.endswith("V") else f"{family}-{size}"


def count_in_words(number: float) -> str:
    """``51k`` for 50,954, ``1.7M`` for 1,700,000: as sizes of networks are given."""
    if number < 1000:
        return f"{number:.0f}"
    thousands = round(number / 1000)
    return f"{thousands}k" if thousands < 1000 else f"{number / 1e6:.1f}M"


def data_in_words(data: str) -> str:
    """``ten Gaussians`` for ``oracle``; photographs with size and number, where these vary."""
    component = Component.model_validate(data)
    options = component.options
    if component.name == "oracle":
        classes = int(options.get("classes", 10))
        shape = " as images" if options.get("images") in ("True", True) else ""
        return f"{_NUMBERS.get(classes, classes)} Gaussians{shape}"
    if component.name != "imagefolder":
        return _IMAGES.get(component.name, data)
    words = _IMAGES.get(options["folder"], options["folder"])
    size = options.get("image_size", _SIZES.get(options["folder"]))
    if size is not None:
        words += f", {size} px"
    if "images_per_class" in options:
        words += f", {int(options['images_per_class']):,} a class"
    return words


def class_in_words(data: str, index: int) -> str:
    """``truck`` for class 9 of CIFAR-10; ``class 9`` where classes have no names here."""
    component = Component.model_validate(data)
    names = _CLASSES.get(component.options.get("folder", component.name))
    return f"class {index}" if names is None else names[index]


def classes_in_words(data: str, indices: Iterable[int]) -> str:
    """``truck, horse, dog`` of CIFAR-10; ``classes 9, 7, 5`` where classes have no names here."""
    words = [class_in_words(data, index) for index in indices]
    if len(words) > 1 and words[0].startswith("class "):
        return "classes " + ", ".join(word.removeprefix("class ") for word in words)
    return ", ".join(words)


def pair_in_words(pair: str) -> str:
    """``ten Gaussians: MLP, 512 wide → MLP, 32 wide`` for a pair, or its networks, in code."""
    networks, _, data = pair.partition(" on ")
    if not data and " → " not in pair:
        return pair
    words = " → ".join(map(network_in_words, networks.split(" → ")))
    return f"{data_in_words(data)}: {words}" if data else words


def framework_in_words(distiller: str) -> str:
    """``ReviewKD`` for ``reviewkd:weight=5``: as its authors write it; ``mean of 8`` stays."""
    if " " in distiller:
        return distiller
    name = Component.model_validate(distiller).name
    return _FRAMEWORKS.get(name, name.upper())


def method_in_words(label: str) -> str:
    """``label smoothing 0.1`` for the label ``label smoothing share=0.1``; others stay."""
    for code, words in _SETTINGS.items():
        label = label.replace(code, words)
    return label.replace(" , ", ", ")
