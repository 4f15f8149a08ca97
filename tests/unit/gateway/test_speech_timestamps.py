"""The times of words in `POST /v1/audio/speech`: events beside the audio, JSON, and subtitles."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from io import StringIO
from typing import Any

import grpc
import numpy as np
import pytest
import srt
import webvtt

from tests.fake_triton import Call, FakeTriton, Status, Tensors
from tests.unit.gateway.conftest import DESCRIPTION, FakeSpeech, Gateway, Serve, tone
from tests.unit.gateway.test_speech import HELLO, SPEECH, error_of, sse
from tests.unit.gateway.test_speech_stream import session
from tritone.transcript import Segment, Transcript, Word

TEXT = "Good morning. It costs five."
BOTH = ["word", "segment"]


@pytest.fixture
async def gateway(gateway: Gateway, triton: FakeTriton, kokoro: FakeSpeech) -> Gateway:
    """A gateway whose model reports two words of its first chunk of half a second, and three of its second."""
    kokoro.description = replace(DESCRIPTION, options=(*DESCRIPTION.options, "word_timestamps"))
    kokoro.words = [
        [Word(0.1, 0.2, "Good", 1.0), Word(0.2, 0.4, " morning.", 1.0)],
        [Word(0.6, 0.7, " It", 1.0), Word(0.7, 0.9, " costs", 1.0), Word(0.9, 1.2, " five.", 1.0)],
    ]
    await triton.publish()
    await gateway.follow(triton)
    return gateway


async def events_of(gateway: Gateway, **fields: Any) -> list[dict[str, Any]]:
    body = {**HELLO, "input": TEXT, "response_format": "pcm", "stream_format": "sse", **fields}
    return [event async for event in await sse(gateway, body)]


def of_type(events: list[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    return [event for event in events if event["type"] == f"speech.audio.{name}"]


async def test_events_have_the_words_and_sentences_of_each_piece_beside_its_audio(gateway: Gateway) -> None:
    events = await events_of(gateway, timestamp_granularities=BOTH)
    names = ["delta", "timestamps", "delta", "timestamps", "done"]
    assert [event["type"] for event in events] == [f"speech.audio.{name}" for name in names]
    first, second = of_type(events, "timestamps")
    assert first == {
        "type": "speech.audio.timestamps",
        "words": [{"word": "Good", "start": 0.1, "end": 0.2}, {"word": "morning.", "start": 0.2, "end": 0.4}],
        "segments": [{"id": 0, "text": "Good morning.", "start": 0.1, "end": 0.4}],
    }
    assert [word["word"] for word in second["words"]] == ["It", "costs", "five."]
    assert second["segments"] == [{"id": 1, "text": "It costs five.", "start": 0.6, "end": 1.2}]


@pytest.mark.parametrize(("granularity", "absent"), [("word", "segments"), ("segment", "words")])
async def test_event_has_only_the_granularities_asked_for(gateway: Gateway, granularity: str, absent: str) -> None:
    for event in of_type(await events_of(gateway, timestamp_granularities=[granularity]), "timestamps"):
        assert absent not in event
        assert event[f"{granularity}s"]


async def test_sentence_of_two_pieces_comes_with_the_second(gateway: Gateway, kokoro: FakeSpeech) -> None:
    kokoro.words[0][1] = replace(kokoro.words[0][1], text=" morning,")
    (event,) = of_type(await events_of(gateway, timestamp_granularities=["segment"]), "timestamps")
    assert event["segments"] == [{"id": 0, "text": "Good morning, It costs five.", "start": 0.1, "end": 1.2}]


async def test_last_sentence_needs_no_full_stop(gateway: Gateway, kokoro: FakeSpeech) -> None:
    kokoro.words[1][2] = replace(kokoro.words[1][2], text=" five")
    events = await events_of(gateway, timestamp_granularities=["segment"])
    assert [s["text"] for event in of_type(events, "timestamps") for s in event["segments"]] == [
        "Good morning.",
        "It costs five",
    ]
    assert [event["type"] for event in events[-2:]] == ["speech.audio.timestamps", "speech.audio.done"]


@pytest.mark.parametrize(("response_format", "delay"), [("pcm", 0), ("mp3", 1105)])
@pytest.mark.parametrize("sample_rate", [8000, 48000])
async def test_times_are_those_of_the_audio_as_it_is_played(
    gateway: Gateway, response_format: str, delay: int, sample_rate: int
) -> None:
    # The model's own greatest speed is 2; the gateway doubles it.
    events = await events_of(
        gateway, timestamp_granularities=["word"], speed=4.0, response_format=response_format, sample_rate=sample_rate
    )
    words = [word for event in of_type(events, "timestamps") for word in event["words"]]
    starts = [word["start"] - delay / sample_rate for word in words]
    assert starts == pytest.approx([0.05, 0.1, 0.3, 0.35, 0.45], abs=1e-3)
    assert words[-1]["end"] - delay / sample_rate == pytest.approx(0.6, abs=1e-3)


async def test_model_is_asked_for_times_only_if_the_client_is(gateway: Gateway, triton: FakeTriton) -> None:
    await events_of(gateway)
    await events_of(gateway, timestamp_granularities=["word"])
    assert ["word_timestamps" in call.parameters for call in triton.calls] == [False, True]


async def test_whole_speech_with_its_times_is_json(gateway: Gateway, kokoro: FakeSpeech) -> None:
    fields = {"stream": False, "response_format": "pcm", "timestamp_granularities": BOTH, "subtitle_format": "srt"}
    answer = await gateway.http.post(SPEECH, json={**HELLO, "input": TEXT, **fields})
    speech = answer.json()
    assert answer.headers["content-type"] == "application/json"
    assert base64.b64decode(speech["audio"]) == np.concatenate(kokoro.chunks).tobytes()
    assert (speech["format"], speech["sample_rate"], speech["finish_reason"]) == ("pcm", 24_000, "stop")
    assert " ".join(word["word"] for word in speech["words"]) == TEXT
    assert [segment["text"] for segment in speech["segments"]] == ["Good morning.", "It costs five."]
    assert " ".join(cue.content for cue in srt.parse(speech["subtitles"])) == TEXT


async def test_subtitles_alone_are_an_event_before_the_last(gateway: Gateway) -> None:
    events = await events_of(gateway, subtitle_format="vtt")
    assert not of_type(events, "timestamps")
    assert [event["type"] for event in events[-2:]] == ["speech.audio.subtitles", "speech.audio.done"]
    cues = webvtt.from_buffer(StringIO(events[-2]["text"])).captions
    assert events[-2]["format"] == "vtt"
    assert " ".join(cue.text for cue in cues) == TEXT
    assert cues[0].start == "00:00:00.100"


async def test_words_of_a_long_text_have_times_in_the_whole_audio(
    serve: Serve, gateway: Gateway, kokoro: FakeSpeech
) -> None:
    kokoro.chunks, kokoro.words = [tone(1.0)], [[Word(0.25, 0.75, "word.", 1.0)]]
    async with serve(max_input_chars=10) as small:
        events = await events_of(small, input="One word. Two words. Six words.", timestamp_granularities=["word"])
    words = [word for event in of_type(events, "timestamps") for word in event["words"]]
    assert [(word["start"], word["end"]) for word in words] == [(0.25, 0.75), (1.25, 1.75), (2.25, 2.75)]


async def test_times_count_the_pauses_of_the_text(gateway: Gateway, kokoro: FakeSpeech) -> None:
    kokoro.chunks, kokoro.words = [tone(1.0)], [[Word(0.25, 0.75, "word.", 1.0)]]
    text = "[pause 500ms] One word. [pause 2s] Two words."
    events = await events_of(gateway, input=text, timestamp_granularities=["word"])
    words = [word for event in of_type(events, "timestamps") for word in event["words"]]
    assert [(word["start"], word["end"]) for word in words] == [(0.75, 1.25), (3.75, 4.25)]


@pytest.mark.parametrize("field", ["timestamp_granularities", "subtitle_format"])
async def test_times_of_an_audio_file_are_rejected_with_the_forms_that_have_a_place(
    gateway: Gateway, field: str
) -> None:
    status, error = await error_of(gateway, **{field: ["word"] if field == "timestamp_granularities" else "srt"})
    assert (status, error["param"]) == (400, field)
    assert "set stream_format to sse, or stream to false" in error["message"]


@pytest.mark.parametrize("value", [["sentence"], "word", ["word", 1]])
async def test_granularities_are_a_list_of_known_ones(gateway: Gateway, value: Any) -> None:
    status, error = await error_of(gateway, stream_format="sse", timestamp_granularities=value)
    assert status == 400
    assert error["param"].startswith("timestamp_granularities")


class FakeAligner:
    """A transcription model that gives each word of a known text a tenth of a second, after 50 ms."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.failure: Exception | None = None
        self.gate: asyncio.Event | None = None

    async def __call__(self, call: Call) -> AsyncIterator[Tensors]:
        self.calls.append(call)
        if self.gate:
            await self.gate.wait()
        if self.failure:
            raise self.failure
        text = call.parameters["known_text"]
        words = tuple(
            Word(0.05 + index / 10, 0.15 + index / 10, f" {word}", 0.9) for index, word in enumerate(text.split())
        )
        segment = Segment(words[0].start, words[-1].end, f" {text}", (), words=words)
        yield {name: column[0] for name, column in Transcript("en", 1.0, (segment,)).to_columns().items()}


