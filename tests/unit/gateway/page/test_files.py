"""The files of the page: how they are served, what they load, and their texts in all languages."""

from __future__ import annotations

import json
import re
from pathlib import Path
from urllib.parse import urljoin

import pytest

from gateway.page.router import PATHS
from tests.unit.gateway.conftest import Gateway, Serve

STATIC = Path(__file__).parents[4] / "gateway/page/static"
LOCALES = STATIC / "locales"
LANGUAGES = ("en", "ko", "zh-TW")
PARTS = sorted(path.stem for path in (LOCALES / "en").glob("*.json"))
MODULES = sorted(path for path in STATIC.rglob("*.js") if "vendor" not in path.parts)
SOURCE = "\n".join(path.read_text() for path in MODULES)
USED = re.findall(r"\bt\(\s*([\"`])([a-z_]+)\.([^\"`]*)\1", SOURCE)
"""Quote, part and name of each key in the source; a name in backquotes has `${}` for what is put in."""


def texts(language: str, part: str) -> dict[str, str]:
    """Return the texts of a part of the page."""
    loaded: dict[str, str] = json.loads((LOCALES / language / f"{part}.json").read_text())
    return loaded


async def test_the_page_and_its_files_need_no_key_and_load_nothing_from_elsewhere(serve: Serve) -> None:
    async with serve(api_keys="sk-one") as gateway:
        page = await gateway.http.get("/")
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        policy = page.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        loaded = re.findall(r"(?:src|href)=\"(page/[^\"]+)\"", page.text)
        assert len(loaded) > 5
        for address in loaded:
            assert (await gateway.http.get(urljoin("/", address))).status_code == 200, address
    outside = [path.name for path in STATIC.rglob("*") if path.suffix in (".html", ".css") and "//" in path.read_text()]
    assert outside == []


async def test_a_file_that_has_not_changed_is_not_sent_again(gateway: Gateway) -> None:
    first = await gateway.http.get("/page/main.js")
    assert first.headers["cache-control"] == "no-cache"
    again = await gateway.http.get("/page/main.js", headers={"if-none-match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == first.headers["etag"]


@pytest.mark.parametrize("name", ["../router.py", "..%2Frouter.py", "views", "x.js", ""])
async def test_the_page_has_no_other_files(gateway: Gateway, name: str) -> None:
    assert (await gateway.http.get(f"/page/{name}")).status_code == 404


def test_imports_name_files_of_the_page() -> None:
    for module in MODULES:
        for name in re.findall(r"(?:from|import) \"([^\"]+)\"", module.read_text()):
            target = (module.parent / name).resolve()
            assert f"/page/{target.relative_to(STATIC)}" in PATHS, f"{module.name} imports {name}"


@pytest.mark.parametrize("part", PARTS)
def test_languages_have_the_same_texts_with_the_same_parameters(part: str) -> None:
    english = texts("en", part)
    for language in LANGUAGES[1:]:
        other = texts(language, part)
        assert list(other) == list(english), language
        for key, text in english.items():
            assert sorted(re.findall(r"\{\w+\}", other[key])) == sorted(re.findall(r"\{\w+\}", text)), (language, key)


@pytest.mark.parametrize("part", PARTS)
def test_each_text_is_used_and_each_used_text_exists(part: str) -> None:
    known = set(texts("en", part))
    named = {name for quote, of, name in USED if of == part and quote == '"'}
    patterns = [
        re.sub(r"\\\$\\\{.*?\\\}", ".+", re.escape(name)) for quote, of, name in USED if of == part and quote == "`"
    ]
    made = {key for key in known for pattern in patterns if re.fullmatch(pattern, key)}
    assert named - known == set()
    assert known - named - made == set()
    assert all(any(re.fullmatch(pattern, key) for key in known) for pattern in patterns)


def test_modules_are_short_and_checked() -> None:
    for module in MODULES:
        text = module.read_text()
        assert text.startswith("// @ts-check\n/**"), f"{module.name} needs a line `// @ts-check` and a comment"
        assert text.count("\n") <= 300, module.name
