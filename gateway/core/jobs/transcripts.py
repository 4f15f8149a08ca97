"""Transcripts of windows as JSON, and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from gateway.core.diarization import SpeakerSegment
from gateway.core.transcription_result import TranscriptionResult
from tritone.transcribe_windows import WindowTranscript
from tritone.transcript import Segment, Word


def window_to_json(window: WindowTranscript) -> dict[str, Any]:
    """Return the transcript of a window as JSON."""
    return {**asdict(window), "segments": [_segment_to_json(segment) for segment in window.segments]}


def window_from_json(values: Mapping[str, Any]) -> WindowTranscript:
    """Undo `window_to_json`."""
    return WindowTranscript(**{**values, "segments": tuple(map(_segment_from_json, values["segments"]))})


def result_to_json(result: TranscriptionResult) -> dict[str, Any]:
    """Return a whole result as JSON."""
    windows = [window_to_json(window) for window in result.windows]
    return {"task": result.task, "seconds": result.seconds, "windows": windows}


def result_from_json(values: Mapping[str, Any]) -> TranscriptionResult:
    """Undo `result_to_json`."""
    return TranscriptionResult(values["task"], list(map(window_from_json, values["windows"])), values["seconds"])


def _segment_to_json(segment: Segment) -> dict[str, Any]:
    values = asdict(segment)
    # Half of a character is no text that JSON could hold.
    values["token_texts"] = [text.decode("latin-1") for text in segment.token_texts]
    return values


def _segment_from_json(values: Mapping[str, Any]) -> Segment:
    common = {
        **values,
        "tokens": tuple(values["tokens"]),
        "words": tuple(Word(**word) for word in values["words"]),
        "token_logprobs": tuple(values["token_logprobs"]),
        "token_texts": tuple(text.encode("latin-1") for text in values["token_texts"]),
    }
    common.pop("embedding", None)  # of a job that an earlier version began
    return SpeakerSegment(**common) if "speaker" in values else Segment(**common)
