"""OpenAI's transcription API over the real models, with the official client and speech from Kokoro."""

from __future__ import annotations

import asyncio
import base64
import io
import wave
from itertools import pairwise
from typing import Any

import numpy as np
import openai
import pytest
from numpy.typing import NDArray

from tests import websocket
from tests.e2e.server import Server
from tests.e2e.words import word_error_rate

RATE = 24_000
DIALOGUE = [
    ("af_heart", "Good morning, I would like to buy two tickets for the museum."),
    ("am_michael", "Certainly, the museum opens at ten and closes at six."),
    ("af_heart", "Is there a guided tour in the afternoon, and how long does it take?"),
    ("am_michael", "The guided tour begins at three, and it takes about two hours."),
]
PAUSE = np.zeros(int(0.4 * RATE), np.int16)


def synthesize(client: openai.OpenAI, voice: str, text: str) -> NDArray[np.int16]:
    speech = client.audio.speech.create(model="kokoro-82m", voice=voice, input=text, response_format="pcm")
    return np.frombuffer(speech.content, np.int16)


def wav(*pieces: NDArray[np.int16]) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setparams((1, 2, RATE, 0, "NONE", ""))
        writer.writeframes(np.concatenate(pieces).tobytes())
    return file.getvalue()


@pytest.fixture(scope="module")
def sentences(client: openai.OpenAI) -> list[NDArray[np.int16]]:
    """The sentences of `DIALOGUE`, synthesized."""
    return [synthesize(client, voice, text) for voice, text in DIALOGUE]


@pytest.fixture(scope="module")
def dialogue(sentences: list[NDArray[np.int16]]) -> tuple[str, bytes]:
    """The whole dialogue as a file."""
    return "dialogue.wav", wav(*(piece for sentence in sentences for piece in (sentence, PAUSE)))


def test_alternating_voices_are_two_speakers(
    client: openai.OpenAI, dialogue: tuple[str, bytes], sentences: list[NDArray[np.int16]]
) -> None:
    transcription = client.audio.transcriptions.create(
        model="gpt-4o-transcribe-diarize", file=dialogue, response_format="diarized_json", chunking_strategy="auto"
    )
    turns = [[segment] for segment in transcription.segments[:1]]
    for before, segment in pairwise(transcription.segments):
        if segment.speaker == before.speaker:
            turns[-1].append(segment)
        else:
            turns.append([segment])
    assert [turn[0].speaker for turn in turns] == ["A", "B", "A", "B"]
    texts = ["".join(segment.text + " " for segment in turn) for turn in turns]
    assert word_error_rate([text for _, text in DIALOGUE], texts) <= 0.15, texts
    starts = np.cumsum([0, *(len(sentence) + len(PAUSE) for sentence in sentences[:-1])]) / RATE
    assert [turn[0].start for turn in turns] == pytest.approx(starts.tolist(), abs=0.6)


def test_known_speakers_are_named_in_events(client: openai.OpenAI, dialogue: tuple[str, bytes]) -> None:
    samples = {
        "agent": synthesize(client, "am_michael", "This is how I sound when I say something else."),
        "customer": synthesize(client, "af_heart", "And this is how I sound on another day."),
    }
    stream = client.audio.transcriptions.create(
        model="whisper-base",
        file=dialogue,
        response_format="diarized_json",
        stream=True,
        known_speaker_names=list(samples),
        known_speaker_references=[
            "data:audio/wav;base64," + base64.b64encode(wav(sample)).decode() for sample in samples.values()
        ],
    )
    speakers = [event.speaker for event in stream if event.type == "transcript.text.segment"]
    changes = speakers[:1] + [after for before, after in pairwise(speakers) if after != before]
    assert changes == ["customer", "agent", "customer", "agent"]


def test_logprobs_spell_the_text(client: openai.OpenAI, sentences: list[NDArray[np.int16]]) -> None:
    transcription = client.audio.transcriptions.create(
        model="whisper-base", file=("a.wav", wav(sentences[0])), include=["logprobs"], languages=["en", "de"]
    )
    assert transcription.logprobs
    spelt = b"".join(bytes(map(int, logprob.bytes or ())) for logprob in transcription.logprobs).decode()
    assert spelt.strip() == transcription.text
    assert all(logprob.logprob is not None and logprob.logprob <= 0 for logprob in transcription.logprobs)
    assert [language.code for language in transcription.languages or ()] == ["en"]


