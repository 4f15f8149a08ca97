"""Cloned voices are the package's own, and are computed once."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

from adapters.qwen3_tts.inflight.codec.decoder import CodecDecoder
from adapters.qwen3_tts.inflight.codec.streaming import StreamingCodec
from adapters.qwen3_tts.inflight.io.voice_cache import ClonedVoice, VoiceCache, VoiceEncoder
from adapters.qwen3_tts.inflight.model.weights import Weights
from adapters.qwen3_tts.stock.package_runner import PackageRunner

WORDS = "Some words."
WAIT = 20


@pytest.fixture(scope="module")
def weights(model_dir: Path) -> Weights:
    return Weights.load(model_dir / "Qwen3-TTS-12Hz-0.6B-Base")


@pytest.fixture(scope="module")
def decoder(weights: Weights) -> CodecDecoder:
    return CodecDecoder(weights.speech_tokenizer.decoder)


@pytest.fixture(scope="module")
def encoder(weights: Weights, decoder: CodecDecoder) -> VoiceEncoder:
    return VoiceEncoder(weights, decoder)


class FakeEncoder:
    """Makes voices of 400 bytes, and counts them."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, bool]] = []

    def encode(self, ref_audio: np.ndarray, ref_text: str, x_vector_only: bool) -> ClonedVoice:
        self.calls.append((ref_text, x_vector_only))
        return ClonedVoice(torch.full((100,), float(ref_audio[0])), text=ref_text)


def recording(number: int) -> np.ndarray:
    return np.full(30, number, np.float32)


@pytest.mark.parametrize("samples", [48_000, 47_999, 46_081, 46_080])
def test_a_voice_is_what_the_package_makes_of_the_recording(
    encoder: VoiceEncoder, voice_clone: PackageRunner, reference: np.ndarray, samples: int
) -> None:
    reference = reference[:samples]
    voice = encoder.encode(reference, WORDS, False)
    (stock,) = voice_clone._model.create_voice_clone_prompt(ref_audio=(reference, 24_000), ref_text=WORDS)
    assert torch.equal(voice.x_vector, stock.ref_spk_embedding)
    assert torch.equal(voice.codes, stock.ref_code)
    assert voice.text == WORDS


def test_an_engine_of_16_bits_hears_the_same_codes(
    model_dir: Path, encoder: VoiceEncoder, reference: np.ndarray
) -> None:
    weights = Weights.load(model_dir / "Qwen3-TTS-12Hz-0.6B-Base", dtype=torch.bfloat16)
    voice = VoiceEncoder(weights, CodecDecoder.take_from(weights)).encode(reference, WORDS, False)
    assert voice.x_vector.dtype == torch.bfloat16
    assert torch.equal(voice.codes, encoder.encode(reference, WORDS, False).codes)


def test_a_voice_by_its_colour_alone_has_no_codes(encoder: VoiceEncoder, reference: np.ndarray) -> None:
    voice = encoder.encode(reference, "", True)
    assert torch.equal(voice.x_vector, encoder.encode(reference, WORDS, False).x_vector)
    assert (voice.codes, voice.text, voice.codec_state) == (None, "", None)
    assert voice.nbytes == voice.x_vector.nbytes


def test_a_recording_that_may_not_be_written_to_is_read_alone(encoder: VoiceEncoder, reference: np.ndarray) -> None:
    sent = np.frombuffer(reference.tobytes(), np.float32)
    assert torch.equal(encoder.encode(sent, WORDS, False).codes, encoder.encode(reference, WORDS, False).codes)


@pytest.mark.parametrize("seconds", [2, 11])
def test_speech_goes_on_from_the_recording_without_its_being_decoded_again(
    encoder: VoiceEncoder, decoder: CodecDecoder, voice_clone: PackageRunner, reference: np.ndarray, seconds: int
) -> None:
    voice = encoder.encode(np.resize(reference, seconds * 24_000), WORDS, False)
    spoken = torch.randint(0, 64, (40, 16), generator=torch.Generator().manual_seed(1))
    codec = StreamingCodec(decoder, slots=2)
    codec.reset(1, voice.codec_state)
    parts = [codec.decode([1], part[None].numpy()).wait()[0] for part in spoken.split([2, 4, 8, 12, 14])]
    samples = torch.from_numpy(np.concatenate(parts))

    together = torch.cat([voice.codes, spoken])
    (wave,), _ = voice_clone._model.model.speech_tokenizer.decode([{"audio_codes": together}])
    expected = torch.from_numpy(wave[int(len(voice.codes) / len(together) * len(wave)) :])
    assert len(expected) - len(samples) in (0, 1)  # the package's cut may round down
    torch.testing.assert_close(samples, expected[-len(samples) :], atol=2e-5, rtol=0)


def test_the_second_request_for_a_voice_pays_nothing(encoder: VoiceEncoder, reference: np.ndarray) -> None:
    calls = 0

    class Counted:
        def encode(self, *arguments: object) -> ClonedVoice:
            nonlocal calls
            calls += 1
            return encoder.encode(*arguments)

    cache = VoiceCache(Counted(), max_bytes=1 << 20)
    first = cache.get(reference, WORDS, False)
    assert cache.get(reference.copy(), WORDS, False) is first
    assert calls == 1
    assert cache.nbytes == first.nbytes > first.codes.nbytes


