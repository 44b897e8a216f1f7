"""What a network sees, against convolutions and derivatives worked out without Keras."""

from collections.abc import Callable

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers
from scipy.signal import correlate2d

from cvlab import plots
from cvlab.evaluation import explain
from cvlab.evaluation.explain import cell_centers, feature_maps, filters, grad_cam, overlay

SQUARE = 3  # pixels a side


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (4, 10, 12, 3), np.uint8)


def convnet() -> keras.Model:
    """Smooth, so that differences can stand in for derivatives."""
    keras.utils.set_random_seed(1)
    return keras.Sequential(
        [
            keras.Input((10, 12, 3)),
            layers.Rescaling(1 / 255),
            layers.Conv2D(5, 3, activation="tanh", name="first"),
            layers.AveragePooling2D(2, name="pool"),
            layers.Conv2D(6, 3, activation="tanh", name="second"),
            layers.Flatten(),
            layers.Dropout(0.5),
            layers.Dense(7, activation="tanh"),
            layers.Dense(1, activation="sigmoid", name="output"),
        ]
    )


def small_cnn(size: int) -> keras.Model:
    """The lecture's four unpadded convolutions and poolings."""
    names = iter(("first", "second", "third", "fourth"))
    pairs = [(layers.Conv2D(4, 3, name=name), layers.MaxPooling2D(2)) for name in names]
    return keras.Sequential(
        [keras.Input((size, size, 3)), *(step for pair in pairs for step in pair)]
    )


