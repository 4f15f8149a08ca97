"""Surfaces: one from outside the tree is mounted by a setting, with its own open paths and form of errors."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import BadRequest
from gateway.surfaces import Surface, load_surfaces
from tests.fake_triton import FakeTriton
from tests.unit.gateway.conftest import FakeSpeech, Gateway, Serve
from tests.unit.gateway.sound import decode
from tritone.errors import Overloaded
from tritone.settings import UnusableSettingError

TOY = "tests.toy_surfaces.echo_surface"
BODY = {"text": "Hello.", "model": "tts-1", "voice": "nova"}


@pytest.mark.parametrize("name", [TOY, "tests/toy_surfaces/echo_surface"])
async def test_a_toy_surface_synthesizes_by_the_same_use_case(
    serve: Serve, triton: FakeTriton, kokoro: FakeSpeech, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])  # a folder's parent is added to it
    async with serve(extra_surfaces=name) as gateway:
        answer = await gateway.http.post(
            "/toy/speak", json={**BODY, "voice": "af_kore"}, headers={"x-request-id": "t1"}
        )
    assert (answer.status_code, answer.headers["content-type"]) == (200, "audio/wav")
    assert answer.headers["x-toy-model"] == "kokoro-82m"
    samples, rate = decode(answer.content, "wav")
    assert len(samples) / rate == pytest.approx(1.2, abs=0.01)
    assert (triton.calls[0].request_id, triton.calls[0].parameters) == ("t1", {"voice": "af_kore"})


@pytest.mark.parametrize(
    ("change", "status", "problem"),
    [
        ({"model": "x"}, 404, "no speech model 'x' is served; choose from: kokoro-82m"),
        ({"text": " "}, 400, "text: there is nothing to synthesize"),
        ({"voice": "bogus"}, 400, "voice: kokoro-82m has no voice 'bogus'"),
        ({"text": None}, 400, "text: "),
    ],
)
async def test_errors_of_a_toy_surface_have_its_form_and_its_field_names(
    serve: Serve, change: dict[str, Any], status: int, problem: str
) -> None:
    async with serve(extra_surfaces=TOY) as gateway:
        answer = await gateway.http.post("/toy/speak", json={**BODY, **change})
        assert answer.status_code == status
        assert answer.json().keys() == {"problem"}
        assert answer.json()["problem"].startswith(problem)
        missing = await gateway.http.get("/toy/nowhere")
        assert (missing.status_code, missing.json().keys()) == (404, {"problem"})
        assert (await gateway.http.get("/nowhere")).json().keys() == {"error"}


async def test_a_failure_of_a_model_has_the_toy_surfaces_form(serve: Serve, kokoro: FakeSpeech) -> None:
    kokoro.chunks, kokoro.failure = [], Overloaded("64 requests", 7)
    async with serve(extra_surfaces=TOY) as gateway:
        answer = await gateway.http.post("/toy/speak", json={**BODY, "voice": ""})
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "7")
    assert answer.json() == {"problem": "model 'kokoro-82m' is at capacity; try again"}


async def test_only_the_open_paths_of_a_toy_surface_need_no_key(serve: Serve) -> None:
    async with serve(extra_surfaces=TOY, api_keys="sk-one") as gateway:
        assert (await gateway.http.get("/toy/about")).json() == {"surface": "echo"}
        denied = await gateway.http.post("/toy/speak", json=BODY)
    assert denied.status_code == 401
    assert denied.json().keys() == {"problem"}


async def test_a_toy_surface_is_absent_without_the_setting(gateway: Gateway) -> None:
    assert (await gateway.http.get("/toy/about")).status_code == 404


@pytest.mark.parametrize("name", ["no.such.package", "tests.toy_surfaces", "tests.pages"])
def test_a_package_without_a_surface_is_an_unusable_setting(name: str) -> None:
    with pytest.raises(UnusableSettingError, match=f"^EXTRA_SURFACES: '{name}' is not a surface"):
        load_surfaces([name])


@pytest.mark.parametrize("surface", load_surfaces([TOY]), ids=lambda surface: surface.prefix or surface.router.tags)
def test_the_errors_of_a_surface_have_the_documented_form(surface: Surface) -> None:
    body = json.loads(bytes(surface.error_response(BadRequest("speed: too fast", param="speed")).body))
    assert surface.error_model.model_validate(body).model_dump() == body


def test_the_core_imports_no_http_framework() -> None:
    root = Path(__file__).parents[3] / "gateway"
    for file in (*(root / "core").rglob("*.py"), *(root / "audio").rglob("*.py")):
        text = file.read_text(encoding="utf-8")
        imported = [
            word
            for word in ("fastapi", "starlette", "gateway.errors", "gateway.openai")
            if f"{word} import" in text or f"import {word}" in text
        ]
        assert not imported, file
