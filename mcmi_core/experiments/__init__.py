"""The experiments, one file a notebook: settings → runs → table → findings."""

from mcmi_core.experiments.alternatives import Alternatives
from mcmi_core.experiments.bayes_oracle import BayesOracle
from mcmi_core.experiments.cifar100_distillation import Cifar100Distillation
from mcmi_core.experiments.eigen_cam import EigenCam
from mcmi_core.experiments.few_shot import FewShot
from mcmi_core.experiments.imagenet_distillation import ImagenetDistillation
from mcmi_core.experiments.lambda_and_centroids import LambdaAndCentroids
from mcmi_core.experiments.mll_training_dynamics import MllTrainingDynamics
from mcmi_core.experiments.proposition_1 import Proposition1
from mcmi_core.experiments.quickstart import Quickstart
from mcmi_core.experiments.semi_supervised_and_binary import SemiSupervisedAndBinary
from mcmi_core.experiments.teacher_size import TeacherSize
from mcmi_core.experiments.temperature_and_cmi import TemperatureAndCmi
from mcmi_core.experiments.what_is_cmi import WhatIsCmi
from mcmi_core.experiments.zero_shot import ZeroShot

__all__ = [
    "Alternatives",
    "BayesOracle",
    "Cifar100Distillation",
    "EigenCam",
    "FewShot",
    "ImagenetDistillation",
    "LambdaAndCentroids",
    "MllTrainingDynamics",
    "Proposition1",
    "Quickstart",
    "SemiSupervisedAndBinary",
    "TeacherSize",
    "TemperatureAndCmi",
    "WhatIsCmi",
    "ZeroShot",
]
