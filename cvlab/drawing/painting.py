"""An animal painted part by part, from the tail to the whiskers."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import cast

import numpy as np

from cvlab.drawing.animals import Attributes
from cvlab.drawing.canvas import Canvas, Color, Dice, Field, Frame, Point, around, cos_sin, mix
from cvlab.drawing.colors import BLACK, IRISES, PINK, RED, WHITE


@dataclass(frozen=True, slots=True)
class Scene:
    """What every part is painted with: attributes, random numbers, canvas and coat."""

    a: Attributes
    mark: str
    dice: Dice
    canvas: Canvas
    frame: Frame  # of the head: origin at its center, unit its radius
    body: Frame
    main: Color
    patch: Color
    coat: Field


def woven_coat(a: Attributes, dice: Dice, frame: Frame, main: Color, marks: Color) -> Field:
    """Weave the coat, fixed to the animal, as a field of colors (3, size, size)."""
    base = np.array(main, np.float32)[:, None, None]
    tabby = a.pattern == "tabby"  # stripes of a darker shade of the same color
    mark = np.array(mix(main, BLACK, 0.6) if tabby else marks, np.float32)[:, None, None]
    clouds = dice.clouds(frame.size, 6)
    strength: Field
    if tabby:
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
    grain = (dice.field(frame.size, frame.size) - np.float32(0.5)) * np.float32(14)
    return cast(Field, base + (mark - base) * strength + grain)


def paint_torso(s: Scene) -> None:
    """Paint tail, trunk and legs behind the head."""
    dice, canvas, frame, fluff = s.dice, s.canvas, s.body, s.a.fluff
    side = 1.0 if dice.chance(0.5) else -1.0
    wide = dice.uniform(0.75, 0.95)
    if s.a.pose == "portrait":
        if s.a.tail == "plume":
            _tail(s, (side * 0.9, 2.2), side)
        canvas.ellipse(frame, (0, 1.9), (wide * 1.3, 1.3), s.coat, volume=0.35, fluff=fluff)
    elif s.a.pose == "sitting":
        canvas.ellipse(frame, (0, 3.1), (1.5, 0.3), BLACK, soft=6, opacity=0.35)
        _tail(s, (side * wide * 0.8, 2.5), side)
        canvas.ellipse(frame, (0, 2.1), (wide * 1.15, 1.1), s.coat, volume=0.4, fluff=fluff)
        canvas.ellipse(frame, (0, 1.4), (wide * 0.85, 1.0), s.coat, volume=0.35, fluff=fluff)
        for u in (-1.0, 1.0):
            canvas.stroke(frame, (u * 0.34, 1.8), (u * 0.36, 2.9), (0.24, 0.2), s.coat, volume=0.3)
            canvas.ellipse(frame, (u * 0.4, 3.0), (0.28, 0.17), s.coat, volume=0.3)
    else:
        length = dice.uniform(1.5, 2.0)
        back = side * length
        canvas.ellipse(frame, (back * 0.6, 3.0), (length * 1.1, 0.25), BLACK, soft=6, opacity=0.35)
        _tail(s, (back * 1.3, 1.0), side)
        for leg in (0.05, 0.35, 0.8, 1.1):
            foot = (back * leg + dice.bell(0, 0.3), 2.9)
            canvas.stroke(frame, (back * leg, 1.5), foot, (0.25, 0.17), s.coat, volume=0.3)
        trunk = (length * 0.8, 0.68)
        canvas.ellipse(frame, (back * 0.6, 1.25), trunk, s.coat, volume=0.4, fluff=fluff)
        canvas.ellipse(frame, (back * 0.1, 0.9), (0.62, 0.8), s.coat, volume=0.3, fluff=fluff)


def _tail(s: Scene, root: Point, side: float) -> None:
    w = s.dice.uniform(0.6, 1.0)  # how far it is curled
    tails = {  # places and widths
        "hidden": [],
        "slim": [
            (0.0, 0.0, 0.15),
            (0.7, -0.2, 0.14),
            (0.95, -0.9 * w, 0.13),
            (1.25 - w, -1.6 * w, 0.12),
        ],
        "bushy": [(0.0, 0.0, 0.22), (0.5, -0.35, 0.4), (0.6, -0.95 * w, 0.26)],
        # that of a squirrel, as high as its head
        "plume": [(0.0, 0.0, 0.3), (0.6, -0.6, 0.55), (0.7, -1.9, 0.6), (1.1, -2.6, 0.4)],
    }
    path = [((root[0] + side * u, root[1] + v), width) for u, v, width in tails[s.a.tail]]
    for (start, wide), (end, thin) in pairwise(path):
        s.canvas.stroke(s.body, start, end, (wide, thin), s.coat, volume=0.3, fluff=s.a.fluff)


def _ears(s: Scene, wide: float) -> None:
    """Paint the ears that stand behind the head."""
    a, canvas, frame = s.a, s.canvas, s.frame
    inner = mix(s.main, PINK, 0.6)
    k = a.ear_size
    for side in (-1.0, 1.0):
        near = 1 + 0.12 * side * a.yaw
        if a.ears == "folded":
            bend, outer = (side * 0.62 * wide * near, -1.1), (side * 0.9 * wide * near, -0.4)
            stump = [(side * 0.22 * wide, -0.72), bend, outer]
            canvas.polygon(frame, stump, s.coat, bulge=0.08, volume=0.25, fluff=a.fluff)
        elif a.ears == "pointed":
            tip = (side * 0.78 * a.ear_spread * near, -1.18 - 0.34 * k)
            ear = [(side * 0.1 * wide, -0.74), tip, (side * 0.98 * wide * near, -0.28)]
            canvas.polygon(frame, ear, s.coat, volume=0.25, fluff=a.fluff)
            center = (side * 0.58 * wide * near, -0.6)
            canvas.polygon(frame, [mix(p, center, 0.4) for p in ear], inner, volume=0.3)
            if s.mark == "mask":  # a fox has black tips
                tips = [mix(corner, tip, 0.62) for corner in ear]
                canvas.polygon(frame, tips, BLACK, fluff=a.fluff)
        lean, r = 14 * a.ear_spread * side, k * (0.36 if a.ears == "small" else 0.66)
        cos, sin = cos_sin(lean)
        out, far = side * 0.42 + sin * 0.9 * k, side * 0.74 * wide * a.ear_spread
        rounded = {  # middle, radii, radii inside, turn, volume inside
            "long": ((out, -0.6 - cos * 0.9 * k), (0.27, 0.95 * k), (0.14, 0.7 * k), lean, 0.2),
            "small": ((far, -0.72), (r, r), (r * 0.6, r * 0.6), 0.0, 0.2),
            "saucer": ((far, -0.62), (r, r), (r * 0.6, r * 0.6), 0.0, 0.2),
            "side": ((side * 1.2 * wide, -0.28), (0.46 * k, 0.2), (0.28 * k, 0.1), 14 * side, 0.0),
        }
        if a.ears in rounded:
            middle, radii, inside, turn, volume = rounded[a.ears]
            canvas.ellipse(frame, middle, radii, s.coat, degrees=turn, volume=0.3, fluff=a.fluff)
            canvas.ellipse(frame, middle, inside, inner, degrees=turn, volume=volume)


def _hanging_ears(s: Scene, wide: float) -> None:
    """Paint what hangs in front of the head's sides: floppy ears and the tips of folded ones."""
    k, canvas, frame = s.a.ear_size, s.canvas, s.frame
    for side in (-1.0, 1.0):
        if s.a.ears == "folded":
            near = 1 + 0.12 * side * s.a.yaw
            bend, outer = side * 0.62 * wide * near, side * 0.98 * wide * near
            flap = [(bend - side * 0.26, -1.06), (bend + side * 0.14, -1.06), (outer, -0.56 * k)]
            shade = mix(s.main, BLACK, 0.6)
            canvas.polygon(frame, flap, shade, bulge=0.1, opacity=0.6)
            canvas.polygon(frame, flap, s.coat, bulge=0.05, volume=0.4, fluff=s.a.fluff)
            continue
        u = side * 0.98 * wide * (1 + 0.1 * side * s.a.yaw)
        turn = -16 * side * s.a.ear_spread
        shadow = (0.34, 0.8 * k)
        canvas.ellipse(frame, (u, 0.12 * k), shadow, BLACK, degrees=turn, soft=4, opacity=0.35)
        ear = (0.3, 0.74 * k)
        canvas.ellipse(frame, (u, 0.05 * k), ear, s.coat, degrees=turn, volume=0.5, fluff=s.a.fluff)


