"""Networks: the lecture's small convnet, the embedded base, and one door to pretrained bases.

Every network here takes pictures as they are, uint8 or float in 0..255, and holds its own
preprocessing as its first layer, so that a base can never be fed the wrong scale.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import keras
from keras import layers

TOY_WEIGHTS: Final = Path(__file__).parent / "weights" / "toy_base.weights.h5"
TOY_CHANNELS: Final = (8, 24, 48, 96, 128)

# Each family of keras.applications and the scale its ImageNet weights expect: "caffe" is BGR with
# ImageNet's mean color taken off, "tf" is -1..1, "torch" ImageNet's mean and deviation of each
# channel; None: the family's own code holds its preprocessing.
_FAMILIES: Final[dict[str, str | None]] = {
    "VGG16": "caffe",
    "VGG19": "caffe",
    "ResNet50": "caffe",
    "ResNet50V2": "tf",
    "InceptionV3": "tf",
    "MobileNet": "tf",
    "Xception": "tf",
    "EfficientNetV2B0": None,
}
BASES: Final = ("toy", *_FAMILIES)


@keras.saving.register_keras_serializable("cvlab")
class Preprocessing(layers.Layer):
    """Bring pictures in 0..255 to the scale a family of ImageNet weights expects.

    Args:
        mode: "caffe", "tf" or "torch", as in `keras.applications.imagenet_utils`.
    """

    def __init__(self, mode: str, **kwargs: str) -> None:
        super().__init__(**kwargs)
        self.mode = mode

    def call(self, pictures: keras.KerasTensor) -> keras.KerasTensor:
        """Map pictures (n, h, w, 3) in 0..255 to the same shape on the family's scale."""
        pictures = keras.ops.cast(pictures, self.compute_dtype)
        return keras.applications.imagenet_utils.preprocess_input(
            pictures, data_format="channels_last", mode=self.mode
        )

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Give the shape of the input."""
        return input_shape

    def get_config(self) -> dict[str, object]:
        """Give what the constructor needs."""
        return {**super().get_config(), "mode": self.mode}


def small_cnn(
    image_size: int, *, dropout: float = 0.0, augmentation: keras.layers.Layer | None = None
) -> keras.Model:
    """Build the lecture's small convnet for two classes (lecture steps 10 to 15).

    Four times convolution 3 x 3 and max pooling, then two dense layers; 3,453,121 parameters at
    150 x 150. Not compiled.

    Args:
        image_size: Height and width of the pictures in pixels, at least 46.
        dropout: Share of the flattened features dropped in training; 0 leaves the layer out.
        augmentation: A layer on pictures in 0..255 that acts in training only; None for none.

    Returns:
        A model from pictures (n, image_size, image_size, 3) in 0..255 to the probability of
        class 1, (n, 1).

    Raises:
        ValueError: If the pictures are too small for four convolutions and poolings.
    """
    if image_size < 46:
        raise ValueError(
            f"image_size is {image_size}: four unpadded convolutions and poolings leave nothing of"
            " a picture below 46 pixels; use larger pictures"
        )
    network = keras.Sequential(name="small_cnn")
    network.add(keras.Input((image_size, image_size, 3), name="pictures"))
    if augmentation is not None:
        network.add(augmentation)
    network.add(layers.Rescaling(1 / 255, name="rescaling"))
    for filters in (32, 64, 128, 128):
        network.add(layers.Conv2D(filters, 3, activation="relu"))
        network.add(layers.MaxPooling2D(2))
    network.add(layers.Flatten())
    if dropout:
        network.add(layers.Dropout(dropout))
    network.add(layers.Dense(512, activation="relu"))
    network.add(layers.Dense(1, activation="sigmoid"))
    return network


def lenet5() -> keras.Model:
    """Build LeNet-5, the convnet that read bank checks (lecture step 3); 61,706 parameters.

    Plain average pooling, every filter of C3 on all six maps, and a softmax at the end stand for
    the paper's trained subsampling, chosen maps and prototypes. Not compiled.

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


def toy_base(image_size: int = 64, weights: str | Path | None = "zoo") -> keras.Model:
    """Build the embedded convolutional base: VGG16's plan at a thirtieth of its size.

    Five blocks of two convolutions 3 x 3 and one max pooling, named as VGG16's layers, with 8, 24,
    48, 96 and 128 channels. `cvlab.pretrain` trained it to tell the species of the toy zoo.

    Args:
        image_size: Height and width of the pictures in pixels, at least 32.
        weights: "zoo" for the weights that come with the package, the path of a `.weights.h5`
            file, or None for random ones.

    Returns:
        A model from pictures (n, image_size, image_size, 3) in 0..255 to feature maps
        (n, image_size // 32, image_size // 32, 128).

    Raises:
        ValueError: If the pictures are smaller than 32 pixels.
        FileNotFoundError: If the file of weights is not there.
    """
    if image_size < 32:
        raise ValueError(
            f"image_size is {image_size}: five poolings leave nothing of a picture below 32 pixels;"
            " use larger pictures"
        )
    pictures = keras.Input((image_size, image_size, 3), name="pictures")
    x = layers.Rescaling(1 / 127.5, offset=-1, name="preprocessing")(pictures)
    for block, channels in enumerate(TOY_CHANNELS, start=1):
        for conv in (1, 2):
            x = layers.Conv2D(
                channels,
                3,
                padding="same",
                activation="relu",
                kernel_initializer="he_normal",
                name=f"block{block}_conv{conv}",
            )(x)
        x = layers.MaxPooling2D(2, name=f"block{block}_pool")(x)
    base = keras.Model(pictures, x, name="toy_base")
    if weights is not None:
        path = TOY_WEIGHTS if weights == "zoo" else Path(weights)
        if not path.is_file():
            raise FileNotFoundError(
                f"the toy base's weights are not at {path}; `python -m cvlab.pretrain` makes them"
            )
        base.load_weights(path)
    return base


def load_base(
    name: str, image_size: int, weights: str | Path | None = "pretrained", **options: float
) -> keras.Model:
    """Open the one door to every convolutional base, by name.

    Args:
        name: One of `BASES`: "toy" or a family of `keras.applications`.
        image_size: Height and width of the pictures in pixels.
        weights: "pretrained" for the toy zoo's or ImageNet's, a file's path, or None for random.
        options: Passed on to the family, such as `alpha=0.75` for MobileNet.

    Returns:
        One flat model from pictures (n, image_size, image_size, 3), uint8 or float in 0..255, to
        feature maps; its preprocessing is its own first layer, named "preprocessing".

    Raises:
        ValueError: For an unknown name.
        FileNotFoundError: If `weights` is a path and no file is there.
    """
    if name not in BASES:
        raise ValueError(f"there is no base {name!r}; choose one of {', '.join(BASES)}")
    if name == "toy":
        return toy_base(image_size, "zoo" if weights == "pretrained" else weights, **options)
    source = "imagenet" if weights == "pretrained" else None if weights is None else str(weights)
    if source not in {"imagenet", None} and not Path(str(source)).is_file():
        raise FileNotFoundError(f"no weights for {name} at {source}; check the path")
    pictures = keras.Input((image_size, image_size, 3), name="pictures")
    mode = _FAMILIES[name]
    scaled = pictures if mode is None else Preprocessing(mode, name="preprocessing")(pictures)
    family = getattr(keras.applications, name)
    base: keras.Model = family(
        include_top=False, weights=source, input_tensor=scaled, name=name.lower(), **options
    )
    return base
