"""The tags of a notebook's cells that the course itself gives a meaning."""

from typing import Final

SOLUTION: Final = "solution"
"""A cell that holds the solution of an exercise: folded away, and a stub in students' copies."""

HIDE_INPUT: Final = "hide-input"
"""A cell whose code only lays out a figure or a table: folded away."""

FOLDED: Final = frozenset({SOLUTION, HIDE_INPUT})
