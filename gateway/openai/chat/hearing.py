"""The words of the audio in a request's messages, which the language model gets in its place."""

from __future__ import annotations

import asyncio
import hashlib
import io
import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

from gateway.audio.inline import from_base64, from_data_url, is_data_url
from gateway.core.errors import PayloadTooLarge
from gateway.core.remembered_texts import RememberedText
from gateway.core.services import Services
from gateway.core.telemetry import WorkTelemetry
from gateway.core.transcribe import TranscriptionRequest, transcribe
from tritone.contract import TranscriptionOptions
from tritone.errors import InvalidInput

_AUDIO: Final = "input_audio"


class Hearing:
    """Replaces audio in messages by its words, and counts it."""

    def __init__(self, services: Services, telemetry: WorkTelemetry) -> None:
        """`telemetry` gets the transcription model and the seconds of audio."""
        self.audio_tokens = 0
        """Tokens of all audio that was heard."""
        self._services = services
        self._telemetry = telemetry
        self._seconds = 0.0

    async def messages(self, messages: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
        """Return the messages with words in place of audio; others as they are.

        Raises `InvalidInput` and `PayloadTooLarge` with the path of the part, and as `transcribe`.
        """
        return [await self._message(message, f"messages[{index}]") for index, message in enumerate(messages)]

    async def _message(self, message: Mapping[str, Any], path: str) -> Mapping[str, Any]:
        if isinstance(answer := message.get("audio"), dict):
            return await self._answered(message, answer, f"{path}.audio")
        content = message.get("content")
        if not isinstance(content, list) or not any(_is_audio(part) for part in content):
            return message
        parts: list[Any] = []
        for index, part in enumerate(content):
            if not _is_audio(part):
                parts.append(part)
            elif text := await self._words(part.get(_AUDIO), f"{path}.content[{index}].{_AUDIO}"):
                parts.append({"type": "text", "text": text})
        if not parts:
            raise InvalidInput(f"{path}.content", "there is no speech in its audio")
        return {**message, "content": _joined(parts)}

    async def _answered(self, message: Mapping[str, Any], answer: Mapping[str, Any], path: str) -> Mapping[str, Any]:
        """Return an earlier answer as text: its own, that of its audio if it was sent along, or what is remembered."""
        text = message.get("content") or answer.get("transcript")
        if not text:
            key = answer.get("id")
            known = await self._services.texts.get(self._telemetry.owner, key) if isinstance(key, str) else None
            if known is None:
                problem = f"no answer {str(key)[:64]!r} is known here, or not any more; send its `transcript` with it"
                raise InvalidInput(f"{path}.id", problem)
            text = known.text
        others = {name: value for name, value in message.items() if name != "audio"}
        return {**others, "content": text}

    async def _words(self, given: Any, path: str) -> str:
        """Return the words of a recording; they are remembered, because clients send all audio with every request."""
        data = given.get("data") if isinstance(given, dict) else None
        if not isinstance(data, str) or not data:
            raise InvalidInput(f"{path}.data", "send the recording in base64")
        try:
            file, digest = await asyncio.to_thread(_decoded, data)
        except ValueError:
            raise InvalidInput(f"{path}.data", "it is not base64") from None
        services, name = self._services, self._services.settings.chat_transcription_model
        key = f"{services.triton.served.resolve(name, 'transcription').id} {digest}"
        heard = await services.texts.get(self._telemetry.owner, key)
        if heard is None:
            heard = await self._transcribed(file, f"{path}.data")
            await services.texts.add(self._telemetry.owner, key, heard)
        self.audio_tokens += heard.audio_tokens
        return heard.text

    async def _transcribed(self, file: bytes, path: str) -> RememberedText:
        model = self._services.settings.chat_transcription_model
        request = TranscriptionRequest(model, TranscriptionOptions())
        try:
            stream = await transcribe(self._services, io.BytesIO(file), request, self._telemetry)
            result = await stream.read_all()
        except InvalidInput as error:
            raise InvalidInput(path, error.problem) from None
        except PayloadTooLarge as error:
            raise PayloadTooLarge(path, error.problem) from None
        self._seconds += result.seconds
        self._telemetry.audio_seconds = self._seconds
        tokens = math.ceil(sum(window.seconds for window in result.windows) * result.audio_token_rate)
        return RememberedText(result.text.strip(), tokens)


def _is_audio(part: Any) -> bool:
    return isinstance(part, dict) and part.get("type") == _AUDIO


def _joined(parts: Sequence[Any]) -> str | list[Any]:
    """Return text parts as one text, which every language model's server takes; others as they are."""
    texts = [part.get("text") if isinstance(part, dict) and part.get("type") == "text" else None for part in parts]
    return "\n".join(map(str, texts)) if all(isinstance(text, str) for text in texts) else list(parts)


def _decoded(data: str) -> tuple[bytes, str]:
    """Return a file, and its digest. Raises `ValueError`."""
    file = from_data_url(data) if is_data_url(data) else from_base64(data)
    return file, hashlib.sha256(file).hexdigest()
