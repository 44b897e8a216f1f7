"""Figures of convolutions: windows where they belong, and the numbers of the kernel."""

import numpy as np
import pytest
from matplotlib.patches import Rectangle

from cvlab import plots


def test_windows_lie_where_the_convolution_puts_them() -> None:
    cases = {"s": (3, 1, (1, 1)), "v": (3, 2, (0, 0)), "uneven": (3, 2, (0, 1))}
    fig = plots.windows(8, cases, title="Sizes")
    centers = [np.unique(np.asarray(ax.lines[0].get_xdata())).tolist() for ax in fig.axes]
    assert centers == [np.arange(0.5, 8).tolist(), [1.5, 3.5, 5.5], [1.5, 3.5, 5.5, 7.5]]
    assert fig.alt == "Sizes. 8 × 8 pixels: s gives 8 × 8; v gives 3 × 3; uneven gives 4 × 4"


def test_every_window_lies_on_pixels_or_padding() -> None:
    fig = plots.windows(8, {"uneven": (3, 2, (0, 1))}, title="Sizes")
    padding, *_, first, last = fig.axes[0].patches
    assert isinstance(padding, Rectangle)
    assert isinstance(first, Rectangle)
    assert isinstance(last, Rectangle)
    assert first.get_xy() == padding.get_xy() == (0, 0)
    assert last.get_x() + last.get_width() == padding.get_width() == 9


@pytest.mark.parametrize("size", [20, 200])
def test_a_kernel_shows_its_numbers_and_marks_a_window(size: int) -> None:
    image = np.zeros((size, size))
    kernel = np.array([[-1, 0, 1], [-2, 0, 1 / 3], [-1, 0, 1]])
    fig = plots.sliding_kernel(
        image, kernel, image[2:, 2:], title="A message", at=(4, 7), alt="a kernel"
    )
    photo, weights, result = fig.axes
    assert [text.get_text() for text in weights.texts][3:6] == ["-2", "0", "0.33"]
    for ax, side in ((photo, 3), (result, 1)):
        window = ax.patches[-1]
        assert isinstance(window, Rectangle)
        assert (*window.get_xy(), window.get_width()) == (6.5, 3.5, side)
    assert fig.photographic == (size > 100)
