"""Figures: what they show, how they reach a notebook, and that they stay readable."""

import io
from xml.etree import ElementTree

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.collections import LineCollection, PathCollection
from matplotlib.patches import Circle, FancyBboxPatch, Rectangle
from PIL import Image

from cvlab import plots
from cvlab.evaluation.measure import Interval
from cvlab.plots.style import percent


def luminance(color: str) -> float:
    """Relative luminance of an sRGB color, as WCAG 2 defines it."""
    channels = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def test_text_contrasts_with_the_card() -> None:
    for color in (plots.INK, plots.MUTED):
        contrast = (luminance(plots.CARD) + 0.05) / (luminance(color) + 0.05)
        assert contrast >= 4.5  # WCAG 2 AA for normal text


def test_figure_is_an_opaque_card_on_any_page() -> None:
    fig = plots.photos(np.zeros((2, 8, 8, 3), np.uint8))
    pixels = np.asarray(Image.open(io.BytesIO(fig.png())).convert("RGBA"))
    assert pixels[..., 3].min() == 255
    assert tuple(pixels[0, 0, :3]) == tuple(bytes.fromhex(plots.CARD[1:]))


def test_figure_reaches_jupyter_once_with_words() -> None:
    fig = plots.photos(np.zeros((2, 8, 8, 3)), ["cat", "dog"])
    data, metadata = fig._repr_mimebundle_()
    assert Image.open(io.BytesIO(data["image/jpeg"])).format == "JPEG"  # photos, hence JPEG
    assert data["text/plain"] == "[Figure: 2 images: cat, dog]"
    assert metadata["image/jpeg"]["alt"] == fig.alt

    digits = plots.photos(np.zeros((2, 8, 8)))  # a few large gray pixels, hence PNG
    assert "image/png" in digits._repr_mimebundle_()[0]

    drawn, _ = plots.figure(alt="an empty pair of axes")
    data, metadata = drawn._repr_mimebundle_()
    assert Image.open(io.BytesIO(data["image/png"])).format == "PNG"
    assert metadata["image/png"]["alt"] == "an empty pair of axes"
    # A figure that pyplot knows would be shown a second time when the cell ends.
    assert plt.get_fignums() == []


def test_svg_is_stable_and_says_what_it_shows() -> None:
    def draw() -> str:
        return plots.accuracies({"baseline": Interval(0.7, 0.6, 0.8)}).svg()

    assert draw() == draw()
    tree = ElementTree.fromstring(draw())
    titles = [element.text or "" for element in tree.iter() if element.tag.endswith("}title")]
    assert any("baseline: 70.0 %" in title for title in titles)


def test_same_figure_same_bytes() -> None:
    images = np.random.default_rng(0).integers(0, 255, (3, 16, 16, 3), np.uint8)
    assert plots.photos(images).png() == plots.photos(images).png()


def test_accuracies_do_not_blow_up_a_narrow_interval() -> None:
    fig = plots.accuracies({"pixels": Interval(0.51, 0.50, 0.52)})
    left, right = fig.axes[0].get_xlim()
    assert right - left == pytest.approx(0.2)
    assert left < 0.5
    assert right > 0.52


def test_accuracies_end_at_100_percent() -> None:
    fig = plots.accuracies({"digits": Interval(0.97, 0.95, 0.985)}, chance=None)
    left, right = fig.axes[0].get_xlim()
    assert right == pytest.approx(1.0)
    assert left == pytest.approx(0.8)


def test_style_does_not_leak() -> None:
    before = dict(mpl.rcParams)
    plots.photos(np.zeros((1, 4, 4))).png()
    assert dict(mpl.rcParams) == before


def test_photos_places_each_image() -> None:
    images = np.stack([np.full((4, 4, 3), value, np.uint8) for value in (10, 20, 30, 40, 50)])
    fig = plots.photos(images, columns=3)
    shown = [np.asarray(ax.images[0].get_array()) for ax in fig.axes if ax.images]
    assert [array[0, 0, 0] for array in shown] == [10, 20, 30, 40, 50]
    assert len(fig.axes) == 6


