"""WAV files of mono PCM in 16 bits, which are read without FFmpeg."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator

import av
import numpy as np
import pytest

from gateway.audio.decoding import AudioFile
from gateway.audio.file_parts import FilePart
from gateway.audio.wav import plain_frames
from tests.unit.gateway.recordings import RATE, encoded, tone, wav
from tritone.windowing import Samples

SECONDS = 2.3
EXTENSIBLE = 0xFFFE
INTEGERS = bytes.fromhex("0100000000001000800000aa00389b71")
"""The identifier of PCM in an extensible header."""


def int16(pcm: Samples) -> bytes:
    return (pcm * 32767).astype("<i2").tobytes()


def plain(file: bytes) -> Iterator[av.AudioFrame] | None:
    return plain_frames(FilePart(io.BytesIO(file)), range(4_000, 96_001))


def samples(file: bytes) -> list[int]:
    frames = plain(file)
    assert frames is not None
    return [sample for frame in frames for sample in frame.to_ndarray().reshape(-1).tolist()]


def decoded(file: bytes, rate: int) -> Samples:
    return np.concatenate(list(AudioFile(io.BytesIO(file), rate, 60, "file").blocks()))


def extensible(data: bytes, rate: int) -> bytes:
    form = struct.pack("<HHIIHHHHI", EXTENSIBLE, 1, rate, 2 * rate, 2, 16, 22, 16, 4) + INTEGERS
    chunks = b"fmt " + struct.pack("<I", len(form)) + form + b"data" + struct.pack("<I", len(data)) + data
    return b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WAVE" + chunks


def with_chunk(file: bytes, content: bytes) -> bytes:
    """Put a chunk of another kind in front of the samples."""
    before, data, after = file.partition(b"data")
    return before + b"LIST" + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2) + data + after


def with_length(file: bytes, length: int) -> bytes:
    before, data, after = file.partition(b"data")
    return before + data + struct.pack("<I", length) + after[4:]


@pytest.mark.parametrize("rate", [8_000, 16_000, 24_000, 44_100])
@pytest.mark.parametrize("wanted", [16_000, 24_000])
def test_samples_are_those_that_ffmpeg_decodes(rate: int, wanted: int) -> None:
    data = int16(tone(SECONDS, rate))
    by_ffmpeg = extensible(data, rate)
    assert plain(by_ffmpeg) is None
    ours = wav(data, rate, bits=16, kind=1)
    assert plain(ours) is not None
    np.testing.assert_array_equal(decoded(ours, wanted), decoded(by_ffmpeg, wanted))


def test_frames_last_a_second() -> None:
    frames = plain(wav(int16(tone(SECONDS)), bits=16, kind=1))
    assert frames is not None
    assert [(frame.samples, frame.sample_rate) for frame in frames] == [
        (RATE, RATE),
        (RATE, RATE),
        (RATE * 3 // 10, RATE),
    ]


@pytest.mark.parametrize("content", [b"", b"odd", bytes(5000)], ids=["empty", "odd", "long"])
def test_other_chunks_are_skipped(content: bytes) -> None:
    assert samples(with_chunk(wav(b"\1\0\2\0", bits=16, kind=1), content)) == [1, 2]


def test_what_follows_the_samples_is_no_sound() -> None:
    assert samples(wav(b"\1\0\2\0", bits=16, kind=1) + b"LIST\4\0\0\0text") == [1, 2]


@pytest.mark.parametrize("length", [0, 0xFFFF_FFFF, 100])
def test_a_file_with_an_open_end_or_cut_off_is_read_to_its_end(length: int) -> None:
    assert samples(with_length(wav(b"\1\0\2\0\3", bits=16, kind=1), length)) == [1, 2]


@pytest.mark.parametrize(
    "file",
    [
        b"",
        b"RIFF",
        wav(bytes(8), channels=2, bits=16, kind=1),
        wav(bytes(8), bits=24, kind=1),
        wav(bytes(8)),
        wav(bytes(8), rate=1, bits=16, kind=1),
        wav(bytes(8), bits=16, kind=1).replace(b"fmt ", b"form"),
        wav(bytes(8), bits=16, kind=1).replace(b"data", b"dato"),
        wav(bytes(8), bits=16, kind=1).replace(b"WAVE", b"AVI "),
        b"RIFF\0\0\0\0WAVE" + b"none\0\0\0\0" * 1000,
        encoded(tone(1), "flac", "flac"),
    ],
    ids=["empty", "short", "stereo", "24-bit", "float", "slow", "formless", "dataless", "avi", "chunks", "flac"],
)
def test_any_other_file_is_left_to_ffmpeg(file: bytes) -> None:
    assert plain(file) is None
