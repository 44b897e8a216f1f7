"""Toy pets: small drawn pictures of cats, dogs and a zoo of other animals.

The pictures stand in for the lecture's photos where there is no network. They are drawn, not
photographed, but they are made to be hard in the way photos are: the animal is moved, scaled,
tilted, cropped, partly hidden, lit from anywhere, and its coat says nothing about its species.
A person tells a cat from a dog by the parts and how they fit together (ears, muzzle, pupils, nose,
mouth, whiskers, shape of the head, tail); no single one of them decides, and the things lying about
in the picture have the colors and the outlines of parts.

Every picture is a pure function of `(species, number, seed, size)`, the same bytes on every machine
(see `cvlab.drawing.canvas`).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import IO, Final, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from tqdm import tqdm

from cvlab.drawing.canvas import (
    Canvas,
    Color,
    Dice,
    Field,
    Frame,
    Point,
    around,
    cos_sin,
    mix,
    toward,
)

CLASSES: Final = ("cat", "dog")
VERSION: Final = 4
"""Raised whenever the same arguments give other bytes than before; the base's record names it."""
SMALLEST: Final = 16
"""Height and width in pixels below which nothing can be drawn."""

# --------------------------------------------------------------------------------------------
# What an animal is made of
# --------------------------------------------------------------------------------------------

# Three kinds of each telling part: one leaning to cats, one that both have, one leaning to dogs;
# how much a person makes of it; and how often the leaning kind is tried before pictures with too
# little evidence are thrown away. The shares are set so that no part alone tells the class in more
# than three of four pictures.
_CUES: Final[dict[str, tuple[tuple[str, str, str], float, float]]] = {
    "ears": (("pointed", "folded", "floppy"), 3.0, 0.33),
    "muzzle": (("short", "medium", "long"), 3.0, 0.33),
    "pupils": (("slit", "round", "dark"), 2.0, 0.41),
    "nose": (("button", "oval", "broad"), 1.5, 0.39),
    "mouth": (("double", "line", "tongue"), 1.5, 0.39),
    "whiskers": (("full", "few", "none"), 1.5, 0.39),
    "head": (("wide", "round", "tall"), 1.0, 0.34),
    "tail": (("slim", "hidden", "bushy"), 0.5, 0.42),
}
# Of 14, the least and the greatest weight of telling parts that a picture carries: enough for a
# person, and none so rich that the others would have to be poor.
_EVIDENCE: Final = (6.0, 7.5)

# The zoo: kinds of the same parts in the order of `_CUES`, any of the words with equal chance, and
# a mark of the species' own. The rows differ in what the cues differ in, so that a network that
# tells the zoo apart has learned to see the cues.
_ZOO_TABLE: Final = """
fox      | pointed         | long          | slit round | oval button  | line tongue | none few  | wide       | bushy        | mask
rabbit   | long            | short medium  | round dark | button       | double line | full few  | round tall | hidden       |
bear     | small           | long          | dark round | broad        | line tongue | none      | round wide | hidden       |
owl      | pointed absent  | beak          | round      | absent       | absent      | none      | round wide | hidden       | disks
pig      | floppy folded   | disc          | dark round | absent       | line tongue | none      | round wide | slim hidden  |
mouse    | saucer          | short medium  | dark round | button oval  | line double | full      | tall round | slim         |
raccoon  | small           | medium long   | round slit | oval broad   | line double | few full  | wide       | bushy        | bandit
koala    | saucer          | short         | dark slit  | broad        | line        | none      | wide round | hidden       |
sheep    | side floppy     | medium long   | slit round | button oval  | double line | none      | tall       | hidden       | wool
cow      | side            | long          | dark round | broad absent | tongue line | none      | tall       | slim bushy   | horns
monkey   | saucer small    | medium        | round dark | button       | line tongue | none      | round      | slim         | disks
squirrel | small           | medium short  | dark       | button       | double      | few       | tall round | plume        |
seal     | absent          | short medium  | dark slit  | broad oval   | double line | full      | round wide | hidden       |
panda    | small           | short medium  | round slit | oval         | double line | none few  | wide       | hidden       | patches
otter    | small           | short         | round slit | broad        | double line | full      | round tall | slim         |
hamster  | small saucer    | short         | dark round | button oval  | double line | few none  | wide       | hidden       | cheeks
goat     | floppy folded   | long          | slit round | oval button  | line tongue | none      | tall       | bushy hidden | horns
weasel   | small           | long          | slit round | button       | line double | full few  | tall       | slim bushy   |
"""  # noqa: E501


def _read_zoo(table: str) -> dict[str, tuple[dict[str, list[str]], str]]:
    zoo = {}
    for row in table.strip().splitlines():
        name, *kinds, mark = (cell.strip() for cell in row.split("|"))
        words = {part: kind.split() for part, kind in zip(_CUES, kinds, strict=True)}
        zoo[name] = (words, mark)
    return zoo


_ZOO_PARTS: Final = _read_zoo(_ZOO_TABLE)
ZOO: Final[tuple[str, ...]] = tuple(_ZOO_PARTS)
# The number of a species is part of what its pictures are drawn from: append, never reorder.
_SERIES: Final = {species: index for index, species in enumerate((*CLASSES, *ZOO))}

