"""Wrong arguments to every public function: an error that names the argument, its value and a way.

`CALLS` lists for each function what a reader may get wrong and the words that the error must
contain. An error may come from Keras or NumPy where these name argument and value as well; none
comes after work has begun. A function whose docstring has a section `Raises` needs a row in `CALLS`
or a test of its own with `pytest.raises`; nothing else has to be listed.
"""

import ast
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

from cvlab import models, plots, profiles, transfer
from cvlab.cache import DatasetError, download
from cvlab.course import claims, exercises, quiz, recorded, trials
from cvlab.data import archives, decoding, listing, loading, locating, splitting
from cvlab.data.decoding import BadImageError
from cvlab.drawing import animals, toypets
from cvlab.evaluation import calibration, explain, exported, measure, predict
from cvlab.models import bases, classics, cost, embedded, graph
from cvlab.publish import execution, formulas, results
from cvlab.training import augmentation, baseline, gradients, normalization, reinitialize, steps
from cvlab.training.augmentation import Augment
from cvlab.transfer import features, freezing
from tests.test_rooms import FILES, PROJECT, TEACHING, room_of

NOWHERE = Path("no/such/place.zip")
NAN = float("nan")
TINY = {"train": 1, "validation": 1, "test": 1}
IMAGES = np.zeros((4, 8, 8, 3), np.uint8)
SPLIT = loading.Split(IMAGES, np.zeros(4, np.uint8), ("cat", "dog"), ("0",) * 4)
SMALL = loading.Pets(SPLIT, SPLIT, SPLIT, (), Path("pets"), "pets.zip")


class Networks:
    """Built when the first call needs them."""

    _net: keras.Model | None = None
    _base: keras.Model | None = None

    @property
    def net(self) -> keras.Model:
        if self._net is None:
            pictures_ = keras.Input((8, 8, 3))
            x = layers.Flatten(name="flat")(layers.Conv2D(2, 3, name="conv")(pictures_))
            x = layers.Dense(1, activation="sigmoid", name="out")(x)
            self._net = keras.Model(pictures_, x, name="net")
            self._net.compile("sgd", "binary_crossentropy")
        return self._net

    @property
    def doubled(self) -> keras.Model:
        pictures_ = keras.Input((8, 8, 3))
        return keras.Model(pictures_, 2 * pictures_)

    @property
    def flat(self) -> keras.Model:
        return keras.Sequential([keras.Input((4,)), layers.Dense(1)])

    @property
    def base(self) -> keras.Model:
        if self._base is None:
            self._base = models.toy_base(32, None)
        return self._base


on = Networks()


def _failing_export() -> None:
    with exported.attempt("ONNX", {}):
        raise ValueError("an odd layer")


