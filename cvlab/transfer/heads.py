"""From a frozen base to a fine-tuned one: heads, the cut at the freeze boundary, views in turn.

What lies below the freeze boundary gives the same output for the same picture in every epoch. So
it runs once for each picture or view (`cvlab.transfer.features`), and only what trains runs in every epoch:
the head, and for fine-tuning the part of the base above the boundary, which `split` cuts out. That
part shares its layers with the base. So after the training `keras.Sequential([base, head])` is
the whole fine-tuned network, which takes pictures and can be saved.
"""

import math
from collections.abc import Sequence
from typing import Any, Final

import keras
import numpy as np
from keras import layers
from numpy.typing import ArrayLike, NDArray

from cvlab.models.graph import only_layers


def dense_head(features: tuple[int, ...], *, dropout: float = 0.5) -> keras.Sequential:
    """Build the lecture's classifier on a base (step 22): Flatten, Dense 256, Dropout, sigmoid.

    Args:
        features: Shape of one picture's features, such as `base.output_shape[1:]`.
        dropout: Share of the 256 values dropped in training; 0 leaves the layer out, as the
            lecture does where the pictures are augmented (step 23).

    Returns:
        A model from features (n, *features) to the probability of class 1, (n, 1). Not compiled.
    """
    return keras.Sequential(
        [
            keras.Input(features),
            layers.Flatten(),
            layers.Dense(256, activation="relu"),
            *([layers.Dropout(dropout)] if dropout else []),
            layers.Dense(1, activation="sigmoid"),
        ],
        name="dense_head",
    )


def pooled_head(features: tuple[int, ...], *, dropout: float = 0.0) -> keras.Sequential:
    """Build the classifier that is usual today: the mean of each channel, then one sigmoid.

    Args:
        features: Shape of one picture's feature map, (height, width, channels); or (channels,) for
            maps whose means were taken before, which leaves that layer out: it has no weights, so
            on a frozen base it, too, need not run in every epoch.
        dropout: Share of the channels dropped in training; 0 leaves the layer out.

    Returns:
        A model from features (n, *features) to the probability of class 1, (n, 1). Not compiled.

    Source:
        M. Lin, Q. Chen, S. Yan, "Network In Network" (2014), section 3.2.
    """
    return keras.Sequential(
        [
            keras.Input(features),
            *([layers.GlobalAveragePooling2D()] if len(features) > 1 else []),
            *([layers.Dropout(dropout)] if dropout else []),
            layers.Dense(1, activation="sigmoid"),
        ],
        name="pooled_head",
    )


def split(base: keras.Model, layer_name: str) -> tuple[keras.Model, keras.Model]:
    """Cut a base in two in front of a layer; both parts share their layers with the base.

    Flags stay as they are: `cvlab.transfer.freezing.unfreeze_from(base, layer_name)` lets exactly the upper
    part train, its BatchNormalization excepted.

    Args:
        base: A flat functional model of one input and one output.
        layer_name: First layer of the upper part, such as `block5_conv1`.

    Returns:
        The lower part, from pictures to the feature map that the layer takes, and the upper part,
        from there to the output of the base.

    Raises:
        ValueError: If there is no such layer, it is the input, or anything passes it by, such as
            the shortcut of a residual block; the message names layers where a cut is possible.
            Also if an operation that is no layer stands between the layers.
    """
    names = [layer.name for layer in base.layers]
    if layer_name not in names:
        raise ValueError(f"{base.name} has no layer {layer_name!r}; it has {', '.join(names)}")
    only_layers(base)
    if layer_name not in _cuts(base):
        raise ValueError(
            f"{base.name} cannot be cut in front of {layer_name}: nothing goes in there, or "
            "something passes it by, such as a shortcut. Cut in front of one of "
            f"{', '.join(_cuts(base))}"
        )
    boundary = base.get_layer(layer_name).input
    lower = keras.Model(base.inputs[0], boundary, name=f"{base.name}_below_{layer_name}")
    upper = keras.Model(boundary, base.outputs[0], name=f"{base.name}_from_{layer_name}")
    return lower, upper


def _cuts(base: keras.Model) -> list[str]:
    """Layers in front of which a single tensor is all that goes on."""
    entering = [{id(tensor) for tensor in keras.tree.flatten(one.input)} for one in base.layers]
    leaving = [{id(tensor) for tensor in keras.tree.flatten(one.output)} for one in base.layers]
    last_use = {tensor: place for place, tensors in enumerate(entering) for tensor in tensors}
    found, going_on = [], leaving[0]
    for place, layer in enumerate(base.layers[1:], start=1):
        going_on = {tensor for tensor in going_on if last_use[tensor] >= place}
        if len(going_on) == 1 and going_on == entering[place]:
            found.append(layer.name)
        going_on |= {tensor for tensor in leaving[place] if tensor in last_use}
    return found


