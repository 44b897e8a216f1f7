"""The colors of animals and things: red, green and blue in gray levels from 0 to 255."""

from typing import Final

from cvlab.drawing.canvas import Color

COATS: Final[tuple[Color, ...]] = (
    (214, 132, 58), (84, 80, 84), (142, 140, 144), (236, 230, 222), (222, 196, 156), (128, 86, 56),
    (112, 78, 60), (112, 124, 142), (226, 172, 96), (176, 152, 128), (206, 160, 150), (166, 98, 62),
)  # fmt: skip
IRISES: Final[tuple[Color, ...]] = (
    (196, 178, 62), (126, 168, 82), (110, 160, 190), (178, 118, 52), (110, 74, 44), (84, 56, 36),
)  # fmt: skip
BLACK: Final = (30, 24, 26)
PINK: Final = (214, 128, 124)
RED: Final = (232, 104, 122)
WHITE: Final = (248, 246, 242)
