"""Diarization: embeddings of people by the real network, and the rules that assign pieces to speakers."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gateway.audio.decoding import AudioFile
from gateway.core.diarization import Speakers, SpeakerSegment
from gateway.core.speaker_encoder import FILE, SpeakerEmbedding, SpeakerEncoder
from gateway.core.speaker_turns import TurnOptions, assign
from gateway.core.speech_detectors import SpeechDetectors
from gateway.core.speech_pieces import SpeechPiece, speech_pieces
from gateway.settings import GatewaySettings
from tests.fake_triton import Call, FakeTriton, Tensors
from tests.unit.gateway.conftest import Gateway, Serve
from tests.unit.gateway.recordings import RATE, encoded
from tests.unit.gateway.transcription.test_transcriptions import error_of, post
from tritone.transcribe_windows import WindowTranscript
from tritone.transcript import Segment, Transcript, Word
from tritone.windowing import Samples

MODEL_DIR = GatewaySettings().model_dir
AUSTEN = [f"librivox/sense_and_sensibility_01_austen_64kb-{n:04}.wav" for n in (870, 890, 920)]
NATURE = "f5-tts/basic_ref_en.wav"


def person(name: str, seconds: tuple[float, float]) -> Samples:
    """Return a stretch of one of the test recordings."""
    with (MODEL_DIR / "test-recordings" / name).open("rb") as file:
        samples = np.concatenate(list(AudioFile(file, RATE, 60, "file").clean_blocks()))
    return samples[int(seconds[0] * RATE) : int(seconds[1] * RATE)]


def data_url(samples: Samples) -> str:
    return "data:audio/flac;base64," + base64.b64encode(encoded(samples, "flac", "flac")).decode()


DIALOGUE = [person(AUSTEN[0], (0, 3)), person(NATURE, (0, 2.5)), person(AUSTEN[1], (0, 3)), person(NATURE, (2.5, 5))]
SPOKEN = [0.35, 3.52, 5.79, 8.96]
"""Seconds at which each part of `DIALOGUE` begins to be spoken."""
WORDS = ["One two.", "Three four.", "Five six.", "Seven eight."]


def said(*sentences: tuple[str, float, float]) -> Segment:
    """Return a segment in which all words of a sentence have the same length."""
    words = []
    for sentence, start, end in sentences:
        each = (end - start) / len(sentence.split())
        for n, word in enumerate(sentence.split()):
            words.append(Word(start + n * each, start + (n + 1) * each, f" {word}", 0.9))
    text = "".join(word.text for word in words)
    return Segment(words[0].start, words[-1].end, text, (1, 2), 0.0, -0.2, 1.0, 0.0, tuple(words))


def dialogue() -> Segment:
    """Return all of `WORDS` in one segment, at the times of `DIALOGUE`."""
    ends = np.cumsum([len(part) for part in DIALOGUE]) / RATE
    return said(*zip(WORDS, [0.0, *ends[:-1]], ends, strict=True))


class TwoPeople:
    """A model that transcribes every window as `dialogue`."""

    def __init__(self) -> None:
        self.calls: list[Call] = []

    async def __call__(self, call: Call) -> AsyncIterator[Tensors]:
        self.calls.append(call)
        yield Transcript("en", 0.9, (dialogue(),)).to_columns()


@pytest.fixture
def people(triton: FakeTriton) -> TwoPeople:
    triton.handlers["whisper-base"] = model = TwoPeople()
    return model


FILE_OF_TWO = ("two.flac", encoded(np.concatenate(DIALOGUE), "flac", "flac"))


async def test_two_people_become_two_speakers(gateway: Gateway, people: TwoPeople) -> None:
    answer = await gateway.openai.audio.transcriptions.create(
        model="gpt-4o-transcribe-diarize", file=FILE_OF_TWO, response_format="diarized_json", chunking_strategy="auto"
    )
    assert answer.task == "transcribe"
    assert answer.text == " ".join(WORDS)
    assert answer.duration == pytest.approx(11.0, abs=0.1)
    assert [(s.id, s.speaker, s.text) for s in answer.segments] == [
        (f"seg_{n}", speaker, text) for n, (speaker, text) in enumerate(zip("ABAB", WORDS, strict=True))
    ]
    assert [s.start for s in answer.segments] == pytest.approx(SPOKEN, abs=0.15)
    assert answer.usage is not None
    assert answer.usage.type == "tokens"
    assert people.calls[0].parameters["word_timestamps"]


async def test_known_speakers_have_their_names(gateway: Gateway, people: TwoPeople) -> None:
    answer = await gateway.openai.audio.transcriptions.create(
        model="whisper-1",
        file=FILE_OF_TWO,
        response_format="diarized_json",
        known_speaker_names=["narrator"],
        known_speaker_references=[data_url(person(AUSTEN[2], (0, 5)))],
    )
    assert [s.speaker for s in answer.segments] == ["narrator", "A", "narrator", "A"]


async def test_events_carry_each_segment_with_its_speaker(gateway: Gateway, people: TwoPeople) -> None:
    stream = await gateway.openai.audio.transcriptions.create(
        model="whisper-1", file=FILE_OF_TWO, response_format="diarized_json", stream=True
    )
    *events, done = [event async for event in stream]
    assert [event.type for event in events] == ["transcript.text.delta", "transcript.text.segment"] * 4
    segments = [event for event in events if event.type == "transcript.text.segment"]
    assert [(s.speaker, s.text) for s in segments] == list(zip("ABAB", WORDS, strict=True))
    deltas = [event for event in events if event.type == "transcript.text.delta"]
    assert [delta.segment_id for delta in deltas] == [s.id for s in segments]
    assert done.type == "transcript.text.done"
    assert done.text == "".join(delta.delta for delta in deltas)


async def test_segments_of_speakers_have_their_words_if_they_are_requested(gateway: Gateway, people: TwoPeople) -> None:
    answer = await gateway.openai.audio.transcriptions.create(
        model="whisper-1", file=FILE_OF_TWO, response_format="diarized_json", timestamp_granularities=["word"]
    )
    segments: Any = answer.to_dict()["segments"]
    assert len(segments) == 4
    for segment in segments:
        assert " ".join(word["word"] for word in segment["words"]) == segment["text"]


async def test_the_error_for_a_missing_network_says_how_to_fetch_it(
    serve: Serve, people: TwoPeople, tmp_path: Path
) -> None:
    (tmp_path / "silero-vad").symlink_to((MODEL_DIR / "silero-vad").resolve())
    async with serve(model_dir=tmp_path) as gateway:
        refused = await post(gateway, file=FILE_OF_TWO, response_format="diarized_json")
        assert (await post(gateway, file=FILE_OF_TWO)).status_code == 200
    assert refused.status_code == 400
    error = error_of(refused)
    assert error["param"] == "response_format"
    assert "scripts/fetch_models speaker-embedding" in error["message"]
    assert len(people.calls) == 1


GOOD = data_url(DIALOGUE[0])


@pytest.mark.parametrize(
    ("names", "references", "param"),
    [
        (["a"], [], "known_speaker_references[]"),
        ([], [GOOD], "known_speaker_references[]"),
        (["a", "a"], [GOOD, GOOD], "known_speaker_names[]"),
        (list("abcde"), [GOOD] * 5, "known_speaker_names[]"),
        (["a"], [data_url(DIALOGUE[0][:RATE])], "known_speaker_references[]"),
        (["a"], [data_url(np.concatenate(DIALOGUE))], "known_speaker_references[]"),
        (["a"], [data_url(np.zeros(3 * RATE, np.float32))], "known_speaker_references[]"),
        (["a"], ["data:audio/wav;base64,UklGRg=="], "known_speaker_references[]"),
        (["a"], ["data:audio/wav;base64,???"], "known_speaker_references[]"),
        (["a"], ["https://example.com/a.wav"], "known_speaker_references[]"),
    ],
    ids=["none", "no name", "twice", "five", "short", "long", "silent", "no audio", "no base64", "address"],
)
async def test_wrong_known_speakers_are_rejected(
    gateway: Gateway, people: TwoPeople, names: list[str], references: list[str], param: str
) -> None:
    fields: dict[str, Any] = {"known_speaker_names[]": names, "known_speaker_references[]": references}
    refused = await post(gateway, response_format="diarized_json", **fields)
    assert refused.status_code == 400
    error = error_of(refused)
    assert error["param"] == param
    assert error["message"].startswith(param)
    assert people.calls == []


async def test_the_number_of_speakers_can_be_given(gateway: Gateway, people: TwoPeople) -> None:
    numbers: list[tuple[dict[str, Any], set[str]]] = [
        ({"num_speakers": 1}, {"A"}),
        ({"min_speakers": 2, "max_speakers": 3}, {"A", "B"}),
    ]
    for fields, speakers in numbers:
        answer = await post(gateway, file=FILE_OF_TWO, response_format="diarized_json", **fields)
        assert {segment["speaker"] for segment in answer.raise_for_status().json()["segments"]} == speakers


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"num_speakers": 2, "response_format": "json"}, "num_speakers"),
        ({"num_speakers": 101, "response_format": "diarized_json"}, "num_speakers"),
        ({"min_speakers": 3, "max_speakers": 2, "response_format": "diarized_json"}, "max_speakers"),
    ],
)
async def test_wrong_numbers_of_speakers_are_rejected(
    gateway: Gateway, people: TwoPeople, fields: dict[str, Any], param: str
) -> None:
    refused = await post(gateway, **fields)
    assert (refused.status_code, error_of(refused)["param"]) == (400, param)
    assert people.calls == []


async def test_known_speakers_need_the_diarized_format(gateway: Gateway, people: TwoPeople) -> None:
    fields: dict[str, Any] = {"known_speaker_names[]": ["a"], "known_speaker_references[]": [GOOD]}
    refused = await post(gateway, **fields)
    assert error_of(refused)["param"] == "known_speaker_names[]"
    translated = await post(gateway, "/v1/audio/translations", response_format="diarized_json")
    assert error_of(translated)["param"] == "response_format"


def test_embeddings_of_one_person_are_closer_than_those_of_two() -> None:
    encoder = SpeakerEncoder(MODEL_DIR)
    austen = [encoder.encode(person(name, (0, 5))) for name in AUSTEN]
    nature = encoder.encode(person(NATURE, (0, 5)))
    assert min(austen[0] @ austen[1], austen[0] @ austen[2], austen[1] @ austen[2]) > 0.5
    assert max(voice @ nature for voice in austen) < 0.3
    assert (MODEL_DIR / FILE).exists()


def test_the_voice_of_a_part_is_that_of_the_part_alone() -> None:
    encoder, both = SpeakerEncoder(MODEL_DIR), np.concatenate(DIALOGUE[:2])
    cut = len(DIALOGUE[0])
    reader, nature = encoder.encode_parts(both, [slice(0, cut), slice(cut, len(both))])
    assert reader @ encoder.encode(DIALOGUE[0]) > 0.9
    assert nature @ encoder.encode(DIALOGUE[1]) > 0.9
    assert reader @ nature < 0.3


def test_people_who_speak_without_a_pause_are_told_apart() -> None:
    encoder = SpeakerEncoder(MODEL_DIR)
    detect = SpeechDetectors(MODEL_DIR)
    asyncio.run(detect.load())
    pieces = speech_pieces(np.concatenate(DIALOGUE), detect.new(), encoder, 10.0)
    found = assign(pieces, TurnOptions(least_gap=1.0), {}).turns
    assert [turn.speaker for turn in found] == [0, 1, 0, 1]
    assert [turn.start for turn in found] == pytest.approx([10 + start for start in SPOKEN], abs=0.1)


def voice(number: int) -> SpeakerEmbedding:
    """Return the embedding of an invented speaker; those of different numbers have nothing in common."""
    return np.eye(256, dtype=np.float32)[number]


Said = tuple[str, float, SpeakerEmbedding | None]
"""A text, the seconds in which it is spoken, and the voice."""


def talk(*said: Said, start: float = 0.0) -> tuple[WindowTranscript, list[SpeechPiece]]:
    """Return a window in which each text follows the one before after 0.2 s, and its speech."""
    words: list[Word] = []
    pieces: list[SpeechPiece] = []
    at = start
    for text, seconds, embedding in said:
        spoken = text.split()
        edges = np.linspace(at, at + seconds, 1 + len(spoken)).tolist()
        words += [Word(*edge, f" {word}", 0.9) for edge, word in zip(pairwise(edges), spoken, strict=True)]
        edges = np.linspace(at, at + seconds, 1 + max(1, round(seconds * 2))).tolist()
        pieces += [SpeechPiece(*edge, embedding) for edge in pairwise(edges)]
        at += seconds + 0.2
    segment = replace(dialogue(), start=start, end=at, text="".join(word.text for word in words), words=tuple(words))
    return WindowTranscript(start, at - start, "en", (segment,)), pieces


def spoken(window: WindowTranscript) -> list[tuple[str, str]]:
    return [(s.text.strip(), s.speaker) for s in window.segments if isinstance(s, SpeakerSegment)]


def assigned(speakers: Speakers, *said: Said, start: float = 0.0) -> list[tuple[str, str]]:
    """Return the texts of the next window with their speakers."""
    window, pieces = talk(*said, start=start)
    speakers.hear(start, pieces)
    return spoken(speakers.assign(window))


def all_assigned(window: WindowTranscript, pieces: Sequence[SpeechPiece]) -> tuple[SpeakerSegment, ...]:
    """Return the segments of a recording of one window."""
    speakers = Speakers({})
    speakers.hear(window.start, pieces)
    (found,) = speakers.assign_all([window])
    return tuple(segment for segment in found.segments if isinstance(segment, SpeakerSegment))


def test_speakers_are_remembered_from_window_to_window() -> None:
    speakers = Speakers({})
    assert assigned(speakers, ("One.", 2, voice(0)), ("Two.", 2, voice(1))) == [("One.", "A"), ("Two.", "B")]
    later = assigned(speakers, ("Three.", 2, voice(2)), ("Two.", 2, voice(1)), start=30.0)
    assert later == [("Three.", "C"), ("Two.", "B")]


def test_a_whole_recording_tells_who_said_little_at_first() -> None:
    speakers = Speakers({})
    first, second = talk(("One.", 2, voice(0)), ("Yes.", 1, voice(1))), talk(("Two.", 2, voice(1)), start=30.0)
    for window, pieces in (first, second):
        speakers.hear(window.start, pieces)
    assert [spoken(speakers.assign(window)) for window, _ in (first, second)] == [
        [("One.", "A"), ("Yes.", "A")],
        [("Two.", "B")],
    ]
    whole = [spoken(window) for window in speakers.assign_all([first[0], second[0]])]
    assert whole == [[("One.", "A"), ("Yes.", "B")], [("Two.", "B")]]


def test_a_short_piece_makes_no_new_speaker() -> None:
    said = ("One.", 2, voice(0)), ("Yes.", 1, voice(5)), ("Oh.", 0.3, None)
    assert assigned(Speakers({}), *said) == [("One.", "A"), ("Yes.", "A"), ("Oh.", "A")]
    assert assigned(Speakers({}), ("Oh.", 0.3, None)) == [("Oh.", "A")]
    assert assigned(Speakers({}), ("Yes.", 1, voice(3))) == [("Yes.", "A")]


@pytest.mark.parametrize("whole", [False, True])
def test_the_number_of_speakers_has_a_limit(whole: bool) -> None:
    speakers = Speakers({}, TurnOptions(most_speakers=2))
    window, pieces = talk(*((f"{n}.", 2.0, voice(n)) for n in range(3)))
    speakers.hear(0.0, pieces)
    found = speakers.assign_all([window])[0] if whole else speakers.assign(window)
    assert len({speaker for _, speaker in spoken(found)}) == 2


def test_a_sentence_is_split_where_the_voice_changes_for_long() -> None:
    window, pieces = talk(("I went home and", 2.0, voice(0)), ("stayed there.", 1.6, voice(1)))
    found = all_assigned(window, pieces)
    assert [(each.text, each.speaker) for each in found] == [(" I went home and", "A"), (" stayed there.", "B")]
    assert [each.tokens for each in found] == [(1, 2), ()]


def test_words_whose_times_are_not_exact_stay_with_their_sentence() -> None:
    """The second sentence's first word begins 0.4 s too early, partly in the speech of the person before."""
    window, pieces = talk(("I went home.", 2.0, voice(0)), ("Did you?", 1.6, voice(1)))
    (segment,) = window.segments
    words = [*segment.words]
    words[2], words[3] = replace(words[2], end=1.8), replace(words[3], start=1.8)
    window = replace(window, segments=(replace(segment, words=tuple(words)),))
    found = all_assigned(window, pieces)
    assert [(each.text, each.speaker) for each in found] == [(" I went home.", "A"), (" Did you?", "B")]
    assert [each.start for each in found] == pytest.approx([0.0, 2.2])
    assert [each.end for each in found] == pytest.approx([2.0, 3.8])
    assert found[1].words[0].start == 2.2


def test_pieces_of_one_sentence_are_joined_and_an_abbreviation_is_no_sentence() -> None:
    said = ("Dr.", 0.3, None), ("Li reads", 1.5, voice(0)), ("aloud.", 1.5, voice(0)), ("Soon.", 2, voice(0))
    assert assigned(Speakers({}), *said) == [("Dr. Li reads aloud.", "A"), ("Soon.", "A")]


def test_letters_skip_known_names_and_do_not_run_out() -> None:
    speakers = Speakers({"A": voice(200)})
    answer = assigned(speakers, *((f"{n}.", 2.0, voice(n)) for n in range(30)))
    assert [speaker for _, speaker in answer] == [*"BCDEFGHIJKLMNOPQRSTUVWXYZ", "AA", "AB", "AC", "AD", "AE"]
