"""Everything that goes by a name: data sets, models, objectives, distillers, measurements.

To add one: write its file, and a line here that says where it is. Its options are what its function
or class takes by keyword, see :mod:`mcmi_core.base.options`. Nothing of this imports torch.
"""

from mcmi_core.base.registry import Registry


def _in(module: str, *names: str) -> dict[str, str]:
    """Components named as the functions or classes that define them, in one module."""
    return {name: f"mcmi_core.{module}:{name}" for name in names}


DATASETS = Registry(
    "data set",
    _in("data.oracle", "oracle")
    | _in("data.digits", "digits")
    | _in("data.cifar", "cifar10", "cifar100")
    | {"imagefolder": "mcmi_core.data.image_folder:image_folder"},
)

RESNETS = ("resnet8", "resnet14", "resnet20", "resnet32", "resnet44", "resnet56", "resnet110")

MODELS = Registry(
    "model",
    _in("models.resnet", *RESNETS, "resnet152", "resnet8x4", "resnet32x4")
    | _in("models.wide_resnet", "wrn_16_1", "wrn_16_2", "wrn_40_1", "wrn_40_2")
    | _in("models.vgg", "vgg8", "vgg11", "vgg13", "vgg16", "vgg19")
    | _in("models.mobilenetv2", "mobilenetv2")
    | _in("models.shufflenetv1", "shufflenetv1")
    | _in("models.shufflenetv2", "shufflenetv2")
    | _in("models.bottleneck_resnet", "resnet50")
    | _in("models.imagenet", "imagenet_resnet18", "imagenet_resnet34", "imagenet_resnet50")
    | _in("models.imagenet", "imagenet_mobilenetv1")
    | {"mlp": "mcmi_core.models.mlp:MLP"},
    context=("num_classes", "in_channels", "image_size"),
)

OBJECTIVES = Registry(
    "objective",
    _in("objectives", "mll", "mcmi", "label_smoothing", "entropy", "mse"),
    context=("num_classes",),
)

# What a distiller may ask for: both networks, two normalised inputs to read feature shapes from,
# and the labels (N,) of the training split.
DISTILLERS = Registry(
    "distiller",
    {
        "kd": "mcmi_core.distillers.kd:KD",
        "masked_kd": "mcmi_core.distillers.masked_kd:MaskedKD",
        "semi_kd": "mcmi_core.distillers.semi_kd:SemiKD",
        "lskd": "mcmi_core.distillers.lskd:LSKD",
        "dkd": "mcmi_core.distillers.dkd:DKD",
        "dist": "mcmi_core.distillers.dist:DIST",
        "fitnet": "mcmi_core.distillers.fitnet:FitNet",
        "at": "mcmi_core.distillers.at:AT",
        "nst": "mcmi_core.distillers.nst:NST",
        "vid": "mcmi_core.distillers.vid:VID",
        "sp": "mcmi_core.distillers.sp:SP",
        "pkt": "mcmi_core.distillers.pkt:PKT",
        "rkd": "mcmi_core.distillers.rkd:RKD",
        "cc": "mcmi_core.distillers.cc:CC",
        "crd": "mcmi_core.distillers.crd:CRD",
        "reviewkd": "mcmi_core.distillers.review_kd:ReviewKD",
        "hsakd": "mcmi_core.distillers.hsakd:HSAKD",
        "ab": "mcmi_core.distillers.ab:AB",
        "ft": "mcmi_core.distillers.ft:FT",
        "fsp": "mcmi_core.distillers.fsp:FSP",
    },
    context=("student", "teacher", "sample", "labels"),
)

NEED_HEADS = ("hsakd",)
"""Distillers whose teacher must have auxiliary heads, which are trained in a run of their own."""

MEASUREMENTS = Registry(
    "measurement",
    _in("measures.predictions", "temperature_sweep", "unseen", "confusion_matrix", "by_class")
    | _in("measures.predictions", "raised_share", "network_size", "outputs")
    | _in("measures.eigen_cam", "eigen_cam_coverage", "eigen_cam_maps")
    | _in("measures.proposition", "proposition_1"),
    context=("model", "dataset", "split", "device"),
)
