"""The use case `speak_while_written`: a text that is still being written in, an encoded audio stream out."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from typing import Final

import numpy as np

from gateway.audio.formats import AudioFormat
from gateway.audio.renderer import Renderer
from gateway.core.alignment import ALIGNED_CHARS, Aligner
from gateway.core.services import Services
from gateway.core.speech_options import expected_seconds
from gateway.core.spoken_clause import SpokenClause
from gateway.core.spoken_text import Split
from gateway.core.synthesize import SpeechStream, SynthesisRequest, synthesize
from gateway.core.tagged_text import TaggedCutter, check_voice, check_voices, clauses_of, spoken_parts, without_ssml
from gateway.core.telemetry import WorkTelemetry
from gateway.core.workers import run_in
from tritone.contract import SPEECH_RATE
from tritone.errors import InvalidInput
from tritone.text_parts import PART_CHARS
from tritone.transcript import Word

_AHEAD: Final = 2
"""Clauses that are synthesized behind the one that is sent."""


class WrittenSpeech:
    """The speech of a text that is still being written; `encoded` yields the bytes.

    `text`, `audio_seconds` and `finish_reason` are complete after the last of them.
    """

    def __init__(
        self,
        services: Services,
        texts: AsyncGenerator[str],
        request: SynthesisRequest,
        telemetry: WorkTelemetry,
        *,
        model: str,
        ignored: tuple[str, ...],
        audio_format: AudioFormat,
        split: Split,
        is_aligned: bool = False,
    ) -> None:
        """`is_aligned`: the model does not report the times of words; an aligner finds them, in short clauses."""
        self.model = model
        """The id of the model."""
        self.ignored = ignored
        """The options of the request that have no effect with this model."""
        self.audio_format = audio_format
        self.whole = request.whole
        self.sample_rate = request.sample_rate or SPEECH_RATE
        """The rate of `pcm`, in Hz."""
        self.text = ""
        """All that was written so far, as it was written."""
        self.clauses: list[str] = []
        """The parts of it that were spoken so far."""
        self.begun: list[str] = []
        """These, and the one whose audio `encoded` gives."""
        self.finish_reason = "stop"
        """`stop`: complete; `length`, `runaway`: a part of it was cut."""
        self.audio_seconds = 0.0
        self.text_tokens = 0
        self.audio_frames = 0
        self.engine_seconds = 0.0
        """The model's seconds of all parts."""
        self._services = services
        self._texts = texts
        self._split = split
        self._request = replace(request, audio_format="pcm", sample_rate=None, whole=False)
        self._telemetry = telemetry
        self._most_chars = ALIGNED_CHARS if is_aligned else PART_CHARS
        self._untimed: deque[tuple[SpokenClause, float]] = deque()
        """The clauses whose words are not all taken, and the second of the file at which each begins."""
        self._renderer = Renderer(audio_format, SPEECH_RATE, 1.0, whole=request.whole, sample_rate=request.sample_rate)

    async def encoded(self) -> AsyncGenerator[bytes]:
        """Yield the audio file in pieces, none of them empty. Closing it stops the writer, and the work in Triton.

        Raises what the writer raises, and any `ServiceError`.
        """
        async with aclosing(self.spoken()) as clauses:
            async for clause in clauses:
                if not self._renderer.seconds:
                    await clause.begun.wait()  # a failure is reported before the first bytes
                for silence in clause.silent_blocks():
                    if piece := await self._encode(silence):
                        yield piece
                self.begun += [clause.text] if clause.text else []
                self._untimed.append((clause, self._renderer.seconds))
                async for block in clause.blocks():
                    if piece := await self._encode(block):
                        yield piece
        if self._renderer.seconds and (piece := await self._encode(b"", last=True)):
            yield piece

    def take_words(self) -> list[Word]:
        """Return the words whose times have become known since the last call, in seconds of the whole file's audio."""
        words: list[Word] = []
        while self._untimed:
            clause, start = self._untimed[0]
            complete = clause.timed.is_set()
            words += [word.shifted(start + self._renderer.delay) for word in clause.take_words()]
            if not complete:
                break
            self._untimed.popleft()
        return words

    async def spoken(self) -> AsyncGenerator[SpokenClause]:
        """Yield each clause when its turn has come; read its `silent_blocks` and `blocks` before the next.

        For use instead of `encoded`.
        """
        ahead: asyncio.Queue[SpokenClause | None] = asyncio.Queue()
        places = asyncio.Semaphore(1 + _AHEAD)
        tasks: list[asyncio.Task[None]] = []
        writing = asyncio.create_task(self._write(ahead, places, tasks))
        tasks.append(writing)
        said: list[SpokenClause] = []
        try:
            while clause := await ahead.get():
                yield clause
                said.append(clause)
                if len(said) > _AHEAD:  # its words have times before ever more audio waits for them
                    await said[-1 - _AHEAD].timed.wait()
                if clause.finish_reason != "stop":
                    self.finish_reason = clause.finish_reason
                self.text_tokens += clause.text_tokens
                self.audio_frames += clause.audio_frames
                self.engine_seconds += clause.engine_seconds
                if clause.text:
                    self.clauses.append(clause.text)
                places.release()
            await writing
            for clause in said:
                await clause.timed.wait()
                if clause.failure:
                    raise clause.failure
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _write(
        self, ahead: asyncio.Queue[SpokenClause | None], places: asyncio.Semaphore, tasks: list[asyncio.Task[None]]
    ) -> None:
        """Begin the synthesis of each clause as soon as it is written, and as there is a place for it."""
        most = min(self._most_chars, self._services.settings.max_input_chars)
        clause: SpokenClause | None = None
        cutter = TaggedCutter(most, self._split, self._request.tags)
        voices: set[str] = set()
        speaks = False
        try:
            async with aclosing(clauses_of(self._noted(), cutter)) as clauses:
                async for cut in clauses:
                    await places.acquire()
                    if clause:
                        await clause.begun.wait()  # one text waits for its model once, as any other request
                    if cut.voice and cut.voice.name not in voices:
                        await check_voice(self._services, self._request, cut.voice)
                        voices.add(cut.voice.name)
                    request = cut.request(self._request)
                    clause = SpokenClause(self._services, request, patient=clause is not None, silence=cut.silence)
                    self._telemetry.expected_seconds += expected_seconds(cut.text)
                    # Its own record: the request's counts all clauses.
                    part = self._telemetry.part(str(len(tasks)), continues=speaks)
                    speaks = speaks or bool(cut.text)
                    tasks.append(asyncio.create_task(clause.run(part)))
                    ahead.put_nowait(clause)
        finally:
            ahead.put_nowait(None)

    async def _noted(self) -> AsyncGenerator[str]:
        async with aclosing(self._texts):
            async for text in self._texts:
                self.text += text
                yield text

    async def _encode(self, pcm: bytes, *, last: bool = False) -> bytes:
        def work() -> bytes:
            return self._renderer.finish() if last else self._renderer.write(np.frombuffer(pcm, "<i2").astype(np.int16))

        pool = self._services.workers.encoding
        encoded = await run_in(pool, work) if self._renderer.costly else work()
        self.audio_seconds = self._telemetry.audio_seconds = self._renderer.seconds
        return encoded


