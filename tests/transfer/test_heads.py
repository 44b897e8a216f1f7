"""Heads: the lecture's counts, and global pooling against NumPy."""

import keras
import numpy as np
from keras import layers

from cvlab import models, transfer
from cvlab.transfer import freezing


def test_vgg16_with_the_lectures_head_has_the_lectures_counts() -> None:
    """Step 23: 16,812,353 parameters; 30 trainable weights, 4 once the base is frozen."""
    base = models.load_base("VGG16", 150, None)
    head = transfer.dense_head(base.output_shape[1:], dropout=0)
    assert [layer.count_params() for layer in head.layers] == [0, 2_097_408, 257]
    assert head.layers[0].output.shape == (None, 8192)
    model = keras.Sequential([base, head])
    assert model.count_params() == 16_812_353
    assert len(model.trainable_weights) == 30
    freezing.freeze(base)
    assert len(model.trainable_weights) == 4
    freezing.unfreeze_from(base, transfer.last_block(base))
    # Three convolutions of block 5, two dense layers, each with a kernel and a bias.
    assert len(model.trainable_weights) == 10


def test_dropout_of_the_head_stands_between_the_dense_layers() -> None:
    kinds = [type(layer) for layer in transfer.dense_head((2, 2, 8)).layers]
    assert kinds == [layers.Flatten, layers.Dense, layers.Dropout, layers.Dense]
    assert transfer.dense_head((8,)).layers[2].rate == 0.5


def test_pooled_head_is_the_mean_and_one_sigmoid() -> None:
    head = transfer.pooled_head((3, 4, 5))
    maps = np.random.default_rng(0).normal(size=(6, 3, 4, 5)).astype(np.float32)
    kernel, bias = head.get_weights()
    logits = maps.mean(axis=(1, 2)) @ kernel + bias
    np.testing.assert_allclose(head.predict(maps, verbose=0), 1 / (1 + np.exp(-logits)), rtol=1e-4)
    assert head.count_params() == 6
    rates = [layer.rate for layer in transfer.pooled_head((3, 4, 5), dropout=0.3).layers[1:-1]]
    assert rates == [0.3]


def test_pooled_head_takes_means_that_were_taken_before() -> None:
    keras.utils.set_random_seed(0)
    maps = np.random.default_rng(0).normal(size=(6, 3, 4, 5)).astype(np.float32)
    on_maps, on_means = transfer.pooled_head((3, 4, 5)), transfer.pooled_head((5,))
    on_means.set_weights(on_maps.get_weights())
    np.testing.assert_allclose(
        on_means.predict(maps.mean(axis=(1, 2)), verbose=0),
        on_maps.predict(maps, verbose=0),
        rtol=1e-4,
    )
