"""The walk through a network: every layer once, under its path, and what each layer takes."""

import keras
import pytest
from keras import layers

from cvlab.models import graph


def stacked(*stack: keras.Layer) -> keras.Model:
    return keras.Sequential([keras.Input((10, 8, 6)), *stack])


def nested() -> keras.Model:
    """A model in a model, and attention, which holds layers and is not a model."""
    inside = keras.Input((4, 2), name="inside")
    block = keras.Model(inside, layers.Dense(2, name="dense")(inside), name="block")
    x = keras.Input((4, 2), name="x")
    y = layers.MultiHeadAttention(1, 2, name="attention")(block(x), block(x))
    return keras.Model(x, layers.Dense(1, name="dense")(y), name="outer")


def test_every_layer_comes_once_under_its_path() -> None:
    model = nested()
    found = dict(graph.opened(model))
    top = ["x", "block", "attention", "dense"]
    assert next(iter(found)) == ""
    assert found[""] is model
    assert [path for path in found if path and "/" not in path] == top
    assert [path for path in found if path.startswith("block/")] == ["block/inside", "block/dense"]
    assert found["block/dense"] is not found["dense"]
    assert {"attention/query", "attention/key", "attention/value"} <= set(found)
    assert len({id(layer) for layer in found.values()}) == len(found)


def test_layers_inside_layers_can_stay_closed() -> None:
    found = dict(graph.opened(nested(), models_only=True))
    assert list(found) == ["", "x", "block", "block/inside", "block/dense", "attention", "dense"]


def test_a_second_layer_of_the_same_name_gets_a_number() -> None:
    class Pair(keras.layers.Layer):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = layers.Dense(2, name="dense"), layers.Dense(2, name="dense")

    pair = Pair()
    assert list(graph.opened(pair)) == [
        ("", pair),
        ("dense", pair.first),
        ("dense#2", pair.second),
    ]


def test_children_are_the_layers_directly_inside() -> None:
    model = nested()
    assert [layer.name for layer in graph.children(model)] == ["x", "block", "attention", "dense"]
    assert graph.children(model.get_layer("dense")) == []
    assert {"query", "key"} <= {
        layer.name for layer in graph.children(model.get_layer("attention"))
    }


def test_operations_between_the_layers_are_refused() -> None:
    x = keras.Input((4, 4, 2))
    with pytest.raises(ValueError, match=r"multiply.*write it as a layer"):
        graph.only_layers(keras.Model(x, 2 * x))
    graph.only_layers(nested())


def test_wiring_names_what_each_layer_takes() -> None:
    x = keras.Input((4, 4, 2), name="x")
    left, right = layers.ReLU(name="left")(x), layers.Conv2D(2, 1, name="right")(x)
    model = keras.Model(x, layers.Multiply(name="both")([right, left]))
    before = {layer.name: names for layer, names in graph.wiring(model)}
    assert before == {"x": [], "left": ["x"], "right": ["x"], "both": ["right", "left"]}
    attention = keras.Model(x, layers.Dot(3, name="itself")([x, x]))
    assert list(graph.wiring(attention))[-1][1] == ["x"]


def test_boxes_say_what_matters() -> None:
    stack = [
        layers.Conv2D(4, 3, strides=2),
        layers.MaxPooling2D(2),
        layers.ReLU(),
        layers.Dense(5, name="query"),
        layers.BatchNormalization(),
    ]
    assert [graph.describe(layer) for layer in stacked(*stack).layers] == [
        "convolution\n3 × 3 stride 2 → 4 × 3 × 4",
        "max pooling\n2 × 2 stride 2 → 2 × 1 × 4",
        "ReLU\n→ 2 × 1 × 4",
        "query\n→ 2 × 1 × 5",
        "batch norm.\n→ 2 × 1 × 5",
    ]
    tokens = keras.Sequential([keras.Input((9, 6)), layers.Dense(2), layers.Flatten()])
    assert [graph.describe(layer) for layer in tokens.layers] == [
        "dense\n→ 9 tokens × 2",
        "Flatten\n→ 18",
    ]


def test_a_sketch_has_boxes_arrows_and_weights() -> None:
    x = keras.Input((4, 4, 2), name="x")
    model = keras.Model(x, layers.Add(name="sum")([x, layers.Conv2D(2, 1, name="conv")(x)]))
    boxes, arrows, filled = graph.sketch(model)
    assert list(boxes) == ["x", "conv", "sum"]
    assert arrows == [("x", "conv"), ("x", "sum"), ("conv", "sum")]
    assert filled == {"conv"}
