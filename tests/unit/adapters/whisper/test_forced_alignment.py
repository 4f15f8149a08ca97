"""The times of words that are known."""

from __future__ import annotations

import numpy as np
import pytest

from adapters.triton.transcriber import WindowRequest
from tritone.contract import TranscriptionOptions
from tritone.errors import InvalidInput

FOX = "The quick brown fox jumps over the lazy dog."


def known(audio, text=FOX, **options) -> WindowRequest:
    return WindowRequest(audio, TranscriptionOptions(known_text=text, **options))


def test_words_are_those_of_the_text_at_the_times_that_a_transcription_finds(transcriber, recordings):
    options = TranscriptionOptions(language="en", word_timestamps=True)
    aligned, heard = transcriber.transcribe([known(recordings["fox"]), WindowRequest(recordings["fox"], options)])
    [segment] = aligned.segments
    assert aligned.language == "en"
    assert segment.text == " " + FOX
    assert [word.text for word in segment.words] == [word.text for word in heard.segments[0].words]
    for word, other in zip(segment.words, heard.segments[0].words, strict=True):
        assert word.start == pytest.approx(other.start, abs=0.25)
        assert word.start <= word.end


def test_each_word_is_heard_in_the_audio_at_its_times(transcriber, recordings):
    fox = recordings["fox"]
    [aligned] = transcriber.transcribe([known(fox)])
    words = aligned.segments[0].words
    for first, text in ((1, "quick brown fox"), (6, "the lazy dog")):
        start, end = (round(seconds * 16_000) for seconds in (words[first].start, words[first + 2].end))
        heard, *_ = transcriber.transcribe([WindowRequest(fox[start:end], TranscriptionOptions(language="en"))])
        assert text in heard.segments[0].text.lower()


def test_text_is_kept_where_the_model_would_hear_another(transcriber, recordings):
    text = "The quick brown vox jumps over  the\nlazy dock"
    [transcript] = transcriber.transcribe([known(recordings["fox"], text, language="en")])
    assert transcript.segments[0].text.split() == text.split()


def test_batch_keeps_the_order_of_known_and_unknown_windows(transcriber, recordings):
    unknown = WindowRequest(recordings["es"], TranscriptionOptions(language="es"))
    transcripts = transcriber.transcribe([unknown, known(recordings["fox"]), unknown])
    assert [transcript.language for transcript in transcripts] == ["es", "en", "es"]


def test_window_of_thirty_seconds_is_aligned(transcriber, recordings):
    audio = np.zeros(30 * 16_000, np.float32)
    audio[-len(recordings["fox"]) :] = recordings["fox"]
    [transcript] = transcriber.transcribe([known(audio, language="en")])
    assert transcript.segments[0].words[-1].start > 27


def test_shortest_window_is_aligned(transcriber, recordings):
    [transcript] = transcriber.transcribe([known(recordings["fox"][:160], language="en")])
    assert [word.text for word in transcript.segments[0].words] == [f" {word}" for word in FOX.split()]


def test_known_text_of_more_tokens_than_the_decoder_takes_is_rejected(transcriber):
    with pytest.raises(InvalidInput, match="known_text: has 1000 tokens; at most 440"):
        transcriber.check(TranscriptionOptions(known_text="word " * 1000))
