"""What surrounds an animal: a room or a garden, things behind and in front of it, the camera."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from cvlab.drawing.animals import Attributes
from cvlab.drawing.canvas import Canvas, Color, Dice, Frame, Point, around, mix
from cvlab.drawing.colors import BLACK, FABRICS, GARDENS, LEAF, PETALS, ROOMS, WHITE

# What lies about in a room and in a garden, and what may stand between camera and animal.
_ABOUT: Final = (("ball", "cushion", "frame", "frame", "plant"), ("ball", "flower", "plant"))
_IN_FRONT: Final = (("ball", "bowl", "cushion", "plant"), ("ball", "grass", "flower", "fence"))


def background(a: Attributes, dice: Dice, canvas: Canvas) -> None:
    """Paint a wall and a floor, or a hedge and a lawn, and a few things out of focus."""
    size = canvas.size
    page = Frame(size, (0.5, 0.5), 1.0, dice.bell(0, 8))
    upper, lower = (dice.jitter(color, 12) for color in (*ROOMS, *GARDENS)[a.background])
    far, near = (np.array(color, np.float32)[:, None, None] for color in (upper, lower))
    # The animal stands on the ground: its feet are about three radii of its head below its center.
    edge = min(dice.uniform(-0.1, 0.45), a.y - 0.5 + 2.6 * a.head_size)
    ground = np.clip((page.v - np.float32(edge)) * np.float32(dice.uniform(8, 60)), 0, 1)
    canvas.pixels[:] = far + (near - far) * ground
    rough = 1 + (a.background >= len(ROOMS))
    for cells, strength in ((3, 36.0), (12, 10.0 * rough), (32, 10.0 * rough)):
        mottled = dice.clouds(size, min(cells, size // 2)) - np.float32(0.5)
        canvas.pixels += mottled * np.float32(dice.uniform(0.3, 1) * strength)
    blur = size * dice.uniform(0.01, 0.05)
    for _ in range(a.clutter):
        kind = dice.pick(_ABOUT[a.background >= len(ROOMS)])
        height = dice.uniform(-0.5, edge) if kind == "frame" else dice.uniform(edge, 0.5)
        center = dice.uniform(-0.55, 0.55), height
        _thing(dice, canvas, page, kind, center, r=dice.uniform(0.06, 0.16), soft=blur)


def _thing(
    dice: Dice, canvas: Canvas, page: Frame, kind: str, center: Point, *, r: float, soft: float = 1
) -> None:
    """Paint one thing of radius `r`, with an edge of `soft` pixels."""
    u, v = center
    color = dice.jitter(dice.pick(FABRICS), 16)
    if kind == "ball":
        canvas.ellipse(page, center, (r * 0.7, r * 0.7), color, volume=0.4, soft=soft)
        shine = (u - r / 4, v - r / 4)
        canvas.ellipse(page, shine, (r / 7, r / 7), WHITE, opacity=0.7, soft=soft)
    elif kind == "bowl":
        rim = ((u - r * 1.3, v), (u + r * 1.3, v))
        canvas.polygon(page, [*rim, (u + r, v + r), (u - r, v + r)], color, volume=0.3, soft=soft)
        canvas.ellipse(page, center, (r * 1.3, r * 0.35), mix(color, BLACK, 0.45), soft=soft)
    elif kind == "cushion":
        ends = around(center, 0, -r * 0.8), around(center, dice.bell(0, 24), r * 0.8)
        canvas.stroke(page, *ends, (r * 0.75, r * 0.7), color, volume=0.3, soft=soft)
        canvas.ellipse(page, center, (r * 0.1, r * 0.1), mix(color, BLACK, 0.5), soft=soft)
    elif kind == "frame":
        for share, shade in ((1.0, mix(color, BLACK, 0.4)), (0.75, dice.jitter(WHITE, 40))):
            wide, high = r * 0.9 * share, r * 1.2 * share
            corners = [(u - wide, v - high), (u + wide, v - high), (u + wide, v + high)]
            canvas.polygon(page, [*corners, (u - wide, v + high)], shade, soft=soft)
    elif kind == "fence":
        board = mix(color, (150, 124, 96), 0.7)
        canvas.stroke(page, (-1.2, v + r), (1.2, v + r), (r * 0.25, r * 0.25), board, volume=0.2)
        for k in range(-9, 10):
            board_u = u + k * r * 1.5
            canvas.stroke(page, (board_u, v), (board_u, 1.5), (r * 0.4, r * 0.4), board, volume=0.2)
    else:
        _leaves(dice, canvas, page, kind, center, r=r, soft=soft)


def _leaves(
    dice: Dice, canvas: Canvas, page: Frame, kind: str, root: Point, *, r: float, soft: float
) -> None:
    """Paint a plant, a flower or a tuft of grass that grows up from `root`."""
    count, thick = {"plant": (7, 0.26), "flower": (3, 0.08), "grass": (12, 0.07)}[kind]
    petal = dice.jitter(dice.pick(PETALS), 16)
    for _ in range(count):
        green: Color = dice.jitter(LEAF, 24)
        tip = around(root, dice.bell(-90, 60), r * dice.uniform(1.2, 2.4))
        foot = (root[0] + dice.bell(0, r if kind == "grass" else r * 0.2), root[1])
        canvas.stroke(page, foot, tip, (r * thick, r * 0.03), green, volume=0.15, soft=soft)
        if kind == "flower":
            for k in range(5):
                leaf = around(tip, 72 * k, r * 0.2)
                canvas.ellipse(page, leaf, (r * 0.17, r * 0.17), petal, soft=soft)
            canvas.ellipse(page, tip, (r * 0.13, r * 0.13), mix(petal, BLACK, 0.5), soft=soft)


def occlude(a: Attributes, dice: Dice, canvas: Canvas) -> None:
    """Put things in front, at the rim of the head and below it rather than on the face."""
    page = Frame(canvas.size, (a.x, a.y), 1.0, 0.0)
    for _ in range(a.occluders):
        kind = dice.pick(_IN_FRONT[a.background >= len(ROOMS)])
        r = a.head_size * dice.uniform(0.35, 0.7)
        low = min(a.head_size * dice.uniform(1.8, 3.2), 1 - a.y - r / 3)
        if kind == "fence":
            low = a.head_size * dice.uniform(0.7, 1.6)
        elif kind in {"grass", "flower", "plant"}:  # from the lower edge to chin or nose
            low = 1.05 - a.y
            r = max(low - a.head_size * dice.uniform(-0.1, 0.9), 0.1) / 2.2
        _thing(dice, canvas, page, kind, (a.head_size * dice.bell(0, 1.6), low), r=r)


def photograph(a: Attributes, dice: Dice, canvas: Canvas) -> NDArray[np.uint8]:
    """Take the photo: light across the scene, a shadow, white balance, contrast, noise."""
    size = canvas.size
    page = Frame(size, (0.5, 0.5), 0.5, a.light_angle)
    gain = np.float32(a.brightness) * (1 - page.u * np.float32(a.light_strength))
    if dice.chance(0.35):  # something outside the image throws a shadow
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
