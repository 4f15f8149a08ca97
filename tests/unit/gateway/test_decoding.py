"""Decoding uploads to PCM."""

from __future__ import annotations

import io
from pathlib import Path

import av
import numpy as np
import pytest

from gateway.audio.decoding import AudioFile
from gateway.core.errors import PayloadTooLarge
from tests.unit.gateway.recordings import RATE, encoded, tone, wav
from tritone.errors import InvalidInput
from tritone.windowing import Samples

NO_AUDIO = {
    "noise": np.random.default_rng(0).bytes(20_000),
    "text": b"It is a truth universally acknowledged. " * 50,
    "one byte": b"\0",
    "a WAV header alone": wav(b""),
    "a FLAC header alone": encoded(tone(1), "flac", "flac")[:42],
    "zip": b"PK\x03\x04" + bytes(2000),
    "a subtitle file": b"1\n00:00:00,000 --> 00:00:01,000\nhello\n\n",
}
PLAYLISTS = {
    "hls": "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{name}\n#EXT-X-ENDLIST\n",
    "concat": "ffconcat version 1.0\nfile {name}\n",
    "dash": (
        '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"><Period><AdaptationSet>'
        '<Representation id="0" mimeType="audio/wav" bandwidth="1"><BaseURL>{name}</BaseURL></Representation>'
        "</AdaptationSet></Period></MPD>"
    ),
    "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 5004 RTP/AVP 0\n",
}


def decoded(file: bytes, max_seconds: float = 60) -> Samples:
    return np.concatenate(list(AudioFile(io.BytesIO(file), RATE, max_seconds, "file").blocks()))


def pitch(pcm: Samples) -> float:
    """Return the strongest frequency in Hz."""
    return float(np.abs(np.fft.rfft(pcm)).argmax() * RATE / len(pcm))


@pytest.mark.parametrize(
    ("container", "codec", "rate", "layout", "video"),
    [
        ("wav", "pcm_s16le", 8_000, "mono", ""),
        ("wav", "pcm_f32le", 96_000, "stereo", ""),
        ("flac", "flac", 44_100, "5.1", ""),
        ("flac", "flac", 48_000, "7.1", ""),
        ("ogg", "libopus", 48_000, "7.1", ""),
        ("matroska", "aac", 48_000, "7.1(wide)", ""),
        ("wv", "wavpack", 48_000, "7.1.4", ""),
        ("mp3", "libmp3lame", 44_100, "stereo", ""),
        ("ogg", "libopus", 48_000, "mono", ""),
        ("webm", "libopus", 48_000, "stereo", ""),
        ("ipod", "aac", 24_000, "mono", ""),
        ("adts", "aac", 22_050, "mono", ""),
        ("mp4", "aac", 48_000, "stereo", "mpeg4"),
        ("matroska", "aac", 48_000, "stereo", "mpeg4"),
        ("mpegts", "aac", 48_000, "mono", "mpeg2video"),
        ("aiff", "pcm_s16be", 11_025, "mono", ""),
    ],
)
def test_every_container_is_decoded_to_16_khz_mono(
    container: str, codec: str, rate: int, layout: str, video: str
) -> None:
    pcm = decoded(encoded(tone(3.3, rate), container, codec, rate, layout, video))
    assert pcm.dtype == np.float32
    assert len(pcm) / RATE == pytest.approx(3.3, abs=0.1)
    assert pitch(pcm) == pytest.approx(440, abs=2)


def test_a_recording_is_decoded_in_blocks_of_a_second() -> None:
    recording = AudioFile(io.BytesIO(encoded(tone(3.5), "wav", "pcm_s16le")), RATE, 60, "file")
    assert [len(block) for block in recording.blocks()] == [RATE, RATE, RATE, RATE // 2]
    assert recording.seconds == 3.5


def test_mixed_channels_above_full_scale_get_a_lower_level() -> None:
    file = encoded((1.9 * tone(3, 48_000)).astype(np.float32), "wav", "pcm_f32le", 48_000, "5.1")
    assert np.abs(decoded(file)).max() > 1.5
    pcm = np.concatenate(list(AudioFile(io.BytesIO(file), RATE, 60, "file").clean_blocks()))
    assert np.abs(pcm).max() <= 1
    spectrum = np.abs(np.fft.rfft(pcm))
    assert np.sort(spectrum)[-20:].sum() > 0.95 * spectrum.sum()  # clipped, it would have harmonics


@pytest.mark.parametrize("file", NO_AUDIO.values(), ids=NO_AUDIO)
def test_a_file_without_audio_is_rejected_with_the_formats_to_send(file: bytes) -> None:
    with pytest.raises(InvalidInput, match=r"^file: it could not be decoded as audio; send flac, mp3") as rejected:
        decoded(file)
    assert rejected.value.field == "file"


def test_a_video_without_sound_is_rejected() -> None:
    file = io.BytesIO()
    with av.open(file, "w", format="matroska") as output:
        picture = output.add_stream("mpeg4", rate=25, width=64, height=64, pix_fmt="yuv420p")
        output.mux(picture.encode(av.VideoFrame(64, 64, "yuv420p")))
        output.mux(picture.encode(None))
    with pytest.raises(InvalidInput, match="file: it holds no audio track"):
        decoded(file.getvalue())


@pytest.mark.parametrize("playlist", PLAYLISTS.values(), ids=PLAYLISTS)
@pytest.mark.parametrize("scheme", ["", "file:"])
def test_a_playlist_opens_no_other_file(
    playlist: str, scheme: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "secret.wav").write_bytes(encoded(tone(1), "wav", "pcm_s16le"))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InvalidInput):
        decoded(playlist.format(name=f"{scheme}secret.wav").encode())