_COATS: Final[tuple[Color, ...]] = (
    (214, 132, 58),
    (84, 80, 84),
    (142, 140, 144),
    (236, 230, 222),
    (222, 196, 156),
    (128, 86, 56),
    (112, 78, 60),
    (112, 124, 142),
    (226, 172, 96),
    (176, 152, 128),
    (206, 160, 150),
    (166, 98, 62),
)
_IRISES: Final[tuple[Color, ...]] = (
    (196, 178, 62),
    (126, 168, 82),
    (110, 160, 190),
    (178, 118, 52),
    (110, 74, 44),
    (84, 56, 36),
)
_BLACK: Final = (30, 24, 26)
_PINK: Final = (214, 128, 124)
_RED: Final = (232, 104, 122)
_WHITE: Final = (248, 246, 242)


@dataclass(frozen=True, slots=True)
class Attributes:
    """Everything that was drawn by lot for one picture, before any pixel.

    Lengths are shares of what is usual (about 1) unless said otherwise, angles in degrees.

    Attributes:
        ears: Kind of the ears; for a pet "pointed", "folded" or "floppy".
        muzzle: "short", "medium" or "long".
        pupils: "slit", "round" or "dark" (no iris to be seen).
        nose: "button", "oval" or "broad".
        mouth: "double" (a w), "line" or "tongue".
        whiskers: "full", "few" or "none".
        head: "wide", "round" or "tall".
        tail: "slim", "hidden" or "bushy".
        pattern: Coat: "plain", "tabby", "spotted" or "patched".
        coat: Index of the coat's main color in the palette.
        marks: Index of the color of its marks.
        iris: Index of the color of the iris.
        nose_shade: 0 for a pink nose, 1 for a black one.
        tongue_shade: 0 for a red tongue, 1 for a dark one.
        whisker_shade: 0 for white whiskers, 1 for black ones.
        pose: "portrait" (head and chest), "sitting" or "standing".
        head_size: Radius of the head as a share of the picture's width.
        x: Center of the head as a share of the picture's width.
        y: The same, of its height.
        rotation: Of the whole animal.
        tilt: Of the head on the body.
        yaw: How far the face is turned to the right, -1 to 1.
        stretch: Width of the head.
        ear_size: Of the ears.
        ear_spread: Distance between the ears.
        eye_size: Of the eyes.
        eye_slant: How far their outer corners are raised.
        eye_gap: Distance between the eyes.
        muzzle_size: Of the muzzle.
        nose_size: Of the nose.
        fluff: Raggedness of the outline, in radii of the head.
        light_angle: Where the light comes from.
        light_strength: How much darker the far side is.
        brightness: Of the picture.
        contrast: Of the picture.
        warmth: Red against blue.
        noise: Standard deviation of the camera's noise, in gray levels of 255.
        background: Index of the main color behind the animal.
        clutter: Number of things behind the animal.
        occluders: Number of things in front of it.
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
    marks: int
    iris: int
    nose_shade: float
    tongue_shade: float
    whisker_shade: float
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
    eye_slant: float
    eye_gap: float
    muzzle_size: float
    nose_size: float
    fluff: float
    light_angle: float
    light_strength: float
    brightness: float
    contrast: float
    warmth: float
    noise: float
    background: int
    clutter: int
    occluders: int


def _pet_parts(dice: Dice, own: int) -> dict[str, str]:
    """Draw a pet's telling parts by lot until they carry the right evidence for its class."""
    while True:
        parts, evidence = {}, 0.0
        for part, (kinds, weight, typical) in _CUES.items():
            leans = dice.chance(typical)
            parts[part] = kinds[own if leans else 1]
            evidence += weight * leans
        if _EVIDENCE[0] <= evidence <= _EVIDENCE[1]:
            return parts


def zoo_kinds(part: str) -> list[str]:
    """List the kinds of a part that occur in the zoo, in alphabetical order.

    Args:
        part: A telling part, such as "ears".

    Raises:
        ValueError: If no animal has such a part.
    """
    known = next(iter(_ZOO_PARTS.values()))[0]
    if part not in known:
        raise ValueError(f"no animal has the part {part!r}; choose one of {', '.join(known)}")
    return sorted({kind for parts, _ in _ZOO_PARTS.values() for kind in parts[part]})


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
    dice = Dice(seed, _SERIES[species], number, 0)
    if species in CLASSES:
        parts = _pet_parts(dice, 2 * CLASSES.index(species))
    else:
        parts = {part: dice.pick(kinds) for part, kinds in _ZOO_PARTS[species][0].items()}
    pose = dice.pick(("portrait", "portrait", "sitting", "sitting", "standing"))
    alone = pose == "portrait"
    coat = dice.whole(len(_COATS))
    # How far the measures lean: a little to the side of cats, of dogs, or to neither.
    lean = {"cat": 1.0, "dog": -1.0}.get(species, 0.0)
    shade = dice.unit()
    if lean and dice.chance(0.8):
        other = dice.unit()
        shade = min(shade, other) if lean > 0 else max(shade, other)
    return Attributes(
        **parts,
        pose=pose,
        pattern=dice.pick(("plain", "tabby", "spotted", "patched")),
        coat=coat,
        marks=(coat + 1 + dice.whole(len(_COATS) - 1)) % len(_COATS),
        iris=dice.whole(len(_IRISES)),
        nose_shade=shade,
        tongue_shade=dice.unit() * dice.unit(),
        whisker_shade=float(dice.chance(0.5)),
        head_size=dice.uniform(0.21, 0.35) if alone else dice.uniform(0.19, 0.26),
        x=dice.bell(0.5, 0.24),
        y=dice.bell(0.5, 0.2) if alone else dice.bell(0.42, 0.16),
        # The zoo's visitors hold their cameras straighter: what a base was pretrained on is never
        # quite the next task, and fine-tuning has something to adapt to.
        rotation=dice.bell(0, 120 if lean else 104),
        tilt=dice.bell(0, 30),
        yaw=dice.uniform(-1, 1),
        stretch=dice.bell(1, 0.14),
        ear_size=dice.bell(1, 0.2),
        ear_spread=dice.bell(1, 0.16),
        eye_size=dice.bell(1 + 0.05 * lean, 0.24),
        eye_slant=dice.bell(8 + 4 * lean, 14),
        eye_gap=dice.bell(1, 0.14),
        muzzle_size=dice.bell(1 - 0.03 * lean, 0.14),
        nose_size=dice.bell(1, 0.24),
        fluff=dice.uniform(0, 0.06),
        light_angle=dice.uniform(0, 360),
        light_strength=dice.uniform(0.1, 0.5),
        brightness=dice.bell(1.02, 0.22),
        contrast=dice.bell(1, 0.22),
        warmth=dice.bell(0, 0.14),
        noise=dice.uniform(2, 7),
        background=dice.whole(len(_COATS)),
        clutter=6 + dice.whole(12),
        occluders=dice.whole(3),
    )


