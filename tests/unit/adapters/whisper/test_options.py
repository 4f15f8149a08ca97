"""Options of one window, in a batch with windows that have others."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from faster_whisper.audio import pad_or_trim
from faster_whisper.tokenizer import Tokenizer

from adapters.triton.transcriber import WindowRequest
from adapters.whisper.decoding import MAX_NO_SPEECH_PROB
from adapters.whisper.tokens import token_bytes
from adapters.whisper.transcriber import WhisperTranscriber
from tritone.contract import LISTEN_RATE, TranscriptionOptions
from tritone.errors import InvalidInput


@pytest.fixture(scope="module")
def transcripts(transcriber, recordings):
    """Return the transcripts of one batch: plain, with log probabilities, and with candidate languages."""
    options = (
        {"language": "en"},
        {"language": "en", "logprobs": True},
        {"language": "fr,en", "logprobs": True},
        {"language": "ja,de", "draft": True},
    )
    return transcriber.transcribe([WindowRequest(recordings["fox"], TranscriptionOptions(**each)) for each in options])


def test_logprobs_option_adds_log_probability_and_bytes_of_each_token(transcripts):
    plain, scored, *_ = transcripts
    (before,), (segment,) = plain.segments, scored.segments
    assert (before.token_logprobs, before.token_texts) == ((), ())
    assert (segment.tokens, segment.text) == (before.tokens, before.text)
    assert len(segment.token_logprobs) == len(segment.token_texts) == len(segment.tokens)
    assert b"".join(segment.token_texts).decode() == segment.text
    pairs = zip(segment.token_texts, segment.token_logprobs, strict=True)
    assert all((logprob < 0) == bool(text) for text, logprob in pairs)


def test_log_probabilities_equal_those_of_decoding_without_timestamps(transcripts, whisper, recordings):
    segment = transcripts[1].segments[0]
    encoded = whisper.encode(pad_or_trim(whisper.feature_extractor(recordings["fox"])))
    tokenizer = Tokenizer(whisper.hf_tokenizer, True, task="transcribe", language="en")
    prompt = [*tokenizer.sot_sequence, tokenizer.no_timestamps]
    [result] = whisper.model.generate(encoded, [prompt], beam_size=1, return_logits_vocab=True)
    text = [token for token in segment.tokens if token < tokenizer.eot]
    assert result.sequences_ids[0] == text
    logits = [np.array(step).astype(np.float64).reshape(-1)[: tokenizer.eot] for step in result.logits[0]]
    scores = [step[token] - np.logaddexp.reduce(step) for step, token in zip(logits, text, strict=False)]
    assert list(filter(None, segment.token_logprobs)) == pytest.approx(scores, abs=0.1)


def test_language_is_detected_among_the_candidates(transcripts):
    *_, both, neither = transcripts
    assert both.language == "en"
    assert both.language_probability > 0.99
    assert neither.language in ("ja", "de")


@pytest.mark.parametrize("kind", ["noise", "quiet noise", "music"])
def test_audio_without_speech_gives_no_text_or_a_high_no_speech_probability(transcriber, kind):
    time = np.arange(8 * LISTEN_RATE) / LISTEN_RATE
    noise = np.random.default_rng(0).normal(0, 0.05, time.size)
    chord = sum(np.sin(2 * np.pi * hertz * time) for hertz in (220, 277.2, 329.6, 440)) * np.exp(-4 * (2 * time % 1))
    audio = {"noise": noise, "quiet noise": noise / 50, "music": chord / 10}[kind].astype(np.float32)
    [transcript] = transcriber.transcribe([WindowRequest(audio, TranscriptionOptions(language="en"))])
    assert all(segment.no_speech_prob > MAX_NO_SPEECH_PROB for segment in transcript.segments)


def test_hotwords_change_the_text_as_in_faster_whisper(whisper, transcriber, recordings):
    audio, words = recordings["fox"], "Quickley Browne"
    segments, _ = whisper.transcribe(audio, language="en", hotwords=words)
    [transcript] = transcriber.transcribe([WindowRequest(audio, TranscriptionOptions(language="en", hotwords=words))])
    assert [segment.text for segment in transcript.segments] == [segment.text for segment in segments]


def test_very_long_hotwords_and_prompt_leave_room_for_the_text(transcriber, recordings):
    options = TranscriptionOptions(language="en", hotwords="fox, " * 400, prompt="A dog. " * 400)
    [transcript] = transcriber.transcribe([WindowRequest(recordings["fox"], options)])
    assert transcript.segments


def test_character_of_several_tokens_is_split_into_bytes(whisper):
    tokenizer = SimpleNamespace(tokenizer=whisper.hf_tokenizer, eot=50257)
    tokens = whisper.hf_tokenizer.encode(" 🦊 naïve 鱻", add_special_tokens=False).ids
    pieces = [token_bytes(tokenizer, token) for token in tokens]
    assert b"".join(pieces).decode() == " 🦊 naïve 鱻"
    assert token_bytes(tokenizer, 50364) == b""


@pytest.mark.parametrize("languages", ["en,klingon", "en,auto", "en,,fr"])
def test_unknown_candidate_language_is_rejected(transcriber, languages):
    with pytest.raises(InvalidInput, match="language: "):
        transcriber.check(TranscriptionOptions(language=languages))


@pytest.mark.parametrize(
    ("options", "field"), [({"language": "fr"}, "language"), ({"language": "en", "task": "translate"}, "task")]
)
def test_english_checkpoint_rejects_other_languages_and_translation(whisper, options, field):
    model = SimpleNamespace(device="cpu", is_multilingual=False)
    english = SimpleNamespace(hf_tokenizer=whisper.hf_tokenizer, model=model)
    WhisperTranscriber(english).check(TranscriptionOptions(language="auto"))
    description = WhisperTranscriber(english).description
    assert (description.languages, description.tasks) == (("en",), ("transcribe",))
    with pytest.raises(InvalidInput) as caught:
        WhisperTranscriber(english).check(TranscriptionOptions(**options))
    assert caught.value.field == field