@pytest.fixture
async def aligner(gateway: Gateway, triton: FakeTriton, kokoro: FakeSpeech) -> FakeAligner:
    """A model that finds the times of words; the speech model of `gateway` does not report them, and has one speed."""
    aligner = FakeAligner()
    triton.handlers["whisper-base"] = aligner
    kokoro.description = replace(DESCRIPTION, speed_range=(1.0, 1.0))
    kokoro.words, kokoro.chunks = [], [tone(0.5), tone(0.5)]
    await triton.publish()
    await gateway.follow(triton)
    return aligner


async def test_words_of_a_model_without_times_are_aligned_sentence_by_sentence(
    gateway: Gateway, triton: FakeTriton, aligner: FakeAligner
) -> None:
    events = await events_of(gateway, timestamp_granularities=BOTH, language="en")
    # The sentences are aligned side by side, so either may come first.
    assert sorted(call.parameters["known_text"] for call in aligner.calls) == ["Good morning.", "It costs five."]
    for call in aligner.calls:
        assert call.inputs["audio"].shape[-1] == pytest.approx(16_000, abs=50)
        assert np.abs(call.inputs["audio"]).max() == pytest.approx(8000 / 2**15, abs=0.02)
    timed = of_type(events, "timestamps")
    assert [(w["word"], w["start"], w["end"]) for event in timed for w in event.get("words", [])] == [
        ("Good", 0.05, 0.15),
        ("morning.", 0.15, 0.25),
        ("It", 1.05, 1.15),
        ("costs", 1.15, 1.25),
        ("five.", 1.25, 1.35),
    ]
    assert [s["text"] for event in timed for s in event.get("segments", [])] == ["Good morning.", "It costs five."]
    assert events[-1]["type"] == "speech.audio.done"


