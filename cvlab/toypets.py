"""Toy pets: small drawn pictures of cats, dogs and a zoo of other animals.

The pictures stand in for the lecture's photos where there is no network. They are drawn, not
photographed, but they are made to be hard in the way photos are: the animal is moved, scaled,
tilted, cropped, partly hidden, lit from anywhere, and its coat says nothing about its species.
A person tells a cat from a dog by the parts and how they fit together (ears, muzzle, pupils, nose,
mouth, whiskers, shape of the head, tail); no single one of them decides.

Every picture is a pure function of `(species, number, seed, size)`. The random numbers are the raw
64-bit output of PCG64, whose stream NumPy promises to keep; the arithmetic on pixels is elementwise
addition, multiplication, division and square root, which IEEE 754 rounds the same way everywhere;
sines come from a table of integers. So the same arguments give the same bytes on every machine.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from tqdm.auto import tqdm

CLASSES: Final = ("cat", "dog")
ZOO: Final = (
    "fox",
    "rabbit",
    "bear",
    "owl",
    "pig",
    "mouse",
    "raccoon",
    "koala",
    "sheep",
    "cow",
    "monkey",
    "squirrel",
    "seal",
    "panda",
)
VERSION: Final = 1
"""Raised whenever the same arguments give other bytes than before; part of every cache key."""

_Field = NDArray[np.float32]
_Color = tuple[float, float, float]

# Stream numbers are part of the bytes: append, never reorder.
_STREAMS: Final = {species: index for index, species in enumerate((*CLASSES, *ZOO))}


# --------------------------------------------------------------------------------------------
# Random numbers and angles that are the same everywhere
# --------------------------------------------------------------------------------------------

_TURN: Final = 4096  # angles are whole 4096ths of a turn
# Rounding to 15 bits swallows the last-digit differences between C libraries.
_SINE: Final = tuple(round(math.sin(2 * math.pi * k / _TURN) * 32768) / 32768 for k in range(_TURN))


def _cos_sin(degrees: float) -> tuple[float, float]:
    step = int(degrees * _TURN / 360 + (0.5 if degrees >= 0 else -0.5))
    return _SINE[(step + _TURN // 4) % _TURN], _SINE[step % _TURN]


class _Dice:
    """Uniform numbers from the raw PCG64 stream, in the order they are asked for."""

    def __init__(self, *key: int) -> None:
        self._bits = np.random.PCG64(np.random.SeedSequence(key))
        self._pool: list[int] = []

    def unit(self) -> float:
        """A number in [0, 1)."""
        if not self._pool:
            self._pool = (self._bits.random_raw(64) >> np.uint64(11)).tolist()[::-1]
        return self._pool.pop() * 2.0**-53

    def uniform(self, low: float, high: float) -> float:
        return low + (high - low) * self.unit()

    def bell(self, middle: float, spread: float) -> float:
        """A sum of three uniforms: mean `middle`, never further than `1.5 * spread` away."""
        return middle + spread * (self.unit() + self.unit() + self.unit() - 1.5)

    def chance(self, probability: float) -> bool:
        return self.unit() < probability

    def whole(self, count: int) -> int:
        """An integer in [0, count)."""
        return int(self.unit() * count)

    def pick(self, weights: dict[str, float]) -> str:
        mark = self.unit() * sum(weights.values())
        for name, weight in weights.items():
            mark -= weight
            if mark < 0:
                return name
        return next(reversed(weights))

    def bytes(self, count: int) -> NDArray[np.uint8]:
        words = self._bits.random_raw((count + 7) // 8).astype("<u8")
        return words.view(np.uint8)[:count]

    def fields(self, *shape: int) -> _Field:
        """An array of numbers in [0, 1) with 8 bits each."""
        count = math.prod(shape)
        return (self.bytes(count).astype(np.float32) / np.float32(256)).reshape(shape)


# --------------------------------------------------------------------------------------------
# What an animal is made of
# --------------------------------------------------------------------------------------------

# Three kinds of each telling part: one leaning to cats, one that both have, one leaning to dogs.
_CUES: Final[dict[str, tuple[str, str, str, float]]] = {
    "ears": ("pointed", "upright", "floppy", 3.0),
    "muzzle": ("short", "medium", "long", 3.0),
    "pupils": ("slit", "round", "dark", 2.0),
    "nose": ("button", "oval", "broad", 1.5),
    "mouth": ("double", "line", "tongue", 1.5),
    "whiskers": ("full", "few", "none", 1.0),
    "head": ("wide", "round", "tall", 1.0),
    "tail": ("slim", "hidden", "bushy", 1.0),
}
_EVIDENCE: Final = 5.5  # of 14: the least weight of telling parts a picture may carry
_TYPICAL: Final = 0.37  # before the pictures with too little evidence are thrown away
_ODD: Final = 0.04  # a part of the other class: a cat that shows its tongue

_ZOO_PARTS: Final[dict[str, dict[str, dict[str, float]]]] = {
    "fox": {
        "ears": {"pointed": 0.7, "upright": 0.3},
        "muzzle": {"long": 0.8, "medium": 0.2},
        "pupils": {"slit": 0.7, "round": 0.3},
        "nose": {"button": 0.5, "oval": 0.5},
        "mouth": {"line": 0.8, "tongue": 0.2},
        "whiskers": {"none": 0.5, "few": 0.5},
        "head": {"wide": 0.8, "round": 0.2},
        "tail": {"bushy": 1.0},
    },
    "rabbit": {
        "ears": {"long": 1.0},
        "muzzle": {"short": 0.6, "medium": 0.4},
        "pupils": {"round": 0.5, "dark": 0.5},
        "nose": {"button": 1.0},
        "mouth": {"double": 0.5, "line": 0.5},
        "whiskers": {"full": 0.6, "few": 0.4},
        "head": {"round": 0.6, "tall": 0.4},
        "tail": {"hidden": 1.0},
    },
    "bear": {
        "ears": {"small": 1.0},
        "muzzle": {"long": 0.6, "medium": 0.4},
        "pupils": {"dark": 0.8, "round": 0.2},
        "nose": {"broad": 0.7, "oval": 0.3},
        "mouth": {"line": 0.7, "tongue": 0.3},
        "whiskers": {"none": 1.0},
        "head": {"wide": 0.5, "round": 0.5},
        "tail": {"hidden": 1.0},
    },
    "owl": {
        "ears": {"pointed": 0.5, "absent": 0.5},
        "muzzle": {"beak": 1.0},
        "pupils": {"round": 1.0},
        "nose": {"absent": 1.0},
        "mouth": {"absent": 1.0},
        "whiskers": {"none": 1.0},
        "head": {"round": 0.5, "wide": 0.5},
        "tail": {"hidden": 1.0},
    },
    "pig": {
        "ears": {"floppy": 0.5, "upright": 0.5},
        "muzzle": {"disc": 1.0},
        "pupils": {"dark": 0.5, "round": 0.5},
        "nose": {"absent": 1.0},
        "mouth": {"line": 0.6, "tongue": 0.4},
        "whiskers": {"none": 1.0},
        "head": {"round": 0.6, "wide": 0.4},
        "tail": {"slim": 0.6, "hidden": 0.4},
    },
    "mouse": {
        "ears": {"saucer": 1.0},
        "muzzle": {"short": 0.5, "medium": 0.5},
        "pupils": {"dark": 0.7, "round": 0.3},
        "nose": {"button": 0.7, "oval": 0.3},
        "mouth": {"line": 0.5, "double": 0.5},
        "whiskers": {"full": 0.7, "few": 0.3},
        "head": {"tall": 0.6, "round": 0.4},
        "tail": {"slim": 0.8, "hidden": 0.2},
    },
    "raccoon": {
        "ears": {"small": 0.4, "upright": 0.6},
        "muzzle": {"medium": 0.6, "long": 0.4},
        "pupils": {"round": 0.5, "slit": 0.5},
        "nose": {"oval": 0.5, "broad": 0.5},
        "mouth": {"line": 0.5, "double": 0.5},
        "whiskers": {"full": 0.5, "few": 0.5},
        "head": {"wide": 0.8, "round": 0.2},
        "tail": {"bushy": 1.0},
    },
    "koala": {
        "ears": {"saucer": 1.0},
        "muzzle": {"short": 0.6, "medium": 0.4},
        "pupils": {"dark": 0.5, "slit": 0.5},
        "nose": {"broad": 1.0},
        "mouth": {"line": 1.0},
        "whiskers": {"none": 1.0},
        "head": {"wide": 0.6, "round": 0.4},
        "tail": {"hidden": 1.0},
    },
    "sheep": {
        "ears": {"side": 0.6, "floppy": 0.4},
        "muzzle": {"long": 0.6, "medium": 0.4},
        "pupils": {"slit": 0.5, "round": 0.5},
        "nose": {"button": 0.6, "oval": 0.4},
        "mouth": {"double": 0.5, "tongue": 0.5},
        "whiskers": {"none": 1.0},
        "head": {"tall": 1.0},
        "tail": {"hidden": 1.0},
    },
    "cow": {
        "ears": {"side": 1.0},
        "muzzle": {"long": 1.0},
        "pupils": {"dark": 0.5, "round": 0.5},
        "nose": {"broad": 0.5, "absent": 0.5},
        "mouth": {"tongue": 0.5, "line": 0.5},
        "whiskers": {"none": 1.0},
        "head": {"tall": 0.8, "round": 0.2},
        "tail": {"slim": 0.5, "bushy": 0.5},
    },
    "monkey": {
        "ears": {"saucer": 0.5, "small": 0.5},
        "muzzle": {"medium": 0.5, "long": 0.5},
        "pupils": {"round": 0.6, "dark": 0.4},
        "nose": {"button": 0.5, "oval": 0.5},
        "mouth": {"line": 0.7, "tongue": 0.3},
        "whiskers": {"none": 1.0},
        "head": {"round": 1.0},
        "tail": {"slim": 1.0},
    },
    "squirrel": {
        "ears": {"pointed": 0.6, "small": 0.4},
        "muzzle": {"short": 0.6, "medium": 0.4},
        "pupils": {"dark": 1.0},
        "nose": {"button": 0.6, "oval": 0.4},
        "mouth": {"double": 0.7, "line": 0.3},
        "whiskers": {"few": 0.6, "full": 0.4},
        "head": {"tall": 0.5, "round": 0.5},
        "tail": {"bushy": 1.0},
    },
    "seal": {
        "ears": {"absent": 1.0},
        "muzzle": {"medium": 0.6, "short": 0.4},
        "pupils": {"dark": 0.8, "slit": 0.2},
        "nose": {"broad": 0.5, "oval": 0.5},
        "mouth": {"double": 0.5, "line": 0.3, "tongue": 0.2},
        "whiskers": {"full": 1.0},
        "head": {"round": 0.5, "wide": 0.5},
        "tail": {"hidden": 1.0},
    },
    "panda": {
        "ears": {"small": 1.0},
        "muzzle": {"medium": 0.5, "short": 0.5},
        "pupils": {"round": 0.5, "slit": 0.5},
        "nose": {"oval": 0.5, "button": 0.5},
        "mouth": {"double": 0.5, "line": 0.3, "tongue": 0.2},
        "whiskers": {"none": 0.6, "few": 0.4},
        "head": {"wide": 1.0},
        "tail": {"hidden": 1.0},
    },
}
# Marks in the coat that belong to a species whatever the coat's color.
_MASKS: Final = {"raccoon": "bandit", "panda": "patches", "monkey": "face", "owl": "face"}

_COATS: Final[tuple[_Color, ...]] = (
    (214, 132, 58),
    (62, 58, 60),
    (142, 140, 144),
    (236, 230, 222),
    (222, 196, 156),
    (128, 86, 56),
    (92, 62, 48),
    (112, 124, 142),
    (226, 172, 96),
    (176, 152, 128),
    (206, 160, 150),
    (166, 98, 62),
)
_COAT_PATTERNS: Final = {"plain": 0.3, "tabby": 0.25, "spotted": 0.2, "patched": 0.25}
_IRISES: Final[tuple[_Color, ...]] = (
    (196, 178, 62),
    (126, 168, 82),
    (110, 160, 190),
    (178, 118, 52),
    (128, 86, 48),
)
_POSES: Final = {"portrait": 0.4, "sitting": 0.35, "standing": 0.25}


@dataclass(frozen=True, slots=True)
class Attributes:
    """Everything that was drawn by lot for one picture, before any pixel.

    Lengths are in units of the head's radius unless said otherwise, angles in degrees.

    Attributes:
        ears, muzzle, pupils, nose, mouth, whiskers, head, tail: Kind of each telling part.
        pattern: Coat: "plain", "tabby", "spotted" or "patched".
        coat: Index of the main color of the coat in the palette; `coat2` of the marks.
        iris: Index of the color of the iris.
        pose: "portrait" (no body below the chest), "sitting" or "standing".
        head_size: Radius of the head as a share of the picture's width.
        x, y: Center of the head as a share of the picture's width.
        rotation: Of the whole animal. `tilt`: of the head on the body.
        yaw: How far the face looks to the right, -1 to 1.
        stretch: Width of the head over its height, on top of `head`.
        ear_size, ear_spread, eye_size, eye_gap, muzzle_size, nose_size: Relative sizes, about 1.
        light_angle, light_strength, brightness, contrast, warmth: The lamp and the camera.
        clutter: Number of things behind the animal. `occluders`: in front of it.
        noise: Standard deviation of the camera's noise, in gray levels of 255.
        fluff: Raggedness of the outline.
        background: Index of the main background color.
    """

    ears: str
    muzzle: str
    pupils: str
    nose: str
    mouth: str
    whiskers: str
    head: str
    tail: str
    pattern: str
    coat: int
    coat2: int
    iris: int
    pose: str
    head_size: float
    x: float
    y: float
    rotation: float
    tilt: float
    yaw: float
    stretch: float
    ear_size: float
    ear_spread: float
    eye_size: float
    eye_gap: float
    muzzle_size: float
    nose_size: float
    light_angle: float
    light_strength: float
    brightness: float
    contrast: float
    warmth: float
    clutter: int
    occluders: int
    noise: float
    fluff: float
    background: int


def _pet_parts(dice: _Dice, species: str) -> dict[str, str]:
    """Parts of a cat or a dog: telling ones by lot, until they carry enough evidence."""
    own, other = (0, 2) if species == "cat" else (2, 0)
    while True:
        parts, evidence = {}, 0.0
        for part, (*kinds, weight) in _CUES.items():
            mark = dice.unit()
            if mark < _TYPICAL:
                kind, evidence = own, evidence + weight
            elif mark < _TYPICAL + _ODD:
                kind, evidence = other, evidence - weight
            else:
                kind = 1
            parts[part] = cast(str, kinds[kind])
        if evidence >= _EVIDENCE:
            return parts


def attributes(species: str, number: int, *, seed: int = 0) -> Attributes:
    """Draw by lot what one picture shows.

    Args:
        species: One of `CLASSES` or `ZOO`.
        number: Which picture of the species, from 0.
        seed: Another seed gives another, independent series of pictures.

    Returns:
        The record from which `draw` makes the picture; the same at every size.

    Raises:
        ValueError: For an unknown species, or a negative number or seed.
    """
    _check(species, number, seed)
    dice = _Dice(seed, _STREAMS[species], number, 0)
    if species in CLASSES:
        parts = _pet_parts(dice, species)
    else:
        parts = {part: dice.pick(kinds) for part, kinds in _ZOO_PARTS[species].items()}
    coat = dice.whole(len(_COATS))
    pose = dice.pick(_POSES)
    head_size = dice.uniform(0.20, 0.34) if pose == "portrait" else dice.uniform(0.17, 0.25)
    return Attributes(
        **parts,
        pattern=dice.pick(_COAT_PATTERNS),
        coat=coat,
        coat2=(coat + 1 + dice.whole(len(_COATS) - 1)) % len(_COATS),
        iris=dice.whole(len(_IRISES)),
        pose=pose,
        head_size=head_size,
        x=dice.bell(0.5, 0.16),
        y=dice.bell(0.5, 0.14) if pose == "portrait" else dice.bell(0.38, 0.1),
        rotation=dice.bell(0, 30),
        tilt=dice.bell(0, 20),
        yaw=dice.uniform(-1, 1),
        stretch=dice.bell(1, 0.12),
        ear_size=dice.bell(1, 0.2),
        ear_spread=dice.bell(1, 0.16),
        eye_size=dice.bell(1, 0.24),
        eye_gap=dice.bell(1, 0.14),
        muzzle_size=dice.bell(1, 0.14),
        nose_size=dice.bell(1, 0.2),
        light_angle=dice.uniform(0, 360),
        light_strength=dice.uniform(0.1, 0.45),
        brightness=dice.bell(1, 0.26),
        contrast=dice.bell(1, 0.22),
        warmth=dice.bell(0, 0.12),
        clutter=2 + dice.whole(7),
        occluders=dice.whole(3),
        noise=dice.uniform(2, 9),
        fluff=dice.uniform(0, 0.06),
        background=dice.whole(len(_COATS)),
    )


# --------------------------------------------------------------------------------------------
# Drawing
# --------------------------------------------------------------------------------------------


def _smooth_field(dice: _Dice, size: int, cells: int) -> _Field:
    """Value noise in [0, 1), shape (size, size): a coarse random grid, blended linearly."""
    grid = dice.fields(cells + 1, cells + 1)
    place = (np.arange(size, dtype=np.float32) + np.float32(0.5)) * np.float32(cells / size)
    cell = np.minimum(place.astype(np.intp), cells - 1)
    part = place - cell.astype(np.float32)
    part = part * part * (3 - 2 * part)
    rows = grid[cell] + (grid[cell + 1] - grid[cell]) * part[:, None]
    left, right = rows[:, cell], rows[:, cell + 1]
    return cast(_Field, left + (right - left) * part[None, :])


class _Frame:
    """A coordinate system laid over the picture: origin, scale and rotation.

    `u` and `v` hold the frame's coordinates of every pixel's center, (size, size).
    """

    def __init__(self, size: int, x: float, y: float, unit: float, degrees: float) -> None:
        self.size, self.unit = size, unit * size
        self.ox, self.oy = x * size, y * size
        self.cos, self.sin = _cos_sin(degrees)
        centers = np.arange(size, dtype=np.float32) + np.float32(0.5)
        dx = (centers - np.float32(self.ox)) / np.float32(self.unit)
        dy = (centers - np.float32(self.oy)) / np.float32(self.unit)
        cos, sin = np.float32(self.cos), np.float32(self.sin)
        self.u: _Field = (dx * cos)[None, :] + (dy * sin)[:, None]
        self.v: _Field = (dy * cos)[:, None] - (dx * sin)[None, :]

    def to_pixels(self, u: float, v: float) -> tuple[float, float]:
        return (
            self.ox + (u * self.cos - v * self.sin) * self.unit,
            self.oy + (u * self.sin + v * self.cos) * self.unit,
        )

    def window(self, u: float, v: float, radius: float) -> tuple[slice, slice] | None:
        """Rows and columns that a disc may touch; None if it lies outside the picture."""
        px, py = self.to_pixels(u, v)
        reach = radius * self.unit + 1.5
        top, bottom = max(int(py - reach), 0), min(int(py + reach) + 1, self.size)
        left, right = max(int(px - reach), 0), min(int(px + reach) + 1, self.size)
        if top >= bottom or left >= right:
            return None
        return slice(top, bottom), slice(left, right)


class _Canvas:
    """A picture being painted, (3, size, size) float32 in 0..255, with shapes that blend in.

    A paint is one color or a whole field of colors, (3, size, size). Every shape is given by its
    signed distance, so its edge covers pixels by halves and thirds, as a lens would.
    """

    def __init__(self, size: int, light: tuple[float, float]) -> None:
        self.size = size
        self.pixels: _Field = np.zeros((3, size, size), np.float32)
        self.light = light
        self.ragged: _Field | None = None

    def blend(
        self,
        window: tuple[slice, slice],
        distance: _Field,
        scale: float,
        paint: _Color | _Field,
        *,
        shade: _Field | None = None,
        soft: float = 1.0,
        opacity: float = 1.0,
    ) -> None:
        """Cover where `distance` (frame units) is negative; `soft` is the edge in pixels."""
        cover = np.clip(0.5 - distance * np.float32(scale / soft), 0, 1)
        if opacity < 1:
            cover = cover * np.float32(opacity)
        target = self.pixels[:, window[0], window[1]]
        if isinstance(paint, tuple):
            color: _Field = np.array(paint, np.float32)[:, None, None]
        else:
            color = paint[:, window[0], window[1]]
        if shade is not None:
            color = color * shade
        target += (color - target) * cover

    def ellipse(
        self,
        frame: _Frame,
        u: float,
        v: float,
        ru: float,
        rv: float,
        paint: _Color | _Field,
        *,
        degrees: float = 0.0,
        volume: float = 0.0,
        fluff: float = 0.0,
        soft: float = 1.0,
        opacity: float = 1.0,
    ) -> None:
        """An ellipse; `volume` rounds it under the light, `fluff` frays its outline."""
        window = frame.window(u, v, max(ru, rv) + fluff + soft / frame.unit)
        if window is None:
            return
        a = frame.u[window] - np.float32(u)
        b = frame.v[window] - np.float32(v)
        if degrees:
            cos, sin = _cos_sin(degrees)
            a, b = (
                a * np.float32(cos) + b * np.float32(sin),
                b * np.float32(cos) - a * np.float32(sin),
            )
        a = a * np.float32(1 / ru)
        b = b * np.float32(1 / rv)
        square = a * a + b * b
        distance = (np.sqrt(square) - 1) * np.float32(min(ru, rv))
        if fluff and self.ragged is not None:
            distance = distance + self.ragged[window] * np.float32(fluff)
        shade = None
        if volume:
            shade = 1 - np.float32(volume) * (
                a * np.float32(self.light[0])
                + b * np.float32(self.light[1])
                + np.float32(0.45) * square
                - np.float32(0.2)
            )
        self.blend(window, distance, frame.unit, paint, shade=shade, soft=soft, opacity=opacity)

    def taper(
        self,
        frame: _Frame,
        start: tuple[float, float],
        end: tuple[float, float],
        r0: float,
        r1: float,
        paint: _Color | _Field,
        *,
        volume: float = 0.0,
        fluff: float = 0.0,
        opacity: float = 1.0,
    ) -> None:
        """A round stroke from `start` (radius `r0`) to `end` (radius `r1`)."""
        du, dv = end[0] - start[0], end[1] - start[1]
        length = math.sqrt(du * du + dv * dv) or 1e-6
        window = frame.window(
            (start[0] + end[0]) / 2, (start[1] + end[1]) / 2, length / 2 + max(r0, r1) + fluff
        )
        if window is None:
            return
        a = frame.u[window] - np.float32(start[0])
        b = frame.v[window] - np.float32(start[1])
        along = np.clip(
            (a * np.float32(du) + b * np.float32(dv)) * np.float32(1 / (length * length)), 0, 1
        )
        a = a - along * np.float32(du)
        b = b - along * np.float32(dv)
        radius = np.float32(r0) + along * np.float32(r1 - r0)
        distance = np.sqrt(a * a + b * b) - radius
        if fluff and self.ragged is not None:
            distance = distance + self.ragged[window] * np.float32(fluff)
        shade = None
        if volume:
            across = (a * np.float32(self.light[0]) + b * np.float32(self.light[1])) / radius
            shade = 1 - np.float32(volume) * across
        self.blend(window, distance, frame.unit, paint, shade=shade, opacity=opacity)

    def polygon(
        self,
        frame: _Frame,
        corners: Sequence[tuple[float, float]],
        paint: _Color | _Field,
        *,
        round_by: float = 0.0,
        volume: float = 0.0,
        fluff: float = 0.0,
        opacity: float = 1.0,
    ) -> None:
        """A convex polygon, corners in either direction, rounded by bulging its sides out."""
        mu = sum(u for u, _ in corners) / len(corners)
        mv = sum(v for _, v in corners) / len(corners)
        reach = max(math.sqrt((u - mu) ** 2 + (v - mv) ** 2) for u, v in corners)
        window = frame.window(mu, mv, reach + round_by + fluff)
        if window is None:
            return
        a = frame.u[window] - np.float32(mu)
        b = frame.v[window] - np.float32(mv)
        distance: _Field | None = None
        for k, (u0, v0) in enumerate(corners):
            u1, v1 = corners[(k + 1) % len(corners)]
            nu, nv = v1 - v0, u0 - u1
            norm = math.sqrt(nu * nu + nv * nv) or 1e-6
            offset = (nu * (u0 - mu) + nv * (v0 - mv)) / norm
            if offset < 0:
                nu, nv, offset = -nu, -nv, -offset
            side = a * np.float32(nu / norm) + b * np.float32(nv / norm) - np.float32(offset)
            distance = side if distance is None else np.maximum(distance, side)
        assert distance is not None  # a polygon has corners
        if round_by:
            distance = distance - np.float32(round_by)
        if fluff and self.ragged is not None:
            distance = distance + self.ragged[window] * np.float32(fluff)
        shade = None
        if volume:
            shade = 1 - np.float32(volume / max(reach, 1e-6)) * (
                a * np.float32(self.light[0]) + b * np.float32(self.light[1])
            )
        self.blend(window, distance, frame.unit, paint, shade=shade, opacity=opacity)


def _mix(one: _Color, two: _Color, share: float) -> _Color:
    return cast(_Color, tuple(p + (q - p) * share for p, q in zip(one, two, strict=True)))


def _jitter(dice: _Dice, color: _Color, spread: float) -> _Color:
    gain = dice.bell(1, 0.2)
    return cast(_Color, tuple(min(max(c * gain + dice.bell(0, spread), 4), 252) for c in color))


def _coat(a: Attributes, dice: _Dice, frame: _Frame, main: _Color, marks: _Color) -> _Field:
    """The coat as a field of colors fixed to the animal: base color and pattern."""
    size = frame.size
    base = np.array(main, np.float32)[:, None, None]
    mark = np.array(marks, np.float32)[:, None, None]
    wobble = _smooth_field(dice, size, 6)
    if a.pattern == "tabby":
        waves = dice.uniform(1.6, 3.0)
        phase = frame.v * np.float32(waves) + wobble * np.float32(1.1)
        phase = phase + np.abs(frame.u) * np.float32(dice.uniform(-0.9, 0.9))
        saw = np.abs(phase - np.floor(phase) - np.float32(0.5)) * 2
        strength = np.clip((saw - np.float32(0.5)) * 4, 0, 1) * np.float32(0.75)
    elif a.pattern == "spotted":
        spots = _smooth_field(dice, size, 13)
        strength = np.clip((spots - np.float32(0.62)) * 9, 0, 1) * np.float32(0.85)
    elif a.pattern == "patched":
        patches = _smooth_field(dice, size, 4)
        strength = np.clip((patches - np.float32(0.5)) * 14, 0, 1)
    else:
        strength = (wobble - np.float32(0.5)) * np.float32(0.12)
    grain = (dice.fields(size, size) - np.float32(0.5)) * np.float32(22)
    return cast(_Field, base + (mark - base) * strength + grain)


def _background(a: Attributes, dice: _Dice, canvas: _Canvas) -> None:
    size = canvas.size
    first = _jitter(dice, _COATS[a.background], 40)
    second = _jitter(dice, _COATS[dice.whole(len(_COATS))], 60)
    third = _jitter(dice, (90, 140, 80), 90)
    broad = _smooth_field(dice, size, 2 + dice.whole(3))
    fine = _smooth_field(dice, size, 8 + dice.whole(9))
    mix = np.clip(broad * np.float32(1.6) - np.float32(0.3), 0, 1)
    one, two, three = (np.array(c, np.float32)[:, None, None] for c in (first, second, third))
    canvas.pixels[:] = one + (two - one) * mix
    canvas.pixels += (three - canvas.pixels) * (fine * np.float32(dice.uniform(0, 0.6)))
    page = _Frame(size, 0.5, 0.5, 1.0, dice.uniform(0, 360))
    for _ in range(a.clutter):
        _thing(dice, canvas, page, dice.uniform(-0.7, 0.7), dice.uniform(-0.7, 0.7), 1.0)


def _thing(dice: _Dice, canvas: _Canvas, page: _Frame, u: float, v: float, big: float) -> None:
    """One object that is no animal: ball, box, stick, ring, leaf."""
    color = _jitter(dice, _COATS[dice.whole(len(_COATS))], 60)
    if dice.chance(0.35):
        color = _jitter(dice, (dice.uniform(0, 255), dice.uniform(0, 255), dice.uniform(0, 255)), 9)
    kind = dice.whole(5)
    r = dice.uniform(0.05, 0.17) * big
    turn = dice.uniform(0, 180)
    cos, sin = _cos_sin(turn)
    if kind == 0:
        canvas.ellipse(page, u, v, r, r, color, volume=0.35)
    elif kind == 1:
        w, h = r, r * dice.uniform(0.5, 1.2)
        corners = [
            (u + p * w * cos - q * h * sin, v + p * w * sin + q * h * cos)
            for p, q in ((-1, -1), (1, -1), (1, 1), (-1, 1))
        ]
        canvas.polygon(page, corners, color, volume=0.2)
    elif kind == 2:
        reach = r * 3
        ends = (u - cos * reach, v - sin * reach), (u + cos * reach, v + sin * reach)
        canvas.taper(page, *ends, r * 0.2, r * 0.14, color, volume=0.2)
    elif kind == 3:
        canvas.ellipse(page, u, v, r, r, color, volume=0.2)
        canvas.ellipse(page, u, v, r * 0.55, r * 0.55, _jitter(dice, color, 90))
    else:
        tip = (u + cos * r * 1.6, v + sin * r * 1.6)
        canvas.polygon(page, [(u - sin * r, v + cos * r), tip, (u + sin * r, v - cos * r)], color)


def _body(a: Attributes, dice: _Dice, canvas: _Canvas, frame: _Frame, coat: _Field) -> None:
    """Tail, trunk and legs, in the animal's frame (origin: the head, unit: its radius)."""
    side = 1.0 if dice.chance(0.5) else -1.0
    fluff = a.fluff
    if a.pose == "portrait":
        canvas.ellipse(frame, 0, 1.9, dice.uniform(0.95, 1.3), 1.3, coat, volume=0.35, fluff=fluff)
        return
    wide = dice.uniform(0.75, 0.95)
    if a.pose == "sitting":
        root = (side * wide * 0.8, 2.5)
        _tail(a, dice, canvas, frame, coat, root, side)
        canvas.ellipse(frame, 0, 2.1, wide * 1.15, 1.1, coat, volume=0.4, fluff=fluff)
        canvas.ellipse(frame, 0, 1.4, wide * 0.85, 1.0, coat, volume=0.35, fluff=fluff)
        for leg in (-1, 1):
            canvas.taper(frame, (leg * 0.34, 1.8), (leg * 0.36, 2.9), 0.24, 0.2, coat, volume=0.3)
            canvas.ellipse(frame, leg * 0.4, 3.0, 0.28, 0.17, coat, volume=0.3)
        return
    back = side * dice.uniform(1.5, 2.0)
    _tail(a, dice, canvas, frame, coat, (back * 1.35, 1.0), side)
    for leg in (0.05, 0.35, 0.8, 1.1):
        foot = (back * leg + dice.bell(0, 0.3), 2.9)
        canvas.taper(frame, (back * leg, 1.5), foot, 0.25, 0.17, coat, volume=0.3)
    canvas.ellipse(frame, back * 0.6, 1.25, abs(back) * 0.8, 0.68, coat, volume=0.4, fluff=fluff)
    canvas.ellipse(frame, back * 0.1, 0.9, 0.62, 0.8, coat, volume=0.3, fluff=fluff)


