"""Historic networks that Keras does not include, as short Keras code.

LeNet-5, AlexNet, GoogLeNet and the Vision Transformer, each as its paper describes it, untrained
and not compiled. All take images with values from 0 to 255 and rescale them themselves. VGG,
ResNet, MobileNet and Xception are in `keras.applications`; `cvlab.models.load_base` opens those.
"""

from __future__ import annotations

from functools import partial
from typing import Final, NamedTuple

import keras
from keras import layers, ops

from cvlab.models.graph import Tensor

_SameConv2D: Final = partial(layers.Conv2D, padding="same", activation="relu")


def lenet5() -> keras.Model:
    """Build LeNet-5, the convnet that read bank checks (lecture step 3); 61,706 parameters.

    The paper's trained subsampling, its table of connections in C3 and its prototypes are replaced
    by average pooling, an ordinary convolution and a softmax.

    Returns:
        A model from images (n, 32, 32, 1) in 0..255 to the probabilities of ten digits, (n, 10).

    Source:
        Y. LeCun, L. Bottou, Y. Bengio, P. Haffner, "Gradient-Based Learning Applied to Document
        Recognition" (1998), section II.
    """
    return keras.Sequential(
        [
            keras.Input((32, 32, 1), name="images"),
            layers.Rescaling(1 / 255, name="preprocessing"),
            layers.Conv2D(6, 5, activation="tanh", name="C1"),
            layers.AveragePooling2D(2, name="S2"),
            layers.Conv2D(16, 5, activation="tanh", name="C3"),
            layers.AveragePooling2D(2, name="S4"),
            layers.Conv2D(120, 5, activation="tanh", name="C5"),
            layers.Flatten(name="flatten"),
            layers.Dense(84, activation="tanh", name="F6"),
            layers.Dense(10, activation="softmax", name="output"),
        ],
        name="lenet5",
    )


@keras.saving.register_keras_serializable("cvlab")
class LocalResponseNormalization(layers.Layer):
    """Divide every value by a norm of its neighbors, two channels before and two after it.

    y = x / (2 + 0.0001 * sum of x² over the five channels) ** 0.75. AlexNet and GoogLeNet used it
    before batch normalization was invented; Keras has no such layer.

    Source:
        A. Krizhevsky et al. (2012), section 3.3.
    """

    def call(self, x: Tensor) -> Tensor:
        """Normalize feature maps (n, h, w, C)."""
        channels = x.shape[-1]
        squares = ops.pad(ops.square(x), [(0, 0), (0, 0), (0, 0), (2, 2)])
        total = sum(squares[..., k : k + channels] for k in range(5))
        return x / ops.power(2 + 1e-4 * total, 0.75)


def alexnet() -> keras.Model:
    """Build AlexNet, which won the ImageNet challenge of 2012 and made deep convnets popular.

    The paper's network was split over two GPUs: its second, fourth and fifth convolutions see only
    the half of the channels that is on their own GPU. Their `groups=2` does that. It has 60,965,224
    parameters. The paper gives an image size of 224 pixels, but its own arithmetic (55 x 55 maps
    after 11 x 11 windows with stride 4) needs 227.

    Returns:
        A model from images (n, 227, 227, 3) in 0..255 to probabilities (n, 1000).

    Source:
        A. Krizhevsky, I. Sutskever, G. Hinton, "ImageNet Classification with Deep Convolutional
        Neural Networks" (2012).
    """
    return keras.Sequential(
        [
            keras.Input((227, 227, 3), name="images"),
            layers.Rescaling(1 / 127.5, offset=-1, name="preprocessing"),
            layers.Conv2D(96, 11, strides=4, activation="relu", name="conv1"),
            LocalResponseNormalization(name="norm1"),
            layers.MaxPooling2D(3, strides=2, name="pool1"),
            _SameConv2D(256, 5, groups=2, name="conv2"),
            LocalResponseNormalization(name="norm2"),
            layers.MaxPooling2D(3, strides=2, name="pool2"),
            _SameConv2D(384, 3, name="conv3"),
            _SameConv2D(384, 3, groups=2, name="conv4"),
            _SameConv2D(256, 3, groups=2, name="conv5"),
            layers.MaxPooling2D(3, strides=2, name="pool5"),
            layers.Flatten(name="flatten"),
            layers.Dense(4096, activation="relu", name="fc6"),
            layers.Dropout(0.5, name="dropout6"),
            layers.Dense(4096, activation="relu", name="fc7"),
            layers.Dropout(0.5, name="dropout7"),
            layers.Dense(1000, activation="softmax", name="output"),
        ],
        name="alexnet",
    )


