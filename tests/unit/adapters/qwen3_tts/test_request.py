"""What only Qwen3-TTS asks of a request."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from adapters.qwen3_tts.generation import generation_overrides
from adapters.qwen3_tts.stock.package_runner import PackageRunner
from tests.unit.adapters.qwen3_tts.requests import request
from tritone.errors import InvalidInput


def test_a_designed_voice_must_be_described(voice_design: PackageRunner) -> None:
    with pytest.raises(InvalidInput, match="instruct: this model needs it"):
        voice_design.check(request(instruct=" "))


def test_a_cloned_voice_must_be_heard(voice_clone: PackageRunner) -> None:
    with pytest.raises(InvalidInput, match="ref_audio: this model needs it"):
        voice_clone.check(request(ref_text="Some words."))


def test_the_words_of_a_reference_are_asked_for_with_the_way_around_them(
    voice_clone: PackageRunner, reference: np.ndarray
) -> None:
    with pytest.raises(InvalidInput, match="ref_text: is missing: give the words of ref_audio, or set x_vector_only"):
        voice_clone.check(request(ref_audio=reference))
    assert voice_clone.check(request(ref_audio=reference, x_vector_only=True)).reference_text is None


def test_the_default_speaker_speaks_where_none_is_named(custom_voice: PackageRunner) -> None:
    assert custom_voice.check(request()).speaker == "vivian"
    assert custom_voice.check(request(voice="ryan")).speaker == "ryan"


def test_a_language_is_given_by_the_checkpoints_name_for_it(custom_voice: PackageRunner) -> None:
    assert custom_voice.check(request(language="ko")).language == "korean"
    assert custom_voice.check(request()).language == "auto"


def test_speech_that_does_not_end_is_cut_by_the_length_of_its_text(custom_voice: PackageRunner) -> None:
    short, long = custom_voice.check(request("Hi.")), custom_voice.check(request("Hi. " * 100))
    assert 100 < short.max_tokens < 250 < long.max_tokens
    assert short.limit_reason == "runaway"


def test_a_limit_of_the_caller_goes_before_that(custom_voice: PackageRunner) -> None:
    checked = custom_voice.check(request(max_new_tokens=20))
    assert (checked.max_tokens, checked.limit_reason) == (20, "length")


def test_temperature_zero_means_no_sampling(custom_voice: PackageRunner) -> None:
    options = custom_voice.check(request(temperature=0.0, top_k=5)).options
    assert generation_overrides(options) == {"do_sample": False, "subtalker_dosample": False}


@pytest.mark.parametrize(
    ("asked", "means"),
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
def test_the_first_code_of_a_frame_and_the_others_may_be_drawn_differently(
    custom_voice: PackageRunner, asked: dict[str, float], means: dict[str, float | bool]
) -> None:
    assert generation_overrides(custom_voice.check(request(**asked)).options) == means


def test_what_is_not_given_stays_the_checkpoints(custom_voice: PackageRunner) -> None:
    assert generation_overrides(custom_voice.check(request()).options) == {}
    assert generation_overrides(custom_voice.check(request(top_k=0, top_p=0.5)).options) == {"top_k": 0, "top_p": 0.5}


def test_a_newline_around_the_text_does_not_reach_the_prompt(custom_voice: PackageRunner) -> None:
    assert custom_voice.check(replace(request(), text="\n Hello.\n")).text == "Hello."
