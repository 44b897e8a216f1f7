"""How results of the course show themselves: as an HTML table in Jupyter, as text elsewhere."""

from collections.abc import Iterable, Sequence


class Shown:
    """A base class for what has a table as `_repr_html_` and a text as `str`."""

    def _repr_html_(self) -> str:
        raise NotImplementedError

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        return {"text/html": self._repr_html_(), "text/plain": str(self)}


def html_table(
    headings: Sequence[str], rows: Iterable[Sequence[str]], *, caption: str = "", between: str = ""
) -> str:
    """Lay out a table in HTML, without colors, so that it reads on light and dark pages.

    Args:
        headings: One for each column.
        rows: The cells as HTML; the first one of each row is its heading.
        caption: Title of the table, none if empty.
        between: Text between the rows, for example a line break.
    """
    head = "".join(f'<th scope="col">{heading}</th>' for heading in headings)
    return between.join(
        [
            "<table>",
            *([f"<caption>{caption}</caption>"] if caption else []),
            f"<thead><tr>{head}</tr></thead>",
            "<tbody>",
            *(
                f'<tr><th scope="row">{first}</th>{"".join(f"<td>{c}</td>" for c in cells)}</tr>'
                for first, *cells in rows
            ),
            "</tbody>",
            "</table>",
        ]
    )