Call = Callable[[], Any]
# Function, what is wrong about the call, words that the error must have.
CALLS: list[tuple[Callable[..., Any], Call, tuple[str, ...]]] = [
    # measure
    (measure.wilson_interval, lambda: measure.wilson_interval(5, 4), ("5", "4", "total")),
    (measure.wilson_interval, lambda: measure.wilson_interval(0, 0), ("0", "total")),
    (measure.accuracy, lambda: measure.accuracy([1, 2], [1, 2, 3]), ("2", "3", "order")),
    (measure.accuracy, lambda: measure.accuracy([0.3, 0.8], [0, 1]), ("predicted", "0.3", "> 0.5")),
    (measure.accuracy, lambda: measure.accuracy([0, 1], [0.5, 1]), ("labels", "0.5")),
    (measure.accuracy, lambda: measure.accuracy([], []), ("0",)),
    (measure.mean_interval, lambda: measure.mean_interval([1.0]), ("2", "1", "seeds")),
    (measure.mean_interval, lambda: measure.mean_interval([1.0, NAN]), ("values", "nan", "2")),
    (measure.mcnemar, lambda: measure.mcnemar([True], [True, False]), ("1", "2", "order")),
    (measure.mcnemar, lambda: measure.mcnemar([0.3], [1]), ("first_right", "0.3", "==")),
    (measure.overfitting_epoch, lambda: measure.overfitting_epoch([]), ("val_loss", "empty")),
    (measure.overfitting_epoch, lambda: measure.overfitting_epoch([1, NAN]), ("val_loss", "nan")),
    (
        calibration.ece_if_calibrated,
        lambda: calibration.ece_if_calibrated([0.5, 1.5]),
        ("1.5",),
    ),
    (calibration.log_loss, lambda: calibration.log_loss([0.5], [0, 1]), ("1", "2")),
    (exported.attempt, _failing_export, ("odd layer",)),
    (explain.last_convolution, lambda: explain.last_convolution(on.flat), ("convolution",)),
    (predict.image_size, lambda: predict.image_size(on.flat), ("square", "probability")),
    # profiles, claims, records
    (profiles.get, lambda: profiles.get("fast"), ("fast", "quick")),
    (claims.check, lambda: claims.check("05", "fast", {}), ("fast", "quick")),
    (claims.check, lambda: claims.check("05", "quick", {}), ("05", "not measured")),
    (claims.check, lambda: claims.check("99", "quick", {}), ("'99'", "05")),
    (recorded.load, lambda: recorded.load("fast"), ("fast", "quick")),
    (trials.of, lambda: trials.of("x", trials.load()), ("'x'", "extraction")),
    (results.load, lambda: results.load(NOWHERE), (str(NOWHERE), "cvlab lectures")),
    (results.record, lambda: results.record(NOWHERE), (str(NOWHERE), "cvlab lectures")),
    (execution.execute, lambda: execution.execute(NOWHERE, NOWHERE, "quick"), (str(NOWHERE),)),
    (execution.execute, lambda: execution.execute(NOWHERE, NOWHERE, "fast"), ("fast", "quick")),
    (execution.refresh, lambda: execution.refresh(NOWHERE), (str(NOWHERE),)),
    (quiz.answer, lambda: quiz.answer(9, "x"), ("9", "7")),
    (quiz.answer, lambda: quiz.answer(1, 5), ("5", "quotes")),  # type: ignore[arg-type]
    (exercises.check, lambda: exercises.check("99.1", len), ("99.1",)),
    (formulas.mathml, lambda: formulas.mathml(r"\nosuch{x}"), ("nosuch",)),
    (steps.steps_per_execution, lambda: steps.steps_per_execution(0), ("0", "1 or more")),
    (
        steps.train_in_steps,
        lambda: steps.train_in_steps(
            keras.Sequential(), np.ones(3), np.ones(2), batch_size=2, epochs=1, seed=0
        ),
        ("3 inputs", "2 targets"),
    ),
    (
        baseline.trained_baseline,
        lambda: baseline.trained_baseline(SMALL, profiles.get("laptop")),
        ("8", "150"),
    ),
    (
        baseline.keep_baseline,
        lambda: baseline.keep_baseline(on.base, {"val_loss": [1.0]}, SMALL, profiles.get("quick")),
        ("toy_base", "compiled"),
    ),
    (
        baseline.keep_baseline,
        lambda: baseline.keep_baseline(on.net, {"loss": [1.0]}, SMALL, profiles.get("quick")),
        ("history", "loss", "validation_data"),
    ),
    # images
    (loading.load_pets, lambda: loading.load_pets("quick"), ("'quick'", "profiles.get")),  # type: ignore[arg-type]
    (loading.load_pets, lambda: loading.load_pets(NOWHERE), ("place.zip", "load_images(path")),  # type: ignore[arg-type]
    (loading.load_images, lambda: loading.load_images(NOWHERE, image_size=32), ("place.zip",)),
    (loading.load_images, lambda: loading.load_images(image_size=0), ("image_size", "0")),
    (
        loading.load_images,
        lambda: loading.load_images("toypets", image_size="64"),  # type: ignore[arg-type]
        ("image_size", "'64'"),
    ),
    (
        loading.load_images,
        lambda: loading.load_images("toypets", image_size=64, per_class={"train": 1}),
        ("per_class", "train", "validation"),
    ),
    (
        loading.load_images,
        lambda: loading.load_images("toypets", image_size=64, seed=-1),
        ("seed", "-1"),
    ),
    (loading.load_images, lambda: loading.load_images(5, image_size=9), ("5", "path")),  # type: ignore[arg-type]
    (locating.locate, lambda: locating.locate("microsoft", image_size=-1), ("image_size", "-1")),
    (splitting.make_subset, lambda: splitting.make_subset("x.zip"), ("x.zip", "find_images")),  # type: ignore[arg-type]
    (loading.decode, lambda: loading.decode("x", 32), ("subset", "make_subset")),  # type: ignore[arg-type]
    (listing.find_images, lambda: listing.find_images(NOWHERE), ("place.zip", "path")),
    (listing.find_images, lambda: listing.find_images(None), ("None", "path")),  # type: ignore[arg-type]
    (archives.open_archive, lambda: archives.open_archive(NOWHERE), ("place.zip",)),
    (decoding.to_array, lambda: decoding.to_array(b"x", 8), ("b'x'", "format")),
    (toypets.draw, lambda: toypets.draw("horse", 0), ("horse", "cat")),
    (toypets.draw, lambda: toypets.draw("cat", 0, size=4), ("size", "4", "16")),
    (toypets.draw, lambda: toypets.draw("cat", -1), ("number", "-1")),
    (toypets.draw_many, lambda: toypets.draw_many("cat", [-1]), ("number", "-1")),
    (toypets.draw_many, lambda: toypets.draw_many("cat", [1], workers=0), ("workers", "0")),
    (animals.attributes, lambda: animals.attributes("horse", 0), ("horse", "cat")),
    (download, lambda: download("x", NOWHERE, size=1, sha256="x"), ("x", "url")),
    # augmentation
    (Augment, lambda: Augment(rotation_range=-1), ("rotation_range", "-1")),
    (Augment, lambda: Augment(rotation_range="40"), ("rotation_range", "'40'")),  # type: ignore[arg-type]
    (Augment, lambda: Augment(fill_mode="x"), ("fill_mode", "'x'", "nearest")),
    (augmentation.preview, lambda: augmentation.preview(IMAGES[0], Augment(), 0), ("n=0", "1")),
    (augmentation.preview, lambda: augmentation.preview(IMAGES, Augment(), 2), ("(4, 8, 8, 3)",)),
    (
        augmentation.sweep,
        lambda: augmentation.sweep(IMAGES[0], "turn", [1]),
        ("turn", "rotation_range"),
    ),
    # networks
    (models.small_cnn, lambda: models.small_cnn(20), ("image_size", "20", "46")),
    (models.small_cnn, lambda: models.small_cnn(64, dropout=5), ("dropout", "5", "0.5")),
    (models.fold_batch_norms, lambda: models.fold_batch_norms("vgg"), ("vgg", "load_base")),
    (models.toy_base, lambda: models.toy_base(20), ("image_size", "20", "32")),
    (embedded.classifier, lambda: embedded.classifier(20), ("image_size", "20", "32")),
    (models.load_base, lambda: models.load_base("VGG99", 64), ("VGG99", "VGG16")),
    (models.load_base, lambda: models.load_base("VGG16", 8, None), ("8", "32")),
    (models.load_base, lambda: models.load_base("toy", 64, NOWHERE), ("place.zip",)),
    (models.base_for, lambda: models.base_for("quick"), ("quick", "profiles.get")),  # type: ignore[arg-type]
    (bases.parse_base, lambda: bases.parse_base("MobileNet(alpha=)"), ("alpha",)),
    (models.weights_file, lambda: models.weights_file("horse"), ("horse", "VGG16")),
    (classics.vit, lambda: classics.vit(image_size=30, patch=16), ("30", "16")),
    (classics.vit, lambda: classics.vit(heads=7), ("7", "width")),
    # features and transfer
    (features.extract, lambda: features.extract(IMAGES[:0], on.net), ("(0, 8, 8, 3)",)),
    (features.extract, lambda: features.extract(IMAGES, on.net, "x"), ("'x'", "conv")),
    (features.extract, lambda: features.extract(IMAGES, "vgg"), ("vgg", "load_base")),
    (features.extract, lambda: features.extract(IMAGES[:, 1:], on.net), ("8, 8, 3", "7, 8, 3")),
    (
        features.extract_views,
        lambda: features.extract_views(IMAGES, on.net, augment=Augment(seed=1), views=0),
        ("0 views", "1"),
    ),
    (
        features.extract_views,
        lambda: features.extract_views(IMAGES, on.net, augment=Augment(), views=1),
        ("seed",),
    ),
    (
        transfer.fine_tuning_optimizer,
        lambda: transfer.fine_tuning_optimizer(1e-4, 0),
        ("steps", "0"),
    ),
    (transfer.split, lambda: transfer.split(on.base, "x"), ("'x'", "block5")),
    (graph.layer_named, lambda: graph.layer_named("x", on.net), ("'x'", "conv")),
    (graph.only_layers, lambda: graph.only_layers(on.doubled), ("multiply", "as a layer")),
    (freezing.freeze, lambda: freezing.freeze("base"), ("base", "layer")),
    (freezing.freeze, lambda: freezing.freeze(keras.Sequential()), ("not built", "keras.Input")),
    (freezing.unfreeze_from, lambda: freezing.unfreeze_from(on.base, "x"), ("'x'", "block5")),
    (freezing.table, lambda: freezing.table("base"), ("base", "layer")),
    (freezing.moved, lambda: freezing.moved(on.net, {}), ("snapshot",)),
    (freezing.Guard, lambda: freezing.Guard("base"), ("base", "layer")),
    # looking inside
    (explain.filters, lambda: explain.filters(on.net, "x"), ("'x'",)),
    (explain.filters, lambda: explain.filters(on.net, "flat"), ("flat",)),
    (explain.feature_maps, lambda: explain.feature_maps(on.net, IMAGES, ["x"]), ("'x'", "conv")),
    (explain.feature_maps, lambda: explain.feature_maps(on.net, IMAGES, ["flat"]), ("flat", "(4,")),
    (explain.grad_cam, lambda: explain.grad_cam(on.net, IMAGES, "x"), ("'x'", "conv")),
    (explain.grad_cam, lambda: explain.grad_cam(on.net, IMAGES, "conv", 7), ("target", "7", "1")),
    (explain.cell_centers, lambda: explain.cell_centers(on.net, "x", (8, 8)), ("'x'", "conv")),
    (
        explain.overlay,
        lambda: explain.overlay(IMAGES, np.zeros((2, 2)), (np.arange(2.0), np.arange(2.0))),
        ("(4, 8, 8, 3)",),
    ),
    (gradients.Probe, lambda: gradients.Probe(0), ("batch_size", "0")),
    (
        gradients.gradients,
        lambda: gradients.gradients(
            keras.Sequential([keras.Input((2,)), layers.Flatten()]), np.zeros((1, 2)), [0], "mse"
        ),
        ("no trainable weight", "trainable=True"),
    ),
    (
        gradients.gradients,
        lambda: gradients.gradients(on.net, IMAGES, np.zeros((4, 1)), "x"),
        ("loss", "x"),
    ),
    (
        reinitialize.reset_optimizer,
        lambda: reinitialize.reset_optimizer(keras.optimizers.Adagrad()),
        ("Adagrad", "compile"),
    ),
    (reinitialize.reinitialize, lambda: reinitialize.reinitialize(on.net, -1), ("Seed", "between")),
    (
        normalization.standardize,
        lambda: normalization.standardize(np.zeros((2, 3)), (5,)),
        ("axis 5", "dimension 2"),
    ),
    (
        normalization.WeightNormalization,
        lambda: normalization.WeightNormalization(layers.Flatten()),
        ("Flatten", "Dense"),
    ),
    (
        cost.multiply_adds,
        lambda: cost.multiply_adds(
            keras.Sequential([keras.Input((None, None, 3)), layers.Conv2D(2, 3)])
        ),
        ("size",),
    ),
    # figures
    (plots.photos, lambda: plots.photos([]), ("(0,)", "(N, H, W, 3)")),
    (plots.photos, lambda: plots.photos(IMAGES, ["a"]), ("1 titles", "4 images")),
    (plots.photos, lambda: plots.photos(IMAGES, columns=0), ("columns", "0")),
    (plots.training_curves, lambda: plots.training_curves({}), ("val_loss", "validation_data")),
    (plots.accuracies, lambda: plots.accuracies({}), ("empty", "interval")),
    (plots.accuracies, lambda: plots.accuracies({"a": 0.5}), ("'a'", "0.5", "measure")),  # type: ignore[dict-item]
    (plots.figure, lambda: plots.figure(0, 1, alt="x"), ("rows", "0")),
    (plots.paired, lambda: plots.paired([True], [True, False], ("a", "b")), ("1", "2")),
    (plots.neuron, lambda: plots.neuron({"a": 1}, {"b": 1}, 0), ("'a'", "'b'", "weight")),
    (plots.matrices, lambda: plots.matrices([], alt="x"), ("no arrays", "(H, W)")),
    (plots.matrices, lambda: plots.matrices([np.eye(2)], ["a", "b"], alt="x"), ("2 titles", "1")),
    (plots.truth_table, lambda: plots.truth_table({}, alt="x"), ("truth_table",)),
    (plots.feature_maps, lambda: plots.feature_maps({}), ("no maps", "layer")),
]


