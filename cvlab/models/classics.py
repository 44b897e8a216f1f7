"""The networks that made history and that Keras does not bring along, as short Keras code.

LeNet-5, AlexNet, GoogLeNet and the Vision Transformer, each as its paper describes it, untrained
and not compiled. All take pictures in 0..255 and bring them to the network's scale themselves.
VGG, ResNet, MobileNet and Xception are in `keras.applications`; `cvlab.models.zoo` opens those.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import keras
from keras import layers, ops

from cvlab.models.graph import Tensor


def lenet5() -> keras.Model:
    """Build LeNet-5, the convnet that read bank checks (lecture step 3); 61,706 parameters.

    Plain average pooling, every filter of C3 on all six maps, and a softmax at the end stand for
    the paper's trained subsampling, chosen maps and prototypes.

    Returns:
        A model from pictures (n, 32, 32, 1) in 0..255 to the probabilities of ten digits, (n, 10).

    Source:
        Y. LeCun, L. Bottou, Y. Bengio, P. Haffner, "Gradient-Based Learning Applied to Document
        Recognition" (1998), section II.
    """
    return keras.Sequential(
        [
            keras.Input((32, 32, 1), name="pictures"),
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
    """Divide every value by the strength of its neighbors, the channels before and behind.

    y = x / (bias + alpha * sum of x² over the channels within `radius`) ** beta. AlexNet and
    GoogLeNet used it before there was batch normalization; Keras has no such layer.

    Args:
        radius: Channels on each side; AlexNet's n = 5 channels in all.
        bias: AlexNet's k.
        alpha: Weight of the neighbors.
        beta: Exponent.

    Source:
        A. Krizhevsky et al. (2012), section 3.3.
    """

    def __init__(
        self,
        radius: int = 2,
        bias: float = 2.0,
        alpha: float = 1e-4,
        beta: float = 0.75,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.radius, self.bias, self.alpha, self.beta = radius, bias, alpha, beta

    def call(self, x: Tensor) -> Tensor:
        """Map feature maps (n, h, w, C) to the same shape."""
        channels = x.shape[-1]
        beside = [(0, 0)] * 3 + [(self.radius, self.radius)]
        squares = ops.pad(ops.square(x), beside)
        strength = sum(squares[..., k : k + channels] for k in range(2 * self.radius + 1))
        return x / ops.power(self.bias + self.alpha * strength, self.beta)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Give the shape of the input."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Give what the constructor needs."""
        own = {"radius": self.radius, "bias": self.bias, "alpha": self.alpha, "beta": self.beta}
        return {**super().get_config(), **own}


def _check_classes(classes: int) -> None:
    """Not every Keras of the tested range refuses an output without numbers."""
    if classes < 1:
        raise ValueError(f"classes={classes}: the number of outputs must be positive")