def cam_net(outputs: int, activation: str | None, sureness: float = 1.0) -> keras.Model:
    """Convolution of one pixel, global pooling, dense: where CAM and Grad-CAM are the same."""
    keras.utils.set_random_seed(2)
    model = keras.Sequential(
        [
            keras.Input((10, 12, 3)),
            layers.Conv2D(4, 1, activation="relu", name="conv"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(outputs, name="dense"),
        ]
    )
    if activation == "softmax":
        model.add(layers.Softmax())
    elif activation:
        model.get_layer("dense").activation = keras.activations.get(activation)
    kernel, bias = model.get_layer("dense").get_weights()
    model.get_layer("dense").set_weights([sureness * kernel, bias])
    return model


def cam(model: keras.Model, images: np.ndarray, direction: np.ndarray) -> np.ndarray:
    """Class activation maps in NumPy: the dense layer's weights on the feature map."""
    kernel, bias = model.get_layer("conv").get_weights()
    maps = np.maximum(images.astype(float) @ kernel[0, 0] + bias, 0)
    heat = np.maximum(maps @ (model.get_layer("dense").get_weights()[0] @ direction), 0)
    return np.stack([picture / (picture.max() or 1) for picture in heat])


@pytest.mark.parametrize(("label", "sign"), [(1, 1.0), (0, -1.0)])
def test_grad_cam_is_cam_for_a_sigmoid(images: np.ndarray, label: int, sign: float) -> None:
    model = cam_net(1, "sigmoid")
    expected = cam(model, images, np.array([sign]))
    np.testing.assert_allclose(grad_cam(model, images, target=label), expected, atol=1e-5)


@pytest.mark.parametrize("activation", ["softmax", None])
def test_grad_cam_is_cam_for_several_classes(images: np.ndarray, activation: str | None) -> None:
    model = cam_net(3, activation)
    for label in range(3):
        expected = cam(model, images, np.eye(3)[label])
        np.testing.assert_allclose(grad_cam(model, images, target=label), expected, atol=1e-5)
    mixed = [cam(model, images[i : i + 1], np.eye(3)[i % 3])[0] for i in range(4)]
    np.testing.assert_allclose(grad_cam(model, images, target=[0, 1, 2, 0]), mixed, atol=1e-5)


@pytest.mark.parametrize("batch_size", [1, 3, 4, 9])
def test_grad_cam_takes_its_pictures_a_batch_at_a_time(
    images: np.ndarray, monkeypatch: pytest.MonkeyPatch, batch_size: int
) -> None:
    model = cam_net(3, "softmax")
    mixed = [cam(model, images[i : i + 1], np.eye(3)[i % 3])[0] for i in range(4)]
    at_once = []
    run = explain._run

    def counting(model: keras.Model, pictures: np.ndarray) -> object:
        at_once.append(len(pictures))
        return run(model, pictures)

    monkeypatch.setattr(explain, "_run", counting)
    heat = grad_cam(model, images, target=[0, 1, 2, 0], batch_size=batch_size)
    np.testing.assert_allclose(heat, mixed, atol=1e-5)
    assert max(at_once) == min(batch_size, 4)


def test_grad_cam_of_a_network_that_is_certain(images: np.ndarray) -> None:
    sure = cam_net(1, "sigmoid", sureness=1e3)
    probabilities = sure.predict(images, verbose=0)
    assert set(np.unique(probabilities)) <= {0.0, 1.0}  # where a sigmoid's derivative is 0
    label = int(probabilities[0, 0])
    heat = grad_cam(sure, images[:1])
    np.testing.assert_allclose(
        heat, cam(cam_net(1, "sigmoid"), images[:1], np.array([2.0 * label - 1])), atol=1e-5
    )
    assert heat.max() == 1


@pytest.mark.parametrize("activation", ["sigmoid", None])
def test_by_default_the_predicted_class_is_explained(
    images: np.ndarray, activation: str | None
) -> None:
    model = cam_net(1, activation)
    # The bias puts the boundary between the pictures, so that both classes are predicted.
    logits = cam_net(1, None).predict(images, verbose=0)
    kernel, bias = model.get_layer("dense").get_weights()
    model.get_layer("dense").set_weights([kernel, bias - np.median(logits)])
    labels = (logits[:, 0] > np.median(logits)).astype(int)
    assert set(labels) == {0, 1}
    expected = grad_cam(model, images, target=labels.tolist())
    np.testing.assert_array_equal(grad_cam(model, images), expected)


def test_predicted_class_among_several(images: np.ndarray) -> None:
    model = cam_net(3, "softmax")
    labels = model.predict(images, verbose=0).argmax(1)
    np.testing.assert_array_equal(
        grad_cam(model, images), grad_cam(model, images, target=labels.tolist())
    )


@pytest.mark.parametrize("name", ["first", "second"])
def test_grad_cam_against_differences(images: np.ndarray, name: str) -> None:
    model = convnet()
    names = [layer.name for layer in model.layers]
    front = keras.Sequential(model.layers[: names.index(name) + 1])
    back = model.layers[names.index(name) + 1 :]
    maps = np.asarray(front.predict(images[:2], verbose=0))

    def logits(values: np.ndarray) -> np.ndarray:
        for layer in back[:-1]:
            values = layer(values)
        kernel, bias = back[-1].get_weights()
        return np.asarray(keras.ops.convert_to_numpy(values) @ kernel + bias)

    # A channel's mean derivative is the slope of the logit when the whole channel is raised.
    step = 1e-2
    slopes = np.empty((2, maps.shape[-1]))
    for channel in range(maps.shape[-1]):
        up, down = maps.copy(), maps.copy()
        up[..., channel] += step
        down[..., channel] -= step
        slopes[:, channel] = (logits(up) - logits(down))[:, 0] / (2 * step)
    heat = np.maximum(np.einsum("nhwc,nc->nhw", maps, slopes), 0)
    expected = heat / heat.max(axis=(1, 2), keepdims=True)
    np.testing.assert_allclose(grad_cam(model, images[:2], name, target=1), expected, atol=2e-3)


def test_grad_cam_beside_a_shortcut(images: np.ndarray) -> None:
    inputs = keras.Input((10, 12, 3))
    x = layers.Conv2D(3, 1, name="conv")(inputs)
    x = layers.GlobalAveragePooling2D()(layers.Add()([x, inputs]))
    model = keras.Model(inputs, layers.Dense(1, name="dense")(x))
    kernel, bias = model.get_layer("conv").get_weights()
    heat = np.maximum(
        (images.astype(float) @ kernel[0, 0] + bias)
        @ model.get_layer("dense").get_weights()[0][:, 0],
        0,
    )
    expected = np.stack([picture / (picture.max() or 1) for picture in heat])
    np.testing.assert_allclose(grad_cam(model, images, target=1), expected, atol=1e-5)


def nested(flat: keras.Model) -> keras.Model:
    """The same layers, the first five as a functional model that is one layer of the other."""
    inputs = x = keras.Input((10, 12, 3))
    for layer in flat.layers[:4]:
        x = layer(x)
    base = keras.Model(inputs, x, name="base")
    front = [keras.Input((10, 12, 3)), layers.RandomFlip(seed=0), layers.RandomRotation(0.5)]
    return keras.Sequential([*front, base, *flat.layers[4:]])


class Subclassed(keras.Model):  # Keras is untyped.
    """Layers that are known only once the model runs."""

    def __init__(self, flat: keras.Model) -> None:
        super().__init__()
        self.steps = list(flat.layers)

    def call(self, x: object) -> object:
        for step in self.steps:
            x = step(x)
        return x


@pytest.mark.parametrize("wrap", [nested, Subclassed])
def test_any_kind_of_model(wrap: Callable[[keras.Model], keras.Model], images: np.ndarray) -> None:
    flat = convnet()
    model = wrap(flat)
    for name in (None, "first", "pool"):
        np.testing.assert_allclose(
            grad_cam(model, images, name), grad_cam(flat, images, name), atol=1e-5
        )
    found, expected = feature_maps(model, images), feature_maps(flat, images)
    assert list(found) == ["first", "pool", "second"]
    for name, maps in expected.items():
        np.testing.assert_allclose(found[name], maps, atol=1e-6)
    np.testing.assert_array_equal(filters(model), filters(flat))


def test_feature_maps_are_convolutions_and_poolings(images: np.ndarray) -> None:
    model = convnet()
    found = feature_maps(model, images)
    kernel, bias = model.get_layer("first").get_weights()
    for channel in range(5):
        convolved = sum(
            correlate2d(images[0, ..., color] / 255, kernel[..., color, channel], mode="valid")
            for color in range(3)
        )
        expected = np.tanh(convolved + bias[channel])
        np.testing.assert_allclose(found["first"][0, ..., channel], expected, atol=1e-5)
    pooled = found["first"].reshape(4, 4, 2, 5, 2, 5).mean((2, 4))
    np.testing.assert_allclose(found["pool"], pooled, atol=1e-6)
    assert {name: maps.shape for name, maps in found.items()} == {
        "first": (4, 8, 10, 5),
        "pool": (4, 4, 5, 5),
        "second": (4, 2, 3, 6),
    }
    assert {maps.dtype for maps in found.values()} == {np.dtype(np.float32)}


def test_feature_maps_of_chosen_layers_in_order_of_depth(images: np.ndarray) -> None:
    assert list(feature_maps(convnet(), images, ["second", "first"])) == ["first", "second"]


def test_any_named_layer_will_do(images: np.ndarray) -> None:
    model = keras.Sequential([keras.Input((8, 10, 3)), layers.Rescaling(0.5, name="half")])
    found = feature_maps(model, images[:, :8, :10], ["half"])["half"]
    np.testing.assert_allclose(found, 0.5 * images[:, :8, :10])


def test_one_forward_pass_for_all_maps(images: np.ndarray) -> None:
    class Counting(layers.Layer):  # Keras is untyped.
        runs = 0

        def call(self, inputs: object) -> object:
            Counting.runs += 1
            return inputs

    model = keras.Sequential([Counting(), *convnet().layers])
    model(images)
    before = Counting.runs
    feature_maps(model, images)
    assert Counting.runs == before + 1


def test_figure_of_feature_maps_by_depth() -> None:
    deep = np.zeros((2, 3, 4, 5))
    deep[1, ..., 2] = np.arange(12).reshape(3, 4)
    deep[1, ..., 4] = 2 * deep[1, ..., 2]
    deep[1, ..., 0] = 7
    fig = plots.feature_maps({"deep": deep, "deeper": deep[..., :1]}, channels=2, image=1)
    shown = [np.asarray(ax.images[0].get_array()) for ax in fig.axes if ax.images]
    for picture, channel in zip(shown, (4, 2, 0), strict=True):  # the most varied first
        np.testing.assert_array_equal(picture, deep[1, ..., channel])
    labels = [text.get_text() for ax in fig.axes for text in ax.texts]
    assert labels == ["deep\n3 × 4 × 5\n3 constant", "deeper\n3 × 4 × 1\n1 constant"]
    assert fig.alt.endswith("deep 3 × 4 × 5; deeper 3 × 4 × 1")
    with pytest.raises(ValueError, match="at least one layer"):
        plots.feature_maps({})


def test_equal_names_are_told_apart_by_their_path(images: np.ndarray) -> None:
    base = keras.Sequential(
        [keras.Input((10, 12, 3)), layers.Conv2D(2, 3, name="conv")], name="base"
    )
    model = keras.Sequential([keras.Input((10, 12, 3)), base, layers.Conv2D(3, 3, name="conv")])
    assert {name: maps.shape[-1] for name, maps in feature_maps(model, images).items()} == {
        "base/conv": 2,
        "conv": 3,
    }


def test_models_are_left_as_they_were(images: np.ndarray) -> None:
    model = convnet()
    model.compile("adam", "binary_crossentropy")
    optimizer, state = model.optimizer, model.get_weights()
    prediction = model.predict(images, verbose=0)
    grad_cam(model, images)
    feature_maps(model, images)
    with pytest.raises(ValueError, match="not a feature map"):
        feature_maps(model, images, ["output"])
    with pytest.raises(Exception, match="shape"):  # Whatever Keras says to pictures of other sizes.
        feature_maps(model, images[:, :5])
    assert not [layer.name for layer in model.layers if "call" in vars(layer)]
    assert model.get_layer("output").activation is keras.activations.sigmoid
    assert model.optimizer is optimizer
    for old, new in zip(state, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    np.testing.assert_array_equal(model.predict(images, verbose=0), prediction)


@pytest.fixture(scope="module")
def square_detector() -> keras.Model:
    """Logit: how many windows of 3 x 3 are white in each channel; the second channel is unused."""
    model = keras.Sequential(
        [
            keras.Input((20, 24, 3)),
            layers.Rescaling(1 / 255),
            layers.Conv2D(2, SQUARE, padding="same", activation="relu", name="conv"),
            layers.GlobalMaxPooling2D(),
            layers.Dense(1, activation="sigmoid"),
        ]
    )
    kernel = np.ones((SQUARE, SQUARE, 3, 2), np.float32)
    # 27 values of 1 give 27: the first channel answers above 24; the second to anything.
    model.get_layer("conv").set_weights([kernel, np.array([-24, 0], np.float32)])
    model.layers[-1].set_weights([np.array([[2.0], [0.0]], np.float32), np.zeros(1, np.float32)])
    return model


@settings(max_examples=25)
@given(top=st.integers(0, 20 - SQUARE), left=st.integers(0, 24 - SQUARE), seed=st.integers(0, 99))
def test_heat_is_where_the_square_is(
    square_detector: keras.Model, top: int, left: int, seed: int
) -> None:
    picture = np.random.default_rng(seed).integers(0, 100, (20, 24, 3), np.uint8)
    picture[top : top + SQUARE, left : left + SQUARE] = 255
    (heat,) = grad_cam(square_detector, picture[None])
    expected = np.zeros((20, 24))
    expected[top + 1, left + 1] = 1  # the one window that is white all over
    np.testing.assert_allclose(heat, expected, atol=1e-6)


def test_no_heat_where_nothing_speaks_for_the_class(square_detector: keras.Model) -> None:
    empty = np.full((1, 20, 24, 3), 90, np.uint8)
    assert not grad_cam(square_detector, empty, target=1).any()
    white = np.full((1, 20, 24, 3), 255, np.uint8)
    assert not grad_cam(square_detector, white, target=0).any()


def test_filters_are_kernels_around_gray() -> None:
    model = convnet()
    kernel = model.get_layer("first").get_weights()[0]
    kernel[..., 3] = 0
    model.get_layer("first").set_weights([kernel, np.zeros(5)])
    pictures = filters(model)
    assert pictures.shape == (5, 3, 3, 3)
    assert pictures.dtype == np.float32
    for number in (0, 1, 2, 4):
        weights = kernel[..., number]
        restored = (pictures[number] - 0.5) * 2 * np.abs(weights).max()
        np.testing.assert_allclose(restored, weights, atol=1e-6)
        assert np.abs(pictures[number] - 0.5).max() == pytest.approx(0.5)
    np.testing.assert_array_equal(pictures[3], 0.5)
    assert filters(model, "second").shape == (6, 3, 3, 5)


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (layers.DepthwiseConv2D(3, depth_multiplier=2), (8, 3, 3, 1)),
        (layers.SeparableConv2D(7, 3), (4, 3, 3, 1)),
        (layers.Conv2DTranspose(7, 3), (7, 3, 3, 4)),
    ],
)
def test_filters_of_other_convolutions(layer: keras.Layer, shape: tuple[int, ...]) -> None:
    model = keras.Sequential([keras.Input((8, 8, 4)), layer])
    assert filters(model).shape == shape


