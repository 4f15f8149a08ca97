"""What the batch hears is what plain faster-whisper hears, window by window."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from adapters.triton.window import Window
from tritone.contract import TranscriptionOptions
from tritone.errors import InvalidInput

CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "detected English": ("fox", {}),
    "Spanish with words": ("es", {"language": "es", "word_timestamps": True}),
    "detected French": ("fr", {}),
    "French translated": ("fr", {"language": "French", "task": "translate"}),
    "two rounds after a prompt, with words": (
        "news",
        {"language": "en", "prompt": "The 10 o'clock news.", "word_timestamps": True, "logprobs": True},
    ),
    "two rounds": ("news", {"language": "en"}),
    "hotwords": ("news", {"language": "en", "hotwords": "Quarterly, Ms Smythe"}),
    "silence": ("silence", {"language": "en"}),
}
CODES = {"French": "fr"}


@pytest.fixture(scope="module")
def windows(recordings):
    audio = {**recordings, "silence": np.zeros(48_000, np.float32)}
    return {name: Window(audio[file], TranscriptionOptions(**options)) for name, (file, options) in CASES.items()}


@pytest.fixture(scope="module")
def plain(whisper, windows):
    """What `WhisperModel.transcribe` hears: per case the language and the segments."""
    heard = {}
    for name, window in windows.items():
        options = window.options
        segments, info = whisper.transcribe(
            window.audio,
            language=None if options.language == "auto" else CODES.get(options.language, options.language),
            task=options.task,
            initial_prompt=options.prompt or None,
            hotwords=options.hotwords or None,
            word_timestamps=options.word_timestamps,
        )
        heard[name] = (info.language, list(segments))
    return heard


def assert_same(transcript, plain):
    language, segments = plain
    assert transcript.language == language
    assert [list(segment.tokens) for segment in transcript.segments] == [segment.tokens for segment in segments]
    assert [segment.text for segment in transcript.segments] == [segment.text for segment in segments]
    for ours, theirs in zip(transcript.segments, segments, strict=True):
        assert (ours.start, ours.end, ours.temperature) == (theirs.start, theirs.end, theirs.temperature)
        assert ours.compression_ratio == theirs.compression_ratio
        assert len(ours.token_logprobs) in (0, len(ours.tokens))
        assert ours.avg_logprob == pytest.approx(theirs.avg_logprob, abs=1e-3)
        assert ours.no_speech_prob == pytest.approx(theirs.no_speech_prob, abs=1e-3)
        words = [(word.start, word.end, word.text) for word in ours.words]
        assert words == [(word.start, word.end, word.word) for word in theirs.words or []]


def test_one_batch_of_different_languages_options_and_lengths_equals_each_window_alone(transcriber, windows, plain):
    transcripts = transcriber.transcribe(list(windows.values()))
    for name, transcript in zip(windows, transcripts, strict=True):
        assert_same(transcript, plain[name])


def test_a_window_alone_equals_plain_faster_whisper(transcriber, windows, plain):
    [transcript] = transcriber.transcribe([windows["detected English"]])
    assert_same(transcript, plain["detected English"])
    assert transcript.segments[0].text == " The quick brown fox jumps over the lazy dog."
    assert transcript.language_probability > 0.9


def test_what_the_first_round_leaves_is_heard_in_a_second(whisper, plain):
    assert len({segment.seek for segment in plain["two rounds"][1]}) == 2
    assert plain["two rounds"][1][-1].text.strip().startswith("Thank you for listening")


def test_a_given_language_has_probability_one(transcriber, windows):
    [transcript] = transcriber.transcribe([windows["French translated"]])
    assert transcript.language_probability == 1.0


def test_a_prompt_that_spells_special_tokens_does_not_break_its_neighbours(transcriber, recordings):
    prompts = ("plain <|startoftranscript|> words", "plain  words")
    transcripts = transcriber.transcribe(
        [Window(recordings["fox"], TranscriptionOptions(language="en", prompt=prompt)) for prompt in prompts]
    )
    assert all("quick brown fox" in transcript.segments[0].text for transcript in transcripts)


def test_a_temperature_of_the_caller_is_the_only_one_tried(transcriber, recordings):
    [transcript] = transcriber.transcribe(
        [Window(recordings["fox"], TranscriptionOptions(language="en", temperature=0.5))]
    )
    assert {segment.temperature for segment in transcript.segments} == {0.5}


@pytest.mark.parametrize("language", ["klingon", "", "yue"])
def test_a_language_that_the_checkpoint_does_not_know_is_refused(transcriber, language):
    with pytest.raises(InvalidInput, match="language: "):
        transcriber.check(TranscriptionOptions(language=language))


@pytest.mark.parametrize("language", ["auto", "en", "pt-BR", "Mandarin"])
def test_a_language_is_taken_by_code_tag_or_name(transcriber, language):
    transcriber.check(TranscriptionOptions(language=language))
