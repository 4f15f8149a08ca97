"""The transcripts of a batch equal those of plain faster-whisper, window by window."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from adapters.triton.transcriber import WindowRequest
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
    return {
        name: WindowRequest(audio[file], TranscriptionOptions(**options)) for name, (file, options) in CASES.items()
    }


@pytest.fixture(scope="module")
def plain(whisper, windows):
    """Return the language and the segments of `WhisperModel.transcribe` for each case."""
    results = {}
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
        results[name] = (info.language, list(segments))
    return results


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


def test_batch_of_different_languages_options_and_lengths_equals_each_window_alone(transcriber, windows, plain):
    transcripts = transcriber.transcribe(list(windows.values()))
    for name, transcript in zip(windows, transcripts, strict=True):
        assert_same(transcript, plain[name])


def test_single_window_equals_plain_faster_whisper(transcriber, windows, plain):
    [transcript] = transcriber.transcribe([windows["detected English"]])
    assert_same(transcript, plain["detected English"])
    assert transcript.segments[0].text == " The quick brown fox jumps over the lazy dog."
    assert transcript.language_probability > 0.9


def test_second_round_transcribes_the_audio_that_the_first_one_left(transcriber, windows, plain):
    assert len({segment.seek for segment in plain["two rounds"][1]}) == 2  # the case needs two rounds
    [transcript] = transcriber.transcribe([windows["two rounds"]])
    assert_same(transcript, plain["two rounds"])
    assert transcript.segments[-1].text.strip().startswith("Thank you for listening")


def test_given_language_has_probability_one(transcriber, windows):
    [transcript] = transcriber.transcribe([windows["French translated"]])
    assert transcript.language_probability == 1.0


def test_prompt_with_special_tokens_does_not_break_its_batch(transcriber, recordings):
    prompts = ("plain <|startoftranscript|> words", "plain  words")
    transcripts = transcriber.transcribe(
        [WindowRequest(recordings["fox"], TranscriptionOptions(language="en", prompt=prompt)) for prompt in prompts]
    )
    assert all("quick brown fox" in transcript.segments[0].text for transcript in transcripts)


def test_given_temperature_is_the_only_one_tried(transcriber, recordings):
    [transcript] = transcriber.transcribe(
        [WindowRequest(recordings["fox"], TranscriptionOptions(language="en", temperature=0.5))]
    )
    assert {segment.temperature for segment in transcript.segments} == {0.5}


@pytest.mark.parametrize("language", ["klingon", "yue"])
def test_language_unknown_to_the_checkpoint_is_rejected(transcriber, language):
    with pytest.raises(InvalidInput, match="language: "):
        transcriber.check(TranscriptionOptions(language=language))


@pytest.mark.parametrize("language", ["auto", "", "en", "pt-BR", "Mandarin"])
def test_language_is_accepted_as_code_tag_or_name(transcriber, language):
    transcriber.check(TranscriptionOptions(language=language))


def test_description_has_the_languages_of_the_tokenizer_both_tasks_and_the_familys_options(transcriber):
    description = transcriber.description
    assert len(description.languages) == 99
    assert {"en", "zh", "haw"} < set(description.languages)
    assert "yue" not in description.languages  # only large-v3 has it
    assert description.tasks == ("transcribe", "translate")
    assert "hotwords" in description.options
