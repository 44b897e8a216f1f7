"""Animals by what is drawn of them: the parts of a species, and how each drawing varies.

A person tells a cat from a dog by the parts and how they fit together (ears, muzzle, pupils, nose,
mouth, whiskers, shape of the head, tail); no single one of them decides.
"""

from dataclasses import dataclass
from typing import Final

from cvlab.drawing.canvas import Dice
from cvlab.drawing.colors import COATS, GARDENS, IRISES, MARKS, ROOMS

CLASSES: Final = ("cat", "dog")

# Three kinds of each telling part: one leaning to cats, one that both have, one leaning to dogs;
# how much a person makes of it; and how often the leaning kind is tried before drawings with too
# little evidence are thrown away. The shares are set so that no part alone tells the class in more
# than three of four drawings.
_CUES: Final[dict[str, tuple[tuple[str, str, str], float, float]]] = {
    "ears": (("pointed", "folded", "floppy"), 3.0, 0.33),
    "muzzle": (("short", "medium", "long"), 3.0, 0.33),
    "pupils": (("slit", "round", "dark"), 2.0, 0.36),
    "nose": (("button", "oval", "broad"), 1.5, 0.37),
    "mouth": (("double", "line", "tongue"), 1.5, 0.37),
    "whiskers": (("full", "few", "none"), 1.5, 0.37),
    "head": (("wide", "round", "tall"), 1.0, 0.34),
    "tail": (("slim", "hidden", "bushy"), 0.5, 0.4),
}
# Of 14, the least and the greatest weight of telling parts that a drawing carries: enough for a
# person, and none so rich that the others would have to be poor.
_EVIDENCE: Final = (5.5, 7.0)

# The zoo: kinds of the same parts in the order of `_CUES`, each word with equal probability, and a
# mark of the species' own. The rows differ in what the cues differ in, so that a network that
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


ZOO_PARTS: Final = _read_zoo(_ZOO_TABLE)
ZOO: Final[tuple[str, ...]] = tuple(ZOO_PARTS)
# The number of a species is part of what its drawings are made from: append, never reorder.
SERIES: Final = {species: index for index, species in enumerate((*CLASSES, *ZOO))}


@dataclass(frozen=True, slots=True)
class Attributes:
    """Everything that was sampled for one drawing, before any pixel.

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
        head_size: Radius of the head as a share of the image's width.
        x: Center of the head as a share of the image's width.
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
        brightness: Of the image.
        contrast: Of the image.
        warmth: Red against blue.
        noise: Standard deviation of the camera's noise, in gray levels of 255.
        background: Index of the room or garden.
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
    """Sample a pet's telling parts until they carry the right evidence for its class."""
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
    """
    return sorted({kind for parts, _ in ZOO_PARTS.values() for kind in parts[part]})


def attributes(species: str, number: int, *, seed: int = 0) -> Attributes:
    """Sample what one drawing shows.

    Args:
        species: One of `CLASSES` or `ZOO`.
        number: Which drawing of the species, from 0.
        seed: Another seed gives another, independent series of drawings.

    Returns:
        The record from which `toypets.draw` makes the image; the same at every size.

    Raises:
        ValueError: For an unknown species, or a negative number or seed.
    """
    if species not in SERIES:
        raise ValueError(f"unknown species {species!r}; choose one of {', '.join(SERIES)}")
    if number < 0 or seed < 0:
        raise ValueError(f"number ({number}) and seed ({seed}) must not be negative")
    dice = Dice(seed, SERIES[species], number, 0)
    if species in CLASSES:
        parts = _pet_parts(dice, 2 * CLASSES.index(species))
    else:
        parts = {part: dice.pick(kinds) for part, kinds in ZOO_PARTS[species][0].items()}
    pose = dice.pick(("portrait", "portrait", "sitting", "sitting", "standing"))
    alone = pose == "portrait"
    coat = dice.whole(len(COATS))
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
        marks=dice.pick([mark for mark in MARKS if mark != coat]),
        iris=dice.whole(len(IRISES)),
        nose_shade=shade,
        tongue_shade=dice.unit() * dice.unit(),
        whisker_shade=float(dice.chance(0.5)),
        head_size=dice.uniform(0.14, 0.36) if alone else dice.uniform(0.11, 0.21),
        x=dice.bell(0.5, 0.3),
        y=dice.bell(0.5, 0.2) if alone else dice.bell(0.42, 0.16),
        rotation=dice.bell(0, 20),
        tilt=dice.bell(0, 48),
        yaw=dice.uniform(-1, 1),
        stretch=dice.bell(1, 0.2),
        ear_size=dice.bell(1, 0.3),
        ear_spread=dice.bell(1, 0.24),
        eye_size=dice.bell(0.9 + 0.04 * lean, 0.3),
        eye_slant=dice.bell(8 + 4 * lean, 14),
        eye_gap=dice.bell(1, 0.14),
        muzzle_size=dice.bell(1 - 0.03 * lean, 0.2),
        nose_size=dice.bell(1, 0.3),
        fluff=dice.uniform(0, 0.055),
        light_angle=dice.uniform(0, 360),
        light_strength=dice.uniform(0.1, 0.5),
        brightness=dice.bell(1, 0.24),
        contrast=dice.bell(0.95, 0.3),
        warmth=dice.bell(0, 0.05),
        noise=dice.uniform(1, 4),
        background=dice.whole(len(ROOMS) + len(GARDENS)),
        clutter=2 + dice.whole(7),
        occluders=dice.whole(4),
    )
