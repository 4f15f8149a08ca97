"""The page of the routes, which needs nothing from the internet, and the OpenAPI document that it shows."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urljoin

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from tests.unit.gateway.conftest import Gateway, Serve

TOY = "tests.toy_surfaces.echo_surface"


def references(value: Any) -> list[str]:
    """Return every reference in a document."""
    if isinstance(value, list):
        return [found for item in value for found in references(item)]
    if not isinstance(value, dict):
        return []
    own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
    return own + [found for item in value.values() for found in references(item)]


async def test_the_page_loads_only_what_the_gateway_has(gateway: Gateway) -> None:
    page = await gateway.http.get("/docs")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    addresses = re.findall(r"(?:src|href)=\"([^\"]+)\"|url: '([^']+)'", page.text)
    loaded = ["".join(found) for found in addresses]
    assert len(loaded) == 4
    kinds = set()
    for address in loaded:
        assert "//" not in address
        file = await gateway.http.get(urljoin("/docs", address))
        assert (file.status_code, bool(file.content)) == (200, True)
        kinds.add(file.headers["content-type"].partition(";")[0])
    assert kinds == {"text/javascript", "text/css", "image/png", "application/json"}


async def test_the_page_has_no_other_files(gateway: Gateway) -> None:
    for name in ("__init__.py", "../main.py", "..%2Fmain.py", "x"):
        assert (await gateway.http.get(f"/docs/{name}")).status_code in (400, 404)


@pytest.mark.parametrize("settings", [{}, {"api_keys": "sk-one"}, {"extra_surfaces": TOY}], ids=str)
async def test_the_document_is_valid_and_its_references_resolve(serve: Serve, settings: dict[str, Any]) -> None:
    async with serve(**settings) as gateway:
        document = (await gateway.http.get("/openapi.json")).json()
    OpenAPIV31SpecValidator(document).validate()
    found = references(document)
    assert found
    for reference in found:
        place = document
        for key in reference.removeprefix("#/").split("/"):
            place = place[key]
        assert isinstance(place, dict), reference


async def test_the_document_names_the_keys_and_the_paths_that_need_none(serve: Serve) -> None:
    async with serve(api_keys="sk-one") as gateway:
        document = (await gateway.http.get("/openapi.json")).json()
    schemes = document["components"]["securitySchemes"]
    assert document["security"] == [{name: []} for name in schemes]
    assert document["paths"]["/health"]["get"]["security"] == []
    assert "security" not in document["paths"]["/v1/models"]["get"]


async def test_the_document_of_a_server_without_keys_needs_none(gateway: Gateway) -> None:
    assert {} in (await gateway.http.get("/openapi.json")).json()["security"]


async def test_the_document_mentions_the_websocket_and_json(gateway: Gateway) -> None:
    document = (await gateway.http.get("/openapi.json")).json()
    assert "/v1/realtime" in document["info"]["description"]
    body = document["paths"]["/v1/audio/transcriptions"]["post"]["requestBody"]["content"]
    assert body.keys() == {"multipart/form-data", "application/json"}


async def test_the_document_has_each_surfaces_own_form_of_errors(serve: Serve) -> None:
    async with serve(extra_surfaces=TOY) as gateway:
        paths = (await gateway.http.get("/openapi.json")).json()["paths"]
    forms = {
        name: paths[name][method]["responses"]["4XX"]["content"]["application/json"]["schema"]["$ref"].rpartition("/")[
            2
        ]
        for name, method in (("/toy/speak", "post"), ("/toy/about", "get"), ("/v1/audio/speech", "post"))
    }
    assert forms == {"/toy/speak": "Problem", "/toy/about": "Problem", "/v1/audio/speech": "ErrorEnvelope"}
