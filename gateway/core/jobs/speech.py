"""Run a speech job: a step for each part of the text, and one that joins their audio."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import asdict, replace
from functools import partial
from itertools import chain, repeat
from pathlib import Path
from typing import Any, Final

import numpy as np

from gateway.audio.encoder import decoder_delay, encode_file
from gateway.audio.formats import AudioFormat
from gateway.audio.frames import Samples
from gateway.core.alignment import ALIGNED_CHARS, find_words
from gateway.core.jobs.context import JobContext
from gateway.core.jobs.files import RESULT, WORDS
from gateway.core.jobs.job import Outcome, Progress
from gateway.core.synthesize import SynthesisRequest, synthesize
from gateway.core.tagged_text import Clause, TaggedCutter, clause_from_json, clause_to_json, passages
from gateway.core.telemetry import WorkTelemetry
from tritone.contract import SPEECH_RATE
from tritone.text_parts import PART_CHARS, split_text
from tritone.transcript import Word

_IN_FILE: Final = ("text", "ref_audio")
"""The fields of the request that may be long; they are in the job's upload."""
_BLOCK: Final = SPEECH_RATE * 10
"""Samples that are read and encoded at once."""


def request_to_json(request: SynthesisRequest) -> tuple[dict[str, Any], bytes]:
    """Return the request as JSON without its long fields, and these as a file."""
    values = asdict(request)
    return values, json.dumps({name: values.pop(name) for name in _IN_FILE}).encode()


def request_from_json(values: Mapping[str, Any], upload: bytes) -> SynthesisRequest:
    """Undo `request_to_json`."""
    return SynthesisRequest(**values, **json.loads(upload))


async def run_speech(context: JobContext) -> Outcome:
    """Synthesize the job's text, and write the audio to the result's file."""
    request = await asyncio.to_thread(_read_request, context)
    # Recorded, because a later version may split in other places.
    clauses = [_clause(each) for each in await context.ledger.step("split", partial(_split, context, request))]
    chars, done, seconds, model = sum(len(clause.text) for clause in clauses), 0, 0.0, ""
    words: list[Word] = []
    for number, clause in enumerate(clauses):
        telemetry = context.telemetry(continues=done > 0)
        work = partial(_synthesize, context, request, clause, number, telemetry)
        spoken = await context.ledger.step("part", partial(context.patiently, work))
        model = spoken["model"] or model
        words += [Word(**word).shifted(seconds) for word in spoken.get("words", ())]
        seconds += spoken["seconds"]
        done += len(clause.text)
        # A text may be nothing but pauses.
        await context.ledger.report(Progress(round(seconds, 3), round(done / chars, 4) if chars else None))
    join = partial(_join, context, request, len(clauses), words)
    await context.ledger.step("result", partial(context.patiently, join))
    for number in range(len(clauses)):
        context.files.discard(context.job_id, _part_name(number))
    return Outcome(Progress(round(seconds, 3), 1.0), model)


def _read_request(context: JobContext) -> SynthesisRequest:
    return request_from_json(context.spec.request, _path(context, context.upload).read_bytes())


async def _split(context: JobContext, request: SynthesisRequest) -> Sequence[dict[str, Any]]:
    most = min(PART_CHARS, context.services.settings.max_input_chars)
    return await asyncio.to_thread(lambda: [clause_to_json(clause) for clause in _clauses(request, most)])


def _clauses(request: SynthesisRequest, most: int) -> Iterator[Clause]:
    """Yield the parts of the text; without tags as long as possible, their Markdown left to the model.

    Sentences without Markdown where their words need times: a model that finds these sees a sentence at once.
    """
    if request.word_times:
        cutter = TaggedCutter(min(most, ALIGNED_CHARS), "sentence", request.tags)
        yield from cutter.add(request.text)
        yield from cutter.finish()
        return
    for clause in passages(request.text, request.tags):
        parts = list(split_text(clause.text, most)) or [""]
        for part, silence in zip(parts, chain([clause.silence], repeat(0.0)), strict=False):
            if part or silence:
                yield replace(clause, text=part, silence=silence)


def _clause(recorded: dict[str, Any] | str) -> Clause:
    """Return a part as it was recorded; before there were tags, that was its text."""
    return Clause(recorded) if isinstance(recorded, str) else clause_from_json(recorded)


async def _synthesize(
    context: JobContext, request: SynthesisRequest, clause: Clause, number: int, telemetry: WorkTelemetry
) -> dict[str, Any]:
    """Write the part's samples to its file, as 16-bit PCM at `SPEECH_RATE`."""
    silence = round(clause.silence * SPEECH_RATE)
    with context.files.writing(context.job_id, _part_name(number)) as file:
        file.write(bytes(2 * silence))
        if not clause.text:
            return {"model": "", "seconds": silence / SPEECH_RATE}
        request = replace(clause.request(request), audio_format="pcm", sample_rate=None, whole=False)
        speech = await synthesize(context.services, request, telemetry)
        async with aclosing(speech.encoded()) as pieces:
            async for piece in pieces:
                file.write(piece)
    before = silence / SPEECH_RATE
    words = speech.take_words() + await find_words(context.services, speech, request, telemetry)
    return {
        "model": speech.model,
        "seconds": speech.audio_seconds + before,
        "words": [asdict(word.shifted(before)) for word in words],
    }


async def _join(context: JobContext, request: SynthesisRequest, parts: int, words: Sequence[Word]) -> bool:
    assert request.audio_format
    paths = [_path(context, _part_name(number)) for number in range(parts)]
    if request.word_times:
        delay = decoder_delay(request.audio_format, SPEECH_RATE, whole=True, sample_rate=request.sample_rate)
        timed = json.dumps([asdict(word.shifted(delay)) for word in words], ensure_ascii=False)
        context.files.write(context.job_id, WORDS, [timed.encode()])
    await asyncio.to_thread(_encode, context, request.audio_format, request.sample_rate, paths)
    return True


def _encode(context: JobContext, audio_format: AudioFormat, sample_rate: int | None, paths: Sequence[Path]) -> None:
    with context.files.writing(context.job_id, RESULT) as file:
        encode_file(Path(file.name), audio_format, SPEECH_RATE, _samples(paths), sample_rate)


def _samples(paths: Sequence[Path]) -> Iterator[Samples]:
    for path in paths:
        with path.open("rb") as file:
            while len(block := np.fromfile(file, "<i2", _BLOCK)):
                yield block.astype(np.int16, copy=False)


def _path(context: JobContext, name: str) -> Path:
    return context.files.path(context.job_id, name)


def _part_name(number: int) -> str:
    return f"part-{number:05}"
