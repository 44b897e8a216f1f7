"""How a record keeps which images were right."""

from hypothesis import given
from hypothesis import strategies as st

from cvlab.course import findings


def test_right_and_wrong_are_kept_in_order() -> None:
    assert findings.as_text([True, False, False]) == "100"
    assert findings.from_text("100").tolist() == [True, False, False]


@given(st.lists(st.booleans(), min_size=1))
def test_what_is_written_is_read_again(right: list[bool]) -> None:
    assert findings.from_text(findings.as_text(right)).tolist() == right
