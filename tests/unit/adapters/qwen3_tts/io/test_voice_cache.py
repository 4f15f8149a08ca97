"""Cloned voices equal the package's, and are encoded once."""

from __future__ import annotations

import gc
import threading
import weakref
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
from adapters.triton.references import Reference

WORDS = "Some words."
WAIT = 300


@pytest.fixture(scope="module")
def weights(model_dir: Path) -> Weights:
    return Weights.load(model_dir / "Qwen3-TTS-12Hz-0.6B-Base")


@pytest.fixture(scope="module")
def decoder(weights: Weights) -> CodecDecoder:
    return CodecDecoder.load(weights)


@pytest.fixture(scope="module")
def encoder(weights: Weights, decoder: CodecDecoder) -> VoiceEncoder:
    assert weights.encoders is not None
    return VoiceEncoder(weights.encoders, decoder)


class FakeEncoder:
    """Makes voices of 400 bytes, and counts them."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, bool]] = []

    def encode(self, ref_audio: np.ndarray, ref_text: str, x_vector_only: bool) -> ClonedVoice:
        self.calls.append((ref_text, x_vector_only))
        return ClonedVoice(torch.full((100,), float(ref_audio[0])), text=ref_text)


def reference_of(number: int, *, x_vector_only: bool = False) -> Reference:
    return Reference.of(np.full(30, number, np.float32), "" if x_vector_only else WORDS, x_vector_only=x_vector_only)


@pytest.mark.parametrize("samples", [48_000, 47_999, 46_081, 46_080])
def test_encoded_voice_equals_the_packages(
    encoder: VoiceEncoder, voice_clone: PackageRunner, reference: np.ndarray, samples: int
) -> None:
    reference = reference[:samples]
    voice = encoder.encode(reference, WORDS, False)
    (stock,) = voice_clone._model.create_voice_clone_prompt(ref_audio=(reference, 24_000), ref_text=WORDS)
    assert torch.equal(voice.x_vector, stock.ref_spk_embedding)
    assert torch.equal(voice.codes, stock.ref_code)
    assert voice.text == WORDS


def test_16_bit_engine_encodes_the_same_codes(model_dir: Path, encoder: VoiceEncoder, reference: np.ndarray) -> None:
    weights = Weights.load(model_dir / "Qwen3-TTS-12Hz-0.6B-Base", dtype=torch.bfloat16)
    assert weights.encoders is not None
    voice = VoiceEncoder(weights.encoders, CodecDecoder.load(weights)).encode(reference, WORDS, False)
    assert voice.x_vector.dtype == torch.bfloat16
    assert torch.equal(voice.codes, encoder.encode(reference, WORDS, False).codes)


def test_x_vector_only_voice_has_no_codes(encoder: VoiceEncoder, reference: np.ndarray) -> None:
    voice = encoder.encode(reference, "", True)
    assert torch.equal(voice.x_vector, encoder.encode(reference, WORDS, False).x_vector)
    assert (voice.codes, voice.text, voice.codec_state) == (None, "", None)
    assert voice.nbytes == voice.x_vector.nbytes


def test_read_only_reference_is_accepted(encoder: VoiceEncoder, reference: np.ndarray) -> None:
    sent = np.frombuffer(reference.tobytes(), np.float32)
    assert torch.equal(encoder.encode(sent, WORDS, False).codes, encoder.encode(reference, WORDS, False).codes)


@pytest.mark.parametrize("seconds", [2, 11])
def test_audio_continues_from_the_reference_without_decoding_it_again(
    encoder: VoiceEncoder, decoder: CodecDecoder, voice_clone: PackageRunner, reference: np.ndarray, seconds: int
) -> None:
    voice = encoder.encode(np.resize(reference, seconds * 24_000), WORDS, False)
    new_codes = torch.randint(0, 64, (40, 16), generator=torch.Generator().manual_seed(1))
    codec = StreamingCodec(decoder, slots=2)
    codec.reset(1, voice.codec_state)
    parts = [codec.decode([1], part[None].numpy()).wait()[0] for part in new_codes.split([2, 4, 8, 12, 14])]
    samples = torch.from_numpy(np.concatenate(parts))

    together = torch.cat([voice.codes, new_codes])
    (wave,), _ = voice_clone._model.model.speech_tokenizer.decode([{"audio_codes": together}])
    expected = torch.from_numpy(wave[int(len(voice.codes) / len(together) * len(wave)) :])
    assert len(expected) - len(samples) in (0, 1)  # the package's cut may round down
    torch.testing.assert_close(samples, expected[-len(samples) :], atol=2e-5, rtol=0)


def test_second_request_for_a_voice_is_not_encoded(encoder: VoiceEncoder, reference: np.ndarray) -> None:
    calls = 0

    class Counted:
        def encode(self, *arguments: object) -> ClonedVoice:
            nonlocal calls
            calls += 1
            return encoder.encode(*arguments)

    cache = VoiceCache(Counted(), max_bytes=1 << 20)
    held = Reference.of(reference, WORDS)
    first = cache.get(held)
    assert cache.get(held) is first
    assert calls == 1
    assert cache.nbytes == first.nbytes > first.codes.nbytes


def test_find_returns_only_cached_voices() -> None:
    cache = VoiceCache(FakeEncoder(), max_bytes=1000)
    first, timbre, second, third = (
        reference_of(1), reference_of(1, x_vector_only=True), reference_of(2), reference_of(3),
    )  # fmt: skip
    for reference in (first, timbre):
        assert cache.find(reference) is None
        voice = cache.get(reference)
        assert cache.find(reference) is voice
    cache.get(second)
    cache.find(timbre)
    cache.get(third)  # two of 400 bytes each fit: the one that was found last stays
    assert cache.find(first) is None
    assert cache.find(timbre) is voice


def test_voice_is_encoded_with_the_words_and_the_kind_of_its_reference() -> None:
    encoder = FakeEncoder()
    cache = VoiceCache(encoder, max_bytes=1 << 20)
    for reference in (Reference.of(np.ones(30, np.float32), " a "), reference_of(1, x_vector_only=True)):
        cache.get(reference)
    assert encoder.calls == [("a", False), ("", True)]


def test_voice_ends_with_its_reference() -> None:
    cache = VoiceCache(FakeEncoder(), max_bytes=1 << 20)
    reference, other = reference_of(1), reference_of(2)
    voice = weakref.ref(cache.get(reference))
    cache.get(other)
    del reference
    gc.collect()
    assert voice() is None
    assert cache.nbytes == 400


def test_simultaneous_requests_wait_for_one_encoding() -> None:
    all_started = threading.Barrier(5)  # the four clients, and the encoder, which returns only when all have called it

    class Slow(FakeEncoder):
        def encode(self, *arguments: object) -> ClonedVoice:
            voice = super().encode(*arguments)
            all_started.wait(WAIT)
            return voice

    encoder = Slow()
    references = {number: reference_of(number) for number in (1, 2, 3)}
    cache = VoiceCache(encoder, max_bytes=1 << 20)

    def request_voice(number: int) -> ClonedVoice:
        if number:
            all_started.wait(WAIT)
        return cache.get(references[1])

    with ThreadPoolExecutor(5) as clients:
        first = clients.submit(request_voice, 0)
        others = [clients.submit(request_voice, number) for number in range(1, 5)]
        assert {id(client.result(WAIT)) for client in [first, *others]} == {id(first.result())}
    assert len(encoder.calls) == 1


def test_encoding_of_a_voice_does_not_block_another() -> None:
    started, finish = threading.Event(), threading.Event()

    class Slow(FakeEncoder):
        def encode(self, ref_audio: np.ndarray, *arguments: object) -> ClonedVoice:
            if ref_audio[0] == 1:
                started.set()
                assert finish.wait(WAIT)
            return super().encode(ref_audio, *arguments)

    references = {number: reference_of(number) for number in (1, 2, 3)}
    cache = VoiceCache(Slow(), max_bytes=1 << 20)
    with ThreadPoolExecutor(1) as client:
        slow = client.submit(cache.get, references[1])
        assert started.wait(WAIT)
        assert cache.get(references[2]).x_vector[0] == 2
        assert not slow.done()
        finish.set()
        assert slow.result(WAIT).x_vector[0] == 1


def test_cached_voice_does_not_wait_for_encodings() -> None:
    both, finish = threading.Barrier(3), threading.Event()

    class Slow(FakeEncoder):
        def encode(self, ref_audio: np.ndarray, *arguments: object) -> ClonedVoice:
            if ref_audio[0] > 1:
                both.wait(WAIT)
                assert finish.wait(WAIT)
            return super().encode(ref_audio, *arguments)

    references = {number: reference_of(number) for number in (1, 2, 3)}
    cache = VoiceCache(Slow(), max_bytes=1 << 20)
    held = cache.get(references[1])
    with ThreadPoolExecutor(2) as clients:
        others = [clients.submit(cache.get, references[number]) for number in (2, 3)]
        both.wait(WAIT)
        assert cache.get(references[1]) is held
        assert cache.find(references[1]) is held
        assert cache.find(references[2]) is None
        finish.set()
        assert [other.result(WAIT).x_vector[0] for other in others] == [2, 3]
    assert cache.nbytes == 3 * held.nbytes


def test_failed_encoding_raises_and_may_be_retried() -> None:
    class Broken(FakeEncoder):
        def encode(self, *arguments: object) -> ClonedVoice:
            voice = super().encode(*arguments)
            if len(self.calls) == 1:
                raise RuntimeError("out of memory")
            return voice

    references = {number: reference_of(number) for number in (1, 2, 3)}
    cache = VoiceCache(Broken(), max_bytes=1 << 20)
    with pytest.raises(RuntimeError, match="out of memory"):
        cache.get(references[1])
    assert cache.nbytes == 0
    assert cache.get(references[1]).text == WORDS


def test_least_recently_used_voices_are_evicted() -> None:
    encoder = FakeEncoder()
    references = {number: reference_of(number) for number in (1, 2, 3)}
    cache = VoiceCache(encoder, max_bytes=1000)
    for number in (1, 2, 1, 3, 1, 2):  # 3 evicts 2, and 2 then evicts 3
        cache.get(references[number])
        assert cache.nbytes <= 1000
    assert len(encoder.calls) == 4
    cache.get(references[1])
    assert len(encoder.calls) == 4


def test_voices_that_grow_evict_others_and_at_last_give_up_their_prefixes() -> None:
    cache = VoiceCache(FakeEncoder(), max_bytes=1000)
    one, other = reference_of(1), reference_of(2)
    cache.get(one)
    voice = cache.get(other)
    assert cache.nbytes == 800
    prefix = voice.shared.prefix("auto", streaming_text=True, tokens=5)
    prefix.keys_values = torch.zeros(100)  # a stream has prefilled it
    assert cache.find(other) is voice
    assert cache.find(one) is None
    assert cache.nbytes == 800
    prefix.keys_values = torch.zeros(1000)
    assert cache.find(other) is voice
    assert cache.nbytes == 400
    assert voice.shared.prefix("auto", streaming_text=True, tokens=5).keys_values is None


def test_voice_larger_than_the_cache_is_returned_and_not_kept() -> None:
    references = {number: reference_of(number) for number in (1, 2, 3)}
    cache = VoiceCache(FakeEncoder(), max_bytes=399)
    assert cache.get(references[1]).nbytes == 400
    assert cache.nbytes == 0