async def test_aligned_times_are_those_of_audio_that_the_gateway_made_faster(
    gateway: Gateway, aligner: FakeAligner
) -> None:
    events = await events_of(gateway, timestamp_granularities=["word"], speed=2.0, sample_rate=16_000)
    words = [word for event in of_type(events, "timestamps") for word in event["words"]]
    assert len(aligner.calls[0].inputs["audio"].reshape(-1)) == pytest.approx(16_000, abs=50)  # as the model spoke it
    assert [word["start"] for word in words] == pytest.approx([0.025, 0.075, 0.525, 0.575, 0.625], abs=2e-3)


async def test_speech_longer_than_a_window_is_aligned_in_one_that_is_faster(
    gateway: Gateway, kokoro: FakeSpeech, aligner: FakeAligner
) -> None:
    kokoro.chunks = [tone(59.0)]
    events = await events_of(gateway, input="Good morning.", timestamp_granularities=["word"])
    (call,) = aligner.calls
    assert call.inputs["audio"].shape[-1] <= 30 * 16_000
    words = [word for event in of_type(events, "timestamps") for word in event["words"]]
    assert [word["start"] for word in words] == pytest.approx([0.1, 0.3], abs=1e-2)


async def test_next_sentence_is_sent_while_the_one_before_is_aligned(gateway: Gateway, aligner: FakeAligner) -> None:
    aligner.gate = asyncio.Event()
    body = {**HELLO, "input": TEXT, "response_format": "pcm", "stream_format": "sse"}
    seconds, words = 0.0, 0
    async for event in await sse(gateway, {**body, "timestamp_granularities": ["word"]}):
        if event["type"] == "speech.audio.delta":
            seconds += len(base64.b64decode(event["audio"])) / 48_000
            if seconds == pytest.approx(2.0, abs=0.01):
                assert words == 0
                aligner.gate.set()
        words += len(event.get("words", []))
    assert seconds == pytest.approx(2.0, abs=0.01)
    assert words == 5


async def test_failed_alignment_is_an_error_after_the_audio(gateway: Gateway, aligner: FakeAligner) -> None:
    aligner.failure = Status(grpc.StatusCode.INTERNAL, "the aligner is broken")
    body = {**HELLO, "input": TEXT, "response_format": "pcm", "stream_format": "sse"}
    answer = await gateway.http.post(SPEECH, json={**body, "timestamp_granularities": ["word"]})
    events = [json.loads(line.removeprefix("data: ")) for line in answer.text.splitlines() if line]
    audio = b"".join(base64.b64decode(event["audio"]) for event in events[:-1])
    assert len(audio) / 48_000 == pytest.approx(2.0, abs=0.01)
    assert "error" in events[-1]