def _tail(
    a: Attributes,
    dice: _Dice,
    canvas: _Canvas,
    frame: _Frame,
    coat: _Field,
    root: tuple[float, float],
    side: float,
) -> None:
    if a.tail == "hidden":
        return
    u, v = root
    curl = dice.uniform(0.6, 1.0)
    if a.tail == "slim":
        path = [(u, v), (u + side * 0.7, v - 0.2), (u + side * 0.95, v - 0.9 * curl)]
        path.append((u + side * (1.25 - curl), v - 1.6 * curl))
        radii = [0.15, 0.14, 0.13, 0.12]
    else:
        path = [(u, v), (u + side * 0.5, v - 0.35), (u + side * 0.6, v - 0.95 * curl)]
        radii = [0.22, 0.4, 0.26]
    for k in range(len(path) - 1):
        canvas.taper(
            frame, path[k], path[k + 1], radii[k], radii[k + 1], coat, volume=0.3, fluff=a.fluff
        )


def _ears(
    a: Attributes, canvas: _Canvas, frame: _Frame, coat: _Field, inner: _Color, wide: float
) -> None:
    """Ears behind the head; the floppy ones hang in front of it and are drawn by `_drop_ears`."""
    k, spread = a.ear_size, a.ear_spread
    for side in (-1.0, 1.0):
        near = 1 + 0.12 * side * a.yaw
        if a.ears in ("pointed", "upright"):
            tall = (1.5 if a.ears == "pointed" else 1.32) * (0.75 + 0.25 * k)
            lean = 0.78 * spread if a.ears == "pointed" else 0.72 * spread
            base0, base1 = (side * 0.12 * wide, -0.72), (side * 0.96 * wide * near, -0.3)
            tip = (side * lean * near, -tall)
            bulge = 0.0 if a.ears == "pointed" else 0.07
            canvas.polygon(
                frame, [base0, tip, base1], coat, volume=0.25, round_by=bulge, fluff=a.fluff
            )
            mid = (side * 0.58 * wide * near, -0.6)
            pink = [_toward(p, mid, 0.4) for p in (base0, tip, base1)]
            canvas.polygon(frame, pink, inner, volume=0.3)
        elif a.ears == "long":
            lean = 14 * spread * side
            cos, sin = _cos_sin(lean)
            u, v = side * 0.42 + sin * 0.9 * k, -0.6 - cos * 0.9 * k
            canvas.ellipse(
                frame, u, v, 0.27, 0.95 * k, coat, degrees=lean, volume=0.3, fluff=a.fluff
            )
            canvas.ellipse(frame, u, v, 0.14, 0.7 * k, inner, degrees=lean, volume=0.2)
        elif a.ears in ("small", "saucer"):
            r = (0.36 if a.ears == "small" else 0.66) * k
            u, v = side * 0.74 * wide * spread, -0.72 if a.ears == "small" else -0.62
            canvas.ellipse(frame, u, v, r, r, coat, volume=0.3, fluff=a.fluff)
            canvas.ellipse(frame, u, v, r * 0.6, r * 0.6, inner, volume=0.2)
        elif a.ears == "side":
            u = side * 1.2 * wide
            canvas.ellipse(
                frame, u, -0.28, 0.46 * k, 0.2, coat, degrees=14 * side, volume=0.3, fluff=a.fluff
            )
            canvas.ellipse(frame, u, -0.28, 0.28 * k, 0.1, inner, degrees=14 * side)


