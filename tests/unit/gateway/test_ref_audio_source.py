"""The forms and places of `ref_audio` that are accepted, and those that are not."""

from __future__ import annotations

import base64
import os
import textwrap
from pathlib import Path
from typing import Any

import pytest

from tests.fake_triton import FakeTriton
from tests.unit.gateway.conftest import Gateway, Serve
from tests.unit.gateway.recordings import encoded, tone
from tritone.contract import SPEECH_RATE

VOICE = encoded(tone(2), "wav", "pcm_s16le")
BASE64 = base64.b64encode(VOICE).decode()
OUTSIDE = "ref_audio: there is no such file below REF_AUDIO_DIR"


async def clone(gateway: Gateway, ref_audio: str) -> Any:
    body = {"model": "qwen3-tts-1.7b-clone", "input": "Hello.", "ref_text": "A tone.", "ref_audio": ref_audio}
    return await gateway.http.post("/v1/audio/speech", json=body)


async def received_seconds(gateway: Gateway, triton: FakeTriton, ref_audio: str) -> float:
    """Return the length of the reference audio that the model got."""
    answer = await clone(gateway, ref_audio)
    assert answer.status_code == 200, answer.text
    return len(triton.calls[-1].inputs["ref_audio"]) / SPEECH_RATE


async def rejection(gateway: Gateway, ref_audio: str) -> str:
    answer = await clone(gateway, ref_audio)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "ref_audio")
    message: str = answer.json()["error"]["message"]
    return message


@pytest.fixture
def files(references: Path, tmp_path: Path) -> Path:
    """The folder of references with a recording in it, and one outside that must not be read."""
    (references / "speakers").mkdir(exist_ok=True)
    (references / "speakers" / "anna.wav").write_bytes(VOICE)
    (tmp_path / "secret.wav").write_bytes(VOICE)
    return references


@pytest.mark.parametrize(
    "ref_audio",
    [
        BASE64,
        f"\n{textwrap.fill(BASE64, 76)}\n",
        BASE64.rstrip("="),
        f"data:audio/wav;base64,{BASE64}",
        f"DATA:;Base64,{BASE64}",
    ],
    ids=["base64", "lines", "no padding", "data URL", "data URL without a type"],
)
async def test_a_recording_in_the_request_reaches_the_model(
    qwen_gateway: Gateway, triton: FakeTriton, ref_audio: str
) -> None:
    assert await received_seconds(qwen_gateway, triton, ref_audio) == pytest.approx(2, abs=0.01)


@pytest.mark.parametrize(
    ("ref_audio", "problem"),
    [
        ("YWJj*", "it is neither base64 nor"),
        ("http:/a", "it is neither base64 nor"),
        ("data:audio/wav;base64,*", "it is neither base64 nor"),
        ("data:audio/wav,abc", "it is neither base64 nor"),
        ("data:", "it is neither base64 nor"),
        ("speakers", "it could not be decoded as audio"),
        ("a" * 1001, "it is neither base64 nor"),
    ],
)
async def test_a_text_that_is_no_recording_is_rejected(qwen_gateway: Gateway, ref_audio: str, problem: str) -> None:
    assert (await rejection(qwen_gateway, ref_audio)).startswith(f"ref_audio: {problem}")


@pytest.mark.parametrize("name", ["speakers/anna.wav", "./speakers/../speakers/anna.wav", "{folder}/speakers/anna.wav"])
async def test_a_file_is_read_from_the_folder_of_references(
    qwen_gateway: Gateway, triton: FakeTriton, files: Path, name: str
) -> None:
    assert await received_seconds(qwen_gateway, triton, name.format(folder=files)) == pytest.approx(2, abs=0.01)


@pytest.mark.parametrize(
    "name",
    [
        "{outside}/secret.wav",
        "../{outside.name}/secret.wav",
        "speakers/../../{outside.name}/secret.wav",
        "/etc/ld.so.conf",
        "..",
        "../",
        ".",
        "speakers/.",
        "missing.wav",
        "speakers/anna.wav/x.wav",
        "a\0.wav",
        "%2e%2e/secret.wav",
        "file:///etc/ld.so.conf",
        "~/.profile",
        "a/" * 3000 + ".wav",
        "a" * 300 + ".wav",
    ],
)
async def test_a_file_outside_the_folder_gives_the_same_error_as_a_missing_one(
    qwen_gateway: Gateway, files: Path, tmp_path: Path, name: str
) -> None:
    assert await rejection(qwen_gateway, name.format(outside=tmp_path)) == OUTSIDE


@pytest.mark.parametrize("outside", ["", "missing/", "secret.wav/"])
async def test_a_name_does_not_tell_which_folders_exist_outside(
    qwen_gateway: Gateway, triton: FakeTriton, files: Path, tmp_path: Path, outside: str
) -> None:
    levels = "../" * (outside.count("/") + len(tmp_path.parts))
    name = f"{tmp_path}/{outside}{levels}{str(files)[1:]}/speakers/anna.wav"
    assert await received_seconds(qwen_gateway, triton, name) == pytest.approx(2, abs=0.01)


async def test_links_are_followed_only_within_the_folder(
    qwen_gateway: Gateway, triton: FakeTriton, files: Path, tmp_path: Path
) -> None:
    for name, target in {
        "inside.wav": files / "speakers" / "anna.wav",
        "outside.wav": tmp_path / "secret.wav",
        "folder.d": tmp_path,
        "round.wav": files / "round.wav",
    }.items():
        (files / name).unlink(missing_ok=True)
        (files / name).symlink_to(target)
    assert await received_seconds(qwen_gateway, triton, "inside.wav") == pytest.approx(2, abs=0.01)
    for name in ("outside.wav", "folder.d/secret.wav", "round.wav"):
        assert await rejection(qwen_gateway, name) == OUTSIDE


async def test_pipes_devices_and_folders_are_not_read(qwen_gateway: Gateway, files: Path) -> None:
    (files / "pipe.wav").unlink(missing_ok=True)
    os.mkfifo(files / "pipe.wav")
    (files / "folder.wav").mkdir(exist_ok=True)
    for name in ("pipe.wav", "folder.wav"):
        assert await rejection(qwen_gateway, name) == OUTSIDE


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"max_upload_bytes": len(VOICE) - 1}, f"ref_audio: the file holds more than {len(VOICE) - 1} bytes"),
        ({"ref_audio_dir": Path("no such folder")}, OUTSIDE),
    ],
)
async def test_a_file_is_limited_in_size_and_needs_the_folder(
    serve: Serve, qwen_gateway: Gateway, files: Path, settings: dict[str, Any], problem: str
) -> None:
    async with serve(**{"ref_audio_dir": files, **settings}) as gateway:
        assert await rejection(gateway, "speakers/anna.wav") == problem


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/a.wav", "HTTPS://example.com/a.wav"])
async def test_an_address_is_not_fetched_without_the_setting(qwen_gateway: Gateway, url: str) -> None:
    assert "ALLOW_REF_AUDIO_URLS" in await rejection(qwen_gateway, url)
