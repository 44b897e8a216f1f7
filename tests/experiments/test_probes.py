"""The probes of real photos: the choice by validation, the features, the whole command."""

import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from cvlab import precision
from cvlab.data import load_images
from cvlab.experiments import probes
from cvlab.models import load_base
from tests.small_photos import EACH, TINY, kaggle, zip_of


def _task(noise: float, seed: int = 0) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Two normal classes whose means are two apart in the first of 20 features."""
    random = np.random.default_rng(seed)
    labels = {split: np.arange(200) % 2 for split in ("train", "validation", "test")}
    inputs = {split: random.normal(0, noise, (200, 20)) for split in labels}
    for split, classes in labels.items():
        inputs[split][:, 0] += 2 * classes
    return inputs, labels


def test_the_strength_has_the_lowest_validation_loss_and_the_test_set_has_no_say() -> None:
    inputs, labels = _task(noise=1.0)
    found = probes.probe(inputs, labels)
    center, scale = inputs["train"].mean(axis=0), inputs["train"].std(axis=0)

    def loss(strength: float) -> float:
        regression = LogisticRegression(C=strength).fit(
            (inputs["train"] - center) / scale, labels["train"]
        )
        chance = regression.predict_proba((inputs["validation"] - center) / scale)
        return float(-np.log(chance[np.arange(200), labels["validation"]]).mean())

    assert found["C"] == min(probes.STRENGTHS, key=loss)
    assert found["validation_loss"] == pytest.approx(loss(found["C"]), abs=1e-3)
    # Bayes' rule for two normal classes two standard deviations apart is right in 84 %.
    assert 0.76 < found["test"] < 0.92
    assert found["right"].count("1") == round(200 * found["test"])

    other = probes.probe(inputs, labels | {"test": 1 - labels["test"]})
    assert (other["C"], other["validation"]) == (found["C"], found["validation"])
    assert other["test"] == pytest.approx(1 - found["test"])


def test_bases_are_probed_alone_in_twos_and_all_together() -> None:
    assert probes.combinations(["a"]) == [("a",)]
    assert probes.combinations(["a", "b"]) == [("a",), ("b",), ("a", "b")]
    assert len(probes.combinations(["a", "b", "c", "d"])) == 4 + 6 + 1


def test_the_command_keeps_the_mean_of_image_and_mirror_image(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos = zip_of(tmp_path / "train.zip", kaggle(EACH, EACH))
    monkeypatch.setattr(probes, "SIZES", {"toy": (32, 48)})
    # bfloat16, which the command takes where the processor has it, keeps three digits.
    monkeypatch.setattr(precision, "dtype_policy", lambda *, fast: "float32")
    monkeypatch.setattr(probes, "load_images", partial(load_images, per_class=TINY))

    found, labels, files = probes.features_of("toy", 32, photos, "pretrained")
    pets = load_images(photos, image_size=32, per_class=TINY)
    base, images = load_base("toy", 32), pets.test.images
    by_hand = [
        base.predict(view, verbose=0).mean(axis=(1, 2)) for view in (images, images[:, :, ::-1])
    ]
    np.testing.assert_allclose(found.by_split["test"], np.mean(by_hand, axis=0), atol=1e-5)
    assert labels["test"].tolist() == pets.test.labels.tolist()
    assert files == pets.test.file_names

    out = tmp_path / "probes.json"
    assert probes.main(["--photos", str(photos), "--out", str(out)]) == 0
    record = json.loads(out.read_text())
    assert record["test_files"] == list(files)
    by_name = {" + ".join(one["bases"]): one for one in record["probes"]}
    assert set(by_name) == {"toy@32", "toy@48", "toy@32 + toy@48"}
    # The same weights at two sizes; a base runs on two views of each image.
    assert by_name["toy@32 + toy@48"]["parameters"] == base.count_params()
    alone = by_name["toy@32"]["multiply_adds"]
    assert alone == 2 * found.multiply_adds
    assert by_name["toy@32 + toy@48"]["multiply_adds"] == alone + by_name["toy@48"]["multiply_adds"]
    losses = [one["validation_loss"] for one in record["probes"]]
    assert losses == sorted(losses)
