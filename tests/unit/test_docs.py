"""What the documentation takes from the code is up to date."""

import pytest

from docs.generate import ROOT, pages


@pytest.mark.parametrize("path", ["README.md", ".env.example", "docs/contract.md"])
def test_a_page_made_from_the_code_is_up_to_date(path: str) -> None:
    page = ROOT / path
    assert page.read_text(encoding="utf-8") == pages()[page], "run `python -m docs.generate`"
