"""The volume of speech, and Kokoro-FastAPI's letters of languages."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.audio.volume import Volume
from tests.fake_triton import FakeTriton
from tests.unit.gateway.conftest import FakeSpeech, Gateway, tone
from tests.unit.gateway.test_speech import HELLO, SPEECH, error_of
from tritone.contract import SPEECH_RATE


async def pcm(gateway: Gateway, **fields: Any) -> np.ndarray:
    response = await gateway.http.post(SPEECH, json={**HELLO, "response_format": "pcm", **fields})
    assert response.status_code == 200, response.text
    return np.frombuffer(response.content, "<i2")


@pytest.mark.parametrize("factor", [0.25, 1.0, 2.0])
async def test_volume_multiplies_the_samples(gateway: Gateway, kokoro: FakeSpeech, factor: float) -> None:
    plain = np.concatenate(kokoro.chunks)
    audio = await pcm(gateway, volume_multiplier=factor)
    assert np.abs(audio - plain * factor).max() <= 0.5


async def test_volume_beyond_full_scale_lowers_the_level_and_cuts_no_peak(gateway: Gateway) -> None:
    audio = await pcm(gateway, volume_multiplier=10.0)
    assert np.abs(audio.astype(int)).max() in (32767, 32768)
    # A sine that is cut off has many samples at its limit.
    assert np.mean(np.abs(audio.astype(int)) >= 32767) < 0.05


async def test_volume_is_that_of_every_part_and_leaves_pauses_silent(gateway: Gateway, kokoro: FakeSpeech) -> None:
    audio = await pcm(gateway, input="One. [pause 1s] Two.", volume_multiplier=0.5)
    spoken = np.concatenate(kokoro.chunks) * 0.5
    assert np.abs(audio - np.concatenate([spoken, np.zeros(SPEECH_RATE), spoken])).max() <= 0.5


@given(st.lists(st.integers(0, 400), max_size=6), st.floats(0.01, 10))
def test_blocks_make_no_difference_to_the_volume(sizes: list[int], factor: float) -> None:
    samples = tone(0.1)
    whole, parts = Volume(factor, SPEECH_RATE), Volume(factor, SPEECH_RATE)
    at_once = [whole.write(samples), whole.finish()]
    in_blocks = [*map(parts.write, np.split(samples, np.cumsum(sizes))), parts.finish()]
    assert len(np.concatenate(in_blocks)) == len(samples)
    assert np.abs(np.concatenate(at_once).astype(int) - np.concatenate(in_blocks)).max() <= 1


async def test_a_letter_stands_for_a_language(gateway: Gateway, triton: FakeTriton) -> None:
    await pcm(gateway, lang_code="b")
    await pcm(gateway, lang_code="b", language="en")
    assert [call.parameters.get("language") for call in triton.calls] == ["en", "en"]


@pytest.mark.parametrize(
    ("fields", "param"),
    [({"volume_multiplier": 0}, "volume_multiplier"), ({"lang_code": "q"}, "lang_code")],
)
async def test_bad_values_name_their_field(gateway: Gateway, fields: dict[str, Any], param: str) -> None:
    status, error = await error_of(gateway, **fields)
    assert (status, error["param"]) == (400, param)
