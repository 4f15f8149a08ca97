"""The key of a voice, and the list of those to forget."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from tritone.contract import SpeechOptions
from tritone.errors import InvalidInput, UnknownVoice, from_text
from tritone.forgotten_voices import ForgottenVoices, forget
from tritone.voice_key import audio_digest, voice_key

AUDIO = np.linspace(-1, 1, 100, dtype=np.float32)


def key_of(audio: np.ndarray, text: str = "Words.", *, x_vector_only: bool = False) -> str:
    return voice_key(audio_digest(audio), text, x_vector_only=x_vector_only)


def test_key_is_the_hash_that_the_contract_names() -> None:
    digest = hashlib.sha256(AUDIO.astype("<f4").tobytes()).digest()
    assert key_of(AUDIO, "W\u00f6rter.") == hashlib.sha256(digest + b"\0" + "W\u00f6rter.".encode()).hexdigest()
    assert key_of(AUDIO, x_vector_only=True) == hashlib.sha256(digest + b"\1").hexdigest()


def test_other_audio_words_or_kind_has_another_key() -> None:
    moved = np.frombuffer(b"Word", np.float32)  # the same bytes, divided in another place
    keys = [
        key_of(AUDIO),
        key_of(AUDIO, ""),
        key_of(AUDIO, "Words"),
        key_of(AUDIO, x_vector_only=True),
        key_of(AUDIO[:-1]),
        key_of(AUDIO * 0.5),
        key_of(np.append(AUDIO, moved), "s."),
    ]
    assert len(set(keys)) == len(keys)


def test_key_of_the_timbre_alone_does_not_depend_on_the_words() -> None:
    assert key_of(AUDIO, "a", x_vector_only=True) == key_of(AUDIO, "b", x_vector_only=True)


@pytest.mark.parametrize("key", ["a", "g" * 64, "AB" * 32, "ab" * 33, "../" + "a" * 61, "ab" * 32 + "\n"])
def test_text_in_another_form_is_rejected_as_a_key(key: str) -> None:
    with pytest.raises(InvalidInput, match=r"^voice_key: "):
        SpeechOptions.from_parameters({"voice_key": key})
    assert SpeechOptions.from_parameters({"voice_key": "ab" * 32}).voice_key == "ab" * 32


def test_error_of_an_unknown_voice_survives_the_wire() -> None:
    assert isinstance(from_text(str(UnknownVoice("send ref_audio with it"))), UnknownVoice)


def test_each_reader_gets_the_voices_forgotten_since_it_began(tmp_path: Path) -> None:
    first = ForgottenVoices(tmp_path)
    assert first.new() == []
    forget(tmp_path, "a" * 64)
    second = ForgottenVoices(tmp_path)
    forget(tmp_path, "b" * 64)
    assert first.new() == ["a" * 64, "b" * 64]
    assert second.new() == ["b" * 64]
    assert first.new() == second.new() == []


def test_half_a_line_waits_for_its_end(tmp_path: Path) -> None:
    forgotten = ForgottenVoices(tmp_path)
    with (tmp_path / "forgotten_voices").open("w") as file:
        file.write("a" * 64 + "\n" + "b" * 10)
        file.flush()
        assert forgotten.new() == ["a" * 64]
        assert forgotten.new() == []
        file.write("b" * 54 + "\n")
        file.flush()
        assert forgotten.new() == ["b" * 64]


def test_server_without_a_run_folder_forgets_nothing() -> None:
    assert ForgottenVoices(None).new() == []