async def test_request_is_rejected_where_no_model_finds_the_times(gateway: Gateway, triton: FakeTriton) -> None:
    triton.handlers = {"kokoro-82m": FakeSpeech()}
    await triton.publish()
    await gateway.follow(triton)
    status, error = await error_of(gateway, stream_format="sse", timestamp_granularities=["word"])
    assert (status, error["param"]) == (400, "timestamp_granularities")
    assert "kokoro-82m does not report the times of its words" in error["message"]
    assert "STT_MODELS" in error["message"]
    # An alignment of the test before may still arrive.
    assert not [call for call in triton.calls if call.model == "kokoro-82m"]


async def test_items_of_a_batch_have_their_own_times(gateway: Gateway) -> None:
    items = [{"input": TEXT, "timestamp_granularities": ["word"]}, {"input": TEXT, "subtitle_format": "srt"}]
    answer = await gateway.http.post(f"{SPEECH}/batch", json={"items": items, "response_format": "pcm"})
    timed, subtitled = answer.json()["results"]
    assert " ".join(word["word"] for word in timed["words"]) == TEXT
    assert not {"segments", "subtitles"} & timed.keys()
    assert " ".join(cue.content for cue in srt.parse(subtitled["subtitles"])) == TEXT
    assert "words" not in subtitled


async def test_part_of_written_speech_has_times_from_the_start_of_its_audio(
    gateway: Gateway, aligner: FakeAligner
) -> None:
    async with session(gateway, timestamp_granularities=BOTH, response_format="wav") as client:
        await client.send("input.text", text="Good morning. [pause 500ms] It costs five.")
        await client.send("session.close")
        messages = [m for m in await client.until("session.done") if isinstance(m, dict)]
    timed = [message for message in messages if message["type"] == "audio.timestamps"]
    assert [message["sentence_index"] for message in timed] == [0, 1]
    assert [word["word"] for message in timed for word in message["words"]] == TEXT.split()
    assert [message["words"][0]["start"] for message in timed] == [0.05, 0.55]
    assert [message["segments"][0]["id"] for message in timed] == [0, 1]
    assert messages[-1]["type"] == "session.done"


async def captioned(gateway: Gateway, **fields: Any) -> Any:
    body = {"model": "kokoro", "input": TEXT, "voice": "af_heart", "response_format": "pcm", **fields}
    response = await gateway.http.post("/dev/captioned_speech", json=body)
    assert response.status_code == 200, response.text
    return response


async def test_captioned_speech_has_an_object_in_each_line(gateway: Gateway, kokoro: FakeSpeech) -> None:
    parts = [json.loads(line) for line in (await captioned(gateway)).text.splitlines()]
    assert {part["audio_format"] for part in parts} == {"audio/pcm"}
    audio = b"".join(base64.b64decode(part["audio"]) for part in parts)
    assert audio == np.concatenate(kokoro.chunks).tobytes()
    words = [word for part in parts for word in part["timestamps"]]
    assert words[1] == {"word": "morning.", "start_time": 0.2, "end_time": 0.4}
    assert " ".join(word["word"] for word in words) == TEXT
    assert parts[0]["timestamps"] == words[:2]


async def test_captioned_speech_without_a_stream_is_one_object(gateway: Gateway, kokoro: FakeSpeech) -> None:
    response = await captioned(gateway, stream=False, normalization_options={}, subtitle_format="srt")
    whole = response.json()
    assert base64.b64decode(whole["audio"]) == np.concatenate(kokoro.chunks).tobytes()
    assert whole["audio_format"] == "audio/pcm"
    assert [word["word"] for word in whole["timestamps"]] == TEXT.split()
    assert response.headers["x-tritone-ignored"] == "normalization_options, subtitle_format"


async def test_captioned_speech_may_leave_the_times_out(gateway: Gateway, triton: FakeTriton) -> None:
    parts = [json.loads(line) for line in (await captioned(gateway, return_timestamps=False)).text.splitlines()]
    assert {part["timestamps"] for part in parts} == {None}
    assert "timestamps" not in (await captioned(gateway, return_timestamps=False, stream=False)).json()
    assert not any(call.parameters.get("word_timestamps") for call in triton.calls)


async def test_captioned_speech_of_an_aligned_model_ends_with_its_words(gateway: Gateway, aligner: FakeAligner) -> None:
    parts = [json.loads(line) for line in (await captioned(gateway)).text.splitlines()]
    assert [word["word"] for part in parts for word in part["timestamps"]] == TEXT.split()


async def test_captioned_speech_ends_with_the_error_of_its_times(gateway: Gateway, aligner: FakeAligner) -> None:
    aligner.failure = Status(grpc.StatusCode.INTERNAL, "the aligner is broken")
    parts = [json.loads(line) for line in (await captioned(gateway)).text.splitlines()]
    assert all(part["audio"] for part in parts[:-1])
    assert parts[-1]["error"]["type"] == "server_error"
