"""Figures of networks: their building blocks, their feature maps by depth, what they cost."""

from collections.abc import Mapping, Sequence

from matplotlib.patches import Patch

from cvlab.plots.diagrams import diagram
from cvlab.plots.style import BLUE, CARD, GREEN, INK, MUTED, ORANGE, PURPLE, Figure, figure, style

# Inches of one box of `diagram` and the space around it.
_BOX_WIDTH, _BOX_HEIGHT = 1.75, 0.62
_LOOKS = {
    "convolution": (BLUE, ""),
    "depthwise or separable": (ORANGE, "////"),
    "attention": (PURPLE, "...."),
    "dense": (GREEN, "----"),
}
_SIDES = {
    "above": (0, 1, "center", "bottom"),
    "below": (0, -1, "center", "top"),
    "left": (-1, 0, "right", "center"),
}


def blocks(
    sketches: Mapping[str, tuple[dict[str, str], list[tuple[str, str]], set[str]]], *, alt: str
) -> Figure:
    """Draw small networks side by side, boxes from top to bottom; filled boxes have weights.

    Args:
        sketches: By title what `cvlab.models.graph.sketch` returns.
        alt: See `figure`.
    """
    fig, axes = figure(1, len(sketches), alt=alt)
    sizes = []
    for ax, (title, (boxes, arrows, filled)) in zip(axes[0], sketches.items(), strict=True):
        sizes.append(diagram(ax, boxes, arrows, filled=filled))
        ax.set_title(title, loc="center")
    widths, heights = zip(*sizes, strict=True)
    fig.set_size_inches(max(8.5, _BOX_WIDTH * sum(widths)), _BOX_HEIGHT * max(heights) + 0.3)
    share = fig.get_figwidth() / _BOX_WIDTH / len(widths)  # in boxes: all of one size
    for ax in axes[0]:
        middle = sum(ax.get_xlim()) / 2
        ax.set(xlim=(middle - share / 2, middle + share / 2), ylim=(0.55 - max(heights), 0.45))
    return fig


@style()
def strips(networks: Mapping[str, Sequence[tuple[str, int]]], *, title: str, alt: str) -> Figure:
    """Draw networks as strips from input to output, one bar for each step of the depth.

    Args:
        networks: By name what `cvlab.models.cost.steps` returns. The height of a bar is that of the
            feature map, on a logarithmic scale.
        title: Figure title.
        alt: See `figure`.
    """
    fig, axes = figure(height=0.75 + 0.46 * len(networks), alt=alt)
    ax = axes[0, 0]
    for row, steps in enumerate(networks.values()):
        for step, (kind, height) in enumerate(steps):
            color, hatch = _LOOKS[kind]
            tall = 0.1 + 0.075 * height.bit_length()
            ax.bar(step, tall, 0.86, row - tall / 2, color=color, hatch=hatch, edgecolor=CARD, lw=0)
        ax.text(len(steps), row, f"  {len(steps)}", va="center", fontsize=9, color=INK)
    ax.set_yticks(range(len(networks)), list(networks))
    ax.set_ylim(len(networks) - 0.45, -0.6)
    ax.set_xlabel("layers with weights, from the input to the output; height: spatial positions")
    ax.grid(visible=False)
    used = {kind for steps in networks.values() for kind, _ in steps}
    looks = {kind: look for kind, look in _LOOKS.items() if kind in used}
    keys = [Patch(fc=fc, hatch=h, ec=CARD, lw=0, label=kind) for kind, (fc, h) in looks.items()]
    fig.legend(handles=keys, loc="outside lower center", ncols=len(keys))
    fig.suptitle(title, x=0.01, ha="left")
    return fig


@style()
def accuracy_against_cost(
    networks: Mapping[str, tuple[float, float, float]],
    *,
    labels: Mapping[str, str],
    title: str,
    alt: str,
) -> Figure:
    """Plot accuracy against multiply-adds as bubbles whose area is the number of parameters.

    Args:
        networks: Multiply-adds per image, parameters, and top-1 accuracy as a share, by name.
        labels: Where the label of a network stands, if not above its bubble: "below" or "left".
        title: Figure title.
        alt: See `figure`; the numbers are added.
    """
    told = "; ".join(
        f"{name}: {work / 1e9:.1f} billion multiply-adds, {size / 1e6:.0f} million parameters, "
        f"{top1:.1%}"
        for name, (work, size, top1) in networks.items()
    )
    fig, axes = figure(height=4.6, alt=f"{alt}. {told}")
    ax = axes[0, 0]
    for name, (work, size, top1) in networks.items():
        ax.scatter(work / 1e9, top1, s=size / 1e5, color=BLUE, alpha=0.35, edgecolor=INK, lw=0.8)
        ax.plot(work / 1e9, top1, ".", color=INK, ms=3)
        x, y, ha, va = _SIDES[labels.get(name, "above")]
        away = 3 + (size / 1e5) ** 0.5 / 2  # points: the radius of the bubble, and a gap
        ax.annotate(
            f"{name}, {size / 1e6:.0f} M",
            (work / 1e9, top1),
            (x * away, y * away),
            textcoords="offset points",
            ha=ha,
            va=va,
            fontsize=9,
        )
    ax.set(xscale="log", xlabel="multiply-adds per image (billions, logarithmic scale)")
    ax.set(ylabel="top-1 accuracy on ImageNet (published)", title=title)
    ax.set_xlim(0.3, 50)
    ax.set_ylim(min(top1 for *_, top1 in networks.values()) - 0.05, 0.88)
    ax.yaxis.set_major_formatter("{x:.0%}")
    ax.set_xticks([0.5, 1, 2, 5, 10, 20], ["0.5", "1", "2", "5", "10", "20"])
    ax.minorticks_off()
    ax.text(0.99, 0.02, "area: parameters", transform=ax.transAxes, ha="right", color=MUTED)
    return fig
