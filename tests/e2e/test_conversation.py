"""Conversations with the real models: a spoken question in, a spoken answer out. The language model is a stand-in."""

from __future__ import annotations

import asyncio
import base64
import io
import wave
from typing import Any

import openai

from tests import websocket
from tests.e2e.server import Server


async def test_a_spoken_question_gets_a_spoken_answer(server: Server) -> None:
    async with (
        openai.AsyncOpenAI(base_url=f"{server.url}/v1", api_key="unused", timeout=300) as client,
        asyncio.timeout(300),
    ):
        question = await client.audio.speech.create(
            model="kokoro-82m", voice="af_heart", input="Is the work done?", response_format="pcm"
        )
        spoken = question.content + bytes(24_000 * 2 * 2)
        audio = b""
        async with client.realtime.connect(
            model="gpt-realtime", websocket_connection_options=websocket.OPTIONS
        ) as connection:
            await connection.session.update(session={"type": "realtime", "audio": {"output": {"voice": "alloy"}}})
            for start in range(0, len(spoken), 9600):
                piece = base64.b64encode(spoken[start : start + 9600]).decode()
                await connection.input_audio_buffer.append(audio=piece)
            async for event in connection:
                assert event.type != "error", event
                if event.type == "response.output_audio.delta":
                    audio += base64.b64decode(event.delta)
                if event.type == "response.done":
                    assert event.response.status == "completed", event
                    break
        file = io.BytesIO()
        with wave.open(file, "wb") as written:
            written.setparams((1, 2, 24_000, 0, "NONE", ""))
            written.writeframes(audio)
        heard = await client.audio.transcriptions.create(model="whisper-base", file=("a.wav", file.getvalue()))
    assert heard.text.strip(" .").lower() == "it is done"


async def test_a_spoken_question_in_a_chat_gets_a_spoken_answer(server: Server) -> None:
    async with openai.AsyncOpenAI(base_url=f"{server.url}/v1", api_key="unused", timeout=300) as client:
        question = await client.audio.speech.create(
            model="kokoro-82m", voice="af_heart", input="Is the work done?", response_format="mp3"
        )
        recording: Any = {"data": base64.b64encode(question.content).decode(), "format": "mp3"}
        completion = await client.chat.completions.create(
            model="gpt-audio",
            modalities=["text", "audio"],
            audio={"voice": "alloy", "format": "wav"},
            messages=[{"role": "user", "content": [{"type": "input_audio", "input_audio": recording}]}],
        )
        answer = completion.choices[0].message.audio
        assert answer is not None
        assert answer.transcript == "It is done."
        file = ("a.wav", base64.b64decode(answer.data))
        heard = await client.audio.transcriptions.create(model="whisper-base", file=file)
    assert heard.text.strip(" .").lower() == "it is done"
    usage: Any = completion.usage
    assert usage.prompt_tokens_details.audio_tokens > 0
