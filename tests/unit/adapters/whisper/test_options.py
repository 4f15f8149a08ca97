"""What a caller may ask for beside the text, in a batch with others who did not."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from faster_whisper.audio import pad_or_trim
from faster_whisper.tokenizer import Tokenizer

from adapters.triton.window import Window
from adapters.whisper.decoding import MAX_NO_SPEECH_PROB
from adapters.whisper.tokens import spelling
from adapters.whisper.transcriber import WhisperTranscriber
from tritone.contract import LISTEN_RATE, TranscriptionOptions
from tritone.errors import InvalidInput


@pytest.fixture(scope="module")
def heard(transcriber, recordings):
    """One batch: plain, with log probabilities, and with candidates of languages."""
    options = (
        {"language": "en"},
        {"language": "en", "logprobs": True},
        {"language": "fr,en", "logprobs": True},
        {"language": "ja,de"},
    )
    return transcriber.transcribe([Window(recordings["fox"], TranscriptionOptions(**each)) for each in options])


def test_each_token_has_its_log_probability_and_its_spelling_where_they_are_asked_for(heard):
    plain, told, *_ = heard
    (before,), (segment,) = plain.segments, told.segments
    assert (before.token_logprobs, before.token_texts) == ((), ())
    assert (segment.tokens, segment.text) == (before.tokens, before.text)
    assert len(segment.token_logprobs) == len(segment.token_texts) == len(segment.tokens)
    assert b"".join(segment.token_texts).decode() == segment.text
    pairs = zip(segment.token_texts, segment.token_logprobs, strict=True)
    assert all((logprob < 0) == bool(text) for text, logprob in pairs)


def test_the_log_probabilities_are_those_of_decoding_the_same_text_without_timestamps(heard, whisper, recordings):
    segment = heard[1].segments[0]
    encoded = whisper.encode(pad_or_trim(whisper.feature_extractor(recordings["fox"])))
    tokenizer = Tokenizer(whisper.hf_tokenizer, True, task="transcribe", language="en")
    prompt = [*tokenizer.sot_sequence, tokenizer.no_timestamps]
    [result] = whisper.model.generate(encoded, [prompt], beam_size=1, return_logits_vocab=True)
    text = [token for token in segment.tokens if token < tokenizer.eot]
    assert result.sequences_ids[0] == text
    logits = [np.array(step).astype(np.float64).reshape(-1)[: tokenizer.eot] for step in result.logits[0]]
    scores = [step[token] - np.logaddexp.reduce(step) for step, token in zip(logits, text, strict=False)]
    assert list(filter(None, segment.token_logprobs)) == pytest.approx(scores, abs=0.1)


def test_a_language_is_detected_among_the_candidates_alone(heard):
    *_, both, neither = heard
    assert both.language == "en"
    assert both.language_probability > 0.99
    assert neither.language in ("ja", "de")


@pytest.mark.parametrize("kind", ["noise", "quiet noise", "music"])
def test_what_is_no_speech_gives_no_text_or_text_that_is_marked(transcriber, kind):
    time = np.arange(8 * LISTEN_RATE) / LISTEN_RATE
    noise = np.random.default_rng(0).normal(0, 0.05, time.size)
    chord = sum(np.sin(2 * np.pi * hertz * time) for hertz in (220, 277.2, 329.6, 440)) * np.exp(-4 * (2 * time % 1))
    audio = {"noise": noise, "quiet noise": noise / 50, "music": chord / 10}[kind].astype(np.float32)
    [transcript] = transcriber.transcribe([Window(audio, TranscriptionOptions(language="en"))])
    assert all(segment.no_speech_prob > MAX_NO_SPEECH_PROB for segment in transcript.segments)


def test_hotwords_lead_the_ear_as_faster_whispers_do(whisper, transcriber, recordings):
    audio, words = recordings["fox"], "Quickley Browne"
    segments, _ = whisper.transcribe(audio, language="en", hotwords=words)
    [transcript] = transcriber.transcribe([Window(audio, TranscriptionOptions(language="en", hotwords=words))])
    assert [segment.text for segment in transcript.segments] == [segment.text for segment in segments]


def test_hotwords_and_a_prompt_beyond_all_measure_leave_room_for_the_text(transcriber, recordings):
    options = TranscriptionOptions(language="en", hotwords="fox, " * 400, prompt="A dog. " * 400)
    [transcript] = transcriber.transcribe([Window(recordings["fox"], options)])
    assert transcript.segments


def test_a_character_in_several_tokens_is_spelt_in_pieces(whisper):
    tokenizer = SimpleNamespace(tokenizer=whisper.hf_tokenizer, eot=50257)
    tokens = whisper.hf_tokenizer.encode(" 🦊 naïve 鱻", add_special_tokens=False).ids
    pieces = [spelling(tokenizer, token) for token in tokens]
    assert b"".join(pieces).decode() == " 🦊 naïve 鱻"
    assert spelling(tokenizer, 50364) == b""


@pytest.mark.parametrize("languages", ["en,klingon", "en,auto", "en,,fr"])
def test_a_candidate_that_is_no_language_is_refused(transcriber, languages):
    with pytest.raises(InvalidInput, match="language: "):
        transcriber.check(TranscriptionOptions(language=languages))


@pytest.mark.parametrize(
    ("options", "field"), [({"language": "fr"}, "language"), ({"language": "en", "task": "translate"}, "task")]
)
def test_a_checkpoint_of_english_alone_refuses_what_it_cannot_do(whisper, options, field):
    model = SimpleNamespace(device="cpu", is_multilingual=False)
    english = SimpleNamespace(hf_tokenizer=whisper.hf_tokenizer, model=model)
    WhisperTranscriber(english).check(TranscriptionOptions(language="auto"))
    with pytest.raises(InvalidInput) as refused:
        WhisperTranscriber(english).check(TranscriptionOptions(**options))
    assert refused.value.field == field