def _drop_ears(a: Attributes, canvas: _Canvas, frame: _Frame, coat: _Field, wide: float) -> None:
    k = a.ear_size
    for side in (-1.0, 1.0):
        near = 1 + 0.1 * side * a.yaw
        u = side * (0.98 * wide * near)
        degrees = -16 * side * a.ear_spread
        canvas.ellipse(
            frame, u, 0.12 * k, 0.34, 0.8 * k, (20, 14, 12), degrees=degrees, opacity=0.35, soft=4
        )
        canvas.ellipse(
            frame, u, 0.05 * k, 0.3, 0.74 * k, coat, degrees=degrees, volume=0.5, fluff=a.fluff
        )


def _toward(
    point: tuple[float, float], goal: tuple[float, float], share: float
) -> tuple[float, float]:
    return point[0] + (goal[0] - point[0]) * share, point[1] + (goal[1] - point[1]) * share


def _head(
    a: Attributes,
    species: str,
    dice: _Dice,
    canvas: _Canvas,
    frame: _Frame,
    coat: _Field,
    tones: tuple[_Color, _Color],
) -> None:
    """Ears, skull, mask, eyes, muzzle, nose, mouth and whiskers in the head's frame."""
    main, marks = tones
    dark = _mix(main, (20, 14, 16), 0.82)
    inner = _mix(main, (216, 140, 136), 0.6)
    wide, tall = {"wide": (1.12, 0.9), "round": (1.0, 0.97), "tall": (0.86, 1.06)}[a.head]
    wide *= a.stretch
    canvas.ellipse(frame, 0.06, 0.14, wide * 1.08, tall * 1.06, (16, 12, 12), soft=5, opacity=0.3)
    _ears(a, canvas, frame, coat, inner, wide)
    if a.head == "wide":
        for side in (-1, 1):
            canvas.ellipse(
                frame, side * 0.6 * wide, 0.34, 0.5, 0.42, coat, volume=0.3, fluff=a.fluff * 1.6
            )
    canvas.ellipse(frame, 0, 0, wide, tall, coat, volume=0.42, fluff=a.fluff)
    if a.head == "tall":
        canvas.ellipse(frame, 0, 0.45, wide * 0.82, tall * 0.62, coat, volume=0.25)
    shift = a.yaw * 0.22
    eye_u, eye_v = 0.42 * a.eye_gap * wide, -0.12
    mask = _MASKS.get(species)
    if mask == "bandit":
        for side in (-1, 1):
            canvas.ellipse(
                frame, shift + side * eye_u, eye_v + 0.05, 0.42, 0.26, dark, degrees=18 * side
            )
    elif mask == "patches":
        for side in (-1, 1):
            canvas.ellipse(
                frame, shift + side * eye_u, eye_v + 0.04, 0.3, 0.38, dark, degrees=24 * side
            )
    elif mask == "face":
        pale = _mix(main, (246, 228, 200), 0.65)
        for side in (-1, 1):
            canvas.ellipse(frame, shift + side * eye_u * 0.9, eye_v, 0.46, 0.46, pale, volume=0.2)
    if a.ears == "floppy":
        _drop_ears(a, canvas, frame, coat, wide)
    _eyes(a, canvas, frame, shift, eye_u, eye_v, main)
    _muzzle(a, dice, canvas, frame, main, marks)


