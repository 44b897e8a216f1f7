"""Ways to fine-tune: each trains what its name says, from the same weights, reproducibly."""

from pathlib import Path

import keras
import numpy as np
import pytest

from cvlab.models import load_base
from cvlab.transfer import METHODS, FineTuner, last_block, split
from cvlab.transfer.methods import Tuned

SIZE = 32


def images(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Noise, brighter for class 1."""
    random = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    noise = random.integers(0, 120, (count, SIZE, SIZE, 3)) + 100 * labels[:, None, None, None]
    return noise.astype(np.uint8), labels


@pytest.fixture(scope="module")
def tuner(tmp_path_factory: pytest.TempPathFactory) -> FineTuner:
    base = load_base("toy", SIZE)
    folder = tmp_path_factory.mktemp("cache")
    return FineTuner(base, images(12, 0), images(8, 1), epochs=3, batch_size=4, cache=folder)


@pytest.fixture(scope="module")
def trained(tuner: FineTuner) -> dict[str, Tuned]:
    return {method: tuner.fit(method, 1e-3, 0) for method in METHODS}


def changed(tuner: FineTuner, one: Tuned) -> set[str]:
    """Names of the base's layers whose weights differ from the pretrained ones."""
    names = [layer.name for layer in tuner.base.layers if layer.weights]
    before, after = tuner.base.get_weights(), one.weights[0]
    assert len(before) == len(after) == 2 * len(names)
    return {
        names[k // 2]
        for k, (a, b) in enumerate(zip(before, after, strict=True))
        if not np.array_equal(a, b)
    }


def test_each_method_trains_what_it_names(tuner: FineTuner, trained: dict[str, Tuned]) -> None:
    every = {layer.name for layer in tuner.base.layers if layer.weights}
    _, upper = split(tuner.base, last_block(tuner.base))
    top = {layer.name for layer in upper.layers if layer.weights}
    assert changed(tuner, trained["linear probe"]) == set()
    assert changed(tuner, trained["last block"]) == top
    for method in ("everything", "probe, then everything", "gradual unfreezing"):
        assert changed(tuner, trained[method]) == every
    assert changed(tuner, trained["layer-wise rates"]) == every


def test_lora_trains_two_thin_factors_and_leaves_the_kernels(
    tuner: FineTuner, trained: dict[str, Tuned]
) -> None:
    kernels = [layer.kernel.shape for layer in tuner.base.layers if "conv" in layer.name]
    factors = sum(h * w * c * 4 + 4 * f for h, w, c, f in kernels)
    one = trained["LoRA"]
    assert one.trainable_parameters == factors + 128 + 1
    shapes = [weight.shape for weight in tuner.base.get_weights()]
    kept = [weight for weight in one.weights[0] if weight.shape in shapes]
    for weight in tuner.base.get_weights():
        assert any(np.array_equal(weight, other) for other in kept)


def test_layer_wise_rates_move_early_layers_less(
    tuner: FineTuner, trained: dict[str, Tuned]
) -> None:
    def first_layer_moved(method: str) -> float:
        return float(np.abs(trained[method].weights[0][0] - tuner.base.get_weights()[0]).mean())

    assert first_layer_moved("layer-wise rates") < 0.1 * first_layer_moved("everything")


def test_the_probe_is_the_first_head(tuner: FineTuner) -> None:
    """With a learning rate of zero the network is the probe."""
    one = tuner.fit("probe, then everything", 0.0, 0)
    np.testing.assert_array_equal(one.weights[1][0], tuner.probe.kernel)
    assert one.validation_accuracy == tuner.probe.validation_accuracy
    head = tuner.fit("everything", 0.0, 0).weights[1][0]
    assert not np.array_equal(head, tuner.probe.kernel)


def test_the_same_seed_gives_the_same_training_and_the_base_stays(
    tuner: FineTuner, trained: dict[str, Tuned]
) -> None:
    before = tuner.base.get_weights()
    again, other = (tuner.fit("last block", 1e-3, seed) for seed in (0, 1))
    for a, b in zip(again.weights[0], trained["last block"].weights[0], strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)
    assert not np.array_equal(other.weights[1][0], again.weights[1][0])
    for a, b in zip(before, tuner.base.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_right_agrees_with_the_network_put_together_by_hand(
    tuner: FineTuner, trained: dict[str, Tuned]
) -> None:
    test, labels = images(20, 2)
    for method in ("linear probe", "last block", "everything"):
        one = trained[method]
        base = load_base("toy", SIZE)
        base.set_weights(one.weights[0])
        features = base.predict(test, verbose=0).mean(axis=(1, 2))
        logits = features @ one.weights[1][0] + one.weights[1][1]
        by_hand = (logits[:, 0] > 0) == (labels == 1)
        np.testing.assert_array_equal(tuner.right(one, test, labels), by_hand)


def test_other_training_images_leave_the_first_ones_alone(tuner: FineTuner, tmp_path: Path) -> None:
    other = tuner.on(images(6, 3), epochs=4)
    assert (other.epochs, tuner.epochs) == (4, 3)
    assert other.inputs("head", "train").shape == (6, 128)
    assert tuner.inputs("head", "train").shape == (12, 128)
    np.testing.assert_array_equal(
        other.inputs("head", "validation"), tuner.inputs("head", "validation")
    )


def test_impossible_requests_are_explained(tuner: FineTuner) -> None:
    with pytest.raises(ValueError, match="three stages"):
        FineTuner(tuner.base, images(4, 0), images(4, 1), epochs=2)
    with pytest.raises(ValueError, match="no method 'magic': choose one of linear probe"):
        tuner.fit("magic", 1e-3, 0)


def test_batch_normalization_keeps_its_statistics(tmp_path: Path) -> None:
    base = load_base("MobileNet(alpha=0.25)", SIZE, None)
    tuner = FineTuner(base, images(8, 0), images(4, 1), epochs=3, batch_size=4, cache=tmp_path)
    one = tuner.fit("everything", 1e-2, 0)
    copy = keras.models.clone_model(base)
    copy.set_weights(one.weights[0])
    for layer in copy.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            for ours, first in zip(
                layer.get_weights(), base.get_layer(layer.name).get_weights(), strict=True
            ):
                np.testing.assert_array_equal(ours, first)
