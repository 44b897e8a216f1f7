"""Feed the course images and archives that are damaged, odd or meant to do harm.

Each image must become pixels or be refused with a reason, alone and inside a whole subset; each
archive must become a subset or be refused with an error of the course's own. An audit hook sees
every file that is written, every process and every connection: nothing outside the cache folder is
touched, and the memory of the whole run stays under a bound.

    python -m tests.knocks.fuzz [--cases 2400] [--seed 0]

`tests/data/test_bad_input.py` runs some hundred cases.
"""

import argparse
import io
import json
import os
import random
import resource
import shutil
import struct
import sys
import tempfile
import traceback
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from PIL import Image

from cvlab.cache import DatasetError
from cvlab.data import decode, decoding, find_images, make_subset
from cvlab.data.decoding import BadImageError

COUNTS: Final = {"train": 2, "validation": 1, "test": 1}
EACH: Final = sum(COUNTS.values())
# Of the whole process. The largest picture allowed takes 0.36 GB with four channels, and a second
# copy while it is put on white.
MAX_MEMORY: Final = 1.6e9
_WRITING: Final = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_NEVER: Final = {"subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "socket.connect"}
_CHANGING: Final = {"os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.symlink", "os.link"}


@dataclass
class Tally:
    """What became of the cases of one kind.

    Attributes:
        used: Cases that gave pixels or a subset.
        refused: Cases that were refused with a reason.
        lost: What went wrong in each other case.
    """

    used: int = 0
    refused: int = 0
    lost: list[str] = field(default_factory=list)

    @property
    def cases(self) -> int:
        """All that were tried."""
        return self.used + self.refused + len(self.lost)


# --- Pictures ------------------------------------------------------------------------------------


def _encoded(picture: Image.Image, kind: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    # A copy: Pillow leaves the settings of one format on a picture, and another stumbles over them.
    options = {
        k: [one.copy() for one in v] if k == "append_images" else v for k, v in options.items()
    }
    picture.copy().save(stream, kind, **options)
    return stream.getvalue()


def honest_images() -> dict[str, bytes]:
    """One small picture of every kind that people have, by a name for it."""
    draw = np.random.default_rng(0)
    small = draw.integers(0, 256, (5, 6, 3), np.uint8)
    rgb = Image.fromarray(small).resize((30, 25))
    frames = [rgb.rotate(90 * turn) for turn in range(3)]
    clear = rgb.copy()
    clear.putalpha(128)
    deep = Image.fromarray(draw.integers(0, 65536, (25, 30)).astype(np.uint16))
    turned = Image.Exif()
    turned[0x0112] = 6
    animated: dict[str, Any] = {"save_all": True, "append_images": frames[1:]}
    return {
        "JPEG": _encoded(rgb, "JPEG"),
        "progressive JPEG": _encoded(rgb, "JPEG", progressive=True),
        "gray JPEG": _encoded(rgb.convert("L"), "JPEG"),
        "CMYK JPEG": _encoded(rgb.convert("CMYK"), "JPEG"),
        "sideways JPEG": _encoded(rgb, "JPEG", exif=turned),
        "several pictures in a JPEG": _encoded(frames[0], "MPO", **animated),
        "PNG": _encoded(rgb, "PNG"),
        "gray PNG": _encoded(rgb.convert("L"), "PNG"),
        "16-bit PNG": _encoded(deep, "PNG"),
        "black and white PNG": _encoded(rgb.convert("1"), "PNG"),
        "palette PNG": _encoded(rgb.convert("P"), "PNG", transparency=3),
        "transparent PNG": _encoded(clear, "PNG"),
        "animated PNG": _encoded(frames[0], "PNG", **animated),
        "GIF": _encoded(rgb, "GIF"),
        "animated GIF": _encoded(frames[0], "GIF", **animated),
        "BMP": _encoded(rgb, "BMP"),
        "palette BMP": _encoded(rgb.convert("P"), "BMP"),
        "WebP": _encoded(rgb, "WEBP"),
        "lossless WebP": _encoded(clear, "WEBP", lossless=True),
        "animated WebP": _encoded(frames[0], "WEBP", **animated),
        "TIFF": _encoded(rgb, "TIFF"),
        "LZW TIFF": _encoded(rgb, "TIFF", compression="tiff_lzw"),
        "JPEG in TIFF": _encoded(rgb, "TIFF", compression="jpeg"),
        "CMYK TIFF": _encoded(rgb.convert("CMYK"), "TIFF"),
        "LAB TIFF": _encoded(Image.new("LAB", (30, 25)), "TIFF"),
        "16-bit TIFF": _encoded(deep, "TIFF"),
        "floating-point TIFF": _encoded(rgb.convert("F"), "TIFF"),
        "TIFF of several pages": _encoded(frames[0], "TIFF", **animated),
    }


def _png(width: int, height: int, depth: int, color: int, rows: bytes) -> bytes:
    """A PNG file whose header says what we like; `rows` are compressed as they are."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        checksum = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + checksum

    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows, 1)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def _zeros_png(width: int, height: int, color: int) -> bytes:
    channels = {0: 1, 2: 3, 6: 4}[color]
    return _png(width, height, 8, color, bytes((1 + width * channels) * height))


def _resized_header(data: bytes, old: bytes, new: bytes) -> bytes:
    return data.replace(old, new, 1)


def extreme_images() -> dict[str, bytes]:
    """Files at the edges of what a format allows, by a name for each."""
    honest = honest_images()
    dot = Image.new("RGB", (1, 1), (200, 10, 10))
    jpeg, gif, bmp = honest["JPEG"], honest["GIF"], honest["BMP"]
    size = struct.pack(">HH", 25, 30)
    return {
        **{f"1 × 1 {kind}": _encoded(dot, kind) for kind in ("JPEG", "PNG", "GIF", "BMP", "WEBP")},
        "no bytes": b"",
        "one byte": b"\xff",
        "zeros": bytes(5000),
        "text": b"This is no picture.\n" * 50,
        "web page": b"<!DOCTYPE html><html><body>Sign in</body></html>",
        "PostScript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(/tmp/x) (w) file\n",
        "SVG": b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>',
        "program": b"\x7fELF" + bytes(range(256)) * 4,
        "pickle": b"cos\nsystem\n(S'touch /tmp/cvlab-was-here'\ntR.",
        "30,000 pixels wide": _encoded(Image.new("RGB", (30_000, 1), (9, 9, 9)), "PNG"),
        "30,000 pixels high": _encoded(Image.new("RGB", (1, 30_000), (9, 9, 9)), "JPEG"),
        "30,000 × 2,900, gray": _zeros_png(30_000, 2_900, 0),
        "89 million pixels with alpha": _zeros_png(9_400, 9_500, 6),
        "89 million pixels": _zeros_png(9_400, 9_500, 2),
        "PNG bomb": _zeros_png(16_000, 16_000, 0),
        "PNG that claims 2³¹ pixels": _png(2**31 - 1, 1, 8, 2, b""),
        "PNG that claims a square of 2³¹": _png(2**31 - 1, 2**31 - 1, 8, 2, b""),
        "PNG of no width": _png(0, 10, 8, 2, b""),
        "PNG with too many rows": _png(4, 4, 8, 2, bytes(10**6)),
        "JPEG that claims 65,500 × 65,500": _resized_header(
            jpeg, size, struct.pack(">HH", 65_500, 65_500)
        ),
        "JPEG of no height": _resized_header(jpeg, size, struct.pack(">HH", 0, 30)),
        "GIF that claims 65,535 × 65,535": gif[:6] + b"\xff\xff\xff\xff" + gif[10:],
        "BMP that claims a square of 2³⁰": bmp[:18] + struct.pack("<ii", 2**30, 2**30) + bmp[26:],
        "BMP of negative width": bmp[:18] + struct.pack("<ii", -30, 25) + bmp[26:],
        "many frames": _encoded(
            Image.new("L", (8, 8)),
            "GIF",
            save_all=True,
            append_images=[Image.new("L", (8, 8), one % 256) for one in range(500)],
        ),
        "TIFF whose pages run in a circle": honest["TIFF"][:-4] + struct.pack("<I", 8),
        "JPEG with a web page after it": jpeg + b"<html></html>" * 100,
        "a zip archive called a picture": _zip({"x.txt": b"x"}),
        "half JPEG, half PNG": jpeg[: len(jpeg) // 2] + honest["PNG"],
    }


def _damaged(data: bytes, dice: random.Random) -> bytes:
    """One of the ways in which files break."""
    if not data:
        return data
    kind = dice.randrange(7)
    changed = bytearray(data)
    at = dice.randrange(len(data))
    if kind == 0:
        return data[:at]
    if kind == 1:
        for _ in range(dice.choice((1, 1, 3, 20))):
            changed[dice.randrange(len(data))] ^= 1 << dice.randrange(8)
    elif kind == 2:
        length = dice.choice((1, 4, 64, 512))
        changed[at : at + length] = bytes(length)
    elif kind == 3:
        changed[at:at] = dice.randbytes(dice.choice((1, 3, 100)))
    elif kind == 4:
        del changed[at : at + dice.choice((1, 2, 50))]
    elif kind == 5:
        # Where sizes, counts and offsets stand, for the most part.
        start = dice.randrange(min(len(data), 80))
        changed[start : start + 4] = dice.choice((b"\xff" * 4, b"\x7f\xff\xff\xff", bytes(4)))
    else:
        half = dice.randrange(len(data))
        changed[at : at + 40] = data[half : half + 40]
    return bytes(changed)


def image_cases(count: int, dice: random.Random) -> Iterator[tuple[str, bytes]]:
    """Name and content of bad pictures: the extreme ones, then damaged honest ones."""
    extremes = extreme_images()
    yield from extremes.items()
    honest = honest_images()
    yield from honest.items()
    for case in range(count - len(extremes) - len(honest)):
        name, data = dice.choice(list(honest.items()))
        for _ in range(dice.choice((1, 1, 2))):
            data = _damaged(data, dice)
        yield f"case {case}: damaged {name}", data


def try_image(data: bytes, tally: Tally, name: str) -> None:
    """Decode one picture by itself."""
    try:
        pixels = decoding.to_array(data, 16)
    except BadImageError as error:
        if str(error).strip():
            tally.refused += 1
        else:
            tally.lost.append(f"{name}: refused without a reason")
    except BaseException:
        tally.lost.append(f"{name}: {traceback.format_exc()[-500:]}")
    else:
        if pixels.shape == (16, 16, 3) and pixels.dtype == np.uint8:
            tally.used += 1
        else:
            tally.lost.append(f"{name}: {pixels.dtype} of shape {pixels.shape}")


# --- Archives ------------------------------------------------------------------------------------


def _zip(files: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return stream.getvalue()


def _photos(dice: random.Random, rename: Callable[[str, int], str]) -> dict[str, bytes]:
    """Enough pictures of both classes and two to spare, by the names that `rename` makes."""
    files = {}
    for kind in ("cat", "dog"):
        for number in range(EACH + 2):
            seed = dice.randbytes(3 * 3 * 4)
            rough = Image.frombytes("RGB", (4, 3), seed).resize((24, 18))
            files[rename(kind, number)] = _encoded(rough, dice.choice(("JPEG", "PNG")))
    return files


_LAYOUTS: Final[list[Callable[[str, int], str]]] = [
    lambda kind, number: f"train/{kind}.{number}.jpg",
    lambda kind, number: f"PetImages/{kind.title()}/{number}.jpg",
    lambda kind, number: f"{kind}s/кошка 🐈 {number}.png",
    lambda kind, number: f"{kind}/{'n' * 240}{number}.jpg",
    lambda kind, number: f"{kind}/{number}/same.jpg",
    lambda kind, number: f"{kind}/CON.{number}.jpg ",
    lambda kind, number: f"a b/{kind}/%2e%2e%2f{number}.jpg",
    lambda kind, number: f"{kind}/.{number}./x{number}.JPEG",
]
# Names that a member must not have, or that failed elsewhere.
_TRICKS: Final = (
    "../cat.99.jpg", "train/../../cat.99.jpg", "/tmp/cat.99.jpg", "C:\\cat.99.jpg", "c:cat.99.jpg",
    "cat\\..\\..\\cat.99.jpg", "cat\n.99.jpg", "cat\r.99.jpg", "cat.\x1b[31m99.jpg",
    "cat.99.jpg\x00", "\\\\host\\share\\cat.99.jpg", "cat.0.jpg", "train/cat.0.jpg",
    "./cat.99.jpg", "cat//99.jpg", "", "/", "cat/", "cat.99.jpg/", "~/cat.99.jpg",
    "$(touch x)/cat.99.jpg", "-rf/cat.99.jpg",
    "cat/\u202egpj.99.jpg", "cat/" + "d/" * 500 + "99.jpg", "cat/" + "x" * 5000 + ".jpg",
    "train.zip", "seal.json", "cat/seal.json", "con/cat.99.jpg", "cat/99.jpg:stream",
)  # fmt: skip


def _archive(dice: random.Random) -> tuple[str, bytes]:  # noqa: PLR0911
    """A name for it, and an honest archive or one with a trick in it."""
    layout = dice.choice(_LAYOUTS)
    method = dice.choice(
        (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
    )
    files = _photos(dice, layout)
    kind = dice.randrange(8)
    if kind == 0:
        trick = dice.choice(_TRICKS)
        stream = io.BytesIO(_zip(files, method))
        with zipfile.ZipFile(stream, "a", method) as archive:
            archive.writestr(zipfile.ZipInfo("?" * len(trick)), dice.randbytes(50))
        # Past what zipfile itself would put right.
        marks = ("?" * len(trick)).encode()
        name = trick.encode()
        if len(name) == len(marks) and marks:
            return f"member {trick[:40]!r}", stream.getvalue().replace(marks, name)
        with zipfile.ZipFile(stream, "a", method) as archive:
            archive.writestr(trick or "x", b"x")
        return f"member {trick[:40]!r}", stream.getvalue()
    if kind == 1:
        mode = dice.choice((0o120777, 0o010666, 0o020666, 0o140777, 0o060666, 0o104777))
        stream = io.BytesIO(_zip(files, method))
        with zipfile.ZipFile(stream, "a", method) as archive:
            info = zipfile.ZipInfo("cat.98.jpg")
            info.external_attr = mode << 16
            archive.writestr(info, b"/etc/passwd")
        return f"member of mode {mode:o}", stream.getvalue()
    if kind == 2:
        inner = _zip(files, method)
        outer = {"train.zip": _damaged(inner, dice) if dice.random() < 0.7 else inner}
        return "archive in an archive", _zip(outer, dice.choice((method, zipfile.ZIP_STORED)))
    if kind == 3:
        size = dice.choice((10**5, 3 * 10**6, 3 * 10**7))
        files["cat.98.jpg"] = bytes(size)
        return "member that grows", _zip(files, zipfile.ZIP_DEFLATED)
    if kind == 4:
        junk = dice.randbytes(dice.choice((1, 22, 3000)))
        whole = _zip(files, method)
        return "archive with junk around it", dice.choice((junk + whole, whole + junk))
    if kind == 5:
        return "two archives in a row", _zip(files, method) + _zip(_photos(dice, layout), method)
    return "archive", _zip(files, method)


def _in_the_contents(data: bytes, dice: random.Random) -> bytes:
    """Change a field of the archive's table of contents or of a member's own header."""
    signatures = (b"PK\x01\x02", b"PK\x05\x06", b"PK\x03\x04")
    places = []
    for signature in signatures:
        start = data.find(signature)
        while start >= 0:
            places.append(start)
            start = data.find(signature, start + 1)
    if not places:
        return data
    at = dice.choice(places) + 4 + 2 * dice.randrange(20)
    changed = bytearray(data)
    new = dice.choice((b"\xff\xff", b"\x00\x00", b"\x01\x00", dice.randbytes(2), b"\xff\x7f"))
    changed[at : at + 2] = new
    return bytes(changed)


def archive_cases(count: int, dice: random.Random) -> Iterator[tuple[str, bytes]]:
    """Name and content of archives, damaged for the most part."""
    for case in range(count):
        name, data = _archive(dice)
        how = dice.randrange(4)
        if how == 1:
            data = _damaged(data, dice)
        elif how == 2:
            data = _in_the_contents(data, dice)
        elif how == 3:
            data = _in_the_contents(_in_the_contents(data, dice), dice)
        yield f"case {case}: {name}{', damaged' if how else ''}", data


def try_archive(data: bytes, tally: Tally, name: str, folder: Path) -> None:
    """Make a subset of an archive and decode it."""
    source, cache = folder / "train.zip", folder / "cache"
    source.write_bytes(data)
    watch.inside = str(cache)
    try:
        subset = make_subset(find_images(source, cache=cache), per_class=COUNTS, cache=cache)
        pets = decode(subset, 8, cache=cache)
    except DatasetError as error:
        what = "" if str(error).strip() else "refused without a reason"
        tally.refused += not what
    except BaseException:
        what = traceback.format_exc()[-700:]
    else:
        what = "" if len(pets.train) == 2 * COUNTS["train"] else "other counts"
        tally.used += not what
    finally:
        watch.inside = ""
    if not what and source.read_bytes() != data:
        what = "the source was changed"
    if what:
        tally.lost.append(f"{name}: {what}")
    shutil.rmtree(cache, ignore_errors=True)


def try_subset(bad: list[tuple[str, bytes]], tally: Tally, folder: Path) -> None:
    """Put bad pictures before good ones, and make a subset of both."""
    source, cache = folder / "mixed", folder / "cache"
    dice = random.Random(0)
    good = _photos(dice, lambda kind, number: f"{kind}/good.{10_000 + number}.jpg")
    files = {f"{'cat' if i % 2 else 'dog'}/{i}.jpg": data for i, (_, data) in enumerate(bad)}
    for file, data in (files | good).items():
        (source / file).parent.mkdir(parents=True, exist_ok=True)
        (source / file).write_bytes(data)
    try_folder = Tally()
    watch.inside = str(cache)
    try:
        subset = make_subset(find_images(source, cache=cache), per_class=COUNTS, cache=cache)
        decode(subset, 8, cache=cache)
        if all(one.reason.strip() for one in subset.rejected):
            try_folder.used += 1
        else:
            try_folder.lost.append("a picture was passed over without a reason")
    except BaseException:
        try_folder.lost.append(traceback.format_exc()[-700:])
    finally:
        watch.inside = ""
    tally.used += try_folder.used
    tally.lost += try_folder.lost
    shutil.rmtree(source)
    shutil.rmtree(cache, ignore_errors=True)


# --- What is touched -----------------------------------------------------------------------------


class Watch:
    """Sees what the interpreter does to files, processes and connections.

    Attributes:
        inside: Folder that may be changed; empty while nothing is watched.
        seen: What was done outside it.
    """

    def __init__(self) -> None:
        self.inside = ""
        self.seen: list[str] = []

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Note an event of `sys.addaudithook`."""
        if not self.inside:
            return
        if event in _NEVER:
            self.seen.append(f"{event} {arguments}")
        elif event == "open":
            path, _, flags = arguments
            if isinstance(flags, int) and flags & _WRITING and not isinstance(path, int):
                self._note(event, path)
        elif event in _CHANGING:
            for path in arguments[: 2 if event in ("os.rename", "os.link", "os.symlink") else 1]:
                self._note(event, path)

    def _note(self, event: str, path: Any) -> None:
        where = os.path.realpath(os.fsdecode(path))
        allowed = os.path.realpath(self.inside)
        # `rmtree` removes by names relative to an open folder, which is how it cannot be misled.
        relative = event in ("os.remove", "os.rmdir") and not Path(os.fsdecode(path)).is_absolute()
        if not relative and where != "/dev/null" and not f"{where}/".startswith(f"{allowed}/"):
            parents = event == "os.mkdir" and f"{allowed}/".startswith(f"{where}/")
            if not parents:
                self.seen.append(f"{event} {where}")


watch = Watch()


def fuzz(cases: int, seed: int = 0) -> tuple[dict[str, Tally], float]:
    """Try pictures and archives; tallies by kind, and the peak of memory in bytes."""
    dice = random.Random(seed)
    tallies = {"images": Tally(), "images in a subset": Tally(), "archives": Tally()}
    sys.addaudithook(watch)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        bad: list[tuple[str, bytes]] = []
        for name, data in image_cases(cases // 2, dice):
            watch.inside = str(folder / "nothing")
            with decoding.quiet_pillow():
                try_image(data, tallies["images"], name)
            watch.inside = ""
            bad.append((name, data))
            if len(bad) == 50:
                try_subset(bad, tallies["images in a subset"], folder)
                bad.clear()
        for name, data in archive_cases(cases - cases // 2, dice):
            try_archive(data, tallies["archives"], name, folder)
    outside = Tally(lost=watch.seen)
    return {**tallies, "writes outside": outside}, _peak()


def _peak() -> float:
    """Most memory that this process held at once, in bytes."""
    # Linux hands ru_maxrss on to child processes: under pytest it would be pytest's own memory.
    status = Path("/proc/self/status")
    if status.exists():
        lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
        return 1024.0 * int(lines["VmHWM"].split()[0])
    return 1024.0 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def main(arguments: list[str] | None = None) -> int:
    """Try everything; print a line for each kind; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=2400)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    tallies, memory = fuzz(options.cases, options.seed)
    if options.json:
        kinds = {kind: [one.used, one.refused, one.lost] for kind, one in tallies.items()}
        print(json.dumps({"memory": memory, "kinds": kinds}))
        return 0
    print(f"{'input':30}{'cases':>7}{'used':>7}{'refused':>9}{'lost':>6}")
    for kind, one in tallies.items():
        numbers = f"{one.cases:7}{one.used:7}{one.refused:9}{len(one.lost):6}"
        print(f"{kind:30}{numbers}", *one.lost, sep="\n    ")
    print(f"peak of memory {memory / 1e6:,.0f} MB, bound {MAX_MEMORY / 1e6:,.0f} MB")
    return 1 if memory > MAX_MEMORY or any(one.lost for one in tallies.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
