"""The kernel that slides over an image: the script computes what Python and SciPy compute."""

import json
import shutil
import subprocess

import numpy as np
import pytest
from scipy.signal import correlate2d

from cvlab.plots.interactive import base as interactive_base
from cvlab.plots.interactive.kernel import KERNELS, kernel_on_image

IMAGE = np.random.default_rng(0).integers(0, 256, (12, 9))


def test_the_data_are_the_image_and_the_kernels() -> None:
    figure = kernel_on_image(IMAGE, "blur")
    assert figure.data["image"] == IMAGE.tolist()
    assert figure.data["chosen"] == "blur"
    assert figure.data["kernels"].keys() == KERNELS.keys()
    row, column = figure.data["at"]
    feature_map = correlate2d(IMAGE, KERNELS["blur"], mode="valid")
    assert feature_map[row, column] == pytest.approx(feature_map.max())
    assert f"sum: {feature_map.max():g}" in figure.still.get_suptitle()


def test_edge_kernels_ignore_uniform_areas_and_the_others_keep_brightness() -> None:
    sums = {name: kernel.sum() for name, kernel in KERNELS.items()}
    assert sums == pytest.approx(
        {"identity": 1, "blur": 1, "sharpen": 1, "Sobel x": 0, "Sobel y": 0, "Laplacian": 0}
    )


@pytest.mark.skipif(shutil.which("node") is None, reason="needs node to run the script")
@pytest.mark.parametrize("name", KERNELS)
def test_the_script_computes_the_same_feature_map(name: str) -> None:
    script = (interactive_base._FOLDER / "kernel.js").read_text(encoding="utf-8")
    kernel = KERNELS[name]
    call = f"convolve({json.dumps(IMAGE.tolist())}, {json.dumps(kernel.tolist())})"
    program = f"const begin = () => {{}};\n{script}\nconsole.log(JSON.stringify({call}));"
    done = subprocess.run(["node", "-e", program], capture_output=True, text=True, check=True)
    np.testing.assert_allclose(
        json.loads(done.stdout), correlate2d(IMAGE, kernel, mode="valid"), atol=1e-9
    )


@pytest.mark.parametrize(
    ("image", "chosen", "message"),
    [
        (IMAGE, "Sobel z", "no kernel is called 'Sobel z': choose one of identity, blur"),
        (IMAGE[None], "blur", r"the image has shape \(1, 12, 9\)"),
        (np.zeros((65, 9), int), "blur", r"the image has shape \(65, 9\)"),
        (IMAGE / 255, "blur", "values of type float64 from 0"),
        (IMAGE + 1, "blur", "to 256: pass integers from 0 to 255"),
    ],
)
def test_what_cannot_be_shown_is_refused(image: np.ndarray, chosen: str, message: str) -> None:
    assert IMAGE.max() == 255
    with pytest.raises(ValueError, match=message):
        kernel_on_image(image, chosen)