def paint_head(s: Scene) -> None:
    """Paint the head from the back to the front."""
    a, canvas, frame = s.a, s.canvas, s.frame
    wide, tall = {"wide": (1.12, 0.9), "round": (1.0, 0.97), "tall": (0.86, 1.06)}[a.head]
    wide *= a.stretch
    canvas.ellipse(frame, (0.06, 0.14), (wide * 1.08, tall * 1.06), BLACK, soft=5, opacity=0.3)
    _ears(s, wide)
    if s.mark == "horns":
        _horns(s, wide)
    if a.head == "wide":
        for side in (-1.0, 1.0):
            cheek = (side * 0.6 * wide, 0.34)
            canvas.ellipse(frame, cheek, (0.5, 0.42), s.coat, volume=0.3, fluff=a.fluff * 1.6)
    canvas.ellipse(frame, (0, 0), (wide, tall), s.coat, volume=0.42, fluff=a.fluff)
    if a.head == "tall":
        canvas.ellipse(frame, (0, 0.45), (wide * 0.82, tall * 0.62), s.coat, volume=0.25)
    for _ in range(s.dice.whole(3)):  # a patch of another color somewhere in the face
        spot = around((0, 0), s.dice.uniform(0, 360), s.dice.uniform(0.2, 0.6))
        radius = s.dice.uniform(0.2, 0.5)
        canvas.ellipse(frame, spot, (radius, radius), s.patch, volume=0.3, fluff=0.05)
    eyes = {side: (a.yaw * 0.22 + side * 0.42 * a.eye_gap * wide, -0.12) for side in (-1.0, 1.0)}
    _markings(s, wide, eyes)
    if a.ears in {"floppy", "folded"}:
        _hanging_ears(s, wide)
    for side, eye in eyes.items():
        _eye(s, eye, side)
    _muzzle(s)