def _eyes(
    a: Attributes,
    canvas: _Canvas,
    frame: _Frame,
    shift: float,
    eye_u: float,
    eye_v: float,
    main: _Color,
) -> None:
    iris = _IRISES[a.iris]
    for side in (-1.0, 1.0):
        u = shift + side * eye_u
        k = a.eye_size * (1 - 0.12 * side * a.yaw)
        if a.pupils == "dark":
            canvas.ellipse(frame, u, eye_v, 0.16 * k, 0.17 * k, (26, 18, 16))
            canvas.ellipse(frame, u - 0.05, eye_v - 0.06, 0.05, 0.05, (250, 250, 250))
            brow = _mix(main, (236, 206, 160), 0.6)
            canvas.ellipse(frame, u + side * 0.03, eye_v - 0.32, 0.13, 0.08, brow)
            continue
        canvas.ellipse(frame, u, eye_v, 0.25 * k, 0.21 * k, (28, 20, 20), degrees=10 * side)
        canvas.ellipse(frame, u, eye_v, 0.21 * k, 0.175 * k, iris, degrees=10 * side, volume=0.2)
        if a.pupils == "slit":
            canvas.ellipse(frame, u, eye_v, 0.06 * k, 0.17 * k, (12, 10, 10))
        else:
            canvas.ellipse(frame, u, eye_v, 0.115 * k, 0.115 * k, (12, 10, 10))
        canvas.ellipse(frame, u - 0.06, eye_v - 0.07, 0.04, 0.04, (250, 250, 250))


