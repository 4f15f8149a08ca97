"""Short clips, which the encoder sees in less than 30 s, and drafts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from adapters.triton.transcriber import WindowRequest
from adapters.whisper.decoding import DecodeAttempt
from adapters.whisper.model import TritonPythonModel
from adapters.whisper.transcriber import WhisperTranscriber
from adapters.whisper.window_state import WindowState
from tests.unit.adapters.whisper.conftest import instance_of
from tritone.contract import LISTEN_RATE, TranscriptionOptions
from tritone.transcript import Transcript

WHOLE, SHORT = 1500, 750
"""The encoder's positions for 30 s and for 15 s."""


class Watched(WhisperTranscriber):
    """Notes how much the encoder sees."""

    def __init__(self, *args, **options) -> None:
        super().__init__(*args, **options)
        self.seen: list[int] = []

    def _encode(self, states: Sequence[WindowState]) -> None:
        super()._encode(states)
        self.seen += [len(state.encoded) for state in states]


@pytest.fixture
def watched(whisper) -> Watched:
    return Watched(whisper)


def clip(audio, **options) -> WindowRequest:
    return WindowRequest(audio, TranscriptionOptions(clip=True, **options))


def text(transcript: Transcript) -> str:
    return "".join(segment.text for segment in transcript.segments)


@pytest.mark.parametrize(("name", "language"), [("fox", "en"), ("es", "es"), ("fr", "fr")])
def test_clip_has_the_same_words_at_the_same_times(watched, recordings, name, language):
    short = clip(recordings[name], language=language, word_timestamps=True, logprobs=True)
    whole = replace(short, options=replace(short.options, clip=False))
    found, expected = watched.transcribe([short, whole])
    assert watched.seen == [SHORT, WHOLE]
    assert text(found) == text(expected)
    words, others = ([word for segment in side.segments for word in segment.words] for side in (found, expected))
    assert [word.text for word in words] == [word.text for word in others]
    assert [word.start for word in words] == pytest.approx([word.start for word in others], abs=0.25)
    assert all(len(segment.token_logprobs) == len(segment.tokens) for segment in found.segments)


def test_longer_clip_is_seen_with_the_second_after_it(watched, recordings):
    audio = np.concatenate([recordings["fox"], np.zeros(18 * LISTEN_RATE - len(recordings["fox"]), np.float32)])
    [transcript] = watched.transcribe([clip(audio, language="en")])
    assert watched.seen == [1000]
    assert "quick brown fox" in text(transcript)


@pytest.mark.parametrize("language", ["auto", "en,es"])
def test_language_is_detected_in_the_whole_window(watched, recordings, language):
    [transcript] = watched.transcribe([clip(recordings["es"], language=language, draft=True)])
    assert watched.seen == [WHOLE]
    assert transcript.language == "es"


@pytest.mark.parametrize("options", [{"clip": False}, {"task": "translate"}], ids=["cut from more", "translated"])
def test_other_windows_are_seen_whole(watched, recordings, options):
    window = clip(recordings["fr"], language="fr", draft=True)
    watched.transcribe([replace(window, options=replace(window.options, **options))])
    assert set(watched.seen) == {WHOLE}


def test_clip_of_almost_a_window_is_decoded_once_and_whole(watched, recordings):
    watched.transcribe([clip(np.resize(recordings["fox"], 29 * LISTEN_RATE), language="en", draft=True)])
    assert watched.seen[0] == WHOLE


def test_clip_without_speech_is_decoded_again_in_the_whole_window(watched):
    noise = np.random.default_rng(0).normal(0, 0.001, 5 * LISTEN_RATE).astype(np.float32)
    found, expected = (
        watched.transcribe([WindowRequest(noise, TranscriptionOptions(language="en", clip=short))])[0]
        for short in (True, False)
    )
    assert watched.seen[:2] == [SHORT, WHOLE]
    assert found == expected


GOOD = DecodeAttempt([1, 2], 0.0, avg_logprob=-0.3, compression_ratio=1.2, no_speech_prob=0.1, closed=True)


@pytest.mark.parametrize(
    "change",
    [{"avg_logprob": -1.2}, {"compression_ratio": 2.6}, {"no_speech_prob": 0.7}],
    ids=["improbable", "repetitive", "no speech"],
)
def test_result_that_fails_a_check_counts_for_nothing_in_a_short_window(whisper, recordings, change):
    assert GOOD.sure
    failed = replace(GOOD, **change)
    assert not failed.sure
    state = WindowState(whisper, clip(recordings["fox"], language="en"), shorten=True)
    assert state.features.shape[1] == 2 * SHORT
    state.encoded = np.zeros((SHORT, 512), np.float32)
    task = state.task()
    assert list(task.temperatures) == [0.0]
    task.attempts.append(failed)
    state.consume(task)
    assert not state.finished
    assert not state.transcript().segments
    assert state.features.shape[1] == 2 * WHOLE
    assert len(state.task().temperatures) > 1


def test_clips_and_whole_windows_share_a_batch(watched, recordings):
    windows = [
        clip(recordings["fox"], language="en"),
        WindowRequest(recordings["news"], TranscriptionOptions(language="en")),
        clip(recordings["es"]),
        clip(recordings["fr"], language="fr"),
        clip(recordings["fox"], language="en", prompt="A dog."),
    ]
    fox, news, spanish, french, prompted = watched.transcribe(windows)
    assert watched.seen[: len(windows)] == [SHORT, WHOLE, WHOLE, SHORT, SHORT]
    for transcript, window in ((fox, windows[0]), (spanish, windows[2]), (french, windows[3])):
        [alone] = watched.transcribe([window])
        assert text(transcript) == text(alone)
    assert "quick brown fox" in text(prompted)
    assert text(news).rstrip(" .").endswith("for listening")


@pytest.mark.parametrize(("setting", "seen"), [("", SHORT), ("on", SHORT), ("off", WHOLE)])
def test_setting_turns_short_windows_off(folder, whisper, recordings, monkeypatch, setting, seen):
    monkeypatch.setenv("WHISPER_SHORT_CLIPS", setting)
    lengths: list[int] = []
    encode = WhisperTranscriber._encode

    def watch(self, states):
        encode(self, states)
        lengths.extend(len(state.encoded) for state in states)

    monkeypatch.setattr(WhisperTranscriber, "_encode", watch)
    transcriber = TritonPythonModel(lambda *_: whisper, lambda _: None).load(instance_of(folder))
    transcriber.transcribe([clip(recordings["fox"], language="en", draft=True)])
    assert lengths == [seen]


def test_gpu_sees_every_window_whole(whisper):
    model = SimpleNamespace(device="cuda", is_multilingual=True)
    transcriber = WhisperTranscriber(SimpleNamespace(hf_tokenizer=whisper.hf_tokenizer, model=model))
    assert not transcriber._short_clips


def test_draft_is_one_attempt_without_a_beam(whisper, watched, recordings):
    for shorten in (True, False):
        state = WindowState(whisper, clip(recordings["fox"], language="en", draft=True), shorten=shorten)
        state.encoded = np.zeros((SHORT, 512), np.float32)
        task = state.task()
        assert (list(task.temperatures), task.beam_size) == ([0.0], 1)
    [transcript] = watched.transcribe([clip(recordings["fox"], language="en", draft=True)])
    assert "quick brown fox" in text(transcript)
