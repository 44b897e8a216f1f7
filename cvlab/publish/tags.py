"""The tag of a notebook's cells that the course itself gives a meaning."""

from typing import Final

SOLUTION: Final = "solution"
"""A cell that holds the solution of an exercise: folded away, and a stub in students' copies."""