# --------------------------------------------------------------------------------------------
# Drawing
# --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Scene:
    """What every part needs to be painted: the record, the lot, the canvas and the coat."""

    a: Attributes
    mark: str
    dice: Dice
    canvas: Canvas
    frame: Frame  # of the head: origin at its center, unit its radius
    body: Frame
    main: Color
    patch: Color
    coat: Field


def _coat(a: Attributes, dice: Dice, frame: Frame, main: Color, marks: Color) -> Field:
    """Weave the coat, fixed to the animal, as a field of colors (3, size, size)."""
    base = np.array(main, np.float32)[:, None, None]
    mark = np.array(marks, np.float32)[:, None, None]
    clouds = dice.clouds(frame.size, 6)
    strength: Field
    if a.pattern == "tabby":
        phase = frame.v * np.float32(dice.uniform(1.6, 3.0)) + clouds * np.float32(1.1)
        phase = phase + np.abs(frame.u) * np.float32(dice.uniform(-0.9, 0.9))
        wave = np.abs(phase - np.floor(phase) - np.float32(0.5)) * 2
        strength = np.clip((wave - np.float32(0.5)) * 4, 0, 1) * np.float32(0.75)
    elif a.pattern == "spotted":
        strength = np.clip((dice.clouds(frame.size, 13) - np.float32(0.62)) * 9, 0, 1)
        strength = strength * np.float32(0.85)
    elif a.pattern == "patched":
        strength = np.clip((dice.clouds(frame.size, 4) - np.float32(0.5)) * 14, 0, 1)
    else:
        strength = (clouds - np.float32(0.5)) * np.float32(0.12)
    grain = (dice.field(frame.size, frame.size) - np.float32(0.5)) * np.float32(22)
    return cast(Field, base + (mark - base) * strength + grain)


def _background(a: Attributes, dice: Dice, canvas: Canvas) -> None:
    """Paint a wall and a floor in mottled colors, and things lying about."""
    size = canvas.size
    page = Frame(size, (0.5, 0.5), 1.0, dice.bell(0, 24))
    wall = dice.jitter(_COATS[a.background], 40)
    other = dice.jitter(_COATS[dice.whole(len(_COATS))], 60)
    floor = dice.jitter((110, 130, 90), 90)
    one, two, three = (np.array(c, np.float32)[:, None, None] for c in (wall, other, floor))
    broad = np.clip(dice.clouds(size, 2 + dice.whole(3)) * np.float32(1.6) - np.float32(0.3), 0, 1)
    fine = dice.clouds(size, 8 + dice.whole(9)) - np.float32(0.5)
    edge = np.float32(dice.uniform(0.05, 0.6))
    ground = np.clip((page.v - edge) * np.float32(dice.uniform(4, 40)), 0, 1)
    canvas.pixels[:] = one + (two - one) * broad
    canvas.pixels += (three - canvas.pixels) * ground
    canvas.pixels += fine * np.float32(dice.uniform(10, 90))
    for _ in range(a.clutter):
        _thing(dice, canvas, page, (dice.uniform(-0.65, 0.65), dice.uniform(-0.65, 0.65)), 1.0)


