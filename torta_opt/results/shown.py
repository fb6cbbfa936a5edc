"""How results look at a prompt and in a notebook."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torta_opt.io.text import html_table, one_line


class Shown(ABC):
    """A ``repr`` of one line, and a table in notebooks, from a title and a few entries."""

    @property
    @abstractmethod
    def _title(self) -> str: ...

    @abstractmethod
    def _entries(self) -> dict[str, str]:
        """What is shown, by name."""

    def __repr__(self) -> str:
        return one_line(self._title, self._entries())

    def _repr_html_(self) -> str:
        return html_table(self._title, self._entries())
