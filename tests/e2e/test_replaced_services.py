"""The pages for users of the earlier services: each command is run against a real server.

The language model behind `transcribe-and-process` is a stand-in.
"""

from __future__ import annotations

import base64
import json
import subprocess
from pathlib import Path

import numpy as np
import openai
import pytest
import soundfile

from tests.e2e.server import Server
from tests.pages import Block, audio, blocks, environment
from tritone.contract import SPEECH_RATE

WHISPER = "docs/migration-whisper.md"
OMNI = "docs/migration-omni.md"
F5 = "docs/migration-f5.md"
ZONOS = "docs/migration-zonos.md"


@pytest.fixture(scope="module")
def folder(client: openai.OpenAI, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the pages' readers, with a recording."""
    folder = tmp_path_factory.mktemp("reader")
    speech = client.audio.speech.create(model="kokoro-82m", voice="af_heart", input="Good morning to all of you.")
    for name in ("speech.mp3", "audio.mp3"):
        (folder / name).write_bytes(speech.content)
    return folder


def run(block: Block, server: Server, folder: Path) -> str:
    done = subprocess.run(
        block.command(server.url), cwd=folder, env=environment(folder), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("block", blocks(WHISPER, "sh"), ids=lambda block: block.code.splitlines()[0][:60])
def test_command_of_the_whisper_page_works(server: Server, folder: Path, block: Block) -> None:
    answer = json.loads(run(block, server, folder))
    if "health" in block.code:
        assert answer == {"status": "ok", "model": "whisper-base", "model_loaded": True}
        return
    assert (answer["success"], answer["language"]) == (True, "en")
    assert "good morning" in answer["text"].lower()
    assert answer.get("result", "It is done.") == "It is done."


@pytest.mark.parametrize("block", blocks(OMNI, "sh"), ids=lambda block: block.code.splitlines()[0][:60])
def test_command_of_the_omni_page_works(server: Server, folder: Path, block: Block) -> None:
    answer = run(block, server, folder)
    if "/transcribe/json" in block.code:
        assert "good morning" in json.loads(answer)["transcription"].lower()
    elif "/srt" in block.code:
        assert "good morning" in (folder / "audio.txt").read_text().lower()
        assert "00:00:0" in (folder / "audio.srt").read_text()
    elif "/async" in block.code:
        assert json.loads(answer)["status"] in ("processing", "completed")
    else:
        assert json.loads(answer)["model_loaded"] is True


# The registration is tested without Triton: tests/unit/gateway/zonos.
ZONOS_BLOCKS = [block for block in blocks(ZONOS, "sh") if "register_speaker" not in block.code]


@pytest.mark.parametrize("block", ZONOS_BLOCKS, ids=lambda block: block.code.splitlines()[0][:60])
def test_command_of_the_zonos_page_works(server: Server, folder: Path, block: Block) -> None:
    answer = run(block, server, folder)
    for name in block.written:
        container, seconds = audio(folder / name)
        assert container == "mp3"
        assert 0.5 < seconds < 10
    if "/health" in block.code:
        assert json.loads(answer) == {
            "status": "ok",
            "model": "kokoro-82m",
            "model_loaded": True,
            "storage": "none",
            "language_model": True,
        }


@pytest.mark.parametrize("block", blocks(F5, "sh"), ids=lambda block: block.code.splitlines()[0][:60])
def test_command_of_the_f5_page_works(omni: Server, references: Path, tmp_path: Path, block: Block) -> None:
    voice = 0.2 * np.sin(np.arange(2 * SPEECH_RATE) * 0.04)
    for place in (references, tmp_path):
        soundfile.write(place / "voice.wav", voice, SPEECH_RATE)
    answer = run(block, omni, tmp_path)
    for name in block.written:
        container, seconds = audio(tmp_path / name)
        assert container == name.rpartition(".")[2]
        assert seconds > 0.5
    if not block.written:
        body = json.loads(answer)
        (tmp_path / "speech.wav").write_bytes(base64.b64decode(body["audio"], validate=True))
        container, seconds = audio(tmp_path / "speech.wav")
        assert (container, body["format"]) == ("wav", "wav")
        assert seconds == pytest.approx(body["duration"], abs=0.01)
        assert body["finish_reason"] == "stop"


def test_f5_answers_openais_clients_too(omni: Server) -> None:
    with openai.OpenAI(base_url=f"{omni.url}/v1", api_key="unused", max_retries=0, timeout=300) as client:
        text = "Always remember, I am mighty and enduring, whatever it is that you may call me. " * 2
        speech = client.audio.speech.create(
            model="f5-tts", voice="basic_en", input=text, response_format="pcm", extra_body={"seed": 1, "nfe_step": 2}
        )
        assert len(speech.content) > 5 * 2 * SPEECH_RATE
        with pytest.raises(openai.BadRequestError, match=r"letters that this model does not speak .안녕"):
            client.audio.speech.create(model="f5-tts", voice="basic_en", input="안녕하세요")
