"""The pages about platforms, as far as they can be checked without these."""

from __future__ import annotations

import re

import pytest

from docs import generate
from docs.generate import ROOT
from gateway.surfaces import SurfaceTable, load_surfaces
from tests.pages import blocks

OF_OTHERS = {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "OPENAI_API_KEY"}
"""Variables that AWS' libraries read, and another name of LLM_API_KEY."""


def code(page: str) -> str:
    return "\n".join(block.code for block in blocks(page, "sh", "python"))


def given_variables(page: str) -> set[str]:
    """Return the names of the variables that a page's commands give to the container."""
    text = code(page).replace('\\"', '"')
    lists = re.findall(r"--set-(?:env-vars|secrets) (\S+)", text)
    names = {pair.partition("=")[0] for each in lists for pair in each.split(",")}
    for variables in re.findall(r'"Environment": \{([^}]*)\}', text):
        names |= set(re.findall(r'"(\w+)":', variables))
    return names


@pytest.mark.parametrize("page", ["docs/sagemaker.md", "docs/cloud-run.md"])
def test_the_variables_of_a_platform_are_settings(page: str) -> None:
    names = given_variables(page)
    assert {"REQUEST_TIMEOUT", "STT_MODELS"} <= names
    assert names <= generate.settings().keys() | OF_OTHERS


def test_the_probes_of_cloud_run_ask_for_routes_without_a_key() -> None:
    paths = re.findall(r"httpGet\.path=([^,]+)", code("docs/cloud-run.md"))
    assert len(paths) == 3
    assert set(paths) <= SurfaceTable(load_surfaces(())).open_paths


@pytest.mark.parametrize("page", ["docs/sagemaker.md", "docs/cloud-run.md"])
def test_a_page_names_the_image_that_is_built(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    assert "tritone/sagemaker:0.1.0" in text
    assert (ROOT / "Dockerfile.sagemaker").exists()
