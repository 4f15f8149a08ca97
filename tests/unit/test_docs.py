"""Pages agree with the code that they are made from, and their links lead somewhere."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from docs.generate import ROOT, pages

PAGES = sorted({*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("benchmarks/**/*.md")})
_LINK = re.compile(r"\[[^\]]*\]\((?!https?:|mailto:)([^)#\s]*)(?:#([^)\s]*))?\)")


@pytest.mark.parametrize("path", ["README.md", ".env.example", "docs/contract.md"])
def test_a_page_made_from_the_code_is_up_to_date(path: str) -> None:
    page = ROOT / path
    assert page.read_text(encoding="utf-8") == pages()[page], "run `python -m docs.generate`"


def anchors(page: Path) -> set[str]:
    """The anchors that a page's headings make."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


def broken(page: Path) -> Iterator[str]:
    for target, anchor in _LINK.findall(page.read_text(encoding="utf-8")):
        path = (page.parent / target).resolve() if target else page
        if not path.exists() or (anchor and anchor not in anchors(path)):
            yield f"{target}#{anchor}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_between_pages_leads_to_a_file_and_a_heading(page: Path) -> None:
    assert list(broken(page)) == []


def test_the_index_lists_every_page() -> None:
    index = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    listed = {(ROOT / "docs" / target).resolve() for target, _ in _LINK.findall(index)}
    assert {page for page in PAGES if page.parent == ROOT / "docs" and page.name != "README.md"} <= listed


def test_the_list_of_decisions_has_every_record_under_its_own_number() -> None:
    folder = ROOT / "docs" / "decisions"
    records = sorted(path.name for path in folder.glob("[0-9]*.md"))
    assert [int(name[:4]) for name in records] == list(range(1, len(records) + 1))
    assert re.findall(r"\]\((\d{4}[\w-]*\.md)\)", (folder / "README.md").read_text(encoding="utf-8")) == records
