"""The recordings that a model holds: found by key, replaced, expired, forgotten."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from adapters.triton.references import Reference, ReferenceCache
from tests.unit.adapters.clock import ManualClock
from tritone.contract import SPEECH_RATE, SpeechOptions
from tritone.errors import InvalidInput, UnknownVoice
from tritone.forgotten_voices import ForgottenVoices, forget

SECOND = 4 * SPEECH_RATE
"""Bytes."""
Open = Callable[..., ReferenceCache]


def tone(hertz: int) -> np.ndarray:
    return np.sin(np.arange(SPEECH_RATE, dtype=np.float32) * (hertz * 2 * np.pi / SPEECH_RATE)).astype(np.float32)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def open_cache(tmp_path: Path, clock: ManualClock) -> Iterator[Open]:
    opened: list[ReferenceCache] = []

    def make(max_bytes: int = 10 * SECOND) -> ReferenceCache:
        opened.append(ReferenceCache(ForgottenVoices(tmp_path), max_bytes=max_bytes, seconds=60, clock=clock))
        return opened[-1]

    yield make
    for cache in opened:
        cache.close()


def store(cache: ReferenceCache, hertz: int = 150, text: str = "Words.", **options: Any) -> Reference:
    reference = cache.resolve(SpeechOptions(ref_text=text, **options), tone(hertz))
    assert reference
    return reference


def find(cache: ReferenceCache, key: str) -> Reference | None:
    return cache.resolve(SpeechOptions(voice_key=key), None)


def test_key_alone_finds_the_recording_and_its_words(open_cache: Open) -> None:
    cache = open_cache()
    stored = store(cache)
    assert find(cache, stored.key) is stored
    assert (stored.text, stored.x_vector_only) == ("Words.", False)
    np.testing.assert_array_equal(stored.samples, tone(150))
    timbre = store(cache, x_vector_only=True)
    assert (timbre.text, timbre.x_vector_only) == ("", True)
    assert find(cache, timbre.key) is timbre


def test_recording_is_a_copy_of_the_requests_memory(open_cache: Open) -> None:
    samples = tone(150)
    stored = open_cache().resolve(SpeechOptions(ref_text="Words."), samples)
    samples[:] = 0
    assert stored is not None
    assert stored.samples.any()


def test_request_without_a_voice_has_no_reference(open_cache: Open) -> None:
    assert open_cache().resolve(SpeechOptions(), None) is None


def test_key_that_is_not_held_is_an_unknown_voice(open_cache: Open) -> None:
    cache = open_cache()
    stored = store(cache)
    with pytest.raises(UnknownVoice):
        find(cache, "0" * 64)
    with pytest.raises(UnknownVoice):
        find(open_cache(), stored.key)  # another instance


def test_no_voice_can_be_put_under_the_key_of_another(open_cache: Open) -> None:
    cache = open_cache()
    stored = store(cache)
    for hertz, text in ((151, "Words."), (150, "Other words.")):
        with pytest.raises(InvalidInput, match=r"^voice_key: it is not the key of this ref_audio"):
            store(cache, hertz, text, voice_key=stored.key)
    assert find(cache, stored.key) is stored
    assert len(cache) == 1
    assert store(cache, voice_key=stored.key) is stored


def test_words_are_rejected_with_a_key_alone(open_cache: Open) -> None:
    cache = open_cache()
    key = store(cache).key
    words: list[dict[str, Any]] = [{"ref_text": "Words."}, {"x_vector_only": True}]
    for sent in words:
        with pytest.raises(InvalidInput, match=rf"^{next(iter(sent))}: it belongs to ref_audio"):
            cache.resolve(SpeechOptions(voice_key=key, **sent), None)


def test_recording_that_comes_again_is_the_same_object(open_cache: Open) -> None:
    cache = open_cache()
    assert store(cache) is store(cache)


def test_least_recently_used_recordings_are_evicted(open_cache: Open) -> None:
    cache = open_cache(2 * SECOND)
    first, second = store(cache, 150), store(cache, 160)
    find(cache, first.key)
    third = store(cache, 170)
    assert len(cache) == 2
    assert [find(cache, each.key) for each in (first, third)] == [first, third]
    with pytest.raises(UnknownVoice):
        find(cache, second.key)


def test_voice_expires_unless_its_recording_is_sent_again(open_cache: Open, clock: ManualClock) -> None:
    cache = open_cache()
    used, sent = store(cache, 150), store(cache, 160)
    clock.now += 40
    find(cache, used.key)  # use alone does not prolong it: the voice may have been deleted
    store(cache, 160)
    clock.now += 40
    assert find(cache, sent.key) is sent
    with pytest.raises(UnknownVoice):
        find(cache, used.key)


def test_forgotten_voice_is_unknown_in_every_instance_until_it_is_sent_again(open_cache: Open, tmp_path: Path) -> None:
    caches = [open_cache(), open_cache()]
    key, _ = (store(cache).key for cache in caches)
    other = store(caches[0], 160)
    forget(tmp_path, key)
    for cache in caches:
        with pytest.raises(UnknownVoice):
            find(cache, key)
    assert find(caches[0], other.key) is other
    again = store(caches[1])
    assert find(caches[1], key) is again


def test_memory_of_a_forgotten_voice_is_freed_without_a_request(open_cache: Open, tmp_path: Path) -> None:
    cache = open_cache()
    freed = threading.Event()
    stored = store(cache)
    weakref.finalize(stored, freed.set)
    forget(tmp_path, stored.key)
    del stored
    gc.collect()
    assert freed.wait(300)