def _thing(dice: Dice, canvas: Canvas, page: Frame, center: Point, size: float) -> None:
    """Paint one thing that is no animal: ball, button, box, stick, petals, leaf, grass."""
    r = dice.uniform(0.03, 0.13) * size
    turn = dice.uniform(0, 360)
    color = dice.jitter(_COATS[dice.whole(len(_COATS))], 50)
    if dice.chance(0.3):
        color = dice.jitter((dice.uniform(0, 255), dice.uniform(0, 255), dice.uniform(0, 255)), 9)
    bright = (_PINK, _RED, _BLACK, _WHITE, *_IRISES)
    kind = dice.pick(("ball", "button", "button", "box", "stick", "petal", "leaf", "grass", "drop"))
    if kind == "ball":
        canvas.ellipse(page, center, (r, r), color, volume=0.35)
    elif kind == "button":  # as round and as bright as an eye or a nose
        r *= 0.6
        canvas.ellipse(page, center, (r, r * dice.uniform(0.7, 1)), dice.jitter(_BLACK, 9))
        if dice.chance(0.6):
            iris = dice.jitter(_IRISES[dice.whole(len(_IRISES))], 12)
            canvas.ellipse(page, center, (r * 0.84, r * 0.8), iris)
            slim = dice.pick(("slit", "round")) == "slit"
            canvas.ellipse(page, center, (r * (0.24 if slim else 0.46), r * 0.5), _BLACK)
        canvas.ellipse(page, (center[0] - r / 4, center[1] - r / 4), (r / 5, r / 5), _WHITE)
    elif kind == "box":
        wide = dice.uniform(35, 60)
        corners = [around(center, turn + k, r * 1.3) for k in (wide, 180 - wide, 180 + wide, -wide)]
        canvas.polygon(page, corners, color, volume=0.2)
    elif kind == "stick":
        ends = around(center, turn, r * 3), around(center, turn, -r * 3)
        canvas.stroke(page, *ends, (r * 0.2, r * 0.14), color, volume=0.2)
    elif kind == "petal":  # as red as a tongue
        bright_color = dice.jitter(bright[dice.whole(len(bright))], 14)
        canvas.ellipse(page, center, (r * 0.5, r * 0.9), bright_color, degrees=turn, volume=0.25)
    elif kind == "leaf":  # as pointed as an ear
        side = dice.uniform(0.55, 0.8)
        corners = [
            around(center, turn, r * 1.4),
            around(center, turn + 120, r * side),
            around(center, turn - 120, r * side),
        ]
        canvas.polygon(page, corners, color, volume=0.3)
        inner = mix(color, _PINK, dice.uniform(0, 0.8))
        canvas.polygon(page, [toward(c, center, 0.4) for c in corners], inner)
    elif kind == "grass":  # as thin as whiskers
        blade = dice.jitter(_WHITE if dice.chance(0.5) else _BLACK, 14)
        for k in range(3):
            tip = around(center, turn + 16 * (k - 1), r * 2.2)
            canvas.stroke(page, center, tip, (0.006, 0.004), blade)
    else:  # hangs like a floppy ear
        canvas.ellipse(page, center, (r * 0.5, r * 1.3), color, degrees=turn, volume=0.45)


def _torso(s: _Scene) -> None:
    """Paint tail, trunk and legs behind the head."""
    dice, canvas, frame, fluff = s.dice, s.canvas, s.body, s.a.fluff
    side = 1.0 if dice.chance(0.5) else -1.0
    wide = dice.uniform(0.75, 0.95)
    if s.a.pose == "portrait":
        if s.a.tail == "plume":
            _tail(s, (side * 0.9, 2.2), side)
        chest = (wide * 1.3, 1.3)
        canvas.ellipse(frame, (0, 1.9), chest, s.coat, volume=0.35, fluff=fluff)
    elif s.a.pose == "sitting":
        canvas.ellipse(frame, (0, 3.1), (1.5, 0.3), _BLACK, soft=6, opacity=0.35)
        _tail(s, (side * wide * 0.8, 2.5), side)
        canvas.ellipse(frame, (0, 2.1), (wide * 1.15, 1.1), s.coat, volume=0.4, fluff=fluff)
        canvas.ellipse(frame, (0, 1.4), (wide * 0.85, 1.0), s.coat, volume=0.35, fluff=fluff)
        for leg in (-1.0, 1.0):
            ends = (leg * 0.34, 1.8), (leg * 0.36, 2.9)
            canvas.stroke(frame, *ends, (0.24, 0.2), s.coat, volume=0.3)
            canvas.ellipse(frame, (leg * 0.4, 3.0), (0.28, 0.17), s.coat, volume=0.3)
    else:
        back = side * dice.uniform(1.5, 2.0)
        ground = (abs(back) * 1.1, 0.25)
        canvas.ellipse(frame, (back * 0.6, 3.0), ground, _BLACK, soft=6, opacity=0.35)
        _tail(s, (back * 1.3, 1.0), side)
        for leg in (0.05, 0.35, 0.8, 1.1):
            foot = (back * leg + dice.bell(0, 0.3), 2.9)
            canvas.stroke(frame, (back * leg, 1.5), foot, (0.25, 0.17), s.coat, volume=0.3)
        trunk = (abs(back) * 0.8, 0.68)
        canvas.ellipse(frame, (back * 0.6, 1.25), trunk, s.coat, volume=0.4, fluff=fluff)
        canvas.ellipse(frame, (back * 0.1, 0.9), (0.62, 0.8), s.coat, volume=0.3, fluff=fluff)


def _tail(s: _Scene, root: Point, side: float) -> None:
    curl = s.dice.uniform(0.6, 1.0)
    if s.a.tail == "hidden":
        return
    steps: tuple[Point, ...]
    widths: tuple[float, ...]
    if s.a.tail == "slim":
        steps = ((0.0, 0.0), (0.7, -0.2), (0.95, -0.9 * curl), (1.25 - curl, -1.6 * curl))
        widths = (0.15, 0.14, 0.13, 0.12)
    elif s.a.tail == "bushy":
        steps = ((0.0, 0.0), (0.5, -0.35), (0.6, -0.95 * curl))
        widths = (0.22, 0.4, 0.26)
    else:  # the plume of a squirrel, as high as its head
        steps = ((0.0, 0.0), (0.6, -0.6), (0.7, -1.9), (1.1, -2.6))
        widths = (0.3, 0.55, 0.6, 0.4)
    path = [(root[0] + side * u, root[1] + v) for u, v in steps]
    for (start, end), width in zip(pairwise(path), pairwise(widths), strict=True):
        s.canvas.stroke(s.body, start, end, width, s.coat, volume=0.3, fluff=s.a.fluff)