@pytest.mark.parametrize(
    ("call", "words"), [(call, words) for _, call, words in CALLS],
    ids=[f"{function.__name__}-{words[0]}" for function, _, words in CALLS],
)  # fmt: skip
def test_wrong_arguments_are_named(
    call: Call, words: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CVLAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("CVLAB_PHOTOS", raising=False)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Exception) as caught:
        call()
    message = str(caught.value)
    ours = DatasetError | BadImageError
    assert isinstance(caught.value, ValueError | TypeError | OSError | ours)
    assert [word for word in words if word not in message] == [], message
    made = [path for path in tmp_path.rglob("*") if path.is_file() and path.suffix != ".lock"]
    assert made == []


# Their errors come up through another function, whose test provokes them.
INDIRECT = {
    "answers",
    "check_built",
    "check_image_size",
    "check_seed",
    "checked_per_class",
    "facts",
    "of_network",
    "wiring",
}


def of_the_teaching_rooms() -> Iterator[ast.FunctionDef | ast.ClassDef]:
    """Yield every public function and class that a reader can meet."""
    for file, source in FILES.items():
        if room_of(file) in TEACHING:
            for node in ast.parse(source).body:
                if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name[0] != "_":
                    yield node


def provoked() -> set[str]:
    """Find what stands in `CALLS`, or is called within `pytest.raises` in any test."""
    names = {function.__name__ for function, _, _ in CALLS}
    for path in (PROJECT / "tests").rglob("test_*.py"):
        for block in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(block, ast.With) and "pytest.raises" in ast.unparse(block.items[0]):
                calls = [node.func for node in ast.walk(block) if isinstance(node, ast.Call)]
                names |= {ast.unparse(function).rpartition(".")[2] for function in calls}
    return names


def test_every_error_that_a_docstring_promises_is_provoked() -> None:
    promises = {
        node.name
        for node in of_the_teaching_rooms()
        if "Raises:" in (ast.get_docstring(node) or "")
    }
    assert len(promises) > 60
    assert promises - provoked() - INDIRECT == set(), "give the function a row in CALLS"


def test_a_function_that_raises_says_so() -> None:
    silent = {
        node.name
        for node in of_the_teaching_rooms()
        if isinstance(node, ast.FunctionDef)
        and any(isinstance(inner, ast.Raise) for inner in ast.walk(node))
        and "Raises:" not in (ast.get_docstring(node) or "")
    }
    assert silent == set(), "add a section Raises to the docstring"
