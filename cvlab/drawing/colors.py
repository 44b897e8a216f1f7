"""The colors of animals, things and places: red, green and blue in gray levels from 0 to 255."""

from typing import Final

from cvlab.drawing.canvas import Color

# The last three are those of marks, too: on any coat they are natural.
COATS: Final[tuple[Color, ...]] = (
    (206, 132, 68), (138, 136, 138), (222, 198, 160), (158, 100, 64), (112, 118, 130),
    (212, 166, 102), (178, 152, 124), (122, 86, 62), (196, 178, 150),
    (236, 231, 222), (66, 61, 62), (92, 66, 50),
)  # fmt: skip
MARKS: Final = (9, 10, 11)
IRISES: Final[tuple[Color, ...]] = (
    (196, 178, 62), (126, 168, 82), (110, 160, 190), (178, 118, 52), (110, 74, 44), (84, 56, 36),
)  # fmt: skip
# What is far and what is near in a place: walls and floors of rooms, then hedges, fences, sky and
# bricks above lawns and paths.
ROOMS: Final[tuple[tuple[Color, Color], ...]] = (
    ((226, 218, 202), (160, 118, 80)), ((198, 206, 208), (142, 138, 134)),
    ((190, 174, 152), (96, 74, 60)), ((156, 168, 150), (188, 150, 108)),
    ((124, 114, 108), (186, 178, 166)), ((106, 118, 134), (150, 112, 76)),
    ((178, 146, 122), (120, 108, 100)), ((214, 196, 176), (110, 120, 122)),
)  # fmt: skip
GARDENS: Final[tuple[tuple[Color, Color], ...]] = (
    ((74, 98, 58), (116, 146, 74)), ((180, 204, 222), (104, 134, 66)),
    ((110, 128, 90), (162, 152, 104)), ((148, 120, 92), (96, 122, 62)),
    ((152, 100, 84), (164, 156, 144)), ((92, 112, 96), (134, 156, 88)),
)  # fmt: skip
FABRICS: Final[tuple[Color, ...]] = (
    (158, 78, 66), (70, 94, 122), (104, 126, 104), (214, 196, 160), (198, 148, 72), (74, 74, 80),
    (232, 228, 220), (128, 104, 90), (208, 108, 98),
)  # fmt: skip
PETALS: Final[tuple[Color, ...]] = (
    (218, 100, 96), (240, 232, 226), (232, 192, 72), (170, 128, 178),
)  # fmt: skip
LEAF: Final = (88, 122, 62)
BLACK: Final = (30, 24, 26)
PINK: Final = (214, 128, 124)
RED: Final = (222, 114, 102)
WHITE: Final = (248, 246, 242)