def _ears(s: _Scene, wide: float) -> None:
    """Paint the ears that stand behind the head."""
    a, canvas, frame = s.a, s.canvas, s.frame
    inner = mix(s.main, _PINK, 0.6)
    k = a.ear_size
    for side in (-1.0, 1.0):
        near = 1 + 0.12 * side * a.yaw
        if a.ears == "folded":
            outer = side * 0.9 * wide * near
            root, bend = (side * 0.22 * wide, -0.72), (side * 0.62 * wide * near, -1.1)
            stump = [root, bend, (outer, -0.4)]
            canvas.polygon(frame, stump, s.coat, bulge=0.08, volume=0.25, fluff=a.fluff)
        elif a.ears == "pointed":
            lean = side * 0.78 * a.ear_spread * near
            tip = (lean, -1.18 - 0.34 * k)
            ear = [(side * 0.1 * wide, -0.74), tip, (side * 0.98 * wide * near, -0.28)]
            canvas.polygon(frame, ear, s.coat, volume=0.25, fluff=a.fluff)
            middle = (side * 0.58 * wide * near, -0.6)
            canvas.polygon(frame, [toward(p, middle, 0.4) for p in ear], inner, volume=0.3)
            if s.mark == "mask":  # a fox has black tips
                tips = [toward(corner, tip, 0.62) for corner in ear]
                canvas.polygon(frame, tips, _BLACK, fluff=a.fluff)
        elif a.ears == "long":
            lean = 14 * a.ear_spread * side
            cos, sin = cos_sin(lean)
            middle = (side * 0.42 + sin * 0.9 * k, -0.6 - cos * 0.9 * k)
            radii = (0.27, 0.95 * k)
            canvas.ellipse(frame, middle, radii, s.coat, degrees=lean, volume=0.3, fluff=a.fluff)
            canvas.ellipse(frame, middle, (0.14, 0.7 * k), inner, degrees=lean, volume=0.2)
        elif a.ears in {"small", "saucer"}:
            r, v = (0.36 * k, -0.72) if a.ears == "small" else (0.66 * k, -0.62)
            middle = (side * 0.74 * wide * a.ear_spread, v)
            canvas.ellipse(frame, middle, (r, r), s.coat, volume=0.3, fluff=a.fluff)
            canvas.ellipse(frame, middle, (r * 0.6, r * 0.6), inner, volume=0.2)
        elif a.ears == "side":
            middle, turn = (side * 1.2 * wide, -0.28), 14 * side
            radii = (0.46 * k, 0.2)
            canvas.ellipse(frame, middle, radii, s.coat, degrees=turn, volume=0.3, fluff=a.fluff)
            canvas.ellipse(frame, middle, (0.28 * k, 0.1), inner, degrees=turn)


def _hanging_ears(s: _Scene, wide: float) -> None:
    """Paint what hangs in front of the head's sides: floppy ears and the tips of folded ones."""
    k = s.a.ear_size
    for side in (-1.0, 1.0):
        if s.a.ears == "folded":
            near = 1 + 0.12 * side * s.a.yaw
            bend, outer = side * 0.62 * wide * near, side * 0.98 * wide * near
            flap = [(bend - side * 0.26, -1.06), (bend + side * 0.14, -1.06), (outer, -0.56 * k)]
            shade = mix(s.main, _BLACK, 0.6)
            s.canvas.polygon(s.frame, flap, shade, bulge=0.1, opacity=0.6)
            s.canvas.polygon(s.frame, flap, s.coat, bulge=0.05, volume=0.4, fluff=s.a.fluff)
            continue
        u = side * 0.98 * wide * (1 + 0.1 * side * s.a.yaw)
        turn = -16 * side * s.a.ear_spread
        shadow = (0.34, 0.8 * k)
        s.canvas.ellipse(s.frame, (u, 0.12 * k), shadow, _BLACK, degrees=turn, soft=4, opacity=0.35)
        s.canvas.ellipse(
            s.frame,
            (u, 0.05 * k),
            (0.3, 0.74 * k),
            s.coat,
            degrees=turn,
            volume=0.5,
            fluff=s.a.fluff,
        )


