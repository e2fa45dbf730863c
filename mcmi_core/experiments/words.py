"""Networks, data, frameworks and teachers in words, for titles, labels and headings.

What a component is called in code (``mlp:width=512``) says how to train it again; what it is
called here (``MLP, 512 wide``) is what a reader calls it. One that is not known here, as one that
a user added, keeps its name.
"""

import re

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
    if "image_size" in options:
        words += f", {options['image_size']} px"
    if "images_per_class" in options:
        words += f", {int(options['images_per_class']):,} a class"
    return words


def pair_in_words(pair: str) -> str:
    """``ten Gaussians: MLP, 512 wide → MLP, 32 wide`` for the text of a pair in code."""
    networks, _, data = pair.partition(" on ")
    if not data:
        return pair
    return f"{data_in_words(data)}: {' → '.join(map(network_in_words, networks.split(' → ')))}"


def framework_in_words(distiller: str) -> str:
    """``ReviewKD`` for ``reviewkd:weight=5``: as its authors write it."""
    name = Component.model_validate(distiller).name
    return _FRAMEWORKS.get(name, name.upper())


def method_in_words(label: str) -> str:
    """``label smoothing 0.1`` for the label ``label smoothing share=0.1``; others stay."""
    for code, words in _SETTINGS.items():
        label = label.replace(code, words)
    return label.replace(" , ", ", ")
