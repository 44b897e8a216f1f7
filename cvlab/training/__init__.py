"""What training a small network needs: augmentation, normalization, gradients, progress.

It also trains the baseline once and keeps it for the notebooks that build on it.
"""

from cvlab.training.augmentation import LECTURE_OPTIONS, Augment, augment_all
from cvlab.training.baseline import keep_baseline, trained_baseline
from cvlab.training.progress import ProgressBar
from cvlab.training.steps import steps_per_execution, train_in_steps

__all__ = [
    "LECTURE_OPTIONS",
    "Augment",
    "ProgressBar",
    "augment_all",
    "keep_baseline",
    "steps_per_execution",
    "train_in_steps",
    "trained_baseline",
]