def test_keywords_change_the_spelling(client: openai.OpenAI) -> None:
    speech = wav(synthesize(client, "af_heart", "My name is Siobhan, and I live near Nguyen's bakery."))
    texts = [
        client.audio.transcriptions.create(model="whisper-base", file=("a.wav", speech), keywords=keywords).text
        for keywords in ([], ["Shivawn", "Winn"])
    ]
    assert texts[0] != texts[1]


def test_chunking_strategy_of_the_official_client_is_accepted(
    client: openai.OpenAI, sentences: list[NDArray[np.int16]]
) -> None:
    strategy: Any = {"type": "server_vad", "threshold": 0.5, "prefix_padding_ms": 300, "silence_duration_ms": 300}
    transcription = client.audio.transcriptions.create(
        model="whisper-base", file=("a.wav", wav(sentences[1])), chunking_strategy=strategy, language="en"
    )
    assert word_error_rate([DIALOGUE[1][1]], [transcription.text]) <= 0.15


async def test_live_audio_is_transcribed_while_it_arrives(server: Server, sentences: list[NDArray[np.int16]]) -> None:
    """Send two turns, the first one long, in blocks of 0.1 s at the pace of a microphone."""
    silence = np.zeros(RATE, np.int16)
    turns = np.concatenate([sentences[0], sentences[2], sentences[1]]), np.concatenate([silence, sentences[3], silence])
    expected = [" ".join(DIALOGUE[n][1] for n in (0, 2, 1)), DIALOGUE[3][1]]
    texts, partial, order = [], asyncio.Event(), []
    async with (
        openai.AsyncOpenAI(base_url=f"{server.url}/v1", api_key="unused") as client,
        client.realtime.connect(
            extra_query={"intent": "transcription"}, websocket_connection_options=websocket.OPTIONS
        ) as connection,
        asyncio.timeout(300),
    ):
        transcription: Any = {"model": "whisper-base", "language": "en"}
        await connection.session.update(
            session={"type": "transcription", "audio": {"input": {"transcription": transcription}}}
        )

        async def send() -> None:
            for audio in turns:
                for start in range(0, len(audio), RATE // 10):
                    piece = audio[start : start + RATE // 10].tobytes()
                    await connection.input_audio_buffer.append(audio=base64.b64encode(piece).decode())
                    await asyncio.sleep(0.1)
                await partial.wait()  # before the silence that ends the first turn, however slow the machine is

        sending = asyncio.create_task(send())
        async for event in connection:
            assert event.type != "error", event
            order.append(event.type.rpartition(".")[2])
            if event.type == "conversation.item.input_audio_transcription.delta":
                partial.set()
            if event.type == "conversation.item.input_audio_transcription.completed":
                texts.append(event.transcript)
                if len(texts) == 2:
                    break
        await sending
    assert word_error_rate(expected, texts) <= 0.15, texts
    assert order.index("delta") < order.index("speech_stopped"), order


async def test_live_turns_end_by_what_was_said_and_have_speakers(
    server: Server, sentences: list[NDArray[np.int16]]
) -> None:
    """The silence after each sentence is shorter than the longest one: the text ends the turn."""
    silence = np.zeros(3 * RATE // 2, np.int16)
    texts, speakers = [], []
    async with (
        openai.AsyncOpenAI(base_url=f"{server.url}/v1", api_key="unused") as client,
        client.realtime.connect(
            model="gpt-4o-transcribe-diarize", websocket_connection_options=websocket.OPTIONS
        ) as connection,
        asyncio.timeout(300),
    ):
        detection: Any = {"type": "semantic_vad", "eagerness": "medium"}
        await connection.session.update(
            session={"type": "transcription", "audio": {"input": {"turn_detection": detection}}}
        )
        for sentence in sentences[:3]:
            audio = np.concatenate([sentence, silence]).tobytes()
            await connection.input_audio_buffer.append(audio=base64.b64encode(audio).decode())
            said = set()
            async for event in connection:
                assert event.type not in ("error", "warning"), event
                if event.type == "conversation.item.input_audio_transcription.segment":
                    said.add(event.speaker)
                if event.type == "conversation.item.input_audio_transcription.completed":
                    texts.append(event.transcript)
                    break
            speakers.append(said)
    assert word_error_rate([text for _, text in DIALOGUE[:3]], texts) <= 0.15, texts
    assert speakers == [{"A"}, {"B"}, {"A"}]
