"""A wheel holds what the package reads, and the cards and licenses of what it ships."""

import tomllib
from pathlib import Path

PROJECT = Path(__file__).parents[2]


def test_every_file_of_the_package_is_in_the_wheel() -> None:
    package = PROJECT / "cvlab"
    settings = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))
    patterns = settings["tool"]["setuptools"]["package-data"]["cvlab"]
    shipped = {path for pattern in patterns for path in package.glob(pattern)}
    data = {path for path in package.rglob("*") if path.is_file() and path.suffix[:3] != ".py"}
    assert data - shipped == set()
    assert {path.name for path in data} >= {"MODEL_CARD.md", "DATA_CARD.md", "LICENSE", "page.html"}
