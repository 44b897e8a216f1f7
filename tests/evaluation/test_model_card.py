"""A model card holds the figures it was given, in the form the Hugging Face hub reads."""

import dataclasses
import math
import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from cvlab.evaluation.measure import Interval
from cvlab.evaluation.model_card import ModelCard

NASTY = 'cats: "and" #dogs, [50 %] {{ x }} | \\ ---'


def card(**changes: Any) -> ModelCard:
    given: dict[str, Any] = {
        "name": "Pets",
        "summary": "Tells cats from dogs.",
        "license": "apache-2.0",
        "data": "2,000 drawings.",
        "data_name": "drawn pets",
        "image_size": 64,
        "tested": 1000,
        "accuracy": Interval(0.91234, 0.893, 0.928),
        "calibration_error": {
            "before": Interval(0.0511, 0.03, 0.07),
            "after scaling": Interval(0.0149, 0.0, 0.02),
        },
        "temperature": 1.37,
        "intended_use": "Teaching.",
        "out_of_scope": "Everything else.",
        "failures": ("Dark images: 71.0 %.", "Two animals."),
        "sources": {"code": "Apache-2.0", "base": "CC BY 4.0"},
        "versions": "Keras 3",
    }
    return ModelCard(**{**given, **changes})


def front_matter(text: str) -> str:
    found = re.match(r"---\n(.*?)\n---\n", text, flags=re.DOTALL)
    assert found
    return found[1]


def test_every_figure_is_in_the_text() -> None:
    text = str(card())
    for expected in (
        "| accuracy | 91.2 % | 89.3 % | 92.8 % |",
        "| expected calibration error, before | 5.1 points | 3.0 | 7.0 |",
        "| expected calibration error, after scaling | 1.5 points | 0.0 | 2.0 |",
        "temperature 1.37",
        "64 × 64",
        "On 1,000 test images",
        "- Dark images: 71.0 %.\n- Two animals.\n",
        "| code | Apache-2.0 |\n| base | CC BY 4.0 |\n",
        "Keras 3.",
    ):
        assert expected in text
    assert "\n\n\n" not in text


def test_the_temperature_and_the_data_are_left_out_where_there_are_none() -> None:
    text = str(card(temperature=1.0, versions="", calibration_error={}))
    assert "temperature" not in text
    assert "datasets:" not in text
    assert 'datasets: ["a/b"]' in str(card(data_id="a/b"))


@pytest.mark.parametrize("field", ["license", "data", "failures", "sources", "out_of_scope"])
def test_a_card_without_what_users_need_most_is_refused(field: str) -> None:
    empty: Any = {} if field == "sources" else () if field == "failures" else ""
    with pytest.raises(ValueError, match=f"the model card has no {field}: state each"):
        card(**{field: empty})


@pytest.mark.parametrize("value", [91.2, -0.1, math.nan])
def test_percent_and_what_is_not_a_share_are_refused(value: float) -> None:
    with pytest.raises(ValueError, match="pass shares from 0 to 1, not percent"):
        card(accuracy=dataclasses.replace(card().accuracy, value=value))
    with pytest.raises(ValueError, match="before is Interval"):
        card(calibration_error={"before": Interval(value, 0, 1)})


def test_it_is_written_as_utf_8(tmp_path: Path) -> None:
    card().write(tmp_path / "README.md")
    assert (tmp_path / "README.md").read_text(encoding="utf-8") == str(card())


@pytest.mark.skipif(find_spec("yaml") is None, reason="PyYAML is not installed")
@pytest.mark.parametrize("name", ["Pets", NASTY])
def test_the_front_matter_is_yaml_whatever_the_names_are(name: str) -> None:
    import yaml  # type: ignore[import-untyped]  # noqa: PLC0415

    changes = {"name": name, "license": name, "data_name": name, "data_id": name}
    found = yaml.safe_load(front_matter(str(card(**changes))))
    assert found["license"] == name
    assert found["datasets"] == [name]
    (entry,) = found["model-index"]
    (result,) = entry["results"]
    assert entry["name"] == result["dataset"]["name"] == result["dataset"]["type"] == name
    assert [metric["value"] for metric in result["metrics"]] == [0.9123, 0.0511, 0.0149]


@pytest.mark.skipif(find_spec("huggingface_hub") is None, reason="the extra hub is not installed")
def test_the_hubs_own_library_reads_the_same_figures(tmp_path: Path) -> None:
    import huggingface_hub  # noqa: PLC0415

    card(data_id="microsoft/cats_vs_dogs").write(tmp_path / "README.md")
    read = huggingface_hub.ModelCard.load(tmp_path / "README.md")
    assert read.data.license == "apache-2.0"
    assert read.data.library_name == "keras"
    assert read.data.datasets == ["microsoft/cats_vs_dogs"]
    assert read.data.model_name == "Pets"
    found = [
        (one.task_type, one.dataset_type, one.dataset_split, one.metric_type, one.metric_value)
        for one in read.data.eval_results
    ]
    start = ("image-classification", "microsoft/cats_vs_dogs", "test")
    assert found == [
        (*start, "accuracy", 0.9123),
        (*start, "expected_calibration_error", 0.0511),
        (*start, "expected_calibration_error", 0.0149),
    ]
    # Written again by the library, nothing is lost.
    again = huggingface_hub.ModelCard(str(read))
    assert vars(again.data) == vars(read.data)