def test_only_a_voice_that_is_held_is_found() -> None:
    cache = VoiceCache(FakeEncoder(), max_bytes=1000)
    for by_colour in (False, True):
        assert cache.find(recording(1), WORDS, by_colour) is None
        voice = cache.get(recording(1), WORDS, by_colour)
        assert cache.find(recording(1), WORDS, by_colour) is voice
    cache.get(recording(2), WORDS, False)
    cache.find(recording(1), "whatever was said", True)
    cache.get(recording(3), WORDS, False)  # of 400 bytes each, two are held: what was found last stays
    assert cache.find(recording(1), WORDS, False) is None
    assert cache.find(recording(1), WORDS, True) is voice


def test_another_recording_other_words_or_another_kind_is_another_voice() -> None:
    encoder = FakeEncoder()
    cache = VoiceCache(encoder, max_bytes=1 << 20)
    audio = recording(1)
    voices = [
        cache.get(audio, "a", False),
        cache.get(audio, "b", False),
        cache.get(audio, "a", True),
        cache.get(audio[:-1], "a", False),
        cache.get(audio + 1, "a", False),
        cache.get(audio, "words", False),
        cache.get(np.append(audio, np.frombuffer(b"word", np.float32)), "s", False),  # the same bytes in a row
    ]
    assert len({id(voice) for voice in voices}) == len(encoder.calls) == 7


def test_where_the_colour_alone_is_taken_the_words_do_not_matter() -> None:
    encoder = FakeEncoder()
    cache = VoiceCache(encoder, max_bytes=1 << 20)
    assert cache.get(recording(1), "a", True) is cache.get(recording(1), "b", True)
    assert encoder.calls == [("", True)]


def test_requests_that_come_together_wait_for_one_computation() -> None:
    asking = threading.Barrier(5)  # the four callers, and the encoder: it ends only when all have asked

    class Slow(FakeEncoder):
        def encode(self, *arguments: object) -> ClonedVoice:
            voice = super().encode(*arguments)
            asking.wait(WAIT)
            return voice

    encoder = Slow()
    cache = VoiceCache(encoder, max_bytes=1 << 20)

    def ask(number: int) -> ClonedVoice:
        if number:
            asking.wait(WAIT)
        return cache.get(recording(1), WORDS, False)

    with ThreadPoolExecutor(5) as callers:
        first = callers.submit(ask, 0)
        others = [callers.submit(ask, number) for number in range(1, 5)]
        assert {id(caller.result(WAIT)) for caller in [first, *others]} == {id(first.result())}
    assert len(encoder.calls) == 1


def test_a_voice_in_work_holds_up_no_other() -> None:
    started, finish = threading.Event(), threading.Event()

    class Slow(FakeEncoder):
        def encode(self, ref_audio: np.ndarray, *arguments: object) -> ClonedVoice:
            if ref_audio[0] == 1:
                started.set()
                assert finish.wait(WAIT)
            return super().encode(ref_audio, *arguments)

    cache = VoiceCache(Slow(), max_bytes=1 << 20)
    with ThreadPoolExecutor(1) as caller:
        slow = caller.submit(cache.get, recording(1), WORDS, False)
        assert started.wait(WAIT)
        assert cache.get(recording(2), WORDS, False).x_vector[0] == 2
        assert not slow.done()
        finish.set()
        assert slow.result(WAIT).x_vector[0] == 1


def test_a_voice_that_is_held_passes_by_those_in_work() -> None:
    both, finish = threading.Barrier(3), threading.Event()

    class Slow(FakeEncoder):
        def encode(self, ref_audio: np.ndarray, *arguments: object) -> ClonedVoice:
            if ref_audio[0] > 1:
                both.wait(WAIT)
                assert finish.wait(WAIT)
            return super().encode(ref_audio, *arguments)

    cache = VoiceCache(Slow(), max_bytes=1 << 20)
    held = cache.get(recording(1), WORDS, False)
    with ThreadPoolExecutor(2) as callers:
        others = [callers.submit(cache.get, recording(number), WORDS, False) for number in (2, 3)]
        both.wait(WAIT)
        assert cache.get(recording(1), WORDS, False) is held
        assert cache.find(recording(1), WORDS, False) is held
        assert cache.find(recording(2), WORDS, False) is None
        finish.set()
        assert [other.result(WAIT).x_vector[0] for other in others] == [2, 3]
    assert cache.nbytes == 3 * held.nbytes


def test_what_failed_is_told_and_may_be_tried_again() -> None:
    class Broken(FakeEncoder):
        def encode(self, *arguments: object) -> ClonedVoice:
            voice = super().encode(*arguments)
            if len(self.calls) == 1:
                raise RuntimeError("out of memory")
            return voice

    cache = VoiceCache(Broken(), max_bytes=1 << 20)
    with pytest.raises(RuntimeError, match="out of memory"):
        cache.get(recording(1), WORDS, False)
    assert cache.nbytes == 0
    assert cache.get(recording(1), WORDS, False).text == WORDS


def test_the_voices_used_last_are_kept_as_far_as_there_is_room() -> None:
    encoder = FakeEncoder()
    cache = VoiceCache(encoder, max_bytes=1000)
    for number in (1, 2, 1, 3, 1, 2):  # 3 drives 2 out, and 2 then 3
        cache.get(recording(number), WORDS, False)
        assert cache.nbytes <= 1000
    assert len(encoder.calls) == 4
    cache.get(recording(1), WORDS, False)
    assert len(encoder.calls) == 4


def test_a_voice_larger_than_the_cache_is_given_and_not_kept() -> None:
    cache = VoiceCache(FakeEncoder(), max_bytes=399)
    assert cache.get(recording(1), WORDS, False).nbytes == 400
    assert cache.nbytes == 0
