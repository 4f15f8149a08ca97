"""Files whose audio does not begin at their start, or does not end at their first end."""

from __future__ import annotations

import io
from typing import Any, Final

import av
import numpy as np
import pytest

from gateway.audio.decoding import AudioFile
from gateway.audio.file_parts import starts
from tests.unit.gateway.recordings import RATE, encoded, tone, wav
from tritone.errors import InvalidInput
from tritone.windowing import Samples

FORMS: Final = {
    "wav": ("wav", "pcm_s16le"),
    "flac": ("flac", "flac"),
    "mp3": ("mp3", "libmp3lame"),
    "aiff": ("aiff", "pcm_s16be"),
    "aac": ("adts", "aac"),
    "m4a": ("ipod", "aac"),
    "opus": ("ogg", "libopus"),
    "webm": ("webm", "libopus"),
    "caf": ("caf", "pcm_s16le"),
    "wavpack": ("wv", "wavpack"),
}
NOISE: Final = np.random.default_rng(1).bytes(777)


def tag(text: bytes, size: int | None = None) -> bytes:
    """Return an ID3v2.3 tag with a title; `size` is what its header says."""
    frame = b"TIT2" + len(text).to_bytes(4, "big") + bytes(2) + text
    length = len(frame) if size is None else size
    return b"ID3\x03\0\0" + bytes(length >> shift & 0x7F for shift in (21, 14, 7, 0)) + frame


BEFORE: Final = {
    "a tag": tag(b"\0hello"),
    "two tags": tag(b"\0hello") * 2,
    "a tag with a picture": tag(bytes(600_000)),
    "a tag in broken UTF-16": tag(b"\x01\xff\xfe\x00\xd8a"),
    "a tag in broken UTF-8": tag(b"\x03\xc3\x28\xa0\xa1"),
    "noise": NOISE,
    "zeros": bytes(1000),
    "an HTTP header": b"HTTP/1.1 200 OK\r\nContent-Type: audio/x\r\n\r\n",
}


def recording(form: str, seconds: float = 2.0, layout: str = "mono") -> bytes:
    container, codec = FORMS[form]
    return encoded(tone(seconds, 48_000), container, codec, 48_000, layout)


def decoded(file: bytes) -> Samples:
    return np.concatenate(list(AudioFile(io.BytesIO(file), RATE, 60, "file").blocks()))


@pytest.mark.parametrize("form", FORMS)
def test_a_file_that_begins_with_its_audio_is_not_searched(form: str) -> None:
    class Watched(io.BytesIO):
        most = 0

        def read(self, size: int | None = -1, /) -> bytes:
            self.most = max(self.most, len(data := super().read(size)))
            return data

    file = Watched(recording(form))
    assert next(starts(file)) == 0
    assert file.most <= 16


def test_another_codec_in_place_of_the_pcm_of_a_wav_file_is_found() -> None:
    ac3 = encoded(tone(2.0, 48_000), "ac3", "ac3", 48_000)
    samples = decoded(wav(ac3, 48_000, channels=2, bits=16, kind=1))
    assert len(samples) / RATE == pytest.approx(2.0, abs=0.1)
    assert np.argmax(np.abs(np.fft.rfft(samples[:RATE]))) == pytest.approx(440, abs=1)


@pytest.mark.parametrize("before", BEFORE.values(), ids=BEFORE)
@pytest.mark.parametrize("form", FORMS)
def test_audio_behind_a_tag_or_junk_is_decoded(form: str, before: bytes) -> None:
    pcm = decoded(before + recording(form))
    assert len(pcm) / RATE == pytest.approx(2, abs=0.05)
    assert np.abs(np.fft.rfft(pcm)).argmax() * RATE / len(pcm) == pytest.approx(440, abs=2)


@pytest.mark.parametrize("form", set(FORMS) - {"mp3"})  # FFmpeg takes some noise for frames of MP3
def test_junk_behind_the_audio_is_left_out(form: str) -> None:
    assert len(decoded(recording(form) + 10 * NOISE)) / RATE == pytest.approx(2, abs=0.05)


@pytest.mark.parametrize("layouts", [("mono", "mono", "mono"), ("mono", "stereo"), ("stereo", "mono")])
def test_chained_ogg_is_decoded_to_its_end(layouts: tuple[str, ...]) -> None:
    pcm = decoded(b"".join(recording("opus", layout=layout) for layout in layouts))
    assert len(pcm) / RATE == pytest.approx(2 * len(layouts), abs=0.05)
    assert np.abs(pcm).max() < 0.6  # FFmpeg alone goes on with the first link's state, which crackles


def test_damaged_link_does_not_affect_the_others() -> None:
    link = recording("opus")
    pcm = decoded(link + link[:60] + bytes(300) + link)
    assert 2 <= round(len(pcm) / RATE) <= 4


def test_file_of_links_without_audio_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    opened = 0
    av_open = av.open

    def count(*args: Any, **options: Any) -> Any:
        nonlocal opened
        opened += 1
        return av_open(*args, **options)

    monkeypatch.setattr(av, "open", count)
    first, second = (b"OggS\0" + bytes([flag]) + bytes(20) + b"\x01\x01x" for flag in (2, 0))
    with pytest.raises(InvalidInput, match="could not be decoded as audio"):
        decoded(5000 * (first + second))
    assert 0 < opened < 1000


@pytest.mark.parametrize("size", [0, 1000, 2**28 - 1])
def test_tag_with_a_forged_size_hides_no_audio(size: int) -> None:
    assert len(decoded(tag(b"\0hello", size) + recording("mp3"))) / RATE == pytest.approx(2, abs=0.1)


@pytest.mark.parametrize("file", [tag(b"\0hello"), tag(b"\0hello") * 100, tag(b"") + b"text" * 100, b"OggS" * 5000])
def test_file_without_audio_is_rejected(file: bytes) -> None:
    with pytest.raises(InvalidInput, match="could not be decoded as audio"):
        decoded(file)


@pytest.mark.parametrize(
    "title", ["Café".encode("latin-1"), b"\xff\xfe\xfa", "日本語".encode("shift-jis"), b"\xed\xa0\x80"]
)
@pytest.mark.parametrize("container", ["wav", "flac", "mp3", "ipod", "matroska"])
def test_title_in_any_encoding_is_no_error(container: str, title: bytes) -> None:
    codec = {"wav": "pcm_s16le", "flac": "flac", "mp3": "libmp3lame"}.get(container, "aac")
    file = encoded(tone(1, 48_000), container, codec, 48_000, title="XYZW"[: len(title)].ljust(len(title), "_"))
    assert b"XYZ" in file
    assert len(decoded(file.replace(b"XYZW"[: len(title)].ljust(len(title), b"_"), title))) / RATE > 0.9


@pytest.mark.parametrize("channels", [3, 6, 7, 8, 9, 16, 24, 64])
def test_any_number_of_channels_is_mixed(channels: int) -> None:
    data = np.repeat(tone(1)[:, np.newaxis], channels, axis=1) * np.float32(0.5)
    pcm = decoded(wav(data.astype("<f4").tobytes(), channels=channels))
    assert len(pcm) == RATE
    assert np.abs(np.fft.rfft(pcm)).argmax() == 440
