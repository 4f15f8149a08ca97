"""Who speaks when: the turns in spans of speech, and the route by the real networks."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from gateway.core.speaker_encoder import SpeakerEmbedding
from gateway.core.speaker_turns import SpeakerTurns, TurnOptions, assign
from gateway.core.speech_detectors import SpeechDetectors
from gateway.core.speech_pieces import SpeechPiece
from tests.fake_triton import FakeTriton
from tests.unit.gateway.conftest import Gateway, Serve
from tests.unit.gateway.recordings import RATE, encoded
from tests.unit.gateway.transcription.test_diarization import AUSTEN, DIALOGUE, NATURE, data_url, person
from tests.unit.gateway.transcription.test_transcriptions import error_of

PAUSE = np.zeros(RATE // 2, np.float32)
ANNA, BEN, CLARA, DORA = np.eye(4, 256, dtype=np.float32)


def pieces_of(start: float, end: float, embedding: SpeakerEmbedding | None) -> Iterator[SpeechPiece]:
    """Yield speech of one voice in pieces of about half a second."""
    edges = np.linspace(start, end, 1 + max(1, round((end - start) * 2))).tolist()
    return (SpeechPiece(left, right, embedding) for left, right in pairwise(edges))


def turns(
    said: list[tuple[float, float, SpeakerEmbedding | None]],
    known: dict[str, SpeakerEmbedding] | None = None,
    **options: Any,
) -> SpeakerTurns:
    pieces = [piece for each in said for piece in pieces_of(*each)]
    return assign(pieces, TurnOptions(**options), known or {})


def speakers(found: SpeakerTurns) -> list[int]:
    return [turn.speaker for turn in found.turns]


def test_pieces_of_one_voice_are_one_turn_and_speakers_are_counted_as_they_begin() -> None:
    found = turns([(0, 2, BEN), (2.2, 4, BEN), (4.1, 6, ANNA), (6.1, 8, BEN)])
    assert [(turn.start, turn.end, turn.speaker) for turn in found.turns] == [(0, 4, 0), (4.1, 6, 1), (6.1, 8, 0)]


def test_a_short_doubtful_piece_stays_with_the_speaker_around_it() -> None:
    doubtful = (0.5 * ANNA + 0.6 * BEN) / np.linalg.norm(0.5 * ANNA + 0.6 * BEN)
    assert speakers(turns([(0, 2, ANNA), (2.2, 2.7, doubtful), (2.9, 5, ANNA), (5.1, 7, BEN)])) == [0, 1]
    assert speakers(turns([(0, 2, ANNA), (2.2, 3.1, BEN), (3.3, 5, ANNA), (5.1, 7, BEN)])) == [0, 1, 0, 1]


def test_a_piece_without_an_embedding_belongs_to_its_neighbour() -> None:
    assert speakers(turns([(0, 2, ANNA), (2.2, 2.4, None), (3, 5, BEN)], least_turn=0.0)) == [0, 1]


@pytest.mark.parametrize(
    ("options", "count"),
    [
        ({}, 3),
        ({"most_speakers": 2}, 2),
        ({"least_speakers": 1, "most_speakers": 1}, 1),
        ({"least_speakers": 4}, 4),
        ({"least_speakers": 9}, 4),
    ],
)
def test_the_number_of_speakers_has_limits(options: dict[str, Any], count: int) -> None:
    nearly_ben = (BEN + 0.3 * CLARA) / np.linalg.norm(BEN + 0.3 * CLARA)
    said = [(0.0, 2.0, ANNA), (2.1, 4.0, BEN), (4.1, 6.0, CLARA), (6.1, 8.0, nearly_ben)]
    assert len(set(speakers(turns([*said], **options)))) == count


def test_short_turns_are_left_out_and_short_gaps_do_not_end_one() -> None:
    found = turns([(0, 2, ANNA), (3, 5, ANNA), (5.2, 7, BEN)], least_gap=1.5, least_turn=2.0)
    assert [(turn.start, turn.end) for turn in found.turns] == [(0, 5)]
    assert [(turn.start, turn.end) for turn in turns([(0, 2, ANNA), (3, 5, ANNA)]).turns] == [(0, 2), (3, 5)]


def test_known_voices_are_named_once() -> None:
    found = turns([(0, 2, BEN), (2.1, 4, ANNA), (4.1, 6, CLARA)], {"Anna": ANNA, "Ann": ANNA, "Dora": DORA})
    assert found.names == {1: "Anna"}


def test_a_known_person_who_says_little_is_named() -> None:
    found = turns([(0, 3, ANNA), (3.2, 4.2, BEN), (4.4, 6, ANNA)], {"Ben": BEN})
    assert speakers(found) == [0, 1, 0]
    assert found.names == {1: "Ben"}


def test_a_change_without_a_pause_is_found() -> None:
    assert [(turn.start, turn.speaker) for turn in turns([(0, 3, ANNA), (3, 6, BEN)]).turns] == [(0, 0), (3, 1)]


def test_voices_on_one_telephone_stay_apart() -> None:
    """All pairs of the two are as alike as single pieces of one person may be: 0.48."""
    rng = np.random.default_rng(0)
    said = []
    for index in range(24):
        own = (ANNA, BEN)[index % 2]
        mixed = 0.55 * own + 0.69 * CLARA + rng.normal(0, 0.0293, 256).astype(np.float32)
        said.append((2.0 * index, 2.0 * index + 1.6, mixed / np.linalg.norm(mixed)))
    assert speakers(turns(said)) == [0, 1] * 12


def test_hours_of_speech_have_the_same_speakers() -> None:
    rng = np.random.default_rng(0)
    voices = [ANNA, BEN, CLARA]
    said = []
    for index in range(3200):
        noisy = voices[index % 3] + rng.normal(0, 0.03, 256).astype(np.float32)
        said.append((2.0 * index, 2.0 * index + 1.8, noisy / np.linalg.norm(noisy)))
    assert speakers(turns(said))[:6] == [0, 1, 2, 0, 1, 2]


def test_a_recording_without_speech_has_no_turns() -> None:
    assert turns([]) == SpeakerTurns([], {})


@pytest.fixture
async def gateway(serve: Serve, triton: FakeTriton, weights: Path) -> AsyncIterator[Gateway]:
    """A gateway with the real networks."""
    async with serve(model_dir=weights, detectors=SpeechDetectors(weights)) as running:
        yield running


@pytest.fixture(scope="module")
def dialogue() -> bytes:
    """Two people in turn, four times, with half a second between."""
    return encoded(np.concatenate([each for part in DIALOGUE for each in (part, PAUSE)]), "flac", "flac")


async def post(gateway: Gateway, file: bytes, **fields: Any) -> httpx.Response:
    data = {"model": "pyannote/speaker-diarization-3.1", **fields}
    return await gateway.http.post("/v1/audio/diarization", data=data, files={"file": ("a b.flac", file)})


async def test_two_people_are_told_apart_by_their_voices(gateway: Gateway, dialogue: bytes) -> None:
    result = (await post(gateway, dialogue, response_format="verbose_json")).raise_for_status().json()
    starts = [0.0, *np.cumsum([len(part) / RATE + 0.5 for part in DIALOGUE])]
    said = result["segments"]
    changes = [said[0]] + [after for before, after in pairwise(said) if before["speaker"] != after["speaker"]]
    assert [each["speaker"] for each in changes] == ["SPEAKER_00", "SPEAKER_01", "SPEAKER_00", "SPEAKER_01"]
    assert [each["start"] for each in changes] == pytest.approx(starts[:4], abs=0.5)
    assert (result["task"], result["num_speakers"], said[0]["label"]) == ("diarize", 2, "0")
    assert result["duration"] == pytest.approx(starts[-1], abs=0.01)
    file, fields = {"file": ("a.flac", dialogue)}, {"threshold": 0.5, "min_silence_duration_ms": 500}
    spoken = (await gateway.http.post("/v1/audio/speech/timestamps", data=fields, files=file)).json()
    total = sum(each["total_speech_duration"] for each in result["speakers"])
    assert total == pytest.approx(sum(each["end"] - each["start"] for each in spoken) / 1000, abs=0.6)
    assert sum(each["segment_count"] for each in result["speakers"]) == len(said)


async def test_known_people_are_named_in_rttm_too(gateway: Gateway, dialogue: bytes) -> None:
    known = {
        "known_speaker_names[]": ["Mother Nature", "Reader"],
        "known_speaker_references[]": [data_url(person(NATURE, (0, 5))), data_url(person(AUSTEN[2], (0, 5)))],
    }
    response = (await post(gateway, dialogue, response_format="rttm", include_text="true", **known)).raise_for_status()
    assert response.headers["content-type"].startswith("text/plain")
    assert response.headers["x-tritone-ignored"] == "include_text"
    lines = [line.split() for line in response.text.splitlines()]
    assert {len(line) for line in lines} == {10}
    assert {(line[0], line[1], line[2]) for line in lines} == {("SPEAKER", "a_b", "1")}
    assert [line[7] for line in lines if float(line[4]) > 1][:2] == ["Reader", "Mother_Nature"]


@pytest.mark.parametrize(
    ("fields", "status", "param"),
    [
        ({"model": "whisper-1"}, 404, "model"),
        ({"num_speakers": "two"}, 400, "num_speakers"),
        ({"min_speakers": 3, "max_speakers": 2}, 400, "max_speakers"),
        ({"response_format": "srt"}, 400, "response_format"),
        ({"known_speaker_names[]": ["Anna"]}, 400, "known_speaker_references"),
    ],
)
async def test_bad_requests_name_the_field(
    gateway: Gateway, dialogue: bytes, fields: dict[str, Any], status: int, param: str
) -> None:
    response = await post(gateway, dialogue, **fields)
    assert (response.status_code, error_of(response)["param"]) == (status, param)


async def test_a_file_without_audio_is_named(gateway: Gateway) -> None:
    response = await post(gateway, b"none")
    assert (response.status_code, error_of(response)["param"]) == (400, "file")
