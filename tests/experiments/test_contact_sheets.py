"""Contact sheets show the pictures they say they show."""

from pathlib import Path

import numpy as np
from PIL import Image

from cvlab.drawing import toypets
from cvlab.experiments import contact_sheets


def test_pictures_lie_row_by_row() -> None:
    pictures = np.arange(20, dtype=np.uint8)[:, None, None, None] * np.ones((1, 4, 5, 3), np.uint8)
    sheet = contact_sheets.contact_sheet(pictures)
    assert sheet.shape == (8, 50, 3)
    for number in range(20):
        row, column = divmod(number, 10)
        assert (sheet[4 * row : 4 * row + 4, 5 * column : 5 * column + 5] == number).all()


def test_the_command_writes_sheets_with_their_answers(tmp_path: Path) -> None:
    assert contact_sheets.main([str(tmp_path), "--seed", "5"]) == 0
    answers = (tmp_path / "pets_64.txt").read_text().split()
    assert len(answers) == 100 and set(answers) == set(toypets.CLASSES)
    sheet = np.asarray(Image.open(tmp_path / "pets_64.png"))
    row, column = 7, 3
    shown = sheet[64 * row : 64 * row + 64, 64 * column : 64 * column + 64]
    number = 10 * row + column
    expected = toypets.draw(answers[number], contact_sheets.FIRST + number, seed=5)
    np.testing.assert_array_equal(shown, expected)
    with Image.open(tmp_path / "zoo_64.png") as zoo:
        assert zoo.size == (640, 64 * len(toypets.ZOO))
