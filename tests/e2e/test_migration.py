"""The page for users of the earlier Qwen3-TTS server: each command is run against a real server."""

from __future__ import annotations

import subprocess
from pathlib import Path

import av
import httpx
import numpy as np
import openai
import pytest

from tests.e2e.server import Server
from tests.pages import Block, audio, blocks, environment
from tritone.contract import SPEECH_RATE

PAGE = "docs/migration-qwen3-tts.md"


@pytest.fixture(scope="module", autouse=True)
def speaker(references: Path) -> Path:
    """A recording from which a voice can be cloned."""
    time = np.arange(2 * SPEECH_RATE) / SPEECH_RATE
    wave = (8000 * np.sin(2 * np.pi * 180 * time) * np.sin(np.pi * 4 * time) ** 2).astype(np.int16)
    path = references / "speaker.wav"
    with av.open(str(path), "w") as file:
        stream = file.add_stream("pcm_s16le", rate=SPEECH_RATE, layout="mono")
        frame = av.AudioFrame.from_ndarray(wave[None], format="s16", layout="mono")
        frame.sample_rate = SPEECH_RATE
        file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("block", blocks(PAGE, "sh", "python"), ids=lambda block: block.code.splitlines()[0][:50])
def test_command_of_the_page_works(qwen: Server, references: Path, block: Block, tmp_path: Path) -> None:
    (tmp_path / "ref_audio").symlink_to(references)
    run = subprocess.run(
        block.command(qwen.url),
        cwd=tmp_path,
        env=environment(tmp_path),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout
    for name in block.written:
        container, seconds = audio(tmp_path / name)
        assert container == name.rpartition(".")[2].replace("opus", "ogg")
        assert seconds > 0


@pytest.mark.parametrize("response_format", ["mp3", "opus", "aac", "flac", "wav", "pcm"])
def test_format_is_synthesized(qwen: Server, response_format: str) -> None:
    body = {"model": "tts-1", "input": "Hello.", "response_format": response_format, "max_new_tokens": 12, "seed": 1}
    answer = httpx.post(f"{qwen.url}/v1/audio/speech", json=body, timeout=300)
    assert answer.status_code == 200
    assert len(answer.content) > 500


@pytest.mark.parametrize(
    ("fields", "status", "param"),
    [
        ({"model": "qwen3-tts-1.7b-clone", "ref_audio": "speaker.wav"}, 400, "ref_text"),
        ({"model": "qwen3-tts-1.7b", "language": "Klingon"}, 400, "language"),
        ({"model": "qwen3-tts-1.7b", "voice": "nobody"}, 400, "voice"),
        ({"model": "qwen3-tts-1.7b", "ref_audio": "speaker.wav"}, 400, "ref_audio"),
        ({"model": "qwen3-tts-1.7b-design"}, 400, "instructions"),
        ({"model": "kokoro-82m"}, 404, "model"),
    ],
)
def test_unsupported_request_is_rejected_with_the_fields_name(
    qwen: Server, fields: dict[str, str], status: int, param: str
) -> None:
    error = httpx.post(f"{qwen.url}/v1/audio/speech", json={"input": "Hello.", **fields}, timeout=300)
    assert (error.status_code, error.json()["error"]["param"]) == (status, param), error.text


def test_ignored_header_names_what_the_small_model_does_not_support(qwen: Server) -> None:
    with openai.OpenAI(base_url=f"{qwen.url}/v1", api_key="x", max_retries=0) as client:
        answer = client.audio.speech.with_raw_response.create(
            model="tts-1", voice="alloy", input="Hello.", instructions="Softly.", extra_body={"max_new_tokens": 12}
        )
    assert answer.headers["x-tritone-model"] == "qwen3-tts-0.6b"
    assert answer.headers["x-tritone-ignored"] == "instructions"


def test_extra_checkpoint_is_served_under_its_own_name(qwen: Server) -> None:
    assert "minsu" in [model["id"] for model in httpx.get(f"{qwen.url}/v1/models", timeout=300).json()["data"]]
    body = {"model": "minsu", "input": "Hello.", "response_format": "pcm", "max_new_tokens": 12, "seed": 1}
    answer = httpx.post(f"{qwen.url}/v1/audio/speech", json=body, timeout=300)
    assert answer.headers["x-tritone-model"] == "minsu"
    assert len(answer.content) > 500
