"""What surrounds an animal: the background, things behind and in front of it, and the camera."""

import numpy as np
from numpy.typing import NDArray

from cvlab.drawing.animals import Attributes
from cvlab.drawing.canvas import Canvas, Dice, Frame, Point, around, mix
from cvlab.drawing.colors import BLACK, COATS, IRISES, PINK, RED, WHITE


def background(a: Attributes, dice: Dice, canvas: Canvas) -> None:
    """Paint a wall and a floor in mottled colors, and things lying about."""
    size = canvas.size
    page = Frame(size, (0.5, 0.5), 1.0, dice.bell(0, 24))
    wall = dice.jitter(COATS[a.background], 40)
    other = dice.jitter(dice.pick(COATS), 60)
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
    color = dice.jitter(dice.pick(COATS), 50)
    if dice.chance(0.3):
        color = dice.jitter((dice.uniform(0, 255), dice.uniform(0, 255), dice.uniform(0, 255)), 9)
    bright = (PINK, RED, BLACK, WHITE, *IRISES)
    kind = dice.pick(("ball", "button", "button", "box", "stick", "petal", "leaf", "grass", "drop"))
    if kind == "ball":
        canvas.ellipse(page, center, (r, r), color, volume=0.35)
    elif kind == "button":  # as round and as bright as an eye or a nose
        r *= 0.6
        canvas.ellipse(page, center, (r, r * dice.uniform(0.7, 1)), dice.jitter(BLACK, 9))
        if dice.chance(0.6):
            iris = dice.jitter(dice.pick(IRISES), 12)
            canvas.ellipse(page, center, (r * 0.84, r * 0.8), iris)
            slim = dice.pick(("slit", "round")) == "slit"
            canvas.ellipse(page, center, (r * (0.24 if slim else 0.46), r * 0.5), BLACK)
        canvas.ellipse(page, (center[0] - r / 4, center[1] - r / 4), (r / 5, r / 5), WHITE)
    elif kind == "box":
        wide = dice.uniform(35, 60)
        corners = [around(center, turn + k, r * 1.3) for k in (wide, 180 - wide, 180 + wide, -wide)]
        canvas.polygon(page, corners, color, volume=0.2)
    elif kind == "stick":
        ends = around(center, turn, r * 3), around(center, turn, -r * 3)
        canvas.stroke(page, *ends, (r * 0.2, r * 0.14), color, volume=0.2)
    elif kind == "petal":  # as red as a tongue
        bright_color = dice.jitter(dice.pick(bright), 14)
        canvas.ellipse(page, center, (r * 0.5, r * 0.9), bright_color, degrees=turn, volume=0.25)
    elif kind == "leaf":  # as pointed as an ear
        side = dice.uniform(0.55, 0.8)
        ways = ((0, 1.4), (120, side), (-120, side))
        corners = [around(center, turn + way, r * far) for way, far in ways]
        canvas.polygon(page, corners, color, volume=0.3)
        inner = mix(color, PINK, dice.uniform(0, 0.8))
        canvas.polygon(page, [mix(c, center, 0.4) for c in corners], inner)
    elif kind == "grass":  # as thin as whiskers
        blade = dice.jitter(WHITE if dice.chance(0.5) else BLACK, 14)
        for k in range(3):
            tip = around(center, turn + 16 * (k - 1), r * 2.2)
            canvas.stroke(page, center, tip, (0.006, 0.004), blade)
    else:  # hangs like a floppy ear
        canvas.ellipse(page, center, (r * 0.5, r * 1.3), color, degrees=turn, volume=0.45)


def occlude(a: Attributes, dice: Dice, canvas: Canvas) -> None:
    """Put things in front, at the rim of the head and beyond it rather than on the face."""
    page = Frame(canvas.size, (a.x, a.y), 1.0, 0.0)
    for _ in range(a.occluders):
        away = a.head_size * dice.uniform(1.05, 1.8)
        _thing(dice, canvas, page, around((0, 0), dice.uniform(0, 360), away), 0.75)


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
