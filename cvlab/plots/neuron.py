"""The sketch of a single neuron, with its numbers."""

from collections.abc import Mapping

import numpy as np

from cvlab.plots.style import BLUE, INK, MUTED, Figure, figure, style


@style()
def neuron(inputs: Mapping[str, float], weights: Mapping[str, float], bias: float) -> Figure:
    """Draw a neuron with sigmoid activation: inputs, weighted sum, output, all with their values.

    Args:
        inputs: Value by the name of the feature.
        weights: Weight by the name of the feature.
        bias: What is added to the weighted sum.

    Raises:
        ValueError: If inputs and weights do not have the same names, or there are none.
    """
    if not inputs or list(inputs) != list(weights):
        raise ValueError(
            f"neuron() got inputs {list(inputs)} and weights {list(weights)}: pass at least one "
            "feature, and one weight for each, in the same order"
        )
    z = sum(weights[name] * value for name, value in inputs.items()) + bias
    p = 1 / (1 + np.exp(-z))
    told = ", ".join(f"{name} {value:.2f}" for name, value in inputs.items())
    alt = f"A neuron: inputs {told}, weighted sum {z:.2f}, output {p:.3f}"
    fig, axes = figure(height=0.9 + 0.9 * len(inputs), alt=alt)
    ax = axes[0, 0]
    ball = {"boxstyle": "round,pad=0.55", "fc": "white", "ec": BLUE, "lw": 1.6}
    arrow = {"arrowstyle": "-|>", "color": MUTED, "lw": 1.4}
    text = {"ha": "center", "va": "center", "fontsize": 11, "color": INK}
    rows = np.linspace(1, -1, len(inputs)) if len(inputs) > 1 else [0.0]
    for (name, value), y in zip(inputs.items(), rows, strict=True):
        ax.annotate("", (2.72, 0.22 * y), (0.5, 0.95 * y), arrowprops=arrow)
        ax.text(0, y, f"{name}\n{value:.2f}", bbox=ball, **text)
        ax.text(1.7, 0.57 * y + 0.2, f"× {_signed(weights[name])}", **text)
    ax.annotate("", (3.55, -0.38), (3.55, -0.95), arrowprops=arrow)
    ax.text(3.55, -1.1, f"bias {_signed(bias)}", **text)
    for x, label in ((3.55, f"weighted sum\nz = {_signed(z)}"), (6.0, f"sigmoid\np = {p:.3f}")):
        ax.text(x, 0, label, bbox=ball, **text)
    ax.annotate("", (5.45, 0), (4.25, 0), arrowprops=arrow)
    ax.annotate("", (7.4, 0), (6.55, 0), arrowprops=arrow)
    ax.text(7.45, 0, "output", ha="left", va="center", fontsize=11)
    ax.set(xlim=(-0.7, 8.3), ylim=(-1.45, 1.4))
    ax.set_axis_off()
    return fig


def _signed(number: float) -> str:
    return f"{round(number, 2):g}".replace("-", "−")