def _horns(s: Scene, wide: float) -> None:
    horn = mix((214, 200, 170), s.main, 0.2)
    for side in (-1.0, 1.0):
        root, bend = (side * 0.5 * wide, -0.7), (side * 0.85 * wide, -1.15)
        s.canvas.stroke(s.frame, root, bend, (0.17, 0.13), horn, volume=0.3)
        s.canvas.stroke(s.frame, bend, (side * 0.7 * wide, -1.5), (0.13, 0.04), horn, volume=0.3)


def _markings(s: Scene, wide: float, eyes: Mapping[float, Point]) -> None:
    """Paint what a species wears in its face whatever the color of its coat."""
    canvas, frame = s.canvas, s.frame
    light = s.main[0] + s.main[1] + s.main[2] > 330
    contrast = mix(s.main, BLACK, 0.85) if light else mix(s.main, WHITE, 0.75)
    pale = mix(s.main, WHITE, 0.7 if light else 0.55)
    for side, (u, v) in eyes.items():
        marks = {  # middle, radii, color, turn, volume
            "bandit": ((u, v + 0.05), (0.46, 0.28), contrast, 18 * side, 0.0),
            "patches": ((u, v + 0.06), (0.32, 0.42), contrast, 24 * side, 0.0),
            "disks": ((u * 0.9, v), (0.48, 0.48), pale, 0.0, 0.2),
            "mask": ((side * 0.62 * wide, 0.42), (0.48, 0.3), WHITE, -30 * side, 0.2),
            "cheeks": ((side * 0.66 * wide, 0.42), (0.46, 0.4), pale, 0.0, 0.3),
        }
        if s.mark in marks:
            middle, radii, color, turn, volume = marks[s.mark]
            canvas.ellipse(frame, middle, radii, color, degrees=turn, volume=volume)
        elif s.mark == "wool":
            for k in (0.1, 0.42, 0.74):
                curl = (side * k * wide, -0.95 + 0.5 * k * k)
                canvas.ellipse(frame, curl, (0.27, 0.27), pale, volume=0.5, fluff=0.04)


