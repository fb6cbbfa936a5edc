"""How results look at a prompt and in a notebook."""

from __future__ import annotations

from torta_opt.io.text import html_table, one_line


class Shown:
    """A ``repr`` of one line, and a table in notebooks, from a title and a few entries."""

    @property
    def _title(self) -> str:
        raise NotImplementedError

    def _entries(self) -> dict[str, str]:
        """What is shown, by name."""
        raise NotImplementedError

    def __repr__(self) -> str:
        return one_line(self._title, self._entries())

    def _repr_html_(self) -> str:
        return html_table(self._title, self._entries())