def _head(s: _Scene) -> None:
    """Paint the head from the back to the front."""
    a, canvas, frame = s.a, s.canvas, s.frame
    wide, tall = {"wide": (1.12, 0.9), "round": (1.0, 0.97), "tall": (0.86, 1.06)}[a.head]
    wide *= a.stretch
    shadow = (wide * 1.08, tall * 1.06)
    canvas.ellipse(frame, (0.06, 0.14), shadow, _BLACK, soft=5, opacity=0.3)
    _ears(s, wide)
    if s.mark == "horns":
        _horns(s, wide)
    if a.head == "wide":
        for side in (-1.0, 1.0):
            cheek = (side * 0.6 * wide, 0.34)
            canvas.ellipse(frame, cheek, (0.5, 0.42), s.coat, volume=0.3, fluff=a.fluff * 1.6)
    canvas.ellipse(frame, (0, 0), (wide, tall), s.coat, volume=0.42, fluff=a.fluff)
    if a.head == "tall":
        jaw = (wide * 0.82, tall * 0.62)
        canvas.ellipse(frame, (0, 0.45), jaw, s.coat, volume=0.25)
    for _ in range(s.dice.whole(3)):  # a patch of another color somewhere in the face
        spot = around((0, 0), s.dice.uniform(0, 360), s.dice.uniform(0.2, 0.6))
        radius = s.dice.uniform(0.2, 0.5)
        canvas.ellipse(frame, spot, (radius, radius), s.patch, volume=0.3, fluff=0.05)
    eyes = [(a.yaw * 0.22 + side * 0.42 * a.eye_gap * wide, -0.12) for side in (-1.0, 1.0)]
    _markings(s, wide, eyes)
    if a.ears in {"floppy", "folded"}:
        _hanging_ears(s, wide)
    for side, eye in zip((-1.0, 1.0), eyes, strict=True):
        _eye(s, eye, side)
    _muzzle(s)


def _horns(s: _Scene, wide: float) -> None:
    horn = mix((214, 200, 170), s.main, 0.2)
    for side in (-1.0, 1.0):
        root, bend = (side * 0.5 * wide, -0.7), (side * 0.85 * wide, -1.15)
        s.canvas.stroke(s.frame, root, bend, (0.17, 0.13), horn, volume=0.3)
        s.canvas.stroke(s.frame, bend, (side * 0.7 * wide, -1.5), (0.13, 0.04), horn, volume=0.3)


def _markings(s: _Scene, wide: float, eyes: Sequence[Point]) -> None:
    """Paint what a species wears in its face whatever the color of its coat."""
    canvas, frame = s.canvas, s.frame
    light = s.main[0] + s.main[1] + s.main[2] > 330
    contrast = mix(s.main, _BLACK, 0.85) if light else mix(s.main, _WHITE, 0.75)
    pale = mix(s.main, _WHITE, 0.7) if light else mix(s.main, _WHITE, 0.55)
    for side, (u, v) in zip((-1.0, 1.0), eyes, strict=True):
        if s.mark == "bandit":
            canvas.ellipse(frame, (u, v + 0.05), (0.46, 0.28), contrast, degrees=18 * side)
        elif s.mark == "patches":
            canvas.ellipse(frame, (u, v + 0.06), (0.32, 0.42), contrast, degrees=24 * side)
        elif s.mark == "disks":
            canvas.ellipse(frame, (u * 0.9, v), (0.48, 0.48), pale, volume=0.2)
        elif s.mark == "mask":
            cheek = (side * 0.62 * wide, 0.42)
            canvas.ellipse(frame, cheek, (0.48, 0.3), _WHITE, degrees=-30 * side, volume=0.2)
        elif s.mark == "cheeks":
            cheek = (side * 0.66 * wide, 0.42)
            canvas.ellipse(frame, cheek, (0.46, 0.4), pale, volume=0.3)
        elif s.mark == "wool":
            for k in (0.1, 0.42, 0.74):
                curl = (side * k * wide, -0.95 + 0.5 * k * k)
                canvas.ellipse(frame, curl, (0.27, 0.27), pale, volume=0.5, fluff=0.04)


def _eye(s: _Scene, center: Point, side: float) -> None:
    a, canvas, frame = s.a, s.canvas, s.frame
    k = a.eye_size * (1 - 0.12 * side * a.yaw)
    u, v = center
    if a.pupils == "dark":
        canvas.ellipse(frame, center, (0.17 * k, 0.18 * k), _BLACK)
        canvas.ellipse(frame, (u - 0.05, v - 0.06), (0.05, 0.05), _WHITE)
        return
    turn = a.eye_slant * -side
    canvas.ellipse(frame, center, (0.28 * k, 0.24 * k), _BLACK, degrees=turn)
    iris = _IRISES[a.iris]
    canvas.ellipse(frame, center, (0.24 * k, 0.2 * k), iris, degrees=turn, volume=0.2)
    pupil = (0.06 * k, 0.2 * k) if a.pupils == "slit" else (0.14 * k, 0.14 * k)
    canvas.ellipse(frame, center, pupil, (12, 10, 10))
    canvas.ellipse(frame, (u - 0.06, v - 0.07), (0.04, 0.04), _WHITE)


