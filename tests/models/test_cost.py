"""What networks cost, against their papers, closed forms and counts by hand."""

import keras
import pytest
from keras import layers

from cvlab.models import cost
from cvlab.models.foundations import FOUNDATIONS

# Depth, parameters with the top, multiply-adds and how near ours must come to them. Where the
# papers print multiply-adds they round: "15.5 G" and "19.6 G" (VGG), "1.5 G" (GoogLeNet), "3.8 G"
# (ResNet), "569 M" (MobileNet), 5.7 G (InceptionV3), 8.4 G (Xception), 17.6 G (ViT-B/16).
PUBLISHED = {
    "LeNet-5": (5, 61_706, 416_520, 0),
    "AlexNet": (8, 60_965_224, 724e6, 0.002),
    "VGG16": (16, 138_357_544, 15.47e9, 0.001),
    "VGG19": (19, 143_667_240, 19.63e9, 0.001),
    "GoogLeNet": (22, 6_998_552, 1.5e9, 0.06),
    "ResNet50": (50, 25_636_712, 3.8e9, 0.02),
    "InceptionV3": (48, 23_851_784, 5.7e9, 0.01),
    "Xception": (37, 22_910_480, 8.4e9, 0.01),
    "MobileNet": (28, 4_253_864, 569e6, 0.001),
    "ViT-B/16": (50, 86_567_656, 17.6e9, 0.005),
}


@pytest.mark.usefixtures("large_network")
@pytest.mark.parametrize("name", FOUNDATIONS)
def test_foundations_cost_what_their_papers_say(name: str) -> None:
    depth, parameters, multiply_adds, tolerance = PUBLISHED[name]
    found = cost.facts(FOUNDATIONS[name].build())
    assert (found.depth, found.parameters) == (depth, parameters)
    assert found.multiply_adds == pytest.approx(multiply_adds, rel=tolerance)
    assert found.megabytes == pytest.approx(4 * parameters / 1e6)


def test_foundations_are_in_the_order_of_their_years() -> None:
    years = [foundation.year for foundation in FOUNDATIONS.values()]
    assert years == sorted(years)
    assert set(PUBLISHED) == set(FOUNDATIONS)
    without = [name for name, foundation in FOUNDATIONS.items() if foundation.top1 is None]
    assert without == ["LeNet-5"]


def test_vgg16_in_closed_form() -> None:
    plan = [(224, 64, 2), (112, 128, 2), (56, 256, 3), (28, 512, 3), (14, 512, 3)]
    total, channels = 0, 3
    for size, filters, convolutions in plan:
        for _ in range(convolutions):
            total += size * size * 3 * 3 * channels * filters
            channels = filters
    base = keras.applications.VGG16(include_top=False, weights=None, input_shape=(224, 224, 3))
    assert cost.multiply_adds(base) == total == 15_346_630_656
    dense = 7 * 7 * 512 * 4096 + 4096 * 4096 + 4096 * 1000
    assert total + dense == 15_470_264_320


def test_mobilenet_by_its_papers_formula() -> None:
    """Section 3.1: a separable convolution costs K·K·M·F·F + M·N·F·F."""
    blocks = [(112, 32, 64), (56, 64, 128), (56, 128, 128), (28, 128, 256), (28, 256, 256)]
    blocks += [(14, 256, 512), *[(14, 512, 512)] * 5, (7, 512, 1024), (7, 1024, 1024)]
    total = 112 * 112 * 3 * 3 * 3 * 32
    total += sum(9 * m * f * f + m * n * f * f for f, m, n in blocks)
    base = keras.applications.MobileNet(include_top=False, weights=None, input_shape=(224, 224, 3))
    assert cost.multiply_adds(base) == total
    assert total + 1024 * 1000 == 568_740_352


