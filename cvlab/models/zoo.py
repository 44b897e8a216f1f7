"""Networks: the lecture's small convnet, the embedded base, and one door to pretrained bases.

Every network here takes pictures as they are, uint8 or float in 0..255, and holds its own
preprocessing as its first layer, so that a base can never be fed the wrong scale.
"""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import keras
from keras import layers

from cvlab.profiles import Profile

TOY_WEIGHTS: Final = Path(__file__).parent / "weights" / "toy_base.weights.h5"
TOY_CHANNELS: Final = (8, 24, 48, 96, 128)


class _Family(NamedTuple):
    """A family of `keras.applications`.

    Attributes:
        mode: The scale its ImageNet weights expect: "caffe" is BGR with ImageNet's mean color
            taken off, "tf" is -1..1, "torch" ImageNet's mean and deviation of each channel.
        file: The name of the file in which Keras keeps those weights.
    """

    mode: str
    file: str


_KERNELS: Final = "_weights_tf_dim_ordering_tf_kernels_notop.h5"
_FAMILIES: Final = {
    "VGG16": _Family("caffe", f"vgg16{_KERNELS}"),
    "VGG19": _Family("caffe", f"vgg19{_KERNELS}"),
    "ResNet50": _Family("caffe", f"resnet50{_KERNELS}"),
    "ResNet50V2": _Family("tf", f"resnet50v2{_KERNELS}"),
    "InceptionV3": _Family("tf", f"inception_v3{_KERNELS}"),
    "MobileNet": _Family("tf", "mobilenet_1_0_224_tf_no_top.h5"),
    "Xception": _Family("tf", f"xception{_KERNELS}"),
    **{
        f"EfficientNetV2B{size}": _Family("torch", f"efficientnetv2-b{size}_notop.h5")
        for size in range(4)
    },
}
BASES: Final = ("toy", *_FAMILIES)


@keras.saving.register_keras_serializable("cvlab")
class Preprocessing(layers.Layer):
    """Bring pictures in 0..255 to the scale a family of ImageNet weights expects.

    Args:
        mode: "caffe", "tf" or "torch", as in `keras.applications.imagenet_utils`.
    """

    def __init__(self, mode: str, **kwargs: Any) -> None:
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
        ValueError: If the pictures are too small for four convolutions and poolings, or `dropout`
            is no share.
    """
    if not 0 <= dropout < 1:
        raise ValueError(f"dropout is {dropout}: it is a share, from 0 to below 1; take 0.5")
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
    # In float32 under every dtype policy: bfloat16 has three digits, too few for a probability.
    network.add(layers.Dense(1, activation="sigmoid", dtype="float32"))
    return network


def toy_base(image_size: int = 64, weights: str | Path | None = "zoo") -> keras.Model:
    """Build the embedded convolutional base: VGG16's plan at a thirtieth of its size.

    Five blocks of two convolutions 3 x 3 and one max pooling, named as VGG16's layers, with 8, 24,
    48, 96 and 128 channels. `cvlab.experiments.pretrain` trained it to tell the species of the toy zoo.

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
                f"the toy base's weights are not at {path}; `python -m cvlab.experiments.pretrain` makes them"
            )
        base.load_weights(path)
    return base


def load_base(
    name: str, image_size: int, weights: str | Path | None = "pretrained", **options: float
) -> keras.Model:
    """Open the one door to every convolutional base, by name.

    Args:
        name: One of `BASES`, in any case: "toy" or a family of `keras.applications`. The family's
            options may stand in parentheses: "MobileNet(alpha=0.75)".
        image_size: Height and width of the pictures in pixels.
        weights: "pretrained" for the toy zoo's or ImageNet's, a file's path, or None for random.
        options: Passed on to the family, such as `alpha=0.75` for MobileNet.

    Returns:
        One flat model from pictures (n, image_size, image_size, 3), uint8 or float in 0..255, to
        feature maps; its preprocessing is its own layer, named "preprocessing".

    Raises:
        ValueError: For an unknown name or option, pictures too small for the family, or a file
            that holds the weights of another network.
        FileNotFoundError: If `weights` is a path and no file is there, or if Keras has no file of
            ImageNet weights and cannot download it.
    """
    family, written = parse_base(name)
    options = {**written, **options}
    label = _label(family, options)
    path = None if weights in {"pretrained", None} else Path(str(weights))
    if path is not None and not path.is_file():
        raise FileNotFoundError(f"no weights for {label} at {path}; check the path")
    if family == "toy":
        if options:
            raise ValueError(f"{label}: the toy base takes no options; write 'toy'")
        base = toy_base(image_size, "zoo" if weights == "pretrained" else None)
    else:
        base = _from_applications(family, image_size, weights == "pretrained", options)
    if path is not None:
        _load_file(base, path, label)
    return base


def base_for(profile: Profile, image_size: int | None = None) -> keras.Model:
    """Open the pretrained base of a profile, as every notebook does.

    The `quick` profile takes the embedded base, whatever the environment says. For the others,
    `CVLAB_BASE` (`make ... BASE=`) names another base than the profile's, for example
    `MobileNet(alpha=0.75)`, and `CVLAB_WEIGHTS` (`make ... WEIGHTS=`) a file of weights for it in
    place of the one that Keras downloads.

    Args:
        profile: Gives the base and the size of its pictures.
        image_size: Another height and width of the pictures in pixels.

    Returns:
        See `load_base`.

    Raises:
        ValueError: See `load_base`.
        FileNotFoundError: See `load_base`.
        TypeError: If `profile` is the name of a profile.
    """
    if not isinstance(profile, Profile):
        raise TypeError(f"profile is {profile!r}: pass the profile itself, profiles.get(PROFILE)")
    size = image_size or profile.base_image_size
    if profile.base == "toy":
        return load_base("toy", size)
    weights = os.environ.get("CVLAB_WEIGHTS") or "pretrained"
    return load_base(profile.chosen_base, size, weights)