def _muzzle(s: _Scene) -> None:
    """Paint muzzle, nose, mouth and whiskers."""
    a, dice, canvas, frame = s.a, s.dice, s.canvas, s.frame
    k = a.muzzle_size
    pale = mix(s.main, _WHITE, dice.uniform(0.1, 0.7))
    if dice.chance(0.2):
        pale = mix(s.main, _BLACK, 0.55)
    if a.muzzle == "beak":
        u = a.yaw * 0.3
        beak = [(u - 0.17, 0.08), (u + 0.17, 0.08), (u, 0.55 * k)]
        canvas.polygon(frame, beak, (226, 168, 62), volume=0.3)
        return
    if a.muzzle == "disc":
        u = a.yaw * 0.34
        canvas.ellipse(frame, (u, 0.4), (0.42 * k, 0.33 * k), mix(s.main, _PINK, 0.6), volume=0.35)
        for side in (-1.0, 1.0):
            canvas.ellipse(frame, (u + side * 0.14, 0.4), (0.06, 0.1), _BLACK)
        _mouth(s, (u, 0.4 + 0.34 * k), 0.3)
        return
    ru, rv, v, reach = {
        "short": (0.31, 0.2, 0.38, 0.18),
        "medium": (0.39, 0.31, 0.44, 0.3),
        "long": (0.5, 0.56, 0.6, 0.5),
    }[a.muzzle]
    ru, rv, u = ru * k, rv * k, a.yaw * reach
    below = (u * 0.9, v + 0.05)
    canvas.ellipse(frame, below, (ru * 1.12, rv * 1.1), _BLACK, soft=3, opacity=0.3)
    if a.muzzle == "short":
        for side in (-1.0, 1.0):
            canvas.ellipse(frame, (u + side * 0.19, v), (0.24 * k, rv), pale, volume=0.25)
    else:
        if a.muzzle == "long":  # the bridge from the brow down to the nose
            canvas.stroke(frame, (u * 0.4, -0.15), (u, v), (0.2, ru * 0.9), pale, volume=0.12)
        canvas.ellipse(frame, (u, v), (ru, rv), pale, volume=0.35)
    _nose(s, (u, v - rv * (0.75 if a.muzzle == "short" else 0.5)))
    _mouth(s, (u, v + rv * 0.2), ru)
    _whiskers(s, (u, v), ru)


def _nose(s: _Scene, center: Point) -> None:
    a, canvas, frame = s.a, s.canvas, s.frame
    (u, v), n = center, a.nose_size
    color = mix(_PINK, _BLACK, a.nose_shade)
    if a.nose == "button":
        corners = [(u - 0.15 * n, v - 0.07), (u + 0.15 * n, v - 0.07), (u, v + 0.11 * n)]
        canvas.polygon(frame, corners, color, bulge=0.02)
    elif a.nose == "oval":
        canvas.ellipse(frame, center, (0.19 * n, 0.13 * n), color, volume=0.2)
    elif a.nose == "broad":
        canvas.ellipse(frame, center, (0.3 * n, 0.21 * n), color, volume=0.2)
        canvas.ellipse(frame, (u - 0.07, v - 0.06), (0.07, 0.035), mix(color, _WHITE, 0.5))


def _mouth(s: _Scene, center: Point, wide: float) -> None:
    canvas, frame, (u, v) = s.canvas, s.frame, center
    ink = (44, 26, 26)
    if s.a.mouth == "tongue":
        tongue = mix(_RED, (120, 60, 84), s.a.tongue_shade)
        canvas.ellipse(frame, (u, v + 0.16), (wide * 0.55, 0.2), (70, 22, 28))
        canvas.ellipse(frame, (u, v + 0.34), (wide * 0.4, 0.28), tongue, volume=0.25)
        groove = mix(tongue, _BLACK, 0.4)
        canvas.stroke(frame, (u, v + 0.2), (u, v + 0.45), (0.018, 0.012), groove)
    elif s.a.mouth == "double":
        canvas.stroke(frame, (u, v - 0.15), (u, v), (0.035, 0.035), ink)
        for side in (-1.0, 1.0):
            dip, end = (u + side * wide * 0.35, v + 0.1), (u + side * wide * 0.75, v)
            canvas.stroke(frame, (u, v), dip, (0.05, 0.045), ink)
            canvas.stroke(frame, dip, end, (0.045, 0.035), ink)
    elif s.a.mouth == "line":
        ends = (u - wide * 0.5, v + 0.08), (u + wide * 0.5, v + 0.08)
        canvas.stroke(frame, (u, v - 0.12), (u, v + 0.06), (0.03, 0.03), ink)
        canvas.stroke(frame, *ends, (0.045, 0.045), ink)


def _whiskers(s: _Scene, center: Point, wide: float) -> None:
    if s.a.whiskers == "none":
        return
    count, length = (3, 1.0) if s.a.whiskers == "full" else (2, 0.45)
    color = mix(_WHITE, (40, 34, 34), s.a.whisker_shade)
    for side in (-1.0, 1.0):
        for k in range(count):
            start = (center[0] + side * wide * 0.6, center[1] - 0.08 + 0.08 * k)
            rise = (-0.22 + 0.2 * k + s.dice.bell(0, 0.08)) * length
            end = (start[0] + side * length, start[1] + rise)
            s.canvas.stroke(s.frame, start, end, (0.036, 0.022), color, opacity=0.9)


def _occlude(a: Attributes, dice: Dice, canvas: Canvas) -> None:
    """Put things in front, at the rim of the head and beyond it rather than on the face."""
    page = Frame(canvas.size, (a.x, a.y), 1.0, 0.0)
    for _ in range(a.occluders):
        away = a.head_size * dice.uniform(1.05, 1.8)
        _thing(dice, canvas, page, around((0, 0), dice.uniform(0, 360), away), 0.75)