def _muzzle(
    a: Attributes,
    dice: _Dice,
    canvas: _Canvas,
    frame: _Frame,
    main: _Color,
    marks: _Color,
) -> None:
    k = a.muzzle_size
    pale = _mix(main, (248, 238, 224), dice.uniform(0.1, 0.75))
    if dice.chance(0.2):
        pale = _mix(main, (30, 22, 20), 0.6)
    pink, black = (214, 128, 124), (34, 26, 28)
    if a.muzzle == "beak":
        u = a.yaw * 0.3
        canvas.polygon(
            frame, [(u - 0.17, 0.08), (u + 0.17, 0.08), (u, 0.55 * k)], (226, 168, 62), volume=0.3
        )
        return
    if a.muzzle == "disc":
        u, v = a.yaw * 0.34, 0.4
        canvas.ellipse(frame, u, v, 0.42 * k, 0.33 * k, _mix(main, pink, 0.55), volume=0.35)
        for side in (-1, 1):
            canvas.ellipse(frame, u + side * 0.14, v, 0.06, 0.1, black)
        _mouth(a, canvas, frame, u, v + 0.34 * k, 0.3)
        return
    ru, rv, v, reach = {
        "short": (0.34, 0.22, 0.4, 0.2),
        "medium": (0.4, 0.32, 0.44, 0.3),
        "long": (0.47, 0.5, 0.56, 0.46),
    }[a.muzzle]
    ru, rv, u = ru * k, rv * k, a.yaw * reach
    canvas.ellipse(frame, u * 0.9, v + 0.05, ru * 1.12, rv * 1.1, (20, 14, 14), soft=3, opacity=0.3)
    if a.muzzle == "short":
        for side in (-1, 1):
            canvas.ellipse(frame, u + side * 0.19, v, 0.24 * k, rv, pale, volume=0.25)
    else:
        if a.muzzle == "long":  # the bridge from the brow down to the nose
            canvas.taper(frame, (u * 0.4, -0.15), (u, v), 0.2, ru * 0.9, pale, volume=0.12)
        canvas.ellipse(frame, u, v, ru, rv, pale, volume=0.35)
    top = v - rv * (0.75 if a.muzzle == "short" else 0.5)
    n = a.nose_size
    if a.nose == "button":
        canvas.polygon(
            frame,
            [(u - 0.13 * n, top - 0.06), (u + 0.13 * n, top - 0.06), (u, top + 0.1 * n)],
            pink,
            round_by=0.02,
        )
    elif a.nose == "oval":
        color = _mix(pink, black, 0.55)
        canvas.ellipse(frame, u, top, 0.16 * n, 0.115 * n, color, volume=0.2)
    elif a.nose == "broad":
        canvas.ellipse(frame, u, top, 0.25 * n, 0.18 * n, black, volume=0.2)
        canvas.ellipse(frame, u - 0.07, top - 0.06, 0.07, 0.035, (150, 146, 150))
    _mouth(a, canvas, frame, u, v + rv * 0.2, ru)
    _whiskers(a, dice, canvas, frame, u, v, ru)


