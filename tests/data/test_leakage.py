"""No image in two splits: not its bytes, not a copy of its looks, not an augmented view of it."""

import hashlib
import io
import re
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageEnhance

from cvlab.cache import DatasetError
from cvlab.data import duplicates, loading, locating
from cvlab.data.listing import find_images
from cvlab.data.splitting import Subset, Twins, make_subset
from tests.small_photos import encode, zip_of

COUNTS = {"train": 3, "validation": 2, "test": 2}
EACH = 7


def scene(seed: int, size: int = 96) -> Image.Image:
    """An image with a pattern of its own: soft random light and dark, in color."""
    coarse = np.random.default_rng(seed).integers(0, 256, (9, 9, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((size, size), Image.Resampling.BICUBIC)


def jpeg(image: Image.Image, quality: int = 90) -> bytes:
    return encode(image, quality=quality)


def again(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


COPIES: Mapping[str, Callable[[Image.Image], Image.Image]] = {
    "saved again": lambda one: again(jpeg(one, 60)),
    "smaller": lambda one: one.resize((one.width // 2, one.height // 2)),
    "larger": lambda one: one.resize((one.width * 2, one.height * 2)),
    "brighter": lambda one: ImageEnhance.Brightness(one).enhance(1.1),
    "gray": lambda one: one.convert("L"),
    "mirrored": lambda one: one.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
    "mirrored, smaller, saved again": lambda one: again(
        jpeg(one.transpose(Image.Transpose.FLIP_LEFT_RIGHT).resize((70, 70)), 60)
    ),
}


def scenes(cats: int = EACH + 2, dogs: int = EACH + 2) -> dict[str, bytes]:
    files = {f"cat.{i}.jpg": jpeg(scene(i)) for i in range(cats)}
    return files | {f"dog.{i}.jpg": jpeg(scene(1000 + i)) for i in range(dogs)}


def subset_of(folder: Path, files: Mapping[str, bytes], name: str = "photos.zip") -> Subset:
    listing = find_images(zip_of(folder / name, files))
    return make_subset(listing, per_class=COUNTS, cache=folder / "cache")


def chosen(subset: Subset, kind: str) -> dict[str, list[str]]:
    return {
        split: [entry.source for entry in entries if entry.source.startswith(kind)]
        for split, entries in subset.splits.items()
    }


# --- The fingerprint -----------------------------------------------------------------------------


def distance(one: npt.NDArray[np.uint64], other: npt.NDArray[np.uint64]) -> int:
    """Bits by which an image differs from another as it is or mirrored, counted one by one."""
    bits = np.unpackbits(np.stack([one, other]).view(np.uint8), axis=2)
    return int((bits[0] != bits[1, 0]).sum(axis=1).min())


def by_hand(cells: npt.NDArray[np.uint8]) -> list[bool]:
    return [bool(row[i + 1] > row[i]) for row in cells.astype(int) for i in range(16)]


@given(st.integers(0, 10_000))
def test_fingerprint_is_the_sign_of_the_differences(seed: int) -> None:
    cells = np.random.default_rng(seed).integers(0, 256, (16, 17), dtype=np.uint8)
    found = np.unpackbits(duplicates.fingerprint(Image.fromarray(cells)).view(np.uint8), axis=1)
    assert found[0].tolist() == by_hand(cells)
    assert found[1].tolist() == by_hand(cells[:, ::-1])


def test_cells_are_means_of_the_pixels_they_cover() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (64, 68), dtype=np.uint8)
    means = np.rint(pixels.reshape(16, 4, 17, 4).mean(axis=(1, 3))).astype(np.uint8)
    image, small = Image.fromarray(pixels), Image.fromarray(means)
    assert distance(duplicates.fingerprint(image), duplicates.fingerprint(small)) <= 4


@given(st.integers(0, 10_000))
def test_a_image_is_its_own_mirror(seed: int) -> None:
    """Of images without equal neighbors, whose order a mirror cannot turn."""
    level = np.tile(np.arange(0, 255, 15, dtype=np.uint8), (16, 1))
    cells = np.random.default_rng(seed).permuted(level, axis=1)
    found = duplicates.fingerprint(Image.fromarray(cells))
    mirrored = duplicates.fingerprint(Image.fromarray(cells[:, ::-1].copy()))
    assert (mirrored == found[::-1]).all()
    index: duplicates.Index[str] = duplicates.Index()
    index.add(found, "as it is")
    assert index.near(found) == index.near(mirrored) == ["as it is"]


@pytest.mark.parametrize("copy", COPIES)
def test_copies_are_near_and_others_far(copy: str) -> None:
    prints = [duplicates.fingerprint(scene(i)) for i in range(40)]
    for i in range(40):
        found = duplicates.fingerprint(COPIES[copy](scene(i)))
        for j, known in enumerate(prints):
            assert (distance(found, known) <= duplicates.NEAR) == (i == j)


def test_images_without_a_pattern_are_like_nothing() -> None:
    flat = [Image.new("L", (60, 40), level) for level in (0, 128, 255)]
    ramp = Image.fromarray(np.tile(np.arange(0, 204, 3, dtype=np.uint8), (40, 1)))
    index: duplicates.Index[int] = duplicates.Index()
    for number, image in enumerate([*flat, ramp]):
        found = duplicates.fingerprint(image)
        assert not duplicates.has_pattern(found)
        index.add(found, number)
        assert index.near(found) == []


@settings(max_examples=20)
@given(st.integers(0, 10_000), st.integers(1, 2500))
def test_index_finds_what_a_loop_over_all_finds(seed: int, count: int) -> None:
    random = np.random.default_rng(seed)
    prints = random.integers(0, 2**63, (count, 2, 4), dtype=np.uint64)
    prints[:, 1] = prints[:, 0]
    sought = prints[random.integers(count)].copy()
    for bit in random.choice(256, size=int(random.integers(0, 50)), replace=False):
        sought[:, bit // 64] ^= np.uint64(1) << np.uint64(bit % 64)
    index: duplicates.Index[int] = duplicates.Index()
    for number, one in enumerate(prints):
        index.add(one, number)
    near = [n for n, one in enumerate(prints) if distance(one, sought) <= 24]
    assert index.near(sought) == near


# --- The subset ----------------------------------------------------------------------------------


def test_without_duplicates_nothing_changes(tmp_path: Path) -> None:
    subset = subset_of(tmp_path, scenes())
    assert (len(subset.rejected), len(subset.twins)) == (0, 0)
    assert chosen(subset, "cat") == {
        "train": ["cat.0.jpg", "cat.1.jpg", "cat.2.jpg"],
        "validation": ["cat.3.jpg", "cat.4.jpg"],
        "test": ["cat.5.jpg", "cat.6.jpg"],
    }


@pytest.mark.parametrize("copy", COPIES)
def test_a_copy_in_another_split_is_passed_over_by_name(tmp_path: Path, copy: str) -> None:
    planted = {"cat.4.jpg": jpeg(COPIES[copy](scene(1)))}
    subset = subset_of(tmp_path, scenes() | planted)
    reason = "cat.4.jpg: nearly the same image as cat.1.jpg, which is in train"
    assert [str(one) for one in subset.rejected] == [reason]
    assert chosen(subset, "cat")["validation"] == ["cat.3.jpg", "cat.5.jpg"]
    assert reason in str(subset)


def test_a_copy_in_the_same_split_stays_and_is_reported(tmp_path: Path) -> None:
    planted = {"cat.2.jpg": jpeg(COPIES["smaller"](scene(0)))}
    subset = subset_of(tmp_path, scenes() | planted)
    assert subset.rejected == ()
    assert subset.twins == (Twins("cat.2.jpg", "cat.0.jpg", "train"),)
    assert "cat.2.jpg: nearly the same as cat.0.jpg, both in train" in str(subset)
    pets = loading.decode(subset, 8, cache=tmp_path / "cache")
    assert pets.twins == subset.twins
    assert "1 nearly the same as another one:" in str(pets)


def test_the_same_animal_under_both_names_is_passed_over(tmp_path: Path) -> None:
    planted = {"dog.0.jpg": jpeg(COPIES["saved again"](scene(0)))}
    subset = subset_of(tmp_path, scenes() | planted)
    assert [str(one) for one in subset.rejected] == [
        "dog.0.jpg: nearly the same image as cat.0.jpg, which is in train, as a cat"
    ]


def test_where_too_few_are_left_copies_join_their_twins(tmp_path: Path) -> None:
    """Exactly as many files as are wanted: the sizes stay, and so does the distance."""
    planted = {"cat.5.jpg": jpeg(COPIES["smaller"](scene(3)))}
    files = scenes(EACH, EACH) | planted
    subset = subset_of(tmp_path, files)
    assert subset.rejected == ()
    assert subset.twins == (Twins("cat.5.jpg", "cat.3.jpg", "validation"),)
    assert chosen(subset, "cat") == {
        "train": ["cat.0.jpg", "cat.1.jpg", "cat.2.jpg"],
        "validation": ["cat.3.jpg", "cat.5.jpg"],
        "test": ["cat.6.jpg", "cat.4.jpg"],  # which made room
    }
    for split, entries in subset.splits.items():
        assert [entry.label for entry in entries] == [0, 1] * COUNTS[split]
        for entry in entries:
            assert (subset.folder / split / entry.file).read_bytes() == files[entry.source]


def test_who_was_turned_away_is_told_where_its_twin_ended_up(tmp_path: Path) -> None:
    """The twin was in validation when its copy was looked at, and made room for another later."""
    planted = {
        "cat.5.jpg": jpeg(COPIES["smaller"](scene(3))),
        "cat.6.jpg": jpeg(COPIES["smaller"](scene(4))),
    }
    subset = subset_of(tmp_path, scenes(EACH + 1, EACH) | planted)
    assert chosen(subset, "cat")["test"] == ["cat.7.jpg", "cat.4.jpg"]
    assert [str(one) for one in subset.rejected] == [
        "cat.6.jpg: nearly the same image as cat.4.jpg, which is in test"
    ]


def test_copies_that_cannot_join_are_too_few(tmp_path: Path) -> None:
    planted = {"dog.6.jpg": jpeg(COPIES["smaller"](scene(3)))}
    with pytest.raises(DatasetError, match=r"dog\.6\.jpg: nearly the same image as cat\.3\.jpg"):
        subset_of(tmp_path, scenes(EACH, EACH) | planted)


@settings(max_examples=25)
@given(
    st.lists(
        st.tuples(st.integers(0, 17), st.integers(0, 17), st.sampled_from(sorted(COPIES))),
        max_size=4,
    ),
    st.none() | st.integers(0, 2),
    st.integers(0, 2),
)
def test_whatever_is_planted_nothing_is_in_two_splits(
    tmp_path_factory: pytest.TempPathFactory,
    plants: list[tuple[int, int, str]],
    seed: int | None,
    spare: int,
) -> None:
    """Chains of copies too, whether there are images to spare or not."""
    base = tmp_path_factory.mktemp("planted")
    names = [f"{kind}.{i}.jpg" for kind in ("cat", "dog") for i in range(9)]
    looks = {name: scene(number) for number, name in enumerate(names)}
    for place, of, how in plants:
        looks[names[place]] = COPIES[how](looks[names[of]])
    files = {n: jpeg(looks[n]) for n in names if int(n.split(".")[1]) < EACH + spare}
    path = zip_of(base / "p.zip", files)
    try:
        subset = make_subset(find_images(path), per_class=COUNTS, seed=seed, cache=base / "c")
    except DatasetError as error:
        assert "Too few images" in str(error)
        return
    every = [(split, entry) for split, entries in subset.splits.items() for entry in entries]
    prints = [
        duplicates.fingerprint(again((subset.folder / split / entry.file).read_bytes()))
        for split, entry in every
    ]
    for i, (split, entry) in enumerate(every):
        for j, (other, twin) in enumerate(every[:i]):
            ways = (prints[i], prints[j]), (prints[j], prints[i])
            if max(distance(*way) for way in ways) <= duplicates.NEAR:
                assert (split, entry.label) == (other, twin.label)
                pair = {entry.source, twin.source}
                assert any({one.name, one.twin} == pair for one in subset.twins)
    home = {entry.source: split for split, entry in every}
    for one in subset.rejected:
        told = re.match(r"nearly the same image as (\S+), which is in (\w+)", one.reason)
        assert told is None or home[told[1]] == told[2]
    assert {split: len(entries) for split, entries in subset.splits.items()} == {
        split: 2 * count for split, count in COUNTS.items()
    }


def test_drawn_images_are_never_taken_for_copies(tmp_path: Path) -> None:
    counts = {"train": 100, "validation": 50, "test": 50}
    source = locating.locate("toypets", image_size=64, per_class=counts, cache=tmp_path)
    subset = make_subset(find_images(source), per_class=counts, cache=tmp_path)
    assert (len(subset.rejected), len(subset.twins)) == (0, 0)


def test_real_photos_hold_two_pairs_and_both_stay_together(
    real_photos: Path, tmp_path: Path
) -> None:
    """All pairs compared by brute force: no two in different splits are near."""
    subset = make_subset(find_images(real_photos), cache=tmp_path)
    assert subset.rejected == ()
    assert [str(one) for one in subset.twins] == [
        "train/cat.4575.jpg: nearly the same as train/cat.4126.jpg, both in validation",
        "train/dog.180.jpg: nearly the same as train/dog.74.jpg, both in train",
    ]
    prints, splits = [], []
    for split, entries in subset.splits.items():
        for entry in entries:
            with Image.open(subset.folder / split / entry.file) as image:
                prints.append(duplicates.fingerprint(image))
            splits.append(split)
    stack, place = np.stack(prints), np.array(splits)
    closest = 256
    for number, one in enumerate(stack):
        others = stack[: number + 1][place[: number + 1] != place[number]]
        if len(others):
            ways = np.bitwise_count(others[:, :1] ^ one[None]).sum(axis=2)
            closest = min(closest, int(ways.min()))
    assert closest > duplicates.NEAR + 10


# --- Views ---------------------------------------------------------------------------------------


def test_augmented_views_stay_with_their_image(tmp_path: Path) -> None:
    """Every view is made of one image of one split, in its row."""
    keras = pytest.importorskip("keras")
    from cvlab.training.augmentation import LECTURE_OPTIONS, Augment  # noqa: PLC0415
    from cvlab.transfer import features  # noqa: PLC0415

    size = 8
    # Each image is one color, which no augmentation with the border repeated can change.
    colors = np.random.default_rng(0).permutation(256**2)[:90]
    flat = np.stack([colors // 256, colors % 256, np.zeros(90, int)], axis=-1).astype(np.uint8)
    images = np.broadcast_to(flat[:, None, None], (90, size, size, 3))
    parts = {"train": images[:40], "validation": images[40:70], "test": images[70:]}
    same = keras.Sequential([keras.Input((size, size, 3)), keras.layers.Rescaling(1.0)])
    augment = Augment(**LECTURE_OPTIONS, seed=0)
    seen: dict[str, set[bytes]] = {}
    for split, images in parts.items():
        views = features.extract_views(images, same, augment=augment, views=3, cache=tmp_path)
        for view in views:
            np.testing.assert_allclose(view, images, atol=0.5)
        stacked = np.rint(np.concatenate(views)[:, 0, 0]).astype(np.uint8)
        seen[split] = {color.tobytes() for color in stacked}
        assert len(seen[split]) == len(images)
    assert not seen["train"] & seen["validation"] | seen["test"] & seen["train"]
    assert not seen["validation"] & seen["test"]


def test_views_of_different_splits_draw_different_files(tmp_path: Path) -> None:
    """Two splits of equal size share a seed and yet no file of features."""
    keras = pytest.importorskip("keras")
    from cvlab.transfer import features  # noqa: PLC0415

    one, other = (
        np.random.default_rng(seed).integers(0, 256, (40, 8, 8, 3), np.uint8) for seed in (0, 1)
    )
    same = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Rescaling(1.0)])
    digests = {
        hashlib.sha256(features.extract(images, same, cache=tmp_path).tobytes()).hexdigest()
        for images in (one, other, one)
    }
    assert len(digests) == 2
    assert len(list((tmp_path / "features").glob("[0-9a-f]*/features.npy"))) == 2
