"""Figures of a sweep over a hyperparameter."""

from collections.abc import Mapping

import numpy as np

from cvlab.plots.style import INK, MUTED, Figure, figure, style


@style()
def sweep(scores: Mapping[str, Mapping[float, float]], *, title: str, xlabel: str) -> Figure:
    """Draw accuracies as a table: methods as rows, learning rates as columns, dark for accurate.

    The best of each row has a frame and is bold.

    Args:
        scores: By method and learning rate an accuracy as a share. A learning rate that a method
            lacks is drawn as a dash.
        title: The message.
        xlabel: What the columns are.
    """
    rates = sorted({rate for by_rate in scores.values() for rate in by_rate})
    told = "; ".join(
        f"{method}: " + ", ".join(f"{value:.1%} at {rate:g}" for rate, value in by_rate.items())
        for method, by_rate in scores.items()
    )
    fig, axes = figure(height=0.9 + 0.42 * len(scores), alt=f"{title}. {told}")
    ax = axes[0, 0]
    values = np.array(
        [[by_rate.get(rate, np.nan) for rate in rates] for by_rate in scores.values()]
    )
    ax.imshow(values, cmap="Blues", vmin=0.4, vmax=1.15, aspect="auto")
    for row, by_rate in enumerate(scores.values()):
        best = max(by_rate, key=lambda rate: by_rate[rate])
        for column, rate in enumerate(rates):
            if rate not in by_rate:
                ax.text(column, row, "–", ha="center", va="center", color=MUTED)
                continue
            weight = "bold" if rate == best else "normal"
            look = {"ha": "center", "va": "center", "fontweight": weight, "color": INK}
            ax.text(column, row, f"{by_rate[rate]:.1%}", **look)
            if rate == best:
                box = [column - 0.49, column + 0.49], [row - 0.47, row + 0.47]
                (x0, x1), (y0, y1) = box
                ax.plot([x0, x1, x1, x0, x0], [y0, y0, y1, y1, y0], color=INK, lw=1.5)
    ax.set_xticks(range(len(rates)), [f"{rate:g}" for rate in rates])
    ax.set_yticks(range(len(scores)), list(scores))
    ax.set(xlabel=xlabel)
    ax.set_title(title, loc="left")
    ax.grid(visible=False)
    return fig