def _mouth(a: Attributes, canvas: _Canvas, frame: _Frame, u: float, v: float, wide: float) -> None:
    ink = (44, 26, 26)
    if a.mouth == "tongue":
        canvas.ellipse(frame, u, v + 0.16, wide * 0.55, 0.2, (70, 22, 28))
        canvas.ellipse(frame, u, v + 0.34, wide * 0.4, 0.28, (232, 104, 122), volume=0.25)
        canvas.taper(frame, (u, v + 0.2), (u, v + 0.45), 0.018, 0.012, (170, 60, 80))
    elif a.mouth == "double":
        canvas.taper(frame, (u, v - 0.15), (u, v), 0.022, 0.022, ink)
        for side in (-1, 1):
            canvas.taper(frame, (u, v), (u + side * wide * 0.35, v + 0.1), 0.028, 0.026, ink)
            canvas.taper(
                frame,
                (u + side * wide * 0.35, v + 0.1),
                (u + side * wide * 0.75, v),
                0.026,
                0.02,
                ink,
            )
    elif a.mouth == "line":
        canvas.taper(frame, (u, v - 0.12), (u, v + 0.06), 0.02, 0.02, ink)
        canvas.taper(
            frame, (u - wide * 0.5, v + 0.08), (u + wide * 0.5, v + 0.08), 0.024, 0.024, ink
        )