def _eye(s: Scene, center: Point, side: float) -> None:
    a, canvas, frame = s.a, s.canvas, s.frame
    k = a.eye_size * (1 - 0.12 * side * a.yaw)
    u, v = center
    if a.pupils == "dark":
        canvas.ellipse(frame, center, (0.17 * k, 0.18 * k), BLACK)
        canvas.ellipse(frame, (u - 0.05, v - 0.06), (0.05, 0.05), WHITE)
        return
    turn = a.eye_slant * -side
    canvas.ellipse(frame, center, (0.28 * k, 0.24 * k), BLACK, degrees=turn)
    canvas.ellipse(frame, center, (0.24 * k, 0.2 * k), IRISES[a.iris], degrees=turn, volume=0.2)
    pupil = (0.06 * k, 0.2 * k) if a.pupils == "slit" else (0.14 * k, 0.14 * k)
    canvas.ellipse(frame, center, pupil, (12, 10, 10))
    canvas.ellipse(frame, (u - 0.06, v - 0.07), (0.04, 0.04), WHITE)


def _muzzle(s: Scene) -> None:
    """Paint muzzle, nose, mouth and whiskers."""
    a, dice, canvas, frame = s.a, s.dice, s.canvas, s.frame
    k = a.muzzle_size
    pale = mix(s.main, WHITE, dice.uniform(0.1, 0.7))
    if dice.chance(0.2):
        pale = mix(s.main, BLACK, 0.55)
    if a.muzzle == "beak":
        u = a.yaw * 0.3
        beak = [(u - 0.17, 0.08), (u + 0.17, 0.08), (u, 0.55 * k)]
        canvas.polygon(frame, beak, (226, 168, 62), volume=0.3)
        return
    if a.muzzle == "disc":
        u = a.yaw * 0.34
        canvas.ellipse(frame, (u, 0.4), (0.42 * k, 0.33 * k), mix(s.main, PINK, 0.6), volume=0.35)
        for side in (-1.0, 1.0):
            canvas.ellipse(frame, (u + side * 0.14, 0.4), (0.06, 0.1), BLACK)
        _mouth(s, (u, 0.4 + 0.34 * k), 0.3)
        return
    ru, rv, v, reach = {
        "short": (0.31, 0.2, 0.38, 0.18),
        "medium": (0.39, 0.31, 0.44, 0.3),
        "long": (0.5, 0.56, 0.6, 0.5),
    }[a.muzzle]
    ru, rv, u = ru * k, rv * k, a.yaw * reach
    canvas.ellipse(frame, (u * 0.9, v + 0.05), (ru * 1.12, rv * 1.1), BLACK, soft=3, opacity=0.3)
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


def _nose(s: Scene, center: Point) -> None:
    a, canvas, frame = s.a, s.canvas, s.frame
    (u, v), n = center, a.nose_size
    color = mix(PINK, BLACK, a.nose_shade)
    if a.nose == "button":
        corners = [(u - 0.15 * n, v - 0.07), (u + 0.15 * n, v - 0.07), (u, v + 0.11 * n)]
        canvas.polygon(frame, corners, color, bulge=0.02)
    elif a.nose == "oval":
        canvas.ellipse(frame, center, (0.19 * n, 0.13 * n), color, volume=0.2)
    elif a.nose == "broad":
        canvas.ellipse(frame, center, (0.3 * n, 0.21 * n), color, volume=0.2)
        canvas.ellipse(frame, (u - 0.07, v - 0.06), (0.07, 0.035), mix(color, WHITE, 0.5))


def _mouth(s: Scene, center: Point, wide: float) -> None:
    canvas, frame, (u, v) = s.canvas, s.frame, center
    ink = (44, 26, 26)
    if s.a.mouth == "tongue":
        tongue = mix(RED, (136, 76, 68), s.a.tongue_shade)
        canvas.ellipse(frame, (u, v + 0.16), (wide * 0.55, 0.2), (70, 22, 28))
        canvas.ellipse(frame, (u, v + 0.34), (wide * 0.4, 0.28), tongue, volume=0.25)
        groove = mix(tongue, BLACK, 0.4)
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


def _whiskers(s: Scene, center: Point, wide: float) -> None:
    if s.a.whiskers == "none":
        return
    count, length = (3, 1.0) if s.a.whiskers == "full" else (2, 0.45)
    color = mix(WHITE, (40, 34, 34), s.a.whisker_shade)
    for side in (-1.0, 1.0):
        for k in range(count):
            start = (center[0] + side * wide * 0.6, center[1] - 0.08 + 0.08 * k)
            rise = (-0.22 + 0.2 * k + s.dice.bell(0, 0.08)) * length
            end = (start[0] + side * length, start[1] + rise)
            s.canvas.stroke(s.frame, start, end, (0.036, 0.022), color, opacity=0.9)
