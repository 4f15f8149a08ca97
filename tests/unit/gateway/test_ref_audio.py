"""Reference audio: recordings that are accepted, and the reasons for which others are rejected."""

from __future__ import annotations

import numpy as np
import pytest

from gateway.audio.ref_audio import decode_ref_audio
from tests.unit.gateway.recordings import encoded, tone, wav
from tritone.contract import SPEECH_RATE
from tritone.errors import InvalidInput
from tritone.windowing import Samples


def loud(seconds: float = 2.0) -> Samples:
    """Return a tone that was recorded 12 dB too loud."""
    return np.clip(8 * tone(seconds), -1, 1)


@pytest.mark.parametrize(
    ("container", "codec", "rate", "layout"),
    [
        ("wav", "pcm_s16le", 24_000, "mono"),
        ("wav", "pcm_u8", 8_000, "mono"),
        ("wav", "pcm_f32le", 48_000, "stereo"),
        ("flac", "flac", 44_100, "stereo"),
        ("mp3", "libmp3lame", 44_100, "stereo"),
        ("webm", "libopus", 48_000, "mono"),
        ("ipod", "aac", 22_050, "mono"),
    ],
)
def test_every_container_is_decoded_to_the_contracts_form(container: str, codec: str, rate: int, layout: str) -> None:
    audio = decode_ref_audio(encoded(tone(2.5, rate), container, codec, rate, layout))
    assert (audio.dtype, audio.ndim) == (np.float32, 1)  # type: ignore[comparison-overlap]  # a dtype equals its class
    assert len(audio) / SPEECH_RATE == pytest.approx(2.5, abs=0.1)
    spectrum = np.abs(np.fft.rfft(audio))
    assert spectrum.argmax() * SPEECH_RATE / len(audio) == pytest.approx(440, abs=2)


@pytest.mark.parametrize("layout", ["stereo", "5.1", "7.1"])
def test_equal_channels_are_mixed_within_full_scale(layout: str) -> None:
    voice = 1.9 * tone(2) * np.linspace(0, 1, 2 * 16_000, dtype=np.float32) ** 8
    audio = decode_ref_audio(encoded(voice, "wav", "pcm_s16le", layout=layout))
    assert 0.9 < np.abs(audio).max() <= 1.0


def test_channels_in_opposite_phase_are_a_voice() -> None:
    voice = tone(2, SPEECH_RATE)
    opposite = np.stack([voice, -voice], axis=1)
    audio = decode_ref_audio(wav(opposite.tobytes(), rate=SPEECH_RATE, channels=2))
    assert np.sqrt(np.mean(audio**2)) == pytest.approx(np.sqrt(np.mean(voice**2)), rel=0.02)


@pytest.mark.parametrize(
    ("file", "problem"),
    [
        (encoded(tone(0.9), "wav", "pcm_s16le"), "it is 0.90 s long; give 1 to 30 s of clear speech"),
        (encoded(tone(30.5), "wav", "pcm_s16le"), "it is longer than 30 s; give 1 to 30 s of clear speech"),
        (encoded(tone(2) * 1e-3, "wav", "pcm_s16le"), "it is silent; give 1 to 30 s of clear speech"),
        (wav(bytes(4 * 32_000)), "it is silent; give 1 to 30 s of clear speech"),
        (wav(np.full(32_000, np.nan, np.float32).tobytes()), "it holds NaN or infinite samples"),
        (wav(np.r_[tone(2), np.float32(np.inf)].tobytes()), "it holds NaN or infinite samples"),
        (b"", "it could not be decoded as audio"),
        (b"#EXTM3U\n#EXTINF:9,\n/etc/passwd\n", "it could not be decoded as audio"),
        (np.random.default_rng(0).bytes(20_000), "it could not be decoded as audio"),
    ],
)
def test_a_recording_without_a_usable_voice_is_rejected(file: bytes, problem: str) -> None:
    with pytest.raises(InvalidInput) as rejected:
        decode_ref_audio(file)
    assert rejected.value.field == "ref_audio"
    assert rejected.value.problem.startswith(problem)


@pytest.mark.parametrize("codec", ["pcm_u8", "pcm_s16le", "pcm_s24le", "pcm_s32le", "pcm_f32le"])
def test_a_clipped_recording_is_rejected_in_every_sample_format(codec: str) -> None:
    with pytest.raises(InvalidInput, match=r"ref_audio: 8\d% of it is clipped; record it at a lower level"):
        decode_ref_audio(encoded(loud(), "wav", codec))
    assert len(decode_ref_audio(encoded(tone(2), "wav", codec)))


def test_a_recording_that_was_clipped_before_compression_is_rejected() -> None:
    with pytest.raises(InvalidInput, match="clipped"):
        decode_ref_audio(encoded(loud(), "mp3", "libmp3lame"))


def test_a_header_with_a_smaller_length_does_not_evade_the_limit() -> None:
    file = bytearray(encoded(tone(40), "flac", "flac"))
    # STREAMINFO's count of samples: 36 bits, the last 4 of byte 21 and the four bytes behind.
    file[21:26] = bytes([file[21] & 0xF0, *(16_000).to_bytes(4, "big")])
    with pytest.raises(InvalidInput, match="longer than 30 s"):
        decode_ref_audio(bytes(file))
