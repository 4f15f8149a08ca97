"""Voices that clients register: people's recordings, the real Whisper and speaker network, a clone model in Triton."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import openai
import pytest

from tests.conftest import MODEL_DIR
from tests.e2e.server import Server
from tests.pages import audio, blocks, environment

PAGE = "docs/voices.md"
RECORDINGS = MODEL_DIR / "test-recordings"
CONSENT, SAMPLE = (RECORDINGS / f"librivox/sense_and_sensibility_01_austen_64kb-{n}.wav" for n in ("0920", "0890"))
OTHER = RECORDINGS / "f5-tts/basic_ref_en.wav"
CLONE = "qwen3-tts-0.6b-clone"
SHORT = {"max_new_tokens": 12}


@pytest.fixture
def client_of_qwen(qwen: Server) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{qwen.url}/v1", api_key="unused", max_retries=0, timeout=300) as client:
        yield client


def test_commands_of_the_page_work_one_after_the_other(qwen: Server, tmp_path: Path) -> None:
    (tmp_path / "consent.wav").symlink_to(CONSENT)
    (tmp_path / "sample.wav").symlink_to(SAMPLE)
    # Random weights do not know when a designed voice has ended.
    found = [block for block in blocks(PAGE, "sh", "python") if 'type="prompt"' not in block.code]
    assert len(found) == 5
    for block in found:
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
            assert audio(tmp_path / name)[1] > 0


def test_a_person_is_registered_spoken_listed_and_deleted(qwen: Server, client_of_qwen: openai.OpenAI) -> None:
    client = client_of_qwen
    consent = client.audio.voice_consents.create(name="Reader", language="en-US", recording=CONSENT)
    with pytest.raises(openai.BadRequestError, match="its speaker is not that of audio_sample"):
        client.audio.voices.create(name="Another", audio_sample=OTHER, consent=consent.id)
    voice = client.audio.voices.create(name="Reader", audio_sample=SAMPLE, consent=consent.id)
    assert voice.model_extra is not None
    assert (voice.model_extra["language"], len(voice.model_extra["ref_text"].split()) > 5) == ("en", True)
    spoken = [
        client.audio.speech.create(
            model=CLONE, voice=named, input="Hello.", response_format="pcm", extra_body={"seed": 1, **SHORT}
        ).content
        for named in ("reader", voice.id)
    ]
    assert len(spoken[0]) > 1000
    assert len(spoken[0]) == len(spoken[1])
    voices = httpx.get(f"{qwen.url}/v1/audio/voices", timeout=300).json()
    assert [each["id"] for each in voices["data"]] == [voice.id]
    client.audio.voices.delete(voice.id)
    client.audio.voice_consents.delete(consent.id)
    with pytest.raises(openai.NotFoundError):
        client.audio.speech.create(model=CLONE, voice=voice.id, input="Hello.")
    left = [path for path in qwen.log.with_name("voices").rglob("*") if path.is_file()]
    assert not [path for path in left if voice.id in str(path) or consent.id in str(path)]
