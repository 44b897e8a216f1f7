"""Reusing a pretrained base: stored features, heads, the freeze boundary, freezing, fine-tuning.

What is frozen runs once per image and is kept on disk; only what trains runs in every epoch.
"""

from cvlab.transfer.boundary import last_block, split
from cvlab.transfer.heads import dense_head, pooled_head
from cvlab.transfer.layerwise import LayerwiseAdam, falling_factors
from cvlab.transfer.methods import METHODS, FineTuner
from cvlab.transfer.probes import logistic_probe
from cvlab.transfer.schedule import fine_tuning_optimizer
from cvlab.transfer.views import Views

__all__ = [
    "METHODS",
    "FineTuner",
    "LayerwiseAdam",
    "Views",
    "dense_head",
    "falling_factors",
    "fine_tuning_optimizer",
    "last_block",
    "logistic_probe",
    "pooled_head",
    "split",
]
