"""The course's networks: the small convnet, historic ones, pretrained bases, and what they cost.

Every network takes images with values from 0 to 255 and includes its own preprocessing.
"""

from cvlab.models import embedded
from cvlab.models.bases import base_for, imagenet_classifier, load_base, weights_file
from cvlab.models.convnet import small_cnn
from cvlab.models.embedded import toy_base
from cvlab.models.folding import fold_batch_norms
from cvlab.models.foundations import FOUNDATIONS

__all__ = [
    "FOUNDATIONS",
    "base_for",
    "embedded",
    "fold_batch_norms",
    "imagenet_classifier",
    "load_base",
    "small_cnn",
    "toy_base",
    "weights_file",
]
