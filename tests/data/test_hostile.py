"""Files that are code, and values that would be: nothing of what they say is ever executed.

Each test first shows, where that can be shown, that its file is loaded and that its code runs when
it is let; a test whose payload does nothing would prove nothing.
"""

import json
import os
import pickle
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from cvlab import models, profiles
from cvlab.cache import folders
from cvlab.data import Pets, load_images
from cvlab.publish import execution
from cvlab.transfer import features
from tests import small_project
from tests.knocks import kill as knocks_kill

PROJECT = Path(__file__).parents[2]
TINY = {"train": 2, "validation": 1, "test": 1}


class Payload:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = str(mark)

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (self.mark,)


@pytest.fixture
def mark(tmp_path: Path) -> Path:
    """What is there if code ran that must not."""
    return tmp_path / "code-ran"


# --- Models --------------------------------------------------------------------------------------


def lambda_model(path: Path, mark: Path) -> Path:
    """A model with Python code in it."""
    code = f"lambda x: (__import__('os').makedirs({str(mark)!r}, exist_ok=True), x)[1]"
    layer = keras.layers.Lambda(eval(code), output_shape=(2,))
    model = keras.Sequential([keras.Input((2,)), layer])
    model.save(path)
    if mark.exists():
        mark.rmdir()  # building the model ran the code, here, by our own will
    return path


def test_keras_models_with_python_code_are_refused(tmp_path: Path, mark: Path) -> None:
    path = lambda_model(tmp_path / "hostile.keras", mark)
    with pytest.raises(Exception, match="Lambda"):
        keras.models.load_model(path)
    assert not mark.exists()
    model = keras.models.load_model(path, safe_mode=False)
    model(np.zeros((1, 2), "float32"))
    assert mark.exists()


@pytest.mark.parametrize(
    ("module", "name", "config"),
    [
        ("os", "makedirs", {"name": "MARK"}),
        ("builtins", "exec", {"source": "import os; os.mkdir('MARK')"}),
        ("keras.config", "enable_unsafe_deserialization", {}),
        ("keras.src.utils.file_utils", "get_file", {"fname": "x", "origin": "file://MARK"}),
    ],
)
def test_keras_models_whose_plan_names_other_functions_are_refused(
    tmp_path: Path, mark: Path, module: str, name: str, config: dict[str, str]
) -> None:
    honest = tmp_path / "honest.keras"
    keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]).save(honest)
    with zipfile.ZipFile(honest) as archive:
        members = {one: archive.read(one) for one in archive.namelist()}
    plan = json.loads(members["config.json"])
    filled = {key: value.replace("MARK", str(mark)) for key, value in config.items()}
    for kind in (name, "function"):
        # As a layer of the model, in the place of the Dense one.
        plan["config"]["layers"][-1] = {
            "module": module,
            "class_name": kind,
            "config": filled if kind == name else name,
            "registered_name": kind,
            "build_config": {},
        }
        hostile = tmp_path / "hostile.keras"
        with zipfile.ZipFile(hostile, "w") as archive:
            for one, data in members.items():
                archive.writestr(one, json.dumps(plan) if one == "config.json" else data)
        with pytest.raises((TypeError, ValueError)):
            keras.models.load_model(hostile)
        assert not mark.exists()
        assert keras.src.saving.serialization_lib.in_safe_mode() is not False


def test_nothing_in_the_course_asks_for_less_safety() -> None:
    unsafe = re.compile(
        r"safe_mode\s*=\s*False|allow_pickle\s*=\s*True|unsafe_deserialization|import pickle"
        r"|pickle\.load|yaml\.load\(|shell\s*=\s*True|os\.system"
    )
    files = [*(PROJECT / "cvlab").rglob("*.py"), *(PROJECT / "lectures").glob("*.ipynb")]
    assert len(files) > 40
    for file in files:
        text = file.read_text(encoding="utf-8")
        if file.suffix == ".ipynb":
            cells = json.loads(text)["cells"]
            text = "\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "code")
        assert not unsafe.search(text), f"{file.name}: {unsafe.search(text)}"


# --- Arrays --------------------------------------------------------------------------------------


def pickled(path: Path, mark: Path) -> None:
    """An array file with a pickle in it."""
    np.save(path, np.array([Payload(mark)], dtype=object), allow_pickle=True)


def test_the_payload_of_arrays_runs_where_pickles_are_read(tmp_path: Path, mark: Path) -> None:
    pickled(tmp_path / "x.npy", mark)
    np.load(tmp_path / "x.npy", allow_pickle=True)
    assert mark.exists()


def test_decoded_images_with_a_pickle_in_their_place_are_made_again(
    tmp_path: Path, mark: Path
) -> None:
    def load() -> Pets:
        return load_images("toypets", image_size=32, per_class=TINY, cache=tmp_path / "c")

    before = np.array(load().train.images)
    (file,) = (tmp_path / "c/arrays").glob("*/train.npy")
    pickled(file, mark)
    # Even where whoever did that has put the seal right.
    folders._seal(file.parent, {})
    assert folders.record_of(file.parent) == {}
    np.testing.assert_array_equal(load().train.images, before)
    assert not mark.exists()