# Where the last block of each family begins: what the lecture fine-tunes of VGG16 (step 24).
_LAST_BLOCK: Final = {
    "toy_base": "block5_conv1",
    "vgg16": "block5_conv1",
    "vgg19": "block5_conv1",
    # The last two of MobileNet's thirteen: one alone is a single layer that mixes channels.
    "mobilenet": "conv_pad_12",
    "resnet50": "conv5_block1_1_conv",
    "resnet50v2": "conv5_block1_preact_bn",
    "xception": "block14_sepconv1",
}


def last_block(base: keras.Model) -> str:
    """Name the first layer of the last block of a base, where fine-tuning begins (step 24).

    Args:
        base: From `cvlab.models.zoo.load_base`.

    Raises:
        ValueError: If the family has no such layer by a name of its own; the message says what to
            do.
    """
    if base.name not in _LAST_BLOCK:
        raise ValueError(
            f"nobody has noted where the last block of {base.name} begins: look at base.summary() "
            f"and name a layer yourself; known are {', '.join(_LAST_BLOCK)}"
        )
    return _LAST_BLOCK[base.name]


def small_steps(rate: float, steps: int, *, schedule: bool = False) -> keras.optimizers.Optimizer:
    """Make the optimizer of fine-tuning (lecture step 24).

    Args:
        rate: Step size, the largest one with a schedule.
        steps: Of the whole training: epochs times batches.
        schedule: False for RMSprop with a constant step size, as in the lecture. True for AdamW
            with one that rises over the first eighth of the steps and then falls to zero along a
            cosine: the last epochs then average out what single batches pull at.

    Raises:
        ValueError: If `steps` is not positive.

    Source:
        I. Loshchilov, F. Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts" (2017) and
        "Decoupled Weight Decay Regularization" (2019).
    """
    if steps < 1:
        raise ValueError(f"steps is {steps}: pass epochs times batches, at least 1")
    if not schedule:
        return keras.optimizers.RMSprop(rate)
    rising = max(steps // 8, 1)
    falling = keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=rate / 50,
        decay_steps=max(steps - rising, 1),
        warmup_target=rate,
        warmup_steps=rising,
    )
    return keras.optimizers.AdamW(falling, weight_decay=0.01)


class Views(keras.utils.PyDataset):
    """Every picture once in each epoch, in a new order, each time in one of its views by lot.

    For `fit(x=Views(...))`: training on a few stored views in place of a new augmentation in every
    epoch. The views are read from disk batch by batch.

    Args:
        views: Arrays (N, ...) of the same shape and dtype, such as from
            `cvlab.transfer.features.extract_views`; the features of the pictures as they are may be among
            them.
        labels: Class of each picture, shape (N,).
        batch_size: Pictures a step; the last step of an epoch may have fewer.
        seed: Of the orders and the lots.

    Raises:
        ValueError: If there are no views, or they do not belong to the same pictures.
    """

    def __init__(
        self,
        views: Sequence[NDArray[Any]],
        labels: ArrayLike,
        *,
        batch_size: int,
        seed: int,
    ) -> None:
        super().__init__()
        self.views = list(views)
        self.labels = np.asarray(labels)
        shapes = sorted({view.shape for view in self.views})
        if len(shapes) != 1 or shapes[0][0] != len(self.labels):
            raise ValueError(
                f"views of shape {', '.join(map(str, shapes)) or 'none'} for {len(self.labels)} "
                "labels: pass at least one view, all of the same pictures in the same order"
            )
        if batch_size < 1:
            raise ValueError(f"batch_size is {batch_size}: pass at least 1 picture a step")
        self.batch_size = batch_size
        self._random = np.random.default_rng(seed)
        self.on_epoch_end()

    def on_epoch_end(self) -> None:
        """Draw the order and the lots of the next epoch; Keras calls this."""
        self._order = self._random.permutation(len(self.labels))
        self._lots = self._random.integers(len(self.views), size=len(self.labels))

    def __len__(self) -> int:
        """Steps an epoch."""
        return math.ceil(len(self.labels) / self.batch_size)

    def __getitem__(self, step: int) -> tuple[NDArray[Any], NDArray[Any]]:
        """Give features and labels of one step."""
        chosen = slice(step * self.batch_size, (step + 1) * self.batch_size)
        rows, lots = self._order[chosen], self._lots[chosen]
        batch = np.empty((len(rows), *self.views[0].shape[1:]), self.views[0].dtype)
        for lot in np.unique(lots):
            batch[lots == lot] = self.views[lot][rows[lots == lot]]
        return batch, self.labels[rows]
