"""A transcription result in each of OpenAI's JSON formats."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator

from gateway.core.diarization import SpeakerSegment
from gateway.core.transcription_result import TranscriptionResult
from gateway.openai.transcription.protocol import (
    DiarizedSegment,
    DurationUsage,
    InputTokens,
    Language,
    Logprob,
    TextDone,
    TimedSegment,
    TokenUsage,
    TranscriptionDiarized,
    TranscriptionJson,
    TranscriptionVerbose,
    VerboseSegment,
    VerboseWord,
)
from gateway.openai.transcription.requests import Granularity
from tritone.transcript import Segment


def json_result(
    result: TranscriptionResult, *, with_logprobs: bool = False, usage_in_tokens: bool = False
) -> TranscriptionJson:
    """Return `response_format` json."""
    return TranscriptionJson(
        text=result.text,
        languages=languages(result),
        logprobs=logprobs(result.segments) if with_logprobs else None,
        usage=_token_usage(result) if usage_in_tokens else _duration_usage(result),
    )


def diarized_json(
    result: TranscriptionResult, *, usage_in_tokens: bool = False, with_words: bool = False
) -> TranscriptionDiarized:
    """Return `response_format` diarized_json; the segments must have speakers."""
    return TranscriptionDiarized(
        duration=round(result.seconds, 3),
        text=result.text,
        segments=[
            diarized_segment(segment, index, with_words=with_words) for index, segment in enumerate(result.segments)
        ],
        usage=_token_usage(result) if usage_in_tokens else _duration_usage(result),
    )


def verbose_json(result: TranscriptionResult, granularities: Collection[Granularity]) -> TranscriptionVerbose:
    """Return `response_format` verbose_json, with segments or words or both."""
    return TranscriptionVerbose(
        task=result.task,
        language=result.language,
        language_code=result.language_code,
        duration=round(result.seconds, 3),
        text=result.text,
        segments=list(_verbose_segments(result)) if "segment" in granularities else None,
        words=[word for segment in result.segments for word in _words(segment)] if "word" in granularities else None,
        usage=_duration_usage(result),
    )


def text_done(result: TranscriptionResult, *, with_logprobs: bool) -> TextDone:
    """Return the last event of a stream."""
    return TextDone(
        text=result.text,
        languages=languages(result),
        logprobs=logprobs(result.segments) if with_logprobs else None,
        usage=_token_usage(result),
    )


def timed_segment(segment: Segment, index: int, *, with_words: bool) -> TimedSegment:
    """Return the `index`-th segment of a recording."""
    return TimedSegment(
        id=f"seg_{index}",
        start=round(segment.start, 3),
        end=round(segment.end, 3),
        text=segment.text.strip(),
        words=list(_words(segment)) if with_words else None,
    )


def diarized_segment(segment: Segment, index: int, *, with_words: bool = False) -> DiarizedSegment:
    """Return the `index`-th segment of a recording, with its speaker."""
    assert isinstance(segment, SpeakerSegment)
    timed = timed_segment(segment, index, with_words=with_words)
    return DiarizedSegment(**dict(timed), speaker=segment.speaker)


def languages(result: TranscriptionResult) -> list[Language]:
    """Return the languages that were spoken, in order."""
    return [Language(code=code) for code in result.language_codes]


def logprobs(segments: Iterable[Segment]) -> list[Logprob]:
    """Return the log probabilities of the segments' tokens, less tokens that are not text."""
    pairs = (pair for s in segments for pair in zip(s.token_texts, s.token_logprobs, strict=True) if pair[0])
    return [Logprob(token=text.decode(errors="replace"), bytes=list(text), logprob=logprob) for text, logprob in pairs]


def _token_usage(result: TranscriptionResult) -> TokenUsage:
    """Return the tokens of the audio that the model got, and of the text that it made."""
    audio = math.ceil(sum(window.seconds for window in result.windows) * result.audio_token_rate)
    text = sum(len(segment.tokens) for segment in result.segments)
    return TokenUsage(
        input_tokens=audio,
        input_token_details=InputTokens(audio_tokens=audio),
        output_tokens=text,
        total_tokens=audio + text,
    )


def _duration_usage(result: TranscriptionResult) -> DurationUsage:
    return DurationUsage(seconds=math.ceil(result.seconds))


def _verbose_segments(result: TranscriptionResult) -> Iterator[VerboseSegment]:
    starts = (window.start for window in result.windows for _ in window.segments)
    for id_, (window_start, segment) in enumerate(zip(starts, result.segments, strict=True)):
        yield VerboseSegment(
            id=id_,
            seek=round(window_start * 100),
            start=round(segment.start, 3),
            end=round(segment.end, 3),
            text=segment.text,
            tokens=list(segment.tokens),
            temperature=segment.temperature,
            avg_logprob=segment.avg_logprob,
            compression_ratio=segment.compression_ratio,
            no_speech_prob=segment.no_speech_prob,
        )


def _words(segment: Segment) -> Iterator[VerboseWord]:
    for word in segment.words:
        yield VerboseWord(word=word.text.strip(), start=round(word.start, 3), end=round(word.end, 3))
