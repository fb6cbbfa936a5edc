"""What studies write into pages: their part alone, and never nothing without a word."""

from __future__ import annotations

from pathlib import Path

import pytest
from pages import progress, shown, write_between

from torta_opt.allocation.policies.experiment import interval


def test_what_stands_between_the_markers_is_replaced_and_nothing_else(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    other = "<!-- other -->\nkept\n<!-- end of other -->\n"
    page.write_text(f"# Title\n{other}<!-- mine -->\nold\n<!-- end of mine -->\nlast\n")
    for text in ("| new |\n", "| newer |\n"):
        write_between(page, "mine", text)
        part = f"<!-- mine -->\n\n{text}\n<!-- end of mine -->\n"
        assert page.read_text() == f"# Title\n{other}{part}last\n"


@pytest.mark.parametrize(
    "text", ["", "<!-- mine -->\nold\n", "<!-- end of mine -->\n<!-- mine -->\n"]
)
def test_a_page_without_both_markers_is_left_as_it_is(tmp_path: Path, text: str) -> None:
    page = tmp_path / "page.md"
    page.write_text(text)
    with pytest.raises(SystemExit, match=r"page\.md: lacks the markers of mine"):
        write_between(page, "mine", "new")
    assert page.read_text() == text


def test_an_interval_and_a_line_of_progress(capsys: pytest.CaptureFixture[str]) -> None:
    assert shown(interval([0.9, 1.1])) == "1.000 (-0.271 to 2.271)"
    assert shown(interval([0.9, 1.1]), 1) == "1.0 (-0.3 to 2.3)"
    progress(1, 2)
    progress(2, 2)
    assert capsys.readouterr().out == "\r1/2\r2/2\n"
