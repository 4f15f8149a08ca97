"""What was heard, in each of OpenAI's formats."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from gateway.transcription.diarization import Utterance
from gateway.transcription.forms import Granularity
from gateway.transcription.protocol import (
    DurationUsage,
    InputTokens,
    Language,
    Logprob,
    SpokenSegment,
    Task,
    TextDone,
    TokenUsage,
    TranscriptionDiarized,
    TranscriptionJson,
    TranscriptionVerbose,
    VerboseSegment,
    VerboseWord,
)
from tritone import languages
from tritone.transcribe_windows import WindowTranscript, next_prompt
from tritone.transcript import Segment

_ENCODER_RATE: Final = 50
"""Audio tokens a second: the positions of Whisper's encoder."""


@dataclass
class Hearing:
    """A recording's passages as they come; `seconds` is the recording's length, whole once all have come."""

    task: Task
    passages: list[WindowTranscript] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def segments(self) -> Iterator[Segment]:
        """Every segment, in order."""
        return (segment for passage in self.passages for segment in passage.segments)

    @property
    def text(self) -> str:
        """The whole text."""
        return "".join(segment.text for segment in self.segments).lstrip()

    @property
    def language(self) -> str:
        """The English name of the language that the text is in."""
        if self.task == "translate":
            return "english"
        # The last words were heard in the language that the earlier ones told; what was wordless tells none.
        code = next((passage.language for passage in reversed(self.passages) if passage.segments), "")
        return languages.NAMES.get(code, "unknown")

    @property
    def languages(self) -> list[Language]:
        """The codes of those that something was said in."""
        codes = dict.fromkeys(passage.language for passage in self.passages if passage.segments)
        return [Language(code=code) for code in codes]

    def next_prompt(self) -> str:
        """The text that may guide the ear for what follows: what came before, less what the model was unsure of."""
        return next_prompt(self.segments)

    def json(self, *, with_logprobs: bool) -> TranscriptionJson:
        """`response_format` json."""
        return TranscriptionJson(
            text=self.text,
            languages=self.languages,
            logprobs=logprobs(self.segments) if with_logprobs else None,
            usage=self._duration_usage(),
        )

    def diarized_json(self) -> TranscriptionDiarized:
        """`response_format` diarized_json; the segments must be utterances with their speakers."""
        return TranscriptionDiarized(
            duration=round(self.seconds, 3),
            text=self.text,
            segments=[spoken(segment, index) for index, segment in enumerate(self.segments)],
            usage=self._duration_usage(),
        )

    def done(self, *, with_logprobs: bool) -> TextDone:
        """The last of the events."""
        return TextDone(
            text=self.text,
            languages=self.languages,
            logprobs=logprobs(self.segments) if with_logprobs else None,
            usage=self.token_usage(),
        )

    def verbose_json(self, granularities: Collection[Granularity]) -> TranscriptionVerbose:
        """`response_format` verbose_json, with segments or words or both."""
        return TranscriptionVerbose(
            task=self.task,
            language=self.language,
            duration=round(self.seconds, 3),
            text=self.text,
            segments=list(self._verbose_segments()) if "segment" in granularities else None,
            words=list(self._verbose_words()) if "word" in granularities else None,
            usage=self._duration_usage(),
        )

    def token_usage(self) -> TokenUsage:
        """The tokens of the audio that the model heard, and of the text that it gave."""
        heard = math.ceil(sum(passage.seconds for passage in self.passages) * _ENCODER_RATE)
        written = sum(len(segment.tokens) for segment in self.segments)
        return TokenUsage(
            input_tokens=heard,
            input_token_details=InputTokens(audio_tokens=heard),
            output_tokens=written,
            total_tokens=heard + written,
        )

    def _duration_usage(self) -> DurationUsage:
        return DurationUsage(seconds=math.ceil(self.seconds))

    def _verbose_segments(self) -> Iterator[VerboseSegment]:
        starts = (passage.start for passage in self.passages for _ in passage.segments)
        for id_, (window_start, segment) in enumerate(zip(starts, self.segments, strict=True)):
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

    def _verbose_words(self) -> Iterator[VerboseWord]:
        for segment in self.segments:
            for word in segment.words:
                yield VerboseWord(word=word.text.strip(), start=round(word.start, 3), end=round(word.end, 3))


def spoken(segment: Segment, index: int) -> SpokenSegment:
    """The `index`-th segment of a recording, an utterance with its speaker."""
    assert isinstance(segment, Utterance)
    return SpokenSegment(
        id=f"seg_{index}",
        speaker=segment.speaker,
        start=round(segment.start, 3),
        end=round(segment.end, 3),
        text=segment.text.strip(),
    )


def logprobs(segments: Iterable[Segment]) -> list[Logprob]:
    """Of the segments' tokens, less those that are no text."""
    pairs = (pair for s in segments for pair in zip(s.token_texts, s.token_logprobs, strict=True) if pair[0])
    return [Logprob(token=text.decode(errors="replace"), bytes=list(text), logprob=logprob) for text, logprob in pairs]