def _whiskers(
    a: Attributes, dice: _Dice, canvas: _Canvas, frame: _Frame, u: float, v: float, wide: float
) -> None:
    if a.whiskers == "none":
        return
    count, length = (3, 1.0) if a.whiskers == "full" else (2, 0.45)
    pale = dice.chance(0.6)
    color: _Color = (244, 242, 238) if pale else (40, 34, 34)
    for side in (-1.0, 1.0):
        for k in range(count):
            start = (u + side * wide * 0.6, v - 0.08 + 0.08 * k)
            rise = -0.22 + 0.2 * k + dice.bell(0, 0.08)
            end = (start[0] + side * length, start[1] + rise * length)
            canvas.taper(frame, start, end, 0.024, 0.014, color, opacity=0.9)


def _occlude(a: Attributes, dice: _Dice, canvas: _Canvas) -> None:
    """Things in front: at the rim of the head more often than on the face."""
    page = _Frame(canvas.size, a.x, a.y, 1.0, dice.uniform(0, 360))
    for _ in range(a.occluders):
        away = a.head_size * dice.uniform(0.9, 1.7)
        cos, sin = _cos_sin(dice.uniform(0, 360))
        _thing(dice, canvas, page, cos * away, sin * away, 0.75)


def _camera(a: Attributes, dice: _Dice, canvas: _Canvas) -> NDArray[np.uint8]:
    """Light across the scene, shadows, white balance, contrast, noise, rounding to bytes."""
    size = canvas.size
    page = _Frame(size, 0.5, 0.5, 0.5, a.light_angle)
    gain = np.float32(a.brightness) * (1 - page.u * np.float32(a.light_strength))
    if dice.chance(0.35):  # the shadow of something outside the picture
        edge = dice.uniform(-0.6, 0.6)
        band = np.clip((page.v - np.float32(edge)) * np.float32(dice.uniform(2, 9)), 0, 1)
        gain = gain * (1 - band * np.float32(dice.uniform(0.15, 0.45)))
    pixels = canvas.pixels * gain
    pixels *= np.array([1 + a.warmth, 1.0, 1 - a.warmth], np.float32)[:, None, None]
    pixels = (pixels - 122) * np.float32(a.contrast) + 122
    # The sum of three uniforms is near enough to a Gaussian; one uniform has variance 1/12.
    speckle = dice.fields(3, 3, size, size)
    pixels += (speckle[0] + speckle[1] + speckle[2] - np.float32(1.5)) * np.float32(2 * a.noise)
    return np.ascontiguousarray(
        np.clip(pixels + np.float32(0.5), 0, 255).astype(np.uint8).transpose(1, 2, 0)
    )