def _camera(a: Attributes, dice: Dice, canvas: Canvas) -> NDArray[np.uint8]:
    """Take the photo: light across the scene, a shadow, white balance, contrast, noise."""
    size = canvas.size
    page = Frame(size, (0.5, 0.5), 0.5, a.light_angle)
    gain = np.float32(a.brightness) * (1 - page.u * np.float32(a.light_strength))
    if dice.chance(0.35):  # something outside the picture throws a shadow
        edge, steep, depth = dice.uniform(-0.6, 0.6), dice.uniform(2, 9), dice.uniform(0.15, 0.45)
        shadow = np.clip((page.v - np.float32(edge)) * np.float32(steep), 0, 1)
        gain = gain * (1 - shadow * np.float32(depth))
    pixels = canvas.pixels * gain
    pixels *= np.array([1 + a.warmth, 1.0, 1 - a.warmth], np.float32)[:, None, None]
    pixels = (pixels - 122) * np.float32(a.contrast) + 122
    # Three uniforms, each of variance 1/12, have a sum of standard deviation 1/2.
    speckle = dice.field(3, 3, size, size)
    pixels += (speckle[0] + speckle[1] + speckle[2] - np.float32(1.5)) * np.float32(2 * a.noise)
    levels = np.clip(pixels + np.float32(0.5), 0, 255).astype(np.uint8)
    return np.ascontiguousarray(levels.transpose(1, 2, 0))


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
    _check(species, number, seed, size)
    a = attributes(species, number, seed=seed)
    dice = Dice(seed, _SERIES[species], number, 1)
    cos, sin = cos_sin(a.light_angle)
    light = (cos * a.light_strength * 2, sin * a.light_strength * 2)
    canvas = Canvas(size, light, dice.clouds(size, min(size // 2, 32)) * 2 - 1)
    _background(a, dice, canvas)
    body = Frame(size, (a.x, a.y), a.head_size, a.rotation)
    main = dice.jitter(_COATS[a.coat], 16)
    marks = dice.jitter(_COATS[a.marks], 16)
    scene = _Scene(
        a=a,
        mark=_ZOO_PARTS[species][1] if species in _ZOO_PARTS else "",
        dice=dice,
        canvas=canvas,
        frame=Frame(size, (a.x, a.y), a.head_size, a.rotation + a.tilt),
        body=body,
        main=main,
        patch=marks,
        coat=_coat(a, dice, body, main, marks),
    )
    _torso(scene)
    _head(scene)
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
    _check(species, min(numbers, default=0), seed, size)
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
                    _draw_elsewhere,
                    pictures[lo:hi],
                    json.dumps([species, [int(n) for n in numbers[lo:hi]], size, seed]),
                    bar,
                )
                for lo, hi in pairwise(edges)
            ]
            for job in jobs:
                job.result()
    return pictures


def _draw_elsewhere(out: NDArray[np.uint8], job: str, bar: tqdm[None]) -> None:
    """Fill `out` with pictures that a fresh Python process draws and sends through a pipe."""
    # The child shall find the package where this process found it.
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with tempfile.TemporaryFile() as order, tempfile.TemporaryFile() as said:
        order.write(job.encode())
        order.seek(0)
        with subprocess.Popen(
            [sys.executable, "-c", "from cvlab.drawing.toypets import _serve; _serve()"],
            stdin=order,
            stdout=subprocess.PIPE,
            stderr=said,
            env=env,
        ) as child:
            pipe = cast(IO[bytes], child.stdout)
            for start in range(0, len(out), _CHUNK):
                part = out[start : start + _CHUNK]
                octets = pipe.read(part.nbytes)
                if len(octets) != part.nbytes:
                    status = child.wait()
                    said.seek(0)
                    raise RuntimeError(
                        f"a drawing worker stopped after {start} of {len(out)} pictures"
                        f" (exit status {status}); it said:\n"
                        f"{said.read().decode(errors='replace')}"
                        "Try workers=1 to draw in this process."
                    )
                part[:] = np.frombuffer(octets, np.uint8).reshape(part.shape)
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
    progress: bool = True,
) -> Path:
    """Write cats and dogs as JPEG files `<species>/<species>.<number>.jpg`, numbers from 1.

    All or nothing: the files are written beside `folder` and moved there at the end. Where
    `folder` already holds the same pictures nothing is done.

    Args:
        folder: Where the class folders go; its parent is made if missing.
        per_class: Pictures of each class.
        size: Width and height in pixels.
        seed: As in `draw`.
        progress: As in `draw_many`.

    Returns:
        `folder`.

    Raises:
        ValueError: As `draw`, or for `per_class` below 1.
        FileExistsError: When `folder` exists and holds something else.
    """
    if per_class < 1:
        raise ValueError(f"per_class is {per_class}; give at least 1 picture of each class")
    folder = Path(folder)
    order = {
        "version": VERSION,
        "per_class": per_class,
        "size": size,
        "seed": seed,
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
        for name in CLASSES:
            (draft / name).mkdir(parents=True)
            numbers = range(1, per_class + 1)
            pictures = draw_many(name, numbers, size=size, seed=seed, progress=progress)
            for number, picture in zip(numbers, pictures, strict=True):
                Image.fromarray(picture).save(
                    draft / name / f"{name}.{number}.jpg", quality=90, subsampling=0
                )
        (draft / record.name).write_text(json.dumps(order, indent=1) + "\n", "utf-8")
        if folder.exists():
            folder.rmdir()
        draft.replace(folder)
    return folder


def _check(species: str, number: int, seed: int, size: int = SMALLEST) -> None:
    if size < SMALLEST:
        raise ValueError(f"size is {size}; a picture needs at least {SMALLEST} pixels a side")
    if species not in _SERIES:
        raise ValueError(f"unknown species {species!r}; choose one of {', '.join(_SERIES)}")
    if number < 0 or seed < 0:
        raise ValueError(f"number ({number}) and seed ({seed}) must not be negative")
