"""One turn in words: its text while it is spoken, and the whole of it when it is over."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from itertools import takewhile
from typing import Any, Final

from gateway.realtime.protocol import Event, event
from gateway.transcription.asking import Asker
from gateway.transcription.formats import Hearing, logprobs
from tritone.contract import LISTEN_RATE
from tritone.transcribe_windows import transcribe_windows
from tritone.transcript import Transcript
from tritone.windowing import MAX_SAMPLES, Samples, SpeechDetector, Window, split_at_silence

Send = Callable[[Event], Awaitable[None]]

_EVERY: Final = 1.0
"""Seconds from one look at a growing turn to the next, at the least."""
_SHARE: Final = 1.0
"""Nor sooner than so many times what the last look took: models that are busy are asked less often."""
_FIRST: Final = 0.5
"""Seconds of a turn that are worth a first look."""


class Turn:
    """What somebody says from one silence to the next; `item_id` is what the events call it.

    Deltas only ever add to the text: while the turn grows, what two looks at it agree on. The text that is told at its
    end is the model's last word.
    """

    def __init__(self, item_id: str, asker: Asker, prompt: str, send: Send) -> None:
        self.item_id = item_id
        self._asker = asker
        self._prompt = prompt
        self._send = send
        self._told = ""

    async def follow(self, heard: Callable[[], Samples]) -> None:
        """Tell the text of the turn as it grows, for as long as this is not cancelled; `heard` gives all of it yet."""
        earlier, seen, wait = "", 0, _EVERY
        while True:
            await asyncio.sleep(wait)
            samples = heard()
            if len(samples) == seen or not _FIRST * LISTEN_RATE <= len(samples) <= MAX_SAMPLES:
                continue
            seen = len(samples)
            began = time.monotonic()
            language = self._asker.options.language
            transcript = await self._asker.ask(Window(0, samples), language, self._prompt)
            wait = max(_EVERY, _SHARE * (time.monotonic() - began))
            text = "".join(segment.text for segment in transcript.segments).strip()
            await self._tell(agreed(earlier, text))
            earlier = text

    async def finish(self, samples: Samples, detect: SpeechDetector | None) -> None:
        """Tell all of the text. Silence is left out by `detect`, for turns whose ends no detector found."""
        hearing = Hearing("transcribe", seconds=len(samples) / LISTEN_RATE)

        async def hear(window: Window, language: str, background: bool) -> Transcript:
            return await self._asker.ask(window, language, self._prompt, background=background)

        options = self._asker.options
        async with aclosing(transcribe_windows(_windows(samples, detect), hear, options.language)) as passages:
            async for passage in passages:
                hearing.passages.append(passage)
                await self._tell(hearing.text)
        fields: dict[str, Any] = {}
        if options.logprobs:
            fields["logprobs"] = [logprob.model_dump() for logprob in logprobs(hearing.segments)]
        await self._send(
            event(
                "conversation.item.input_audio_transcription.completed",
                item_id=self.item_id,
                content_index=0,
                transcript=hearing.text,
                languages=[language.model_dump() for language in hearing.languages],
                usage={"type": "duration", "seconds": round(hearing.seconds, 3)},
                **fields,
            )
        )

    async def _tell(self, text: str) -> None:
        """The part of `text` that is new, where it goes on from what was told."""
        if len(text) > len(self._told) and text.startswith(self._told):
            delta, self._told = text[len(self._told) :], text
            await self._send(
                event(
                    "conversation.item.input_audio_transcription.delta",
                    item_id=self.item_id,
                    content_index=0,
                    delta=delta,
                )
            )


def agreed(earlier: str, later: str) -> str:
    """The whole words that both texts begin with; characters, where there are no spaces."""
    pairs = takewhile(lambda pair: pair[0] == pair[1], zip(earlier, later, strict=False))
    common = "".join(character for character, _ in pairs)
    if common == later or " " not in later:
        return common
    # The next word may go on: "can" and "cannot".
    return common[: common.rfind(" ")] if " " in common else ""


async def _windows(samples: Samples, detect: SpeechDetector | None) -> AsyncGenerator[Window]:
    if detect is None:
        yield Window(0, samples)
        return
    windows = split_at_silence([samples], detect)
    while (window := await asyncio.to_thread(next, windows, None)) is not None:
        yield window