def test_the_limit_counts_decoded_samples() -> None:
    file = encoded(tone(5.5), "wav", "pcm_s16le")
    assert len(decoded(file, max_seconds=5.5)) == 5.5 * RATE
    with pytest.raises(PayloadTooLarge, match=r"^file: it decodes to more than 5 s of audio$") as rejected:
        decoded(file, max_seconds=5)
    assert rejected.value.field == "file"


def test_a_header_with_a_smaller_length_does_not_evade_the_limit() -> None:
    file = bytearray(encoded(tone(5), "flac", "flac"))
    # STREAMINFO's count of samples: 36 bits, the last 4 of byte 21 and the four bytes behind.
    file[21:26] = bytes([file[21] & 0xF0, *(100).to_bytes(4, "big")])
    with pytest.raises(PayloadTooLarge):
        decoded(bytes(file), max_seconds=1)


def test_the_limit_counts_decoded_bytes_at_extreme_rates() -> None:
    with pytest.raises(PayloadTooLarge):
        decoded(wav(bytes(768_000 * 8 * 4), rate=768_000, channels=8), max_seconds=2)


@pytest.mark.parametrize("rate", [1, 100, 2**31 - 1])
def test_an_impossible_rate_is_rejected(rate: int) -> None:
    with pytest.raises(InvalidInput):
        decoded(wav(bytes(4 * 1000), rate=rate))


def test_nan_and_infinite_values_are_cleaned() -> None:
    data = tone(1)
    data[1000:1100], data[2000:2100], data[3000:3100], data[4000:4100] = np.nan, np.inf, -np.inf, 7.0
    recording = AudioFile(io.BytesIO(wav(data.tobytes())), RATE, 60, "file")
    pcm = np.concatenate(list(recording.clean_blocks()))
    np.testing.assert_array_equal(pcm[1000:1100], 0)
    assert np.abs(pcm).max() == 1
    np.testing.assert_array_equal(pcm[5000:], data[5000:])


def test_a_truncated_file_is_decoded_to_its_end() -> None:
    whole = encoded(tone(4), "mp3", "libmp3lame")
    pcm = decoded(whole[: len(whole) // 2])
    assert len(pcm) / RATE == pytest.approx(2, abs=0.2)


@pytest.mark.parametrize("container", ["ipod", "matroska"])
def test_a_damaged_packet_does_not_affect_the_rest(container: str) -> None:
    file = bytearray(encoded(tone(8, 48_000), container, "aac", 48_000))
    middle = len(file) // 2
    file[middle : middle + 600] = np.random.default_rng(3).bytes(600)
    assert len(decoded(bytes(file))) / RATE == pytest.approx(8, abs=2)


def test_a_title_in_another_encoding_is_no_error() -> None:
    file = encoded(tone(1), "wav", "pcm_f32le")
    assert b"Lavf" in file
    assert len(decoded(file.replace(b"Lavf", "Café".encode("latin-1")))) == RATE


def test_the_rate_may_change_within_a_file() -> None:
    joined = encoded(tone(2, 44_100), "mp3", "libmp3lame", 44_100) + encoded(
        tone(2, 22_050), "mp3", "libmp3lame", 22_050
    )
    pcm = decoded(joined)
    assert len(pcm) / RATE == pytest.approx(4, abs=0.2)
    assert pitch(pcm[-RATE:]) == pytest.approx(440, abs=2)


def test_stop_ends_the_blocks() -> None:
    recording = AudioFile(io.BytesIO(encoded(tone(10), "wav", "pcm_s16le")), RATE, 60, "file")
    blocks = recording.blocks()
    next(blocks)
    recording.stop()
    assert list(blocks) == []
