"""Every pretrained base by its name, with its preprocessing built in.

Each base takes images as they are, uint8 or float in 0..255, and its first layer is its own
preprocessing, so it can never get images on the wrong scale.
"""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

import keras
import numpy as np
from keras import layers

from cvlab import precision
from cvlab.models.embedded import TOY_WEIGHTS, toy_base
from cvlab.models.graph import Tensor
from cvlab.profiles import Profile


class _Family(NamedTuple):
    """A family of `keras.applications`.

    Attributes:
        mode: The scale its ImageNet weights expect: "caffe" is BGR with ImageNet's mean color
            subtracted, "tf" is -1..1, "torch" is standardized by ImageNet's mean and standard
            deviation of each channel.
        file: The name of the file in which Keras keeps those weights; see `weights_file` for
            `width` and `size`. MobileNetV3 writes `alpha` as a number.
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
    "MobileNet": _Family("tf", "mobilenet_{width}_{size}_tf_no_top.h5"),
    "Xception": _Family("tf", f"xception{_KERNELS}"),
    **{
        f"EfficientNetV2B{size}": _Family("torch", f"efficientnetv2-b{size}_notop.h5")
        for size in range(4)
    },
    "ConvNeXtTiny": _Family("torch", "convnext_tiny_notop.h5"),
    **{
        f"MobileNetV3{size}": _Family(
            "tf", f"weights_mobilenet_v3_{size.lower()}_224_{{alpha}}_float_no_top_v2.h5"
        )
        for size in ("Large", "Small")
    },
}
# Families that Keras gives its preprocessing as a layer; here each base has it once, as the first.
_WITH_PREPROCESSING: Final = ("EfficientNetV2", "ConvNeXt", "MobileNetV3")
BASES: Final = ("toy", *_FAMILIES)


@keras.saving.register_keras_serializable("cvlab")
class Preprocessing(layers.Layer):
    """Bring images in 0..255 to the scale that a family of ImageNet weights expects.

    Args:
        mode: "caffe", "tf" or "torch", as in `keras.applications.imagenet_utils`.
    """

    def __init__(self, mode: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.mode = mode

    def call(self, images: Tensor) -> Tensor:
        """Rescale images (n, h, w, 3) in 0..255; the shape stays."""
        images = keras.ops.cast(images, self.compute_dtype)
        return keras.applications.imagenet_utils.preprocess_input(
            images, data_format="channels_last", mode=self.mode
        )

    def get_config(self) -> dict[str, object]:
        """Return the arguments of the constructor."""
        return {**super().get_config(), "mode": self.mode}


def load_base(name: str, image_size: int, weights: str | Path | None = "pretrained") -> keras.Model:
    """Build a convolutional base by its name.

    Args:
        name: One of `BASES`, in upper or lower case: "toy" or a family of `keras.applications`,
            with options in parentheses if needed: "MobileNet(alpha=0.75)".
        image_size: Height and width of the images in pixels.
        weights: "pretrained" for those of the drawn zoo ("toy") or ImageNet, the path of a file,
            or None for random ones.

    Returns:
        One flat model from images (n, image_size, image_size, 3), uint8 or float in 0..255, to
        feature maps (n, h, w, channels). Its preprocessing is a layer named "preprocessing".

    Raises:
        ValueError: If the name or an option is unknown, the images are too small for the family,
            or the file holds the weights of another network.
        FileNotFoundError: If `weights` is a path and there is no file, or if Keras has no file of
            ImageNet weights and cannot download one.
    """
    family, options = parse_base(name)
    path = None if weights in {"pretrained", None} else Path(str(weights))
    if path is not None and not path.is_file():
        raise FileNotFoundError(f"no weights for {name} at {path}; check the path")
    if family == "toy" and options:
        raise ValueError(f"{name}: the toy base takes no options; write 'toy'")
    if family == "toy":
        base = toy_base(image_size, "zoo" if weights == "pretrained" else None)
    else:
        base = _from_applications(name, image_size, pretrained=weights == "pretrained")
    if path is not None:
        _load_file(base, path, name)
    return base


def base_for(profile: Profile, image_size: int | None = None, *, fast: bool = False) -> keras.Model:
    """Build the pretrained base of a profile, as every notebook does.

    The `quick` profile always uses the embedded base. For the others, the environment variable
    `CVLAB_BASE` (`make ... BASE=`) names another base, for example `MobileNet(alpha=0.75)`, and
    `CVLAB_WEIGHTS` (`make ... WEIGHTS=`) a file of weights to use instead of a download by Keras.

    Args:
        profile: Its `base` and `base_image_size` are used.
        image_size: Another height and width of the images in pixels.
        fast: Whether the embedded base may compute in bfloat16 where the processor supports it: it
            then trains in half the time. (MobileNet's BatchNormalization and ReLU6 get slower.)

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
        dtype = precision.dtype_policy(fast=profile.mixed_precision) if fast else None
        return toy_base(size, dtype=dtype)
    weights = os.environ.get("CVLAB_WEIGHTS") or "pretrained"
    return load_base(profile.chosen_base, size, weights)


def imagenet_classifier(name: str, image_size: int = 224) -> tuple[keras.Model, tuple[str, ...]]:
    """Build a family of `keras.applications` with its top: the classifier of ImageNet's classes.

    Args:
        name: See `load_base`; any but "toy".
        image_size: Height and width of the images in pixels; the top of VGG16 and VGG19 takes 224
            only.

    Returns:
        A model from images (n, image_size, image_size, 3), uint8 or float in 0..255, to
        probabilities (n, 1000); and the names of the classes in the order of its outputs.

    Raises:
        ValueError: If the name or an option is unknown, or "toy": see `embedded.classifier`.
        FileNotFoundError: If Keras has no weights with the top, or no file of the names, and cannot
            download them.
    """
    model = _from_applications(name, image_size, pretrained=True, top=True)
    with _explained("Keras found no names of ImageNet's classes and could not download them"):
        decoded = keras.applications.imagenet_utils.decode_predictions(np.eye(1000), top=1)
    return model, tuple(best[0][1] for best in decoded)


def parse_base(name: str) -> tuple[str, dict[str, float]]:
    """Parse the name of a base as written in a profile or in `CVLAB_BASE`.

    Args:
        name: Such as "VGG16", "vgg16" or "MobileNet(alpha=0.75)".

    Returns:
        The name as in `BASES`, and the options: `("MobileNet", {"alpha": 0.75})`.

    Raises:
        ValueError: If there is no such base, or an option is not a number.
    """
    found = re.fullmatch(r"\s*(\w+)\s*(?:\((.*)\))?\s*", name)
    known = {base.lower(): base for base in BASES}
    family = known.get(found[1].lower()) if found else None
    if found is None or family is None:
        raise ValueError(f"there is no base {name!r}; choose one of {', '.join(BASES)}")
    pairs = (option.split("=") for option in (found[2] or "").split(",") if option.strip())
    try:
        return family, {key.strip(): float(value) for key, value in pairs}
    except ValueError:
        raise ValueError(
            f"{found[2]!r} in {name!r} is not an option with a number; write for example "
            "MobileNet(alpha=0.75)"
        ) from None


def weights_file(name: str, image_size: int = 224, *, top: bool = False) -> Path:
    """Return the file in which Keras looks for a family's ImageNet weights.

    Args:
        name: See `load_base`; any but "toy".
        image_size: Height and width of the images in pixels; MobileNet has one file each for 128,
            160, 192 and 224, and uses that of 224 for all other sizes.
        top: Whether the weights are those with the classifier on top.

    Returns:
        A path in the folder of Keras, `~/.keras/models` or the one that `KERAS_HOME` names. The
        file need not exist.

    Raises:
        ValueError: If the name is unknown, or "toy": its weights come with the package.
    """
    family, options = parse_base(name)
    if family == "toy":
        raise ValueError(
            f"Keras has no weights of the toy base: they come with cvlab, in {TOY_WEIGHTS}"
        )
    alpha = f"{options.get('alpha', 1.0):.2f}"
    width = "1_0" if alpha == "1.00" else f"{alpha[2]}_{alpha[3]}"
    size = image_size if image_size in {128, 160, 192, 224} else 224
    home = os.environ.get("KERAS_HOME") or Path.home() / ".keras"
    file = _FAMILIES[family].file.format(width=width, size=size, alpha=options.get("alpha", 1.0))
    return Path(home) / "models" / (re.sub("_no_?top(_v2)?", "", file) if top else file)


@contextmanager
def _explained(message: str) -> Iterator[None]:
    """Raise a FileNotFoundError with this message, and Keras' own in it, if a download fails."""
    try:
        yield
    except Exception as error:
        # Keras raises a bare Exception where a download fails.
        if not isinstance(error, OSError) and "URL fetch failure" not in str(error):
            raise
        raise FileNotFoundError(f"{message} (Keras reports: {error})") from error


def _from_applications(
    name: str, image_size: int, *, pretrained: bool, top: bool = False
) -> keras.Model:
    """Build a family of `keras.applications` with its preprocessing as the first layer."""
    family, options = parse_base(name)
    images = keras.Input((image_size, image_size, 3), name="images")
    scaled = Preprocessing(_FAMILIES[family].mode, name="preprocessing")(images)
    own = {"include_preprocessing": False} if family.startswith(_WITH_PREPROCESSING) else {}
    file = weights_file(name, image_size, top=top)
    call = f"cvlab.models.{'imagenet_classifier' if top else 'load_base'}('{name}', {image_size})"
    message = (
        f"Keras found no usable ImageNet weights of {name} on this machine and could not download "
        f"them. On a machine with network access, call `{call}`, which puts {file.name} into "
        f"~/.keras/models. Copy that file to {file}"
    )
    if not top:
        message += ", or pass its path with `make ... WEIGHTS=path` (CVLAB_WEIGHTS)"
    try:
        with _explained(message), warnings.catch_warnings():
            # MobileNet's weights for 224 pixels work at other sizes just as well.
            warnings.filterwarnings("ignore", message=".*Weights for input shape")
            network = getattr(keras.applications, family)(
                include_top=top,
                weights="imagenet" if pretrained else None,
                input_tensor=scaled,
                input_shape=(image_size, image_size, 3),
                **own,
                **options,
            )
    except TypeError as error:
        raise ValueError(f"{name}: {family} does not take these options ({error})") from error
    # The model that Keras built expects a list of inputs and warns when it gets an array.
    return keras.Model(images, network.output, name=family.lower())


def _load_file(base: keras.Model, path: Path, name: str) -> None:
    """Load weights from HDF5, which holds arrays and no code; explain why they do not fit."""
    if path.suffix not in {".h5", ".hdf5"}:
        raise ValueError(
            f"{path} cannot be loaded safely: pass a file of weights that Keras saved as .h5 or "
            ".weights.h5"
        )
    try:
        with warnings.catch_warnings():
            # This warning only repeats the error that follows.
            warnings.filterwarnings("ignore", message="Skipping nested container")
            base.load_weights(path)
    # h5py raises any of these for damaged files.
    except (ValueError, KeyError, OSError, RuntimeError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{path} does not hold the weights of {name} without its top. Name the base that the "
            "file belongs to, for example `make ... BASE='MobileNet(alpha=0.75)'` (CVLAB_BASE), or "
            f"pass a file for {name}; the names of such files of Keras end in notop.h5 or "
            f"no_top.h5. Keras reports: {error}"
        ) from error