class Branches(NamedTuple):
    """Filters of an inception module, in the order of the columns of GoogLeNet's table 1.

    Attributes:
        one: 1 x 1 convolution, the first branch.
        three_reduce: 1 x 1 convolution before the 3 x 3 one.
        three: 3 x 3 convolution, the second branch.
        five_reduce: 1 x 1 convolution before the 5 x 5 one.
        five: 5 x 5 convolution, the third branch.
        pool: 1 x 1 convolution after the pooling, the fourth branch.
    """

    one: int
    three_reduce: int
    three: int
    five_reduce: int
    five: int
    pool: int


INCEPTIONS: Final = {
    "3a": Branches(64, 96, 128, 16, 32, 32),
    "3b": Branches(128, 128, 192, 32, 96, 64),
    "4a": Branches(192, 96, 208, 16, 48, 64),
    "4b": Branches(160, 112, 224, 24, 64, 64),
    "4c": Branches(128, 128, 256, 24, 64, 64),
    "4d": Branches(112, 144, 288, 32, 64, 64),
    "4e": Branches(256, 160, 320, 32, 128, 128),
    "5a": Branches(256, 160, 320, 32, 128, 128),
    "5b": Branches(384, 192, 384, 48, 128, 128),
}


def inception(x: Tensor, branches: Branches, name: str) -> Tensor:
    """Apply an inception module: windows of several sizes side by side (GoogLeNet's figure 2b).

    Args:
        x: Feature maps (n, h, w, channels).
        branches: Filters of each branch.
        name: Prefix of the names of the layers.

    Returns:
        Feature maps (n, h, w, one + three + five + pool).
    """

    def conv(x: Tensor, filters: int, size: int, part: str) -> Tensor:
        return _SameConv2D(filters, size, name=f"{name}_{part}")(x)

    one = conv(x, branches.one, 1, "1x1")
    three = conv(conv(x, branches.three_reduce, 1, "3x3_reduce"), branches.three, 3, "3x3")
    five = conv(conv(x, branches.five_reduce, 1, "5x5_reduce"), branches.five, 5, "5x5")
    pooled = layers.MaxPooling2D(3, strides=1, padding="same", name=f"{name}_pool")(x)
    pool = conv(pooled, branches.pool, 1, "pool_proj")
    return layers.Concatenate(name=f"{name}_output")([one, three, five, pool])


def googlenet() -> keras.Model:
    """Build GoogLeNet, "Inception v1": 22 layers with weights, 6,998,552 parameters.

    Its two auxiliary classifiers are left out: they added gradients to the middle of the network
    during training and were removed afterwards. Later versions use batch normalization.

    Returns:
        A model from images (n, 224, 224, 3) in 0..255 to probabilities (n, 1000).

    Source:
        C. Szegedy et al., "Going Deeper with Convolutions" (2014), table 1.
    """
    pool = {"pool_size": 3, "strides": 2, "padding": "same"}
    images = keras.Input((224, 224, 3), name="images")
    x = layers.Rescaling(1 / 127.5, offset=-1, name="preprocessing")(images)
    x = _SameConv2D(64, 7, strides=2, name="conv1")(x)
    x = layers.MaxPooling2D(**pool, name="pool1")(x)
    x = LocalResponseNormalization(name="norm1")(x)
    x = _SameConv2D(64, 1, name="conv2_reduce")(x)
    x = _SameConv2D(192, 3, name="conv2")(x)
    x = LocalResponseNormalization(name="norm2")(x)
    x = layers.MaxPooling2D(**pool, name="pool2")(x)
    for name, branches in INCEPTIONS.items():
        x = inception(x, branches, f"inception_{name}")
        if name in {"3b", "4e"}:
            x = layers.MaxPooling2D(**pool, name=f"pool{name[0]}")(x)
    x = layers.GlobalAveragePooling2D(name="average")(x)
    x = layers.Dropout(0.4, name="dropout")(x)
    x = layers.Dense(1000, activation="softmax", name="output")(x)
    return keras.Model(images, x, name="googlenet")


