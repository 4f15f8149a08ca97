"""Encoded speech: each format holds all samples and nothing more."""

from __future__ import annotations

import io
import wave
from pathlib import Path
from typing import Any, get_args

import av
import numpy as np
import psutil
import pytest
import soundfile

from gateway.audio.encoder import decoder_delay, encoder
from gateway.audio.formats import AudioFormat, rates_of
from tests.unit.gateway.sound import decode

FORMATS = get_args(AudioFormat)
DELAY = {"mp3": 1105, "aac": 1024}
"""Samples of silence that an encoder puts first, in a format that has no place to say so."""


def bursts(seconds: float, rate: int) -> np.ndarray:
    """Return silence between two bursts of a tone, at the very start and at the very end, as int16 samples."""
    samples = np.zeros(round(seconds * rate), np.int16)
    burst = (12_000 * np.sin(2 * np.pi * 440 * np.arange(rate // 4) / rate)).astype(np.int16)
    samples[: len(burst)] = samples[-len(burst) :] = burst
    return samples


def encode(samples: np.ndarray, audio_format: Any, rate: int, chunk: int) -> list[bytes]:
    made = encoder(audio_format, rate)
    pieces = [made.write(samples[start : start + chunk]) for start in range(0, len(samples), chunk)]
    return [*pieces, made.finish()]


@pytest.mark.parametrize("rate", [16_000, 24_000, 44_100, 48_000])
@pytest.mark.parametrize("audio_format", FORMATS)
def test_decoded_speech_has_the_length_of_the_samples(audio_format: str, rate: int) -> None:
    samples = bursts(3.21, rate)
    decoded, decoded_rate = decode(b"".join(encode(samples, audio_format, rate, rate // 3)), audio_format)
    delay = DELAY.get(audio_format, 0)
    # A codec with frames of a fixed length fills up the last one.
    assert -0.001 < (len(decoded) - delay) / decoded_rate - 3.21 < 0.05 * max(1, 24_000 / rate)


@pytest.mark.parametrize("sample_rate", [16_000, 48_000])
@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("audio_format", FORMATS)
def test_first_sample_is_heard_after_the_delay_of_the_decoder(audio_format: Any, whole: bool, sample_rate: int) -> None:
    made = encoder(audio_format, 24_000, whole=whole, sample_rate=sample_rate)
    silence = np.zeros(12_000, np.int16)
    content = made.write(np.concatenate([silence, bursts(1.0, 24_000)])) + made.finish()
    decoded, rate = decode(content, audio_format)
    rate = sample_rate if audio_format == "pcm" else rate
    onset = np.flatnonzero(np.abs(decoded) > np.abs(decoded).max() / 4)[0] / rate
    delay = decoder_delay(audio_format, 24_000, whole=whole, sample_rate=sample_rate)
    assert onset == pytest.approx(0.5 + delay, abs=0.003)


@pytest.mark.parametrize("audio_format", FORMATS)
def test_the_last_samples_are_as_loud_as_the_first(audio_format: str) -> None:
    decoded, rate = decode(b"".join(encode(bursts(2.0, 24_000), audio_format, 24_000, 5000)), audio_format)
    delay = DELAY.get(audio_format, 0)

    def energy(start: float, stop: float) -> float:
        return float(np.sum(np.square(decoded[delay + round(start * rate) : delay + round(stop * rate)])))

    assert energy(1.75, 2.0) == pytest.approx(energy(0, 0.25), rel=0.1)
    assert energy(0.3, 1.7) < 0.01 * energy(0, 0.25)
    assert energy(2.02, 3.0) < 0.01 * energy(0, 0.25)


@pytest.mark.parametrize("audio_format", ["wav", "flac", "pcm"])
def test_a_lossless_format_keeps_every_sample(audio_format: str) -> None:
    samples = np.random.default_rng(1).integers(-32768, 32767, 24_321, dtype=np.int16)
    decoded, _ = decode(b"".join(encode(samples, audio_format, 24_000, 1000)), audio_format)
    np.testing.assert_array_equal(np.round(decoded * 32768).astype(np.int16), samples)


@pytest.mark.parametrize("audio_format", FORMATS)
def test_bytes_are_ready_after_every_half_second(audio_format: str) -> None:
    pieces = encode(bursts(4.0, 24_000), audio_format, 24_000, 12_000)
    assert all(pieces[:-1])


@pytest.mark.parametrize("audio_format", FORMATS)
@pytest.mark.parametrize("chunk", [1, 100])
def test_small_chunks_are_collected_without_loss(audio_format: str, chunk: int) -> None:
    samples = bursts(0.6, 24_000)[:4001]
    decoded, rate = decode(b"".join(encode(samples, audio_format, 24_000, chunk)), audio_format)
    assert len(decoded) / rate >= len(samples) / 24_000 - 1e-4


@pytest.mark.parametrize("audio_format", FORMATS)
@pytest.mark.parametrize("whole", [True, False])
def test_a_file_without_samples_is_empty_or_has_no_audio(audio_format: Any, whole: bool) -> None:
    file = encoder(audio_format, 24_000, whole=whole).finish()
    if audio_format == "flac" or (audio_format == "wav" and not whole):
        with av.open(io.BytesIO(file), "r") as container:
            assert sum(frame.samples for frame in container.decode(audio=0)) == 0
            assert container.streams.audio[0].rate == 24_000
    else:
        assert file == b""


def whole(samples: np.ndarray, audio_format: Any) -> bytes:
    made = encoder(audio_format, 24_000, whole=True)
    pieces = [made.write(samples[start : start + 5000]) for start in range(0, len(samples), 5000)]
    return b"".join([*pieces, made.finish()])


@pytest.mark.parametrize("audio_format", ["wav", "flac"])
def test_a_whole_file_has_its_length_and_every_sample(audio_format: str) -> None:
    samples = np.random.default_rng(1).integers(-32768, 32767, 24_321, dtype=np.int16)
    file = whole(samples, audio_format)
    np.testing.assert_array_equal(soundfile.read(io.BytesIO(file), dtype="int16")[0], samples)
    with av.open(io.BytesIO(file)) as container:
        assert container.streams.audio[0].duration == len(samples)


def test_a_whole_wav_declares_its_size() -> None:
    file = whole(bursts(1.0, 24_000), "wav")
    assert len(file) == 44 + 2 * 24_000
    assert int.from_bytes(file[4:8], "little") == len(file) - 8
    assert int.from_bytes(file[40:44], "little") == 2 * 24_000


def test_a_whole_mp3_declares_the_encoders_padding() -> None:
    assert len(decode(whole(bursts(1.0, 24_000), "mp3"), "mp3")[0]) == 24_000


@pytest.mark.parametrize("audio_format", ["opus", "aac", "pcm"])
def test_any_other_whole_file_is_the_streamed_one(audio_format: str) -> None:
    samples = bursts(1.0, 24_000)
    streamed = b"".join(encode(samples, audio_format, 24_000, 5000))
    np.testing.assert_array_equal(
        decode(whole(samples, audio_format), audio_format)[0], decode(streamed, audio_format)[0]
    )


def test_a_wav_ends_with_its_last_sample() -> None:
    assert len(b"".join(encode(bursts(1.0, 24_000), "wav", 24_000, 7000))) == 44 + 2 * 24_000


def test_a_streamed_wav_declares_an_unknown_size() -> None:
    header = encode(bursts(1.0, 24_000), "wav", 24_000, 7000)[0][:44]
    assert (header[4:8], header[40:44]) == (b"\xff" * 4, b"\xff" * 4)


def _with_wave(file: Any) -> np.ndarray:
    with wave.open(file) as reader:
        return np.frombuffer(reader.readframes(reader.getnframes()), "<i2")


def _with_soundfile(file: Any) -> np.ndarray:
    assert soundfile.info(file).frames == 24_321
    if isinstance(file, io.BytesIO):
        file.seek(0)
    samples: np.ndarray = soundfile.read(file, dtype="int16")[0]
    return samples


def _with_pyav(file: Any) -> np.ndarray:
    with av.open(file) as container:
        assert container.duration == pytest.approx(24_321 / 24_000 * 1e6, abs=1000)
        return np.concatenate([frame.to_ndarray().reshape(-1) for frame in container.decode(audio=0)])


@pytest.mark.parametrize("read", [_with_wave, _with_soundfile, _with_pyav])
@pytest.mark.parametrize("from_file", [True, False])
def test_a_wav_reads_to_the_sample_in_every_reader(read: Any, from_file: bool, tmp_path: Path) -> None:
    samples = np.random.default_rng(1).integers(-32768, 32767, 24_321, dtype=np.int16)
    encoded = b"".join(encode(samples, "wav", 24_000, 10_000))
    path = tmp_path / "speech.wav"
    path.write_bytes(encoded)
    np.testing.assert_array_equal(read(str(path) if from_file else io.BytesIO(encoded)), samples)


@pytest.mark.parametrize("audio_format", ["mp3", "opus"])
def test_soundfile_reads_what_it_knows(audio_format: str) -> None:
    encoded = b"".join(encode(bursts(2.0, 24_000), audio_format, 24_000, 12_000))
    samples, rate = soundfile.read(io.BytesIO(encoded))
    assert len(samples) / rate == pytest.approx(2.0, abs=0.11)


@pytest.mark.parametrize("audio_format", FORMATS)
@pytest.mark.parametrize("whole", [False, True])
def test_a_file_has_the_sample_rate_that_was_asked_for(audio_format: Any, whole: bool) -> None:
    samples = bursts(1.5, 24_000)
    for sample_rate in rates_of(audio_format):
        made = encoder(audio_format, 24_000, whole=whole, sample_rate=sample_rate)
        file = b"".join([made.write(samples[:10_000]), made.write(samples[10_000:]), made.finish()])
        if audio_format == "pcm":
            seconds, rate = len(file) / 2 / sample_rate, sample_rate
        else:
            decoded, rate = decode(file, audio_format)
            seconds = len(decoded) / rate
        # Opus is always decoded at 48 kHz.
        assert rate == (48_000 if audio_format == "opus" else sample_rate)
        assert -0.01 < seconds - 1.5 < 0.35, sample_rate


@pytest.mark.parametrize("audio_format", FORMATS)
def test_encoder_starts_no_threads(audio_format: Any) -> None:
    before = psutil.Process().num_threads()
    made = encoder(audio_format, 24_000, sample_rate=16_000)
    made.write(bursts(1.0, 24_000))
    assert psutil.Process().num_threads() == before