def alexnet(*, groups: int = 2, classes: int = 1000) -> keras.Model:
    """Build AlexNet, which won ImageNet's contest of 2012 and began the age of deep convnets.

    The paper's network sat on two graphics cards: its second, fourth and fifth convolutions see
    only the half of the channels that lies on their own card, which is what `groups=2` says. It
    has 60,965,224 parameters; with `groups=1`, all on one card, 62,378,344. The paper gives
    pictures of 224 pixels, but its own arithmetic (55 x 55 maps behind 11 x 11 windows with
    stride 4) needs 227.

    Args:
        groups: Graphics cards that the three convolutions are divided over.
        classes: Outputs.

    Returns:
        A model from pictures (n, 227, 227, 3) in 0..255 to probabilities (n, classes).

    Raises:
        ValueError: If the channels cannot be divided into so many groups, or there are no classes.

    Source:
        A. Krizhevsky, I. Sutskever, G. Hinton, "ImageNet Classification with Deep Convolutional
        Neural Networks" (2012).
    """
    # Not every Keras of the tested range checks both ends of a convolution.
    if groups < 1 or any(channels % groups for channels in (96, 256, 384)):
        raise ValueError(
            f"groups={groups} does not divide AlexNet's 96, 256 and 384 channels: pass 2 as in the "
            "paper, 1 for one card, or another power of two up to 32"
        )
    _check_classes(classes)
    normalize = LocalResponseNormalization
    return keras.Sequential(
        [
            keras.Input((227, 227, 3), name="pictures"),
            layers.Rescaling(1 / 127.5, offset=-1, name="preprocessing"),
            layers.Conv2D(96, 11, strides=4, activation="relu", name="conv1"),
            normalize(name="norm1"),
            layers.MaxPooling2D(3, strides=2, name="pool1"),
            layers.Conv2D(256, 5, padding="same", groups=groups, activation="relu", name="conv2"),
            normalize(name="norm2"),
            layers.MaxPooling2D(3, strides=2, name="pool2"),
            layers.Conv2D(384, 3, padding="same", activation="relu", name="conv3"),
            layers.Conv2D(384, 3, padding="same", groups=groups, activation="relu", name="conv4"),
            layers.Conv2D(256, 3, padding="same", groups=groups, activation="relu", name="conv5"),
            layers.MaxPooling2D(3, strides=2, name="pool5"),
            layers.Flatten(name="flatten"),
            layers.Dense(4096, activation="relu", name="fc6"),
            layers.Dropout(0.5, name="dropout6"),
            layers.Dense(4096, activation="relu", name="fc7"),
            layers.Dropout(0.5, name="dropout7"),
            layers.Dense(classes, activation="softmax", name="output"),
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
        pool: 1 x 1 convolution behind the pooling, the fourth branch.
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
    """Look at feature maps through windows of four sizes at once (GoogLeNet's figure 2b).

    Args:
        x: Feature maps (n, h, w, channels).
        branches: Filters of each branch.
        name: Beginning of the names of the layers.

    Returns:
        Feature maps (n, h, w, one + three + five + pool).
    """

    def conv(x: Tensor, filters: int, size: int, part: str) -> Tensor:
        return layers.Conv2D(
            filters, size, padding="same", activation="relu", name=f"{name}_{part}"
        )(x)

    one = conv(x, branches.one, 1, "1x1")
    three = conv(conv(x, branches.three_reduce, 1, "3x3_reduce"), branches.three, 3, "3x3")
    five = conv(conv(x, branches.five_reduce, 1, "5x5_reduce"), branches.five, 5, "5x5")
    pooled = layers.MaxPooling2D(3, strides=1, padding="same", name=f"{name}_pool")(x)
    pool = conv(pooled, branches.pool, 1, "pool_proj")
    return layers.Concatenate(name=f"{name}_output")([one, three, five, pool])


def googlenet(*, classes: int = 1000) -> keras.Model:
    """Build GoogLeNet, "Inception v1": 22 layers with weights, 6,998,552 parameters.

    Its two auxiliary classifiers are left out: they fed gradients into the middle of the network
    during training and were thrown away afterwards. Batch normalization, which later versions
    use, had not been invented.

    Args:
        classes: Outputs.

    Returns:
        A model from pictures (n, 224, 224, 3) in 0..255 to probabilities (n, classes).

    Raises:
        ValueError: If there are no classes.

    Source:
        C. Szegedy et al., "Going Deeper with Convolutions" (2014), table 1.
    """
    _check_classes(classes)
    pool = {"pool_size": 3, "strides": 2, "padding": "same"}
    pictures = keras.Input((224, 224, 3), name="pictures")
    x = layers.Rescaling(1 / 127.5, offset=-1, name="preprocessing")(pictures)
    x = layers.Conv2D(64, 7, strides=2, padding="same", activation="relu", name="conv1")(x)
    x = layers.MaxPooling2D(**pool, name="pool1")(x)
    x = LocalResponseNormalization(name="norm1")(x)
    x = layers.Conv2D(64, 1, activation="relu", name="conv2_reduce")(x)
    x = layers.Conv2D(192, 3, padding="same", activation="relu", name="conv2")(x)
    x = LocalResponseNormalization(name="norm2")(x)
    x = layers.MaxPooling2D(**pool, name="pool2")(x)
    for name, branches in INCEPTIONS.items():
        x = inception(x, branches, f"inception_{name}")
        if name in {"3b", "4e"}:
            x = layers.MaxPooling2D(**pool, name=f"pool{name[0]}")(x)
    x = layers.GlobalAveragePooling2D(name="average")(x)
    x = layers.Dropout(0.4, name="dropout")(x)
    x = layers.Dense(classes, activation="softmax", name="output")(x)
    return keras.Model(pictures, x, name="googlenet")


@keras.saving.register_keras_serializable("cvlab")
class ClassTokenAndPositions(layers.Layer):
    """Put a learned token in front of the patches, and add to each token where it stands.

    Attention itself does not know the order of its tokens; these positions tell it.
    """

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Make the class token (1, 1, width) and the positions (1, 1 + patches, width)."""
        _, patches, width = input_shape
        if patches is None or width is None:
            raise ValueError("the number of patches must be known: give keras.Input a fixed size")
        start = keras.initializers.TruncatedNormal(stddev=0.02)
        self.token = self.add_weight(shape=(1, 1, width), initializer=start, name="token")
        self.positions = self.add_weight(
            shape=(1, 1 + patches, width), initializer=start, name="positions"
        )

    def call(self, patches: Tensor) -> Tensor:
        """Map patches (n, p, width) to tokens (n, 1 + p, width)."""
        token = ops.repeat(self.token, ops.shape(patches)[0], axis=0)
        return ops.concatenate([token, patches], axis=1) + self.positions

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Give the shape of the input with one token more."""
        batch, patches, width = input_shape
        return batch, None if patches is None else patches + 1, width


def encoder_block(x: Tensor, *, heads: int, hidden: int, name: str) -> Tensor:
    """Let every token look at every other, then work on each by itself (ViT's equations 2, 3).

    Args:
        x: Tokens (n, t, width).
        heads: Attention heads; each has width // heads numbers a token.
        hidden: Units of the hidden layer.
        name: Beginning of the names of the layers.

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
    classes: int = 1000,
) -> keras.Model:
    """Build a Vision Transformer; by default ViT-B/16 with 86,567,656 parameters.

    Small enough to train on a few thousand small pictures: `vit(64, patch=8, width=64, blocks=4,
    heads=4, hidden=128)`.

    Args:
        image_size: Height and width of the pictures in pixels, a multiple of `patch`.
        patch: Height and width of a patch in pixels.
        width: Numbers a token, a multiple of `heads`.
        blocks: Encoder blocks.
        heads: Attention heads in each.
        hidden: Units of the hidden layer in each.
        classes: Outputs.

    Returns:
        A model from pictures (n, image_size, image_size, 3) in 0..255 to probabilities
        (n, classes).

    Raises:
        ValueError: If the patches do not fill the picture, the heads do not share the width, or
            there are no classes.

    Source:
        A. Dosovitskiy et al., "An Image is Worth 16x16 Words" (2020), section 3.1.
    """
    if image_size % patch:
        raise ValueError(
            f"patches of {patch} pixels do not fill a picture of {image_size}: take a patch that "
            "divides the size"
        )
    if width % heads:
        raise ValueError(f"{heads} heads cannot share a width of {width}: take a multiple")
    _check_classes(classes)
    patches = (image_size // patch) ** 2
    pictures = keras.Input((image_size, image_size, 3), name="pictures")
    x = layers.Rescaling(1 / 127.5, offset=-1, name="preprocessing")(pictures)
    # One linear map of each patch is a convolution whose windows do not overlap.
    x = layers.Conv2D(width, patch, strides=patch, name="patches")(x)
    x = layers.Reshape((patches, width), name="tokens")(x)
    x = ClassTokenAndPositions(name="positions")(x)
    for block in range(1, blocks + 1):
        x = encoder_block(x, heads=heads, hidden=hidden, name=f"block{block}")
    x = layers.LayerNormalization(epsilon=1e-6, name="norm")(x)
    # Only the class token is read; what it knows of the picture it got by attention.
    x = layers.Flatten(name="class_token")(layers.Cropping1D((0, patches), name="first")(x))
    x = layers.Dense(classes, activation="softmax", name="output")(x)
    return keras.Model(pictures, x, name="vit")