@keras.saving.register_keras_serializable("cvlab")
class ClassTokenAndPositions(layers.Layer):
    """Prepend a learned class token to the patches and add a position embedding to each token.

    Attention itself does not depend on the order of its tokens; the embeddings encode it.
    """

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Create the class token (1, 1, width) and the positions (1, 1 + patches, width)."""
        _, patches, width = input_shape
        if patches is None or width is None:
            raise ValueError("the number of patches must be known: pass keras.Input a fixed size")
        initializer = keras.initializers.TruncatedNormal(stddev=0.02)
        self.token = self.add_weight((1, 1, width), initializer, name="token")
        self.positions = self.add_weight((1, 1 + patches, width), initializer, name="positions")

    def call(self, patches: Tensor) -> Tensor:
        """Turn patches (n, p, width) into tokens (n, 1 + p, width)."""
        token = self.token + ops.zeros_like(patches[:, :1])  # one for each image of the batch
        return ops.concatenate([token, patches], axis=1) + self.positions


def encoder_block(x: Tensor, *, heads: int, hidden: int, name: str) -> Tensor:
    """Apply attention between the tokens, then an MLP to each token (ViT's equations 2 and 3).

    Args:
        x: Tokens (n, t, width).
        heads: Attention heads; each has width // heads dimensions per token.
        hidden: Units of the hidden layer.
        name: Prefix of the names of the layers.

    Returns:
        Tokens (n, t, width).
    """
    width = x.shape[-1]
    y = layers.LayerNormalization(epsilon=1e-6, name=f"{name}_norm1")(x)
    y = layers.MultiHeadAttention(heads, width // heads, name=f"{name}_attention")(y, y)
    x = layers.Add(name=f"{name}_add1")([x, y])
    y = layers.LayerNormalization(epsilon=1e-6, name=f"{name}_norm2")(x)
    y = layers.Dense(hidden, activation="gelu", name=f"{name}_hidden")(y)
    y = layers.Dense(width, name=f"{name}_dense")(y)
    return layers.Add(name=f"{name}_add2")([x, y])


def vit(
    image_size: int = 224,
    *,
    patch: int = 16,
    width: int = 768,
    blocks: int = 12,
    heads: int = 12,
    hidden: int = 3072,
) -> keras.Model:
    """Build a Vision Transformer; by default ViT-B/16 with 86,567,656 parameters.

    A small one for small images: `vit(64, patch=8, width=64, blocks=4, heads=4, hidden=128)`.

    Args:
        image_size: Height and width of the images in pixels, a multiple of `patch`.
        patch: Height and width of a patch in pixels.
        width: Dimensions of a token, a multiple of `heads`.
        blocks: Encoder blocks.
        heads: Attention heads in each.
        hidden: Units of the hidden layer in each.

    Returns:
        A model from images (n, image_size, image_size, 3) in 0..255 to probabilities (n, 1000).

    Raises:
        ValueError: If `patch` does not divide `image_size`, or `heads` does not divide `width`.

    Source:
        A. Dosovitskiy et al., "An Image is Worth 16x16 Words" (2020), section 3.1.
    """
    if image_size % patch:
        raise ValueError(
            f"patches of {patch} pixels do not fill an image of {image_size}: pass a patch size "
            "that divides the image size"
        )
    if width % heads:
        raise ValueError(f"{heads} heads cannot share a width of {width}: pass a multiple")
    patches = (image_size // patch) ** 2
    images = keras.Input((image_size, image_size, 3), name="images")
    x = layers.Rescaling(1 / 127.5, offset=-1, name="preprocessing")(images)
    # The same linear map of each patch is a convolution whose windows do not overlap.
    x = layers.Conv2D(width, patch, strides=patch, name="patches")(x)
    x = layers.Reshape((patches, width), name="tokens")(x)
    x = ClassTokenAndPositions(name="positions")(x)
    for block in range(1, blocks + 1):
        x = encoder_block(x, heads=heads, hidden=hidden, name=f"block{block}")
    x = layers.LayerNormalization(epsilon=1e-6, name="norm")(x)
    # Only the class token is used; attention has collected the image's content there.
    x = layers.Flatten(name="class_token")(layers.Cropping1D((0, patches), name="first")(x))
    x = layers.Dense(1000, activation="softmax", name="output")(x)
    return keras.Model(images, x, name="vit")
