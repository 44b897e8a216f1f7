"""The seven questions: answers outlive the notebook, and nothing spoils them."""

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cvlab.course import quiz


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CVLAB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_seven_questions() -> None:
    assert list(quiz.QUESTIONS) == [1, 2, 3, 4, 5, 6, 7]


def test_answers_are_kept_on_disk_and_replaced(cache: Path) -> None:
    assert quiz.answers() == {}
    quiz.answer(5, "a filter is a stack")
    quiz.answer(1, "32")
    quiz.answer(1, " as many as filters ")
    assert quiz.answers() == {1: "as many as filters", 5: "a filter is a stack"}
    kept = json.loads((cache / "quiz.json").read_text("utf-8"))
    assert kept == {"1": "as many as filters", "5": "a filter is a stack"}
    assert [file.name for file in cache.glob("quiz*")] == ["quiz.json"]  # no draft is left


@pytest.mark.parametrize("blank", ["", "  \n", "...", " ... "])
def test_blanks_neither_count_nor_overwrite(blank: str) -> None:
    quiz.answer(2, blank)
    assert quiz.answers() == {}
    assert not quiz.path().exists()
    quiz.answer(2, "yes")
    quiz.answer(2, blank)
    assert quiz.answers() == {2: "yes"}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_survives(text: str) -> None:
    quiz.path().unlink(missing_ok=True)
    quiz.answer(7, text)
    expected = text.strip()
    assert quiz.answers() == ({7: expected} if expected not in ("", "...") else {})


@pytest.mark.parametrize("number", [0, 8, -1])
def test_unknown_questions_are_refused(number: int) -> None:
    with pytest.raises(ValueError, match="numbered 1 to 7"):
        quiz.answer(number, "text")


@pytest.mark.parametrize("damage", ["{", "[1, 2]", '{"one": "x"}'])
def test_a_damaged_file_is_named_and_not_overwritten(cache: Path, damage: str) -> None:
    cache.mkdir()
    (cache / "quiz.json").write_text(damage)
    with pytest.raises(ValueError, match=r"quiz\.json .* delete it"):
        quiz.answer(1, "text")
    assert (cache / "quiz.json").read_text() == damage


def test_sheet_shows_questions_and_answers() -> None:
    quiz.answer(3, "it is")
    sheet = quiz.sheet()
    assert all(question.text in sheet for question in quiz.QUESTIONS.values())
    assert sheet.count("(no answer yet)") == 6
    assert "it is" in sheet


def test_without_a_setting_it_lies_in_the_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CVLAB_CACHE")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert quiz.path() == Path.home() / ".cache" / "cvlab" / "quiz.json"


def test_second_answers_leave_the_first_alone(cache: Path) -> None:
    quiz.answer(5, "the same thing")
    quiz.answer(5, "a stack <of> kernels", again=True)
    assert quiz.answers() == {5: "the same thing"}
    assert quiz.answers(again=True) == {5: "a stack <of> kernels"}
    assert quiz.path() != quiz.path(again=True)
    assert quiz.path(again=True).parent == cache


def test_the_comparison_shows_all_three_as_text_and_as_a_table() -> None:
    quiz.answer(5, "the same thing")
    quiz.answer(5, "a stack <of> kernels", again=True)
    shown = quiz.compare()._repr_mimebundle_()
    fifth = shown["text/plain"].split("\n\n")[4].splitlines()
    assert fifth[1:] == [
        "   at first: the same thing",
        "   now:      a stack <of> kernels",
        "   shown:    Usage varies. Where the words differ, a filter is a stack of kernels, one "
        "per input channel. (02, section 3)",
    ]
    assert shown["text/html"].count('scope="row"') == 7
    assert "a stack &lt;of&gt; kernels" in shown["text/html"]
    assert shown["text/html"].count("(no answer yet)") == 12