def draw(species: str, number: int, *, size: int = 64, seed: int = 0) -> NDArray[np.uint8]:
    """Draw one picture.

    Args:
        species: One of `CLASSES` or `ZOO`.
        number: Which picture of the species, from 0.
        size: Width and height in pixels, at least 16.
        seed: Another seed gives another, independent series of pictures.

    Returns:
        The picture, (size, size, 3) uint8 RGB; the same bytes on every machine.

    Raises:
        ValueError: For an unknown species, a negative number or seed, or a size below 16.
    """
    if size < 16:
        raise ValueError(f"size is {size}; a picture needs at least 16 pixels a side")
    a = attributes(species, number, seed=seed)
    dice = _Dice(seed, _STREAMS[species], number, 1)
    cos, sin = _cos_sin(a.light_angle)
    canvas = _Canvas(size, (cos * a.light_strength * 2, sin * a.light_strength * 2))
    canvas.ragged = _smooth_field(dice, size, min(size // 2, 32)) * 2 - 1
    _background(a, dice, canvas)
    main = _jitter(dice, _COATS[a.coat], 16)
    marks = _jitter(dice, _COATS[a.coat2], 16)
    whole = _Frame(size, a.x, a.y, a.head_size, a.rotation)
    face = _Frame(size, a.x, a.y, a.head_size, a.rotation + a.tilt)
    coat = _coat(a, dice, whole, main, marks)
    _body(a, dice, canvas, whole, coat)
    _head(a, species, dice, canvas, face, coat, (main, marks))
    _occlude(a, dice, canvas)
    return _camera(a, dice, canvas)


# --------------------------------------------------------------------------------------------
# Many pictures
# --------------------------------------------------------------------------------------------

_CHUNK: Final = 64  # pictures between two steps of the progress bar
_WORTH_A_PROCESS: Final = 256  # below this, starting Python costs more than it saves
_WORTH_A_BAR: Final = 2000


def draw_many(
    species: str,
    numbers: Sequence[int],
    *,
    size: int = 64,
    seed: int = 0,
    workers: int | None = None,
    progress: bool = True,
) -> NDArray[np.uint8]:
    """Draw many pictures of one species, on several cores.

    The workers are fresh Python processes that import nothing but this module, so this is safe
    after TensorFlow has started its threads, in notebooks and in scripts without a main guard.

    Args:
        species: One of `CLASSES` or `ZOO`.
        numbers: Which pictures, in the order wanted.
        size: Width and height in pixels.
        seed: As in `draw`.
        workers: Number of processes; None takes 2 for more than a few hundred pictures, else 1.
        progress: Show a bar above 2,000 pictures.

    Returns:
        The pictures, (len(numbers), size, size, 3) uint8.

    Raises:
        ValueError: As `draw`, or for `workers` below 1.
        RuntimeError: When a worker dies; the message holds what it said.
    """
    if workers is not None and workers < 1:
        raise ValueError(f"workers is {workers}; give at least 1, or None")
    _check(species, min(numbers, default=0), seed)
    count = len(numbers)
    pictures = np.empty((count, size, size, 3), np.uint8)
    if workers is None:
        workers = 2 if count >= _WORTH_A_PROCESS and (os.cpu_count() or 1) > 1 else 1
    with tqdm(
        total=count,
        desc=f"drawing {species}",
        unit="pic",
        disable=not progress or count <= _WORTH_A_BAR,
    ) as bar:
        if workers == 1 or count == 0:
            for row, number in enumerate(numbers):
                pictures[row] = draw(species, number, size=size, seed=seed)
                bar.update()
            return pictures
        edges = [count * k // workers for k in range(workers + 1)]
        with ThreadPoolExecutor(workers) as pool:
            jobs = [
                pool.submit(
                    _draw_elsewhere, pictures[lo:hi], species, list(numbers[lo:hi]), size, seed, bar
                )
                for lo, hi in zip(edges, edges[1:], strict=False)
            ]
            for job in jobs:
                job.result()
    return pictures


def _draw_elsewhere(
    out: NDArray[np.uint8], species: str, numbers: list[int], size: int, seed: int, bar: tqdm[None]
) -> None:
    """Fill `out` with pictures that a fresh Python process draws and sends through a pipe."""
    job = json.dumps([species, [int(n) for n in numbers], size, seed]).encode()
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with (
        tempfile.TemporaryFile() as said,
        tempfile.TemporaryFile() as order,
    ):
        order.write(job)
        order.seek(0)
        with subprocess.Popen(
            [sys.executable, "-c", "from cvlab.toypets import _serve; _serve()"],
            stdin=order,
            stdout=subprocess.PIPE,
            stderr=said,
            env=env,
        ) as child:
            pipe = cast(IO[bytes], child.stdout)
            for start in range(0, len(out), _CHUNK):
                part = out[start : start + _CHUNK]
                data = pipe.read(part.nbytes)
                if len(data) != part.nbytes:
                    child.wait()
                    said.seek(0)
                    raise RuntimeError(
                        f"a worker drawing {species} stopped after {start} of {len(out)} pictures"
                        f" (exit status {child.returncode}); it said:\n"
                        f"{said.read().decode(errors='replace')}"
                        "Try workers=1 to draw in this process."
                    )
                part[:] = np.frombuffer(data, np.uint8).reshape(part.shape)
                bar.update(len(part))


def _serve() -> None:
    """The other end of `_draw_elsewhere`: a job as JSON on stdin, raw pictures on stdout."""
    species, numbers, size, seed = json.load(sys.stdin)
    for number in numbers:
        sys.stdout.buffer.write(draw(species, number, size=size, seed=seed).tobytes())
    sys.stdout.buffer.flush()


def write_pictures(
    folder: Path,
    per_class: int,
    *,
    size: int = 64,
    seed: int = 0,
    species: Sequence[str] = CLASSES,
    quality: int = 90,
    workers: int | None = None,
    progress: bool = True,
) -> Path:
    """Write pictures as JPEG files `<species>/<species>.<number>.jpg`, numbers from 1.

    All or nothing: the files are written beside `folder` and moved there at the end. Where
    `folder` already holds the same pictures nothing is done.

    Args:
        folder: Where the class folders go; its parent is made if missing.
        per_class: Pictures of each species.
        size: Width and height in pixels.
        seed: As in `draw`.
        species: Which ones, each a subfolder.
        quality: JPEG quality, 1 to 95.
        workers: As in `draw_many`.
        progress: As in `draw_many`.

    Returns:
        `folder`.

    Raises:
        ValueError: As `draw`.
        FileExistsError: When `folder` exists and holds something else.
    """
    folder = Path(folder)
    order = {
        "version": VERSION,
        "per_class": per_class,
        "size": size,
        "seed": seed,
        "species": list(species),
        "quality": quality,
    }
    record = folder / "toypets.json"
    if folder.exists() and any(folder.iterdir()):
        if record.is_file() and json.loads(record.read_text("utf-8")) == order:
            return folder
        raise FileExistsError(
            f"{folder} already holds other files; choose another folder or remove it first"
        )
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as scratch:
        draft = Path(scratch) / folder.name
        for name in species:
            (draft / name).mkdir(parents=True)
            numbers = range(1, per_class + 1)
            pictures = draw_many(
                name, numbers, size=size, seed=seed, workers=workers, progress=progress
            )
            for number, picture in zip(numbers, pictures, strict=True):
                Image.fromarray(picture).save(
                    draft / name / f"{name}.{number}.jpg", quality=quality, subsampling=0
                )
        (draft / record.name).write_text(json.dumps(order, indent=1) + "\n", "utf-8")
        if folder.exists():
            folder.rmdir()
        os.replace(draft, folder)
    return folder


def _check(species: str, number: int, seed: int) -> None:
    if species not in _STREAMS:
        raise ValueError(f"unknown species {species!r}; choose one of {', '.join(_STREAMS)}")
    if number < 0 or seed < 0:
        raise ValueError(f"number ({number}) and seed ({seed}) must not be negative")