def test_features_with_a_pickle_in_their_place_are_made_again(tmp_path: Path, mark: Path) -> None:
    model = keras.Sequential([keras.Input((4, 4, 3)), keras.layers.Flatten()])
    images = np.random.default_rng(0).integers(0, 256, (40, 4, 4, 3), np.uint8)
    before = np.array(features.extract(images, model, cache=tmp_path / "c"))
    (file,) = (tmp_path / "c/features").glob("*/features.npy")
    size = file.stat().st_size
    pickled(file, mark)
    with file.open("ab") as stream:
        stream.write(bytes(size - file.stat().st_size))
    np.testing.assert_array_equal(features.extract(images, model, cache=tmp_path / "c"), before)
    assert not mark.exists()


# --- Weights -------------------------------------------------------------------------------------


def test_broken_weights_are_refused_or_are_weights(tmp_path: Path, mark: Path) -> None:
    base = models.toy_base(32, None)
    whole = tmp_path / "whole.weights.h5"
    base.save_weights(whole)
    data = whole.read_bytes()
    dice = np.random.default_rng(0)
    path = tmp_path / "broken.weights.h5"
    refused = 0
    for case in range(60):
        broken = bytearray(data)
        if case % 3 == 0:
            del broken[int(dice.integers(len(data))) :]
        elif case % 3 == 1:
            at = int(dice.integers(4000))  # where HDF5 says what there is
            broken[at : at + 8] = dice.bytes(8)
        else:
            start = int(dice.integers(len(data) - 600))
            broken[start : start + 512] = bytes(512)
        path.write_bytes(broken)
        try:
            models.load_base("toy", 32, path)
        except ValueError as error:
            refused += 1
            assert str(path) in str(error)
    assert refused > 20
    path.write_bytes(pickle.dumps(Payload(mark)))
    with pytest.raises(ValueError, match="does not hold the weights of toy"):
        models.load_base("toy", 32, path)
    assert not mark.exists()


# --- Values that reach a shell or a notebook -----------------------------------------------------

HOSTILE = [
    'quick"; import os; os.mkdir("MARK"); "',
    "quick\nimport os; os.mkdir('MARK')",
    "quick; mkdir MARK",
    "$(mkdir MARK)",
    "`mkdir MARK`",
    "$(shell mkdir MARK)",
    "quick laptop",
    "../quick",
    "",
    "QUICK",
]


@pytest.mark.parametrize("value", HOSTILE)
def test_profiles_that_are_code_are_refused(tmp_path: Path, mark: Path, value: str) -> None:
    value = value.replace("MARK", str(mark))
    with pytest.raises(ValueError, match="quick, laptop, lecture"):
        profiles.get(value)
    with pytest.raises(ValueError, match="quick, laptop, lecture"):
        execution.execute(PROJECT / "lectures/00_start_here.ipynb", tmp_path / "x.ipynb", value)
    environment = small_project.environment()
    # As an argument, and from the environment. `help` needs no profile, and yet is refused.
    for arguments, extra in (([f"PROFILE={value}"], {}), ([], {"PROFILE": value})):
        result = subprocess.run(
            ["make", "--no-print-directory", "help", *arguments],
            cwd=PROJECT,
            env=environment | extra,
            capture_output=True,
            text=True,
            check=False,
        )
        assert result.returncode != 0
        assert "There is no profile" in result.stderr
    assert not mark.exists()


@pytest.mark.parametrize(
    "value",
    ["$(mkdir MARK)", "`mkdir MARK`", "x'; mkdir 'MARK", 'x"; mkdir "MARK', "$(shell mkdir MARK)"],
)
@pytest.mark.parametrize("place", ["argument", "environment"])
def test_paths_that_are_code_are_only_paths(
    tmp_path: Path, mark: Path, value: str, place: str
) -> None:
    folder = knocks_kill.project(tmp_path / "project")
    value = value.replace("MARK", str(mark))
    arguments = [f"PHOTOS={value}"] if place == "argument" else []
    extra = {"CVLAB_PHOTOS": value} if place == "environment" else {}
    result = subprocess.run(
        ["make", "lectures", *arguments],
        cwd=folder,
        env=small_project.environment() | extra,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode != 0
    assert "There is nothing at" in result.stderr
    assert value in result.stderr
    assert not mark.exists()
    assert not list(folder.glob("build/quick/*.ipynb"))


def test_the_commands_take_no_other_profile(tmp_path: Path) -> None:
    result = subprocess.run(
        [
            sys.executable,
            "-m",
            "cvlab",
            "execute",
            "a.ipynb",
            "b.ipynb",
            "--profile",
            "x",
        ],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(PROJECT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 2
    assert "invalid choice: 'x'" in result.stderr
