"""The drawing primitives against geometry done by hand."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cvlab.drawing.canvas import Canvas, Dice, Frame, around, cos_sin, mix


def canvas(size: int = 200) -> Canvas:
    return Canvas(size, (0.0, 0.0), np.zeros((size, size), np.float32))


def page(size: int = 200, degrees: float = 0.0) -> Frame:
    """A frame with its origin at the center, the image 2 units wide."""
    return Frame(size, (0.5, 0.5), 0.5, degrees)


WHITE = (255.0, 255.0, 255.0)


def area(painted: Canvas) -> float:
    """Area that white covers of a black image, in squared units of `page`."""
    return float(painted.pixels[0].sum(dtype=np.float64)) / 255 / (painted.size / 2) ** 2


@given(st.floats(-720, 720))
def test_cos_sin_to_15_bits_and_half_a_step(degrees: float) -> None:
    cos, sin = cos_sin(degrees)
    bound = math.pi / 4096 + 2**-15
    assert abs(cos - math.cos(math.radians(degrees))) <= bound
    assert abs(sin - math.sin(math.radians(degrees))) <= bound


def test_quarter_turns_are_exact() -> None:
    assert [cos_sin(d) for d in (0, 90, 180, 270, -90)] == [
        (1, 0),
        (0, 1),
        (-1, 0),
        (0, -1),
        (0, -1),
    ]


def test_dice_are_uniform_and_repeatable() -> None:
    dice, again, other = Dice(1, 2), Dice(1, 2), Dice(1, 3)
    numbers = np.array([dice.unit() for _ in range(4000)])
    np.testing.assert_array_equal(numbers, [again.unit() for _ in range(4000)])
    assert not np.array_equal(numbers[:9], [other.unit() for _ in range(9)])
    assert numbers.min() >= 0 and numbers.max() < 1
    # The Kolmogorov-Smirnov distance of 4,000 uniform numbers exceeds 0.0308 once in a thousand.
    steps = np.sort(numbers) - np.arange(4000) / 4000
    assert max(steps.max(), -(steps - 1 / 4000).min()) < 0.0308


def test_dice_take_the_raw_pcg64_stream() -> None:
    raw = np.random.PCG64(np.random.SeedSequence((5, 6))).random_raw(64)
    dice = Dice(5, 6)
    assert [dice.unit() for _ in range(3)] == [(int(word) >> 11) / 2**53 for word in raw[:3]]


def test_dice_helpers_stay_in_their_ranges() -> None:
    dice = Dice(0)
    bells = np.array([dice.bell(2, 0.4) for _ in range(3000)])
    assert np.abs(bells - 2).max() <= 0.6
    # Three uniforms: standard deviation 1/2; of the mean of 3,000: 0.2 / sqrt(3000).
    assert abs(bells.mean() - 2) < 4 * 0.2 / math.sqrt(3000)
    assert bells.std() == pytest.approx(0.2, rel=0.06)
    assert {dice.whole(3) for _ in range(100)} == {0, 1, 2}
    assert {dice.pick("abb") for _ in range(100)} == {"a", "b"}
    assert all(4 <= c <= 252 for _ in range(200) for c in dice.jitter((2, 128, 255), 80))
    clouds = dice.clouds(50, 5)
    assert clouds.shape == (50, 50) and clouds.min() >= 0 and clouds.max() < 1
    assert np.abs(np.diff(clouds, axis=0)).max() < 0.2  # a cell is 10 pixels; slope at most 1.5


def test_points_and_colors() -> None:
    assert around((1, 2), 90, 3) == (1, 5)
    assert mix((0, 0), (4, 8), 0.25) == (1, 2)
    assert mix((0, 10, 20), (100, 10, 0), 0.5) == (50, 10, 10)


def test_frame_turns_clockwise_about_its_origin() -> None:
    frame = Frame(100, (0.25, 0.5), 0.1, 90)
    # A quarter turn clockwise (v points down): the frame's u axis points down the image.
    assert frame.u[60, 25] == pytest.approx(1.05, abs=1e-5)
    assert frame.v[50, 35] == pytest.approx(-1.05, abs=1e-5)
    rows, columns = frame.window((1, 0), 0.2)
    assert rows.start <= 58 and rows.stop >= 62 and columns.start <= 23 and columns.stop >= 27
    for outside in ((30, 0), (-30, 0), (0, 30), (0, -30)):
        assert frame.u[frame.window(outside, 1)].size == 0


@settings(max_examples=25)
@given(st.floats(0.15, 0.6), st.floats(0.15, 0.6), st.floats(0, 180), st.floats(0, 90))
def test_ellipses_have_their_area(ru: float, rv: float, degrees: float, turn: float) -> None:
    painted = canvas()
    painted.ellipse(page(degrees=turn), (0.1, -0.1), (ru, rv), WHITE, degrees=degrees)
    assert area(painted) == pytest.approx(math.pi * ru * rv, rel=0.03)


@settings(max_examples=25)
@given(st.floats(0.05, 0.2), st.floats(0.05, 0.2), st.floats(0, 360))
def test_strokes_have_their_area(r0: float, r1: float, angle: float) -> None:
    painted = canvas()
    painted.stroke(page(), (0, 0), around((0, 0), angle, 0.6), (r0, r1), WHITE)
    # A trapezoid and two half discs; the true outline differs where the radii do.
    assert area(painted) == pytest.approx(0.6 * (r0 + r1) + math.pi / 2 * (r0**2 + r1**2), rel=0.05)


@settings(max_examples=25)
@given(st.floats(0, 360), st.integers(3, 7), st.booleans())
def test_polygons_have_their_area(angle: float, count: int, backwards: bool) -> None:
    corners = [around((0.1, 0), angle + 360 * k / count, 0.5) for k in range(count)]
    painted = canvas()
    painted.polygon(page(), corners[::-1] if backwards else corners, WHITE)
    regular = count / 2 * 0.25 * math.sin(2 * math.pi / count)
    assert area(painted) == pytest.approx(regular, rel=0.03)


def test_edges_opacity_and_shapes_outside() -> None:
    painted = canvas(100)
    painted.ellipse(page(100), (0, 0), (0.5, 0.5), (200, 100, 0), opacity=0.5)
    np.testing.assert_allclose(painted.pixels[:, 50, 50], [100, 50, 0])
    assert painted.pixels[0, 0, 0] == 0
    before = painted.pixels.copy()
    painted.ellipse(page(100), (9, 9), (0.5, 0.5), WHITE)
    painted.stroke(page(100), (9, 9), (10, 9), (0.1, 0.1), WHITE)
    painted.polygon(page(100), [(9, 9), (10, 9), (9, 10)], WHITE)
    np.testing.assert_array_equal(painted.pixels, before)


def test_volume_is_bright_toward_the_light() -> None:
    painted = Canvas(100, (0.8, 0.0), np.zeros((100, 100), np.float32))
    painted.ellipse(page(100), (0, 0), (0.8, 0.8), (100, 100, 100), volume=0.5)
    assert painted.pixels[0, 50, 20] > painted.pixels[0, 50, 50] > painted.pixels[0, 50, 80]