AnySpeech = SpeechStream | WrittenSpeech


async def speak_while_written(
    services: Services,
    texts: AsyncGenerator[str],
    request: SynthesisRequest,
    telemetry: WorkTelemetry,
    split: Split = "clause",
) -> WrittenSpeech:
    """Prepare the speech of a text that comes in pieces of any length; `request.text` is not used.

    Nothing is read of `texts` before the audio is read. Raises as `synthesize`, for everything but the text.
    """
    request = replace(request, owner=request.owner or telemetry.owner)
    # The model is not called: this finds what is wrong with the request before anything is written.
    checked = await synthesize(services, replace(request, text="."), telemetry)
    telemetry.expected_seconds = 0.0
    if checked.recording:
        Aligner.of(services, checked.model, request, telemetry)
    return WrittenSpeech(
        services,
        texts,
        request,
        telemetry,
        model=checked.model,
        ignored=checked.ignored,
        audio_format=checked.audio_format,
        split=split,
        is_aligned=checked.recording is not None,
    )


async def speak(services: Services, request: SynthesisRequest, telemetry: WorkTelemetry) -> AnySpeech:
    """Prepare the speech of a text of up to MAX_LONG_INPUT_CHARS.

    One over MAX_INPUT_CHARS, or with tags of the request's `tags` or their SSML, is spoken part by part, and one whose
    words need an aligner sentence by sentence. Raises as `synthesize`, and `InvalidInput` for a bad tag.
    """
    length, most = len(request.text), services.settings.max_long_input_chars
    if length > most:
        raise InvalidInput("text", f"{length} characters; at most {most} are allowed")
    request = await without_ssml(services, replace(request, owner=request.owner or telemetry.owner))
    parts = spoken_parts(request)
    is_short = len(request.text) <= services.settings.max_input_chars
    if is_short and all(isinstance(part, str) for part in parts):
        plain = "".join(map(str, parts))
        stream = await synthesize(
            services, request if plain == request.text else replace(request, text=plain), telemetry
        )
        if not stream.recording:
            return stream
    await check_voices(services, replace(request, owner=request.owner or telemetry.owner), parts)
    split: Split = "sentence" if request.word_times else "none" if is_short else "clause"
    return await speak_while_written(services, _whole(request.text), request, telemetry, split)


async def _whole(text: str) -> AsyncGenerator[str]:
    yield text
