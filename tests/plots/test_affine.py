"""The affine map to drag: one matrix in Python, in the script and in `Augment`."""

import math
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keras import ops

from cvlab.plots.interactive import affine
from cvlab.training.augmentation import LECTURE_OPTIONS, Augment, Transforms, affine_matrix

SCRIPT = Path(affine.__file__).with_suffix(".js").read_text(encoding="utf-8")
SIZE = 31
CAT = np.random.default_rng(0).integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)

settings = st.fixed_dictionaries(
    {
        "rotation": st.floats(-90, 90),
        "shear": st.floats(-60, 60),
        "zoom": st.floats(0.5, 1.5),
        "width_shift": st.floats(-0.5, 0.5),
        "height_shift": st.floats(-0.5, 0.5),
        "flip": st.sampled_from([0.0, 1.0]),
    }
)


def transforms(chosen: dict[str, float]) -> Transforms:
    zoom = {"width_zoom": chosen["zoom"], "height_zoom": chosen["zoom"]}
    of_one = {**{name: value for name, value in chosen.items() if name != "zoom"}, **zoom}
    return Transforms(**{name: np.array([value], np.float32) for name, value in of_one.items()})


def in_the_script(chosen: dict[str, float]) -> np.ndarray:
    """Run the marked lines of the script, which are Python but for `const`, `Math.` and `;`."""
    (block,) = re.findall(r"// begin matrix\n(.*?)// end matrix", SCRIPT, flags=re.DOTALL)
    lines = [line.strip().removeprefix("const ").rstrip(";") for line in block.splitlines()]
    code = "\n".join(lines).replace("Math.PI", "Math.pi")
    names = {**chosen, "size": SIZE, "Math": math}
    exec(code, names)
    return np.array(
        [[names[name] for name in row] for row in (("xx", "xy", "x"), ("yx", "yy", "y"))]
    )


@given(settings)
def test_the_matrix_is_that_of_augment(chosen: dict[str, float]) -> None:
    expected = ops.convert_to_numpy(affine_matrix(transforms(chosen), SIZE, SIZE))[0]
    np.testing.assert_allclose(affine.matrix(chosen, SIZE), expected, atol=1e-4)
    np.testing.assert_allclose(in_the_script(chosen), expected, atol=1e-4)


def test_the_still_image_is_what_augment_makes_of_the_same_settings() -> None:
    figure = affine.affine_map(CAT, LECTURE_OPTIONS)
    start = transforms(figure.data["start"])
    expected = ops.convert_to_numpy(Augment().transform(CAT[None], start))[0]
    original, result = (ax.images[0].get_array() for ax in figure.still.axes)
    np.testing.assert_array_equal(original, CAT)
    assert np.abs(np.asarray(result, float) - expected).max() <= 1  # SciPy cuts the fraction off


def test_it_is_small_and_brings_its_own_image() -> None:
    figure = affine.affine_map(np.zeros((150, 150, 3), np.uint8), LECTURE_OPTIONS)
    html = figure._repr_html_()
    assert len(html) < 60_000
    assert "http" not in html.replace("http://www.w3.org", "")
    assert figure.data["ranges"]["rotation"] == LECTURE_OPTIONS["rotation_range"]
    assert len(SCRIPT.splitlines()) <= 150


@pytest.mark.parametrize("image", [CAT[:, :-1], CAT[..., 0], CAT.astype(float)])
def test_other_images_are_refused(image: np.ndarray) -> None:
    with pytest.raises(ValueError, match="pass one square color image"):
        affine.affine_map(image, LECTURE_OPTIONS)
