"""Time to first audio of cloned voices: at the first use, and from then on, with random arrivals."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property, partial
from typing import Any

import numpy as np

from adapters.qwen3_tts.checkpoint import Checkpoint
from adapters.qwen3_tts.inflight.engine import InflightEngine
from adapters.qwen3_tts.inflight.io.input_processor import InputProcessor
from adapters.qwen3_tts.inflight.io.voice_cache import VoiceCache, VoiceEncoder
from adapters.triton.references import Reference
from adapters.triton.speech_request import SpeechRequest
from benchmarks.gpu.arrivals import QUEUE, SLOTS, load
from benchmarks.gpu.engine_client import accepted, wait
from benchmarks.gpu.playback import milliseconds
from benchmarks.gpu.rig import Rig, write
from benchmarks.gpu.steps import Step
from benchmarks.utterances import TEXT
from tritone.contract import SPEECH_RATE, SpeechOptions

RATES = (20, 1, 40)
"""Requests per second, the most valuable first."""
VOICES = 16
_SECONDS, _WORDS = 6.0, "It is nine, and the library closes now. Go home."
"""The length of a recording, and its words."""
_CACHE_BYTES = 2 << 30


class CloneRig(Rig):
    """A checkpoint that clones voices, and as many recordings as `VOICES`."""

    @cached_property
    def checkpoint(self) -> Checkpoint:
        """The checkpoint, written if it is missing."""
        return Checkpoint.read(write(self.size, self.options, "base"))

    @cached_property
    def input_processor(self) -> InputProcessor:
        """The input processor of the engine, with its cache of voices."""
        assert self.weights.encoders
        encoder = VoiceEncoder(self.weights.encoders, self.decoder)
        return InputProcessor(self.checkpoint, self.weights, VoiceCache(encoder, max_bytes=_CACHE_BYTES))

    @cached_property
    def references(self) -> list[Reference]:
        """The recordings: noise of speech's level."""
        random = np.random.default_rng(3)
        count = round(self.options.pick(_SECONDS, 1.0) * SPEECH_RATE)
        return [Reference.of(random.normal(0, 0.1, count).astype(np.float32), _WORDS) for _ in range(VOICES)]

    def request(self, index: int, frames: int) -> SpeechRequest:
        """Return a request of so many frames, in one of the voices."""
        reference = self.references[index % len(self.references)]
        options = replace(SpeechOptions(max_new_tokens=frames + 1, seed=index), ref_text=reference.text)
        return SpeechRequest(TEXT.format(index), "", "en", speed=1.0, reference=reference, options=options)


def steps(rig: Rig) -> Iterator[Step]:
    """Measure the first use of each voice alone, and then each rate with the same voices, which are cached by then."""
    clones = CloneRig(rig.size, rig.options)
    with clones.engine(rig.options.pick(SLOTS, 8), queue=QUEUE) as engine:
        yield Step("first use", 10, lambda: _one_by_one(clones, engine))
        yield Step("second use", 10, lambda: _one_by_one(clones, engine))
        for rate in rig.options.pick(RATES, (2,)):
            yield Step(f"{rate}", 25 if rate == 1 else 12, partial(load, clones, engine, rate))


def _one_by_one(rig: CloneRig, engine: InflightEngine) -> dict[str, Any]:
    """Request each voice alone."""
    seconds = []
    for index in range(rig.options.pick(VOICES, 2)):
        client = rig.submit(engine, index, 25)
        wait([client])
        seconds += [each.to_first_audio for each in accepted([client])]
    return {"voices": len(seconds), **milliseconds("ttfa", seconds, 50, 95)}
