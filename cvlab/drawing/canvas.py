"""Exact drawing: random numbers, frames and soft-edged shapes that give the same bytes anywhere.

Random numbers are the raw 64-bit output of PCG64, a stream that NumPy promises to keep. Arithmetic
on pixels is elementwise addition, multiplication, division, square root, rounding and comparison in
float32, which IEEE 754 rounds the same way on every machine; nothing sums over pixels and nothing
calls a trigonometric function. Sines come from a table rounded to 15 bits.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, TypedDict, TypeVar, Unpack, cast

import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.float32]
Color = tuple[float, float, float]
Point = tuple[float, float]
Window = tuple[slice, slice]
Paint = Color | Field
_T = TypeVar("_T", Point, Color)
_Kind = TypeVar("_Kind")

_TURN: Final = 4096  # angles are whole 4096ths of a turn
# Rounding to 15 bits swallows the last-digit differences between C libraries.
_SINE: Final = tuple(round(math.sin(2 * math.pi * k / _TURN) * 32768) / 32768 for k in range(_TURN))


def cos_sin(degrees: float) -> tuple[float, float]:
    """Return cosine and sine of an angle in degrees, to 15 bits, the same on every machine."""
    step = int(degrees * _TURN / 360 + (0.5 if degrees >= 0 else -0.5))
    return _SINE[(step + _TURN // 4) % _TURN], _SINE[step % _TURN]


def around(center: Point, angle: float, length: float) -> Point:
    """Return the point `length` away from `center` in the direction `angle` (degrees)."""
    cos, sin = cos_sin(angle)
    return center[0] + cos * length, center[1] + sin * length


def mix(one: _T, two: _T, share: float) -> _T:
    """Blend two colors, or find a point between two; share 0 returns the first, 1 the second."""
    return cast(_T, tuple(p + (q - p) * share for p, q in zip(one, two, strict=True)))


class Dice:
    """Random numbers, in the order in which they are asked for.

    Args:
        key: Non-negative integers; each key has an independent series.
    """

    def __init__(self, *key: int) -> None:
        self._bits = np.random.PCG64(np.random.SeedSequence(key))
        self._pool: list[int] = []

    def unit(self) -> float:
        """Draw a number in [0, 1)."""
        if not self._pool:
            self._pool = (self._bits.random_raw(64) >> np.uint64(11)).tolist()[::-1]
        return self._pool.pop() * 2.0**-53

    def uniform(self, low: float, high: float) -> float:
        """Draw a number in [low, high)."""
        return low + (high - low) * self.unit()

    def bell(self, middle: float, spread: float) -> float:
        """Draw a sum of three uniforms: mean `middle`, at most `1.5 * spread` away from it."""
        return middle + spread * (self.unit() + self.unit() + self.unit() - 1.5)

    def chance(self, probability: float) -> bool:
        """Return whether an event of this probability happens."""
        return self.unit() < probability

    def whole(self, count: int) -> int:
        """Draw an integer in [0, count)."""
        return int(self.unit() * count)

    def pick(self, kinds: Sequence[_Kind]) -> _Kind:
        """Draw one of several things; what stands there twice is twice as likely."""
        return kinds[self.whole(len(kinds))]

    def jitter(self, color: Color, spread: float) -> Color:
        """Change a color's brightness and, by `spread` gray levels, its channels."""
        gain = self.bell(1, 0.2)
        return cast(Color, tuple(min(max(c * gain + self.bell(0, spread), 4), 252) for c in color))

    def field(self, *shape: int) -> Field:
        """Draw an array of numbers in [0, 1), 8 bits each."""
        count = math.prod(shape)
        # The byte order is spelled out, so that a big-endian machine takes the same bytes.
        octets = self._bits.random_raw((count + 7) // 8).astype("<u8").view(np.uint8)[:count]
        return (octets.astype(np.float32) / np.float32(256)).reshape(shape)

    def clouds(self, size: int, cells: int) -> Field:
        """Draw value noise in [0, 1), (size, size): a random grid of `cells`, blended smoothly."""
        grid = self.field(cells + 1, cells + 1)
        place = (np.arange(size, dtype=np.float32) + np.float32(0.5)) * np.float32(cells / size)
        cell = np.minimum(place.astype(np.intp), cells - 1)
        part = place - cell.astype(np.float32)
        part = part * part * (3 - 2 * part)
        rows = grid[cell] + (grid[cell + 1] - grid[cell]) * part[:, None]
        left, right = rows[:, cell], rows[:, cell + 1]
        return cast(Field, left + (right - left) * part[None, :])


class Frame:
    """A coordinate system laid over the image.

    Args:
        size: Width and height of the image in pixels.
        origin: Where the frame's origin lies, as shares of the image's width and height.
        unit: Length of the frame's unit as a share of the image's width.
        degrees: Clockwise turn of the frame.

    Attributes:
        u, v: The frame's coordinates of every pixel's center, (size, size) float32.
    """

    def __init__(self, size: int, origin: Point, unit: float, degrees: float) -> None:
        self.size = size
        self.unit = unit * size
        self.origin = origin[0] * size, origin[1] * size
        self.cos, self.sin = cos_sin(degrees)
        centers = np.arange(size, dtype=np.float32) + np.float32(0.5)
        dx = (centers - np.float32(self.origin[0])) / np.float32(self.unit)
        dy = (centers - np.float32(self.origin[1])) / np.float32(self.unit)
        cos, sin = np.float32(self.cos), np.float32(self.sin)
        self.u: Field = (dx * cos)[None, :] + (dy * sin)[:, None]
        self.v: Field = (dy * cos)[:, None] - (dx * sin)[None, :]

    def window(self, center: Point, radius: float) -> Window:
        """Return the rows and columns that a disc may touch; none if it lies outside the image."""
        x = self.origin[0] + (center[0] * self.cos - center[1] * self.sin) * self.unit
        y = self.origin[1] + (center[0] * self.sin + center[1] * self.cos) * self.unit
        reach = radius * self.unit + 1.5
        rows = slice(max(int(y - reach), 0), max(int(y + reach) + 1, 0))
        return rows, slice(max(int(x - reach), 0), max(int(x + reach) + 1, 0))


class Edge(TypedDict, total=False):
    """How a shape covers the pixels at its edge, as keyword arguments of every shape.

    Attributes:
        fluff: How far the outline is frayed, in units of the frame; 0 if not given.
        soft: Width of the edge in pixels; 1 if not given.
        opacity: Share of what lies below that is covered; 1 if not given.
    """

    fluff: float
    soft: float
    opacity: float


def _rim(frame: Frame, edge: Edge) -> float:
    """How far an edge reaches beyond the outline, in units of the frame."""
    return edge.get("fluff", 0.0) + edge.get("soft", 1.0) / frame.unit


class Canvas:
    """An image being painted with shapes whose edges cover pixels in part, as a lens would.

    A shape is given by its signed distance (negative inside) in the units of a `Frame`. A paint is
    one color, or a field of colors (3, size, size) that shows where the shape is.

    Args:
        size: Width and height in pixels.
        light: Direction and strength of the light that `volume` shades shapes by.
        ragged: A field about -1..1, (size, size), that `fluff` frays outlines by.

    Attributes:
        pixels: The image, (3, size, size) float32, gray levels 0..255, black at first.
    """

    def __init__(self, size: int, light: Point, ragged: Field) -> None:
        self.size = size
        self.light = np.float32(light[0]), np.float32(light[1])
        self.ragged = ragged
        self.pixels: Field = np.zeros((3, size, size), np.float32)

    def blend(
        self,
        frame: Frame,
        window: Window,
        distance: Field,
        paint: Paint,
        dark: Field | float,
        **edge: Unpack[Edge],
    ) -> None:
        """Paint where `distance` is negative, less bright by the share `dark`."""
        if fluff := edge.get("fluff", 0.0):
            distance = distance + self.ragged[window] * np.float32(fluff)
        cover = (0.5 - distance * np.float32(frame.unit / edge.get("soft", 1.0))).clip(0, 1)
        if (opacity := edge.get("opacity", 1.0)) < 1:
            cover = cover * np.float32(opacity)
        color = np.asarray(paint, np.float32)
        color = color[:, None, None] if color.ndim == 1 else color[:, *window]
        target = self.pixels[:, *window]
        target += (color * (1 - dark) - target) * cover

    def ellipse(
        self,
        frame: Frame,
        center: Point,
        radii: Point,
        paint: Paint,
        *,
        degrees: float = 0.0,
        volume: float = 0.0,
        **edge: Unpack[Edge],
    ) -> None:
        """Paint an ellipse turned by `degrees`; `volume` rounds it under the light."""
        window = frame.window(center, max(radii) + _rim(frame, edge))
        a = frame.u[window] - np.float32(center[0])
        b = frame.v[window] - np.float32(center[1])
        if degrees:
            cos, sin = (np.float32(value) for value in cos_sin(degrees))
            a, b = a * cos + b * sin, b * cos - a * sin
        a = a * np.float32(1 / radii[0])
        b = b * np.float32(1 / radii[1])
        square = a * a + b * b
        distance = (np.sqrt(square) - 1) * np.float32(min(radii))
        rim = np.float32(0.45) * square - np.float32(0.2)  # darker where it turns away
        dark = volume and np.float32(volume) * (a * self.light[0] + b * self.light[1] + rim)
        self.blend(frame, window, distance, paint, dark, **edge)

    def stroke(
        self,
        frame: Frame,
        start: Point,
        end: Point,
        widths: Point,
        paint: Paint,
        *,
        volume: float = 0.0,
        **edge: Unpack[Edge],
    ) -> None:
        """Paint a round stroke; `widths` are its radii at the start and at the end."""
        du, dv = end[0] - start[0], end[1] - start[1]
        square = du * du + dv * dv or 1e-12
        reach = math.sqrt(square) / 2 + max(widths) + _rim(frame, edge)
        window = frame.window(mix(start, end, 0.5), reach)
        a = frame.u[window] - np.float32(start[0])
        b = frame.v[window] - np.float32(start[1])
        along = (a * np.float32(du / square) + b * np.float32(dv / square)).clip(0, 1)
        a = a - along * np.float32(du)
        b = b - along * np.float32(dv)
        radius = np.float32(widths[0]) + along * np.float32(widths[1] - widths[0])
        distance = np.sqrt(a * a + b * b) - radius
        dark = volume and np.float32(volume) * (a * self.light[0] + b * self.light[1]) / radius
        self.blend(frame, window, distance, paint, dark, **edge)

    def polygon(
        self,
        frame: Frame,
        corners: Sequence[Point],
        paint: Paint,
        *,
        bulge: float = 0.0,
        volume: float = 0.0,
        **edge: Unpack[Edge],
    ) -> None:
        """Paint a convex polygon, its sides pushed out by `bulge`."""
        # Not `sum`: from Python 3.12 on it rounds floats otherwise than before.
        u, v = corners[0]
        for corner in corners[1:]:
            u, v = u + corner[0], v + corner[1]
        middle = u / len(corners), v / len(corners)
        spokes = [(u - middle[0], v - middle[1]) for u, v in corners]
        reach = max(math.sqrt(u * u + v * v) for u, v in spokes) or 1e-6
        window = frame.window(middle, reach + bulge + _rim(frame, edge))
        a = frame.u[window] - np.float32(middle[0])
        b = frame.v[window] - np.float32(middle[1])
        distance = np.full(a.shape, -1e6, np.float32)
        for (u0, v0), (u1, v1) in zip(spokes, [*spokes[1:], spokes[0]], strict=True):
            nu, nv = v1 - v0, u0 - u1
            norm = math.sqrt(nu * nu + nv * nv) or 1e-6
            away = (nu * u0 + nv * v0) / norm
            sign = 1 if away >= 0 else -1  # outward, whichever way the corners run
            side = a * np.float32(sign * nu / norm) + b * np.float32(sign * nv / norm)
            distance = np.maximum(distance, side - np.float32(abs(away) + bulge))
        dark = volume and np.float32(volume / reach) * (a * self.light[0] + b * self.light[1])
        self.blend(frame, window, distance, paint, dark, **edge)