@pytest.mark.parametrize(
    ("images", "titles", "message"),
    [
        (np.zeros((8, 8)), (), r"images\[None\]"),
        (np.zeros((0, 8, 8, 3)), (), "got shape"),
        (np.zeros((2, 8, 8, 3)), ("one",), "1 titles for 2 images"),
    ],
)
def test_photos_explains_bad_input(
    images: np.ndarray, titles: tuple[str, ...], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        plots.photos(images, titles)


def test_training_curves_show_the_history_and_mark_the_epoch() -> None:
    history = {
        "accuracy": [0.5, 0.7, 0.9],
        "val_accuracy": [0.5, 0.6, 0.6],
        "loss": [0.7, 0.5, 0.3],
        "val_loss": [0.7, 0.6, 0.8],
    }
    fig = plots.training_curves(history, overfits_at=2)
    left, right = fig.axes
    assert np.asarray(left.lines[0].get_ydata()).tolist() == history["accuracy"]
    assert np.asarray(right.lines[1].get_ydata()).tolist() == history["val_loss"]
    assert np.asarray(left.lines[0].get_xdata()).tolist() == [1, 2, 3]
    assert np.asarray(left.lines[2].get_xdata())[0] == 2
    assert left.lines[0].get_linestyle() != left.lines[1].get_linestyle()
    assert left.get_xlabel() == "epoch"
    assert "ending at 60%" in fig.alt
    assert "lowest at epoch 2; overfits from epoch 2" in fig.alt
    names = [text.get_text() for text in left.texts]
    assert names == ["validation", "training", "generalization gap\n30 points"]
    assert [text.get_text() for text in right.texts][2:] == ["overfits from epoch 2"]


def test_a_network_is_drawn_with_its_shapes_and_parameters() -> None:
    stages = [("input", (8, 8, 3), 0), ("conv", (6, 6, 4), 112), ("dense", (10,), 1450)]
    fig = plots.network(stages, alt="A small network")
    assert fig.alt.startswith("A small network: input 8 × 8 × 3, 0 parameters; conv 6 × 6 × 4, 112")
    texts = {text.get_text() for text in fig.axes[0].texts}
    assert texts >= {"input\n8 × 8 × 3", "conv\n6 × 6 × 4", "112", "dense\n10", "1,450"}
    conv, dense = (patch for patch in fig.axes[0].patches if isinstance(patch, Circle))
    assert (dense.radius / conv.radius) ** 2 == pytest.approx(1450 / 112)


def test_accuracies_draw_intervals_and_the_lecture() -> None:
    fig = plots.accuracies({"baseline": Interval(0.7, 0.6, 0.8)}, lecture={"baseline": 0.72})
    ax = fig.axes[0]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["baseline"]
    whisker = ax.collections[0]
    assert isinstance(whisker, LineCollection)
    bounds = whisker.get_segments()[0][:, 0]
    assert sorted(bounds) == pytest.approx([0.6, 0.8])
    assert "70.0 % (60.0 to 80.0 %)" in fig.alt


def test_lines_differ_by_more_than_color() -> None:
    fig, axes = plots.figure(alt="two lines")
    plots.lines(axes[0, 0], [1, 2], {"a": [0.1, 0.2], "b": [0.3, 0.4]})
    first, second = axes[0, 0].lines
    assert first.get_linestyle() != second.get_linestyle()
    assert first.get_marker() != second.get_marker()
    np.testing.assert_array_equal(second.get_ydata(), [0.3, 0.4])
    assert fig.png()


def test_lines_draw_the_bounds_of_intervals() -> None:
    _, axes = plots.figure(alt="an interval")
    plots.lines(axes[0, 0], [1, 2], {"a": [Interval(0.5, 0.4, 0.7), Interval(0.6, 0.6, 0.6)]})
    (bars,) = (c for c in axes[0, 0].collections if isinstance(c, LineCollection))
    np.testing.assert_allclose(bars.get_segments()[0], [[1, 0.4], [1, 0.7]])


def test_truth_table_sets_words_apart_and_speaks_them() -> None:
    rows = {"frozen": {"moves": "no", "learns": "no"}, "free": {"moves": "yes", "learns": "no"}}
    fig = plots.truth_table(rows, marked=["yes"], alt="who moves")
    (ax,) = fig.axes
    assert [text.get_text() for text in ax.texts] == ["no", "no", "yes", "no"]
    dark = [patch.get_facecolor() == mpl.colors.to_rgba(plots.BLUE) for patch in ax.patches]
    assert dark == [False, False, True, False]
    assert fig.alt == "who moves. frozen – moves: no, learns: no; free – moves: yes, learns: no"
    for broken in ({}, {"a": {"x": "1"}, "b": {"y": "1"}}):
        with pytest.raises(ValueError, match="the same columns"):
            plots.truth_table(broken, alt="")


def test_matrices_show_their_numbers_and_center_on_zero() -> None:
    fig = plots.matrices(np.array([[[-1, 0], [0.25, 2]]]), ["kernel"], alt="a kernel")
    (ax,) = fig.axes
    assert [text.get_text() for text in ax.texts] == ["-1", "0", "0.25", "2"]
    assert ax.images[0].get_clim() == (-2, 2)


def test_cubes_darken_the_visible_faces_of_chosen_cells() -> None:
    corner = np.zeros((2, 3, 4), bool)
    corner[0, -1, -1] = True  # the one cell of which three faces show
    fig = plots.cubes(
        {"corner": corner, "hidden": np.zeros((2, 3, 4), bool)}, axes=("x", "y", "z"), alt="boxes"
    )
    for ax, expected in zip(fig.axes, (3, 0), strict=True):
        assert len(ax.patches) == 3 * 4 + 2 * 3 + 2 * 4
        dark = mpl.colors.to_rgba(plots.BLUE)
        assert sum(patch.get_facecolor() == dark for patch in ax.patches) == expected


def test_diagram_leads_from_top_to_bottom_without_overlap() -> None:
    fig, axes = plots.figure(alt="a block with a shortcut")
    boxes = {"x": "input", "a": "one", "b": "two", "side": "aside", "sum": "sum"}
    arrows = [("x", "a"), ("a", "b"), ("x", "side"), ("b", "sum"), ("side", "sum"), ("x", "sum")]
    wide, high = plots.diagram(axes[0, 0], boxes, arrows, filled={"a"})
    assert wide >= 2 and high == 4
    drawn = {text.get_text(): text.get_position() for text in axes[0, 0].texts if text.get_text()}
    x, y = ({text: place[axis] for text, place in drawn.items()} for axis in (0, 1))
    assert y["input"] > y["one"] > y["two"] > y["sum"]
    assert y["one"] == y["aside"] and abs(x["one"] - x["aside"]) >= 1
    # The long arrows of the shortcut pass beside the box in each row between.
    (shortcut,) = [line.get_xydata() for line in axes[0, 0].lines if len(line.get_xydata()) == 5]
    for text in ("one", "two"):
        passing = shortcut[np.isclose(shortcut[:, 1], y[text], atol=0.3), 0]
        assert len(passing) == 2 and np.abs(passing - x[text]).min() >= 1
    patches = [patch for patch in axes[0, 0].patches if isinstance(patch, FancyBboxPatch)]
    assert len(patches) == len(boxes)
    assert sum(patch.get_facecolor() != (1, 1, 1, 1) for patch in patches) == 1
    assert fig.png()


def test_diagram_refuses_arrows_that_lead_nowhere_or_upward() -> None:
    _, axes = plots.figure(alt="nothing")
    for arrow in (("a", "c"), ("b", "a"), ("a", "a")):
        with pytest.raises(ValueError, match="in the order in which the arrows lead"):
            plots.diagram(axes[0, 0], {"a": "", "b": ""}, [arrow])


def test_recorded_curves_have_a_panel_per_run_and_say_the_test_accuracy() -> None:
    history = {"accuracy": [0.6, 0.8], "val_accuracy": [0.6, 0.7]}
    test = Interval(0.72, 0.69, 0.75)
    runs = {"laptop": (history, test), "lecture": (history, test)}
    fig = plots.recorded_curves(runs, lecture=0.7)
    assert "laptop: test 72.0 % (69.0 to 75.0 %)" in fig.alt
    first, _ = fig.axes
    training, validation, *_ = first.lines
    assert np.array_equal(training.get_ydata(), history["accuracy"])
    assert np.array_equal(validation.get_ydata(), history["val_accuracy"])
    assert training.get_linestyle() != validation.get_linestyle()
    with pytest.raises(ValueError, match="no recorded run"):
        plots.recorded_curves({}, lecture=0.7)


def test_recorded_curves_mark_the_best_validation_accuracy_up_to_an_epoch() -> None:
    history = {"accuracy": [0.6, 0.7, 0.8], "val_accuracy": [0.6, 0.75, 0.7]}
    run = {"lecture": (history, Interval(0.72, 0.69, 0.75))}
    fig = plots.recorded_curves(run, lecture=0.7, marks=(1, 3, 30))
    (ax,) = fig.axes
    marked = [np.asarray(line.get_xydata()) for line in ax.lines if line.get_marker() == "v"]
    np.testing.assert_array_equal(np.concatenate(marked), [[1, 0.6], [3, 0.75]])
    assert [text.get_text() for text in ax.texts] == ["to 1 \n60.0% ", "to 3 \n75.0% "]


def test_the_ladder_shows_gain_and_p_value_on_each_step() -> None:
    heights = [Interval(0.7, 0.67, 0.73), Interval(0.9, 0.88, 0.92), Interval(0.89, 0.87, 0.91)]
    fig = plots.ladder(
        ["a", "b", "c"], {"photos": heights, "lecture": heights}, {"photos": [0.0, 1.0]}
    )
    accuracies = ["70.0 %", "90.0 %", "89.0 %"]
    texts = [[text.get_text() for text in ax.texts] for ax in fig.axes]
    assert texts == [
        [*accuracies, "+20.0\np < 0.001", "−1.0\np = 1"],
        [*accuracies, "+20.0", "−1.0"],
    ]
    assert [text.get_fontweight() for text in fig.axes[0].texts[3:]] == ["bold", "normal"]
    assert fig.axes[0].get_ylim() == fig.axes[1].get_ylim()
    assert fig.alt == "The ladder. photos: 70.0%, 90.0%, 89.0%; lecture: 70.0%, 90.0%, 89.0%"


def test_the_neuron_shows_its_sum_and_refuses_other_names() -> None:
    fig = plots.neuron({"a": 1.0, "b": 0.5}, {"a": 2.0, "b": -8.0}, 1.0)
    assert fig.alt == "A neuron: inputs a 1.00, b 0.50, weighted sum -1.00, output 0.269"
    shown = [text.get_text() for text in fig.axes[0].texts]
    assert {"weighted sum\nz = −1", "sigmoid\np = 0.269", "× 2", "× −8", "bias 1"} <= set(shown)
    with pytest.raises(ValueError, match=r"inputs \['a'\] and weights \['b'\]"):
        plots.neuron({"a": 1.0}, {"b": 1.0}, 0.0)


def test_the_ladder_shades_what_uses_a_pretrained_base() -> None:
    heights = [Interval(0.7, 0.67, 0.73), Interval(0.9, 0.88, 0.92)]
    fig = plots.ladder(["a", "b"], {"x": heights}, {}, pretrained_from=1, title="One large step")
    (shade,) = [patch for patch in fig.axes[0].patches if isinstance(patch, Rectangle)]
    assert (shade.get_x(), shade.get_width()) == (0.5, 1)
    assert fig.alt.startswith("The ladder. One large step. x: 70.0%")
    assert not fig.axes[1].axison  # nothing to show in the last panel


def test_lines_are_named_at_their_ends_without_overlap() -> None:
    fig, axes = plots.figure(alt="x")
    ax = axes[0, 0]
    plots.lines(ax, [1, 2, 3], {"a": [1.0, 2.0, 3.0], "b": [3.0, 3.0, 3.0], "c": [0.0, 0.0, 0.0]})
    plots.lines(ax, [1, 2], {"d": [Interval(0.1, 0.0, 0.2)] * 2})
    plots.name_lines(ax)
    places = {text.get_text(): text.xy[1] for text in ax.texts}
    assert set(places) == set("abcd")
    assert np.diff(sorted(places.values())).min() > 0.08
    assert min(places["a"], places["b"]) > places["d"] > places["c"]
    assert fig.png()


def test_strips_are_as_long_as_the_network_is_deep() -> None:
    steps = {"short": [("convolution", 8), ("dense", 1)], "long": [("attention", 4)] * 5}
    fig = plots.strips(steps, title="Two networks", alt="two strips")
    bars = [patch for patch in fig.axes[0].patches if hasattr(patch, "get_height")]
    assert len(bars) == 2 + 5
    assert bars[0].get_height() > bars[1].get_height()
    assert [text.get_text().strip() for text in fig.axes[0].texts] == ["2", "5"]


def test_bubbles_have_the_area_of_the_parameters_and_their_numbers_in_words() -> None:
    networks = {"small": (1e9, 4e6, 0.7), "large": (15e9, 140e6, 0.71)}
    fig = plots.accuracy_against_cost(
        networks, labels={"large": "below"}, title="Two", alt="bubbles"
    )
    bubbles = [dots for dots in fig.axes[0].collections if isinstance(dots, PathCollection)]
    areas = [dots.get_sizes()[0] for dots in bubbles]
    assert areas[1] / areas[0] == pytest.approx(35)
    assert "large: 15.0 billion multiply-adds, 140 million parameters, 71.0%" in fig.alt


def test_blocks_of_all_sizes_have_boxes_of_one_size() -> None:
    wide = ({"x": "x", "a": "a", "b": "b"}, [("x", "a"), ("x", "b")], {"a"})
    narrow = ({"x": "x", "a": "a"}, [("x", "a")], {"a"})
    fig = plots.blocks({"wide": wide, "narrow": narrow}, alt="two blocks")
    limits = [(np.ptp(ax.get_xlim()), np.ptp(ax.get_ylim())) for ax in fig.axes]
    assert limits[0] == pytest.approx(limits[1])
    assert fig.get_figwidth() >= 8.5


def test_ticks_in_percent_are_not_rounded() -> None:
    assert [percent(share) for share in (0, 0.07, 0.575, 0.975, 1)] == [
        "0%",
        "7%",
        "57.5%",
        "97.5%",
        "100%",
    ]
