"""Decoding of encoded audio to tokens: beam search, and sampling where its result is bad."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import ctranslate2
import numpy as np
from faster_whisper import WhisperModel
from faster_whisper.tokenizer import Tokenizer
from faster_whisper.transcribe import get_compression_ratio, get_suppressed_tokens
from numpy.typing import NDArray

BEAM_SIZE = 5
CANDIDATES = 5
"""Results that are sampled at a temperature above 0; the most probable one is kept."""
TEMPERATURES = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
"""The temperatures that are tried in turn until a result is good, unless the client sets one."""

# Whisper's published thresholds, as in faster-whisper.
MAX_COMPRESSION_RATIO = 2.4
MIN_AVG_LOGPROB = -1.0
MAX_NO_SPEECH_PROB = 0.6
MAX_INITIAL_TIMESTAMP = 50  # steps of 20 ms


@dataclass(frozen=True)
class DecodeAttempt:
    """The result of decoding a window at one temperature."""

    tokens: list[int]
    temperature: float
    avg_logprob: float
    compression_ratio: float
    no_speech_prob: float
    closed: bool
    """It ends with a timestamp, as Whisper's results for speech do; a loop seldom reaches one."""

    @property
    def repetitive(self) -> bool:
        """The text repeats itself: a loop, or repetitive speech."""
        return self.compression_ratio > MAX_COMPRESSION_RATIO

    @property
    def silent(self) -> bool:
        """There is no speech: the model finds none probable, and is not sure of the text that it returned."""
        return self.no_speech_prob > MAX_NO_SPEECH_PROB and self.avg_logprob <= MIN_AVG_LOGPROB

    @property
    def good(self) -> bool:
        """No further attempt is needed."""
        return self.silent or not (self.repetitive or self.avg_logprob < MIN_AVG_LOGPROB)

    @property
    def sure(self) -> bool:
        """It passes every check, that for speech too."""
        return self.good and self.no_speech_prob <= MAX_NO_SPEECH_PROB


@dataclass(eq=False)
class DecodeTask:
    """One window to decode, and the attempts so far."""

    encoded: NDArray[Any]
    """The encoder's output, (positions, width); 1500 positions for 30 s."""
    prompt: list[int]
    """The tokens before the decoder's own, up to the task token."""
    tokenizer: Tokenizer
    temperatures: Sequence[float]
    beam_size: int = BEAM_SIZE
    """Of the attempt at a temperature of 0."""
    attempts: list[DecodeAttempt] = field(default_factory=list)

    @property
    def done(self) -> bool:
        """The last attempt is good, or no temperature is left."""
        return bool(self.attempts) and (self.attempts[-1].good or len(self.attempts) == len(self.temperatures))

    @property
    def best(self) -> DecodeAttempt:
        """The good attempt. Where there is none, the most probable one, if possible without repetition.

        Where all repeat, the speech itself may. Then attempts that end with a timestamp are preferred, because a loop
        has a higher probability than the words that were said.
        """
        if self.attempts[-1].good:
            return self.attempts[-1]
        varied = [attempt for attempt in self.attempts if not attempt.repetitive]
        closed = [attempt for attempt in self.attempts if attempt.closed]
        return max(varied or closed or self.attempts, key=lambda attempt: attempt.avg_logprob)


def batch(rows: Sequence[NDArray[Any]]) -> ctranslate2.StorageView:
    """Return rows of one shape as a batch of CTranslate2."""
    return ctranslate2.StorageView.from_array(np.stack(rows))


def decode(whisper: WhisperModel, tasks: Sequence[DecodeTask]) -> None:
    """Decode every task until each is done.

    CTranslate2 decodes prompts and audio of one length, with one set of options, together. So windows of any language
    and task share a batch, and only those that fail are decoded again.
    """
    while pending := [task for task in tasks if not task.done]:
        groups: dict[tuple[int, int, float, int], list[DecodeTask]] = defaultdict(list)
        for task in pending:
            temperature = task.temperatures[len(task.attempts)]
            groups[len(task.prompt), len(task.encoded), temperature, task.beam_size].append(task)
        for (*_, temperature, beam_size), group in groups.items():
            _attempt(whisper, group, temperature, beam_size)


def _attempt(whisper: WhisperModel, group: Sequence[DecodeTask], temperature: float, beam_size: int) -> None:
    """Add one attempt at `temperature` to each task of the group."""
    search = (
        {"beam_size": 1, "num_hypotheses": CANDIDATES, "sampling_topk": 0, "sampling_temperature": temperature}
        if temperature > 0
        else {"beam_size": beam_size}
    )
    results = whisper.model.generate(
        batch([task.encoded for task in group]),
        [task.prompt for task in group],
        max_length=whisper.max_length,
        return_scores=True,
        return_no_speech_prob=True,
        suppress_tokens=get_suppressed_tokens(group[0].tokenizer, [-1]),
        max_initial_timestamp_index=MAX_INITIAL_TIMESTAMP,
        **search,
    )
    for task, result in zip(group, results, strict=True):
        tokens = result.sequences_ids[0]
        task.attempts.append(
            DecodeAttempt(
                tokens=tokens,
                temperature=temperature,
                avg_logprob=result.scores[0] * len(tokens) / (len(tokens) + 1),  # the end token counts too
                compression_ratio=get_compression_ratio(task.tokenizer.decode(tokens).strip()),
                no_speech_prob=result.no_speech_prob,
                closed=bool(tokens) and tokens[-1] >= task.tokenizer.timestamp_begin,
            )
        )
