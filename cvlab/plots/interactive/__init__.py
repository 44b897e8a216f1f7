"""Figures that the reader can change: HTML and script in a cell's output, no kernel, no network.

Each shows a still image where scripts do not run. The scripts lie beside the modules.
"""

from cvlab.plots.interactive.base import Interactive

__all__ = ["Interactive"]