def small(*stack: keras.Layer, shape: tuple[int | None, ...] = (10, 8, 6)) -> keras.Model:
    return keras.Sequential([keras.Input(shape), *stack])


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        (layers.Conv2D(4, 3), 8 * 6 * 9 * 6 * 4),
        (layers.Conv2D(4, 3, padding="same", strides=2), 5 * 4 * 9 * 6 * 4),
        (layers.Conv2D(4, (1, 5), padding="same", groups=2), 10 * 8 * 5 * 3 * 4),
        (layers.DepthwiseConv2D(3, depth_multiplier=2), 8 * 6 * 9 * 6 * 2),
        (layers.SeparableConv2D(4, 3, padding="same"), 10 * 8 * (9 * 6 + 6 * 4)),
        (layers.Dense(7), 10 * 8 * 6 * 7),
        (layers.BatchNormalization(), 0),
        (layers.MaxPooling2D(2), 0),
    ],
    ids=lambda value: type(value).__name__,
)
def test_each_kind_of_layer_by_hand(layer: keras.Layer, expected: int) -> None:
    assert cost.multiply_adds(small(layer)) == expected


def test_attention_by_hand() -> None:
    asking, asked = keras.Input((5, 6)), keras.Input((7, 4))
    attend = layers.MultiHeadAttention(num_heads=2, key_dim=3, value_dim=8)
    model = keras.Model([asking, asked], attend(asking, asked))
    maps = 5 * 6 * 2 * 3 + 7 * 4 * 2 * 3 + 7 * 4 * 2 * 8 + 5 * 2 * 8 * 6
    assert cost.multiply_adds(model) == maps + 5 * 7 * 2 * (3 + 8)
    itself = keras.Model(asking, layers.MultiHeadAttention(2, 3)(asking, asking))
    assert cost.multiply_adds(itself) == 4 * 5 * 6 * 2 * 3 + 2 * 5 * 5 * 2 * 3


def test_models_inside_models_count() -> None:
    inner = small(layers.Conv2D(4, 3), layers.Conv2D(2, 1))
    outer = small(inner, layers.Flatten(), layers.Dense(3))
    assert cost.multiply_adds(outer) == cost.multiply_adds(inner) + 8 * 6 * 2 * 3
    assert cost.depth(outer) == 3


def test_depth_is_the_longest_way() -> None:
    x = keras.Input((8, 8, 4))
    long = layers.Conv2D(4, 1)(layers.ReLU()(layers.Conv2D(4, 3, padding="same")(x)))
    short = layers.Conv2D(4, 1)(x)
    model = keras.Model(x, layers.Conv2D(2, 1)(layers.Add()([short, long])))
    assert cost.depth(model) == 3


def test_steps_are_those_of_the_depth() -> None:
    images = keras.Input((16, 16, 3))
    x = layers.Conv2D(4, 3, strides=2, padding="same")(images)
    wide, narrow = layers.Conv2D(4, 3, padding="same")(x), layers.Conv2D(4, 1)(x)
    x = layers.DepthwiseConv2D(3, strides=2, padding="same")(layers.Add()([wide, narrow]))
    x = layers.Reshape((16, 4))(x)
    x = layers.Flatten()(layers.MultiHeadAttention(1, 2)(x, x))
    model = keras.Model(images, layers.Dense(2)(x))
    assert cost.steps(model) == [
        ("convolution", 8),
        ("convolution", 8),
        ("depthwise or separable", 4),
        ("attention", 4),
        ("attention", 4),
        ("dense", 1),
    ]
    assert len(cost.steps(model)) == cost.depth(model)


def test_what_cannot_be_counted_is_refused() -> None:
    with pytest.raises(ValueError, match="no fixed size"):
        cost.multiply_adds(small(layers.Conv2D(4, 3), shape=(None, None, 3)))
    with pytest.raises(ValueError, match="Conv2DTranspose"):
        cost.multiply_adds(small(layers.Conv2DTranspose(4, 3)))


def test_memory_follows_the_type_of_the_weights() -> None:
    halves = small(layers.Conv2D(5, 1, dtype="float16"))
    assert cost.facts(halves).megabytes == pytest.approx((6 * 5 + 5) * 2 / 1e6)
