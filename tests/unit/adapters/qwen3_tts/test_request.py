"""The requirements that only Qwen3-TTS has for a request."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from adapters.qwen3_tts.generation import generation_overrides
from adapters.qwen3_tts.stock.package_runner import PackageRunner
from tests.unit.adapters.qwen3_tts.requests import request
from tritone.errors import InvalidInput


def test_voice_design_requires_instruct(voice_design: PackageRunner) -> None:
    with pytest.raises(InvalidInput, match="instruct: this model needs it"):
        voice_design.check(request(instruct=" "))


def test_emotions_are_part_of_the_instruction(custom_voice: PackageRunner, voice_design: PackageRunner) -> None:
    emotions = '{"anger": 0.9}'
    assert custom_voice.check(request(emotions=emotions)).instruct == "Sound very angry."
    assert custom_voice.check(request(emotions=emotions, language="ko")).instruct == "매우 화난 목소리로 말해 주세요."
    designed = voice_design.check(request(emotions=emotions, instruct="A low voice"))
    assert designed.instruct == "A low voice. Sound very angry."
    with pytest.raises(InvalidInput, match="instruct: this model needs it"):
        voice_design.check(request(emotions=emotions))


def test_voice_clone_requires_ref_audio(voice_clone: PackageRunner) -> None:
    with pytest.raises(InvalidInput, match="ref_audio: this model needs it"):
        voice_clone.check(request(ref_text="Some words."))


def test_voice_clone_requires_ref_text_unless_x_vector_only(voice_clone: PackageRunner, reference: np.ndarray) -> None:
    with pytest.raises(InvalidInput, match="ref_text: is missing: give the words of ref_audio, or set x_vector_only"):
        voice_clone.check(request(ref_audio=reference))
    assert voice_clone.check(request(ref_audio=reference, x_vector_only=True)).reference_text is None


def test_default_speaker_applies_to_requests_without_a_voice(custom_voice: PackageRunner) -> None:
    assert custom_voice.check(request()).speaker == "vivian"
    assert custom_voice.check(request(voice="ryan")).speaker == "ryan"


def test_language_has_the_checkpoints_name(custom_voice: PackageRunner) -> None:
    assert custom_voice.check(request(language="ko")).language == "korean"
    assert custom_voice.check(request()).language == "auto"


def test_runaway_limit_grows_with_the_text(custom_voice: PackageRunner) -> None:
    short, long = custom_voice.check(request("Hi.")), custom_voice.check(request("Hi. " * 100))
    assert 100 < short.max_tokens < 250 < long.max_tokens
    assert short.limit_reason == "runaway"


def test_max_new_tokens_takes_precedence_over_the_runaway_limit(custom_voice: PackageRunner) -> None:
    checked = custom_voice.check(request(max_new_tokens=20))
    assert (checked.max_tokens, checked.limit_reason) == (20, "length")


def test_temperature_zero_turns_sampling_off(custom_voice: PackageRunner) -> None:
    options = custom_voice.check(request(temperature=0.0, top_k=5)).options
    assert generation_overrides(options) == {"do_sample": False, "subtalker_dosample": False}


@pytest.mark.parametrize(
    ("options", "overrides"),
    [
        (
            {"temperature": 0.0, "subtalker_temperature": 0.5, "subtalker_top_p": 0.8},
            {"do_sample": False, "subtalker_dosample": True, "subtalker_temperature": 0.5, "subtalker_top_p": 0.8},
        ),
        (
            {"top_p": 0.8, "subtalker_temperature": 0.0, "subtalker_top_k": 5},
            {"top_p": 0.8, "subtalker_dosample": False},
        ),
        ({"temperature": 0.5, "subtalker_top_k": 0}, {"do_sample": True, "temperature": 0.5, "subtalker_top_k": 0}),
    ],
)
def test_codebook_0_and_the_others_may_have_different_sampling(
    custom_voice: PackageRunner, options: dict[str, float], overrides: dict[str, float | bool]
) -> None:
    assert generation_overrides(custom_voice.check(request(**options)).options) == overrides


def test_options_that_are_not_set_override_nothing(custom_voice: PackageRunner) -> None:
    assert generation_overrides(custom_voice.check(request()).options) == {}
    assert generation_overrides(custom_voice.check(request(top_k=0, top_p=0.5)).options) == {"top_k": 0, "top_p": 0.5}


def test_newlines_around_the_text_are_stripped(custom_voice: PackageRunner) -> None:
    assert custom_voice.check(replace(request(), text="\n Hello.\n")).text == "Hello."
