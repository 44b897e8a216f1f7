"""The embedded base has VGG16's architecture, at a smaller size."""

from typing import Any

import keras
import numpy as np
import pytest

from cvlab.drawing import toypets
from cvlab.models import embedded, load_base, toy_base
from cvlab.models.embedded import TOY_CHANNELS

pytestmark = pytest.mark.usefixtures("eager")


def array(tensor: Any) -> np.ndarray:
    return np.asarray(keras.ops.convert_to_numpy(tensor))


def test_toy_base_is_named_as_vgg16() -> None:
    base = toy_base(64, None)
    vgg = load_base("VGG16", 64, None)
    ours = [layer.name for layer in base.layers]
    assert ours[:2] == ["images", "preprocessing"]
    assert ours[2:] == [
        name for name in (layer.name for layer in vgg.layers[2:]) if not name.endswith("conv3")
    ]
    assert base.output.shape == (None, 2, 2, 128)
    counts = [layer.count_params() for layer in base.layers if "conv1" in layer.name]
    assert counts == [9 * a * b + b for a, b in zip((3, *TOY_CHANNELS), TOY_CHANNELS, strict=False)]


def test_the_toy_base_sees_minus_one_to_one() -> None:
    base = toy_base(64, None)
    scaled = keras.Model(base.inputs[0], base.get_layer("preprocessing").output)
    ends = np.stack([np.zeros((64, 64, 3), np.uint8), np.full((64, 64, 3), 255, np.uint8)])
    assert [array(scaled(ends)).min(), array(scaled(ends)).max()] == [-1, 1]


def test_the_classifier_names_species_that_it_has_not_seen() -> None:
    """Five drawings of each, with numbers far above those of the pretraining."""
    drawn = [toypets.draw_many(name, range(9000, 9005), seed=1) for name in embedded.SPECIES]
    probabilities = embedded.classifier().predict(np.concatenate(drawn), verbose=0)
    assert probabilities.shape == (90, 18)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)
    named = [best[0][0] for best in embedded.decode_predictions(probabilities)]
    right = np.array(named) == np.repeat(embedded.SPECIES, 5)
    assert right.mean() > 0.5  # chance level is 1 in 18


def test_the_classifier_is_the_base_with_a_head_and_knows_no_pet() -> None:
    images = np.stack([toypets.draw("cat", 0), toypets.draw("dog", 0)])
    classifier, head = embedded.classifier(), embedded.species_head()
    head.load_weights(embedded.TOY_HEAD)
    np.testing.assert_allclose(
        array(classifier(images)), array(head(toy_base()(images))), rtol=1e-4, atol=1e-6
    )
    assert embedded.SPECIES == toypets.ZOO and not set(toypets.CLASSES) & set(embedded.SPECIES)


def test_decoding_names_the_most_probable_species_first() -> None:
    probabilities = np.zeros((2, len(embedded.SPECIES)))
    probabilities[0, [0, 3, 17]] = 0.2, 0.5, 0.3
    probabilities[1, 4] = 1.0
    first, second = embedded.decode_predictions(probabilities, top=3)
    assert first == [("owl", 0.5), ("weasel", 0.3), ("fox", 0.2)]
    assert second[0] == ("pig", 1.0) and len(second) == 3


def test_mistakes_are_named() -> None:
    with pytest.raises(ValueError, match="below 32"):
        toy_base(31, None)
    with pytest.raises(ValueError, match=r"shape \(18,\).*\(n, 18\)"):
        embedded.decode_predictions(np.ones(18))


def test_batchnorm_can_be_added_without_changing_what_a_base_computes() -> None:
    base = toy_base(32)
    random = np.random.default_rng(0)
    images, others = random.integers(0, 256, (2, 12, 32, 32, 3)).astype("uint8")
    copy = embedded.with_batchnorm(base, images)
    norms = [layer for layer in copy.layers if isinstance(layer, keras.layers.BatchNormalization)]
    assert [norm.name for norm in norms[:2]] == ["block1_conv1_bn", "block1_conv2_bn"]
    assert len(norms) == 10
    np.testing.assert_allclose(array(copy(others)), array(base(others)), rtol=1e-2, atol=1e-2)
    # The statistics are those of the images: normalizing by the batch changes nothing either.
    np.testing.assert_allclose(
        array(copy(images, training=True)), array(base(images)), rtol=1e-2, atol=1e-2
    )
    assert np.abs(array(copy(others[:1], training=True)) - array(base(others[:1]))).max() > 0.1
