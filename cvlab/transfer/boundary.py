"""The freeze boundary: where a base is cut in two, and where its last block begins.

Below the boundary the output for an image is the same in every epoch. So that part runs once per
image (`cvlab.transfer.features`), and only the part above it and the head run in every epoch. Both
parts share their layers with the base: after the training, `keras.Sequential([base, head])` is the
whole fine-tuned network, which takes images and can be saved.
"""

from typing import Final

import keras

from cvlab.models.graph import layer_named, only_layers

# First layer of the last block by family: what the lecture fine-tunes of VGG16 (step 24).
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
    """Return the name of the first layer of the last block, where fine-tuning begins (step 24).

    Args:
        base: From `cvlab.models.load_base`.

    Raises:
        ValueError: If that layer is not known for this family.
    """
    if base.name not in _LAST_BLOCK:
        raise ValueError(
            f"the first layer of the last block of {base.name} is not known: look at "
            f"base.summary() and name a layer yourself; known are {', '.join(_LAST_BLOCK)}"
        )
    return _LAST_BLOCK[base.name]


def split(base: keras.Model, layer_name: str) -> tuple[keras.Model, keras.Model]:
    """Cut a base in two in front of a layer; both parts share their layers with the base.

    The flags `trainable` stay as they are: with `freezing.unfreeze_from(base, layer_name)` exactly
    the upper part trains, except its BatchNormalization.

    Args:
        base: A flat functional model of one input and one output.
        layer_name: First layer of the upper part, such as `block5_conv1`.

    Returns:
        The lower part, from images to the feature map that the layer takes, and the upper part,
        from that feature map to the output of the base.

    Raises:
        ValueError: If there is no such layer, it is the input, or a connection bypasses it, such
            as the shortcut of a residual block; the message names layers where a cut is possible.
            Also if the model uses operations that are not layers.
    """
    boundary = layer_named(layer_name, base).input
    only_layers(base)
    if layer_name not in _cuts(base):
        raise ValueError(
            f"{base.name} cannot be cut in front of {layer_name}: it is the input, or a connection "
            f"such as a shortcut bypasses it. Cut in front of one of {', '.join(_cuts(base))}"
        )
    lower = keras.Model(base.inputs[0], boundary, name=f"{base.name}_below_{layer_name}")
    upper = keras.Model(boundary, base.outputs[0], name=f"{base.name}_from_{layer_name}")
    return lower, upper


def _cuts(base: keras.Model) -> list[str]:
    """Return the layers in front of which a single tensor is all that later layers need."""
    entering = [{id(tensor) for tensor in keras.tree.flatten(one.input)} for one in base.layers]
    leaving = [{id(tensor) for tensor in keras.tree.flatten(one.output)} for one in base.layers]
    last_use = {tensor: place for place, tensors in enumerate(entering) for tensor in tensors}
    found, needed = [], leaving[0]
    for place, layer in enumerate(base.layers[1:], start=1):
        needed = {tensor for tensor in needed if last_use[tensor] >= place}
        if len(needed) == 1 and needed == entering[place]:
            found.append(layer.name)
        needed |= {tensor for tensor in leaving[place] if tensor in last_use}
    return found
