"""Anchors of headings, as JupyterLab makes them, so that one link works in both."""


def slug(title: str) -> str:
    """Return the anchor of a heading: `Three profiles` becomes `Three-profiles`."""
    return title.strip().replace(" ", "-")