def parse_base(name: str) -> tuple[str, dict[str, float]]:
    """Read a base's name as it is written in a profile or in `CVLAB_BASE`.

    Args:
        name: Such as "VGG16", "vgg16" or "MobileNet(alpha=0.75)".

    Returns:
        The name as it stands in `BASES`, and the options: `("MobileNet", {"alpha": 0.75})`.

    Raises:
        ValueError: If there is no such base, or the options are no numbers.
    """
    found = re.fullmatch(r"\s*(\w+)\s*(?:\((.*)\))?\s*", name)
    known = {base.lower(): base for base in BASES}
    family = known.get(found[1].lower()) if found else None
    if found is None or family is None:
        raise ValueError(f"there is no base {name!r}; choose one of {', '.join(BASES)}")
    options = {}
    for option in filter(None, (part.strip() for part in (found[2] or "").split(","))):
        key, _, value = option.partition("=")
        try:
            options[key.strip()] = float(value)
        except ValueError:
            raise ValueError(
                f"{option!r} in {name!r} is no option with a number; write for example"
                " MobileNet(alpha=0.75)"
            ) from None
    return family, options


def weights_file(name: str, image_size: int = 224) -> Path:
    """Name the file in which Keras looks for a family's ImageNet weights, without the top.

    Args:
        name: See `load_base`; any but "toy".
        image_size: Height and width of the pictures in pixels; MobileNet has a file for each of
            128, 160, 192 and 224, and for all other sizes that of 224.

    Returns:
        A path in Keras' own folder, `~/.keras/models` unless `KERAS_HOME` names another; whether
        or not the file is there.

    Raises:
        ValueError: For an unknown name, or the toy base, whose weights come with the package.
    """
    family, options = parse_base(name)
    if family == "toy":
        raise ValueError(f"Keras has no weights of the toy base: they are in {TOY_WEIGHTS}")
    file = _FAMILIES[family].file
    if family == "MobileNet":
        alpha = f"{options.get('alpha', 1.0):.2f}"
        width = "1_0" if alpha == "1.00" else f"{alpha[2]}_{alpha[3]}"
        size = image_size if image_size in {128, 160, 192, 224} else 224
        file = f"mobilenet_{width}_{size}_tf_no_top.h5"
    home = os.environ.get("KERAS_HOME") or Path.home() / ".keras"
    return Path(home) / "models" / file


def _label(family: str, options: Mapping[str, float]) -> str:
    """Write a base as `parse_base` reads it."""
    listed = ", ".join(f"{key}={value:g}" for key, value in options.items())
    return f"{family}({listed})" if listed else family


def _from_applications(
    family: str, image_size: int, pretrained: bool, options: Mapping[str, float]
) -> keras.Model:
    """Build a family of `keras.applications` behind its preprocessing."""
    pictures = keras.Input((image_size, image_size, 3), name="pictures")
    scaled = Preprocessing(_FAMILIES[family].mode, name="preprocessing")(pictures)
    own = {"include_preprocessing": False} if family.startswith("EfficientNetV2") else {}
    label = _label(family, options)
    try:
        with warnings.catch_warnings():
            # MobileNet's weights for 224 pixels serve other sizes just as well.
            warnings.filterwarnings("ignore", message=".*Weights for input shape")
            network = getattr(keras.applications, family)(
                include_top=False,
                weights="imagenet" if pretrained else None,
                input_tensor=scaled,
                input_shape=(image_size, image_size, 3),
                **own,
                **options,
            )
    except TypeError as error:
        raise ValueError(f"{label}: {family} does not take these options ({error})") from error
    except Exception as error:
        # Keras raises a bare Exception where a download fails.
        if not isinstance(error, OSError) and "URL fetch failure" not in str(error):
            raise
        file = weights_file(label, image_size)
        raise FileNotFoundError(
            f"Keras neither found usable ImageNet weights of {label} on this machine nor could it "
            f"download them ({error}). Bring the file {file.name} from a machine with network, "
            f"where `zoo.load_base('{label}', {image_size})` puts it into ~/.keras/models. Copy it "
            f"to {file}, or name its place with "
            "`make ... WEIGHTS=path` (CVLAB_WEIGHTS)"
        ) from error
    # Keras' own model takes a list of pictures and warns when it gets pictures.
    return keras.Model(pictures, network.output, name=family.lower())


def _load_file(base: keras.Model, path: Path, label: str) -> None:
    """Load weights from HDF5, which holds arrays and no code, and say so if they do not fit."""
    if path.suffix not in {".h5", ".hdf5"}:
        raise ValueError(
            f"{path} is no file of weights that can be loaded safely: use Keras' .h5 or .weights.h5"
        )
    try:
        with warnings.catch_warnings():
            # Comes before the error about the same layers.
            warnings.filterwarnings("ignore", message="Skipping nested container")
            base.load_weights(path)
    # h5py answers damaged files with any of these, depending on where it stumbles.
    except (ValueError, KeyError, OSError, RuntimeError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{path} does not hold the weights of {label} without its top. Name the base that the "
            "file belongs to, for example `make ... BASE='MobileNet(alpha=0.75)'` (CVLAB_BASE), or "
            "bring a file for this one; Keras' own names of such files end in notop.h5 or "
            f"no_top.h5. What Keras says: {error}"
        ) from error
