"""Run a transcription job: a step for each window, so that a long recording continues after its last finished one."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import asdict, replace
from functools import partial
from typing import Any, Final, Self

from gateway.audio.decoding import declared_seconds
from gateway.core.jobs.context import JobContext
from gateway.core.jobs.files import RESULT
from gateway.core.jobs.job import Outcome, Progress
from gateway.core.jobs.transcripts import result_to_json, window_from_json, window_to_json
from gateway.core.transcribe import TranscriptionRequest, TranscriptionStream, transcribe
from gateway.core.transcription_result import TranscriptionResult
from tritone.contract import TranscriptionOptions
from tritone.transcribe_windows import WindowTranscript
from tritone.windowing import VadOptions

REFERENCES: Final = "known_speaker_references"
"""The field of the request that may be long: megabytes, which lists of jobs would read. It is in a file of its own."""


def request_to_json(request: TranscriptionRequest) -> dict[str, Any]:
    """Return the request as JSON."""
    return asdict(request)


def request_from_json(values: Mapping[str, Any]) -> TranscriptionRequest:
    """Undo `request_to_json`."""
    return TranscriptionRequest(
        **{
            **values,
            "options": TranscriptionOptions(**values["options"]),
            "vad": VadOptions(**values["vad"]),
            "known_speaker_names": tuple(values["known_speaker_names"]),
            REFERENCES: tuple(values[REFERENCES]),
            "optional": tuple(values["optional"]),
        }
    )


def read_request(context: JobContext) -> TranscriptionRequest:
    """Return the job's request with the recordings of known speakers; it blocks."""
    values = context.spec.request
    if context.spec.references:
        references = context.files.path(context.job_id, context.spec.references).read_bytes()
        values = {**values, REFERENCES: json.loads(references)}
    return request_from_json(values)


async def run_transcription(context: JobContext) -> Outcome:
    """Transcribe the job's recording, and write the result to its file."""
    total = await context.ledger.step("open", partial(_declared, context))
    progress = Progress()
    async with _Recording(context) as recording:
        while "end" not in (step := await context.ledger.step("window", recording.next_window)):
            window = recording.add(step)
            progress = _progress(window.start + window.seconds, total)
            await context.ledger.report(progress)
        await context.ledger.step("result", recording.write_result)
        return Outcome(Progress(step["end"], 1.0), step["model"])


async def _declared(context: JobContext) -> float | None:
    return await asyncio.to_thread(_declared_seconds, context)


def _declared_seconds(context: JobContext) -> float | None:
    with context.files.path(context.job_id, context.upload).open("rb") as file:
        return declared_seconds(file)


def _progress(seconds: float, total: float | None) -> Progress:
    return Progress(round(seconds, 3), min(1.0, round(seconds / total, 4)) if total else None)


class _Recording:
    """The recording of a job, with the windows that are done; its stream begins behind them, after errors again."""

    def __init__(self, context: JobContext) -> None:
        self._context = context
        self._done: list[WindowTranscript] = []
        self._stack = AsyncExitStack()
        self._stream: TranscriptionStream | None = None
        self._latest: WindowTranscript | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._close()

    def add(self, step: Mapping[str, Any]) -> WindowTranscript:
        """Add a window that is done, as `next_window` returned it."""
        self._done.append(window_from_json(step))
        return self._done[-1]

    async def next_window(self) -> dict[str, Any]:
        """Return the next window as JSON; at the end of the recording its length and the id of the model."""
        return await self._context.patiently(self._next_window)

    async def write_result(self) -> bool:
        """Write the result of all windows that are done."""
        return await self._context.patiently(self._write_result)

    async def _next_window(self) -> dict[str, Any]:
        try:
            stream = self._stream or await self._open()
            async for _ in stream.windows:
                assert self._latest
                return window_to_json(self._latest)
            return {"end": stream.result.seconds, "model": stream.model}
        except BaseException:
            await self._close()
            raise

    async def _write_result(self) -> bool:
        if self._stream is None:  # the worker died between the last window and here
            stream = await self._open()
            await stream.read_all()
        assert self._stream
        await asyncio.to_thread(self._write, self._stream.result)
        return True

    def _write(self, result: TranscriptionResult) -> None:
        text = json.dumps(result_to_json(result), ensure_ascii=False)
        self._context.files.write(self._context.job_id, RESULT, [text.encode()])

    async def _open(self) -> TranscriptionStream:
        context = self._context
        path = context.files.path(context.job_id, context.upload)
        file = self._stack.enter_context(path.open("rb"))
        request = replace(await asyncio.to_thread(read_request, context), background=True)
        telemetry = context.telemetry()
        self._stream = await transcribe(
            context.services, file, request, telemetry, done=self._done, record=self._record
        )
        self._stack.push_async_callback(self._stream.windows.aclose)
        return self._stream

    def _record(self, transcript: WindowTranscript) -> None:
        self._latest = transcript

    async def _close(self) -> None:
        self._stream = None
        await self._stack.aclose()