def test_depthwise_filters_in_order_of_their_outputs() -> None:
    layer = layers.DepthwiseConv2D(3, depth_multiplier=2)
    model = keras.Sequential([keras.Input((3, 3, 4)), layer])
    x = np.random.default_rng(0).normal(size=(1, 3, 3, 4)).astype("f")
    (answers,) = np.asarray(model.predict(x, verbose=0)).reshape(1, 8)
    weights = layer.get_weights()[0].reshape(3, 3, 8)
    for output, picture in enumerate(filters(model)):
        kernel = (picture[..., 0] - 0.5) * 2 * np.abs(weights[..., output]).max()
        assert np.sum(kernel * x[0, ..., output // 2]) == pytest.approx(answers[output], abs=1e-5)


@pytest.mark.parametrize(("height", "width"), [(64, 64), (50, 61)])
@pytest.mark.parametrize("padding", ["valid", "same"])
def test_cells_look_where_they_see(height: int, width: int, padding: str) -> None:
    """Where all layers take means, a cell's answer to a ramp is the middle of what it sees."""
    steps = [
        layers.Conv2D(1, 3, padding=padding),
        layers.AveragePooling2D(2, padding=padding),
        layers.ZeroPadding2D(((0, 1), (2, 0))),
        layers.DepthwiseConv2D(3, strides=2, padding=padding),
        layers.Conv2D(1, (3, 2), dilation_rate=(2, 1), padding=padding, name="last"),
    ]
    model = keras.Sequential([keras.Input((height, width, 1)), *steps])
    model.set_weights([np.full(w.shape, 1 / 9 if w.ndim > 1 else 0.0) for w in model.get_weights()])
    steps[-1].set_weights([np.full((3, 2, 1, 1), 1 / 6), np.zeros(1)])
    ramps = (
        np.broadcast_to(np.arange(height)[:, None], (height, width)),
        np.broadcast_to(np.arange(width), (height, width)),
    )
    answers = feature_maps(model, np.stack(ramps)[..., None], ["last"])["last"][..., 0]
    rows, columns = cell_centers(model, "last", (height, width))
    assert (len(rows), len(columns)) == answers.shape[1:]
    inner = slice(3, -4)  # cells that see no padding
    middle = answers.shape[1] // 2, answers.shape[2] // 2
    np.testing.assert_allclose(rows[inner], answers[0, inner, middle[1]], rtol=1e-5)
    np.testing.assert_allclose(columns[inner], answers[1, middle[0], inner], rtol=1e-5)


def test_last_map_of_the_small_convnet_spans_the_middle() -> None:
    # Backwards by hand from cell 0: a convolution adds 1, a pooling doubles and adds 0.5.
    rows, columns = cell_centers(small_cnn(64), "fourth", (64, 64))
    np.testing.assert_array_equal(rows, [18.5, 26.5, 34.5, 42.5])
    np.testing.assert_array_equal(columns, rows)


def test_overlay_shows_heat_by_light_and_line() -> None:
    picture = np.full((40, 60, 3), (240, 120, 60), np.uint8)
    heat = np.zeros((4, 6))
    heat[2, 4] = 1
    shown = overlay(picture, heat)
    assert shown.shape == picture.shape
    assert shown.dtype == np.uint8
    np.testing.assert_array_equal(shown[0, 0], [80, 40, 20])
    # The cell's middle is at row 24.5, column 44.5; ten pixels on, the heat is gone.
    row, column = np.mgrid[:40, :60]
    bilinear = np.clip(1 - abs(row - 24.5) / 10, 0, 1) * np.clip(1 - abs(column - 44.5) / 10, 0, 1)
    light = shown[..., 0] / 240
    line = (shown == 255).all(-1) | (shown == 0).all(-1)
    np.testing.assert_allclose(light[~line], (1 + 2 * bilinear[~line]) / 3, atol=0.003)
    white = (shown == 255).all(-1)
    assert bilinear[white].min() >= 0.5
    assert bilinear[white].max() < 0.65
    assert white[24].sum() == white[:, 44].sum() == 2  # in and out again: a closed line
    assert bilinear[(shown == 0).all(-1)].max() < 0.5


def test_overlay_puts_cells_at_their_centers() -> None:
    picture = np.full((64, 64, 3), 90, np.uint8)
    heat = np.zeros((4, 4))
    heat[0, 3] = 1
    shown = overlay(picture, heat, cell_centers(small_cnn(64), "fourth", (64, 64)))
    white = np.argwhere((shown == 255).all(-1))
    # The cell's middle is at row 18.5, column 42.5. Heat is one half midway to the neighbors, 4
    # pixels on; outwards it holds for 4 pixels, fades in the next 4, and is one half after 6.
    assert white.min(0).tolist() == [13, 39]
    assert white.max(0).tolist() == [22, 48]


@pytest.mark.parametrize("cells", [1, 4])
def test_overlay_of_heat_all_over_is_the_picture(cells: int) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (32, 48, 3), np.uint8)
    np.testing.assert_array_equal(overlay(picture, np.ones((cells, cells))), picture)


def test_overlay_of_no_heat_is_the_picture_dimmed() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (9, 9, 3), np.uint8)
    np.testing.assert_array_equal(
        overlay(picture, np.zeros((3, 3))), np.rint(picture / 3).astype(np.uint8)
    )


