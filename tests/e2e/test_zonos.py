"""Zonos in a real Triton, on a checkpoint with random weights in the published layout."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
import openai
import pytest
import soundfile

from tests.e2e.direct import DEADLINE
from tests.e2e.server import Server
from tritone.contract import SPEECH_RATE

FRAMES, HOP = 40, 512


def recording() -> str:
    file = io.BytesIO()
    soundfile.write(file, 0.2 * np.sin(np.arange(2 * SPEECH_RATE) * 0.04), SPEECH_RATE, format="wav")
    return base64.b64encode(file.getvalue()).decode()


def test_zonos_speaks_in_the_voice_of_a_recording_with_emotions(omni: Server) -> None:
    with openai.OpenAI(base_url=f"{omni.url}/v1", api_key="unused", max_retries=0, timeout=DEADLINE) as client:

        def speak(**fields: Any) -> tuple[np.ndarray, Any]:
            answer = client.audio.speech.with_raw_response.create(
                model="zonos-v0.1",
                voice="",
                input="Good morning.",
                response_format="wav",
                extra_body={"ref_audio": recording(), "seed": 3, "max_new_tokens": FRAMES, "stream": False, **fields},
            )
            samples, rate = soundfile.read(io.BytesIO(answer.content))
            assert rate == 44_100
            assert HOP < len(samples) <= FRAMES * HOP
            return samples, answer.headers

        happy, headers = speak(emotions={"happiness": 0.8}, speaking_rate=20, ref_text="Not needed.")
        assert headers["x-tritone-model"] == "zonos-v0.1"
        assert headers["x-tritone-ignored"] == "ref_text"
        assert headers["x-finish-reason"] in ("length", "stop")
        again, _ = speak(emotions=[0.8, 0, 0, 0, 0, 0, 0, 0], speaking_rate=20)
        np.testing.assert_allclose(again, happy, atol=2 / 32768)
        angry, _ = speak(emotions={"anger": 0.8}, speaking_rate=20)
        assert not np.array_equal(angry, happy)
        with pytest.raises(openai.BadRequestError, match="'joy' is unknown") as rejected:
            speak(emotions={"joy": 1})
        assert rejected.value.param == "emotions"
