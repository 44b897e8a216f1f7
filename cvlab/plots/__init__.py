"""Every figure of the course, in one style.

Each function returns a `Figure` that is displayed when it is the last line of a cell, with a text
for screen readers. The figures are opaque and light, so they read the same on a light and a dark
page. Series differ by line style, marker or label as well as by color.
"""

import matplotlib as mpl
from matplotlib.ticker import PercentFormatter

from cvlab.plots.charts import accuracies, lines, name_lines, training_curves
from cvlab.plots.comparisons import paired, seeds
from cvlab.plots.diagrams import cubes, diagram, network, truth_table
from cvlab.plots.images import feature_maps, matrices, photos
from cvlab.plots.networks import accuracy_against_cost, blocks, strips
from cvlab.plots.neuron import neuron
from cvlab.plots.recorded import ladder, recorded_curves
from cvlab.plots.style import (
    BLUE,
    CARD,
    CYCLE,
    DASHES,
    INK,
    MARKERS,
    MUTED,
    ORANGE,
    RED,
    Figure,
    figure,
    style,
)
from cvlab.plots.sweeps import sweep
from cvlab.plots.trust import confusion, reliability, robustness
from cvlab.plots.windows import sliding_kernel, windows

__all__ = [
    "BLUE",
    "CARD",
    "CYCLE",
    "DASHES",
    "INK",
    "MARKERS",
    "MUTED",
    "ORANGE",
    "RED",
    "Figure",
    "PercentFormatter",
    "accuracies",
    "accuracy_against_cost",
    "blocks",
    "confusion",
    "cubes",
    "diagram",
    "feature_maps",
    "figure",
    "ladder",
    "lines",
    "matrices",
    "mpl",
    "name_lines",
    "network",
    "neuron",
    "paired",
    "photos",
    "recorded_curves",
    "reliability",
    "robustness",
    "seeds",
    "sliding_kernel",
    "strips",
    "style",
    "sweep",
    "training_curves",
    "truth_table",
    "windows",
]