@pytest.mark.parametrize(
    ("picture", "heat", "message"),
    [
        (np.zeros((8, 8, 3)), np.zeros((2, 2)), "uint8"),
        (np.zeros((1, 8, 8, 3), np.uint8), np.zeros((2, 2)), r"images\[i\]"),
        (np.zeros((8, 8, 3), np.uint8), np.zeros((1, 2, 2)), r"heatmaps\[i\]"),
        (np.zeros((8, 8, 3), np.uint8), np.full((2, 2), np.nan), "0 to 1"),
    ],
)
def test_overlay_explains_bad_input(picture: np.ndarray, heat: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        overlay(picture, heat)


def test_bad_requests_are_explained(images: np.ndarray) -> None:
    model = convnet()
    shared = layers.Conv2D(3, 3, padding="same", name="shared")
    inputs = keras.Input((10, 12, 3))
    twice = keras.Model(inputs, shared(shared(inputs)))
    dense = keras.Sequential([keras.Input((10, 12, 3)), layers.Flatten(), layers.Dense(1)])
    joined = keras.Model(inputs, layers.Add(name="joined")([inputs, shared(inputs)]))
    tanh = cam_net(1, "tanh")
    for request, message in (
        (lambda: filters(model, "third"), "it has .*first, pool, second"),
        (lambda: filters(model, "pool"), "has no filters.*first, second"),
        (lambda: filters(keras.Sequential([layers.Conv2D(3, 3)])), "has no weights yet"),
        (lambda: cell_centers(joined, "joined", (10, 12)), "not a plain chain"),
        (lambda: overlay(images[0], np.zeros((2, 2)), ([1.0], [1.0])), "centers of shape"),
        (lambda: filters(dense), "no Conv2D or similar"),
        (lambda: feature_maps(twice, images), "shared runs more than once"),
        (lambda: grad_cam(model, images, "output"), "not a feature map"),
        (lambda: grad_cam(twice, images), "more than once"),
        (lambda: grad_cam(tanh, images), "ends in tanh"),
        (lambda: grad_cam(model, images[:0]), "0 images"),
        (lambda: grad_cam(model, images, batch_size=0), "batch_size of at least 1"),
        (lambda: grad_cam(model, images, target=[0, 1, 1]), "one for each image"),
        (lambda: grad_cam(model, images, target=[0, 1, 1], batch_size=3), "for 4 images"),
        (lambda: grad_cam(model, images, target=2), "classes are 0 to 1"),
        (lambda: grad_cam(model, images, target=-1), "classes are 0 to 1"),
        (lambda: grad_cam(keras.Sequential(model.layers[:4]), images), "pass a classifier"),
    ):
        with pytest.raises(ValueError, match=message):
            request()
