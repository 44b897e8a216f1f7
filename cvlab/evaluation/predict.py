"""From one image file of any origin to a class, its calibrated probability and a heatmap."""

from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Final

import keras
import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image, ImageOps
from scipy import special

from cvlab.data.decoding import BadImageError, open_rgb, quiet_pillow, squeezed
from cvlab.data.listing import CLASS_NAMES
from cvlab.evaluation import explain

MAX_BYTES: Final = 20 * 2**20
"""Largest image file that `predict_file` reads."""
_SHOWN: Final = (512, 512)  # pixels that the photo in a `Prediction` fits into
# In float32 a probability above 1 minus this is 1, and its logit would be infinite.
_LEAST: Final = 2.0**-24
_ADVICE: Final = f"Use a JPEG, PNG or WebP photo of at most {MAX_BYTES // 2**20} MB."


@dataclass(frozen=True, eq=False)
class Prediction:
    """What a model says about one image, and where in the image it found it.

    Attributes:
        name: The predicted class.
        probability: Of that class, calibrated if a temperature was given; from 0.5 to 1.
        photo: The upright photo, uint8 RGB (height, width, 3), its longer side 512 pixels.
        overlay: The photo with the Grad-CAM heatmap of the predicted class, same shape.
    """

    name: str
    probability: float
    photo: NDArray[np.uint8]
    overlay: NDArray[np.uint8]

    def __str__(self) -> str:
        """Return class and probability, for example `dog, 97.3 %`."""
        return f"{self.name}, {100 * self.probability:.1f} %"

    __repr__ = __str__


def predict_file(
    model: keras.Model,
    file: str | Path,
    *,
    temperature: float = 1.0,
    class_names: tuple[str, str] = CLASS_NAMES,
) -> Prediction:
    """Predict the class of one image file and explain the prediction.

    The photo is turned upright (EXIF) and squeezed to the square that the model takes, as the
    course's training images are.

    Args:
        model: A binary classifier from images in 0..255, (n, size, size, 3), to the probability of
            class 1, (n, 1), with a convolution for Grad-CAM.
        file: An image file; see `cvlab.data.decoding` for the formats.
        temperature: Divides the logit; above 1 it lowers the confidence. 1 if it is part of the
            model already (`fold_temperature`).
        class_names: Names of class 0 and class 1.

    Raises:
        FileNotFoundError: If there is no such file.
        BadImageError: If the file is too large or not an image that can be decoded; the message
            says why, and what to use.
        ValueError: If the model takes or returns something else, or the temperature is not
            positive.
    """
    size = image_size(model)
    _check_temperature(temperature)
    photo, pixels = _decoded(Path(file), size)
    output = model(keras.ops.convert_to_tensor(pixels[None]), training=False)
    uncalibrated = float(keras.ops.convert_to_numpy(output)[0, 0])
    if not 0 <= uncalibrated <= 1:
        raise ValueError(
            f"{model.name} returned {uncalibrated}, which is not a probability: pass a model that "
            "ends in a sigmoid and whose weights are finite"
        )
    logit = float(logits(uncalibrated))
    probability = float(special.expit(logit / temperature))
    label = int(logit > 0)
    layer = explain.last_convolution(model)
    (heatmap,) = explain.grad_cam(model, pixels[None], layer, target=label)
    return Prediction(
        class_names[label],
        probability if label else 1 - probability,
        photo,
        explain.overlay(photo, heatmap, _centers(model, layer, size, photo)),
    )


def logits(probabilities: ArrayLike) -> NDArray[np.float64]:
    """Return the logits of probabilities, log(p / (1 - p)), bounded where float32 rounds p to 1.

    Args:
        probabilities: What a sigmoid returned, any shape.
    """
    p = np.asarray(probabilities, dtype=np.float64)
    return np.asarray(special.logit(np.clip(p, _LEAST, 1 - _LEAST)))


def fold_temperature(model: keras.Model, temperature: float) -> keras.Model:
    """Copy a model with the temperature inside, so that its file alone is calibrated.

    The last layer computes the logit w·x + b. Dividing the logit by the temperature is the same as
    dividing w and b by it.

    Args:
        model: A classifier that ends in a `Dense` layer with a sigmoid.
        temperature: More than 0.

    Returns:
        The copy, which does not share weights with `model`. It is not compiled.

    Raises:
        ValueError: If the model ends in another layer, or the temperature is not positive.
    """
    _check_temperature(temperature)
    last = _last_layer(model)
    activation = getattr(last, "activation", None)
    if not isinstance(last, keras.layers.Dense) or activation is not keras.activations.sigmoid:
        raise ValueError(
            f"{model.name} ends in {last.name}, a {type(last).__name__}: the temperature can be "
            "put inside a model that ends in Dense(1, activation='sigmoid')"
        )
    copy = keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    last = _last_layer(copy)
    last.set_weights([weight / temperature for weight in last.get_weights()])
    return copy


def _last_layer(model: keras.Model) -> keras.Layer:
    last: keras.Layer = model
    while isinstance(last, keras.Model):
        last = last.layers[-1]
    return last


def _check_temperature(temperature: float) -> None:
    if not (isfinite(temperature) and temperature > 0):
        raise ValueError(f"temperature is {temperature}: pass a number above 0, 1 for none")


def image_size(model: keras.Model) -> int:
    """Return the height and width of the images that a binary classifier takes.

    Raises:
        ValueError: If it takes or returns something else.
    """
    taken, returned = (getattr(model, name, None) for name in ("input_shape", "output_shape"))
    match taken, returned:
        case (_, int(height), int(width), 3), (_, 1) if height == width:
            return height
    raise ValueError(
        f"{model.name} goes from {taken} to {returned}: pass a model from square color images "
        "(None, size, size, 3) to one probability (None, 1)"
    )


def _decoded(file: Path, size: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return an image as a person sees it, and as a model takes it."""
    if not file.is_file():
        raise FileNotFoundError(f"There is no file {file}: check the path.")
    with file.open("rb") as stream:
        data = stream.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise BadImageError(f"{file.name} is too large. {_ADVICE}")
    try:
        with quiet_pillow(), open_rgb(data) as image:
            pixels = squeezed(image, size)
            shown = ImageOps.contain(image, _SHOWN, Image.Resampling.BILINEAR)
            return np.array(shown, dtype=np.uint8), pixels
    except BadImageError as error:
        raise BadImageError(f"{file.name} cannot be used: {error}. {_ADVICE}") from error


def _centers(
    model: keras.Model, layer: str, size: int, photo: NDArray[np.uint8]
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Return where the cells of the heatmap lie on the photo; None in a network with branches."""
    try:
        rows, columns = explain.cell_centers(model, layer, (size, size))
    except ValueError:
        return None
    height, width = (side / size for side in photo.shape[:2])
    return (rows + 0.5) * height - 0.5, (columns + 0.5) * width - 0.5
